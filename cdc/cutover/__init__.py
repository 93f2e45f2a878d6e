"""Room for the switch: cutover to Postgres and the way back, each a plan that can be read, steps that can be undone.

What may come in: what decides whether to switch, the order of steps, and who undoes them. How a database refuses writes
or gives its changes away is in the rooms of that database.
"""
