-- output.sql - what engine/run/output*.c and recover.c ask.

-- name: item_in_use
SELECT 1 FROM use WHERE item = ?1 AND origin = 0 UNION ALL SELECT 1 FROM definition_read WHERE item = ?1 LIMIT 1;

-- name: use_below
SELECT i.name, u.node FROM item i JOIN use u ON u.item = i.id WHERE i.kind = 1 AND i.name >= ?1 AND i.name < ?2 AND u.origin = 0;

-- name: item_said_by
SELECT e.kind FROM item i JOIN event e ON e.seq = i.seq WHERE i.id = ?1;

-- name: execution_intent
SELECT spec, effect, at FROM execution WHERE id = ?1;

-- name: dry_vanished
SELECT item, hash, keep FROM vanished_output;

-- name: dry_claims
SELECT id, hash, 0 FROM item WHERE node = ?1;
