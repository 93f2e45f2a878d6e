"""The triggers and tables that capture puts into the application's file: their SQL, whether they are whole, and how they come
and go.

What they log is read by `cdc.sqlite.changelog.changelog`.
"""
