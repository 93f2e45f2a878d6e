"""Triggers and tables that capture puts into the application's file: their SQL, making them whole, taking them out.

What they log is read by `cdc.sqlite.changelog.changelog`.
"""
