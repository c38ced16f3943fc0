"""Which SQL keeps messages until they are answered?  In a transaction.  (SOCP 10)"""

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from socp_twisted.store.interface import Acquaintance, Message, State

_MESSAGES: Final = (
    "SELECT msg_id, sender, recipient, type, ts, msg_ref, payload, accepted_at, "
    "state, code, detail, told, seq FROM messages"
)

_EVERYBODY: Final = ""
"""In whose name the counts of all senders are kept, all together."""

_KNOWN: Final = (
    "SELECT user_id, pubkey, server_id, first_seen, last_seen FROM known_users"
)


def accept(
    connection: sqlite3.Connection, message: Message, per_sender: int, total: int
) -> Message | None:
    """
    Keep a message, or return the one that was kept before; ``None`` if full.

    What is delivered at once takes no room: its name is kept, to know it again.
    """
    if message.state != State.WAITING and _add(connection, message, ""):
        return message
    known = kept(connection, message.msg_id)
    if known is not None:
        # Who asks again did not hear the answer, and perhaps under another id.
        connection.execute(
            "UPDATE messages SET msg_ref = ?, told = '' WHERE msg_id = ?",
            (message.msg_ref or known.msg_ref, message.msg_id),
        )
        return kept(connection, message.msg_id)
    if (
        _count(connection, message.sender) >= per_sender
        or _count(connection, _EVERYBODY) >= total
    ):
        return None
    seq = _add(connection, message, _text(message.payload))
    return replace(message, seq=seq)


def _count(connection: sqlite3.Connection, sender: str) -> int:
    """Return how many messages of a sender wait."""
    row = connection.execute(
        "SELECT count FROM waiting_counts WHERE sender = ?", (sender,)
    ).fetchone()
    return 0 if row is None else int(row[0])


def _add(connection: sqlite3.Connection, message: Message, payload: str) -> int:
    """Insert a message; return its ``seq``, or 0 if it is there already."""
    added = connection.execute(
        "INSERT INTO messages "
        "(msg_id, sender, recipient, type, ts, msg_ref, payload, accepted_at, "
        "state, detail, told) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
        "ON CONFLICT DO NOTHING",
        (
            message.msg_id,
            message.sender,
            message.recipient,
            message.type,
            message.ts,
            message.msg_ref,
            payload,
            message.accepted_at,
            message.state,
            message.detail,
            message.told,
        ),
    )
    return (added.lastrowid or 0) if added.rowcount else 0


def put_back(connection: sqlite3.Connection, message: Message) -> Message | None:
    """Let a message wait that was noted as delivered, and was not after all."""
    connection.execute(
        "UPDATE messages SET state = 'waiting', detail = '', told = '', payload = ? "
        "WHERE msg_id = ?",
        (_text(message.payload), message.msg_id),
    )
    return kept(connection, message.msg_id)


def settle(
    connection: sqlite3.Connection,
    msg_id: str,
    state: State,
    code: str,
    detail: str,
    told: bool,
) -> Message | None:
    """Answer a waiting message and let go of its content; ``None`` if it is not."""
    changed = connection.execute(
        "UPDATE messages SET state = ?, code = ?, detail = ?, payload = '', "
        "told = CASE WHEN ? THEN ? ELSE told END "
        "WHERE msg_id = ? AND state = 'waiting'",
        (state, code, detail, told, state, msg_id),
    )
    return kept(connection, msg_id) if changed.rowcount else None


def told(connection: sqlite3.Connection, msg_id: str, what: str) -> None:
    """Note what the sender was told of a message."""
    connection.execute("UPDATE messages SET told = ? WHERE msg_id = ?", (what, msg_id))


def waiting(
    connection: sqlite3.Connection, recipient: str, after: int, limit: int
) -> list[Message]:
    """Return messages that wait for a recipient, in order."""
    rows = connection.execute(
        f"{_MESSAGES} WHERE state = 'waiting' AND recipient = ? AND seq > ? "
        "ORDER BY seq LIMIT ?",
        (recipient, after, limit),
    )
    return [_message(row) for row in rows]


def giving_way(
    connection: sqlite3.Connection, sender: str, limit: int
) -> list[Message]:
    """Return what may give way to a message of this sender, the newest first."""
    most, count = connection.execute(
        "SELECT sender, count FROM waiting_counts WHERE sender <> ? "
        "ORDER BY count DESC, sender DESC LIMIT 1",
        (_EVERYBODY,),
    ).fetchone() or ("", 0)
    if count < _count(connection, sender) + 2:
        return []  # with one less they would have fewer, and take it back
    rows = connection.execute(
        f"{_MESSAGES} WHERE state = 'waiting' AND sender = ? ORDER BY seq DESC LIMIT ?",
        (most, limit),
    )
    return [_message(row) for row in rows]


