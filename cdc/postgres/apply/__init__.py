"""Moving Postgres from one committed state of SQLite to the next, in one transaction with the position.

Rounds that were read come in; nothing here knows SQLite.
"""
