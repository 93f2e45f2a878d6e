"""Values of SQLite as Postgres stores them: exact, or refused with the reason.

One file holds one family of types with all that is known of them: numbers, booleans, texts, times, intervals,
documents, identifiers, addresses; arrays are made of these. The registry lists them, and every other room asks there.
No I/O, and no driver. The comparison never looks in here.
"""
