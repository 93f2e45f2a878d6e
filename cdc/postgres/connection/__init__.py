"""Connections to Postgres, what their errors mean, and the lock that a source has.

No table is named here, neither ours nor the application's.
"""
