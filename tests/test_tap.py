"""Does every command line lead to a configuration, or to one sentence?"""

import json
import os
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import fields
from io import StringIO
from pathlib import Path
from typing import Any

from twisted.python.usage import UsageError
from twisted.scripts.twistd import ServerOptions  # type: ignore[attr-defined]
from twisted.trial.unittest import SynchronousTestCase

from socp_twisted import __version__
from socp_twisted.configuration import Configuration, Introducer
from socp_twisted.service import NodeService
from socp_twisted.tap import Options, makeService
from socp_twisted.wire.limits import Limits
from tests.keyfiles import BAD_PINS, PINS, write_key_file
from tests.keyring import FOUR_PRIMES, four_primes, libcrypto_at

A, B, C = PINS["srv-a"], PINS["srv-b"], PINS["srv-c"]
URL_B, URL_C = "ws://127.0.0.1:8766", "ws://127.0.0.1:8767"
TO_B, TO_C = Introducer(URL_B, B), Introducer(URL_C, C)


class OptionsCase(SynchronousTestCase):
    """What all tests of the command line share: a folder of their own."""

    def setUp(self) -> None:
        """Go to an empty folder."""
        self.folder = Path(self.mktemp()).resolve()
        self.folder.mkdir()
        self.addCleanup(os.chdir, Path.cwd())
        os.chdir(self.folder)

    def parse(
        self, *arguments: str, environ: Mapping[str, str] | None = None
    ) -> Configuration:
        """Read a command line of a server whose id is told."""
        options = Options(environ or {})
        options.parseOptions(["--server-id", "srv-a", *arguments])
        return options.configuration

    def fault(self, *arguments: str, environ: Mapping[str, str] | None = None) -> str:
        """Return the sentence with which a command line is refused."""
        with self.assertRaises(UsageError) as caught:
            self.parse(*arguments, environ=environ)
        sentence = str(caught.exception)
        self.assertNotIn("\n", sentence)
        self.assertEqual(list(self.folder.glob("*.json")), [], "a key was made")
        return sentence


class DefaultTests(OptionsCase):
    """Without options a node starts on its own."""

    def test_defaults(self) -> None:
        """Only the id is told: the rest has a sensible value."""
        self.assertEqual(
            self.parse(),
            Configuration(
                server_id="srv-a",
                host="127.0.0.1",
                port=8765,
                advertise_host="127.0.0.1",
                advertise_port=8765,
                db=self.folder / "socp-srv-a.db",
                keyfile=self.folder / "server_key_srv-a.json",
                introducers=(),
                max_attempts=10,
                retry_delay=5.0,
                limits=Limits(),
            ),
        )

    def test_no_id(self) -> None:
        """Without an id the key names the server, and the port the key's file."""
        write_key_file(self.folder / "server_key_8770.json", "srv-a")
        options = Options({})
        options.parseOptions(["--port", "8770"])
        found = options.configuration
        self.assertEqual(found.keyfile, self.folder / "server_key_8770.json")
        self.assertRegex(found.server_id, r"\Asrv-[0-9a-f]{8}\Z")
        self.assertEqual(found.db, self.folder / f"socp-{found.server_id}.db")
        again = Options({})
        again.parseOptions(["--port", "8770"])
        self.assertEqual(again.configuration, found)

    def test_r21_nothing_in_the_folder(self) -> None:
        """Files that lie about in the current folder change nothing."""
        plain = self.parse()
        for name in ("config.yaml", "bootstrap.yaml", ".env", "socp.toml"):
            (self.folder / name).write_text("port: 1\nintroducers: []\n", "utf-8")
        self.assertEqual(self.parse(), plain)


