-- fold.sql - statements of engine/store/fold*.c: the only ones that write state tables.

-- name: fold_session
UPDATE synced SET boot_id = ?1

-- name: fold_payloads_synced
UPDATE synced SET payload = ?1

-- name: fold_run_start
INSERT INTO run (id, graph, started, finished, at, duration, trigger, ran, unchanged, restored, cut_off, failed, blocked, complete)
VALUES (?1, ?2, ?3, 0, ?4, 0, ?5, 0, 0, 0, 0, 0, 0, 0)

-- name: fold_run_finish
UPDATE run SET finished = ?2, duration = ?3, ran = ?4, unchanged = ?5, restored = ?6, cut_off = ?7, failed = ?8, blocked = ?9,
complete = ?10 WHERE id = ?1

-- name: fold_pending_clear
DELETE FROM pending WHERE seq <= ?1

-- name: fold_pending
INSERT INTO pending (source, node, seq) VALUES (?1, ?2, ?3) ON CONFLICT(node, source) DO UPDATE SET seq = excluded.seq

-- name: fold_pending_left
-- An item that another node claims from now on, or none (0): what its maker of before has changed stays pending, for whoever uses the item.
INSERT INTO pending (source, node, seq)
SELECT i.id, 0, p.seq FROM item i CROSS JOIN pending p ON p.node = 1 AND p.source = i.node WHERE i.id = ?1 AND i.node <> ?2
ON CONFLICT(node, source) DO UPDATE SET seq = max(seq, excluded.seq)

-- name: fold_item_add
INSERT INTO item (id, kind, name, hash, size, mode, node, seq) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)

-- name: fold_item_hash
SELECT hash FROM item WHERE id = ?1

-- name: fold_item_set
UPDATE item SET hash = ?2, size = ?3, mode = ?4, seq = ?5 WHERE id = ?1

-- name: fold_value
INSERT INTO value (item, value) VALUES (?1, ?2) ON CONFLICT(item) DO UPDATE SET value = excluded.value

-- name: fold_effect
INSERT INTO effect (id, graph, kind, name, code, seq) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
ON CONFLICT(id) DO UPDATE SET graph = excluded.graph, kind = excluded.kind, name = excluded.name, code = excluded.code, seq = excluded.seq

-- name: fold_node_get
SELECT status, settled, spec, execution, graph FROM node WHERE id = ?1

-- name: fold_node_add
INSERT INTO node (id, graph, name, effect, height, status, due, always, spec, successor, settled, execution, value, parent, expand)
VALUES (?1, ?2, ?3, ?4, ?5, 1, ?6, ?7, ?8, 0, 0, 0, NULL, ?9, ?10)

-- name: fold_node_declare
UPDATE node SET graph = ?2, name = ?3, effect = ?4, height = ?5, status = 1, due = ?6, always = ?7, spec = ?8, parent = ?9, expand = ?10 WHERE id = ?1

-- name: fold_node_succeed
UPDATE node SET successor = ?2, execution = coalesce((SELECT execution FROM node WHERE id = ?2), 0),
value = (SELECT value FROM node WHERE id = ?2) WHERE id = ?1

-- name: fold_node_vanish
UPDATE node SET status = 9, due = 0 WHERE id = ?1

-- name: fold_node_status
UPDATE node SET status = ?2, due = ?3 WHERE id = ?1 AND status <> 9

-- name: fold_node_failed
UPDATE node SET status = 2, due = 0, settled = ?2 WHERE id = ?1 AND status <> 9

-- name: fold_node_result
UPDATE node SET status = ?2, due = ?3, settled = ?4, execution = ?5, value = ?6 WHERE id = ?1 AND status <> 9

-- name: fold_node_height
UPDATE node SET height = ?2 WHERE id = ?1

-- name: fold_graph_count
UPDATE graph SET nodes = nodes + ?2 WHERE id = ?1

-- name: fold_graph_removed
UPDATE graph SET removed = ?2 WHERE id = (SELECT graph FROM node WHERE id = ?1 AND parent = 0)

-- name: fold_graph_set
UPDATE graph SET file = ?2, seq = ?3, always = ?4 WHERE id = ?1

