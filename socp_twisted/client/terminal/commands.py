"""What can be asked for?  One frozen value for each command."""

from dataclasses import dataclass, field
from typing import Final


class NotUnderstood(Exception):
    """The line is no command; the text is one sentence for whoever typed it."""


DEFAULT_WAIT: Final = 30.0
"""Seconds that /expect waits if nothing else is told."""


@dataclass(frozen=True, slots=True)
class Register:
    """Make an account, or update the one that is logged in."""

    user_id: str = ""
    passphrase: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class LogIn:
    """Log in; with nothing told, as before."""

    user_id: str = ""
    passphrase: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class ListUsers:
    """Ask who is online."""


@dataclass(frozen=True, slots=True)
class Tell:
    """Send a text to one user."""

    to: str
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class TellAll:
    """Send a text to everybody online."""

    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class SendFile:
    """Send a file to one user, or to "public"; ``path`` is as it was typed."""

    to: str
    path: str


@dataclass(frozen=True, slots=True)
class Accept:
    """Take an offered file, told by number or name; empty: the only one."""

    file: str = ""


@dataclass(frozen=True, slots=True)
class Decline:
    """Decline an offer, or break off a transfer of either direction."""

    file: str = ""


@dataclass(frozen=True, slots=True)
class WhoIs:
    """Say what is known of a user."""

    user_id: str


@dataclass(frozen=True, slots=True)
class Verify:
    """Show two fingerprints; or trust theirs: ``answer`` is "yes" or a fingerprint."""

    user_id: str
    answer: str = ""


@dataclass(frozen=True, slots=True)
class Server:
    """The same for the key of the server."""

    answer: str = ""


@dataclass(frozen=True, slots=True)
class Wait:
    """Let time pass."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Expect:
    """Wait for an event whose fields, as text, are these."""

    event: str
    fields: tuple[tuple[str, str], ...] = ()
    seconds: float = DEFAULT_WAIT


@dataclass(frozen=True, slots=True)
class Help:
    """Say what can be typed."""

    word: str = ""


@dataclass(frozen=True, slots=True)
class Quit:
    """Leave."""


Command = (
    Register
    | LogIn
    | ListUsers
    | Tell
    | TellAll
    | SendFile
    | Accept
    | Decline
    | WhoIs
    | Verify
    | Server
    | Wait
    | Expect
    | Help
    | Quit
)
