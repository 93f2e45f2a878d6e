"""Notes in the state folder that outlive a process: the daemon is held, or replication was ended on purpose.

One small file each, read by every command; nothing else is remembered outside the two databases.
"""
