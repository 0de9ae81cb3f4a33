-- engine.sql - what the engine asks while it runs.

-- name: item_by_id
SELECT kind, name, hash, size, mode, node FROM item WHERE id = ?1;

-- name: item_by_name
SELECT id, hash, size, mode, node FROM item WHERE kind = ?1 AND name = ?2;

-- name: item_last_id
SELECT max(id) FROM item;

-- name: items_outside
SELECT id, kind, name, hash FROM item WHERE kind IN (3, 4, 5, 6);

-- name: items_glob
SELECT i.id, i.name, i.hash, c.entries FROM item i LEFT JOIN cache_glob c ON c.item = i.id
 WHERE i.kind = 2 AND i.id IN (SELECT item FROM definition_read WHERE graph = ?1);

-- name: items_glob_names
SELECT i.id, i.name, i.hash FROM item i WHERE i.kind = 2 AND i.id IN (SELECT item FROM definition_read WHERE graph = ?1);

-- name: trees_in_use
SELECT i.id, i.kind, i.hash, c.entries, i.name FROM item i LEFT JOIN cache_glob c ON c.item = i.id
 WHERE i.kind IN (7, 8, 9) AND EXISTS (SELECT 1 FROM use WHERE use.item = i.id);

-- name: tree_record
SELECT entries FROM cache_glob WHERE item = ?1;

-- name: folder_is_made
SELECT 1 FROM folder WHERE path = ?1;

-- name: values_in_use
SELECT name FROM item
 WHERE kind = ?1 AND (EXISTS (SELECT 1 FROM use WHERE use.item = item.id) OR EXISTS (SELECT 1 FROM definition_read d WHERE d.item = item.id));

-- name: files_in_use
SELECT id, name, hash, node FROM item
 WHERE kind = 1 AND (node IS NOT NULL OR EXISTS (SELECT 1 FROM use WHERE use.item = item.id)
                     OR EXISTS (SELECT 1 FROM definition_read d WHERE d.item = item.id));

-- name: outputs_below
SELECT id, name, node FROM item WHERE kind = 1 AND name >= ?1 AND name < ?2 AND node IS NOT NULL;

-- name: outputs_all
SELECT name FROM item WHERE node IS NOT NULL;

-- name: folders_claimed
SELECT name FROM item WHERE node IS NOT NULL AND substr(name, -1) = x'2f';

-- name: value_by_item
SELECT value FROM value WHERE item = ?1;

-- name: node_by_id
SELECT n.graph, n.name, n.effect, n.height, n.status, n.due, n.always, n.spec, n.successor, n.settled, n.execution, n.value, e.body
  FROM node n JOIN event e ON e.seq = n.spec WHERE n.id = ?1;

-- name: node_id_by_name
SELECT id FROM node WHERE graph = ?1 AND name = ?2;

-- name: node_last_id
SELECT max(id) FROM node;

-- name: nodes_of_graph
SELECT n.id, n.name, n.status, n.height, n.effect, n.settled, e.body, n.parent FROM node n JOIN event e ON e.seq = n.spec WHERE n.graph = ?1;

-- name: nodes_of_parent
SELECT n.id, n.name, n.status, n.height, n.effect, n.settled, e.body, n.parent FROM node n JOIN event e ON e.seq = n.spec
 WHERE n.parent = ?1 AND n.parent <> 0 AND n.status <> 9;

-- name: nodes_expand
SELECT id FROM node WHERE graph = ?1 AND expand = 1 AND status <> 9;

-- name: children
SELECT id, height FROM node WHERE parent = ?1 AND parent <> 0 AND status <> 9;

-- name: expansion
SELECT value, children FROM expansion WHERE node = ?1;

-- name: expansions_open
SELECT x.node FROM expansion x
 WHERE EXISTS (SELECT 1 FROM node n WHERE n.id = x.node AND n.graph = ?1 AND n.status = 0 AND x.value IS NOT n.value);

