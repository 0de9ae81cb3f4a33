-- state.sql - the fold of the log. Any release may change it; it is dropped and rebuilt then. Only engine/store/fold.c writes here.

CREATE TABLE item (                -- what a graph depends on beside nodes; also every output path
    id   INTEGER PRIMARY KEY,
    kind INTEGER NOT NULL,         -- item_kind
    name BLOB NOT NULL,            -- path, pattern, variable ...
    hash BLOB,                     -- fingerprint last observed or written; null: never seen
    size INTEGER NOT NULL,         -- bytes
    mode INTEGER NOT NULL,         -- permission bits
    node INTEGER,                  -- the live node that claims it as output
    seq  INTEGER NOT NULL          -- of the event that set hash
) STRICT;
CREATE UNIQUE INDEX item_name ON item(kind, name);
CREATE INDEX item_node ON item(node) WHERE node IS NOT NULL;
CREATE INDEX item_folder ON item(name) WHERE node IS NOT NULL AND substr(name, -1) = x'2f'; -- outputs that are folders: few

CREATE TABLE value (               -- named values: weir set
    item  INTEGER PRIMARY KEY,
    value BLOB                     -- canonical encoding; null: unset
) STRICT;

CREATE TABLE effect (
    id    INTEGER PRIMARY KEY,
    graph INTEGER NOT NULL,        -- 0 until an effect differs between graphs
    kind  INTEGER NOT NULL,        -- effect_kind
    name  BLOB NOT NULL,
    code  BLOB,                    -- code hash
    seq   INTEGER NOT NULL         -- of the event with the whole declaration
) STRICT;
CREATE UNIQUE INDEX effect_name ON effect(graph, name);

CREATE TABLE node (
    id        INTEGER PRIMARY KEY,
    graph     INTEGER NOT NULL,
    name      BLOB NOT NULL,
    effect    INTEGER NOT NULL,
    height    INTEGER NOT NULL,    -- 1 + the highest of its inputs
    status    INTEGER NOT NULL,    -- 0 settled, 1 due (see due), 2 failed, 3 blocked, 9 vanished
    due       INTEGER NOT NULL,    -- reason_kind for status 1; 11 for status 2: interrupted, and no run has said so yet; else 0
    always    INTEGER NOT NULL,    -- 1: due in every run
    spec      INTEGER NOT NULL,    -- seq of the event with the declaration
    successor INTEGER NOT NULL,    -- the node that this one took over from; 0: none
    settled   INTEGER NOT NULL,    -- seq at which it was last settled (or failed); 0: never
    execution INTEGER NOT NULL,    -- the execution whose result holds; 0: none
    value     BLOB,                -- hash of its value
    parent    INTEGER NOT NULL,    -- the expand node that declared it; 0: the workflow
    expand    INTEGER NOT NULL     -- 1: its value is a list of declarations
) STRICT;
CREATE UNIQUE INDEX node_name ON node(graph, name);
CREATE INDEX node_effect ON node(effect);
CREATE INDEX node_expand ON node(graph) WHERE expand = 1;
CREATE INDEX node_parent ON node(parent) WHERE parent <> 0;
CREATE INDEX node_status ON node(graph, status) WHERE status > 0 AND status < 9; -- those words: queries must use them (IN would build a table for each row)
CREATE INDEX node_always ON node(graph) WHERE always = 1 AND status <> 9;

CREATE TABLE expansion (           -- expand nodes whose list became nodes
    node     INTEGER PRIMARY KEY,
    value    BLOB,                 -- hash of the list that did; null: to be compared once more
    children BLOB NOT NULL         -- ids in order, as differences
) STRICT;

CREATE TABLE edge (                -- node to node: dst reads what src makes
    src    INTEGER NOT NULL,
    dst    INTEGER NOT NULL,
    origin INTEGER NOT NULL,       -- 0 declared, 1 discovered, 2 declared: dst reads what the nodes make that src declares
    PRIMARY KEY (src, dst)
) STRICT, WITHOUT ROWID;
CREATE INDEX edge_back ON edge(dst, origin);
CREATE INDEX edge_needed ON edge(dst) WHERE origin = 1;

CREATE TABLE use (                 -- item to node
    item   INTEGER NOT NULL,
    node   INTEGER NOT NULL,
    origin INTEGER NOT NULL,       -- 0 declared, 1 discovered
    PRIMARY KEY (item, node)
) STRICT, WITHOUT ROWID;
CREATE INDEX use_back ON use(node, origin);

