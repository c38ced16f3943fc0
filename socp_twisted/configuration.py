"""
What is a node told before it starts?  Where, with which key, by whom.  (SOCP 8.1)

A bootstrap file names servers in either of two shapes, the standard's and the
original's; every entry pins the public key of the server that it names::

    bootstrap_servers:
      - {host: 127.0.0.1, port: 8766, pubkey: <base64url>}
    introducers:
      - {url: "ws://127.0.0.1:8767", pubkey: <base64url>}
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

import yaml

from socp_twisted.errors import ConfigurationError
from socp_twisted.trust.keys import SigningKey, split_pinned_url
from socp_twisted.wire.addresses import is_host, join_url
from socp_twisted.wire.envelope import is_identifier
from socp_twisted.wire.limits import Limits
from socp_twisted.wire.vocabulary import (
    HOLD,
    JOINS,
    MAX_ATTEMPTS,
    RESERVED_IDS,
    RETRY_DELAY,
)

DEFAULT_HOST: Final = "127.0.0.1"
DEFAULT_PORT: Final = 8765
DB_VARIABLE: Final = "SOCP_DB"
KEYFILE_VARIABLE: Final = "SOCP_SERVER_KEYFILE"
WANTED_INTRODUCERS: Final = 3
"""A bootstrap list should have at least this many entries (SOCP 8.1)."""


@dataclass(frozen=True, slots=True)
class Introducer:
    """One entry of the bootstrap list: ``ws://host:port``, and the key pinned there."""

    url: str
    key: str

    @classmethod
    def parse(cls, url: str) -> Self:
        """Read ``ws://host:port#<pub>``, or raise ``ConfigurationError``."""
        return cls(*split_pinned_url(url))


@dataclass(frozen=True, slots=True)
class Configuration:
    """
    Everything that one node is told: checked, and complete.

    ``host`` and ``port`` are bound; others are told ``advertise_host`` and
    ``advertise_port``.  ``retry_delay`` is in seconds.  ``tls_cert`` and ``tls_key``
    are both there or both missing; with them the port serves wss:// only.
    """

    server_id: str
    host: str
    port: int
    advertise_host: str
    advertise_port: int
    db: Path
    keyfile: Path
    introducers: tuple[Introducer, ...] = ()
    max_attempts: int = MAX_ATTEMPTS
    retry_delay: float = RETRY_DELAY
    limits: Limits = field(default_factory=Limits)
    joins: str = JOINS[0]
    hold: float = HOLD
    """Seconds that a message waits for a recipient who is away; 0 holds nothing."""
    tls_cert: Path | None = None
    tls_key: Path | None = None
    tls_ca: Path | None = None
    sign_always: bool = False
    """Whether frames are signed on links that TLS vouches for, too."""

    @property
    def has_few_introducers(self) -> bool:
        """Say whether the bootstrap list is shorter than the standard wants."""
        return 0 < len(self.introducers) < WANTED_INTRODUCERS


_DURATION = re.compile(r"(\d{1,9})([smhd]?)\Z")
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}


def read_duration(text: str) -> float:
    """Return the seconds of ``90s``, ``15m``, ``12h``, ``7d`` or ``0``."""
    match = _DURATION.match(text)
    # Seven what?  Who leaves the unit out seldom means seconds.
    if match is None or (int(match[1]) and not match[2]):
        raise ConfigurationError(f"{text!r} is no duration such as 7d, 12h or 0")
    return float(int(match[1]) * _SECONDS[match[2]])


def check_server_id(server_id: str) -> None:
    """Raise ``ConfigurationError`` for what ``--server-id`` cannot be."""
    if server_id in RESERVED_IDS:
        raise ConfigurationError(f"--server-id {server_id!r} is a reserved word")
    if not is_identifier(server_id):
        raise ConfigurationError(
            f"--server-id {server_id!r} is not 1 to 64 letters, digits or ._-@"
        )


def default_id(key: SigningKey) -> str:
    """Name a server after its key: the same at each start, and unlike all others."""
    return "srv-" + "".join(key.public.fingerprint.split()[:2])


