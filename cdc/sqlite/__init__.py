"""Everything that touches the application's SQLite file; the only place for apsw and watchdog.

From the connection up to the changelog and the snapshot, each room using the ones before it. Nothing knows Postgres.
"""
