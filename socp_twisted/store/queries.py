"""
Which SQL answers each question?  Synchronous, and within a transaction.  (SOCP 15)

``sqlite`` calls these on its thread with the connection; what raises is rolled back.
"""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import astuple
from typing import Any, Final

from socp_twisted.store.interface import Channel, Member, ServerPin, User
from socp_twisted.wire.encoding import canonical
from socp_twisted.wire.vocabulary import PUBLIC

_USERS: Final = (
    "SELECT user_id, pubkey, privkey_store, pake_password, meta, version FROM users"
)

_PINS: Final = (
    "SELECT server_id, pubkey, host, port, first_seen, last_seen FROM servers"
)


def make_public(connection: sqlite3.Connection, now: int) -> None:
    """Make the group ``public``, unless it is there."""
    connection.execute(
        "INSERT INTO groups (group_id, creator_id, created_at) "
        "VALUES (?, 'system', ?) ON CONFLICT DO NOTHING",
        (PUBLIC, now),
    )


# -- users -----------------------------------------------------------------------------


def register(connection: sqlite3.Connection, user: User) -> bool:
    """Add a user, unless the id is taken in any case."""
    row = (user.user_id, user.pubkey, user.privkey_store, user.pake_password)
    added = connection.execute(
        "INSERT INTO users "
        "(user_id, pubkey, privkey_store, pake_password, meta, version) "
        "SELECT ?, ?, ?, ?, ?, ? WHERE NOT EXISTS "
        "(SELECT 1 FROM users WHERE user_id = ? COLLATE NOCASE)",
        (*row, meta_to_text(user.meta), user.version, user.user_id),
    )
    return added.rowcount == 1


def user(connection: sqlite3.Connection, user_id: str) -> User | None:
    """Return a user by the exact id."""
    return _user(connection.execute(f"{_USERS} WHERE user_id = ?", (user_id,)))


def find(connection: sqlite3.Connection, user_id: str) -> User | None:
    """Return a user by the id in any case; the exact one if there are several."""
    rows = connection.execute(
        f"{_USERS} WHERE user_id = ? COLLATE NOCASE ORDER BY user_id = ? DESC LIMIT 1",
        (user_id, user_id),
    )
    return _user(rows)


def _user(rows: sqlite3.Cursor) -> User | None:
    row = rows.fetchone()
    if row is None:
        return None
    name, pubkey, blob, password, meta, version = row
    return User(name, pubkey, blob, password, _from_text(meta), version)


def update_user(
    connection: sqlite3.Connection,
    user_id: str,
    privkey_store: str | None,
    pake_password: str | None,
    meta: str | None,
) -> bool:
    """Change what is not ``None``; ``False`` if nobody has this id."""
    changed = connection.execute(
        "UPDATE users SET privkey_store = COALESCE(?, privkey_store), "
        "pake_password = COALESCE(?, pake_password), meta = COALESCE(?, meta), "
        "version = version + 1 WHERE user_id = ?",
        (privkey_store, pake_password, meta, user_id),
    )
    return changed.rowcount == 1


def user_keys(connection: sqlite3.Connection) -> dict[str, str]:
    """Return the public key of each registered user, by id."""
    return dict(connection.execute("SELECT user_id, pubkey FROM users").fetchall())


def count_users(connection: sqlite3.Connection) -> int:
    """Return how many users are registered."""
    [(count,)] = connection.execute("SELECT COUNT(*) FROM users").fetchall()
    return int(count)


def user_ids(connection: sqlite3.Connection) -> list[str]:
    """Return all ids, in the order of their bytes, which is that of code points."""
    rows = connection.execute("SELECT user_id FROM users ORDER BY user_id")
    return [user_id for (user_id,) in rows]


def meta_to_text(meta: Mapping[str, Any]) -> str:
    """Return ``meta`` as the JSON that the column holds."""
    return canonical(meta).decode("utf-8")


def _from_text(text: str) -> dict[str, Any]:
    """Read ``meta``; what the original wrote there need not be an object."""
    try:
        meta = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return meta if type(meta) is dict else {}


# -- the public channel ----------------------------------------------------------------


def channel(connection: sqlite3.Connection) -> Channel:
    """Return the public channel, its members sorted by id."""
    group = connection.execute(
        "SELECT version, creator_id, created_at FROM groups WHERE group_id = ?",
        (PUBLIC,),
    )
    version, creator_id, created_at = group.fetchone()
    members = connection.execute(
        "SELECT member_id, role, wrapped_key, added_at FROM group_members "
        "WHERE group_id = ? ORDER BY member_id",
        (PUBLIC,),
    )
    return Channel(
        version, tuple(Member(*row) for row in members), creator_id, created_at
    )


def put_members(connection: sqlite3.Connection, members: Sequence[Member]) -> int:
    """Add members, or change those that differ; return the version."""
    changed = connection.executemany(
        "INSERT INTO group_members (group_id, member_id, role, wrapped_key, added_at) "
        "VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE "
        "SET role = excluded.role, wrapped_key = excluded.wrapped_key "
        "WHERE (role, wrapped_key) IS NOT (excluded.role, excluded.wrapped_key)",
        [(PUBLIC, *astuple(member)) for member in members],
    )
    step = 1 if changed.rowcount > 0 else 0
    [(version,)] = connection.execute(
        "UPDATE groups SET version = version + ? WHERE group_id = ? RETURNING version",
        (step, PUBLIC),
    ).fetchall()
    return int(version)


def raise_version(connection: sqlite3.Connection, version: int) -> int:
    """Lift the version to at least this, and return it."""
    [(held,)] = connection.execute(
        "UPDATE groups SET version = MAX(version, ?) WHERE group_id = ? "
        "RETURNING version",
        (version, PUBLIC),
    ).fetchall()
    return int(held)


# -- the pins --------------------------------------------------------------------------


def pin(connection: sqlite3.Connection, server: ServerPin) -> ServerPin:
    """Insert a pin, or renew one with the same key; return the pin that holds."""
    connection.execute(
        "INSERT INTO servers "
        "(server_id, pubkey, host, port, first_seen, last_seen) "
        "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE "
        "SET host = excluded.host, port = excluded.port, "
        "last_seen = MAX(last_seen, excluded.last_seen) "
        "WHERE pubkey = excluded.pubkey",
        astuple(server),
    )
    [row] = connection.execute(
        f"{_PINS} WHERE server_id = ?", (server.server_id,)
    ).fetchall()
    return ServerPin(*row)


def pins(connection: sqlite3.Connection) -> list[ServerPin]:
    """Return all pins, sorted by server id."""
    rows = connection.execute(f"{_PINS} ORDER BY server_id")
    return [ServerPin(*row) for row in rows]


def forget(connection: sqlite3.Connection, server_id: str) -> bool:
    """Remove a pin; ``False`` if there was none."""
    gone = connection.execute("DELETE FROM servers WHERE server_id = ?", (server_id,))
    return gone.rowcount == 1