-- name: expansion_readers
SELECT dst FROM edge WHERE src = ?1 AND origin = 2;

-- name: nodes_named
SELECT id, name FROM node WHERE graph = ?1 AND status <> 9;

-- name: nodes_unsettled
SELECT id, height, status, due FROM node WHERE graph = ?1 AND status > 0 AND status < 9;

-- name: nodes_always
SELECT id, height FROM node WHERE always = 1 AND status <> 9 AND graph = ?1;

-- name: nodes_of_effect
SELECT id, height FROM node WHERE effect = ?1 AND status <> 9;

-- name: node_users
SELECT e.dst AS id, n.height, n.settled FROM edge e JOIN node n ON n.id = e.dst WHERE e.src = ?1 AND n.status <> 9 AND n.graph = ?2
UNION
SELECT u.node AS id, n.height, n.settled FROM item i JOIN use u ON u.item = i.id JOIN node n ON n.id = u.node
 WHERE i.node = ?1 AND n.status <> 9 AND n.graph = ?2
UNION
SELECT e.dst AS id, n.height, n.settled FROM node c JOIN edge e ON e.src = c.parent JOIN node n ON n.id = e.dst
 WHERE c.id = ?1 AND c.parent <> 0 AND e.origin = 2 AND n.status <> 9 AND n.graph = ?2;

-- name: node_users_found
-- As node_users, in any order, and one as often as ways lead to it: no table has to be made to tell them apart.
SELECT e.dst AS id, n.height FROM edge e JOIN node n ON n.id = e.dst WHERE e.src = ?1 AND n.status <> 9 AND n.graph = ?2
UNION ALL
SELECT u.node AS id, n.height FROM item i JOIN use u ON u.item = i.id JOIN node n ON n.id = u.node
 WHERE i.node = ?1 AND n.status <> 9 AND n.graph = ?2
UNION ALL
SELECT e.dst AS id, n.height FROM node c JOIN edge e ON e.src = c.parent JOIN node n ON n.id = e.dst
 WHERE c.id = ?1 AND c.parent <> 0 AND e.origin = 2 AND n.status <> 9 AND n.graph = ?2;

-- name: edge_origin
-- The strongest: what is declared, be it by a list, is so even if it was also found.
SELECT origin, origin = 1 AS is_found FROM edge WHERE src = ?1 AND dst = ?2
UNION ALL
SELECT u.origin, u.origin = 1 FROM item i JOIN use u ON u.item = i.id WHERE i.node = ?1 AND u.node = ?2
UNION ALL
SELECT e.origin, 0 FROM node c JOIN edge e ON e.src = c.parent WHERE c.id = ?1 AND c.parent <> 0 AND e.origin = 2 AND e.dst = ?2
 ORDER BY 2 LIMIT 1;

-- name: node_sources
SELECT e.src FROM edge e WHERE e.dst = ?1 AND e.origin <> 1
UNION
SELECT i.node FROM use u JOIN item i ON i.id = u.item WHERE u.node = ?1 AND i.node IS NOT NULL
UNION
SELECT c.id FROM edge e JOIN node c ON c.parent = e.src WHERE e.dst = ?1 AND e.origin = 2 AND c.parent <> 0 AND c.status <> 9;

-- name: node_sources_ever
-- With what it needed once.
SELECT e.src FROM edge e WHERE e.dst = ?1
UNION
SELECT i.node FROM use u JOIN item i ON i.id = u.item WHERE u.node = ?1 AND i.node IS NOT NULL
UNION
SELECT c.id FROM edge e JOIN node c ON c.parent = e.src WHERE e.dst = ?1 AND e.origin = 2 AND c.parent <> 0 AND c.status <> 9;

