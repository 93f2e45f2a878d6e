"""The switch from one database to the other, and back: reads first, then writes.

What comes in: the configuration and where both databases stand. What goes out: an application that uses the other one.
"""
