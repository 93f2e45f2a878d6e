"""The way back: what applications change in Postgres after a cutover is carried into the fenced SQLite file.

What comes in: both databases, the maps, and how values were written when the switch was prepared. What goes out: a file
that is as new as Postgres, for a rollback that loses nothing; and rows that SQLite cannot hold, each with its reason.
"""