def default_keyfile(server_id: str | None, port: int) -> str:
    """
    Return the name of a node's key file.

    Without an id the port tells two nodes of one folder apart: such an id comes from
    the key, so it cannot name the key's file.
    """
    return f"server_key_{server_id or port}.json"


def collapse(introducers: Iterable[Introducer]) -> tuple[Introducer, ...]:
    """
    Drop repeated entries, keeping the order.

    Raise ``ConfigurationError`` if one URL is pinned to two keys.
    """
    pins: dict[str, str] = {}
    for one in introducers:
        if pins.setdefault(one.url, one.key) != one.key:
            raise ConfigurationError(f"{one.url} is pinned to two different keys")
    return tuple(Introducer(url, key) for url, key in pins.items())


def read_bootstrap_file(path: Path) -> tuple[Introducer, ...]:
    """
    Read a YAML bootstrap list, in either shape or in both.

    Keys that we do not know are ignored.  Raise ``ConfigurationError`` naming the
    file and the entry at fault.
    """
    stored = _load(path)
    lists = [name for name in _SHAPES if isinstance(stored, dict) and name in stored]
    if not lists:
        raise ConfigurationError(
            f"{path} has no list named {' or '.join(_SHAPES)} at its top level"
        )
    found: list[Introducer] = []
    for name in lists:
        if not isinstance(stored[name], list):
            raise ConfigurationError(f"{path}: {name} is not a list")
        for number, entry in enumerate(stored[name], start=1):
            try:
                found.append(_entry(entry, _SHAPES[name]))
            except ConfigurationError as fault:
                raise ConfigurationError(
                    f"{path}: entry {number} of {name}: {fault}"
                ) from fault
    try:
        return collapse(found)
    except ConfigurationError as fault:
        raise ConfigurationError(f"{path}: {fault}") from fault


def _load(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_bytes())
    except OSError as why:
        raise ConfigurationError(
            f"cannot read the bootstrap file {path}: {why.strerror}"
        ) from why
    except yaml.MarkedYAMLError as why:
        line = f", line {why.problem_mark.line + 1}" if why.problem_mark else ""
        raise ConfigurationError(f"{path}{line} is not YAML: {why.problem}") from why
    # PyYAML lets others through: ``2025-13-01`` and ``!!bool x`` are two of them.
    except (yaml.YAMLError, ValueError, LookupError, RecursionError) as why:
        raise ConfigurationError(f"{path} is not YAML") from why


@dataclass(frozen=True, slots=True)
class _Shape:
    """The fields of an entry, what each must be, and how its address is written."""

    fields: Mapping[str, tuple[Callable[[Any], bool], str]]
    address: Callable[[Mapping[str, Any]], str]


def _entry(entry: Any, shape: _Shape) -> Introducer:
    if not isinstance(entry, dict):
        raise ConfigurationError(f"not a mapping with {', '.join(shape.fields)}")
    for name, (check, what) in shape.fields.items():
        if name not in entry:
            raise ConfigurationError(f"{name} is missing")
        if not check(entry[name]):
            raise ConfigurationError(f"{name} must be {what}")
    return Introducer.parse(f"{shape.address(entry)}#{entry['pubkey']}")


def is_port(value: Any) -> bool:
    """Say whether this is a TCP port that somebody can connect to."""
    return type(value) is int and 1 <= value <= 65535


def _is_address(value: Any) -> bool:
    return type(value) is str and "#" not in value


def _is_line(value: Any) -> bool:
    return type(value) is str and value != ""


_PUBKEY = (_is_line, "a public key in base64url")
_SHAPES: Final[dict[str, _Shape]] = {
    "bootstrap_servers": _Shape(
        {
            "host": (is_host, "a host name or address"),
            "port": (is_port, "a number from 1 to 65535"),
            "pubkey": _PUBKEY,
        },
        lambda entry: join_url("ws", entry["host"], entry["port"]),
    ),
    "introducers": _Shape(
        {
            "url": (_is_address, "ws://host:port, the key standing in pubkey"),
            "pubkey": _PUBKEY,
        },
        lambda entry: str(entry["url"]),
    ),
}
