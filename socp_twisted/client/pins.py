"""Which keys have we seen before?  Pinned at first sight, changed by the user alone.

Two JSON files for their owner alone: ``known_users.json`` by user id, and
``known_servers.json`` by address.  A pin is the fingerprint of a public key; no frame
ever replaces one.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from socp_twisted.client import disk
from socp_twisted.errors import ConfigurationError, MalformedFrame
from socp_twisted.wire.encoding import parse_object

MAX_PINS: Final = 100_000
"""Names in one file: a server that invents users must not fill the disk."""

_FINGERPRINT = re.compile(r"[0-9a-f]{4}( [0-9a-f]{4}){15}\Z")


@dataclass(frozen=True, slots=True)
class Pin:
    """One key that we have seen, and whether the user compared it."""

    fingerprint: str
    since: int = 0
    """Unix milliseconds of the first sight."""
    verified: bool = False
    server_id: str = ""


def is_told(told: str, fingerprint: str) -> bool:
    """Say whether our user tells this fingerprint, however it is spaced."""
    return "".join(told.split()).lower() == fingerprint.replace(" ", "")


class PinFile:
    """
    One file of pins; ``path`` None keeps them in memory alone.

    First sights are written by ``save``, decisions of the user at once.  A file that
    cannot be read raises ``ConfigurationError``: to begin with an empty one would be to
    accept every key again.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._pins = self._load()
        self._changed: set[str] = set()

    def get(self, name: str) -> Pin | None:
        """Return the pin of a user id or an address."""
        return self._pins.get(name)

    @property
    def full(self) -> bool:
        """Say whether no further name can be pinned."""
        return len(self._pins) >= MAX_PINS

    def meet(self, name: str, pin: Pin) -> Pin:
        """Pin a key at first sight; return the pin that holds, old or new."""
        held = self._pins.get(name)
        if held is not None:
            return held
        self._put(name, pin)
        return pin

    def decide(self, name: str, pin: Pin) -> None:
        """Pin a key because the user said so, and save; raise ConfigurationError."""
        self._put(name, pin)
        self.save()

    def save(self) -> None:
        """Write what changed, beside what another process wrote meanwhile."""
        if not self._changed or self._path is None:
            return
        pins = {**self._load(), **{name: self._pins[name] for name in self._changed}}
        text = json.dumps({name: asdict(pins[name]) for name in sorted(pins)}, indent=1)
        try:
            disk.replace(self._path, text + "\n")
        except OSError as why:
            raise ConfigurationError(
                f"cannot write the pins {self._path}: {disk.reason(why)}"
            ) from why
        self._changed.clear()

    def _put(self, name: str, pin: Pin) -> None:
        self._pins[name] = pin
        self._changed.add(name)

    def _load(self) -> dict[str, Pin]:
        text = disk.read_text(self._path, "the pins") if self._path else None
        if text is None:
            return {}
        try:
            stored = parse_object(text.encode("utf-8"))
            return {name: _read(entry) for name, entry in stored.items()}
        except MalformedFrame as why:
            raise ConfigurationError(
                f"the pins {self._path} are broken: {why}"
            ) from why


class Pins:
    """The pins of users and of servers in one configuration folder."""

    def __init__(self, home: Path | None) -> None:
        self.home = home
        self.users = PinFile(home / "known_users.json" if home else None)
        self.servers = PinFile(home / "known_servers.json" if home else None)

    def save(self) -> None:
        """Write both files, if anything changed; raise ``ConfigurationError``."""
        self.users.save()
        self.servers.save()


def _read(entry: Any) -> Pin:
    if not isinstance(entry, Mapping):
        raise MalformedFrame("an entry is not an object")
    fingerprint = entry.get("fingerprint")
    if type(fingerprint) is not str or not _FINGERPRINT.match(fingerprint):
        raise MalformedFrame("an entry has no fingerprint")
    since, server_id = entry.get("since"), entry.get("server_id")
    return Pin(
        fingerprint,
        since if type(since) is int else 0,
        entry.get("verified") is True,
        server_id if type(server_id) is str else "",
    )
