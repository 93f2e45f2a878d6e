"""The command line: it reads what was asked, calls one function for it, and prints what came back.

One file a command. No decision about data is taken here.
"""

from cdc.cli.main import main

__all__ = ["main"]
