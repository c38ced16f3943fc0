-- Whose logins servers have shown: from then on nobody else's word alone is enough.  By
-- key and not by user, whose id somebody else can take while they are away.

CREATE TABLE proven_keys (
    key_hash   TEXT NOT NULL PRIMARY KEY,
    server_id  TEXT NOT NULL, -- who showed it last
    last_shown INTEGER NOT NULL
) WITHOUT ROWID;
