"""What is done about each effect?  One entry in a table for each kind of them."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from twisted.logger import Logger

from socp_twisted.background import Background
from socp_twisted.net.link import Link
from socp_twisted.net.mesh import MeshService
from socp_twisted.overlay.effects import (
    Answer,
    Effect,
    Foreseen,
    Forward,
    Gradually,
    HangUp,
    Heard,
    Linked,
    LinkId,
    Notice,
    OnceRead,
    Pin,
    Ping,
    Renamed,
    Seen,
    Send,
    SendAll,
    Settled,
)
from socp_twisted.overlay.mesh import Mesh
from socp_twisted.overlay.party import Party, Stage
from socp_twisted.pins import Pins
from socp_twisted.portions import Portions
from socp_twisted.post import Post
from socp_twisted.sender import Sender
from socp_twisted.wire.payloads import harmless
from socp_twisted.wire.vocabulary import CLOSE_NORMAL, CLOSE_SLOW, CLOSE_TIMEOUT


class Others(Protocol):
    """Who hears of what was decided; each may come later, or never."""

    service: MeshService | None
    post: Post | None
    pins: Pins | None


class Performer:
    """Does what the rules ask for."""

    _log = Logger()

    def __init__(
        self,
        mesh: Mesh,
        links: Mapping[LinkId, Link],
        sender: Sender,
        portions: Portions,
        background: Background,
        *,
        others: Others,
        depart: Callable[[Party, str], None],
        later: Callable[[Iterable[Effect]], None],
        may_log: Callable[[LinkId], bool],
    ) -> None:
        """
        Be ready to perform.

        ``depart`` takes a link out of the tables, for a reason; ``later`` performs what
        was decided while time went on; ``may_log`` says whether the log has room for
        one more line about a link.
        """
        self._mesh = mesh
        self._links = links
        self._sender = sender
        self._portions = portions
        self._background = background
        self._others = others
        self._depart = depart
        self._later = later
        self._may_log = may_log

    def perform(self, effects: Iterable[Effect]) -> None:
        """
        Do what was decided, in order.

        Much of it is for others: if one thing fails the rest is done all the same, and
        then what was raised first is raised.
        """
        bug: Exception | None = None
        for effect in effects:
            try:
                _PERFORMERS[type(effect)](self, effect)
            except Exception as why:
                if bug is None:
                    bug = why
                else:
                    self._log.failure("one more bug of the same frame")
        if bug is not None:
            raise bug

    def _hang_up(self, effect: HangUp) -> None:
        link = self._links.get(effect.link)
        party = self._mesh.parties.get(effect.link)
        if link is None or party is None or party.stage is Stage.CLOSING:
            return
        if effect.code != CLOSE_NORMAL:
            self._log.info(
                "hanging up on {peer}: {reason}",
                peer=party.name or party.host,
                reason=effect.reason,
            )
        if effect.code in (CLOSE_SLOW, CLOSE_TIMEOUT):
            self._mesh.counters[effect.reason.partition(":")[0]] += 1
        party.closing_since = self._mesh.now
        try:
            self._depart(party, effect.reason)
        finally:
            link.hang_up(effect.code, effect.reason)

    def _ping(self, effect: Ping) -> None:
        for link_id in effect.links:
            if (link := self._links.get(link_id)) is not None:
                link.ping()

    def _once_read(self, effect: OnceRead) -> None:
        links = [one for link in effect.links if (one := self._links.get(link))]
        unread = len(links)

        def has_read() -> None:
            nonlocal unread
            unread -= 1
            if not unread:
                self._later(effect.effects)

        for link in links:
            link.outbox.when_empty(has_read)

    def _settled(self, effect: Settled) -> None:
        post = self._others.post
        if post is not None and post.asked(effect) is not None:
            self._background.run(post.settle(effect))

    def _seen(self, effect: Seen) -> None:
        if self._others.post is not None:
            self._background.run(self._others.post.seen(effect.user_id))

    def _pin(self, effect: Pin) -> None:
        if self._others.pins is not None:
            self._background.run(self._others.pins.keep(effect.server_id))

    def _linked(self, effect: Linked) -> None:
        link, party = self._links[effect.link], self._mesh.parties[effect.link]
        self._log.info(
            "linked to {server_id} {way}",
            server_id=effect.server_id,
            way=f"at {link.url}" if link.url else f"from {party.host}",
        )
        if self._others.service is not None:
            self._others.service.linked(link, party.key)

    def _heard(self, effect: Heard) -> None:
        if self._others.service is not None and effect.pubkey != self._mesh.pubkey:
            self._others.service.heard(effect)

    def _renamed(self, effect: Renamed) -> None:
        self._log.warn(
            "our id belongs to another key: this node is {server_id} now",
            server_id=effect.server_id,
        )
        for server in self._mesh.directory.linked():
            for link in list(server.links):
                if link != effect.link:  # it knows us by the new name alone
                    self._hang_up(HangUp(link, CLOSE_NORMAL, "renamed"))

    def _notice(self, effect: Notice) -> None:
        if effect.link is not None and not self._may_log(effect.link):
            return
        told = {
            name: harmless(one) if isinstance(one, str) else one
            for name, one in effect.fields.items()
        }
        self._log.info(effect.text, **told)


_PERFORMERS: dict[type, Callable[[Performer, Any], None]] = {
    Send: lambda by, effect: by._sender.send(effect),
    SendAll: lambda by, effect: by._sender.send_all(effect),
    Gradually: lambda by, effect: by._portions.begin(effect),
    OnceRead: Performer._once_read,
    Foreseen: lambda by, effect: by._sender.foresee(effect),
    Forward: lambda by, effect: by._sender.forward(effect),
    Answer: lambda by, effect: by._sender.answer(effect),
    HangUp: Performer._hang_up,
    Ping: Performer._ping,
    Settled: Performer._settled,
    Seen: Performer._seen,
    Pin: Performer._pin,
    Linked: Performer._linked,
    Heard: Performer._heard,
    Renamed: Performer._renamed,
    Notice: Performer._notice,
}
