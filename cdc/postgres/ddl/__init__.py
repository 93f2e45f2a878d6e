"""Tables, indexes, constraints and views in Postgres: their statements, and running them against what is there.

A statement is made from maps without a database; the runner alone meets one.
"""
