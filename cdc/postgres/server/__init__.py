"""Reaching the server: the operator's own, or one that this tool starts, finds again and stops.

What is in its databases is none of this room's business.
"""
