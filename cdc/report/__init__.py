"""The report to decide on and to sign: what both databases, the state folder and the audit trail tell of one move.

It stands above everything that it tells of, and changes none of it. `gather` asks, and hands on facts; from there on
all is pure: `document` makes one JSON document of them, `page` shows just that document, `seal` closes both.
"""
