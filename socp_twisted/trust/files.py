"""How does a secret come to lie on the disk whole, or not at all?"""

import os
import tempfile
from pathlib import Path


def write_new(path: Path, text: str, *, folder_mode: int = 0o777) -> None:
    """
    Write a file for its owner alone (0600), whole or not at all, and never over one.

    Folders that are missing are made with ``folder_mode``. Raise ``FileExistsError``
    if the name is taken, ``OSError`` if it cannot be made.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=folder_mode)
    draft = write_draft(path, text)
    try:
        os.link(draft, path)  # unlike a rename, fails if the name is taken
    finally:
        os.unlink(draft)


def write_draft(path: Path, text: str) -> str:
    """Write a file beside ``path`` (0600) and return its name; it is on the disk."""
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        os.unlink(draft)
        raise
    return draft