class BootstrapTests(OptionsCase):
    """``--bootstrap`` takes several URLs after it, and may be repeated."""

    def test_several(self) -> None:
        """In the words of the README: several URLs at the end of the line."""
        found = self.parse(
            "--port", "8765", "--bootstrap", f"{URL_B}#{B}", f"{URL_C}#{C}"
        )
        self.assertEqual(found.introducers, (TO_B, TO_C))

    def test_anywhere(self) -> None:
        """Options may follow the URLs; both spellings of an option with a value."""
        for first in (["--bootstrap", f"{URL_B}#{B}"], [f"--bootstrap={URL_B}#{B}"]):
            found = self.parse(*first, f"{URL_C}#{C}", "--port", "9000")
            self.assertEqual(found.introducers, (TO_B, TO_C))
            self.assertEqual(found.port, 9000)

    def test_repeated(self) -> None:
        """The lists add up, and what is told twice counts once."""
        one, two = f"{URL_B}#{B}", f"{URL_C}#{C}"
        found = self.parse(
            "--bootstrap", one, "--bootstrap", two, one, "--bootstrap", two
        )
        self.assertEqual(found.introducers, (TO_B, TO_C))

    def test_with_file(self) -> None:
        """A file adds to the command line, and agrees with it."""
        path = self.folder / "list.yaml"
        path.write_text(json.dumps({"introducers": [{"url": URL_C, "pubkey": C}]}))
        found = self.parse(
            "--bootstrap-file", "list.yaml", "--bootstrap", f"{URL_B}#{B}"
        )
        self.assertEqual(found.introducers, (TO_B, TO_C))
        self.assertEqual(
            self.fault("--bootstrap-file", str(path), "--bootstrap", f"{URL_C}#{B}"),
            f"{URL_C} is pinned to two different keys",
        )

    def test_bad_file(self) -> None:
        """A file that cannot be read is named."""
        self.assertEqual(
            self.fault("--bootstrap-file", "none.yaml"),
            f"cannot read the bootstrap file {self.folder / 'none.yaml'}: "
            "No such file or directory",
        )

    def test_stray(self) -> None:
        """A URL without ``--bootstrap`` before it is refused, whatever it is."""
        for arguments in (
            [f"{URL_B}#{B}"],
            ["--port", "8765", f"{URL_B}#{B}"],
            ["--bootstrap", f"{URL_B}#{B}", "--port", "8765", f"{URL_C}#{C}"],
        ):
            self.assertIn("belongs to no option", self.fault(*arguments))

    def test_bad_urls(self) -> None:
        """Each is named, with what is wrong with it, wherever in the list it stands."""
        for url, why in (
            (URL_C, "has no pinned key"),
            (f"http://127.0.0.1:8767#{C}", "is not ws://host:port#<pub>"),
            (f"ws://127.0.0.1#{C}", "lacks a port"),
            (f"ws://127.0.0.1:0#{C}", "lacks a port"),
            (f"ws://127.0.0.1:65536#{C}", "is no URL"),
            (f"{URL_C}/chat#{C}", "has more than"),
            ("srv-c", "is not ws://host:port#<pub>"),
        ):
            for arguments in ([url], [f"{URL_B}#{B}", url]):
                sentence = self.fault("--bootstrap", *arguments)
                self.assertTrue(sentence.startswith("--bootstrap: "), sentence)
                self.assertIn(why, sentence)
        self.assertIn("requires argument", self.fault("--bootstrap"))
        self.assertIn("is not ws://", self.fault("--bootstrap", ""))

    def test_s16_bad_pins(self) -> None:
        """A pin that is no RSA-4096 key is refused before anything is dialled."""
        for pin in filter(None, BAD_PINS.values()):
            self.assertIn(
                f"the pin of {URL_B} is unusable",
                self.fault("--bootstrap", f"{URL_B}#{pin}"),
            )


