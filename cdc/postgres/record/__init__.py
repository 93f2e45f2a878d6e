"""What Postgres remembers of each source: position, decisions, quarantine, leftovers, audit trail, comparisons.

The only code that reads or writes tables of the schema `cdc`, but for the outbox.
"""
