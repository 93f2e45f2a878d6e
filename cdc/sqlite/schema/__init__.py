"""What the application's file holds: tables, columns, keys, views, and what of them cannot be read here.

Read from SQLite's own catalogue and from CREATE texts; nothing is written.
"""