class ValueTests(OptionsCase):
    """Each option is checked, and a wrong one is named."""

    def test_limits(self) -> None:
        """Each field of ``Limits`` is an option of its own."""
        for number, one in enumerate(fields(Limits), start=1):
            option = f"--max-{one.name.replace('_', '-')}"
            limits = self.parse(option, str(number)).limits
            self.assertEqual(limits, Limits(**{one.name: number}))
            for bad in ("0", "-1", "1.5", "many", "", "1" * 13, "1_0", "²"):
                self.assertIn(option, self.fault(f"{option}={bad}"))

    def test_retry(self) -> None:
        """Attempts are whole; the delay is any number of seconds."""
        found = self.parse("--max-attempts", "3", "--retry-delay", "0.25")
        self.assertEqual((found.max_attempts, found.retry_delay), (3, 0.25))
        for bad in ("0", "-1", "ten", "2.5"):
            self.assertIn("--max-attempts", self.fault(f"--max-attempts={bad}"))
        for bad in ("0", "-1", "nan", "inf", "soon", "", "3601"):
            self.assertIn("--retry-delay", self.fault(f"--retry-delay={bad}"))

    def test_port(self) -> None:
        """Others must know the port, so it is told: 0 is none."""
        for bad in ("0", "65536", "-1", "http", "", "80 ", "8_0", "٨"):
            self.assertEqual(
                self.fault(f"--port={bad}"),
                f"--port {bad!r} is not a number from 1 to 65535",
            )

    def test_server_id(self) -> None:
        """s17: reserved and malformed ids are refused."""
        for bad in (
            "public",
            "*",
            "local",
            "system",
            "",
            "a b",
            "x" * 65,
            "a/b",
            "\x1b",
        ):
            self.assertIn("--server-id", self.fault(f"--server-id={bad}"))

    def test_host(self) -> None:
        """The address that is bound is told to others, unless another one is."""
        told: dict[tuple[str, ...], tuple[str, str, int]] = {
            ("--host", "::1"): ("::1", "::1", 8765),
            ("--advertise", "chat.example:443"): ("127.0.0.1", "chat.example", 443),
            ("--host", "0.0.0.0", "--advertise", "[fd00::1]:9"): (
                "0.0.0.0",
                "fd00::1",
                9,
            ),
        }
        for arguments, expected in told.items():
            found = self.parse(*arguments)
            self.assertEqual(
                (found.host, found.advertise_host, found.advertise_port), expected
            )

    def test_bad_host(self) -> None:
        """What nobody can connect to is not told to anybody."""
        for host in ("0.0.0.0", "::"):
            self.assertIn("--advertise host:port", self.fault("--host", host))
        for host in ("", "a b", "ws://h"):
            self.assertIn("--host", self.fault(f"--host={host}"))
        for told in (
            "",
            "h",
            "h:",
            ":1",
            "h:0",
            "h:65536",
            "h:x",
            "0.0.0.0:1",
            "a b:1",
        ):
            self.assertIn("--advertise", self.fault(f"--advertise={told}"))

    def test_unknown(self) -> None:
        """An option that does not exist is named."""
        self.assertEqual(self.fault("--nix"), "option --nix not recognized")


class FileTests(OptionsCase):
    """Options win over the environment, and the environment over the default."""

    def test_precedence(self) -> None:
        """``SOCP_DB`` and ``SOCP_SERVER_KEYFILE``; an empty one is none."""
        environ = {"SOCP_DB": "env.db", "SOCP_SERVER_KEYFILE": "/keys/env.json"}
        found = self.parse(environ=environ)
        self.assertEqual(
            (found.db, found.keyfile), (self.folder / "env.db", Path("/keys/env.json"))
        )
        found = self.parse("--db", "/o.db", "--keyfile", "o.json", environ=environ)
        self.assertEqual(
            (found.db, found.keyfile), (Path("/o.db"), self.folder / "o.json")
        )
        found = self.parse(environ=dict.fromkeys(environ, ""))
        self.assertEqual(found, self.parse())

    def test_folders(self) -> None:
        """A folder is no file, and no name is none either."""
        for option in ("--db", "--keyfile"):
            self.assertIn("is a folder, not a file", self.fault(option, "."))
            self.assertEqual(self.fault(option, ""), f"{option} names no file")


