"""What does a typed line mean?  A command, or one sentence that says why not."""

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from socp_twisted.client.display import harmless
from socp_twisted.client.terminal.commands import (
    DEFAULT_WAIT,
    Accept,
    Command,
    Decline,
    Expect,
    Help,
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
    WhoIs,
)
from socp_twisted.client.terminal.record import NAMES
from socp_twisted.wire.envelope import is_identifier
from socp_twisted.wire.vocabulary import PUBLIC

MAX_WAIT: Final = 3600.0
_SECONDS: Final = re.compile(r"[0-9]{1,5}(\.[0-9]{1,3})?\Z")
_FINGERPRINT: Final = re.compile(r"[0-9a-f]{64}\Z")


def parse(line: str, conversation: str = "") -> Command | None:
    """
    Return what a line asks for, None if it is blank, or raise ``NotUnderstood``.

    Text without a command goes to ``conversation``: a user id, "public", or "" for
    nobody yet.  Two slashes begin a text that begins with one.
    """
    line = line.rstrip("\r\n")
    start = line.lstrip()
    if not start:
        return None
    if start.startswith("//"):
        return _plain(start[1:], conversation)
    if not start.startswith("/"):
        return _plain(line, conversation)
    word, rest = _cut(start[1:])
    entry = WORDS.get(word.lower())
    if entry is None or start[1:2].isspace():
        raise NotUnderstood(_unknown(word))
    return entry.read(rest)


def word_of(line: str) -> str:
    """Return the name of a line's command, for whoever reads how it ended."""
    start = line.lstrip()
    if not start.startswith("/") or start.startswith("//"):
        return "text"
    word, *_ = start[1:].split(None, 1) or [""]
    return word.lower() if word.lower() in WORDS else "unknown"


def without_secrets(line: str) -> str:
    """Return a line as a history may keep it: never with a passphrase."""
    start = line.lstrip()
    if not start.startswith("/") or start.startswith("//"):
        return line
    word, rest = _cut(start[1:])
    if word.lower() not in WORDS:
        return ""  # perhaps a /login that was mistyped
    if word.lower() in ("login", "register"):
        return f"/{word} {_cut(rest)[0]}".rstrip()
    return line


def help_lines(word: str = "") -> list[str]:
    """Return what /help shows, or raise ``NotUnderstood`` for an unknown word."""
    word = word.lstrip("/").lower()
    if word and word not in WORDS:
        raise NotUnderstood(_unknown(word))
    shown = [WORDS[word]] if word else WORDS.values()
    lines = [f"{entry.usage:<33} {entry.meaning}" for entry in shown]
    return lines if word else [*lines, *_MORE_HELP]


# -- how each is read ------------------------------------------------------------------


def _cut(text: str) -> tuple[str, str]:
    """Split at the first white space; what follows keeps its own."""
    pieces = text.split(None, 1)
    return (pieces[0] if pieces else "", pieces[1] if len(pieces) > 1 else "")


def _plain(text: str, conversation: str) -> Command:
    if not conversation:
        raise NotUnderstood(
            "to whom? begin with /tell <user> <text> or /all <text>; "
            "plain lines then go on to the same"
        )
    return TellAll(text) if conversation == PUBLIC else Tell(conversation, text)


def _unknown(word: str) -> str:
    shown = harmless(word[:40])
    near = difflib.get_close_matches(word.lower()[:40], WORDS, 1)
    hint = f"did you mean /{near[0]}? " if near else ""
    return f"there is no command /{shown}; {hint}/help lists them all"


def _user(text: str, word: str) -> str:
    if not text:
        raise NotUnderstood(_usage(word))
    if text == PUBLIC:
        raise NotUnderstood("'public' is everybody, not a user: write /all <text>")
    if not is_identifier(text):
        raise NotUnderstood(
            f"{harmless(text[:40])!r} is no user id: those are 1 to 64 letters, "
            "digits or ._-@"
        )
    return text


def _usage(word: str) -> str:
    return f"it is {WORDS[word].usage}"


def _credentials(kind: type[Register] | type[LogIn], word: str) -> "Read":
    def read(rest: str) -> Command:
        user, passphrase = _cut(rest)
        return kind(_user(user, word), passphrase) if user else kind()

    return read


def _bare(command: Command, word: str) -> "Read":
    def read(rest: str) -> Command:
        if rest.strip():
            raise NotUnderstood(f"/{word} takes nothing after it")
        return command

    return read


def _tell(rest: str) -> Command:
    user, text = _cut(rest)
    user = _user(user, "tell")
    if not text:
        raise NotUnderstood(f"there is no text: {_usage('tell')}")
    return Tell(user, text)


