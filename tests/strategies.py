"""What may a peer send?  Hypothesis strategies for wire values, shared by the tests."""

import json
from dataclasses import MISSING, is_dataclass
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from socp_twisted.wire import payloads as wire
from socp_twisted.wire.encoding import MAX_INTEGER, b64u_encode
from socp_twisted.wire.envelope import Envelope
from socp_twisted.wire.payloads.payload import plan
from socp_twisted.wire.vocabulary import RESERVED_IDS, RSA_BYTES

# A shared machine stalls now and then, and that is not what these tests are about.
quick = settings(
    max_examples=60,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
"""For each property test: bounded, the same on each run, and never about time."""

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=24)
"""Text that UTF-8 can carry: everything but lone surrogates."""

nasty = st.text(
    st.characters()
    | st.sampled_from("\x1b\n\r\t\u202e\u2066\u200d\u200c\ufe0f\u200b\ufeff\u0301./\\")
)
"""Text that would like to act on a terminal, or to lead out of a folder."""

integers = st.integers(-MAX_INTEGER, MAX_INTEGER)
times = st.integers(0, MAX_INTEGER)
"""``ts``, in milliseconds."""

identifiers = st.text(_LETTERS + "._-@", min_size=1, max_size=64).filter(
    lambda text: text not in RESERVED_IDS
)
types = st.text(_LETTERS + "_.-", min_size=1, max_size=64)
references = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=128)
addresses = st.one_of(
    identifiers, st.sampled_from(["*", "public", "ws://127.0.0.1:8765", "[::1]:8765"])
)

values = st.recursive(
    st.none() | st.booleans() | integers | texts,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3)
    ),
    max_leaves=8,
)
"""Any JSON value that a payload may hold: no floats, no integers beyond 2**53."""

objects = st.dictionaries(texts, values, max_size=4)

base64url = st.binary(min_size=1, max_size=40).map(b64u_encode)
ciphertexts = st.integers(1, 3).map(lambda n: b64u_encode(bytes(range(256)) * 2 * n))
assert len(bytes(range(256)) * 2) == RSA_BYTES


@st.composite
def envelopes(draw: st.DrawFn) -> Envelope:
    """Return an envelope of our own, unsigned, as ``create`` makes it."""
    return Envelope.create(
        draw(types),
        draw(identifiers),
        draw(addresses),
        draw(times),
        draw(objects),
        id=draw(references),
    )


@st.composite
def mutated_frames(draw: st.DrawFn) -> bytes:
    """Return a valid frame with something cut out, put in, or exchanged."""
    frame = draw(envelopes()).to_frame("c2ln")
    start = draw(st.integers(0, len(frame)))
    end = draw(st.integers(start, min(start + 12, len(frame))))
    junk = draw(
        st.binary(max_size=4)
        | st.sampled_from(
            b'" { } [[ 1.5 NaN null true \\ud800 \\u0000 "payload":[], "ts":-1, '
            b"\xef\xbb\xbf 99999999999999999999".split()
        )
    )
    return frame[:start] + junk + frame[end:]


@st.composite
def exchanged_frames(draw: st.DrawFn) -> bytes:
    """Return a frame in which one field is missing or any JSON value at all."""
    fields = json.loads(draw(envelopes()).to_frame("c2ln"))
    name = draw(st.sampled_from(sorted(fields)))
    if draw(st.booleans()):
        del fields[name]
    else:
        fields[name] = draw(values | st.floats())
    return json.dumps(fields).encode("utf-8")


# -- payloads --------------------------------------------------------------------------

_short = st.text(_LETTERS, max_size=16)
_entries = st.lists(objects, max_size=2)
_hosts = st.sampled_from(["127.0.0.1", "::1", "srv-a.example", "fe80::1%eth0", "a_b"])

file_names = st.text(
    st.characters(
        exclude_categories=["Cc", "Cf", "Cs", "Zl", "Zp"],
        exclude_characters="/\\",
        include_characters="\u200c\u200d",
    ),
    min_size=1,
    max_size=63,  # of at most four bytes each
).filter(lambda name: name not in (".", "..") and name.strip(" \u200c\u200d") != "")
"""Plain names of files: no folder, nothing that steers a terminal."""

hashes = st.text("0123456789abcdefABCDEF", min_size=64, max_size=64)
"""SHA-256 of something, in hex."""

# What a field holds, by its name; where classes differ, by class and name.
_FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "host": _hosts,
    "port": st.integers(1, 65535),
    "pubkey": _short.filter(bool),
    "enc_pubkey": _short,
    "sender_pub": _short.filter(bool),
    "agent": _short,
    "client": _short,
    "caps": st.lists(_short, max_size=3),
    "instance": _short,
    "nonce": _short,
    "answer": _short,
    "peer": _short,
    "peer_key": _short,
    "tls_exporter": _short,
    "secure": st.booleans(),
    "server_id": identifiers,
    "user_id": identifiers,
    "assigned_id": identifiers,
    "sender": identifiers,
    "to": identifiers,
    "servers": _entries,
    "clients": _entries,
    "introducer": objects,
    "meta": objects,
    "links": st.none() | st.lists(identifiers, max_size=3),
    "ciphertext": ciphertexts,
    "FileChunk.ciphertext": base64url,
    "content_sig": base64url,
    "ts": st.none() | times,
    "privkey_store": texts,
    "pake_password": texts,
    "password": texts,
    "proof": st.just("") | base64url,
    "file_id": st.text(_LETTERS + "-_", min_size=1, max_size=64),
    "name": file_names,
    "size": st.integers(0, wire.MAX_FILE),
    "sha256": hashes,
    "recipient_key": st.just("") | hashes,
    "mode": st.sampled_from(["dm", "public"]),
    "manifest": ciphertexts,
    "index": st.integers(0, 2**32),
    "accept": st.booleans(),
    "aborted": st.booleans(),
    "fetch": st.booleans(),
    "reason": texts,
    "add": st.lists(identifiers, max_size=3),
    "if_version": st.integers(0, MAX_INTEGER),
    "key_id": st.text(_LETTERS + "-_", min_size=1, max_size=64),
    "seq": times,
    "shares": st.lists(
        st.fixed_dictionaries(
            {"member": identifiers, "wrapped_public_channel_key": ciphertexts}
        ),
        max_size=2,
    ),
    "creator_pub": _short.filter(bool),
    "msg_refs": st.lists(_short, max_size=3),
    "refused": st.lists(_short, max_size=3),
    "received": st.lists(identifiers, max_size=3),
    "ChannelMessage.ts": times,
    "code": _short.filter(bool),
    "detail": texts,
    "msg_ref": _short,
    "type": _short,
    "Binding.instance": _short.filter(bool),
    "at": times,
    "Binding.to": st.text(_LETTERS, max_size=300),
}

PAYLOADS: tuple[type[wire.Payload], ...] = tuple(
    cls
    for cls in vars(wire).values()
    if isinstance(cls, type) and issubclass(cls, wire.Payload) and is_dataclass(cls)
)
"""Every payload class that the wire has."""


def payloads(cls: type[wire.Payload]) -> st.SearchStrategy[wire.Payload]:
    """Return instances of one payload class, each field within its bounds."""
    required: dict[str, st.SearchStrategy[Any]] = {}
    optional: dict[str, st.SearchStrategy[Any]] = {}
    for name, _, _, default in plan(cls):
        kind = optional if default is not MISSING else required
        kind[name] = _FIELDS.get(f"{cls.__name__}.{name}", _FIELDS[name])
    fields = st.fixed_dictionaries(required, optional=optional)
    return fields.map(lambda values: cls(**values))
