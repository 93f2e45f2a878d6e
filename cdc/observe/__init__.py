"""What people and machines can see of a running replication: status, health, metrics.

It reads what others write, and decides nothing for them.
"""
