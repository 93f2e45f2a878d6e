"""How rows of mapped tables are selected, and the few questions that are asked about them.

It knows maps, and nothing of capture.
"""
