"""Nodes in memory by their names, each on its own port."""

from collections.abc import Iterable

from tests.support import MeshTestCase, Site

PORTS = {f"srv-{letter}": 8765 + i for i, letter in enumerate("abcdefghij")}
THREE = ("srv-a", "srv-b", "srv-c")


class NamedMeshTestCase(MeshTestCase):
    """Nodes by name, each on its own port, with a bootstrap list of names."""

    def launch(self, name: str, knows: Iterable[str] = ()) -> Site:
        """Start a node that has these others on its bootstrap list."""
        entries = [(f"ws://127.0.0.1:{PORTS[one]}", one) for one in knows]
        return self.start(name, PORTS[name], entries)

    def launch_all(self, names: Iterable[str], gap: float = 0.0) -> list[Site]:
        """Start nodes that know each other, ``gap`` seconds apart; let them link."""
        names = list(names)
        sites = []
        for name in names:
            sites.append(self.launch(name, [one for one in names if one != name]))
            if gap:
                self.network.pass_time(gap)
        self.network.pass_time(8)
        return sites

    def restart(self, site: Site) -> Site:
        """Start a killed node again: same name, key and bootstrap list, empty head."""
        others = [name for name in self.sites if name != site.id]
        return self.launch(site.id, others)
