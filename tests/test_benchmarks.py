"""Do the benchmarks run?  Each row in its smallest form, and what they are made of."""

import json
import xml.etree.ElementTree as ET
from contextlib import redirect_stderr
from io import StringIO

from twisted.trial.unittest import SynchronousTestCase

from socp_twisted.wire.envelope import Envelope
from tests.benchmarks.__main__ import listed, parse
from tests.benchmarks.measuring import (
    Goal,
    Outcome,
    Quantity,
    Sizes,
    beside,
    quantile,
    slope,
)
from tests.benchmarks.plot import draw, short
from tests.benchmarks.report import as_json, lines
from tests.benchmarks.table import ROWS, Row
from tests.benchmarks.words import Template, filler, message


def payload(frame: bytes) -> bytes:
    """Return what a WebSocket frame of some hundred bytes, masked with 0, carries."""
    return frame[8:]


class MeasuringTests(SynchronousTestCase):
    """A figure is a median, and says how sure it is."""

    def test_quantity(self) -> None:
        """The median, and the distance between the quartiles as a share of it."""
        self.assertEqual(Quantity.of([4.0, 1.0, 2.0, 3.0, 100.0]), Quantity(3.0, 2 / 3))
        self.assertEqual(Quantity.of([7.0]), Quantity(7.0))

    def test_goal(self) -> None:
        """At least, or at most."""
        at_least, at_most = Goal(0.9, ""), Goal(50, "", at_least=False)
        self.assertEqual(
            [at_least.is_reached(Quantity(one)) for one in (0.89, 0.9)], [False, True]
        )
        self.assertEqual(
            [at_most.is_reached(Quantity(one)) for one in (50, 51)], [True, False]
        )

    def test_beside(self) -> None:
        """The limit of a slice is the mean of what was measured around it."""
        order: list[str] = []
        values = iter([1.0, 3.0, 5.0, 7.0])

        def limit() -> float:
            order.append("limit")
            return next(values)

        limits, loads = beside(Sizes(slices=2), limit, lambda: order.append("load"))
        self.assertEqual((limits, loads), ([2.0, 6.0], [None, None]))
        self.assertEqual(order, ["limit", "load", "limit"] * 2)

    def test_curves(self) -> None:
        """How steep a line is, and what most values are below."""
        self.assertAlmostEqual(slope([(0, 5), (10, 25), (20, 45)]), 2.0)
        self.assertEqual(quantile([3.0, 1.0, 2.0], 0.99), 3.0)


class LoadTests(SynchronousTestCase):
    """What the load sends is what users send."""

    def read(self, frames: Template) -> Envelope:
        """Return the next message as a node reads it."""
        return Envelope.parse(payload(frames.next()), complete=False)

    def test_messages(self) -> None:
        """Whole frames, no two with the same ``ts``."""
        frames = message("MSG_DIRECT", "alice", "bob")
        read = [self.read(frames) for _ in range(50)]
        self.assertEqual({(one.sender, one.to) for one in read}, {("alice", "bob")})
        self.assertEqual(len({one.ts for one in read}), 50)
        self.assertEqual(read[0].payload["sender"], "alice")

    def test_filler(self) -> None:
        """As many bytes as were asked for."""
        self.assertEqual(len(payload(filler(1234).next())), 1234)


class ReportTests(SynchronousTestCase):
    """What was found can be read by people and programs."""

    def setUp(self) -> None:
        """One row, and what it found."""
        self.row: Row = ROWS[1]
        self.outcome = Outcome(
            [Quantity(0.8, 0.01), Quantity(2.0)],
            {"messages/s": Quantity(1234.5)},
            {"a & b": [(1.0, 2.0), (3.0, 4.0)]},
            ("users", "bytes"),
            ["a note"],
        )

    def test_lines(self) -> None:
        """Each goal and whether it is reached, each figure, each note."""
        told = lines(self.row, self.outcome)
        for one in ("reached", "MISSED", "1,234 messages/s", "note: a note"):
            self.assertIn(one, told)

    def test_missing(self) -> None:
        """A row without figures says why, and no number."""
        told = lines(self.row, "this server does not sing")
        self.assertIn("this server does not sing", told)
        self.assertEqual(as_json(self.row, "why")["missing"], "why")

    def test_json(self) -> None:
        """The same for programs."""
        told = json.loads(json.dumps(as_json(self.row, self.outcome)))
        self.assertEqual([one["reached"] for one in told["goals"]], [True, False])
        self.assertEqual(told["goals"][0]["target"], 0.75)

    def test_picture(self) -> None:
        """A point for each point, in SVG that is XML."""
        picture = draw("how & why", self.outcome.curves, self.outcome.axes)
        root = ET.fromstring(picture)
        circles = root.findall("{http://www.w3.org/2000/svg}circle")
        self.assertEqual(len(circles), 2)
        self.assertEqual(
            [short(one) for one in (12, 3400, 5.6e6)], ["12", "3.4k", "5.6M"]
        )

    def test_arguments(self) -> None:
        """Rows go by their names, and there are no others."""
        self.assertEqual(parse(["stall", "--slices", "3"]).rows, ["stall"])
        self.assertEqual(len(listed().splitlines()), len(ROWS))
        for wrong in (["nothing"], ["--slices", "0"], ["--against2", "ws://x:1"]):
            with redirect_stderr(StringIO()), self.assertRaises(SystemExit) as ended:
                parse(wrong)
            self.assertEqual(ended.exception.code, 2)
