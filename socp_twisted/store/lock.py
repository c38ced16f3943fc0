"""Does a server run on this database?  A lock that ends with its process.  (SOCP 15)"""

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import IO

from socp_twisted.errors import ConfigurationError


class DatabaseLock:
    """
    Held by a server for as long as it runs, and by whoever changes its database then.

    The kernel lets go of it when the process ends, however it ends.  It is on a file of
    its own, ``<database>-lock``, which stays: SQLite's locks on the database itself are
    lost as soon as the same process closes any other descriptor of it.
    """

    def __init__(self, database: Path) -> None:
        self._database = database
        self._file: IO[bytes] | None = None

    def take(self) -> None:
        """Hold it, or raise ``ConfigurationError`` if another process does."""
        if self._file is not None:
            return
        # One database has one lock, by whatever links it is reached: as its journal.
        path = Path(f"{self._database.resolve()}-lock")
        try:
            held = open(path, "ab", opener=_for_its_owner)  # noqa: SIM115
        except OSError as why:
            raise ConfigurationError(
                f"cannot open the database {self._database}: {path}: {why.strerror}"
            ) from why
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as why:
            held.close()
            if isinstance(why, BlockingIOError):
                reason = "is in use: a server runs on it"
            else:
                reason = f"cannot be locked: {why.strerror}"
            raise ConfigurationError(f"the database {self._database} {reason}") from why
        self._file = held

    def release(self) -> None:
        """Let go of it, if it is held."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> None:
        self.take()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self.release()


def _for_its_owner(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
