"""
What do two users notice of a crowd that means no good?  A real node, and figures.

``python -m tests.crowd`` runs ``twistd -n socp`` and two users who write to each other,
lets 1,000 silent, 100 flooding and 20 non-reading connections loose on it, and prints
what that cost: memory, the users' latency, and which limit refused what.  It ends
non-zero if a message was lost, a user was disconnected or memory grew beyond its bound.

The rooms, in reading order: ``callers`` (what each of the crowd does), ``run``.
"""
