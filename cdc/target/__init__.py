"""The seam between reading and applying: what a stream knows of any target, and what a target may ask of the reader.

Protocols and the order of reading alone: neither engine comes in, so that any of them can stand on either side.
"""
