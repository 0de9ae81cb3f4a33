/*
 * fold_late.c - item rows that a transaction has made and not written yet.
 *
 * A definition names an item, says what was seen of it and who claims it: three or four statements for one row. So the rows of items
 * that are new in a transaction wait here, are changed in memory, and are written once, in the order of their ids, when the
 * transaction ends or a statement asks the table for more than one of them. The same for how many nodes a graph has.
 *
 * L1  What waits here is not in the tables: every statement of the fold that reads or changes item, or graph.nodes, looks here
 *     first, or comes after fold_late_flush.
 * L2  Nothing waits when a transaction ends (the owner flushes), so no other connection can miss it.
 *
 * Without a fold_late rows are written at once. The thread of the connection.
 */
#include "engine/store/fold_internal.h"

enum { WAIT_MOST = 32 * 1024 };

struct fold_late {
    late_item *rows; /* by id */
    size_t count, capacity;
    mem_arena names;
    uint64_t graph; /* whose nodes are counted */
    int64_t nodes;  /* by how many there are more */
};

fold_late *fold_late_new(void)
{
    fold_late *late = mem_zero(1, sizeof *late);
    if (!late) return NULL;
    arena_init(&late->names);
    return late;
}

void fold_late_free(fold_late *late)
{
    if (!late) return;
    arena_deinit(&late->names);
    mem_free(late->rows);
    mem_free(late);
}

void fold_late_forget(fold_late *late)
{
    if (!late) return;
    arena_reset(&late->names);
    late->count = 0;
    late->nodes = 0;
}

/* --- writing ----------------------------------------------------------------------------------------------------- */

static int write_item(fold *f, const late_item *row)
{
    db_stmt *s = fold_get(f, SQL_FOLD_ITEM_ADD);
    if (!s) return f->err->code;
    bind_u64(s, 1, row->id);
    db_bind_int(s, 2, row->kind);
    bind_blob(s, 3, row->name);
    bind_hash(s, 4, &row->hash);
    bind_u64(s, 5, row->size);
    bind_u64(s, 6, row->mode);
    if (row->node) bind_u64(s, 7, row->node);
    bind_u64(s, 8, row->seq);
    return db_run(s, f->err);
}

static int write_count(fold *f, uint64_t graph, int64_t by)
{
    db_stmt *s = fold_get(f, SQL_FOLD_GRAPH_COUNT);
    if (!s) return f->err->code;
    bind_u64(s, 1, graph);
    db_bind_int(s, 2, by);
    return db_run(s, f->err);
}

static int flush(fold *f)
{
    fold_late *late = f->late;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < late->count; i++) rc = write_item(f, &late->rows[i]);
    if (rc == 0 && late->nodes != 0) rc = write_count(f, late->graph, late->nodes);
    if (rc == 0) fold_late_forget(late);
    return rc;
}

int fold_flush(fold *f)
{
    return f->late && (f->late->count > 0 || f->late->nodes != 0) ? flush(f) : 0;
}

int fold_late_flush(fold_late *late, db *d, weir_error *err)
{
    weir_error ignored;
    fold f = {.d = d, .late = late, .err = err ? err : &ignored};
    return fold_flush(&f);
}

/* --- waiting ----------------------------------------------------------------------------------------------------- */

int fold_item_new(fold *f, const late_item *row)
{
    fold_late *late = f->late;
    if (!late) return write_item(f, row);
    bool fits = late->count < WAIT_MOST && (late->count == 0 || late->rows[late->count - 1].id < row->id);
    int rc = fits ? 0 : flush(f);
    if (rc != 0) return rc;
    bytes name = row->name.size ? arena_bytes(&late->names, row->name) : row->name;
    if (!MEM_GROW(late->rows, late->capacity, late->count + 1) || (row->name.size && !name.data))
        return error_nomem(f->err, "folding an event");
    late->rows[late->count] = *row;
    late->rows[late->count++].name = name;
    return 0;
}

late_item *fold_item_waiting(const fold *f, uint64_t item)
{
    const fold_late *late = f->late;
    size_t low = 0, high = late ? late->count : 0;
    if (high == 0 || item < late->rows[0].id || item > late->rows[high - 1].id) return NULL;
    size_t at = (size_t)(item - late->rows[0].id); /* mostly there is no gap */
    while (low < high) {
        if (at >= high) at = low + (high - low) / 2;
        if (late->rows[at].id == item) return &late->rows[at];
        if (late->rows[at].id < item) low = at + 1;
        else high = at;
        at = high;
    }
    return NULL;
}

int fold_count_nodes(fold *f, uint64_t graph, int by)
{
    fold_late *late = f->late;
    if (!late) return write_count(f, graph, by);
    int rc = late->nodes != 0 && late->graph != graph ? fold_flush(f) : 0;
    late->graph = graph;
    late->nodes += by;
    return rc;
}
