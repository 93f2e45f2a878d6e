"""The process that systemd starts: signals, stop, reload, watchdog, and the unit itself.

What is replicated, and how, is the stream's.
"""
