"""The end of a move on purpose: the way back is ended, and then nothing of this tool stays in either database.

What comes in: what a switch goes by, and what every room below can take away of itself. What goes out: a last snapshot
and a dump that were proven, and two databases as they would have been without this tool.
"""
