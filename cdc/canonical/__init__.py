"""The comparison's own opinion of what a value is: one text for one value, made from what SQLite stores.

It may import facts alone. What applies changes has rules of its own, and a mistake in either shows in the other.
"""
