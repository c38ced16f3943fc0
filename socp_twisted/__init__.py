"""
The Secure Overlay Chat Protocol v1.3 on Twisted: a mesh of servers, and a client.

Read the rooms in this order; each may use only those before it, and
``tests/test_layers.py`` keeps it so:

``errors``    what can be wrong, and which code a peer is told
``wire``      bytes <-> values: vocabulary, encoding, envelopes, payloads; pure
``trust``     whom do we believe: keys, signatures, sealing
``overlay``   what follows from a frame: directory, rules, topology; no I/O
``store``     what outlives the process
``net``       Autobahn: links, the listener, peers and their ten attempts
``node``      performs what the overlay decided, on the links and the store; around it
              ``reader`` (frames in), ``sender`` (frames out), ``pacing`` (how fast),
              ``portions`` (long answers), ``turns`` (one at a time), ``accounts``,
              ``post`` (messages until they are answered), ``pins``, ``performer`` (what
              each effect does), ``background``, ``locks`` and ``counting``
``service``   what starts and stops, and in which order; ``configuration`` is what it
              was told, ``tap`` builds it, ``jsonlog`` is its log for machines
``command``   the console command ``socp``
``client``    the user's side: a session without I/O, files, keys, the terminal
"""

__version__ = "0.1.0"