-- name: node_sources_declared
SELECT e.src FROM edge e WHERE e.dst = ?1 AND e.origin <> 1
UNION
SELECT i.node FROM use u JOIN item i ON i.id = u.item WHERE u.node = ?1 AND u.origin = 0 AND i.node IS NOT NULL
UNION
SELECT c.id FROM edge e JOIN node c ON c.parent = e.src WHERE e.dst = ?1 AND e.origin = 2 AND c.parent <> 0 AND c.status <> 9;

-- name: node_source_nodes
SELECT e.src FROM edge e WHERE e.dst = ?1 AND e.origin <> 1
UNION
SELECT c.id FROM edge e JOIN node c ON c.parent = e.src WHERE e.dst = ?1 AND e.origin = 2 AND c.parent <> 0 AND c.status <> 9;

-- name: node_source_items
SELECT u.item FROM use u WHERE u.node = ?1;

-- name: node_declared_items
SELECT u.item FROM use u WHERE u.node = ?1 AND u.origin = 0;

-- name: node_found_items
SELECT u.item FROM use u WHERE u.node = ?1 AND u.origin = 1;

-- name: node_found_nodes
SELECT e.src FROM edge e WHERE e.dst = ?1 AND e.origin = 1;

-- name: item_users
SELECT u.node, n.height, n.settled FROM use u JOIN node n ON n.id = u.node WHERE u.item = ?1 AND n.status <> 9 AND n.graph = ?2;

-- name: pending_users
-- Users of pending changes that were not settled since, with the change; one twice if two ways lead to it.
SELECT u.node, p.seq FROM pending p CROSS JOIN use u ON u.item = p.source CROSS JOIN node n ON n.id = u.node
 WHERE p.node = 0 AND n.status <> 9 AND n.graph = ?1 AND n.settled < p.seq
UNION ALL
SELECT e.dst, p.seq FROM pending p CROSS JOIN edge e ON e.src = p.source CROSS JOIN node n ON n.id = e.dst
 WHERE p.node = 1 AND n.status <> 9 AND n.graph = ?1 AND n.settled < p.seq
UNION ALL
SELECT u.node, p.seq FROM pending p CROSS JOIN item i ON i.node = p.source CROSS JOIN use u ON u.item = i.id CROSS JOIN node n ON n.id = u.node
 WHERE p.node = 1 AND n.status <> 9 AND n.graph = ?1 AND n.settled < p.seq
UNION ALL
SELECT e.dst, p.seq FROM pending p CROSS JOIN node c ON c.id = p.source CROSS JOIN edge e ON e.src = c.parent CROSS JOIN node n ON n.id = e.dst
 WHERE p.node = 1 AND c.parent <> 0 AND e.origin = 2 AND n.status <> 9 AND n.graph = ?1 AND n.settled < p.seq;

-- name: pending_absent
SELECT p.source FROM pending p JOIN item i ON i.id = p.source WHERE p.node = 0 AND i.kind = ?1 AND i.hash = ?2;

-- name: item_declared_by
SELECT 1 FROM use u JOIN node n ON n.id = u.node WHERE u.item = ?1 AND u.origin = 0 AND n.status <> 9 AND n.graph = ?2 LIMIT 1;

-- name: effect_by_id
SELECT f.seq, f.graph, e.body FROM effect f JOIN event e ON e.seq = f.seq WHERE f.id = ?1;

-- name: effect_id_by_name
SELECT id FROM effect WHERE graph = ?1 AND name = ?2;

-- name: effect_last_id
SELECT max(id) FROM effect;

-- name: graph_by_file
SELECT id, seq, always, nodes FROM graph WHERE file = ?1;

-- name: graph_last
SELECT max(id), count(*) FROM graph;

-- name: definition_reads
SELECT d.item, d.hash, i.hash, i.kind, i.name FROM definition_read d JOIN item i ON i.id = d.item WHERE d.graph = ?1;

-- name: definition_open
-- Nodes that were said after the last definition was: they are due, since nothing is run before it is said; or vanished.
SELECT 1 FROM graph g
 WHERE g.id = ?1 AND (g.removed > g.seq OR EXISTS
       (SELECT 1 FROM node n WHERE n.graph = g.id AND n.status > 0 AND n.status < 9 AND n.parent = 0 AND n.spec > g.seq));

