-- part.sql - which text of the derived schemas (state, cache, stat, views) this database was made with. Changes like log.sql.

CREATE TABLE part (
    name    TEXT PRIMARY KEY,  -- state, cache, stat, views
    hash    BLOB NOT NULL,     -- of the release number and the text it was made from
    objects TEXT NOT NULL      -- its tables and views, with blanks between: what to drop when the text changes
) STRICT;
