"""Which table, column and type of Postgres stands for which of SQLite, and which decisions of that kind stand.

Facts and the configuration come in, maps or refusals come out; no database is asked.
"""
