"""
Do the checks that take minutes run?  Each in its shortest form.

They are processes of their own that wait for time to pass more than they work, so they
run at the same time.  Fuzzing is not among them: it measures how long a node stalls.
"""

import json
import re
from pathlib import Path
from typing import Any

from tests.benchmarks.table import ROWS
from tests.commands import run_module
from tests.processes import ProcessTestCase, together


class ShortRunTests(ProcessTestCase):
    """Nothing is lost, and every row of the benchmarks runs."""

    def setUp(self) -> None:
        """One folder for each."""
        super().setUp()
        self.home = Path(self.mktemp()).absolute()
        self.home.mkdir(parents=True)

    async def test_all(self) -> None:
        """At the same time: most of it is waiting."""
        await together(self._chaos(), self._crowd(), self._rows(), self._against())

    async def _chaos(self) -> None:
        """Two real nodes, three users, and faults: the table says that all is well."""
        few = "--nodes 2 --users 3 --messages 40 --rate 10 --seed 4"
        folder = self.home / "chaos"
        out, code = await run_module("tests.chaos", *few.split(), "--dir", str(folder))
        self.assertEqual(code, 0, out)
        [arrived] = re.findall(r"^ *(\d+)  once:", out, re.MULTILINE)
        self.assertGreater(int(arrived), 20, out)

    async def _crowd(self) -> None:
        """Silent, flooding and unreading connections cost nobody a message."""
        few = "--silent 40 --flooding 10 --unreading 4 --seconds 2"
        folder = self.home / "crowd"
        out, code = await run_module("tests.crowd", *few.split(), "--dir", str(folder))
        self.assertEqual(code, 0, out)
        for told in ("max-stranger-frames", "refused MALFORMED", "honest latency"):
            self.assertIn(told, out)

    async def _rows(self) -> None:
        """Each row measures something, or says what this server does not do."""
        figures, pictures = self.home / "figures.json", self.home / "pictures"
        out, code = await run_module(
            "tests.benchmarks",
            *("--smoke", "--json", str(figures), "--plot", str(pictures)),
        )
        self.assertEqual(code, 0, out)
        rows: dict[str, Any] = json.loads(figures.read_text("utf-8"))["rows"]
        self.assertEqual(list(rows), [row.name for row in ROWS])
        for row in ROWS:
            found = rows[row.name]
            if "missing" in found:
                self.assertIn("this server does not", found["missing"], row.name)
            else:
                self.assertEqual(len(found["goals"]), len(row.goals), row.name)
                self.assertTrue(found["figures"], row.name)
        drawn = {path.stem for path in pictures.iterdir()}
        self.assertEqual(drawn, {name for name in rows if rows[name].get("curves")})

    async def _against(self) -> None:
        """Another server gets the same work as ours: figures of the same kinds."""
        [node] = self.nodes("d")
        await self.start(node)
        figures = self.home / "against.json"
        arguments = ("--smoke", "--against", node.url, "--json", str(figures))
        out, code = await run_module("tests.benchmarks", *arguments)
        self.assertEqual(code, 0, out)
        found = json.loads(figures.read_text("utf-8"))["rows"]
        ours, theirs = found["ours"], found[node.url]
        self.assertEqual(list(ours), list(theirs))
        self.assertGreater(theirs["direct messages/s"]["value"], 0)
