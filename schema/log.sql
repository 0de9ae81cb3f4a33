-- log.sql - the facts. Rows are added and never changed; a new release changes this file by a numbered migration only.

CREATE TABLE event (
    seq  INTEGER PRIMARY KEY,  -- orders the world; from 1, no gaps
    run  INTEGER NOT NULL,     -- the run it belongs to; 0 outside of runs
    at   INTEGER NOT NULL,     -- wall clock, microseconds since 1970, UTC; for people only
    kind INTEGER NOT NULL,     -- event_kind in engine/store/event.h
    body BLOB NOT NULL         -- packed record, starts with its version
) STRICT;

CREATE TABLE chain (
    last_seq  INTEGER PRIMARY KEY, -- the last event of one transaction
    first_seq INTEGER NOT NULL,
    hash      BLOB NOT NULL        -- of the previous row's hash and every event of this transaction
) STRICT;

CREATE TABLE scheme (
    id   INTEGER PRIMARY KEY,  -- 1: XXH3-128 over the typed streams of version 1
    name TEXT NOT NULL
) STRICT;
INSERT INTO scheme VALUES (1, 'xxh3-128/1');

CREATE TRIGGER event_keep_update BEFORE UPDATE ON event BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;
CREATE TRIGGER event_keep_delete BEFORE DELETE ON event BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;
CREATE TRIGGER chain_keep_update BEFORE UPDATE ON chain BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;
CREATE TRIGGER chain_keep_delete BEFORE DELETE ON chain BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;
