-- store.sql - statements of engine/store/log.c and blob.c.

-- name: log_event_add
INSERT INTO event (seq, run, at, kind, body) VALUES (?1, ?2, ?3, ?4, ?5)

-- name: log_event_last
SELECT max(seq) FROM event

-- name: log_event_body
SELECT kind, body FROM event WHERE seq = ?1

-- name: log_events
SELECT seq, run, at, kind, body FROM event WHERE seq BETWEEN ?1 AND ?2 ORDER BY seq

-- name: log_chain_add
INSERT INTO chain (last_seq, first_seq, hash) VALUES (?1, ?2, ?3)

-- name: log_chain_last
SELECT last_seq, first_seq, hash FROM chain ORDER BY last_seq DESC LIMIT 1

-- name: log_chain_at
SELECT hash FROM chain WHERE last_seq = ?1

-- name: log_chains
SELECT last_seq, first_seq, hash FROM chain ORDER BY last_seq

-- name: blob_row_add
INSERT INTO payload (hash, codec, size, data) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT(hash) DO UPDATE SET codec = excluded.codec, size = excluded.size, data = excluded.data
WHERE data <> excluded.data OR codec <> excluded.codec OR size <> excluded.size

-- name: blob_row_get
SELECT codec, size, data FROM payload WHERE hash = ?1

-- name: blob_row_has
SELECT 1 FROM payload WHERE hash = ?1

-- name: blob_row_all
SELECT hash, codec, size, data FROM payload ORDER BY id

-- name: log_folder_put
INSERT INTO cache_folder (folder, entries) VALUES (?1, ?2) ON CONFLICT(folder) DO UPDATE SET entries = excluded.entries

-- name: log_folder_delete
DELETE FROM cache_folder WHERE folder = ?1

-- name: log_glob_put
INSERT INTO cache_glob (item, entries) VALUES (?1, ?2) ON CONFLICT(item) DO UPDATE SET entries = excluded.entries

-- name: log_glob_delete
DELETE FROM cache_glob WHERE item = ?1

-- name: log_use_put
INSERT INTO cache_use (execution, used) VALUES (?1, ?2) ON CONFLICT(execution) DO UPDATE SET used = excluded.used
