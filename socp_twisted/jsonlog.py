"""How does a log look to a machine?  One JSON object a line."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from twisted.logger import ILogObserver, LogEvent, formatEvent
from zope.interface import implementer

from socp_twisted.errors import ConfigurationError

_SHOWN = (str, int, float, bool, type(None))


@implementer(ILogObserver)
class JsonLog:
    """
    Writes each event as one line: when, how bad, where, what, and its plain fields.

    Fields that are no text or number are left out, and so are the locals of a
    traceback: there could be a key in them.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file

    @classmethod
    def open(cls, path: Path) -> "JsonLog":
        """Append to a file, or raise ``ConfigurationError``."""
        try:
            return cls(path.open("a", encoding="utf-8", buffering=1))
        except OSError as why:
            raise ConfigurationError(
                f"cannot write the log {path}: {why.strerror}"
            ) from why

    def __call__(self, event: LogEvent) -> None:
        """Write one event."""
        self._file.write(json.dumps(_as_object(event), ensure_ascii=False) + "\n")


def _as_object(event: Mapping[str, Any]) -> dict[str, Any]:
    when = datetime.fromtimestamp(event.get("log_time", 0.0), UTC)
    level = event.get("log_level")
    told: dict[str, Any] = {
        "time": when.isoformat(timespec="milliseconds"),
        "level": getattr(level, "name", "info"),
        "namespace": str(event.get("log_namespace", "")),
        "text": formatEvent(dict(event)),
    }
    failure = event.get("log_failure")
    if failure is not None:
        told["traceback"] = failure.getTraceback(detail="brief")
    for name, value in event.items():
        if not name.startswith("log_") and isinstance(value, _SHOWN):
            told.setdefault(name, value)
    return told
