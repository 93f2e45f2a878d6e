"""What the time before the move left in a code base: named scripts, what starts them, and what still uses SQLite.

What comes in: folders, and names to look for. What goes out: remains with file and line, in the order in which they are
to be taken away; and the named files themselves, removed with a backup and put back. No database is opened here.
"""
