"""What the machine offers a process of ours: private files, systemd, and which start of the machine this is.

Nothing of either database comes in.
"""