def _all(rest: str) -> Command:
    if not rest:
        raise NotUnderstood(f"there is no text: {_usage('all')}")
    return TellAll(rest)


def _file(rest: str) -> Command:
    user, path = _cut(rest)
    path = path.strip()
    user = user if user == PUBLIC else _user(user, "file")
    if not path:
        raise NotUnderstood(f"there is no path: {_usage('file')}")
    if "\0" in path:
        raise NotUnderstood("a path cannot have a NUL character")
    return SendFile(user, path)


def _whois(rest: str) -> Command:
    user, more = _cut(rest)
    if more:
        raise NotUnderstood(_usage("whois"))
    return WhoIs(_user(user, "whois"))


def _answer(text: str, word: str) -> str:
    answer = "".join(text.split()).lower()
    if answer not in ("", "yes") and not _FINGERPRINT.match(answer):
        raise NotUnderstood(
            f"after /{word} comes yes, a fingerprint of 64 hex digits, or nothing"
        )
    return answer


def _verify(rest: str) -> Command:
    user, answer = _cut(rest)
    user = _user(user, "verify")
    return Verify(user, _answer(answer, f"verify {user}"))


def _seconds(text: str) -> float:
    if not _SECONDS.match(text) or float(text) > MAX_WAIT:
        raise NotUnderstood(
            f"{harmless(text[:40])!r} is no number of seconds up to {MAX_WAIT:g}"
        )
    return float(text)


def _wait(rest: str) -> Command:
    if not rest:
        raise NotUnderstood(_usage("wait"))
    return Wait(_seconds(rest.strip()))


def _expect(rest: str) -> Command:
    name, more = _cut(rest)
    if not name:
        raise NotUnderstood(_usage("expect"))
    if name not in NAMES:
        known = ", ".join(sorted(NAMES))
        raise NotUnderstood(f"there is no event {harmless(name[:40])!r}, only {known}")
    fields = []
    seconds = DEFAULT_WAIT
    for token in more.split():
        what, equals, value = token.partition("=")
        if equals:
            fields.append((what, value))
        else:
            seconds = _seconds(token)
    return Expect(name, tuple(fields), seconds)


def _help(rest: str) -> Command:
    help_lines(rest.strip())
    return Help(rest.strip())


Read = Callable[[str], Command]


@dataclass(frozen=True, slots=True)
class Word:
    """One command: how it is written, what it does, and how its rest is read."""

    usage: str
    meaning: str
    read: Read


WORDS: Final[Mapping[str, Word]] = {
    "tell": Word("/tell <user> <text>", "write to one user", _tell),
    "all": Word("/all <text>", "write to everybody online", _all),
    "list": Word("/list", "who is online", _bare(ListUsers(), "list")),
    "file": Word(
        "/file <user|public> <path>", "send a file; spaces need no quotes", _file
    ),
    "accept": Word(
        "/accept [file]",
        "take an offered file, by number or name",
        lambda rest: Accept(rest.strip()),
    ),
    "decline": Word(
        "/decline [file]",
        "decline an offer, or break off a transfer",
        lambda rest: Decline(rest.strip()),
    ),
    "whois": Word("/whois <user>", "what is known of a user", _whois),
    "verify": Word(
        "/verify <user> [yes]", "compare keys; yes trusts what was shown", _verify
    ),
    "server": Word(
        "/server [yes]",
        "the same for the server's key",
        lambda rest: Server(_answer(rest, "server")),
    ),
    "register": Word(
        "/register [user] [passphrase]",
        "make an account here, or update yours",
        _credentials(Register, "register"),
    ),
    "login": Word(
        "/login [user] [passphrase]",
        "log in; alone: connect again",
        _credentials(LogIn, "login"),
    ),
    "wait": Word("/wait <seconds>", "for scripts: let time pass", _wait),
    "expect": Word(
        "/expect <event> [seconds]",
        "for scripts: wait for an event; field=value narrows it",
        _expect,
    ),
    "help": Word("/help [command]", "this list", _help),
    "quit": Word(
        "/quit",
        "leave; so does Ctrl-C or Ctrl-D on an empty line",
        _bare(Quit(), "quit"),
    ),
}
"""What may follow the slash."""

_MORE_HELP: Final = (
    "A line without a slash goes to the last one you wrote to, whom the prompt shows;",
    "begin it with // if the text itself begins with a slash.",
    "At the first start you choose a name and a passphrase, a key is made, and the",
    "account is registered.  An account that you have from elsewhere: leave the",
    "passphrase empty, then /login <user>, which fetches its key.",
)
