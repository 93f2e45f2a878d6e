"""What the machine offers a process: private and durable files, signals, systemd, and which start of it this is.

Nothing of either database comes in.
"""
