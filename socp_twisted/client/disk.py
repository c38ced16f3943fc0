"""How does a file come to be whole or not at all?  Secrets, pins and received files."""

import contextlib
import hashlib
import os
import tempfile
import unicodedata
from pathlib import Path

from socp_twisted.client.display import invisible
from socp_twisted.errors import ConfigurationError
from socp_twisted.trust.files import write_draft

MAX_NAME = 200
"""Bytes of a received file's name: the file systems' 255, with room for " (99)"."""

_PREFIX, _SUFFIX = ".socp-", ".part"

_ABANDONED = 3600.0
"""Seconds after which nobody waits for a draft's next chunk: a minute or ten do."""

_DEVICES = frozenset(
    {"con", "prn", "aux", "nul"}
    | {f"{kind}{number}" for kind in ("com", "lpt") for number in range(10)}
)


def replace(path: Path, text: str) -> None:
    """Write a file for its owner alone (0600) in place of an older one, in one step."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = write_draft(path, text)
    try:
        os.replace(draft, path)
    except OSError:
        os.unlink(draft)
        raise


def safe_name(name: str) -> str:
    """
    Return a name that is one plain file in the target folder, whatever was asked.

    Paths, control and bidi characters, leading dots and what Windows reserves are
    gone; an empty rest is called "file"; at most ``MAX_NAME`` bytes, ending kept.
    """
    name = name.encode("utf-8", "replace").decode("utf-8")
    name = unicodedata.normalize("NFC", name)
    name = name.replace("\\", "/").rsplit("/", 1)[-1]
    name = "".join(
        "_" if char in '<>:"|?*' else " " if char.isspace() else char
        for char in name
        if not invisible(char)
    )
    name = name.strip(" ").lstrip(". ").rstrip(". ")
    if name.split(".", 1)[0].strip(" ").lower() in _DEVICES:
        name = f"_{name}"
    stem, dot, ending = name.rpartition(".")
    if not stem or len(ending.encode("utf-8")) > 20:
        stem, dot, ending = name, "", ""
    room = MAX_NAME - len((dot + ending).encode("utf-8"))
    stem = stem.encode("utf-8")[:room].decode("utf-8", "ignore").rstrip(". ")
    return f"{stem}{dot}{ending}" if stem else "file"


class Draft:
    """
    A file that is being received: under a temporary name until it is whole.

    Raise ``OSError`` where the disk does.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        handle, path = tempfile.mkstemp(dir=folder, prefix=_PREFIX, suffix=_SUFFIX)
        # By the clock of the disk, which may be another machine's.
        _sweep(folder, os.fstat(handle).st_mtime - _ABANDONED)
        self._path = Path(path)
        self._file = os.fdopen(handle, "wb")
        self._digest = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> None:
        """Append ``data``."""
        self._file.write(data)
        self._digest.update(data)
        self.size += len(data)

    def sha256(self) -> str:
        """Return the SHA-256 of all that was written, in hex."""
        return self._digest.hexdigest()

    def keep(self, name: str) -> Path:
        """Give the file its name, or ``name (1)`` and so on; return where it is."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        stem, dot, ending = name.rpartition(".")
        if not stem:
            stem, dot, ending = name, "", ""
        number = 0
        while True:
            suffix = f" ({number})" if number else ""
            path = self._path.with_name(f"{stem}{suffix}{dot}{ending}")
            try:
                _name(self._path, path)
            except FileExistsError:
                number += 1
                continue
            return path

    def discard(self) -> None:
        """Remove what there is; harmless when there is nothing."""
        with contextlib.suppress(OSError):
            self._file.close()
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)


def _sweep(folder: Path, oldest: float) -> None:
    """Remove what clients that were killed have left behind."""
    for path in folder.glob(f"{_PREFIX}*{_SUFFIX}"):
        with contextlib.suppress(OSError):
            if path.stat().st_mtime < oldest:
                path.unlink()


def _name(draft: Path, path: Path) -> None:
    """Rename without ever overwriting, or raise ``FileExistsError``."""
    try:
        os.link(draft, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links: take the name, then fill it
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        try:
            os.replace(draft, path)
        except OSError:
            path.unlink(missing_ok=True)
            raise
    else:
        draft.unlink()


def reason(why: OSError) -> str:
    """Return what the system said, without the path."""
    return why.strerror or type(why).__name__


def read_text(path: Path, what: str) -> str | None:
    """Return a configuration file's text, or None if there is none."""
    try:
        return path.read_text("utf-8")
    except FileNotFoundError:
        return None
    except OSError as why:
        raise ConfigurationError(f"cannot read {what} {path}: {reason(why)}") from why
    except UnicodeDecodeError as why:
        raise ConfigurationError(f"{what} {path} is broken: not text") from why
