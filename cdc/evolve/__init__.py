"""The application changes its schema: each kind of change is one file, followed where that is safe, else refused.

Between two batches, never within one. What comes in is a look at the file and what Postgres remembers of the stream.
"""
