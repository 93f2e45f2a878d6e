"""What `cdc demo` plays on: sample data, an application and a daemon of its own.

It uses the tool as an operator would.
"""
