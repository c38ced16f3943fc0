"""
Is a message lost, doubled or forgotten when everything fails?  Real nodes and faults.

``python -m tests.chaos --nodes 5 --messages 10000 --seed 1`` runs ``twistd -n socp``
nodes behind TCP gates of its own, and users who write to each other through the
project's own client; it cuts, stalls and swallows connections, stops and kills nodes
and clients, lets everything heal, and then accounts for every message.  The same seed
makes the same plan.

What a user would see is a ``TextReceived`` event.  Each user has a journal, a file of
JSON lines: an event is written there in the very turn of the reactor in which the
client tells of it, before any byte of the client's receipt has left the process.  So a
message that is in no journal was never seen, and one that a client which was killed had
seen may come again once: its receipt died with it (``again``, counted, no failure).
What a client was still waiting for when it was killed has nobody left to be reported to
(``perished``, counted; a message that its server had said it keeps is not among them).

The rooms, in reading order: ``plan`` (who, what, when), ``accounting`` (what became of
it), ``logs`` (what nodes must not say), ``weather`` and ``gate`` (the network between),
``journal``, ``talker`` and ``child`` (users), ``servers`` (nodes), ``run``.
"""
