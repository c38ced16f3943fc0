"""What is a node of a test told?  An id, a port of this machine, and a folder."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from socp_twisted.configuration import Configuration, Introducer


def loopback(
    server_id: str,
    port: int,
    folder: Path,
    introducers: Iterable[tuple[str, str]] = (),
    *,
    host: str = "127.0.0.1",
    **more: Any,
) -> Configuration:
    """
    Return the configuration of a node that listens on loopback.

    ``introducers`` are URLs and public keys; ``host`` is where others reach it.
    """
    settings: dict[str, Any] = {
        "server_id": server_id,
        "host": "127.0.0.1",
        "port": port,
        "advertise_host": host,
        "advertise_port": port,
        "db": folder / f"{server_id}-{port}.db",
        "keyfile": folder / "none",
        "introducers": tuple(Introducer(url, key) for url, key in introducers),
    }
    return Configuration(**{**settings, **more})