-- name: fold_graph_add
INSERT INTO graph (id, file, seq, removed, always, nodes)
VALUES (?1, ?2, ?3, 0, ?4, (SELECT count(*) FROM node WHERE graph = ?1 AND status <> 9))

-- name: fold_definition_reads_delete
DELETE FROM definition_read WHERE graph = ?1

-- name: fold_definition_read
INSERT INTO definition_read (graph, item, hash) VALUES (?1, ?2, ?3) ON CONFLICT(graph, item) DO UPDATE SET hash = excluded.hash

-- name: fold_defaults_delete
DELETE FROM definition_default WHERE graph = ?1

-- name: fold_default
INSERT INTO definition_default (graph, position, target) VALUES (?1, ?2, ?3)

-- name: fold_uses_declared
SELECT item FROM use WHERE node = ?1 AND origin = 0 ORDER BY item

-- name: fold_uses_discovered
SELECT item FROM use WHERE node = ?1 AND origin = 1 ORDER BY item

-- name: fold_use_delete
DELETE FROM use WHERE item = ?2 AND node = ?1

-- name: fold_use_declare
INSERT INTO use (node, item, origin) VALUES (?1, ?2, 0) ON CONFLICT(item, node) DO UPDATE SET origin = 0

-- name: fold_use_discover
INSERT INTO use (node, item, origin) VALUES (?1, ?2, 1) ON CONFLICT(item, node) DO NOTHING

-- name: fold_uses_delete
DELETE FROM use WHERE node = ?1

-- name: fold_edges_declared
-- The origin as a number: next to the index of found edges, SQLite compiles a statement anew for every value of a parameter.
SELECT src FROM edge WHERE dst = ?1 AND origin = 0 ORDER BY src

-- name: fold_edges_discovered
SELECT src FROM edge WHERE dst = ?1 AND origin = 1 ORDER BY src

-- name: fold_edges_expanded
SELECT src FROM edge WHERE dst = ?1 AND origin = 2 ORDER BY src

-- name: fold_edge_delete
DELETE FROM edge WHERE src = ?2 AND dst = ?1

-- name: fold_edge_declare
INSERT INTO edge (dst, src, origin) VALUES (?1, ?2, 0) ON CONFLICT(src, dst) DO UPDATE SET origin = 0

-- name: fold_edge_expand
INSERT INTO edge (dst, src, origin) VALUES (?1, ?2, 2) ON CONFLICT(src, dst) DO UPDATE SET origin = 2

-- name: fold_expansion
INSERT INTO expansion (node, value, children) VALUES (?1, ?2, ?3)
ON CONFLICT(node) DO UPDATE SET value = excluded.value, children = excluded.children

-- name: fold_expansion_delete
DELETE FROM expansion WHERE node = ?1

-- name: fold_expansions_reset
UPDATE expansion SET value = NULL WHERE (SELECT graph FROM node WHERE id = expansion.node) = ?1

-- name: fold_edge_discover
INSERT INTO edge (dst, src, origin) VALUES (?1, ?2, 1) ON CONFLICT(src, dst) DO NOTHING

-- name: fold_needed
SELECT n.id FROM node me JOIN use u ON u.node = me.id AND u.origin = 1 JOIN item i ON i.id = u.item AND i.kind = 11
  JOIN node n ON n.graph = me.graph AND n.name = i.name AND n.status <> 9 AND n.id <> me.id
 WHERE me.id = ?1

-- name: fold_edges_in_delete
DELETE FROM edge WHERE dst = ?1

-- name: fold_edges_out_delete
DELETE FROM edge WHERE src = ?1 AND origin = 1

-- name: fold_edge_forget
DELETE FROM edge WHERE src = ?1 AND dst = ?2 AND origin = 1

-- name: fold_uses_forget
DELETE FROM use WHERE node = ?2 AND origin = 1 AND item IN (SELECT id FROM item WHERE node = ?1)

-- name: fold_node_unsettle
UPDATE node SET status = 1, due = ?2 WHERE id = ?1 AND status = 0