def recipients(connection: sqlite3.Connection) -> list[str]:
    """Return whom messages wait for."""
    rows = connection.execute(
        "SELECT DISTINCT recipient FROM messages WHERE state = 'waiting'"
    )
    return [recipient for (recipient,) in rows]


def untold(connection: sqlite3.Connection, sender: str) -> list[Message]:
    """Return the answered messages whose sender does not know it yet."""
    rows = connection.execute(
        f"{_MESSAGES} WHERE sender = ? AND state != 'waiting' AND told != state "
        "AND msg_ref != '' ORDER BY seq",
        (sender,),
    )
    return [_message(row) for row in rows]


def expire(
    connection: sqlite3.Connection,
    held_before: int,
    told_before: int,
    untold_before: int,
    known: int,
) -> list[Message]:
    """
    Give up what waited too long, and return it; forget what is long answered.

    What its sender was not told is kept for longer.  Of the users who were
    seen, keep the ``known`` latest, and of the keys that were shown the latest of each
    server, in equal shares.
    """
    connection.execute(
        "DELETE FROM known_users WHERE user_id IN (SELECT user_id FROM known_users "
        "ORDER BY last_seen DESC LIMIT -1 OFFSET ?)",
        (known,),
    )
    connection.execute(
        "DELETE FROM proven_keys WHERE key_hash IN (SELECT key_hash FROM "
        "(SELECT key_hash, last_shown, ROW_NUMBER() OVER "
        "(PARTITION BY server_id ORDER BY last_shown DESC) AS place FROM proven_keys) "
        "ORDER BY place, last_shown DESC LIMIT -1 OFFSET ?)",
        (known,),
    )
    connection.execute(
        "DELETE FROM messages WHERE state != 'waiting' AND accepted_at < ? "
        "AND (told = state OR msg_ref = '' OR accepted_at < ?)",
        (told_before, untold_before),
    )
    rows = connection.execute(
        f"{_MESSAGES} WHERE state = 'waiting' AND accepted_at < ? ORDER BY seq",
        (held_before,),
    ).fetchall()
    connection.execute(
        "UPDATE messages SET state = 'failed', code = 'TIMEOUT', payload = '', "
        "detail = 'nobody came for it in time' "
        "WHERE state = 'waiting' AND accepted_at < ?",
        (held_before,),
    )
    return [_message(row) for row in rows]


def meet(connection: sqlite3.Connection, user: Acquaintance) -> Acquaintance:
    """Note that a user was seen, and return what was known of them before or now."""
    before = acquaintance(connection, user.user_id)
    connection.execute(
        "INSERT INTO known_users "
        "(user_id, pubkey, server_id, first_seen, last_seen) VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT DO UPDATE SET pubkey = excluded.pubkey, "
        "server_id = excluded.server_id, last_seen = excluded.last_seen",
        (
            user.user_id,
            user.pubkey,
            user.server_id,
            user.first_seen,
            user.last_seen,
        ),
    )
    return before or user


def acquaintance(connection: sqlite3.Connection, user_id: str) -> Acquaintance | None:
    """Return what is known of a user who was seen before."""
    row = connection.execute(f"{_KNOWN} WHERE user_id = ?", (user_id,)).fetchone()
    return None if row is None else Acquaintance(*row)


def known_keys(connection: sqlite3.Connection) -> dict[str, str]:
    """Return the public key of each user who was seen, by id."""
    rows = connection.execute("SELECT user_id, pubkey FROM known_users")
    return dict(rows.fetchall())


def prove(
    connection: sqlite3.Connection, hashed: str, server_id: str, now: int
) -> None:
    """Note that a login with this key was shown."""
    connection.execute(
        "INSERT INTO proven_keys (key_hash, server_id, last_shown) VALUES (?, ?, ?) "
        "ON CONFLICT DO UPDATE SET server_id = excluded.server_id, "
        "last_shown = excluded.last_shown",
        (hashed, server_id, now),
    )


def proven_keys(connection: sqlite3.Connection) -> dict[str, str]:
    """Return whose logins were shown, and where, who was shown last at the end."""
    rows = connection.execute(
        "SELECT key_hash, server_id FROM proven_keys ORDER BY last_shown"
    )
    return dict(rows.fetchall())


def kept(connection: sqlite3.Connection, msg_id: str) -> Message | None:
    """Return a message by its id."""
    row = connection.execute(f"{_MESSAGES} WHERE msg_id = ?", (msg_id,)).fetchone()
    return None if row is None else _message(row)


def _text(payload: Mapping[str, Any]) -> str:
    return json.dumps(payload, separators=(",", ":"))


def _message(row: tuple[Any, ...]) -> Message:
    columns = list(row)
    columns[6] = json.loads(row[6]) if row[6] else {}
    return Message(*columns)
