"""What does a typed line mean, and what may be kept of it?"""

import stat
from pathlib import Path
from typing import get_args

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from socp_twisted.client.display import harmless
from socp_twisted.client.terminal import commands
from socp_twisted.client.terminal.commands import (
    Accept,
    Command,
    Expect,
    ListUsers,
    LogIn,
    NotUnderstood,
    Quit,
    Register,
    SendFile,
    Server,
    Tell,
    TellAll,
    Verify,
    Wait,
)
from socp_twisted.client.terminal.keyring import (
    LineMemory,
    find_key,
    keep_key,
    key_file,
    told_passphrase,
    users_with_keys,
)
from socp_twisted.client.terminal.places import (
    check_url,
    find_path,
    is_open_to_listeners,
)
from socp_twisted.client.terminal.reading import (
    WORDS,
    help_lines,
    parse,
    without_secrets,
    word_of,
)
from socp_twisted.client.terminal.talk import PERFORM
from socp_twisted.errors import ConfigurationError
from tests.vector_files import private

LINES = st.one_of(
    st.text(st.characters()),
    st.builds(
        "{}/{}{}{}".format,
        st.sampled_from(["", " ", "/"]),
        st.sampled_from([*WORDS, "TELL", "tel", ""]),
        st.sampled_from(["", " ", "  ", "\t"]),
        st.text(st.characters()),
    ),
)


class ParseTests(SynchronousTestCase):
    """Every line is a command, blank, or told to be neither in one sentence."""

    def refused(self, line: str, conversation: str = "") -> str:
        """Return the sentence."""
        return str(self.assertRaises(NotUnderstood, parse, line, conversation))

    def test_commands(self) -> None:
        """Each command with what follows it; case and leading blanks do not matter."""
        digest = "ab12 " * 16
        expected: dict[str, Command] = {
            "/list": ListUsers(),
            "  /LIST ": ListUsers(),
            "/tell bob hi": Tell("bob", "hi"),
            "/tell  bob  two  blanks ": Tell("bob", "two  blanks "),
            '/tell bob it\'s "quoted" \\ text': Tell("bob", 'it\'s "quoted" \\ text'),
            "/tell bob two\nlines": Tell("bob", "two\nlines"),
            "/all it's me": TellAll("it's me"),
            "/file bob /a b/c d.txt ": SendFile("bob", "/a b/c d.txt"),
            "/file public x": SendFile("public", "x"),
            "/register": Register(),
            "/register alice": Register("alice"),
            "/login alice pass word ": LogIn("alice", "pass word "),
            "/accept": Accept(),
            "/accept a file.txt": Accept("a file.txt"),
            "/verify bob": Verify("bob"),
            "/verify bob yes": Verify("bob", "yes"),
            f"/verify bob {digest.upper()}": Verify("bob", "ab12" * 16),
            "/server": Server(),
            "/wait 1.5": Wait(1.5),
            "/expect text": Expect("text"),
            "/expect text sender=bob public=true 5": Expect(
                "text", (("sender", "bob"), ("public", "true")), 5.0
            ),
            "/quit\r\n": Quit(),
        }
        for line, command in expected.items():
            self.assertEqual(parse(line), command, line)

    def test_plain(self) -> None:
        """A plain line goes on with the conversation; two slashes begin with one."""
        self.assertEqual(parse("it's ", "bob"), Tell("bob", "it's "))
        self.assertEqual(parse("hi", "public"), TellAll("hi"))
        self.assertEqual(parse("//etc", "bob"), Tell("bob", "/etc"))
        self.assertIn("to whom?", self.refused("hi"))
        for blank in ("", "  ", "\n", "\t\r\n"):
            self.assertIsNone(parse(blank, "bob"))

    def test_wrong(self) -> None:
        """What is wrong is said, and what would be right."""
        expected = {
            "/": "/help lists them all",
            "/ list": "there is no command",
            "/tel bob hi": "did you mean /tell?",
            "/\x1b[31m": "\\x1b[31m",
            "/tell": "it is /tell <user> <text>",
            "/tell bob": "there is no text",
            "/tell b\u202eb hi": "is no user id",
            "/tell public hi": "write /all <text>",
            "/all": "there is no text",
            "/file bob": "there is no path",
            "/file bob a\0b": "NUL",
            "/list x": "takes nothing",
            "/whois": "it is /whois <user>",
            "/whois bob x": "it is /whois <user>",
            "/verify bob no": "yes, a fingerprint",
            "/login *": "is no user id",
            "/wait": "it is /wait <seconds>",
            "/wait 1e9": "no number of seconds",
            "/wait 99999": "no number of seconds",
            "/expect": "it is /expect",
            "/expect nothing": "there is no event",
            "/expect text soon": "no number of seconds",
            "/help nothing": "there is no command /nothing",
        }
        for line, part in expected.items():
            self.assertIn(part, self.refused(line), line)

    @given(LINES, st.sampled_from(["", "bob", "public"]))
    def test_r17_any_line(self, line: str, conversation: str) -> None:
        """No line does anything but give a command or one harmless sentence."""
        try:
            command = parse(line, conversation)
        except NotUnderstood as why:
            self.assertEqual(str(why), harmless(str(why)))
        else:
            self.assertTrue(command is None or type(command) in PERFORM)
        self.assertTrue(word_of(line))
        without_secrets(line)

    def test_every_command_is_carried_out(self) -> None:
        """Each value that a line can mean has somebody who does it."""
        self.assertEqual(set(get_args(commands.Command)), set(PERFORM))

    def test_secrets_do_not_show(self) -> None:
        """What a command shows of itself has neither passphrases nor texts."""
        shown = f"{parse('/login a secret')} {parse('/tell a secret')}"
        self.assertNotIn("secret", shown)

    def test_help(self) -> None:
        """The help names every command and fits a terminal; one command has one."""
        lines = help_lines()
        for word in WORDS:
            self.assertTrue(any(line.startswith(f"/{word}") for line in lines), word)
        self.assertLess(max(map(len, lines)), 95)
        self.assertEqual(len(help_lines("/tell")), 1)


