"""
What does a node remember of remote users?  ``python -m tests.benchmarks.directory``.

The rule for USER_ADVERTISE and the post, without a link, a disk or a signature: what is
left of each user is the same.
"""

import gc
import json
import sys
from typing import Any

from twisted.internet.defer import Deferred

from socp_twisted.overlay.directory import Directory, Server
from socp_twisted.overlay.effects import LinkId, Seen
from socp_twisted.overlay.mesh import Mesh
from socp_twisted.overlay.party import Party, Stage
from socp_twisted.overlay.rules import RULES
from socp_twisted.post import Post
from socp_twisted.store.interface import Acquaintance
from socp_twisted.wire.envelope import Envelope
from socp_twisted.wire.limits import Limits
from socp_twisted.wire.vocabulary import USER_ADVERTISE
from tests.benchmarks.node import rss
from tests.keyring import pub_of


class NoStore:
    """A disk that remembers nothing."""

    async def known_keys(self) -> dict[str, str]:
        """Nobody is known."""
        return {}

    async def proven_keys(self) -> dict[str, str]:
        """Nobody has shown anything."""
        return {}

    async def recipients(self) -> list[str]:
        """Nothing waits."""
        return []

    async def meet(self, user: Acquaintance) -> Acquaintance:
        """Return what was known of a user: this."""
        return user


class Crowd:
    """A node's tables, and users of another server who come to it."""

    def __init__(self) -> None:
        directory = Directory("srv-a")
        self.mesh = Mesh(
            directory,
            "127.0.0.1",
            8765,
            pub_of("srv-a"),
            instance="first",
            is_key=lambda text: True,
            fresh=lambda: "",
            limits=Limits(users=10_000_000),
        )
        self.mesh.now_ms = 1_700_000_000_000
        there = Server("srv-b", "127.0.0.1", 8766, pub_of("srv-b"))
        link = LinkId(1)
        there.links.append(link)
        directory.servers["srv-b"] = there
        self.party = Party(
            link, Stage.SERVER, opened=0.0, heard=0.0, host="127.0.0.1", name="srv-b"
        )
        self.mesh.parties[link] = self.party
        store: Any = NoStore()
        self.post = Post(self.mesh, store, lambda effects: None, hold=60.0)
        Deferred.fromCoroutine(self.post.open())
        self._key = pub_of("bob")
        self._count = 0

    def do_begin(self) -> dict[str, Any]:
        """Say what an empty directory takes."""
        gc.collect()
        return {"rss": rss()}

    def do_grow(self, count: int) -> dict[str, Any]:
        """Let users come until there are so many; say what all of them take."""
        rule = RULES[USER_ADVERTISE]
        while self._count < count:
            self._count += 1
            for effect in rule(self.mesh, self.party, self._advertised()):
                if isinstance(effect, Seen):
                    Deferred.fromCoroutine(self.post.seen(effect.user_id))
        assert len(self.mesh.directory.user_locations) == count
        gc.collect()
        return {"rss": rss()}

    def _advertised(self) -> Envelope:
        # Each frame brings its own text of each word, as JSON that was parsed does.
        name = f"user-{self._count:07d}"
        payload = {
            "user_id": name,
            "server_id": "".join(["srv-", "b"]),
            "pubkey": name + self._key[len(name) :],
            "meta": {"extras": ["blocks", "files-aes", "receipts"]},
        }
        when = self.mesh.now_ms + self._count
        return Envelope(USER_ADVERTISE, "srv-b", "*", when, payload)


def main() -> None:
    """Answer questions until the standard input ends."""
    crowd = Crowd()
    for line in sys.stdin:
        told = json.loads(line)
        answer = getattr(crowd, f"do_{told.pop('do')}")(**told)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
