"""Everything that touches Postgres; the only place for asyncpg.

From the connection up to applying, each room using the ones before it. Nothing knows SQLite's file.
"""
