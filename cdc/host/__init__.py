"""What the machine offers a process of ours: private and durable files, systemd, and which start of it this is.

Nothing of either database comes in.
"""
