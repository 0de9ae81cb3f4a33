-- views.sql - the promised weir_* views: what was recorded, for people and their programs.
--
-- Columns are only ever added. Hashes are lower-case hex, names instead of numbers, ISO times (UTC) beside integers in
-- microseconds since 1970. Built-in functions of SQLite alone: the sqlite3 shell and Datasette can read them while weir runs.

CREATE VIEW weir_runs AS           -- one row per run
SELECT r.id AS run,
       CAST(g.file AS TEXT) AS workflow,
       CAST(r.trigger AS TEXT) AS trigger,
       CASE WHEN r.finished = 0 THEN 'open' WHEN r.failed > 0 THEN 'failed' WHEN r.complete = 0 THEN 'partial' ELSE 'complete' END AS status,
       strftime('%Y-%m-%dT%H:%M:%fZ', r.at / 1000000.0, 'unixepoch') AS started,
       r.at AS started_us,
       r.duration / 1000000.0 AS seconds,
       r.ran, r.restored, r.unchanged, r.cut_off, r.failed, r.blocked,
       r.started AS first_seq,
       r.finished AS last_seq      -- 0: it did not come to its end
  FROM run r LEFT JOIN graph g ON g.id = r.graph;

CREATE VIEW weir_nodes AS          -- one row per node, also vanished ones
SELECT n.id AS node_id,
       CAST(n.name AS TEXT) AS node,
       CAST(g.file AS TEXT) AS workflow,
       CAST(f.name AS TEXT) AS effect,
       CASE f.kind WHEN 1 THEN 'lua' WHEN 2 THEN 'c' WHEN 3 THEN 'command' END AS effect_kind,
       CASE n.status WHEN 0 THEN 'settled' WHEN 1 THEN 'due' WHEN 2 THEN 'failed' WHEN 3 THEN 'blocked' WHEN 9 THEN 'vanished' END AS status,
       CASE n.due WHEN 1 THEN 'new' WHEN 2 THEN 'input-changed' WHEN 3 THEN 'inputs-added' WHEN 4 THEN 'inputs-removed'
                  WHEN 5 THEN 'code-changed' WHEN 6 THEN 'params-changed' WHEN 7 THEN 'env-changed' WHEN 8 THEN 'output-missing'
                  WHEN 9 THEN 'output-modified' WHEN 10 THEN 'previous-failed' WHEN 11 THEN 'interrupted' WHEN 12 THEN 'voided'
                  WHEN 13 THEN 'raced' WHEN 14 THEN 'impure' WHEN 15 THEN 'forced' WHEN 16 THEN 'always' END AS due,
       n.height,
       n.always,
       nullif(lower(hex(n.value)), '') AS value,
       nullif(n.execution, 0) AS execution,
       n.settled AS settled_seq,
       n.spec AS declared_seq,
       nullif(n.parent, 0) AS declared_by
  FROM node n JOIN effect f ON f.id = n.effect LEFT JOIN graph g ON g.id = n.graph;

CREATE VIEW weir_edges AS          -- node to node: `node` uses what `source` makes
SELECT e.src AS source_id, CAST(s.name AS TEXT) AS source,
       e.dst AS node_id, CAST(n.name AS TEXT) AS node,
       CASE e.origin WHEN 1 THEN 'discovered' ELSE 'declared' END AS origin
  FROM edge e JOIN node s ON s.id = e.src JOIN node n ON n.id = e.dst
 WHERE s.status <> 9
UNION
SELECT i.node, CAST(s.name AS TEXT), u.node, CAST(n.name AS TEXT), CASE u.origin WHEN 0 THEN 'declared' ELSE 'discovered' END
  FROM use u JOIN item i ON i.id = u.item JOIN node s ON s.id = i.node JOIN node n ON n.id = u.node
 WHERE i.node IS NOT NULL;

CREATE VIEW weir_inputs AS         -- what nodes use that is no node: files, variables, values, tools
SELECT u.node AS node_id, CAST(n.name AS TEXT) AS node,
       CASE i.kind WHEN 1 THEN 'file' WHEN 2 THEN 'glob' WHEN 3 THEN 'env' WHEN 4 THEN 'value' WHEN 5 THEN 'tool' WHEN 6 THEN 'build'
                   WHEN 7 THEN 'folder' WHEN 8 THEN 'tree' WHEN 9 THEN 'link' WHEN 12 THEN 'member' END AS kind,
       CAST(i.name AS TEXT) AS name,
       nullif(lower(hex(i.hash)), '') AS hash,
       i.size,
       CASE u.origin WHEN 0 THEN 'declared' ELSE 'discovered' END AS origin
  FROM use u JOIN item i ON i.id = u.item JOIN node n ON n.id = u.node
 WHERE i.kind <> 11;

CREATE VIEW weir_outputs AS        -- what executions made
SELECT p.execution, x.run, x.node AS node_id, CAST(n.name AS TEXT) AS node,
       CAST(i.name AS TEXT) AS path,
       lower(hex(p.hash)) AS hash,
       p.size,
       printf('%04o', p.mode) AS mode,
       n.status <> 9 AND n.execution = p.execution AS is_current
  FROM produced p JOIN execution x ON x.id = p.execution JOIN node n ON n.id = x.node JOIN item i ON i.id = p.item;

