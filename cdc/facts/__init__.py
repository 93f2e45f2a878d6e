"""The facts that rooms hand to each other: tables, maps, keys, positions, rows that were read.

Frozen types without I/O. No decision is taken here, and nothing above the ground is imported.
"""