CREATE TABLE pending (             -- changes whose users may not all have been settled yet
    source INTEGER NOT NULL,       -- item id, or node id
    node   INTEGER NOT NULL,       -- 1: source is a node
    seq    INTEGER NOT NULL,       -- a user settled after it has seen it
    PRIMARY KEY (node, source)
) STRICT, WITHOUT ROWID;

CREATE TABLE execution (
    id       INTEGER PRIMARY KEY,
    node     INTEGER NOT NULL,
    run      INTEGER NOT NULL,
    started  INTEGER NOT NULL,     -- seq of the intent; 0: none was needed
    finished INTEGER NOT NULL,     -- seq of the end; 0: open
    result   INTEGER NOT NULL,     -- execution_result; 0: open
    key      BLOB,
    spec     INTEGER NOT NULL,     -- seq of the declaration of its node
    effect   INTEGER NOT NULL,     -- seq of the declaration of its effect
    tool     BLOB,                 -- fingerprint of the program
    value    BLOB,                 -- hash of the value
    log      BLOB,                 -- hash of the captured output
    exit     INTEGER NOT NULL,
    signal   INTEGER NOT NULL,
    at       INTEGER NOT NULL,     -- wall clock of the start, microseconds
    duration INTEGER NOT NULL,     -- microseconds
    cpu      INTEGER NOT NULL,     -- microseconds
    memory   INTEGER NOT NULL,     -- peak bytes
    pid      INTEGER NOT NULL,
    ticks    INTEGER NOT NULL,     -- start time of the process
    dropped  INTEGER NOT NULL,     -- 1: its trace was given up (voided, or too many of its key)
    outcome  INTEGER NOT NULL,     -- how its end settled the node; 0: open
    changed  INTEGER NOT NULL,     -- 1: an output or the value differs from before
    reason   INTEGER NOT NULL      -- reason_kind: why it was due, if that names nothing; 0: see the table reason
) STRICT;                          -- what it looked at stands in the event of its end alone
CREATE INDEX execution_node ON execution(node, finished);
CREATE INDEX execution_run ON execution(run, finished) WHERE finished <> 0;
CREATE INDEX execution_traced ON execution(node) WHERE result = 1 AND dropped = 0; -- those that may be found again
CREATE INDEX execution_failed ON execution(node) WHERE result = 2 AND dropped = 0;
CREATE INDEX execution_open ON execution(id) WHERE result = 0;

CREATE TABLE produced (            -- outputs of an execution
    execution INTEGER NOT NULL,
    port      INTEGER NOT NULL,    -- index among the outputs of the declaration
    item      INTEGER NOT NULL,
    hash      BLOB NOT NULL,
    size      INTEGER NOT NULL,
    mode      INTEGER NOT NULL,
    PRIMARY KEY (execution, port)
) STRICT, WITHOUT ROWID;

CREATE TABLE refs (                -- interned groups of refs
    id   INTEGER PRIMARY KEY,
    body BLOB NOT NULL             -- read_refs_put
) STRICT;
CREATE UNIQUE INDEX refs_body ON refs(body);

CREATE TABLE step (                -- traces, as a chain of unique probes; rows are small enough to live in their index
    prefix    BLOB PRIMARY KEY,    -- hash of the key and of all that was seen so far
    refs      INTEGER NOT NULL,    -- what to look at next; 0: a leaf
    execution INTEGER NOT NULL     -- leaf: the result; else 0
) STRICT, WITHOUT ROWID;

CREATE TABLE settlement (          -- every time a node was settled without an execution, and how
    seq       INTEGER PRIMARY KEY,
    run       INTEGER NOT NULL,
    node      INTEGER NOT NULL,
    outcome   INTEGER NOT NULL,    -- outcome
    execution INTEGER NOT NULL,    -- whose result held afterwards
    cause     INTEGER NOT NULL,    -- blocked: the node that failed
    spec      INTEGER NOT NULL,
    effect    INTEGER NOT NULL,
    changed   INTEGER NOT NULL,    -- 1: an output or the value differs from before
    reason    INTEGER NOT NULL     -- as in execution
) STRICT;
CREATE INDEX settlement_node ON settlement(node, seq);
CREATE INDEX settlement_run ON settlement(run);

