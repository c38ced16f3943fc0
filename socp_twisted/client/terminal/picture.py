"""What is known now?  Who is online, which files are under way, whether we are in."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from socp_twisted.client import events as told
from socp_twisted.client.display import harmless
from socp_twisted.client.events import Contact
from socp_twisted.client.terminal.commands import NotUnderstood
from socp_twisted.client.terminal.happenings import Happening

MAX_TRANSFERS: Final = 1_000
"""Transfers that keep a number; a stranger's offers must not fill the memory."""


class State(StrEnum):
    """How far the connection is, in the words of the toolbar."""

    OUT = "not logged in"
    TRYING = "connecting"
    IN = "online"


@dataclass(slots=True)
class Transfer:
    """One file that is offered or under way; ``done`` of ``size`` bytes."""

    number: int
    file_id: str
    name: str
    peer: str
    incoming: bool
    asked: bool = False
    done: int = 0
    size: int = 0


@dataclass(slots=True)
class Picture:
    """What the events so far add up to."""

    state: State = State.OUT
    user_id: str = ""
    server_id: str = ""
    people: dict[str, Contact] = field(default_factory=dict)
    """Who is online, without ourselves."""
    known: set[str] = field(default_factory=set)
    """Who was online at some time; a server may keep messages for them."""
    new: set[str] = field(default_factory=set)
    """Users whose key was seen for the first time, and nobody was told yet."""
    refused: bool = False
    """Whether the server did not let us in as we are."""
    arriving: bool = False
    """Whether the server is still telling who was there before us."""
    transfers: dict[str, Transfer] = field(default_factory=dict)
    _count: int = 0

    def transfer(
        self, file_id: str, name: str, peer: str, incoming: bool, size: int
    ) -> Transfer:
        """Return a transfer, which gets its number when it is first asked for."""
        one = self.transfers.get(file_id)
        if one is None:
            self._count += 1
            one = Transfer(self._count, file_id, name, peer, incoming, size=size)
            self.transfers[file_id] = one
            if len(self.transfers) > MAX_TRANSFERS:
                del self.transfers[next(iter(self.transfers))]
        return one

    def find(self, told: str, offers: bool) -> Transfer:
        """
        Return the transfer of this number, name or id, or raise ``NotUnderstood``.

        Empty: the only one that waits for an answer.  ``offers`` leaves out the rest.
        """
        choice = [one for one in self.transfers.values() if one.asked or not offers]
        if told:
            number = told.removeprefix("#")
            found = [one for one in choice if str(one.number) == number]
            found = found or [one for one in choice if told in (one.name, one.file_id)]
        else:
            found = [one for one in choice if one.asked] or choice
        if len(found) == 1:
            return found[0]
        if not choice:
            raise NotUnderstood("no file is offered or under way")
        if not found:
            raise NotUnderstood(f"there is no file {harmless(told[:80])!r}")
        numbers = ", ".join(f"{one.number} {harmless(one.name)}" for one in found)
        raise NotUnderstood(f"which one? {numbers}")

    def forget(self) -> None:
        """We have hung up: of this server nothing is known any more."""
        self.state, self.arriving = State.OUT, False
        for known in (self.people, self.known, self.new, self.transfers):
            known.clear()

    def absorb(self, event: Happening) -> None:
        """Take in what has happened."""
        take = _TAKE.get(type(event))
        if take is not None:
            take(self, event)

    def _trying(self, event: Happening) -> None:
        self.state, self.refused = State.TRYING, False

    def _refused(self, event: Happening) -> None:
        self.refused = True

    def _in(self, event: told.LoggedIn) -> None:
        self.state, self.arriving = State.IN, True
        self.user_id, self.server_id = event.user_id, event.server_id
        self.people.clear()

    def _lost(self, event: told.ConnectionLost) -> None:
        self.state, self.arriving = State.TRYING, False
        self.people.clear()

    def _out(self, event: told.GaveUp) -> None:
        self.state, self.arriving = State.OUT, False
        self.people.clear()

    def _snapshot(self, event: told.ChannelMembers) -> None:
        self.arriving = False

    def _pinned(self, event: told.UserPinned) -> None:
        self.new.add(event.user_id)

    def _joined(self, event: told.UserJoined) -> None:
        self.people[event.contact.user_id] = event.contact
        self.known.add(event.contact.user_id)

    def _left(self, event: told.UserLeft) -> None:
        self.people.pop(event.user_id, None)

    def _listed(self, event: told.UserList) -> None:
        self.people = {one.user_id: one for one in event.users}
        self.known.update(self.people)

    def _offered(self, event: told.FileOffered) -> None:
        one = self.transfer(event.file_id, event.name, event.sender, True, event.size)
        one.asked = event.question

    def _progress(self, event: told.FileProgress) -> None:
        one = self.transfer(
            event.file_id, event.name, event.peer, event.incoming, event.size
        )
        one.done = event.done

    def _ended(
        self, event: told.FileReceived | told.FileSent | told.FileFailed
    ) -> None:
        self.transfers.pop(event.file_id, None)


_TAKE: Final[Mapping[type, Callable[[Picture, Any], None]]] = {
    told.Connecting: Picture._trying,
    told.LoggedIn: Picture._in,
    told.LoginRefused: Picture._refused,
    told.RegistrationRefused: Picture._refused,
    told.ConnectionLost: Picture._lost,
    told.GaveUp: Picture._out,
    told.ChannelMembers: Picture._snapshot,
    told.UserPinned: Picture._pinned,
    told.UserJoined: Picture._joined,
    told.UserLeft: Picture._left,
    told.UserList: Picture._listed,
    told.FileOffered: Picture._offered,
    told.FileProgress: Picture._progress,
    told.FileReceived: Picture._ended,
    told.FileSent: Picture._ended,
    told.FileFailed: Picture._ended,
}
"""What each event adds; all others add nothing."""
