"""What did a user see and say?  One JSON line for each event, written at once."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class Journal:
    """Appends to one user's file; what is written survives the process."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def write(self, what: str, **fields: Any) -> None:
        """Append a line: ``what`` happened, when, and further fields."""
        line = json.dumps({"t": round(time.time(), 4), "what": what, **fields})
        os.write(self._file, line.encode("utf-8") + b"\n")  # one write: never half

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


class Reader:
    """Reads a journal while it is being written, each line once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def news(self) -> Iterator[dict[str, Any]]:
        """Yield the whole lines that were written since the last time."""
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._offset)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                self._offset += len(line)
                yield json.loads(line)
