/*
 * moved.c - do the outputs of a node lie elsewhere than when it was last settled well?
 *
 * M1  Whoever declares a node as its input gets the paths of its outputs, whatever they hold: when one moves, its users are looked at,
 *     even if what is found at the new place is what a result of before left there.
 *
 * An attempt that failed or was blocked says nothing about what its users have seen, so it does not count.
 *
 * Loop thread only.
 */
#include "engine/run/engine.h"
#include "generated/schema.h"

/* The declaration under which it was last settled well; 0: never. */
static int last_declaration(task *t, uint64_t *seq, weir_error *err)
{
    db_stmt *q = db_get(catalog_db(t->w->catalog), SQL_SETTLED_WELL_SPEC, err);
    if (!q) return err->code;
    db_bind_int(q, 1, (int64_t)t->node->id);
    int rc = db_step(q, err);
    *seq = rc == 1 ? (uint64_t)db_int(q, 0) : 0;
    db_reset(q);
    return rc < 0 ? rc : 0;
}

static bool same_outputs(const node_spec *a, const node_spec *b)
{
    if (a->output_count != b->output_count) return false;
    for (size_t i = 0; i < a->output_count; i++)
        if (a->outputs[i].id != b->outputs[i].id) return false;
    return true;
}

int settle_moved(task *t, bool *moved, weir_error *err)
{
    const cat_result *before = NULL;
    event_body body;
    node_spec old;
    uint64_t seq = 0;
    *moved = false;
    if (t->node->execution == 0 || t->node->spec.output_count == 0) return 0;
    int rc = catalog_result(t->w->catalog, t->node->execution, &before, err);
    if (rc == 0 && before->spec_seq == t->node->spec_seq) return 0; /* it ran under this declaration */
    if (rc == WEIR_NOTFOUND) error_clear(err), rc = 0;
    if (rc == 0) rc = last_declaration(t, &seq, err);
    if (rc != 0 || seq == 0 || seq == t->node->spec_seq) return rc;
    rc = settle_load_event(t, seq, EVENT_NODE, &body, err);
    if (rc == WEIR_NOTFOUND) return error_clear(err), 0;
    if (rc == 0) rc = spec_get_stored(body.node.spec, &t->arena, &old, err);
    if (rc == 0) *moved = !same_outputs(&old, &t->node->spec);
    return rc;
}
