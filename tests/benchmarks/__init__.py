"""
How near is this project to the limits of the machine?  ``python -m tests.benchmarks``.

Every figure is a ratio to a limit that is measured in the same run, in slices that take
turns with the load, or a count.  Nodes and load are processes of their own.

The rooms, in reading order: ``measuring`` (slices, medians), ``lines`` (a WebSocket by
hand), ``words`` and ``traffic`` (what is said, and how it flows), ``load`` (who writes,
logs in and waits), ``node`` (what is measured), ``person`` (a client of ours), ``lab``
(starts and ends them); then the rows, by what they are about: ``messages``,
``public``, ``latency``, ``presence``, ``memory`` (with ``directory``), ``stalls``,
``files``; ``table`` lists them, ``report`` and ``plot`` show what came of it, and
``against`` loads other servers.
"""
