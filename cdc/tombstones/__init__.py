"""Rows whose key was deleted lately: those that came back are told of, and those that wait are decided on.

What comes in: the tombstones that the room which applies rows has written, and somebody's word. Nothing is decided here
by itself, and a row of the application's file is deleted on that word alone.
"""
