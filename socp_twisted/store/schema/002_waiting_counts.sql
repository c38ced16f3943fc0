-- How many messages wait, of each sender and, under no name, of everybody: with each new
-- one they were counted, 0.2 ms for 5,000.  Kept by triggers: who changes a message, in
-- whatever way, changes its count in the same transaction.

CREATE TABLE waiting_counts (
    sender TEXT NOT NULL PRIMARY KEY,
    count  INTEGER NOT NULL
) WITHOUT ROWID;

INSERT INTO waiting_counts
    SELECT sender, COUNT(*) FROM messages WHERE state = 'waiting' GROUP BY sender
    UNION ALL
    SELECT '', COUNT(*) FROM messages WHERE state = 'waiting';

CREATE TRIGGER message_comes AFTER INSERT ON messages
WHEN NEW.state = 'waiting'
BEGIN
    INSERT INTO waiting_counts VALUES (NEW.sender, 0) ON CONFLICT DO NOTHING;
    UPDATE waiting_counts SET count = count + 1 WHERE sender IN (NEW.sender, '');
END;

CREATE TRIGGER message_put_back AFTER UPDATE OF state ON messages
WHEN NEW.state = 'waiting' AND OLD.state <> 'waiting'
BEGIN
    INSERT INTO waiting_counts VALUES (NEW.sender, 0) ON CONFLICT DO NOTHING;
    UPDATE waiting_counts SET count = count + 1 WHERE sender IN (NEW.sender, '');
END;

CREATE TRIGGER message_answered AFTER UPDATE OF state ON messages
WHEN OLD.state = 'waiting' AND NEW.state <> 'waiting'
BEGIN
    UPDATE waiting_counts SET count = count - 1 WHERE sender IN (OLD.sender, '');
    DELETE FROM waiting_counts WHERE sender = OLD.sender AND count = 0;
END;

CREATE TRIGGER message_goes AFTER DELETE ON messages
WHEN OLD.state = 'waiting'
BEGIN
    UPDATE waiting_counts SET count = count - 1 WHERE sender IN (OLD.sender, '');
    DELETE FROM waiting_counts WHERE sender = OLD.sender AND count = 0;
END;
