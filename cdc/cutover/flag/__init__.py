"""How the application is told where to read and write, and whether it does.

What comes in: a `FlagState`. What goes out: files, commands and requests that say so, all of them or none. Rows are no
concern of this room.
"""
