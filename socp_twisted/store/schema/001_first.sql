-- The standard's three tables, each with at least its columns, and the pins.
-- Times are Unix time in milliseconds, ``meta`` is a JSON object.

CREATE TABLE users (
    user_id       TEXT NOT NULL PRIMARY KEY,
    pubkey        TEXT NOT NULL DEFAULT '',
    privkey_store TEXT NOT NULL DEFAULT '',
    pake_password TEXT NOT NULL DEFAULT '',
    meta          TEXT NOT NULL DEFAULT '{}',
    version       INTEGER NOT NULL DEFAULT 1
);

-- Not unique: the original let "Alice" in beside "alice", and neither may be lost.
CREATE INDEX users_without_case ON users (user_id COLLATE NOCASE);

CREATE TABLE groups (
    group_id   TEXT NOT NULL PRIMARY KEY,
    creator_id TEXT NOT NULL DEFAULT 'system',
    created_at INTEGER NOT NULL DEFAULT 0,
    meta       TEXT NOT NULL DEFAULT '{}',
    version    INTEGER NOT NULL DEFAULT 1
);

-- A member need not be in ``users``: an id may be used without registering it.
CREATE TABLE group_members (
    group_id    TEXT NOT NULL REFERENCES groups (group_id) ON DELETE CASCADE,
    member_id   TEXT NOT NULL,
    role        TEXT NOT NULL DEFAULT 'member',
    wrapped_key TEXT NOT NULL DEFAULT '',
    added_at    INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (group_id, member_id)
);

CREATE TABLE servers (
    server_id  TEXT NOT NULL PRIMARY KEY,
    pubkey     TEXT NOT NULL,
    host       TEXT NOT NULL,
    port       INTEGER NOT NULL,
    first_seen INTEGER NOT NULL,
    last_seen  INTEGER NOT NULL
);

-- Messages that this server has accepted from its own users, until they are answered
-- and for a while after, so that one which is sent again is not delivered again.

CREATE TABLE messages (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    msg_id      TEXT NOT NULL UNIQUE,
    sender      TEXT NOT NULL,
    recipient   TEXT NOT NULL,
    type        TEXT NOT NULL,
    ts          INTEGER NOT NULL,
    msg_ref     TEXT NOT NULL DEFAULT '',
    payload     TEXT NOT NULL DEFAULT '',
    state       TEXT NOT NULL DEFAULT 'waiting',
    code        TEXT NOT NULL DEFAULT '',
    detail      TEXT NOT NULL DEFAULT '',
    told        TEXT NOT NULL DEFAULT '',
    accepted_at INTEGER NOT NULL
);

CREATE INDEX messages_waiting ON messages (recipient, seq) WHERE state = 'waiting';
CREATE INDEX messages_of_sender ON messages (sender, state);
CREATE INDEX messages_by_age ON messages (accepted_at);

-- Everybody who was ever seen: a key that changes is news, and mail can wait for them.
CREATE TABLE known_users (
    user_id    TEXT NOT NULL PRIMARY KEY,
    pubkey     TEXT NOT NULL,
    server_id  TEXT NOT NULL,
    first_seen INTEGER NOT NULL,
    last_seen  INTEGER NOT NULL
);
