"""Where are the user's key file and passphrase, and what may a history keep?"""

import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from socp_twisted.client import disk
from socp_twisted.client.keystore import load_key, save_key, seal_original
from socp_twisted.client.terminal.reading import without_secrets
from socp_twisted.errors import ConfigurationError
from socp_twisted.trust.keys import PrivateKey
from socp_twisted.wire.envelope import is_identifier

PASSPHRASE_VARIABLE: Final = "SOCP_PASSPHRASE"  # noqa: S105 - its name alone
MAX_HISTORY: Final = 1_000
_ENDING: Final = ".key"


def key_file(home: Path, user_id: str) -> Path:
    """Return where the key of a user lies."""
    return home / f"{user_id}{_ENDING}"


def users_with_keys(home: Path) -> list[str]:
    """Return the users whose keys lie in a folder, sorted."""
    try:
        names = [path.name for path in home.iterdir() if path.name.endswith(_ENDING)]
    except OSError:
        return []
    users = (name.removesuffix(_ENDING) for name in names)
    return sorted(user for user in users if is_identifier(user))


def find_key(home: Path, user_id: str, passphrase: str) -> PrivateKey | None:
    """Return a user's key, None if there is no file, or raise: 50 ms."""
    path = key_file(home, user_id)
    return load_key(path, passphrase) if path.exists() else None


def make_key(home: Path, user_id: str, passphrase: str) -> PrivateKey:
    """Make a key and its file, or raise ``ConfigurationError``: seconds."""
    if not passphrase:
        raise ConfigurationError("a new account needs a passphrase that is not empty")
    key = PrivateKey.generate()
    save_key(key_file(home, user_id), key, passphrase)
    return key


def keep_key(home: Path, user_id: str, key: PrivateKey, passphrase: str) -> None:
    """Write a key under a new passphrase in place of the same key, or raise."""
    path = key_file(home, user_id)
    try:
        disk.replace(path, seal_original(key, passphrase) + "\n")
    except OSError as why:
        raise ConfigurationError(
            f"cannot write the key file {path}: {disk.reason(why)}"
        ) from why


def told_passphrase(
    path: Path | None, environment: Mapping[str, str] | None = None
) -> str:
    """Return the first line of a file, else what the environment says, else ""."""
    if path is None:
        told = os.environ if environment is None else environment
        return told.get(PASSPHRASE_VARIABLE, "")
    text = disk.read_text(path, "the passphrase file")
    if text is None:
        raise ConfigurationError(f"there is no passphrase file {path}")
    first, *_ = text.splitlines() or [""]
    if not first:
        raise ConfigurationError(f"the passphrase file {path} begins with no line")
    return first


class LineMemory:
    """
    What was typed, newest last, in a file for its owner alone; never a passphrase.

    A file that cannot be read or written is a history of this time only.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.lines = self._load()

    def add(self, line: str) -> str:
        """Return what may be recalled of a line; what was a command is kept."""
        kept = without_secrets(line)
        if kept and kept not in self.lines[-1:]:
            self.lines.append(kept)
            self._append(kept)
        return kept

    def _load(self) -> list[str]:
        try:
            stored = disk.read_text(self._path, "the history") or ""
        except ConfigurationError:
            return []
        lines = list(_read(stored.splitlines()))
        if len(lines) > 2 * MAX_HISTORY:
            del lines[:-MAX_HISTORY]
            text = "".join(f"{json.dumps(line)}\n" for line in lines)
            with suppress(OSError):  # else it stays long
                disk.replace(self._path, text)
        return lines

    def _append(self, line: str) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle = os.open(self._path, flags, 0o600)
            with os.fdopen(handle, "a", encoding="ascii") as file:
                file.write(json.dumps(line) + "\n")
        except OSError:
            pass  # a full disk is no reason to stop talking


def _read(stored: Iterable[str]) -> Iterable[str]:
    for line in stored:
        try:
            text = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(text, str):
            yield text
