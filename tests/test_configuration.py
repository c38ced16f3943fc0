"""Is a bootstrap file read in both shapes, and refused in one sentence?"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from socp_twisted.configuration import (
    Configuration,
    Introducer,
    check_server_id,
    collapse,
    default_keyfile,
    read_bootstrap_file,
    read_duration,
)
from socp_twisted.errors import ConfigurationError
from tests.keyfiles import BAD_PINS, PINS

A, B, C = PINS["srv-a"], PINS["srv-b"], PINS["srv-c"]
URL_B = "ws://127.0.0.1:8766"


def configuration(**told: Any) -> Configuration:
    """Return a node's configuration that differs from a plain one in ``told``."""
    plain: dict[str, Any] = {
        "server_id": "srv-a",
        "host": "127.0.0.1",
        "port": 8765,
        "advertise_host": "127.0.0.1",
        "advertise_port": 8765,
        "db": Path("socp-srv-a.db"),
        "keyfile": Path("server_key_srv-a.json"),
    }
    return Configuration(**{**plain, **told})


class ConfigurationTests(SynchronousTestCase):
    """A configuration knows whether its bootstrap list is long enough."""

    def test_few(self) -> None:
        """One or two introducers are few; none is a node that begins a network."""
        listed = [Introducer(f"ws://127.0.0.1:{port}", B) for port in range(8766, 8770)]
        few = [
            configuration(introducers=tuple(listed[:count])).has_few_introducers
            for count in range(5)
        ]
        self.assertEqual(few, [False, True, True, False, False])


class CollapseTests(SynchronousTestCase):
    """An introducer that is listed twice is one introducer."""

    def test_repeated(self) -> None:
        """The first place in the list counts."""
        one, two = Introducer(URL_B, B), Introducer("ws://127.0.0.1:8767", C)
        self.assertEqual(collapse([one, two, one]), (one, two))

    def test_two_pins(self) -> None:
        """Two keys for one URL are a mistake, and the URL is named."""
        with self.assertRaises(ConfigurationError) as caught:
            collapse([Introducer(URL_B, B), Introducer(URL_B, C)])
        self.assertEqual(
            str(caught.exception), f"{URL_B} is pinned to two different keys"
        )


class NameTests(SynchronousTestCase):
    """Ids, file names and addresses have one form each."""

    def test_server_id(self) -> None:
        """Names of the standard's form are accepted."""
        for server_id in ("srv-a", "a", "A.b_c-d@e", "x" * 64):
            check_server_id(server_id)

    def test_bad_server_id(self) -> None:
        """Reserved and malformed names are refused, each with its reason."""
        reasons = {
            "public": "a reserved word",
            "*": "a reserved word",
            "": "not 1 to 64",
            "x" * 65: "not 1 to 64",
            "a b": "not 1 to 64",
            "../a": "not 1 to 64",
            "a\n": "not 1 to 64",
            "ä": "not 1 to 64",
        }
        for server_id, reason in reasons.items():
            with self.assertRaises(ConfigurationError) as caught:
                check_server_id(server_id)
            self.assertIn(reason, str(caught.exception))
            self.assertNotIn("\n", str(caught.exception))

    def test_default_keyfile(self) -> None:
        """Nodes of one folder have key files of their own."""
        self.assertEqual(default_keyfile("srv-a", 8765), "server_key_srv-a.json")
        self.assertEqual(default_keyfile(None, 8766), "server_key_8766.json")

    def test_durations(self) -> None:
        """A number alone is no duration, unless it is none at all."""
        good = {"0": 0, "0d": 0, "90s": 90, "2m": 120, "7d": 604_800}
        for text, seconds in good.items():
            self.assertEqual(read_duration(text), seconds)
        for text in ("7", "", "d", "-1s", "7 d", "7w", "1.5h"):
            self.assertRaises(ConfigurationError, read_duration, text)


