-- Which server showed it last: it could show the same login again, so that its word is
-- enough.

ALTER TABLE proven_keys ADD COLUMN server_id TEXT NOT NULL DEFAULT '';
