"""Whether this file and this Postgres still belong together: does the changelog go on, is the file where it was.

Both engines meet here for the first time. What does not belong together is refused, never guessed.
"""
