"""Connections to the application's file, the locks that they take, and what wakes the daemon when it is written.

No table of the application or of ours is named here.
"""