class BootstrapFileTests(SynchronousTestCase):
    """A bootstrap file lists introducers in the standard's shape or the original's."""

    def setUp(self) -> None:
        """One file name."""
        self.path = Path(self.mktemp())

    def read(self, text: str) -> tuple[Introducer, ...]:
        """Read a file with this text."""
        self.path.write_text(text, "utf-8")
        return read_bootstrap_file(self.path)

    def fault(self, text: str) -> str:
        """Return the sentence with which a file of this text is refused."""
        with self.assertRaises(ConfigurationError) as caught:
            self.read(text)
        sentence = str(caught.exception)
        self.assertIn(str(self.path), sentence)
        self.assertNotIn("\n", sentence)
        return sentence.removeprefix(str(self.path))

    def entry_fault(self, entry: Mapping[str, Any], name: str = "") -> str:
        """Return the sentence for a list whose second entry is this one."""
        name = name or "bootstrap_servers"
        good = {
            "bootstrap_servers": {"host": "127.0.0.1", "port": 8766, "pubkey": B},
            "introducers": {"url": URL_B, "pubkey": B},
        }[name]
        sentence = self.fault(json.dumps({name: [good, entry]}))  # JSON is YAML
        start = f": entry 2 of {name}: "
        self.assertTrue(sentence.startswith(start), sentence)
        return sentence.removeprefix(start)

    def test_standard(self) -> None:
        """``bootstrap_servers`` has host, port and pubkey (SOCP 8.1)."""
        found = self.read(
            "bootstrap_servers:\n"
            f"  - host: 127.0.0.1\n    port: 8766\n    pubkey: {B}\n"
            f'  - {{host: "::1", port: 8767, pubkey: {C}}}\n'
        )
        self.assertEqual(
            found, (Introducer(URL_B, B), Introducer("ws://[::1]:8767", C))
        )

    def test_dialect(self) -> None:
        """``introducers`` has url and pubkey."""
        found = self.read(f'introducers:\n  - {{url: "{URL_B}/", pubkey: {B}}}\n')
        self.assertEqual(found, (Introducer(URL_B, B),))

    def test_both(self) -> None:
        """Both lists count, what they share counts once, other keys do not matter."""
        found = self.read(
            f"introducers:\n  - {{url: 'ws://127.0.0.1:8767', pubkey: {C}, name: c}}\n"
            "bootstrap_servers:\n"
            f"  - {{host: 127.0.0.1, port: 8766, pubkey: {B}, region: here}}\n"
            f"  - {{host: 127.0.0.1, port: 8767, pubkey: {C}}}\n"
            "version: 2\n"
        )
        self.assertEqual(
            found, (Introducer(URL_B, B), Introducer("ws://127.0.0.1:8767", C))
        )

    def test_empty_list(self) -> None:
        """A list without entries is a list."""
        self.assertEqual(self.read("introducers: []\n"), ())

    def test_no_list(self) -> None:
        """A file without either list is a mistake, whatever else it is."""
        for text in ("", "hello", "- 1", "servers: []", "42"):
            self.assertEqual(
                self.fault(text),
                " has no list named bootstrap_servers or introducers at its top level",
            )

    def test_not_a_list(self) -> None:
        """The name alone is not enough."""
        for value in ("", " 3", " {a: b}"):
            self.assertEqual(
                self.fault(f"introducers:{value}\n"), ": introducers is not a list"
            )

    def test_not_yaml(self) -> None:
        """A syntax error is told with its line; what Python would run is refused."""
        self.assertIn(", line 2 is not YAML: ", self.fault("a: 1\nb: ]\n"))
        self.assertIn(" is not YAML", self.fault("a: !!python/name:os.system\n"))
        self.assertIn(" is not YAML", self.fault("a: 2025-13-45\n"))
        self.assertIn(" is not YAML", self.fault("a: !!bool maybe\n"))
        self.assertIn(" is not YAML", self.fault("[" * 5000))
        self.assertIn(" is not YAML", self.fault("a: \x00\n"))

    def test_unreadable(self) -> None:
        """A file that is not there, or is a folder, is named with the reason."""
        missing, folder = Path(self.mktemp()), Path(self.mktemp())
        folder.mkdir()
        for path, why in (
            (missing, "No such file or directory"),
            (folder, "Is a directory"),
        ):
            with self.assertRaises(ConfigurationError) as caught:
                read_bootstrap_file(path)
            self.assertEqual(
                str(caught.exception), f"cannot read the bootstrap file {path}: {why}"
            )

    def test_bad_entry(self) -> None:
        """A field that is missing or wrong is named with its entry."""
        faults: dict[str, Mapping[str, Any]] = {
            "host is missing": {"port": 8767, "pubkey": C},
            "pubkey is missing": {"host": "h", "port": 8767},
            "host must be a host name or address": {
                "host": "a b",
                "port": 1,
                "pubkey": C,
            },
            "port must be a number from 1 to 65535": {
                "host": "h",
                "port": 65536,
                "pubkey": C,
            },
            "pubkey must be a public key in base64url": {
                "host": "h",
                "port": 1,
                "pubkey": 7,
            },
        }
        for sentence, entry in faults.items():
            self.assertEqual(self.entry_fault(entry), sentence)
        for port in ("8767", True, 0, 8767.0, None):
            entry = {"host": "h", "port": port, "pubkey": C}
            self.assertIn("port must be", self.entry_fault(entry))

    def test_no_mapping(self) -> None:
        """An entry that is only a word is told what it should have."""
        self.assertEqual(
            self.fault("introducers: [x]\n"),
            ": entry 1 of introducers: not a mapping with url, pubkey",
        )

    def test_bad_url(self) -> None:
        """A URL is as strict here as on the command line, and bears no key."""
        for url in (
            "http://h:1",
            "ws://h",
            "ws://h:0",
            "ws://h:1/x",
            5,
            f"{URL_B}#{B}",
        ):
            self.entry_fault({"url": url, "pubkey": C}, "introducers")

    def test_s16_bad_pins(self) -> None:
        """A key that is not RSA-4096 is refused before anything is dialled."""
        for pin in filter(None, BAD_PINS.values()):
            sentence = self.entry_fault({"host": "h", "port": 1, "pubkey": pin})
            self.assertTrue(sentence.startswith("the pin of ws://h:1 is unusable: "))

    def test_two_pins(self) -> None:
        """One address with two keys is a mistake."""
        sentence = self.fault(
            json.dumps(
                {
                    "introducers": [{"url": URL_B, "pubkey": B}],
                    "bootstrap_servers": [
                        {"host": "127.0.0.1", "port": 8766, "pubkey": C}
                    ],
                }
            )
        )
        self.assertEqual(sentence, f": {URL_B} is pinned to two different keys")
