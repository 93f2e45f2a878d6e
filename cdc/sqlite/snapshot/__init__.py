"""Copies of the application's file: taken while it is written, proven whole, found again, restored.

It knows files and pages, and nothing of a stream.
"""
