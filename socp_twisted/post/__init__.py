"""
What became of a message?  Kept until it is answered, sent again until it arrives.

A message of our own users is on disk before anything else happens to it, under an id
made of its content: sent again by its sender, it is the same message.  It goes to the
recipient's connection or server, in order; what is not answered stays, and goes again
when the recipient is seen.  The sender is told ``delivered``, ``queued`` and then
``delivered``, or why not.  (SOCP 10; holding is ours)

The rooms, in reading order: ``flow`` (what is on its way to one recipient),
``acquaintances`` (whom a message may wait for), ``reading`` (what is kept of a frame),
``tidings`` (what senders are told), ``sending`` (how messages leave), ``overdue``
(what nobody answers) and ``office`` (where messages come in, and answers).
"""

from socp_twisted.post.office import Post
from socp_twisted.post.reading import POSTED_TYPES

__all__ = ["POSTED_TYPES", "Post"]
