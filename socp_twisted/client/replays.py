"""
Was this shown before?  Also by the process before this one.

What is shown is remembered, and written down before the server is told that it arrived:
a client that is killed in between is given the message again, and knows it.
"""

import contextlib
import hashlib
import os
from collections import OrderedDict
from pathlib import Path
from typing import Final

from socp_twisted.errors import MalformedFrame
from socp_twisted.wire.vocabulary import STALE_AFTER

MAX_SEEN: Final = 65_536
"""Messages remembered; the oldest are forgotten first."""

_STALE_MS: Final = int(STALE_AFTER * 1000)
_SIZE: Final = 32


class Replayed(MalformedFrame):
    """The same message was shown before: a copy needs a receipt, not an eye."""


class Replays:
    """What was already shown, in memory and, given a file, on disk."""

    def __init__(self, limit: int = MAX_SEEN, path: Path | None = None) -> None:
        self._limit = limit
        self._path = path
        self._seen: OrderedDict[bytes, None] = OrderedDict()
        self._new: list[bytes] = []
        self._written = 0
        if path is not None:
            self._read(path)

    def check(
        self, sender: str, ts: int, ciphertext: bytes, held: bool, now: int
    ) -> None:
        """
        Remember a message whose signature was verified, or raise ``MalformedFrame``.

        Refused: what is older or newer than ten minutes (unless the server held it for
        us), and what was seen before.
        """
        seen = _name(sender, ts, ciphertext)
        if seen in self._seen:
            raise Replayed("the same message was received before")
        if not held:
            self.check_age(ts, now)
        self._note(seen)

    def check_age(self, ts: int, now: int) -> None:
        """Raise ``MalformedFrame`` for what is older or newer than ten minutes."""
        if abs(now - ts) > _STALE_MS:
            raise MalformedFrame("sent more than ten minutes ago, or in the future")

    def _note(self, seen: bytes) -> None:
        if seen not in self._seen:
            self._seen[seen] = None
            self._new.append(seen)
        if len(self._seen) > self._limit:
            self._seen.popitem(last=False)

    def again(self, sender: str, mark: str, text: str) -> bool:
        """
        Note that a text is shown under the name of a message to everybody, which may
        come once more to us alone; say whether it was before.

        The text is part of it: a server that changed the name hides no other message.
        """
        seen = hashlib.sha256(f"again\0{sender}\0{mark}\0{text}".encode()).digest()
        known = seen in self._seen
        self._note(seen)
        return known

    def forget(self, sender: str, ts: int, ciphertext: bytes) -> None:
        """Take back that a message was shown: it could not be."""
        seen = _name(sender, ts, ciphertext)
        self._seen.pop(seen, None)
        self._new = [one for one in self._new if one != seen]

    def save(self) -> None:
        """Write down what was shown since; a full disk costs this memory alone."""
        new, self._new = self._new, []
        if self._path is None or not new:
            return
        with contextlib.suppress(OSError):
            if self._written + len(new) > 2 * self._limit:
                self._rewrite(self._path)
            else:
                self._append(self._path, b"".join(new))
                self._written += len(new)

    def _read(self, path: Path) -> None:
        try:
            data = path.read_bytes()
        except OSError:
            return  # nothing shown yet, or nothing that we may know
        whole = len(data) - len(data) % _SIZE  # killed while writing: the last is torn
        for start in range(max(0, whole - self._limit * _SIZE), whole, _SIZE):
            self._seen[data[start : start + _SIZE]] = None
        self._written = whole // _SIZE
        if whole != len(data):
            with contextlib.suppress(OSError):
                os.truncate(path, whole)

    def _append(self, path: Path, data: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        handle = os.open(path, flags, 0o600)
        try:
            os.write(handle, data)
        finally:
            os.close(handle)

    def _rewrite(self, path: Path) -> None:
        draft = path.with_name(f".{path.name}.new")
        draft.unlink(missing_ok=True)
        self._append(draft, b"".join(self._seen))
        os.replace(draft, path)
        self._written = len(self._seen)


def _name(sender: str, ts: int, ciphertext: bytes) -> bytes:
    head = f"{sender}\0{ts}\0".encode()
    return hashlib.sha256(head + ciphertext).digest()
