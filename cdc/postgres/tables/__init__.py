"""What Postgres says of its tables, and rows of them counted, hashed or written to files.

It knows target tables, and nothing of streams.
"""
