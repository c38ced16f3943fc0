"""Does twistd find us, and does a wrong option end it with one sentence?"""

import os
import sys
from importlib.metadata import distribution
from pathlib import Path

from twisted.application.service import IServiceMaker
from twisted.internet.utils import getProcessOutputAndValue
from twisted.plugin import getPlugins
from twisted.trial.unittest import SynchronousTestCase, TestCase

import socp_twisted
from socp_twisted.tap import Options, makeService
from tests.keyfiles import write_key_file

TWISTD = ("-P", "-c", "from twisted.scripts.twistd import run; run()")


def ours_in_twisted() -> list[str]:
    """Return which of the modules under ``twisted`` are ours."""
    root = Path(socp_twisted.__file__).parents[1]
    if (root / "twisted" / "internet").exists():  # installed beside Twisted itself
        files = [Path(one) for one in distribution("socp-twisted").files or ()]
    else:
        files = [one.relative_to(root) for one in (root / "twisted").rglob("*.py")]
    return [
        str(one) for one in files if one.parts[0] == "twisted" and one.suffix == ".py"
    ]


async def twistd(*arguments: str, folder: Path = Path("/")) -> tuple[str, str, int]:
    """Run twistd as a process; return its output, its errors and its exit code."""
    path = os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path)
    out, err, code = await getProcessOutputAndValue(
        sys.executable,
        [*TWISTD, *arguments],
        env={**os.environ, "PYTHONPATH": path},
        path=str(folder),
    )
    return out.decode(), err.decode(), code


class PluginTests(SynchronousTestCase):
    """The plugin lies in Twisted's own package, which is no package of ours."""

    def test_found(self) -> None:
        """There is one service named ``socp``, and it is ``socp_twisted.tap``."""
        [socp] = [one for one in getPlugins(IServiceMaker) if one.tapname == "socp"]
        self.assertIs(socp.options, Options)
        self.assertIs(socp.makeService, makeService)

    def test_no_package(self) -> None:
        """An ``__init__.py`` in either folder would hide Twisted or its plugins."""
        self.assertEqual(ours_in_twisted(), ["twisted/plugins/socp_plugin.py"])


class TwistdTests(TestCase):
    """The real twistd, as a process."""

    async def test_listed(self) -> None:
        """``twistd --help`` lists us, whatever folder it is started in."""
        out, _, code = await twistd("--help")
        self.assertRegex(out, r"(?m)^ +socp +A server of a Secure Overlay Chat")
        self.assertEqual(code, 0)

    async def test_option(self) -> None:
        """A wrong option is told in one line on stderr, and nothing is left behind."""
        folder = Path(self.mktemp())
        folder.mkdir()
        out, err, code = await twistd("-n", "socp", "--port", "web", folder=folder)
        self.assertEqual(
            (out, err, code),
            ("", "socp: --port 'web' is not a number from 1 to 65535\n", 1),
        )
        self.assertEqual(list(folder.iterdir()), [])

    async def test_broken_key_file(self) -> None:
        """So is a key file that cannot be used; it is not touched."""
        folder = Path(self.mktemp()).resolve()
        folder.mkdir()
        path = write_key_file(folder / "server_key_srv-a.json", "srv-a")
        broken = path.read_text("utf-8")[:-9]
        path.write_text(broken, "utf-8")
        out, err, code = await twistd("-n", "socp", "--server-id=srv-a", folder=folder)
        self.assertEqual(
            (out, err, code),
            (
                "",
                f"socp: the key file {path} is broken: not JSON with private_pem and "
                "pub_spki_b64u\n",
                1,
            ),
        )
        self.assertEqual(list(folder.iterdir()), [path])
        self.assertEqual(path.read_text("utf-8"), broken)