CREATE VIEW weir_events AS         -- the log; `weir log --events --json` prints what is in the bodies
SELECT e.seq, e.run,
       strftime('%Y-%m-%dT%H:%M:%fZ', e.at / 1000000.0, 'unixepoch') AS at,
       e.at AS at_us,
       CASE e.kind WHEN 1 THEN 'session' WHEN 2 THEN 'run_started' WHEN 3 THEN 'run_finished' WHEN 4 THEN 'item_named'
                   WHEN 5 THEN 'item_observed' WHEN 6 THEN 'effect' WHEN 7 THEN 'node' WHEN 8 THEN 'node_removed'
                   WHEN 9 THEN 'definition' WHEN 10 THEN 'started' WHEN 11 THEN 'spawned' WHEN 12 THEN 'finished'
                   WHEN 13 THEN 'settled' WHEN 14 THEN 'output_removed' WHEN 15 THEN 'foreign_kept' WHEN 16 THEN 'folder_made'
                   WHEN 17 THEN 'payloads_synced' WHEN 18 THEN 'edge_found' WHEN 19 THEN 'node_due' WHEN 20 THEN 'value_set'
                   WHEN 21 THEN 'traces_dropped' WHEN 22 THEN 'accepted' WHEN 25 THEN 'expanded'
                   WHEN 26 THEN 'edge_dropped' WHEN 31 THEN 'recovered' END AS kind,
       length(e.body) AS bytes
  FROM event e;

CREATE VIEW weir_executions AS     -- one row per running of an effect
SELECT x.id AS execution, x.run, x.node AS node_id, CAST(n.name AS TEXT) AS node,
       CASE x.result WHEN 0 THEN 'open' WHEN 1 THEN 'ok' WHEN 2 THEN 'failed' WHEN 3 THEN 'transient' WHEN 4 THEN 'interrupted'
                     WHEN 5 THEN 'raced' WHEN 6 THEN 'impure' END AS result,
       strftime('%Y-%m-%dT%H:%M:%fZ', x.at / 1000000.0, 'unixepoch') AS started,
       x.at AS started_us,
       x.duration / 1000000.0 AS seconds,
       x.cpu / 1000000.0 AS cpu_seconds,
       x.memory AS memory_bytes,
       x.exit AS exit_code,
       x.signal,
       nullif(lower(hex(x.key)), '') AS key,
       nullif(lower(hex(x.value)), '') AS value,
       nullif(lower(hex(x.log)), '') AS log
  FROM execution x JOIN node n ON n.id = x.node;

CREATE VIEW weir_reasons AS        -- why nodes were due, and what became of it
SELECT r.run, r.settled AS node_id, CAST(n.name AS TEXT) AS node,
       CASE r.outcome WHEN 1 THEN 'ran' WHEN 2 THEN 'restored' WHEN 3 THEN 'unchanged' WHEN 4 THEN 'failed' WHEN 5 THEN 'blocked' WHEN 6 THEN 'accepted' END AS outcome,
       r.position,
       CASE r.reason WHEN 1 THEN 'new' WHEN 2 THEN 'input-changed' WHEN 3 THEN 'inputs-added' WHEN 4 THEN 'inputs-removed'
                     WHEN 5 THEN 'code-changed' WHEN 6 THEN 'params-changed' WHEN 7 THEN 'env-changed' WHEN 8 THEN 'output-missing'
                     WHEN 9 THEN 'output-modified' WHEN 10 THEN 'previous-failed' WHEN 11 THEN 'interrupted' WHEN 12 THEN 'voided'
                     WHEN 13 THEN 'raced' WHEN 14 THEN 'impure' WHEN 15 THEN 'forced' WHEN 16 THEN 'always' END AS reason,
       CAST(r.detail AS TEXT) AS input,
       CASE WHEN r.source = 0 THEN NULL
            WHEN r.node = 1 THEN (SELECT CAST(m.name AS TEXT) FROM node m WHERE m.id = r.source)
            ELSE (SELECT CAST(i.name AS TEXT) FROM item i WHERE i.id = r.source) END AS name,
       nullif(lower(hex(r.old_hash)), '') AS old,
       nullif(lower(hex(r.new_hash)), '') AS new,
       nullif(r.execution, 0) AS execution,
       r.seq AS seq
  FROM (SELECT s.run, s.node AS settled, s.outcome, s.execution, s.seq, m.position, m.reason, m.source, m.node, m.old_hash, m.new_hash, m.detail
          FROM settled s JOIN reason m ON m.settlement = s.seq
        UNION ALL
        SELECT s.run, s.node, s.outcome, s.execution, s.seq, 0, s.reason, 0, 0, NULL, NULL, x''
          FROM settled s WHERE s.reason <> 0) r
  JOIN node n ON n.id = r.settled;
