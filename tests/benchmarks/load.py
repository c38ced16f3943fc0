"""
Who writes, logs in and waits?  Many users in one cheap process.

``python -m tests.benchmarks.load`` does what each line of its standard input says, and
answers with a line of JSON.  Messages have dummies for ciphertext and signature, which
servers pass on unread, so that no figure holds the cost of a client's own RSA.
"""

import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from selectors import EVENT_READ, DefaultSelector
from typing import Any, Final

from socp_twisted.trust.signatures import login_content
from socp_twisted.wire.vocabulary import HEARTBEAT_INTERVAL
from tests.benchmarks.lines import Line
from tests.benchmarks.traffic import Broadcast, Flow
from tests.benchmarks.words import (
    TS,
    USERS_KEY,
    Peering,
    Template,
    frame,
    message,
)
from tests.plain_socp import Frame, b64u, key_of, pake_password

PATIENCE: Final = 60.0
"""Seconds in which something must come of what was said."""

FOREIGN: Final = 1.0
"""Seconds after USER_HELLO_ACK in which a server says more, if it is one of ours."""

PASSWORD: Final = "correct horse battery staple"


class Load:
    """All users of this process, by name."""

    def __init__(self) -> None:
        self.selector = DefaultSelector()
        self.selector.register(sys.stdin.fileno(), EVENT_READ, None)
        self.lines: dict[str, Line] = {}
        self.errors: Counter[str] = Counter()
        self._pending = b""
        self._beat_at = time.monotonic()
        self._beats: list[tuple[Line, str, str]] = []
        self._flooding = False

    # -- the loop ----------------------------------------------------------------------

    def run(self) -> None:
        """Answer until the standard input ends."""
        while True:
            asked = self.turn(1.0)
            if asked:
                data = os.read(sys.stdin.fileno(), 1024 * 1024)
                if not data:
                    return
                self._pending += data
            while b"\n" in self._pending:
                line, _, self._pending = self._pending.partition(b"\n")
                told = json.loads(line)
                self.errors.clear()
                answer = getattr(self, f"do_{told.pop('do')}")(**told)
                print(json.dumps(answer), flush=True)

    def turn(self, seconds: float) -> bool:
        """Serve all connections once; say whether there is a question."""
        asked = False
        for key, events in self.selector.select(seconds):
            if key.data is None:
                asked = True
            else:
                key.data.ready(events)
        if self._beats and time.monotonic() - self._beat_at >= HEARTBEAT_INTERVAL:
            self._beat_at = time.monotonic()
            for line, name, key_name in self._beats:
                line.say(frame("HEARTBEAT", name, "*", {}, key_name))
        return asked

    def until(self, condition: Callable[[], Any], seconds: float = PATIENCE) -> bool:
        """Serve all connections until something is so; say whether it came to that."""
        ends = time.monotonic() + seconds
        while not condition():
            left = ends - time.monotonic()
            if left <= 0:
                return False
            self.turn(min(left, 0.05))
        return True

    def spend(self, seconds: float) -> None:
        """Serve all connections for so long."""
        self.until(lambda: False, seconds)

    # -- coming and going --------------------------------------------------------------

    def connect(self, url: str, name: str) -> Line:
        """Open a connection; it may not be a WebSocket yet."""
        line = self.lines[name] = Line(url, self.selector)
        line.name = name
        return line

    def do_enter(
        self,
        url: str,
        names: list[str],
        how: str = "hello",
        extras: Iterable[str] = (),
        together: int = 50,
        bound: bool = False,
    ) -> dict[str, Any]:
        """
        Log users in, so many at a time; say how long it took.

        ``hello``: by the signature of the standard's USER_HELLO; ``proof``: as this
        project's clients do; ``password``: by an account's.  With ``bound`` they name
        the TLS connection, so that nothing on it has to be signed (RFC 9266).
        """
        began = time.perf_counter()
        for start in range(0, len(names), together):
            lines = []
            for name in names[start : start + together]:
                line = self.connect(url, name)
                line.state |= {"how": how, "extras": list(extras), "bound": bound}
                line.heard = self._entering
                lines.append(line)
            greeted: set[str] = set()
            self._greet(lines, greeted)
            done = self.until(lambda lines=lines: self._are_in(lines))  # type: ignore[misc]
            if not done:
                here = [one for one in lines if not one.state.get("in")]
                raise RuntimeError(
                    f"{len(here)} users are not logged in: {dict(self.errors)} "
                    f"{here[0].closed or here[0].state}"
                )
        for line in (self.lines[name] for name in names):
            line.heard = _nothing
        return {"seconds": time.perf_counter() - began}

    def _greet(self, lines: list[Line], greeted: set[str]) -> None:
        """Say who they are, as soon as each is a WebSocket."""

        def go_on() -> bool:
            for line in lines:
                if line.open and line.name not in greeted:
                    greeted.add(line.name)
                    line.say(self._first_words(line))
            return len(greeted) == len(lines)

        if not self.until(go_on):
            raise RuntimeError(f"no WebSocket: {lines[0].closed}")

    def _first_words(self, line: Line) -> Frame:
        name, how = line.name, line.state["how"]
        if how == "password":
            told = {"user_id": name, "password": PASSWORD}
            return frame("USER_LOGIN", name, "*", told)
        key = key_of(USERS_KEY)
        hello: Frame = {
            "client": "load",
            "pubkey": key.public,
            "enc_pubkey": key.public,
        }
        if line.state["extras"]:
            hello["meta"] = {"extras": line.state["extras"]}
        if how == "proof":
            hello["nonce"] = "0" * 43
        if line.state["bound"]:
            hello["tls_exporter"] = b64u(line.exporter())
        return frame("USER_HELLO", name, "*", hello, USERS_KEY)

    def _entering(self, line: Line, text: bytes) -> None:
        if b'"USER_ADDED"' in text:
            return
        if b'"ERROR"' in text:
            self.note_error(text)
        elif b'"PUBLIC_CHANNEL_SNAPSHOT"' in text:
            line.state["in"] = True
        elif b'"USER_HELLO_ACK"' in text:
            line.state["greeted"] = time.monotonic()
            if line.state["how"] == "proof":
                self._prove(line, json.loads(text))

    def _prove(self, line: Line, ack: Frame) -> None:
        told = ack["payload"]
        content = login_content(
            told["nonce"], told["server_id"], told["pubkey"], line.name
        )
        proof = key_of(USERS_KEY).sign(content)
        login = {"user_id": line.name, "proof": proof}
        line.say(frame("USER_LOGIN", line.name, told["server_id"], login))

    def _are_in(self, lines: list[Line]) -> bool:
        now = time.monotonic()
        for line in lines:
            late = now - line.state.get("greeted", now) > FOREIGN
            # A server of others says no more than this: they are in.
            if late and line.state["how"] == "hello":
                line.state["in"] = True
        return all(line.state.get("in") for line in lines)

    def do_register(self, url: str, names: list[str]) -> dict[str, Any]:
        """Make an account for each of these names, on one connection."""
        line = self.connect(url, "registrar")
        account = {
            "pubkey": key_of(USERS_KEY).public,
            "privkey_store": "sealed",
            "pake_password": pake_password(PASSWORD),
        }
        done: Counter[str] = Counter()
        line.heard = lambda _, text: done.update(
            ["ERROR" if b'"ERROR"' in text else ""]
        )
        self.until(lambda: line.open)
        for name in names:
            told = {"user_id": name, **account}
            line.say(frame("USER_REGISTER", name, "*", told))
        self.until(lambda: done.total() == len(names) or line.closed)
        self.do_leave(["registrar"])
        return {"refused": len(names) - done[""]}

    def do_connect(self, url: str, names: list[str]) -> dict[str, Any]:
        """Open bare connections, and say nothing on them."""
        for name in names:
            self.connect(url, name)
            self.turn(0)
        lines = [self.lines[name] for name in names]
        if not self.until(lambda: all(line.open for line in lines)):
            raise RuntimeError("not all connections are WebSockets")
        return {}

    def do_leave(self, names: list[str]) -> dict[str, Any]:
        """Break connections."""
        for name in names:
            self.lines.pop(name).close()
        return {}

    def do_wait(self, seconds: float) -> dict[str, Any]:
        """Serve all connections, and do nothing else; say which are gone."""
        self.spend(seconds)
        gone = [line.name for line in self.lines.values() if line.closed]
        return {"gone": gone, "why": self.lines[gone[0]].closed if gone else ""}

    def do_peers(self, url: str, node: str, names: list[str]) -> dict[str, Any]:
        """Link stand-ins for servers, which say that they are there and no more."""
        linked: list[str] = []
        for name in names:
            line = self.connect(url, name)
            self.until(lambda line=line: line.open)  # type: ignore[misc]
            link = Peering(line, node, key_of(name))
            line.heard = link.heard
            link.join()
            self.until(lambda link=link: link.linked)  # type: ignore[misc]
            linked += [name] * link.linked
            self._beats.append((line, name, name))
        return {"linked": linked}

    # -- writing -----------------------------------------------------------------------

    def do_direct(
        self, pairs: list[tuple[str, str]], seconds: float, warm: float, window: int
    ) -> dict[str, Any]:
        """Write to everybody all the time, so many messages each on their way."""
        flow = Flow(self, pairs)
        flow.start(window)
        self.spend(warm)
        delivered, took = flow.count(seconds)
        flow.going = False
        self.until(lambda: flow.waiting <= 0, 5.0)
        return {
            "delivered": delivered,
            "seconds": took,
            "in all": flow.delivered,
            "signed": flow.is_signed,
            "errors": dict(self.errors),
        }

    def do_lone(
        self, sender: str, to: str, seconds: float, gap: float
    ) -> dict[str, Any]:
        """Write one message at a time, with a pause after each; say what each took."""
        came: list[float] = []
        self.lines[to].heard = lambda _, text: (
            came.append(time.perf_counter()) if b'"USER_DELIVER"' in text else None
        )
        self.lines[sender].heard = self.expect_errors
        frames = message("MSG_DIRECT", sender, to)
        latencies: list[float] = []
        ends = time.perf_counter() + seconds
        while time.perf_counter() < ends or not latencies:
            sent = time.perf_counter()
            self.lines[sender].write(frames.next())
            if not self.until(lambda: came, 20.0):
                raise RuntimeError(f"a lone message did not arrive: {self.errors}")
            latencies.append(came.pop() - sent)
            self.spend(gap)
        return {"latencies": latencies, "errors": dict(self.errors)}

    def do_flood(self, sender: str, to: str, size: int, window: int) -> dict[str, Any]:
        """Begin a file without end, with so many chunks on their way."""
        writer, reader = self.lines[sender], self.lines[to]
        start = {"file_id": "flood", "name": "flood", "size": 10**8, "mode": "dm"}
        start |= {"sha256": "0" * 64, "to": to}
        chunk = {"file_id": "flood", "index": 0, "to": to}
        chunk["ciphertext"] = b64u(bytes(size))
        text = frame("FILE_CHUNK", sender, to, chunk)
        del text["id"]  # nobody asks for an ACK of each
        frames = Template({**text, "ts": TS})
        self._flooding, passed = True, [0]
        writer.state["passed"] = passed

        def heard(line: Line, text: bytes) -> None:
            if b'"FILE_CHUNK_DELIVER"' in text[:200]:
                passed[0] += 1
                if self._flooding:
                    writer.write(frames.next())

        reader.heard, writer.heard = heard, self.expect_errors
        writer.say(frame("FILE_START", sender, to, start))
        for _ in range(window):
            writer.write(frames.next())
        return {}

    def do_ebb(self, sender: str, to: str) -> dict[str, Any]:
        """End that file; say how many chunks were passed on."""
        self._flooding = False
        passed = self.lines[sender].state["passed"]
        seen = -1
        while seen != passed[0]:  # what is on its way arrives
            seen = passed[0]
            self.spend(0.1)
        end = {"file_id": "flood", "to": to}
        self.lines[sender].say(frame("FILE_END", sender, to, end))
        self.spend(0.05)
        return {"chunks": passed[0], "errors": dict(self.errors)}

    def do_public(
        self,
        sender: str,
        members: list[str],
        seconds: float,
        warm: float,
        window: int,
        bare: bool = False,
        size: int = 0,
    ) -> dict[str, Any]:
        """
        Write to everybody at once, so many messages on their way.

        A ``bare`` server passes on what it is sent: ``size`` bytes.
        """
        cast = Broadcast(self, sender, members, size if bare else 0)
        cast.start(window)
        if not self.until(lambda: cast.delivered or self.errors, 5.0) or self.errors:
            return {"delivered": 0, "seconds": 5.0, "errors": dict(self.errors)}
        self.spend(warm)
        delivered, took = cast.count(seconds)
        cast.going = False
        self.until(lambda: cast.waiting <= 0, 5.0)
        cast.acknowledge()
        told = {"delivered": delivered, "seconds": took, "size": cast.size}
        return {**told, "errors": {}}

    def expect_errors(self, line: Line, text: bytes) -> None:
        """Take what comes to a writer: nothing but errors counts."""
        if b'"ERROR"' in text:
            self.note_error(text)

    def note_error(self, text: bytes) -> None:
        """Count an ERROR by what it says."""
        told = json.loads(text)["payload"]
        self.errors[f"{told.get('code')}: {told.get('detail')}"[:120]] += 1


def _nothing(line: Line, text: bytes) -> None:
    """What comes is nobody's business now."""


if __name__ == "__main__":
    Load().run()
