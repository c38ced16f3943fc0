"""Whom do we reach, and through whom?"""

from twisted.trial.unittest import SynchronousTestCase

from socp_twisted.overlay.topology import Topology


class TopologyTests(SynchronousTestCase):
    """Claims make routes; routes are short, symmetric, and fade."""

    def setUp(self) -> None:
        """We are a, linked to b."""
        self.topology = Topology()
        self.ts = 0

    def claim(self, server_id: str, *links: str, now: float = 0.0) -> None:
        """Let a server say whom it is linked to."""
        self.ts += 1
        self.topology.claim(server_id, links, self.ts, now)

    def test_neighbours(self) -> None:
        """A neighbour leads to itself, whatever it says."""
        self.assertEqual(self.topology.routes(["b", "c"]), {"b": "b", "c": "c"})
        self.assertEqual(self.topology.routes([]), {})

    def test_onward(self) -> None:
        """Whom a neighbour is linked to is reached through it, and so on."""
        self.claim("b", "a", "c")
        self.claim("c", "b", "d")
        routes = self.topology.routes(["b"])
        self.assertEqual([routes[one] for one in "bcd"], ["b", "b", "b"])

    def test_shortest(self) -> None:
        """Fewest hops win; among equals the smallest id."""
        self.claim("b", "a", "d")
        self.claim("c", "a", "d")
        self.claim("d", "b", "c")
        self.assertEqual(self.topology.routes(["c", "b"])["d"], "b")
        self.assertEqual(self.topology.routes(["c", "b", "d"])["d"], "d")

    def test_both_ends(self) -> None:
        """A link that one of its ends denies is none."""
        self.claim("b", "a", "c")
        self.claim("c", "d")
        self.assertNotIn("c", self.topology.routes(["b"]))

    def test_silent_end(self) -> None:
        """Where the far end makes no claims, the near one's word is enough."""
        self.claim("b", "a", "c")
        self.assertEqual(self.topology.routes(["b"])["c"], "b")

    def test_older(self) -> None:
        """An older claim is not believed."""
        self.claim("b", "a")
        self.claim("b", "a", "c")
        self.topology.claim("b", ["a"], 1, 0.0)
        self.assertTrue(self.topology.has_link("b", "c"))

    def test_routes_follow(self) -> None:
        """Routes change with the claims, though they are kept between."""
        self.claim("b", "a", "c")
        self.assertIn("c", self.topology.routes(["b"]))
        self.claim("b", "a")
        self.assertNotIn("c", self.topology.routes(["b"]))
        self.claim("b", "a", "c")
        self.topology.forget("b")
        self.assertNotIn("c", self.topology.routes(["b"]))

    def test_expiry(self) -> None:
        """A claim that is not repeated for 45 s is void."""
        self.claim("b", "a", "c", now=0.0)
        self.topology.expire(44.0)
        self.assertTrue(self.topology.has_link("b", "c"))
        self.topology.expire(45.0)
        self.assertFalse(self.topology.has_link("b", "c"))
        self.assertNotIn("c", self.topology.routes(["b"]))

    def test_relayed(self) -> None:
        """Without claims, a neighbour leads to those whose frames it brought lately."""
        self.topology.relayed("c", "b", 0.0)
        self.assertEqual(self.topology.routes(["b"])["c"], "b")
        self.topology.expire(45.0)
        self.assertNotIn("c", self.topology.routes(["b"]))

    def test_relayed_by_one_of_ours(self) -> None:
        """Through one with claims, its claims alone count."""
        self.claim("b", "a")
        self.topology.relayed("c", "b", 0.0)
        self.assertNotIn("c", self.topology.routes(["b"]))