class TwistdTests(OptionsCase):
    """Under twistd a fault ends the process with one sentence."""

    def twistd(self, *arguments: str) -> Any:
        """Read a whole command line of twistd."""
        options = ServerOptions()
        options.parseOptions(["-n", *arguments])
        return options

    def test_exit(self) -> None:
        """The sentence is all there is: not below twistd's own options."""
        with self.assertRaises(SystemExit) as caught:
            self.twistd("socp", "--server-id", "srv-a", "--port", "0")
        self.assertEqual(
            caught.exception.code, "socp: --port '0' is not a number from 1 to 65535"
        )

    def test_pid_files(self) -> None:
        """Nodes of one folder have pid files of their own; one that is told counts."""
        id_ = ("socp", "--server-id", "srv-a")
        self.assertEqual(
            self.twistd(*id_)["pidfile"], str(self.folder / "socp-srv-a.pid")
        )
        self.assertEqual(
            self.twistd("--pidfile", "my.pid", *id_)["pidfile"],
            str(self.folder / "my.pid"),
        )
        self.assertEqual(self.twistd("--pidfile=", *id_)["pidfile"], "")

    def test_rundir(self) -> None:
        """Files lie where twistd goes, though options are read before it does."""
        (self.folder / "there").mkdir()
        told = self.twistd("--rundir", "there", "socp", "--server-id", "srv-a")
        there = self.folder / "there"
        found = told.subOptions.configuration
        self.assertEqual(
            (found.db, found.keyfile),
            (there / "socp-srv-a.db", there / "server_key_srv-a.json"),
        )

    def test_version(self) -> None:
        """The version is ours, not Twisted's."""
        with redirect_stdout(StringIO()) as shown, self.assertRaises(SystemExit):
            self.twistd("socp", "--version")
        self.assertEqual(shown.getvalue(), f"socp-twisted {__version__}\n")

    def test_help(self) -> None:
        """Every option is in the help, the limits with what they bound."""
        shown = str(Options({}))
        for one in fields(Limits):
            self.assertIn(f"--max-{one.name.replace('_', '-')}=", shown)
        for option in ("bootstrap", "bootstrap-file", "advertise", "db", "keyfile"):
            self.assertIn(f"--{option}=", shown)


class MakeServiceTests(OptionsCase):
    """``makeService`` builds a node from its options and its key; it starts nothing."""

    def test_builds(self) -> None:
        """The node is there, and nothing runs."""
        write_key_file(self.folder / "server_key_srv-a.json", "srv-a")
        options = Options({})
        options.parseOptions(["--server-id", "srv-a"])
        service = makeService(options)
        self.assertIsInstance(service, NodeService)
        self.assertFalse(service.running)

    def test_key_once(self) -> None:
        """The key is read once, and is the one in the file."""
        write_key_file(self.folder / "k.json", "srv-b")
        options = Options({})
        options.parseOptions(["--keyfile", "k.json"])
        key = options.private_key
        (self.folder / "k.json").unlink()
        makeService(options)
        self.assertIs(options.private_key, key)
        self.assertEqual(key.public.text, B)

    def test_broken_key(self) -> None:
        """A key file that is none ends the process, and stays as it is."""
        path = self.folder / "server_key_srv-a.json"
        path.write_text("{}")
        options = Options({})
        options.parseOptions(["--server-id", "srv-a"])
        with self.assertRaises(SystemExit) as caught:
            makeService(options)
        self.assertEqual(
            caught.exception.code,
            f"socp: the key file {path} is broken: not JSON with private_pem and "
            "pub_spki_b64u",
        )
        self.assertEqual(path.read_text(), "{}")

    def test_four_primes(self) -> None:
        """A key of four primes is as good as any, where there is a libcrypto."""
        path = write_key_file(self.folder / "k.json", FOUR_PRIMES)
        arguments = ["--keyfile", "k.json", "--server-id", "srv-a"]
        options = Options({})
        options.parseOptions(arguments)
        self.assertIsInstance(makeService(options), NodeService)
        self.assertEqual(options.private_key, four_primes())
        libcrypto_at(self)
        options = Options({})
        options.parseOptions(arguments)
        with self.assertRaises(SystemExit) as caught:
            makeService(options)
        self.assertEqual(
            caught.exception.code,
            f"socp: the key file {path} cannot be used here: a key of more than two "
            "primes needs libcrypto of OpenSSL 1.1.1 or later, which is not on this "
            "machine",
        )

    def test_broken_key_without_id(self) -> None:
        """Where the id is to come from the key, the options themselves are refused."""
        path = self.folder / "k.json"
        path.write_text("[]")
        with self.assertRaises(UsageError) as caught:
            Options({}).parseOptions(["--keyfile", "k.json"])
        self.assertIn(f"the key file {path} is broken", str(caught.exception))
