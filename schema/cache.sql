-- cache.sql - what only saves work. Deleting every row here costs rehashing, never an execution.

CREATE TABLE cache_folder (
    folder  BLOB PRIMARY KEY, -- path below the root; '' is the root; absolute for files of the system; x'01': the rows hold every item in use
    entries BLOB NOT NULL     -- packed signatures of the items in it (engine/world/scan.h)
) STRICT;

CREATE TABLE cache_glob (
    item    INTEGER PRIMARY KEY, -- the glob
    entries BLOB NOT NULL        -- packed signatures of the folders it looked into
) STRICT;

CREATE TABLE cache_use (
    execution INTEGER PRIMARY KEY, -- a result that was found again
    used      INTEGER NOT NULL     -- seq of the last time; without a row: when it was made
) STRICT;

CREATE TABLE cache_meta (
    name  TEXT PRIMARY KEY, -- 'boot_id', 'dev', 'ino': where signatures were taken
    value BLOB
) STRICT;
