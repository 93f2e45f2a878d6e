"""Reads put to both sides at one position, and their answers compared.

What comes in: queries or requests, and where both databases stand. What goes out: one `Outcome` for each, kept in the
ledger. Nothing here writes to either side's data.
"""
