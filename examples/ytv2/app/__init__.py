"""YTV2's dashboard: lists, filters, ingests and deletes summaries of videos, from SQLite or from Postgres.

`READ_FROM_POSTGRES` says which one; the README above has the requests and the variables.
"""
