"""Room for the rehearsal: a cutover and a rollback from end to end, on a copy, under a load like the application's.

What may come in: what makes and removes the copy, who plays the application, who kills a switch, and what it all came
to. The switch itself is rehearsed as it is: by the commands that an operator gives, never by code of this room.
"""
