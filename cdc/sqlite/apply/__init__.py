"""Rows on their way back: what an application changed in Postgres, written into its fenced SQLite file.

It knows maps and texts of Postgres, and nothing of capture or of who brings them. Beside what was changed nothing of a
row is touched.
"""
