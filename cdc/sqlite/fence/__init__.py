"""The fence in the application's file: dormant triggers that refuse every write until a moment, or for good.

What comes in is how long, or up to which position; which step of a move needs it is for others to know. Not fenced are
changes of the schema, incremental writes into blobs, virtual tables with what they keep, SQLite's own tables, and
connections that switch their triggers off.
"""
