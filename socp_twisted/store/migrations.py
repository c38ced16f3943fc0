"""
Which shape has the database, and how does it come into ours?  (SOCP 15)

``PRAGMA user_version`` counts the scripts of ``schema/`` that a database has seen.  At
0 it is new, or the original's, whose tables have our names but not always our columns,
types and constraints: its rows are moved into our tables, and columns that are not ours
go with them.  All of it is one transaction, so a process that is killed half-way leaves
the file as it was.
"""

import sqlite3
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Final

from socp_twisted.errors import ConfigurationError

BUSY_TIMEOUT: Final = 5000
"""Milliseconds to wait for another process, such as the ``sqlite3`` shell."""


def prepare(connection: sqlite3.Connection, path: Path) -> None:
    """
    Make a new connection ours, and its database up to date.

    Raise ``ConfigurationError`` for a database that is not ours to change, before
    anything in it was changed, and ``sqlite3.Error`` for a file that is broken.
    """
    connection.text_factory = _text
    connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT}")
    connection.execute("PRAGMA temp_store = MEMORY")  # no key blob in a file
    scripts = _scripts()
    _pending(connection, path, scripts)  # before the journal mode, which is a change
    [damage] = connection.execute("PRAGMA quick_check(1)").fetchone()
    if damage != "ok":
        raise ConfigurationError(f"the database {path} is damaged: {damage}")
    connection.execute("PRAGMA journal_mode = WAL")
    # Without FULL, a registration that was acknowledged is lost with the power; it
    # costs 0.2 ms a change, and a server has few.
    connection.execute("PRAGMA synchronous = FULL")
    if _pending(connection, path, scripts):
        _migrate(connection, path, scripts)
    connection.execute("PRAGMA foreign_keys = ON")  # after: it checks while tables drop


