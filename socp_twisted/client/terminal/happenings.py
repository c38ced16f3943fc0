"""What has this side itself to say?  Values beside those of ``client.events``."""

from dataclasses import dataclass

from socp_twisted.client.events import Contact, Event


@dataclass(frozen=True, slots=True)
class Notice:
    """Something worth knowing, in one or several lines of our own."""

    text: str


@dataclass(frozen=True, slots=True)
class Warned:
    """Something that the user should not overlook."""

    text: str


@dataclass(frozen=True, slots=True)
class Done:
    """
    A command ended well; ``line`` is the script's, counted from 1, else 0.

    ``detail`` is empty, or lines of our own.
    """

    command: str
    line: int = 0
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Failed:
    """
    A command ended otherwise; ``detail`` is one sentence.

    ``code`` is the server's or ours, empty for a line that was not understood.
    ``told`` says that an event has said the same before.
    """

    command: str
    code: str
    detail: str
    line: int = 0
    told: bool = False


@dataclass(frozen=True, slots=True)
class Known:
    """The answer to /whois."""

    contact: Contact


@dataclass(frozen=True, slots=True)
class Compared:
    """The answer to /verify: fingerprints, "" where there is none."""

    user_id: str
    ours: str
    pinned: str
    seen: str
    verified: bool


@dataclass(frozen=True, slots=True)
class ServerCompared:
    """The answer to /server: fingerprints, "" where there is none."""

    address: str
    pinned: str
    seen: str


Happening = Event | Notice | Warned | Done | Failed | Known | Compared | ServerCompared
"""Whatever may be shown."""
