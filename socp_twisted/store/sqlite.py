"""
How does a node remember, without ever waiting for a disk?  (SOCP 15)

One connection on one thread: what is asked is done in turn, off the reactor.  With four
threads fifty read-modify-writes made thirteen, silently.
"""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

from twisted.enterprise.adbapi import ConnectionPool
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from socp_twisted.errors import ConfigurationError
from socp_twisted.store import mail, queries
from socp_twisted.store.interface import (
    Acquaintance,
    Channel,
    Member,
    Message,
    ServerPin,
    State,
    StoreClosed,
    StoreError,
    User,
)
from socp_twisted.store.lock import DatabaseLock, claim
from socp_twisted.store.migrations import prepare
from socp_twisted.store.transactions import Pool, Transactions

T = TypeVar("T")

READS: Final = False
WRITES: Final = True


class SqliteStore:
    """
    A ``Store`` in one SQLite file, which only its owner can read.

    ``pool`` is there for tests, whose pool has no thread.
    """

    _log = Logger()

    def __init__(
        self,
        path: Path,
        reactor: IReactorTime,
        pool: Callable[..., Pool] = ConnectionPool,
    ) -> None:
        self._path = path
        self._reactor = reactor
        self._make_pool = pool
        self._pool: Pool | None = None
        self._transactions = Transactions(reactor)
        self._lock = DatabaseLock(path)
        self._fails = False

    def check(self, now: int) -> None:
        """
        Open, migrate and close at once, or raise ``ConfigurationError``.

        From here on no other server can have this file.  It blocks: for the moment
        before the reactor runs, while an unusable file can still end the process with
        a sentence.
        """
        try:
            claim(self._path)
            self._lock.take()
            connection = sqlite3.connect(self._path, isolation_level=None)
        except (OSError, sqlite3.Error) as why:
            self._lock.release()
            raise ConfigurationError(
                f"cannot open the database {self._path}: {why}"
            ) from why
        try:
            self._prepare(connection)
            _write(connection, queries.make_public, now)
            connection.commit()
        except (sqlite3.Error, ConfigurationError) as why:
            self._lock.release()
            if isinstance(why, ConfigurationError):
                raise
            raise ConfigurationError(self._explain(why)) from why
        finally:
            connection.close()

    async def open(self, now: int) -> None:
        """Open, migrate and make ``public``, or raise ``ConfigurationError``."""
        assert self._pool is None, "opened twice"
        try:
            claim(self._path)
        except OSError as why:
            raise ConfigurationError(
                f"cannot open the database {self._path}: {why.strerror}"
            ) from why
        self._lock.take()
        pool = self._make_pool(
            "sqlite3",
            str(self._path),
            check_same_thread=False,  # close() comes from the reactor's thread
            isolation_level=None,  # a transaction begins where we say so
            cp_reactor=self._reactor,
            cp_min=1,
            cp_max=1,
            cp_openfun=self._prepare,
        )
        try:
            await pool.runWithConnection(_write, queries.make_public, now)
        except (sqlite3.Error, ConfigurationError) as why:
            pool.close()
            self._lock.release()
            if isinstance(why, ConfigurationError):
                raise
            raise ConfigurationError(self._explain(why)) from why
        self._pool = pool

    async def close(self) -> None:
        """Refuse what comes from now on, and wait for what is under way."""
        if self._pool is None:
            self._lock.release()
            return
        pool, self._pool = self._pool, None  # adbapi would never answer a late query
        try:
            await self._transactions.done()
            # What this does, SQLite would do in close(), on the reactor's thread.
            await pool.runWithConnection(_fold_journal)
        except sqlite3.Error as why:  # the journal stays, and the next start folds it
            self._log.warn("{what}", what=self._explain(why))
        finally:
            pool.close()
            self._lock.release()

    async def register(self, user: User) -> bool:
        """Add a user, or return ``False`` if the id is taken in any case."""
        return await self._perform(WRITES, queries.register, user)

    async def user(self, user_id: str) -> User | None:
        """Return a user by the exact id."""
        return await self._perform(READS, queries.user, user_id)

    async def find(self, user_id: str) -> User | None:
        """Return the user whose id is this one, or differs from it in case alone."""
        return await self._perform(READS, queries.find, user_id)

    async def update_user(
        self,
        user_id: str,
        *,
        privkey_store: str | None = None,
        pake_password: str | None = None,
        meta: Mapping[str, Any] | None = None,
    ) -> bool:
        """Change what is given, never the key; ``False`` if nobody has this id."""
        told = None if meta is None else queries.meta_to_text(meta)
        return await self._perform(
            WRITES, queries.update_user, user_id, privkey_store, pake_password, told
        )

    async def user_keys(self) -> dict[str, str]:
        """Return the public key of each registered user, by id."""
        return await self._perform(READS, queries.user_keys)

    async def known_keys(self) -> dict[str, str]:
        """Return the public key of each user who was seen, by id."""
        return await self._perform(READS, mail.known_keys)

    async def count_users(self) -> int:
        """Return how many users are registered."""
        return await self._perform(READS, queries.count_users)

    async def user_ids(self) -> list[str]:
        """Return the ids of all registered users, sorted by code point."""
        return await self._perform(READS, queries.user_ids)

    async def channel(self) -> Channel:
        """Return the public channel, its members sorted by id."""
        return await self._perform(READS, queries.channel)

    async def put_members(self, members: Sequence[Member]) -> int:
        """Add or change members; return the channel's version."""
        return await self._perform(WRITES, queries.put_members, members)

    async def raise_version(self, version: int) -> int:
        """Lift the channel's version to at least ``version``, and return it."""
        return await self._perform(WRITES, queries.raise_version, version)

    async def pin(self, server: ServerPin) -> ServerPin:
        """Pin a server's key at first sight, and return the pin that holds."""
        return await self._perform(WRITES, queries.pin, server)

    async def pins(self) -> list[ServerPin]:
        """Return all pins, sorted by server id."""
        return await self._perform(READS, queries.pins)

    async def forget(self, server_id: str) -> bool:
        """Remove a pin; ``False`` if there was none."""
        return await self._perform(WRITES, queries.forget, server_id)

    async def accept(
        self, message: Message, per_sender: int, total: int
    ) -> Message | None:
        """Keep a message, or return the same one that was kept before."""
        return await self._perform(WRITES, mail.accept, message, per_sender, total)

    async def message(self, msg_id: str) -> Message | None:
        """Return a message that was kept."""
        return await self._perform(READS, mail.kept, msg_id)

    async def settle(
        self, msg_id: str, state: State, code: str, detail: str, *, told: bool = False
    ) -> Message | None:
        """Answer a message and let go of its content."""
        return await self._perform(
            WRITES, mail.settle, msg_id, state, code, detail, told
        )

    async def put_back(self, message: Message) -> Message | None:
        """Let a message wait that was noted as delivered, and was not after all."""
        return await self._perform(WRITES, mail.put_back, message)

    async def told(self, msg_id: str, what: str) -> None:
        """Note what the sender was told."""
        await self._perform(WRITES, mail.told, msg_id, what)

    async def waiting(self, recipient: str, after: int, limit: int) -> list[Message]:
        """Return messages that wait for a recipient, in order."""
        return await self._perform(READS, mail.waiting, recipient, after, limit)

    async def giving_way(self, sender: str, limit: int) -> list[Message]:
        """Return what may give way to a message of this sender."""
        return await self._perform(READS, mail.giving_way, sender, limit)

    async def recipients(self) -> list[str]:
        """Return whom messages wait for."""
        return await self._perform(READS, mail.recipients)

    async def untold(self, sender: str) -> list[Message]:
        """Return answered messages whose sender was not told."""
        return await self._perform(READS, mail.untold, sender)

    async def expire(
        self, held_before: int, told_before: int, untold_before: int, known: int
    ) -> list[Message]:
        """Give up what waits for too long; forget what is long done."""
        return await self._perform(
            WRITES, mail.expire, held_before, told_before, untold_before, known
        )

    async def meet(self, user: Acquaintance) -> Acquaintance:
        """Note that a user was seen."""
        return await self._perform(WRITES, mail.meet, user)

    async def prove(self, hashed: str, server_id: str, now: int) -> None:
        """Note that a login with this key was shown."""
        await self._perform(WRITES, mail.prove, hashed, server_id, now)

    async def proven_keys(self) -> dict[str, str]:
        """Return whose logins were shown, and where."""
        return await self._perform(READS, mail.proven_keys)

    async def _perform(
        self, writes: bool, operation: Callable[..., T], *args: Any
    ) -> T:
        if self._pool is None:
            raise StoreClosed(f"the database {self._path} is not open")
        try:
            found = await self._transactions.ask(self._pool, writes, operation, *args)
        except sqlite3.Error as why:
            fault = StoreError(self._explain(why))
            if not self._fails:  # the operator reads it once, every user in an ERROR
                self._log.error("{reason}; trying on", reason=str(fault))
            self._fails = True
            raise fault from why
        if self._fails and writes:
            self._fails = False
            self._log.info("the database {path} works again", path=str(self._path))
        return found

    def _prepare(self, connection: sqlite3.Connection) -> None:
        try:
            prepare(connection, self._path)
        except BaseException:
            connection.close()  # adbapi forgets a connection that is not prepared
            raise

    def _explain(self, why: sqlite3.Error) -> str:
        code = getattr(why, "sqlite_errorcode", 0) & 0xFF  # without its extension
        return f"the database {self._path} {_FAULTS.get(code, f'failed: {why}')}"


_FAULTS: Final[Mapping[int, str]] = {
    sqlite3.SQLITE_BUSY: "is in use by another process",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened",
    sqlite3.SQLITE_CORRUPT: "is damaged",
    sqlite3.SQLITE_FULL: "cannot grow: the disk is full",
    sqlite3.SQLITE_IOERR: "cannot be read or written",
    sqlite3.SQLITE_NOTADB: "is no SQLite database",
    sqlite3.SQLITE_PERM: "cannot be opened: permission denied",
    sqlite3.SQLITE_READONLY: "is read-only",
}


# -- on the store's thread -------------------------------------------------------------
# adbapi commits what returns and rolls back what raises.


def _write(
    connection: sqlite3.Connection, operation: Callable[..., T], *args: Any
) -> T:
    connection.execute("BEGIN IMMEDIATE")  # a lock taken later could come too late
    return operation(connection, *args)


def _fold_journal(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
