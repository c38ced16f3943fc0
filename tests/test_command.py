"""Does ``socp`` find its subcommands, and end a fault with one sentence?"""

import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

from socp_twisted import __version__
from socp_twisted.command.line import COMMANDS
from tests.commands import socp


class LineTests(SynchronousTestCase):
    """The first word names the subcommand; the table is all there is."""

    def test_version(self) -> None:
        """``socp --version`` is one line."""
        self.assertEqual(socp("--version"), (f"socp {__version__}\n", "", 0))

    def test_help(self) -> None:
        """The help lists every subcommand with what it does, and each has its own."""
        out, _, code = socp("--help")
        self.assertEqual(code, 0)
        for word, command in COMMANDS.items():
            self.assertRegex(out, rf"(?m)^    {word} ")
            shown, _, code = socp(word, "--help")
            self.assertEqual(code, 0)
            self.assertIn(command.SUMMARY.split()[0], shown)

    def test_unknown(self) -> None:
        """Another word, or none, is a usage error: exit code 2."""
        out, err, code = socp()
        self.assertEqual((out, code), ("", 2))
        self.assertIn("chat", err)  # what there is
        for arguments in (["nix"], ["key", "--nix"], ["mesh", "--po", "1"]):
            out, err, code = socp(*arguments)
            self.assertEqual((out, code), ("", 2))
            self.assertIn("error: ", err.splitlines()[-1])

    def test_fault(self) -> None:
        """What cannot be used ends in one sentence that names the subcommand."""
        self.assertEqual(
            socp("key", "--server-id", "public"),
            ("", "socp key: --server-id 'public' is a reserved word\n", 1),
        )
        self.assertEqual(
            socp("mesh", "--ports", "8765", "8766", "8765"),
            ("", "socp mesh: --ports names one port twice\n", 1),
        )

    def test_bad_ports(self) -> None:
        """Three ports from 1 to 65535, and nothing is started for others."""
        for ports in (
            ["1"],
            ["1", "2"],
            ["0", "1", "2"],
            ["a", "1", "2"],
            ["65536"] * 3,
        ):
            out, err, code = socp("mesh", "--ports", *ports)
            self.assertEqual((out, code), ("", 2))
            self.assertIn("--ports", err.splitlines()[-1])

    def test_no_reactor(self) -> None:
        """A subcommand may choose its reactor: none is installed before it runs."""
        program = (
            f"import sys; sys.path[:] = {sys.path!r}; import socp_twisted.command; "
            "sys.exit('twisted.internet.reactor' in sys.modules)"
        )
        self.assertEqual(
            subprocess.run([sys.executable, "-c", program], check=False).returncode, 0
        )
