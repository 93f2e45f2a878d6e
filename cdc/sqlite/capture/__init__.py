"""The triggers and tables that capture puts into the application's file: their SQL, and whether they are whole.

What they log is read by `cdc.sqlite.changelog.changelog`.
"""