-- name: definition_defaults
SELECT target FROM definition_default WHERE graph = ?1 ORDER BY position;

-- name: step_probe
SELECT s.refs, s.execution, r.body FROM step s LEFT JOIN refs r ON r.id = s.refs WHERE s.prefix = ?1;

-- name: execution_result
-- A row for each output, or one without.
SELECT x.node, x.key, x.spec, x.effect, x.tool, x.value, x.result, p.port, p.item, p.hash, p.size, p.mode
  FROM execution x LEFT JOIN produced p ON p.execution = x.id WHERE x.id = ?1 ORDER BY p.port;

-- name: execution_end
SELECT finished FROM execution WHERE id = ?1;

-- name: executions_of_key
SELECT id FROM execution WHERE node = ?1 AND key = ?2 AND result IN (1, 2) AND dropped = 0 ORDER BY finished DESC LIMIT 8;

-- name: execution_last_id
SELECT max(id) FROM execution;

-- name: execution_ended
-- The event of its end, which says what it looked at.
SELECT e.kind, e.body FROM execution x JOIN event e ON e.seq = x.finished WHERE x.id = ?1;

-- name: executions_open
SELECT x.id, x.node, x.run, x.pid, x.ticks, t.token, t.job, t.boot_id, t.adopted, x.started, x.at FROM execution x JOIN open_token t ON t.execution = x.id
 WHERE x.result = 0;

-- name: node_changed_since
SELECT 1 FROM use u JOIN pending p ON p.node = 0 AND p.source = u.item WHERE u.node = ?1 AND p.seq > ?2
UNION ALL
SELECT 1 FROM use u JOIN item i ON i.id = u.item JOIN pending p ON p.node = 1 AND p.source = i.node WHERE u.node = ?1 AND p.seq > ?2
UNION ALL
SELECT 1 FROM edge e JOIN pending p ON p.node = 1 AND p.source = e.src WHERE e.dst = ?1 AND p.seq > ?2
 LIMIT 1;

-- name: execution_asides
SELECT a.item, a.number, a.hash, a.mode, i.name FROM aside a JOIN item i ON i.id = a.item WHERE a.execution = ?1;

-- name: run_last
SELECT id, finished FROM run ORDER BY id DESC LIMIT 1;

-- name: cache_folders
SELECT folder FROM cache_folder;

-- name: cache_folders_after
SELECT rowid, folder, entries FROM cache_folder WHERE rowid > ?1 ORDER BY rowid;

-- name: cache_folder_entries
SELECT entries FROM cache_folder WHERE folder = ?1;

-- name: cache_meta_get
SELECT value FROM cache_meta WHERE name = ?1;

-- name: vanished_outputs
SELECT v.item, v.node, v.hash, v.keep, i.name FROM vanished_output v JOIN item i ON i.id = v.item ORDER BY i.name DESC;

-- name: folders_made
SELECT path FROM folder ORDER BY path DESC;

-- name: spec_by_seq
SELECT body FROM event WHERE seq = ?1;

-- name: node_name_by_id
SELECT name FROM node WHERE id = ?1;

-- name: node_has_output
SELECT 1 FROM item WHERE node = ?1 LIMIT 1;

-- name: graph_file
SELECT file FROM graph WHERE id = ?1;

-- name: uses_discovered
SELECT u.node, u.item FROM node n JOIN use u ON u.node = n.id AND u.origin = 1 JOIN item i ON i.id = u.item
 WHERE n.graph = ?1 AND i.node IS NOT NULL;

-- name: item_discovered
SELECT node FROM use WHERE item = ?1 AND origin = 1;

-- name: item_uses
SELECT node FROM use WHERE item = ?1;

