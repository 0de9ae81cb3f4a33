-- payload.sql - bytes of small blobs; larger ones are files in .weir/blobs. Neither facts nor derived: a lost payload is a miss.

CREATE TABLE payload (
    id    INTEGER PRIMARY KEY,
    hash  BLOB NOT NULL,     -- of the content before compression
    codec INTEGER NOT NULL,  -- 0 plain, 1 zstd
    size  INTEGER NOT NULL,  -- bytes before compression
    data  BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX payload_hash ON payload(hash);
