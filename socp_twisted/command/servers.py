"""``socp servers``: whose keys does a node remember?  And forget one.  (SOCP 8.2)"""

import argparse
import os
import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from socp_twisted.configuration import DB_VARIABLE
from socp_twisted.errors import ConfigurationError
from socp_twisted.store import queries
from socp_twisted.store.lock import DatabaseLock
from socp_twisted.store.migrations import prepare
from socp_twisted.trust.keys import fingerprint

SUMMARY: Final = "list the servers whose keys a node has pinned, or forget one"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options; the database is found as the server itself finds it."""
    parser.add_argument(
        "--server-id", metavar="ID", help="whose database: socp-<id>.db"
    )
    parser.add_argument("--db", metavar="FILE", help=f"default: ${DB_VARIABLE}")
    parser.add_argument(
        "--forget",
        metavar="ID",
        help="take the next key that this server shows; the node must not run",
    )


def run(arguments: argparse.Namespace) -> int:
    """Print a line for each pin, or forget one."""
    path = _database(arguments)
    if arguments.forget is None:
        return _work(path, arguments)
    with DatabaseLock(path):  # a server that runs would remember it again
        return _work(path, arguments)


def _work(path: Path, arguments: argparse.Namespace) -> int:
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        prepare(connection, path)
        if arguments.forget is not None:
            connection.execute("BEGIN IMMEDIATE")
            gone = queries.forget(connection, arguments.forget)
            connection.commit()
            if not gone:
                raise ConfigurationError(f"{arguments.forget} is not pinned in {path}")
            print(
                f"forgot {arguments.forget}: with --joins open it may come with "
                "another key, else once that key is in the --bootstrap list"
            )
            return 0
        for pin in queries.pins(connection):
            seen = datetime.fromtimestamp(pin.last_seen / 1000, UTC)
            address = f"{pin.host}:{pin.port}" if pin.host else "-"
            print(f"{pin.server_id}  {address}  last pinned {seen:%Y-%m-%d %H:%M} UTC")
            print(f"    {fingerprint(pin.pubkey)}")
    except sqlite3.Error as why:
        raise ConfigurationError(f"cannot read the database {path}: {why}") from why
    finally:
        connection.close()
    return 0


def _database(arguments: argparse.Namespace) -> Path:
    told = arguments.db
    if told is None and arguments.server_id is not None:
        told = f"socp-{arguments.server_id}.db"
    told = told or os.environ.get(DB_VARIABLE)
    if not told:
        raise ConfigurationError("say which database: --db FILE or --server-id ID")
    path = Path(told)
    if not path.is_file():
        raise ConfigurationError(f"there is no database {path}")
    return path
