-- door.sql - the questions of the command line. Read-only. A name with "_all" reads a whole table: a listing is asked for.

-- name: door_is_defined
SELECT EXISTS (SELECT 1 FROM definition_read);

-- name: door_graph_first
SELECT id FROM graph ORDER BY id LIMIT 1;

-- name: door_graph
SELECT file, nodes FROM graph WHERE id = ?1;

-- name: door_node
SELECT n.graph, n.name, f.name, f.kind, n.height, n.status, n.due, n.always, n.spec, n.successor, n.settled, n.execution, n.value, f.seq, n.parent
  FROM node n JOIN effect f ON f.id = n.effect WHERE n.id = ?1;

-- name: door_nodes_all
SELECT n.id, n.name, f.name, n.status, n.due, p.name FROM node n JOIN effect f ON f.id = n.effect LEFT JOIN node p ON p.id = n.parent
 WHERE n.graph = ?1 AND n.status <> 9 ORDER BY n.name;

-- name: door_nodes_like
SELECT n.id, n.name, f.name, n.status, n.due, p.name FROM node n JOIN effect f ON f.id = n.effect LEFT JOIN node p ON p.id = n.parent
 WHERE n.graph = ?1 AND n.status <> 9 AND n.name >= ?2 AND n.name < ?3
UNION ALL
SELECT n.id, n.name, f.name, n.status, n.due, p.name FROM effect f CROSS JOIN node n ON n.effect = f.id LEFT JOIN node p ON p.id = n.parent
 WHERE f.name = ?4 AND n.graph = ?1 AND n.status <> 9 AND NOT (n.name >= ?2 AND n.name < ?3)
 ORDER BY 2;

-- name: door_outputs
SELECT id, name, hash, size, mode FROM item WHERE node = ?1;

-- name: door_outputs_below
SELECT 1 FROM item WHERE kind = 1 AND name >= ?1 AND name < ?2 AND node IS NOT NULL LIMIT 1;

-- name: door_last_maker
SELECT n.id FROM vanished_output v JOIN node n ON n.id = v.node WHERE v.item = ?1;

-- name: door_run
SELECT id, graph, started, finished, at, duration, trigger, ran, unchanged, restored, cut_off, failed, blocked, complete
  FROM run WHERE id = ?1;

-- name: door_runs_all
SELECT id, graph, started, finished, at, duration, trigger, ran, unchanged, restored, cut_off, failed, blocked, complete
  FROM run WHERE id <= ?1 ORDER BY id DESC LIMIT ?2;

-- A run's numbers lie between its start and that of the next one: a node may have been settled a hundred thousand times since.

-- name: door_settlements
SELECT seq, run, outcome, execution, cause, spec, effect, changed, reason FROM settled
 WHERE node = ?1 AND run = ?2 AND seq > (SELECT r.started FROM run r WHERE r.id = ?2)
   AND seq < coalesce((SELECT r.started FROM run r WHERE r.id > ?2 ORDER BY r.id LIMIT 1), 9223372036854775807) ORDER BY seq;

-- name: door_settlement_last
SELECT seq, run, outcome, execution, cause, spec, effect, changed, reason FROM settled
 WHERE node = ?1 AND run <= ?2 AND seq < coalesce((SELECT r.started FROM run r WHERE r.id > ?2 ORDER BY r.id LIMIT 1), 9223372036854775807) AND outcome <> 3
   AND NOT (outcome IN (4, 5) AND EXISTS (SELECT 1 FROM settled later WHERE later.node = ?1 AND later.run <= ?2
                                             AND later.seq > settled.seq AND later.outcome NOT BETWEEN 4 AND 5))
 ORDER BY seq DESC LIMIT 1;

-- name: door_settlement_newest
SELECT seq, run, outcome, execution, cause, spec, effect, changed, reason FROM settled
 WHERE node = ?1 AND run <= ?2
   AND seq < coalesce((SELECT r.started FROM run r WHERE r.id > ?2 ORDER BY r.id LIMIT 1), 9223372036854775807)
 ORDER BY seq DESC LIMIT 1;

-- name: door_settlement_before
SELECT seq, run, outcome, execution, cause, spec, effect, changed, reason FROM settled
 WHERE node = ?1 AND seq < ?2 ORDER BY seq DESC LIMIT 1;

-- name: door_reasons
SELECT reason, source, node, old_hash, new_hash, detail FROM reason WHERE settlement = ?1 ORDER BY position;

-- name: door_execution
SELECT id, node, run, finished, result, key, spec, effect, value, log, exit, signal, at, duration, cpu, memory
  FROM execution WHERE id = ?1;

-- name: door_executions
WITH RECURSIVE line(id) AS (SELECT ?1 UNION
 SELECT (SELECT n.successor FROM node n WHERE n.id = line.id AND n.successor <> 0) FROM line WHERE line.id IS NOT NULL)
