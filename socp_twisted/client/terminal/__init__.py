"""
The client at a terminal, and in a script: ``socp chat``.

The rooms, in reading order: ``happenings`` (what this side itself has to say),
``record`` (events as JSON), ``commands`` and ``reading`` (what a line means),
``picture`` (what is known now), ``lines`` and ``show`` (events for people), ``keyring``
(the key file, the passphrase, what a history may keep), ``places`` (addresses and
paths); then Twisted's: ``expecting``, ``entrance`` and ``talk`` (commands become calls
of the client), ``script`` (standard input is no terminal), ``screen``, ``completing``
and ``prompt`` (it is one), and ``run``, which chooses.
"""
