"""What the application changed since a position, read from the changelog in short snapshots, and pruned.

The one place where a stream meets its file.
"""
