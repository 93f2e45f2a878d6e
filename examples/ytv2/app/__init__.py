"""YTV2's dashboard: lists, filters, ingests and deletes summaries of videos, from SQLite or from Postgres.

It reads and writes either database with the same statements; `READ_FROM_POSTGRES` says which one.
"""
