/*
 * held.c - failed nodes that are not tried again by themselves.
 *
 * What a batch job or an operation did before it was interrupted is unknown. An operation is held until a person says so (run --force,
 * accept), also when it failed by itself. A batch job is held by the run that finds it interrupted, and says so; from then on it
 * is a failure like others. A change of what it uses, or its name among the targets, asks for it at once.
 *
 * Loop thread only.
 */
#include "engine/run/engine.h"
#include "generated/schema.h"

#define HELD_OPS "an operation is never repeated by itself: `weir run --force NODE` runs it, `weir accept NODE` takes it as done"

static bool is_named(const task *t)
{
    const weir *w = t->w;
    for (size_t i = 0; w->request->target_count > 0 && i < w->target_node_count; i++)
        if (w->target_nodes[i] == t->node->id) return true;
    return false;
}

/* Has something that it uses changed since its attempt was found interrupted? */
static int is_changed_since(task *t, bool *changed, weir_error *err)
{
    weir *w = t->w;
    const node_spec *spec = &t->node->spec;
    for (size_t i = 0; i < spec->input_count; i++)
        for (size_t k = 0; k < spec->inputs[i].count; k++) {
            const spec_member *m = &spec->inputs[i].members[k];
            if (m->kind == MEMBER_ITEM && map_get(&w->observe_again, map_key_u64(&m->id))) *changed = true;
        }
    int rc = *changed || w->dry ? 0 : catalog_refresh(w->catalog, err);
    db_stmt *q = rc == 0 && !*changed ? db_get(catalog_db(w->catalog), SQL_NODE_CHANGED_SINCE, err) : NULL;
    if (!q) return *changed ? 0 : rc ? rc : err->code;
    db_bind_int(q, 1, (int64_t)t->node->id);
    db_bind_int(q, 2, (int64_t)t->node->settled);
    rc = db_step(q, err);
    *changed = rc == 1;
    db_reset(q);
    return rc < 0 ? rc : 0;
}

/* Operations are held until a person says so; a batch job that was interrupted, by the run that finds it, if nothing asks for it. */
int held_why(task *t, const char **why, weir_error *err)
{
    bool changed = false;
    const cat_node *node = t->node;
    *why = NULL;
    if (node->status != CAT_FAILED || node->forced) return 0;
    if (node->spec.job == JOB_OPS)
        *why = node->due == REASON_INTERRUPTED ? "it was interrupted, and what it did until then is unknown; " HELD_OPS
                                               : "its last attempt failed or was interrupted; " HELD_OPS;
    if (node->spec.job != JOB_BATCH || node->due != REASON_INTERRUPTED || is_named(t)) return 0;
    int rc = is_changed_since(t, &changed, err);
    if (!changed) *why = "it was interrupted; the next `weir run` tries it again, or `weir run NODE` at once";
    return rc;
}
