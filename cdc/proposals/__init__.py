"""What `cdc init` writes: facts of one or both databases in, the text of a configuration out, with counts as comments.

What is proven on every row that is there, and loses nothing, stands as it takes effect; what is for a person to choose
stands as a comment, whole, so that it takes effect without its marks. Nothing is changed in either database.
"""
