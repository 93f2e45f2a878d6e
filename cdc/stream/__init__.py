"""Live replication of one source: open both ends, drain what is there, tidy up, and again.

It holds no state that cannot be read again from the databases.
"""
