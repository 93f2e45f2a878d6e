"""Phases 0 and 1: snapshot, plan, schema and load. Each step can be given again.

A snapshot comes in, filled tables come out; the stream goes on from there.
"""