class MemoryTests(SynchronousTestCase):
    """A history is for its owner alone, and never has a passphrase."""

    def setUp(self) -> None:
        """A folder that is not there yet."""
        self.path = Path(self.mktemp()) / "history"

    def test_passphrases(self) -> None:
        """Of /login and /register the user is kept; mistyped commands are not."""
        memory = LineMemory(self.path)
        kept = [
            memory.add(line)
            for line in (
                "/login alice secret",
                "  /REGISTER alice  secret too",
                "/logn alice secret",
                "/tell bob hi",
                "plain",
                "//x",
            )
        ]
        self.assertEqual(
            kept,
            ["/login alice", "/REGISTER alice", "", "/tell bob hi", "plain", "//x"],
        )
        self.assertNotIn("secret", self.path.read_text())
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)
        self.assertEqual(LineMemory(self.path).lines, [one for one in kept if one])

    @given(st.lists(st.text(st.characters()), max_size=5))
    def test_any_line(self, lines: list[str]) -> None:
        """Whatever was typed comes back as it was."""
        path = Path(self.mktemp()) / "history"
        memory = LineMemory(path)
        for line in lines:
            memory.add(line)
        self.assertEqual(LineMemory(path).lines, memory.lines)

    def test_broken(self) -> None:
        """A file that is no history is no reason not to start, and it is kept short."""
        self.path.parent.mkdir()
        self.path.write_bytes(b"\xff\n")
        self.assertEqual(LineMemory(self.path).lines, [])
        self.path.write_text('1\n{\n"x"\n' + '"y"\n"z"\n' * 1500)
        self.assertEqual(len(LineMemory(self.path).lines), 1000)
        self.assertEqual(len(self.path.read_text().splitlines()), 1000)
        unwritable = LineMemory(self.path / "history")
        self.assertEqual(unwritable.add("x"), "x")


class KeyringTests(SynchronousTestCase):
    """One key file for each user, in the home folder."""

    def test_files(self) -> None:
        """What was kept is found with its passphrase, and with no other."""
        home = Path(self.mktemp())
        self.assertEqual(users_with_keys(home), [])
        self.assertIsNone(find_key(home, "alice", "pw"))
        keep_key(home, "alice", private("alice"), "pw")
        self.assertEqual(find_key(home, "alice", "pw"), private("alice"))
        self.assertRaises(ConfigurationError, find_key, home, "alice", "wrong")
        keep_key(home, "alice", private("alice"), "new")
        self.assertEqual(find_key(home, "alice", "new"), private("alice"))
        (home / "not a user.key").touch()
        self.assertEqual(users_with_keys(home), ["alice"])
        mode = stat.S_IMODE(key_file(home, "alice").stat().st_mode)
        self.assertEqual(mode, 0o600)

    def test_passphrase(self) -> None:
        """The file wins over the environment; one that is told must be there."""
        path = Path(self.mktemp())
        told = {"SOCP_PASSPHRASE": "from there"}
        self.assertEqual(told_passphrase(None, told), "from there")
        self.assertEqual(told_passphrase(None, {}), "")
        self.assertRaises(ConfigurationError, told_passphrase, path, told)
        path.write_text("first line\nsecond\n")
        self.assertEqual(told_passphrase(path, told), "first line")
        path.write_text("\n")
        self.assertRaises(ConfigurationError, told_passphrase, path, told)


class PlaceTests(SynchronousTestCase):
    """Paths as people paste them, addresses as people type them."""

    def test_paths(self) -> None:
        """A name with blanks is found plain, in quotes, and with backslashes."""
        folder = Path(self.mktemp())
        folder.mkdir()
        path = folder / "it's a file"
        path.touch()
        for typed in (f"{path}", f'"{path}"', str(path).replace(" ", "\\ ")):
            self.assertEqual(find_path(typed), path)
        self.assertEqual(find_path("'nowhere'"), Path("'nowhere'"))
        self.assertRaises(NotUnderstood, find_path, "\ud800")
        self.assertRaises(NotUnderstood, find_path, "x" * 5000)

    @given(st.text(st.characters(exclude_characters="\0"), min_size=1))
    def test_any_path(self, typed: str) -> None:
        """Nothing that can be typed does more than not to be there."""
        try:
            find_path(typed)
        except NotUnderstood as why:
            self.assertEqual(str(why), "no file can have this name")

    def test_urls(self) -> None:
        """What cannot be dialled is told before anybody is asked for a passphrase."""
        for url in (
            "",
            "x",
            "http://a:1",
            "ws://a",
            "ws://a:x",
            "ws://:1",
            "ws://a:1#",
        ):
            self.assertRaises(ConfigurationError, check_url, url)
        check_url("ws://127.0.0.1:8765")
        check_url("ws://[::1]:8765")

    def test_listeners(self) -> None:
        """Beyond the loopback, and without TLS, others may listen."""
        for url in ("ws://10.0.0.1:1", "ws://chat.example:1", "ws://[2001:db8::1]:1"):
            self.assertTrue(is_open_to_listeners(url), url)
        for url in (
            "ws://127.0.0.2:1",
            "ws://localhost:1",
            "ws://[::1]:1",
            "wss://a:1",
        ):
            self.assertFalse(is_open_to_listeners(url), url)
