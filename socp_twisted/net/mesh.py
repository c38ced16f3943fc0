"""Whom do we dial, and when?  The bootstrap list and what we learn.  (SOCP 8.1)"""

from collections.abc import Callable
from dataclasses import replace

from twisted.application.service import Service
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from socp_twisted.net.link import Link, Owner
from socp_twisted.net.peers import IReactorDialling, PeerFactory
from socp_twisted.net.tls import Trust, is_ip
from socp_twisted.overlay.effects import Heard
from socp_twisted.wire.addresses import is_host, join_url, split_url


class MeshService(Service):
    """
    Dials the servers of the bootstrap list, and those that others tell us of.

    One server is one key: of several addresses of the same key one is dialled at a
    time, and none while a link is up.
    """

    name = "mesh"
    _log = Logger()

    def __init__(
        self,
        reactor: IReactorDialling,
        owner: Owner,
        adopt: Callable[[Link], None],
        *,
        attempts: int,
        delay: float,
        is_wanted: Callable[[str], bool],
        trust: Trust | None = None,
    ) -> None:
        """
        ``is_wanted`` says of a public key whether we lack a link to its server.

        ``trust`` has the authorities of wss://, the system's if it is not given.
        """
        self._reactor = reactor
        self._owner = owner
        self._adopt = adopt
        self._attempts = attempts
        self._delay = delay
        self._is_wanted = is_wanted
        self._trust = trust or Trust()
        # By address and key: nobody takes a server's place by claiming its address.
        self._peers: dict[tuple[str, str], PeerFactory] = {}
        self._later: dict[str, IDelayedCall] = {}

    def add(self, url: str, key: str) -> None:
        """Take one entry of the bootstrap list."""
        self._peer(url, key, pinned=True)

    def startService(self) -> None:
        """Dial everybody on the bootstrap list."""
        super().startService()
        for peer in list(self._peers.values()):
            peer.begin()

    def stopService(self) -> None:
        """Stop dialling, so that a link that closes now stays closed."""
        super().stopService()
        for call in self._later.values():
            call.cancel()
        self._later.clear()
        for peer in self._peers.values():
            peer.stop()

    def heard(self, heard: Heard) -> None:
        """Take a sign of life: dial that server unless there is a link, or will be."""
        if not self.running or not self._is_wanted(heard.pubkey):
            return
        if not is_host(heard.host) or (":" in heard.host and not is_ip(heard.host)):
            return  # a WELCOME may list anything: it must not cost us its link
        if not heard.soon:
            if heard.pubkey not in self._later:
                # Half a delay: before its users are given up, if it does not come.
                self._later[heard.pubkey] = self._reactor.callLater(
                    self._delay / 2, self._now, heard
                )
            return
        if any(peer.active for peer in self._of(heard.pubkey)):
            return
        url = join_url("wss" if heard.secure else "ws", heard.host, heard.port)
        pinned = [peer for peer in self._of(heard.pubkey) if peer.pinned]
        safe = [peer for peer in pinned if peer.isSecure]
        if safe and not heard.secure:
            safe[0].begin()  # nobody's word has us dial in clear whom we pin to wss
        elif pinned and all(_is_same(peer, heard) for peer in pinned):
            pinned[0].begin()
        elif self._has_room():
            self._peer(url, heard.pubkey, server_id=heard.server_id).begin()

    def _has_room(self) -> bool:
        """Forget whom we learnt of and do not dial; say whether there is room."""
        for name, peer in list(self._peers.items()):
            if not peer.pinned and not peer.active:
                del self._peers[name]
        return len(self._peers) < self._owner.limits.servers

    def linked(self, link: Link, key: str) -> None:
        """Count a link that is up: its attempt succeeded, and no other is needed."""
        if (call := self._later.pop(key, None)) is not None:
            call.cancel()
        for peer in self._of(key):
            if peer.link is link:
                peer.linked()
            elif not self._is_wanted(key):
                peer.stand_down()

    def lost(self, heard: Heard) -> None:
        """Begin a new cycle for a server to which no link is left."""
        if any(peer.link is not None for peer in self._of(heard.pubkey)):
            return  # whose factory begins again by itself
        self.heard(heard)

    def _now(self, heard: Heard) -> None:
        self._later.pop(heard.pubkey, None)
        self.heard(replace(heard, soon=True))

    def _of(self, key: str) -> list[PeerFactory]:
        return [peer for peer in self._peers.values() if peer.key == key]

    def _peer(
        self, url: str, key: str, *, pinned: bool = False, server_id: str = ""
    ) -> PeerFactory:
        peer = self._peers.get((url, key))
        if peer is None:
            peer = self._peers[url, key] = PeerFactory(
                self._reactor,
                self._owner,
                self._adopt,
                url,
                key,
                pinned=pinned,
                server_id=server_id,
                attempts=self._attempts,
                delay=self._delay,
                trust=self._trust,
                wanted=self._wants,
                finished=self._gave_up,
            )
        return peer

    def _wants(self, peer: PeerFactory) -> bool:
        return self._is_wanted(peer.key) and not any(
            other.active for other in self._of(peer.key) if other is not peer
        )

    def _gave_up(self, peer: PeerFactory) -> None:
        if not peer.pinned:
            # If it is heard of again, it is dialled again.
            self._peers.pop((peer.url, peer.key), None)


def _is_same(peer: PeerFactory, heard: Heard) -> bool:
    """Say whether we dial the address that was told, and no less safely."""
    where = split_url(peer.url)[1:] == (heard.host.lower(), heard.port)
    return where and (peer.isSecure or not heard.secure)