-- name: fold_claims
SELECT id, hash FROM item WHERE node = ?1 ORDER BY id

-- name: fold_claim
UPDATE item SET node = ?2 WHERE id = ?1

-- name: fold_vanished
INSERT INTO vanished_output (item, node, hash, keep) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT(item) DO UPDATE SET node = excluded.node, hash = excluded.hash, keep = excluded.keep

-- name: fold_vanished_delete
DELETE FROM vanished_output WHERE item = ?1

-- name: fold_folder_add
INSERT INTO folder (path) VALUES (?1) ON CONFLICT(path) DO NOTHING

-- name: fold_folder_delete
DELETE FROM folder WHERE path = ?1

-- name: fold_execution_start
INSERT INTO execution (id, node, run, started, finished, result, key, spec, effect, tool, value, log, exit, signal, at, duration, cpu,
memory, pid, ticks, dropped, outcome, changed, reason)
VALUES (?1, ?2, ?3, ?4, 0, 0, NULL, coalesce((SELECT spec FROM node WHERE id = ?2), 0), 0, NULL, NULL, NULL, 0, 0, ?5, 0, 0, 0, 0, 0, 0,
0, 0, 0)

-- name: fold_execution_spawned
UPDATE execution SET pid = ?2, ticks = ?3 WHERE id = ?1

-- name: fold_execution_add
INSERT INTO execution (id, node, run, finished, result, key, spec, effect, tool, value, log, exit, signal, at, duration, cpu, memory,
outcome, changed, reason, started, pid, ticks, dropped)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, 0, 0, 0, 0)
ON CONFLICT(id) DO NOTHING

-- name: fold_execution_finish
UPDATE execution SET node = ?2, run = ?3, finished = ?4, result = ?5, key = ?6, spec = ?7, effect = ?8, tool = ?9, value = ?10,
log = ?11, exit = ?12, signal = ?13, at = ?14, duration = ?15, cpu = ?16, memory = ?17, outcome = ?18, changed = ?19, reason = ?20 WHERE id = ?1

-- name: fold_aside
INSERT INTO aside (execution, item, number, hash, mode) VALUES (?1, ?2, ?3, ?4, ?5)
ON CONFLICT(execution, item) DO UPDATE SET number = excluded.number, hash = excluded.hash, mode = excluded.mode

-- name: fold_asides_delete
DELETE FROM aside WHERE execution = ?1

-- name: fold_token
INSERT INTO open_token (execution, token, job, boot_id, adopted) VALUES (?1, ?2, ?3, (SELECT boot_id FROM synced WHERE id = 1), 0)

-- name: fold_token_adopted
UPDATE open_token SET adopted = 1 WHERE execution = ?1

-- name: fold_token_delete
DELETE FROM open_token WHERE execution = ?1

-- name: fold_produced
INSERT INTO produced (execution, port, item, hash, size, mode) VALUES (?1, ?2, ?3, ?4, ?5, ?6)

-- name: fold_settlement
INSERT INTO settlement (seq, run, node, outcome, execution, cause, spec, effect, changed, reason)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)

-- name: fold_reason
INSERT INTO reason (settlement, position, reason, source, node, old_hash, new_hash, detail)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)

-- name: fold_refs_get
SELECT id FROM refs WHERE body = ?1

-- name: fold_refs_add
INSERT INTO refs (body) VALUES (?1)

-- name: fold_step_offer
INSERT INTO step (prefix, refs, execution) VALUES (?1, ?2, 0)
ON CONFLICT(prefix) DO UPDATE SET refs = excluded.refs, execution = 0 WHERE refs IN (0, excluded.refs)

-- name: fold_step_refs
SELECT refs FROM step WHERE prefix = ?1

-- name: fold_step
INSERT INTO step (prefix, refs, execution) VALUES (?1, ?2, ?3)
ON CONFLICT(prefix) DO UPDATE SET refs = excluded.refs, execution = excluded.execution

-- name: fold_leaf_delete
DELETE FROM step WHERE prefix = ?1 AND execution = ?2

-- name: fold_execution_drop
UPDATE execution SET dropped = 1 WHERE id = ?1
