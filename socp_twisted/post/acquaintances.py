"""Whom may a message wait for?  Who was ever seen, with the key of then.  (Ours)"""

from twisted.logger import Logger

from socp_twisted.overlay.directory import key_hash
from socp_twisted.overlay.mesh import Mesh
from socp_twisted.store.interface import Acquaintance, Store


class Acquaintances:
    """Everybody who was ever online, with the key that they had."""

    _log = Logger()

    def __init__(self, mesh: Mesh, store: Store, *, hold: float) -> None:
        """``hold`` is how many seconds a message may wait; 0 holds nothing."""
        self._mesh = mesh
        self._store = store
        self._hold = hold
        self._met: dict[str, tuple[bytes, str]] = {}

    async def recall(self) -> None:
        """Read from the disk whose keys are known."""
        for user_id, pubkey in (await self._store.known_keys()).items():
            self._mesh.known_keys[user_id] = bytes.fromhex(key_hash(pubkey))
        for hashed, server_id in (await self._store.proven_keys()).items():
            self._mesh.proofs.note(hashed, server_id)

    async def meet(self, user_id: str) -> None:
        """Remember everybody who was ever online: mail can wait for them."""
        location = self._mesh.directory.user_locations.get(user_id)
        if location is None:
            return
        shown_at = self._mesh.proofs.place(location.key_hash)
        if self._met.get(user_id) == (location.key, shown_at):
            return
        pubkey = location.pubkey
        now = self._mesh.now_ms
        user = Acquaintance(user_id, pubkey, location.server_id, now, now)
        before = await self._store.meet(user)
        if len(self._met) >= self._mesh.limits.users:
            self._met.clear()
        if shown_at:
            await self._store.prove(location.key_hash, shown_at, now)
        self._met[user_id] = (location.key, shown_at)
        if before.pubkey not in ("", pubkey):
            self._log.warn(
                "{user_id} has another key than before, at {server_id}",
                user_id=user_id,
                server_id=location.server_id,
            )

    def is_known(self, user_id: str) -> bool:
        """Say whether a user is online, or a message may wait for them."""
        if user_id in self._mesh.directory.user_locations:
            return True
        return bool(self._hold and self._mesh.user_key(user_id))

    def is_for(self, user_id: str, key: str) -> bool:
        """Say whether the user who is online has the key that a message is for."""
        location = self._mesh.directory.user_locations.get(user_id)
        if location is None or not key:
            return True
        if not location.key:  # it was not told; and whose is shown is told with it
            return not self._mesh.proofs.place(key)
        return location.key_hash == key

    def is_for_nobody(self, user_id: str, key: str) -> bool:
        """Say whether nobody who has this key is let in as this user, here or there."""
        home_key = self._mesh.home_keys.get(user_id, "")
        return bool(home_key and key) and home_key != key
