/*
 * job_lists.c - a list that a job has read as a whole is one read.
 *
 * A worker says each file it read. One of 100,000 members would be as many rows, and as many steps of a trace to walk at each lookup.
 * So where an effect has read the content of every member of a list, what is recorded is what a command records: the root of the tree
 * over the members (store/blob.h), its chunks in the store, from which `why` names the member that changed.
 *
 * L1  The root is made of the hashes that the worker saw. It says neither more nor less than the reads it stands for: each member has exactly
 *     one file and nothing else that the root would cover.
 * L2  It takes the place of the first of them. The others move to the front with it: what is asked at a lookup is the same set.
 *
 * Loop thread only.
 */
#include "engine/run/engine.h"

enum { LIST_LEAST = 16 }; /* members; a shorter list is as cheap member by member, and more exact when it is read in part later on */

typedef struct whole_list {
    hash128 *members;  /* as seen; in the task's arena; NULL: not a list to look at */
    size_t count, seen;
    bool placed;
} whole_list;

static bool is_member(const read_record *r)
{
    return r->ref.aspect == ASPECT_CONTENT && r->ref.port >= 0 && r->ref.member >= 0 && r->ref.sub < 0;
}

/* Does the root cover just the one file of each member? */
static int is_plain(task *t, const spec_input *in, bool *plain, weir_error *err)
{
    *plain = true;
    for (size_t k = 0; *plain && k < in->count; k++) {
        if (in->members[k].kind != MEMBER_NODE) continue;
        const cat_node *up = catalog_node(t->w->catalog, in->members[k].id, err);
        if (!up) return err->code ? err->code : WEIR_BUG;
        *plain = up->spec.output_count == 1 && hash_is_none(up->value);
    }
    return 0;
}

static int begin(task *t, whole_list *lists, weir_error *err)
{
    const node_spec *spec = &t->node->spec;
    for (size_t i = 0; i < spec->input_count; i++) {
        const spec_input *in = &spec->inputs[i];
        bool plain = false;
        if (!in->is_list || in->count < LIST_LEAST || t->end.read_count < in->count) continue;
        int rc = is_plain(t, in, &plain, err);
        if (rc != 0) return rc;
        if (!plain) continue;
        lists[i].count = in->count;
        lists[i].members = arena_zero(&t->arena, in->count, sizeof *lists[i].members);
        if (!lists[i].members) return error_nomem(err, "recording reads");
    }
    return 0;
}

static void gather(const task *t, whole_list *lists)
{
    for (size_t i = 0; i < t->end.read_count; i++) {
        const read_record *r = &t->end.reads[i];
        if (!is_member(r)) continue;
        whole_list *l = &lists[r->ref.port];
        if (!l->members || (size_t)r->ref.member >= l->count) continue;
        if (hash_is_none(l->members[r->ref.member])) l->seen++;
        l->members[r->ref.member] = r->hash;
    }
}

/* Groups stay in order, numbered anew. */
static int replace(task *t, whole_list *lists, weir_error *err)
{
    size_t kept = 0;
    uint32_t from = 0, group = 0;
    for (size_t i = 0; i < t->end.read_count; i++) {
        read_record r = t->end.reads[i];
        whole_list *l = is_member(&r) ? &lists[r.ref.port] : NULL;
        bool whole = l && l->members && l->seen == l->count;
        if (whole && l->placed) continue;
        if (whole) {
            int32_t port = r.ref.port;
            uint32_t same = r.group;
            l->placed = true;
            r = (read_record){.ref = {.aspect = ASPECT_LIST, .port = port, .member = -1, .sub = -1}, .group = same};
            int rc = blob_list_root(l->members, l->count, &r.hash, resolve_keep_chunk, t, err);
            if (rc != 0) return rc;
        }
        if (kept > 0 && r.group != from) group++;
        from = r.group;
        r.group = group;
        t->end.reads[kept++] = r;
    }
    t->end.read_count = kept;
    return 0;
}

int jobs_fold_lists(task *t, weir_error *err)
{
    const node_spec *spec = &t->node->spec;
    bool any = false;
    if (t->end.read_count < LIST_LEAST) return 0;
    whole_list *lists = arena_zero(&t->arena, spec->input_count ? spec->input_count : 1, sizeof *lists);
    if (!lists) return error_nomem(err, "recording reads");
    int rc = begin(t, lists, err);
    if (rc != 0) return rc;
    gather(t, lists);
    for (size_t i = 0; i < spec->input_count; i++) any = any || (lists[i].members && lists[i].seen == lists[i].count);
    return any ? replace(t, lists, err) : 0;
}
