"""The application changes its schema: what changed is found, followed where that is safe, refused where it is not.

Between two batches, never within one.
"""
