"""Who may write to the target tables, and what applications changed in them since they may.

Two kinds of triggers of ours stand on each table: the fence refuses every writer but replication from SQLite, and the
outbox notes the keys of rows that are written. Nothing here knows SQLite.
"""
