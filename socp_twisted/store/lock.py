"""Whose is this database?  Its owner's alone, one server's at a time.  (SOCP 15)"""

import contextlib
import fcntl
import os
import stat
from pathlib import Path
from types import TracebackType
from typing import IO

from socp_twisted.errors import ConfigurationError


def claim(path: Path) -> None:
    """
    Make the file for its owner alone, or take it from everybody else.

    SQLite gives the journals the mode of the database itself.  A file that exists is
    not opened here: closing it would drop this process's own locks on it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        if not stat.S_ISREG(path.stat().st_mode):
            raise ConfigurationError(f"the database {path} is no file") from None
        for one in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
            with contextlib.suppress(OSError):  # somebody else's: theirs to guard
                if one.stat().st_mode & 0o077:
                    one.chmod(0o600)


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
