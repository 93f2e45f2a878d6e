"""SQLite's expressions and queries as Postgres SQL, where both engines are known to answer the same.

Pure text: no database is asked, and what is not known is left untranslated.
"""
