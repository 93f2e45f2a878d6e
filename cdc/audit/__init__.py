"""Who did what, when and with what result: a chain of entries that shows when one was changed or is missing.

The chain, and the file of it in the state folder; the copy in Postgres is kept by `cdc.postgres.record`.
"""