CREATE VIEW settled AS             -- every time a node was settled: by itself, or by the end of an execution (the cast: SQLite merges arms of one type)
SELECT seq, run, node, outcome, execution, cause, spec, effect, changed, reason FROM settlement
UNION ALL
SELECT finished, run, node, outcome, id, CAST(0 AS INTEGER), spec, effect, changed, reason FROM execution WHERE finished <> 0;

CREATE TABLE reason (              -- reasons that name something, or of which there are several
    settlement INTEGER NOT NULL,   -- seq
    position   INTEGER NOT NULL,
    reason     INTEGER NOT NULL,   -- reason_kind
    source     INTEGER NOT NULL,   -- item or node id; 0: none
    node       INTEGER NOT NULL,   -- 1: source is a node
    old_hash   BLOB,
    new_hash   BLOB,
    detail     BLOB NOT NULL,      -- port, component or text
    PRIMARY KEY (settlement, position)
) STRICT, WITHOUT ROWID;

CREATE TABLE run (
    id         INTEGER PRIMARY KEY,
    graph      INTEGER NOT NULL,
    started    INTEGER NOT NULL,   -- seq
    finished   INTEGER NOT NULL,   -- seq; 0: open or interrupted
    at         INTEGER NOT NULL,   -- wall clock, microseconds
    duration   INTEGER NOT NULL,   -- microseconds
    trigger    BLOB NOT NULL,
    ran        INTEGER NOT NULL,
    unchanged  INTEGER NOT NULL,
    restored   INTEGER NOT NULL,
    cut_off    INTEGER NOT NULL,
    failed     INTEGER NOT NULL,
    blocked    INTEGER NOT NULL,
    complete   INTEGER NOT NULL
) STRICT;

CREATE TABLE graph (               -- one per definition file
    id        INTEGER PRIMARY KEY,
    file      BLOB NOT NULL,
    seq       INTEGER NOT NULL,    -- of the last definition event
    removed   INTEGER NOT NULL,    -- seq at which a node of the workflow vanished last; above seq: a comparison came to no end
    always    BLOB NOT NULL,       -- not empty: evaluated on every run, and why
    nodes     INTEGER NOT NULL     -- how many live nodes
) STRICT;
CREATE UNIQUE INDEX graph_file ON graph(file);

CREATE TABLE definition_read (     -- what evaluating the workflow looked at
    graph    INTEGER NOT NULL,
    item     INTEGER NOT NULL,
    hash     BLOB NOT NULL,
    PRIMARY KEY (graph, item)
) STRICT, WITHOUT ROWID;
CREATE INDEX definition_item ON definition_read(item);

CREATE TABLE definition_default (  -- targets when none are named
    graph    INTEGER NOT NULL,
    position INTEGER NOT NULL,
    target   BLOB NOT NULL,
    PRIMARY KEY (graph, position)
) STRICT, WITHOUT ROWID;

CREATE TABLE aside (               -- of open executions: where old outputs wait, and which outputs did not exist
    execution INTEGER NOT NULL,
    item      INTEGER NOT NULL,
    number    INTEGER NOT NULL,    -- .weir/tmp/<token>/<number>; -1: did not exist before
    hash      BLOB,
    mode      INTEGER NOT NULL,
    PRIMARY KEY (execution, item)
) STRICT, WITHOUT ROWID;

CREATE TABLE open_token (          -- of open executions
    execution INTEGER PRIMARY KEY,
    token     BLOB NOT NULL,
    job       INTEGER NOT NULL,    -- job_type
    boot_id   BLOB NOT NULL,       -- of the session that started it
    adopted   INTEGER NOT NULL     -- 1: it outlived its engine, and goes on
) STRICT;

CREATE TABLE vanished_output (     -- outputs of nodes that are gone (or that lost the path), still to be removed
    item INTEGER PRIMARY KEY,
    node INTEGER NOT NULL,
    hash BLOB,                     -- as weir last wrote it
    keep INTEGER NOT NULL          -- 1: payload was not kept; removed by clean alone
) STRICT;

CREATE TABLE folder (              -- folders that weir made
    path BLOB PRIMARY KEY
) STRICT;

CREATE TABLE synced (              -- one row
    id      INTEGER PRIMARY KEY CHECK (id = 1),
    payload INTEGER NOT NULL,      -- payloads of everything up to this seq are on disk for good
    boot_id BLOB NOT NULL          -- of the newest session
) STRICT;
INSERT INTO synced VALUES (1, 0, x'');