-- name: edges_discovered
SELECT e.dst, e.src FROM node n JOIN edge e ON e.dst = n.id AND e.origin = 1 WHERE n.graph = ?1;

-- name: nodes_needing
SELECT DISTINCT e.dst FROM edge e WHERE e.origin = 1;

-- name: node_is_found
SELECT 1 FROM edge e WHERE e.src = ?1 AND e.origin = 1
UNION ALL
SELECT 1 FROM item i JOIN use u ON u.item = i.id WHERE i.node = ?1 AND u.origin = 1 LIMIT 1;

-- name: need_users
SELECT u.node FROM item i JOIN use u ON u.item = i.id JOIN node n ON n.id = u.node
 WHERE i.kind = ?1 AND i.name = ?2 AND n.graph = ?3 AND n.status <> 9;

-- name: items_of_kind
SELECT 1 FROM item WHERE kind = ?1 LIMIT 1;

-- name: items_outside_used
SELECT id, kind, name FROM item
 WHERE kind IN (3, 4, 5, 6) AND (EXISTS (SELECT 1 FROM use WHERE use.item = item.id)
                                 OR EXISTS (SELECT 1 FROM definition_read d WHERE d.item = item.id));

-- name: item_is_used
SELECT 1 WHERE EXISTS (SELECT 1 FROM item WHERE id = ?1 AND node IS NOT NULL) OR EXISTS (SELECT 1 FROM use WHERE item = ?1)
            OR EXISTS (SELECT 1 FROM definition_read WHERE item = ?1) OR EXISTS (SELECT 1 FROM vanished_output WHERE item = ?1);

-- name: vanished_by_item
SELECT hash FROM vanished_output WHERE item = ?1;

-- name: vanished_any
SELECT 1 FROM vanished_output LIMIT 1;

-- name: synced_boot
SELECT boot_id FROM synced;

-- name: settled_spec
SELECT spec, seq FROM settled WHERE node = ?1 AND spec <> 0 ORDER BY seq DESC LIMIT 1;

-- name: settled_well_spec
SELECT spec, seq FROM settled WHERE node = ?1 AND spec <> 0 AND outcome NOT BETWEEN 4 AND 5 ORDER BY seq DESC LIMIT 1;

-- name: traces_of_node
SELECT count(*) FROM (SELECT 1 FROM execution WHERE node = ?1 AND result = 1 AND dropped = 0 LIMIT ?2);

-- name: traces_least_used
SELECT x.id FROM execution x LEFT JOIN cache_use u ON u.execution = x.id
 WHERE x.node = ?1 AND x.result = 1 AND x.dropped = 0 AND x.key = ?2 ORDER BY max(x.finished, coalesce(u.used, 0)) DESC, x.id DESC;

-- name: failures_count
SELECT count(*) FROM (SELECT 1 FROM execution WHERE node = ?1 AND result = 2 AND dropped = 0 LIMIT ?2);

-- name: failures_least_used
SELECT x.id FROM execution x LEFT JOIN cache_use u ON u.execution = x.id
 WHERE x.node = ?1 AND x.result = 2 AND x.dropped = 0 AND x.key = ?2 ORDER BY max(x.finished, coalesce(u.used, 0)) DESC, x.id DESC;

-- name: failures_of_node
SELECT key, id FROM execution WHERE result = 2 AND dropped = 0 AND key IS NOT NULL AND id IN
 (SELECT id FROM execution WHERE node = ?1 AND result = 2 AND dropped = 0 UNION
  SELECT execution FROM settled WHERE node = ?1 AND outcome = 4) ORDER BY key, id;

-- name: traces_of_key_all
SELECT id FROM execution WHERE result = 1 AND dropped = 0 AND key = ?1 ORDER BY id;

-- name: node_took
SELECT x.duration FROM node n JOIN execution x ON x.id = n.execution WHERE n.id = ?1;

-- name: users_to_weigh
SELECT dst FROM edge WHERE src = ?1 LIMIT ?2;
