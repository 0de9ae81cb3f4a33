-- stat.sql - what SQLite's planner shall think of the sizes of tables: a large project, whatever this one is. Without it a graph
-- counts as ten nodes, and "the due nodes of a graph" reads them all. Plans stay the same for ever; nothing else runs ANALYZE.
-- Rows: table, index, rows in it and how many share the first, the first two ... columns.

ANALYZE sqlite_schema; -- makes sqlite_stat1
DELETE FROM sqlite_stat1;
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
    ('event', NULL, '10000000'),
    ('chain', NULL, '100000'),
    ('payload', 'payload_hash', '1000000 1'),
    ('cache_folder', 'sqlite_autoindex_cache_folder_1', '20000 1'),
    ('cache_glob', NULL, '100'),
    ('item', 'item_name', '2000000 50000 1'),
    ('item', 'item_node', '1000000 1'),
    ('value', NULL, '100'),
    ('effect', 'effect_name', '100 100 1'),
    ('node', 'node_name', '1000000 1000000 1'),
    ('node', 'node_effect', '1000000 20000'),
    ('node', 'node_status', '1000 1000 300'),
    ('node', 'node_always', '100 100'),
    ('edge', 'edge', '2000000 2 1'),
    ('edge', 'edge_back', '2000000 2 2'),
    ('use', 'use', '3000000 2 1'),
    ('use', 'use_back', '3000000 3 3'),
    ('pending', 'pending', '1000 500 1'),
    ('execution', 'execution_node', '2000000 2 1'),
    ('execution', 'execution_run', '2000000 10000 1'),
    ('execution', 'execution_traced', '1000000 1'),
    ('execution', 'execution_failed', '1000 1'),
    ('execution', 'execution_open', '10 1'),
    ('produced', 'produced', '2000000 1 1'),
    ('refs', 'refs_body', '100000 1'),
    ('step', 'step', '4000000 1'),
    ('settlement', 'settlement_node', '3000000 3 1'),
    ('settlement', 'settlement_run', '3000000 10000'),
    ('reason', 'reason', '4000000 2 1'),
    ('run', NULL, '5000'),
    ('graph', 'graph_file', '2 1'),
    ('definition_read', 'definition_read', '20000 20000 1'),
    ('definition_read', 'definition_item', '20000 1'),
    ('definition_default', 'definition_default', '10 10 1'),
    ('aside', 'aside', '10 2 1'),
    ('open_token', NULL, '10'),
    ('vanished_output', NULL, '20'),
    ('folder', 'sqlite_autoindex_folder_1', '1000 1');
ANALYZE sqlite_schema; -- and reads it
