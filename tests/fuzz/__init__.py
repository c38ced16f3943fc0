"""
What does a node do with frames that nobody should send?  It answers, and goes on.

``python -m tests.fuzz --seconds 60 --seed 1`` runs one node in a process that watches
its own reactor, two honest users in another, who write to each other all the time, and
attackers at the node's three doors: before a login, as a user, and as a joined server.
They send genuine frames, made with the project's own code, that were changed: bytes,
JSON, signatures, order, and WebSocket itself.  The same seed makes the same frames.

A violation is an unexpected line in the node's log, a reactor that was busy for more
than 100 ms without looking at its sockets (in CPU time of its thread, so that another
process's load is not counted), memory or tables that grow without bound, and anything
that the honest users notice.

The rooms, in reading order: ``mutations`` and ``garbage`` (what is sent), ``frames``
(what it is made of), ``wire`` (a WebSocket that may do anything), ``doors`` (who is
let in as what), ``watched`` (the node), ``honest`` (the users), ``run``.
"""
