"""Whom do we believe?  Keys, signatures and sealing; no sockets."""
