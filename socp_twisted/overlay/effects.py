"""What may a rule ask for?  Values that the node performs, in order."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NewType

from socp_twisted.wire.envelope import Envelope

LinkId = NewType("LinkId", int)
"""One connection, as the overlay knows it; never used twice in a process."""


@dataclass(frozen=True, slots=True)
class Send:
    """Sign a message of our own and send it on one link."""

    link: LinkId
    type: str
    payload: Mapping[str, Any]
    to: str = ""
    ts: int | None = None  # milliseconds; now, where the standard does not ask for more
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SendAll:
    """Sign a message of our own once and send the same frame on several links."""

    links: tuple[LinkId, ...]
    type: str
    payload: Mapping[str, Any]
    to: str = "*"
    ts: int | None = None


@dataclass(frozen=True, slots=True)
class Gradually:
    """
    Do many things for one link, ``portion`` of them at a time, as it reads.

    ``effects`` are made when their turn comes, from what is known then.
    """

    link: LinkId
    effects: Iterator["Effect"]
    portion: int


@dataclass(frozen=True, slots=True)
class OnceRead:
    """Do something when what is queued towards all of these links has left."""

    links: tuple[LinkId, ...]
    effects: tuple["Effect", ...]


@dataclass(frozen=True, slots=True)
class Foreseen:
    """
    Sign, while nobody else wants a signature, what will soon be sent in these words.

    Nothing is sent.  ``effects`` are not made if somebody wants a signature, or none of
    ``links`` needs one.
    """

    links: tuple[LinkId, ...]
    effects: Iterator["Effect"]


@dataclass(frozen=True, slots=True)
class Forward:
    """Send somebody else's frame on as it came: its signature is its origin's."""

    links: tuple[LinkId, ...]
    envelope: Envelope


@dataclass(frozen=True, slots=True)
class Answer:
    """Tell the other end of a link what could not be done (SOCP 9.5)."""

    link: LinkId
    code: str
    detail: str
    msg_ref: str = ""


@dataclass(frozen=True, slots=True)
class HangUp:
    """Close a link; ``reason`` is for the other end's log and for ours."""

    link: LinkId
    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class Settled:
    """
    A message of our users was answered: by ``server_id``, well if there is no ``code``.
    """

    msg_id: str
    server_id: str
    code: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Pin:
    """Remember the key of a server, or forget it if the server has none any more."""

    server_id: str


@dataclass(frozen=True, slots=True)
class Seen:
    """A user has come online, or is told of again: what waits for them can go."""

    user_id: str


@dataclass(frozen=True, slots=True)
class Ping:
    """Ask users for a sign of life: a WebSocket ping, for they have no HEARTBEAT."""

    links: tuple[LinkId, ...]


@dataclass(frozen=True, slots=True)
class Linked:
    """A link to a server has proved itself: the attempt that opened it succeeded."""

    link: LinkId
    server_id: str


@dataclass(frozen=True, slots=True)
class Heard:
    """
    A server gave a sign of life; connect to it unless there is a link.

    ``soon`` is false where the server itself is expected to connect to us first.
    """

    server_id: str
    host: str
    port: int
    pubkey: str
    soon: bool = True
    secure: bool = False  # whether it serves wss:// there


@dataclass(frozen=True, slots=True)
class Renamed:
    """The introducer at ``link`` gave us another id: ours belongs to another key."""

    server_id: str
    link: LinkId


@dataclass(frozen=True, slots=True)
class Notice:
    """
    Something that the operator should read, under the name of a log line.

    ``link`` is whose word it is, where whoever is there could say so all the time.
    """

    text: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    link: LinkId | None = None


Effect = (
    Settled
    | Seen
    | Pin
    | Ping
    | Send
    | SendAll
    | Gradually
    | OnceRead
    | Foreseen
    | Forward
    | Answer
    | HangUp
    | Linked
    | Heard
    | Renamed
    | Notice
)
