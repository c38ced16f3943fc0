"""Which transfers are there?  FILE_START, CHUNK, END and ANSWER, both ways.  (SOCP 9.4)

``sending`` has our own files, ``receiving`` those of others, ``manifest`` what is said
of a file and how a chunk is sealed, ``disk`` the names and the drafts.
"""

from pathlib import Path

from socp_twisted.client.contacts import Contacts
from socp_twisted.client.keystore import Account, Randomness
from socp_twisted.client.outbox import Outbox
from socp_twisted.client.receiving import Policy, Receiving
from socp_twisted.client.replays import Replays
from socp_twisted.client.sending import Sending
from socp_twisted.errors import ErrorCode, Refused

__all__ = ["Files", "Policy"]


class Files:
    """All transfers of one session."""

    def __init__(
        self,
        account: Account,
        outbox: Outbox,
        contacts: Contacts,
        *,
        replays: Replays,
        downloads: Path,
        policy: Policy,
        randomness: Randomness,
    ) -> None:
        self._sending = Sending(account, outbox, contacts, randomness)
        self._receiving = Receiving(
            account,
            outbox,
            contacts,
            replays=replays,
            downloads=downloads,
            policy=policy,
        )
        self.send = self._sending.send
        self.answered = self._sending.answered
        self.accept = self._receiving.accept
        self.offered = self._receiving.offered
        self.chunk = self._receiving.chunk
        self.end = self._receiving.end

    def configure(
        self, policy: Policy | None = None, downloads: Path | None = None
    ) -> None:
        """Change what happens with offers from now on, and where files go."""
        self._receiving.policy = policy or self._receiving.policy
        self._receiving.downloads = downloads or self._receiving.downloads

    def stop(self, file_id: str, reason: str, now: int) -> None:
        """Decline an offer, or break off a transfer of either direction."""
        for side in (self._receiving, self._sending):
            if side.knows(file_id):
                side.stop(file_id, reason, now)
                return
        raise Refused(ErrorCode.NOT_ALLOWED, "no such file is offered or under way")

    def gone(self, user_id: str, now: int) -> None:
        """A user has left: nothing more comes from them or reaches them."""
        self._receiving.drop_all(f"{user_id} has left", user_id)
        self._sending.gone(user_id, now)

    def lost(self, reason: str) -> None:
        """The connection is gone, and every transfer with it; no partial file stays."""
        self._receiving.drop_all(reason)
        self._sending.drop_all(reason)

    def tick(self, now: int) -> bool:
        """Give up on who is silent; return whether more is due very soon."""
        self._receiving.tick(now)
        return self._sending.tick(now)
