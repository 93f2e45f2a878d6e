"""The reverse proxy before the application: it serves the baseline's answers and compares the candidate's beside them.

What comes in: requests of users. What goes out: the answers of the side that is active, as they came, and outcomes for
the ledger. Nothing that the candidate does reaches a user, unless a share of reads is served from there.
"""