SELECT x.id, x.node, x.run, x.finished, x.result, x.key, x.spec, x.effect, x.value, x.log, x.exit, x.signal, x.at, x.duration, x.cpu,
       x.memory
  FROM line CROSS JOIN execution x ON x.id IN (
       SELECT e.id FROM execution e WHERE e.node = line.id AND e.finished = 0 AND (?2 = 0 OR e.run = ?2) UNION ALL
       SELECT id FROM (SELECT e.id FROM execution e WHERE e.node = line.id AND (?2 = 0 OR e.run = ?2)
          AND e.finished > CASE ?2 WHEN 0 THEN 0 ELSE (SELECT r.started FROM run r WHERE r.id = ?2) END
          AND e.finished < CASE ?2 WHEN 0 THEN 9223372036854775807
              ELSE coalesce((SELECT r.started FROM run r WHERE r.id > ?2 ORDER BY r.id LIMIT 1), 9223372036854775807) END
        ORDER BY e.finished DESC LIMIT ?3))
 ORDER BY x.id DESC LIMIT ?3;

-- name: door_predecessor
WITH RECURSIVE line(id, before) AS (SELECT ?1, coalesce((SELECT r.started FROM run r WHERE r.id > ?2 ORDER BY r.id LIMIT 1), 9223372036854775807) UNION
 SELECT (SELECT n.successor FROM node n WHERE n.id = line.id AND n.successor <> 0), before FROM line WHERE line.id IS NOT NULL)
SELECT line.id, max(coalesce((SELECT max(s.seq) FROM settlement s WHERE s.node = line.id AND s.run <= ?2 AND s.seq < line.before), 0),
                    coalesce((SELECT max(x.finished) FROM execution x WHERE x.node = line.id AND x.run <= ?2 AND x.finished < line.before), 0)) AS seq
  FROM line WHERE seq <> 0 ORDER BY seq DESC LIMIT 1;

-- name: door_settled_in_run
SELECT s.node, n.name, s.outcome, s.execution, s.changed, x.result, x.at, x.duration, x.log, x.exit, x.signal, x.finished, s.seq
  FROM settled s JOIN node n ON n.id = s.node LEFT JOIN execution x ON x.id = s.execution AND x.finished = s.seq
 WHERE s.run = ?1 ORDER BY s.seq LIMIT ?2;

-- name: door_events
SELECT seq, run, at, kind, body FROM event WHERE seq >= ?1 ORDER BY seq LIMIT ?2;

-- name: door_event_last
SELECT max(seq) FROM event;

-- name: door_event
SELECT kind, body FROM event WHERE seq = ?1;

-- name: door_unsettled_count
SELECT status, count(*) FROM node WHERE graph = ?1 AND status > 0 AND status < 9 GROUP BY status;

-- name: door_unsettled
SELECT id, name, status, due FROM node WHERE graph = ?1 AND status > 0 AND status < 9 LIMIT ?2;

-- name: door_last_failure
SELECT x.run, x.at, s.seq FROM settled s JOIN execution x ON x.id = s.execution WHERE s.node = ?1 AND s.outcome = 4
   AND s.seq >= coalesce((SELECT e.finished FROM execution e WHERE e.node = ?1 AND e.outcome = 4 AND e.finished <> 0 ORDER BY e.finished DESC LIMIT 1), 0)
 ORDER BY s.seq DESC LIMIT 1;

-- name: door_pending_users
SELECT n.id, n.name FROM pending p JOIN use u ON u.item = p.source JOIN node n ON n.id = u.node
 WHERE p.node = 0 AND n.settled < p.seq AND n.status = 0 AND n.graph = ?1
UNION
SELECT n.id, n.name FROM pending p JOIN edge e ON e.src = p.source JOIN node n ON n.id = e.dst
 WHERE p.node = 1 AND n.settled < p.seq AND n.status = 0 AND n.graph = ?1
UNION
SELECT n.id, n.name FROM pending p JOIN item i ON i.node = p.source JOIN use u ON u.item = i.id JOIN node n ON n.id = u.node
 WHERE p.node = 1 AND n.settled < p.seq AND n.status = 0 AND n.graph = ?1
 LIMIT ?2;

-- name: door_always_count
SELECT count(*) FROM node WHERE always = 1 AND status <> 9 AND graph = ?1;

-- name: door_payload_prefix
SELECT hash FROM payload WHERE hash >= ?1 AND hash <= ?2 LIMIT 3;

-- name: door_running
SELECT n.name, t.job, x.pid, x.ticks, x.at, t.boot_id, t.adopted FROM execution x JOIN open_token t ON t.execution = x.id
  JOIN node n ON n.id = x.node WHERE x.result = 0 AND n.graph = ?1 ORDER BY x.id;
