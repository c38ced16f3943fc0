"""
How does a person read what happens?  Each event as lines, harmless and toned.

Whatever came from the network goes through ``harmless``; a text of several lines is
marked at each further one, so that no message can pass for another line of ours.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from socp_twisted.client import events as told
from socp_twisted.client.display import harmless
from socp_twisted.client.events import Contact
from socp_twisted.client.terminal import happenings as ours
from socp_twisted.client.terminal.happenings import Happening
from socp_twisted.client.terminal.lines import (
    FURTHER,
    Line,
    Tone,
    local_time,
    size_text,
)
from socp_twisted.client.terminal.picture import Picture

MAX_NAMED: Final = 20
"""Users that one line names."""

MAX_KEPT: Final = 1_000
"""Messages that wait at the server and are told of when they have arrived."""


class Show:
    """
    Turns events into lines; ``picture`` is what was known before each.

    ``terse`` leaves out that all is well, which a person takes for granted.
    """

    def __init__(
        self,
        picture: Picture,
        *,
        terse: bool = False,
        clock: Callable[[int], str] = local_time,
    ) -> None:
        self.picture = picture
        self.terse = terse
        self.clock = clock
        self._arrived: dict[str, Contact] = {}
        self._kept: dict[tuple[str, str], None] = {}

    def lines(self, event: Happening) -> list[Line]:
        """Return the lines of an event; some have none."""
        return [*self._arrivals(event), *SHOWN[type(event)](self, event)]

    # -- who comes and goes ------------------------------------------------------------

    def joined(self, event: told.UserJoined) -> Iterator[Line]:
        """Those who were there before us share one line, which ``_arrivals`` gives."""
        contact, picture = event.contact, self.picture
        if picture.arriving:
            self._arrived[contact.user_id] = contact
        elif contact.user_id not in picture.people:
            new = contact.user_id in picture.new
            picture.new.discard(contact.user_id)
            hint = f"; new to you: /verify {contact.user_id} compares keys"
            yield Line(f"{_name(contact)} is online{hint if new else ''}", Tone.QUIET)

    def _arrivals(self, event: Happening) -> Iterator[Line]:
        if isinstance(event, told.UserJoined | told.UserPinned) or not self._arrived:
            return
        arrived, self._arrived = self._arrived, {}
        new = [user_id for user_id in arrived if user_id in self.picture.new]
        self.picture.new.difference_update(new)
        hint = "; /verify <user> compares keys" if new else ""
        if len(new) == len(arrived):
            yield Line(f"online, and new to you: {_names(new)}{hint}", Tone.QUIET)
            return
        yield Line(f"online: {_names(arrived)}", Tone.QUIET)
        if new:
            yield Line(f"new to you: {_names(new)}{hint}", Tone.QUIET)

    def left(self, event: told.UserLeft) -> Iterator[Line]:
        """Said of those who were known to be there."""
        yield Line(f"{_safe(event.user_id)} has left", Tone.QUIET)

    def listed(self, event: told.UserList) -> Iterator[Line]:
        """The answer to /list, sorted, one on each line."""
        if not event.users:
            yield Line("nobody else is online")
        for contact in event.users:
            where = "here" if contact.local else f"at {_safe(contact.server_id) or '?'}"
            yield Line(f"{_name(contact)}  {where}{_standing(contact)}")

    # -- texts -------------------------------------------------------------------------

    def text(self, event: told.TextReceived) -> Iterator[Line]:
        """Who says what, when, and whether to all."""
        tone = Tone.PUBLIC if event.public else Tone.DIRECT
        to_all = " to all" if event.public else ""
        held = " (held for you)" if event.held else ""
        label = f"{self.clock(event.ts)} {_safe(event.sender)}{to_all}{held}: "
        first, *further = _split(event.text)
        yield Line(first, tone, label)
        for one in further:
            yield Line(one, tone, FURTHER)

    def queued(self, event: told.Queued) -> Iterator[Line]:
        """The recipient is away; it is worth a line when they have it."""
        self._kept[event.message_id, event.to] = None
        if len(self._kept) > MAX_KEPT:
            del self._kept[next(iter(self._kept))]
        said = "is not there: the server keeps the message for them"
        yield Line(f"{_safe(event.to)} {said}", Tone.QUIET)

    def delivered(self, event: told.Delivered) -> Iterator[Line]:
        """Said to a person only where it is news."""
        was_kept = (event.message_id, event.to) in self._kept
        self._kept.pop((event.message_id, event.to), None)
        if was_kept and self.terse:
            yield Line(f"{_safe(event.to)} has the message now", Tone.QUIET)
        elif not self.terse:
            how = "delivered to" if event.confirmed else "handed over, unconfirmed, for"
            yield Line(f"{how} {_safe(event.to)}", Tone.QUIET)

    def not_delivered(self, event: told.NotDelivered) -> Iterator[Line]:
        """Said of what waited: its command ended long ago, and ended well."""
        if (event.message_id, event.to) in self._kept:
            del self._kept[event.message_id, event.to]
            said = f"{_safe(event.to)} did not get what the server kept for them"
            yield Line(f"{said}: {_safe(event.detail)}", Tone.BAD)

    # -- files -------------------------------------------------------------------------

    def offered(self, event: told.FileOffered) -> Iterator[Line]:
        """What is offered, and what to type."""
        size, who = size_text(event.size), _safe(event.sender)
        one = self.picture.transfer(
            event.file_id, event.name, event.sender, True, event.size
        )
        to_all = " to all" if event.public else ""
        said = f"{who} offers{to_all} {_safe(event.name)} ({size})"
        if event.question:
            said += f": /accept {one.number} or /decline {one.number}"
        yield Line(said, Tone.GOOD)
        if not event.signed:
            yield Line(
                "its sender's client signs no files: nobody but the server says who "
                "sent it, and that it is whole",
                Tone.BAD,
            )


def _safe(text: str) -> str:
    return harmless(text)


def _split(text: str) -> list[str]:
    """Return the lines of a text, harmless; tabs as spaces."""
    shown = harmless(text.replace("\r\n", "\n"), multiline=True)
    return shown.expandtabs(4).split("\n")


def _name(contact: Contact) -> str:
    """Return the id, and the name that a user chose, which proves nothing."""
    name = contact.display_name
    same = name.casefold() == contact.user_id.casefold()
    if not name or same:
        return _safe(contact.user_id)
    return f"{_safe(contact.user_id)} ({_safe(name)})"


def _names(users: Iterable[str]) -> str:
    names = sorted(users)
    more = len(names) - MAX_NAMED
    shown = ", ".join(_safe(name) for name in names[:MAX_NAMED])
    return f"{shown} and {more} more" if more > 0 else shown


def _standing(contact: Contact) -> str:
    if not contact.trusted:
        return f"  KEY CHANGED: /verify {contact.user_id}"
    return "  verified" if contact.verified else ""


def _print(label: str, fingerprint: str, tone: Tone = Tone.PLAIN) -> Iterator[Line]:
    """Return a fingerprint in two halves: short enough to be read to each other."""
    halves = (fingerprint[:39], fingerprint[40:])
    yield Line(f"  {label:<7} {halves[0] or 'none'}", tone)
    if halves[1]:
        yield Line(f"  {'':<{max(len(label), 7)}} {halves[1]}", tone)


def _nothing(show: Show, event: Any) -> Iterable[Line]:
    """The command that asked says how it ended, or there is nothing to say."""
    return ()


def _line(template: str, tone: Tone = Tone.PLAIN) -> "Shown":
    """Return lines out of a template: one for each line of it, fields made harmless."""

    def shown(show: Show, event: Any) -> Iterator[Line]:
        fields = {
            name: _safe(value) if isinstance(value, str) else value
            for name in type(event).__dataclass_fields__
            for value in [getattr(event, name)]
        }
        for line in template.split("\n"):
            yield Line(line.format(**fields), tone)

    return shown


def _file_failed(show: Show, event: told.FileFailed) -> Iterator[Line]:
    # Of a file of ours the command says it.
    if event.incoming:
        said = f"{_safe(event.name)} from {_safe(event.peer)} did not arrive"
        yield Line(f"{said}: {_safe(event.reason)}", Tone.BAD)


def _file_received(show: Show, event: told.FileReceived) -> Iterator[Line]:
    size = size_text(event.size)
    said = f"received from {_safe(event.sender)} ({size}): {_safe(str(event.path))}"
    yield Line(said, Tone.GOOD)


def _file_sent(show: Show, event: told.FileSent) -> Iterator[Line]:
    checked = "" if event.confirmed else "; their client does not say whether all came"
    said = f"{_safe(event.to)} has {_safe(event.name)} ({size_text(event.size)})"
    yield Line(said + checked, Tone.GOOD)


def _user_changed(show: Show, event: told.UserKeyChanged) -> Iterator[Line]:
    user = _safe(event.user_id)
    if event.user_id == show.picture.user_id:
        yield Line(
            "WARNING: the server tells others a key for you that is not yours",
            Tone.LOUD,
        )
        yield Line("  what they write to you, its owner reads: use another server")
        return
    yield Line(f"WARNING: {user} shows another key than before", Tone.LOUD)
    yield from _print("known", event.pinned)
    yield from _print("shown", event.seen)
    yield Line(
        f"  Perhaps {user} has a new key, perhaps somebody stands in between.  Nothing "
        "is sent to"
    )
    yield Line(
        "  them.  Ask them by another way for their fingerprint; if it is the one "
        f"shown: /verify {user}"
    )


def _server_changed(show: Show, event: told.ServerKeyChanged) -> Iterator[Line]:
    where = f"{_safe(event.server_id)} at {event.address}".strip()
    yield Line(
        f"WARNING: the server {where} shows "
        + ("another key than before" if event.seen else "no key, and it had one"),
        Tone.LOUD,
    )
    yield from _print("known", event.pinned)
    yield from _print("shown", event.seen)
    yield Line("  Nothing is believed and nobody is logged in.  Ask whoever runs it;")
    yield Line("  if the key shown is right: /server, then /server yes, then /login")


def _server_pinned(show: Show, event: told.ServerPinned) -> Iterator[Line]:
    server = f"{_safe(event.server_id)} at {event.address}"
    yield Line(f"first visit to {server}; its key is remembered:", Tone.QUIET)
    yield from _print("key", event.fingerprint, Tone.QUIET)


def _logged_in(show: Show, event: told.LoggedIn) -> Iterator[Line]:
    server = f" at {_safe(event.server_id)}" if event.server_id else ""
    yield Line(f"logged in as {_safe(event.user_id)}{server}", Tone.GOOD)


def _failed(show: Show, event: ours.Failed) -> Iterator[Line]:
    if not event.told:
        line = f"line {event.line}: " if event.line else ""
        yield Line(f"{line}{_safe(event.detail)}", Tone.BAD)


def _done(show: Show, event: ours.Done) -> Iterator[Line]:
    for line in event.detail.split("\n") if event.detail else ():
        yield Line(_safe(line), Tone.QUIET)


def _notice(show: Show, event: ours.Notice) -> Iterator[Line]:
    for line in event.text.split("\n"):
        yield Line(_safe(line), Tone.QUIET)


def _known(show: Show, event: ours.Known) -> Iterator[Line]:
    one = event.contact
    where = "offline"
    if one.online:
        where = "online here" if one.local else f"online at {_safe(one.server_id)}"
    yield Line(f"{_name(one)}  {where}{_standing(one)}")
    yield from _print("key", one.fingerprint)


def _compared(show: Show, event: ours.Compared) -> Iterator[Line]:
    user = _safe(event.user_id)
    yield from _print("yours", event.ours)
    if event.pinned and event.seen and event.pinned != event.seen:
        yield from _print(f"{user}, known", event.pinned)
        yield from _print(f"{user}, shown", event.seen, Tone.LOUD)
    else:
        yield from _print(user, event.seen or event.pinned)
    if event.verified:
        yield Line(f"  you have compared and trusted the key of {user}", Tone.GOOD)
        return
    yield Line(
        f"  Read them to each other, not through this chat; if they are the same for "
        f"both: /verify {user} yes"
    )


def _server_compared(show: Show, event: ours.ServerCompared) -> Iterator[Line]:
    yield Line(f"  {event.address}")
    yield from _print("known", event.pinned)
    yield from _print("shown", event.seen)
    if event.seen:
        yield Line("  If whoever runs the server tells the shown one: /server yes")


Shown = Callable[[Show, Any], Iterable[Line]]

SHOWN: Final[Mapping[type, Shown]] = {
    told.Connecting: _line(
        "connecting to {url} (attempt {attempt}/{attempts})", Tone.QUIET
    ),
    told.ConnectFailed: _line(
        "no connection (attempt {attempt}/{attempts}): {reason}", Tone.QUIET
    ),
    told.Connected: _nothing,
    told.ConnectionLost: _line(
        "the connection to {url} is gone: {reason}; trying again", Tone.BAD
    ),
    told.GaveUp: _line("not connected: {reason}; /login tries again", Tone.BAD),
    told.EventsDropped: _line(
        "too much came at once: {count} events are not shown", Tone.BAD
    ),
    told.PinsNotSaved: _line("{reason}; it is tried again", Tone.BAD),
    told.LoggedIn: _logged_in,
    told.LoginRefused: _nothing,  # GaveUp or ConnectFailed follows
    told.Registered: _line("{user_id} is registered", Tone.GOOD),
    told.RegistrationRefused: _nothing,
    told.ServerPinned: _server_pinned,
    told.ServerKeyChanged: _server_changed,
    told.ServerUnproven: _line(
        "the server at {address} shows no key: what it says cannot be checked", Tone.BAD
    ),
    told.UserPinned: _nothing,  # said when they are online
    told.UserKeyChanged: _user_changed,
    told.UserJoined: Show.joined,
    told.UserLeft: Show.left,
    told.UserList: Show.listed,
    told.ListFailed: _nothing,
    told.ChannelMembers: _nothing,
    told.TextReceived: Show.text,
    told.Delivered: Show.delivered,
    told.Queued: Show.queued,
    told.NotDelivered: Show.not_delivered,
    told.FrameRefused: _line("refused, and not shown: {type} {sender}: {reason}"),
    told.ServerError: _line("the server says {code}: {detail}", Tone.BAD),
    told.FileOffered: Show.offered,
    told.FileProgress: _nothing,
    told.FileReceived: _file_received,
    told.FileSent: _file_sent,
    told.FileFailed: _file_failed,
    ours.Notice: _notice,
    ours.Warned: _line("WARNING: {text}", Tone.LOUD),
    ours.Done: _done,
    ours.Failed: _failed,
    ours.Known: _known,
    ours.Compared: _compared,
    ours.ServerCompared: _server_compared,
}
"""Each thing that can happen, and what a person reads of it."""
