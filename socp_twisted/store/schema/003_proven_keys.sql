-- Whose logins other servers have shown: from then on nobody's word alone is enough.  By
-- key and not by user, whose id somebody else can take while they are away.

CREATE TABLE proven_keys (
    key_hash   TEXT NOT NULL PRIMARY KEY,
    last_shown INTEGER NOT NULL
) WITHOUT ROWID;