def _migrate(connection: sqlite3.Connection, path: Path, scripts: list[str]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Once more, behind the lock: another process may have been faster.
        for number in _pending(connection, path, scripts):
            found = _take_aside(connection) if number == 1 else {}
            for statement in _statements(scripts[number - 1]):
                connection.execute(statement)
            _put_back(connection, found)
            connection.execute(f"PRAGMA user_version = {number}")
        connection.commit()
    except sqlite3.IntegrityError as why:
        raise ConfigurationError(
            f"the database {path} has rows that cannot be taken over: {why}"
        ) from why
    finally:
        connection.rollback()


def _pending(
    connection: sqlite3.Connection, path: Path, scripts: list[str]
) -> range | tuple[()]:
    """Return the numbers of the scripts that are still to run."""
    [version] = connection.execute("PRAGMA user_version").fetchone()
    if version > len(scripts) or version < 0:
        raise ConfigurationError(
            f"the database {path} was written by a newer version of this program "
            f"(schema {version}, this one knows {len(scripts)})"
        )
    if version == 0:
        _check_origin(connection, path)
    return range(version + 1, len(scripts) + 1)


def _check_origin(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse some other program's database, before a row of it is touched."""
    tables = _tables(connection)
    known = [name for name in _THEIRS if name in tables]
    if tables and not known:
        raise ConfigurationError(
            f"the database {path} belongs to another program: it has no table 'users'"
        )
    for name in known:
        missing = _KEYS[name] - set(_columns(connection, name))
        if missing:
            raise ConfigurationError(
                f"the database {path} belongs to another program: its table {name!r} "
                f"has no {min(missing)}"
            )


# -- the original's tables -------------------------------------------------------------


def _as_text(column: str, default: str) -> str:
    return f"CAST(COALESCE({column}, '{default}') AS TEXT)"


def _as_integer(column: str, default: int) -> str:
    return f"CAST(COALESCE({column}, {default}) AS INTEGER)"


def _as_time(column: str) -> str:
    """Milliseconds out of milliseconds, seconds or ``CURRENT_TIMESTAMP``'s text."""
    return (
        f"CASE WHEN typeof({column}) = 'text' "
        f"THEN COALESCE(CAST(strftime('%s', {column}) AS INTEGER) * 1000, 0) "
        f"WHEN {column} < 100000000000 THEN CAST({column} * 1000 AS INTEGER) "
        f"ELSE CAST(COALESCE({column}, 0) AS INTEGER) END"
    )


_THEIRS: Final[Mapping[str, Mapping[str, str]]] = {
    "users": {
        "user_id": "CAST(user_id AS TEXT)",
        "pubkey": _as_text("pubkey", ""),
        "privkey_store": _as_text("privkey_store", ""),
        "pake_password": _as_text("pake_password", ""),
        "meta": _as_text("meta", "{}"),
        "version": _as_integer("version", 1),
    },
    "groups": {
        "group_id": "CAST(group_id AS TEXT)",
        "creator_id": _as_text("creator_id", "system"),
        "created_at": _as_time("created_at"),
        "meta": _as_text("meta", "{}"),
        "version": _as_integer("version", 1),
    },
    "group_members": {
        "group_id": "CAST(group_id AS TEXT)",
        "member_id": "CAST(member_id AS TEXT)",
        "role": _as_text("role", "member"),
        "wrapped_key": _as_text("wrapped_key", ""),
        "added_at": _as_time("added_at"),
    },
}
"""What our columns hold, from theirs: they had NULLs, BLOBs and other times."""

_KEYS: Final[Mapping[str, frozenset[str]]] = {
    "users": frozenset({"user_id"}),
    "groups": frozenset({"group_id"}),
    "group_members": frozenset({"group_id", "member_id"}),
}


_OURS: Final = ("servers", "messages", "known_users", "waiting_counts", "proven_keys")
"""Tables of ours alone: one of theirs by that name stays, as ``<name>_before``."""


def _take_aside(connection: sqlite3.Connection) -> dict[str, list[str]]:
    """Copy the tables that are there, drop them, and return each one's columns."""
    tables = _tables(connection)
    found = {}
    for name in _THEIRS:
        if name in tables:
            found[name] = list(_columns(connection, name))
            connection.execute(
                f"CREATE TEMP TABLE old_{name} AS SELECT * FROM {name}"  # noqa: S608
            )
            connection.execute(f"DROP TABLE main.{name}")
    for name in _OURS:  # keys that we did not check ourselves, say, are no pins
        if name in tables:
            connection.execute(f"ALTER TABLE {name} RENAME TO {name}_before")
    return found


def _put_back(connection: sqlite3.Connection, found: Mapping[str, list[str]]) -> None:
    for name, columns in found.items():
        values = {}
        for column in columns:
            quoted = '"' + column.replace('"', '""') + '"'
            if column in _THEIRS[name]:
                values[quoted] = _THEIRS[name][column]
            else:
                connection.execute(f"ALTER TABLE {name} ADD COLUMN {quoted}")
                values[quoted] = quoted
        connection.execute(
            f"INSERT INTO {name} ({', '.join(values)}) "  # noqa: S608 - quoted
            f"SELECT {', '.join(values.values())} FROM temp.old_{name}"
        )
        connection.execute(f"DROP TABLE temp.old_{name}")


def _tables(connection: sqlite3.Connection) -> set[str]:
    rows = connection.execute(
        "SELECT lower(name) FROM main.sqlite_schema "
        "WHERE type = 'table' AND name NOT LIKE 'sqlite!_%' ESCAPE '!'"
    )
    return {name for (name,) in rows}


def _columns(connection: sqlite3.Connection, table: str) -> Iterator[str]:
    rows = connection.execute("SELECT lower(name) FROM pragma_table_info(?)", (table,))
    return (name for (name,) in rows)


# -- the scripts -----------------------------------------------------------------------


def _scripts() -> list[str]:
    """Return the SQL of each step; the file names sort in their order."""
    folder = resources.files("socp_twisted.store").joinpath("schema")
    files = sorted(folder.iterdir(), key=lambda file: file.name)
    return [file.read_text("utf-8") for file in files if file.name.endswith(".sql")]


def _statements(script: str) -> Iterator[str]:
    """Split a script: ``executescript`` would commit before its first statement."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _text(raw: bytes) -> str:
    # One text in the original's encoding must not make its whole table unreadable.
    return raw.decode("utf-8", "replace")
