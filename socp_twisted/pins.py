"""Which key has each server, also after a restart?  First sight binds.  (SOCP 8.2)"""

from socp_twisted.overlay.mesh import Mesh
from socp_twisted.store.interface import ServerPin, Store


class Pins:
    """The pins of the mesh, on disk."""

    def __init__(self, mesh: Mesh, store: Store) -> None:
        self._mesh = mesh
        self._store = store
        self._is_open = False

    async def open(self) -> None:
        """Recall the keys of all servers that were ever seen."""
        for pin in await self._store.pins():
            if self._mesh.is_key(pin.pubkey):  # else another program's row
                self._mesh.pins[pin.server_id] = pin.pubkey
        self._is_open = True

    async def keep(self, server_id: str) -> None:
        """Write down what is bound to a server id now, or that nothing is."""
        if not self._is_open:
            return
        server = self._mesh.directory.servers.get(server_id)
        pubkey = self._mesh.pins.get(server_id)
        if pubkey is None:
            await self._store.forget(server_id)
            return
        now = self._mesh.now_ms
        host, port = (server.host, server.port) if server is not None else ("", 0)
        pin = ServerPin(server_id, pubkey, host, port, now, now)
        held = await self._store.pin(pin)
        if held.pubkey != pubkey:  # the operator's bootstrap list says otherwise
            await self._store.forget(server_id)
            await self._store.pin(pin)
