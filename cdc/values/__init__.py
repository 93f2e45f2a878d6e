"""Values of SQLite as Postgres stores them: exact, or refused with the reason.

No I/O, and no driver. The comparison never looks in here.
"""
