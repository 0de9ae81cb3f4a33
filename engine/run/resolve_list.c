/*
 * resolve_list.c - the hash behind a list: of its members as a whole, of their names.
 *
 * Lists that are read as a whole are hashed as a tree (store/blob.h). The names in a list change with declarations alone. Where no other
 * declaration than that of the node itself can move them, what its last execution saw of them holds as long as that declaration: then the
 * names of 100,000 members are not loaded to be hashed once more.
 *
 * Loop thread only.
 */
#include "engine/run/engine.h"
#include "engine/store/document.h"
#include "engine/store/read.h"

enum { NAMES_LEAST = 64 }; /* members; a shorter list is hashed */

int resolve_keep_chunk(void *ctx, hash128 hash, bytes chunk)
{
    task *t = ctx;
    blob_row row = {0};
    hash128 same;
    (void)hash;
    int rc = blob_take_bytes(t->w->blobs, chunk, &same, &row, NULL);
    if (rc == 0 && row.stored) journal_payload(t->w->journal, &row);
    return rc;
}

int resolve_list(task *t, const spec_input *input, hash128 *root, int (*keep)(void *ctx, hash128 hash, bytes chunk), void *ctx,
                 weir_error *err)
{
    hash128 *members = mem_zero(input->count ? input->count : 1, sizeof *members);
    if (!members) return error_nomem(err, "hashing a list");
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < input->count; i++) rc = resolve_member_hash(t, &input->members[i], &members[i], err);
    if (rc == 0) rc = blob_list_root(members, input->count, root, keep, ctx, err);
    mem_free(members);
    return rc;
}

/* --- names ------------------------------------------------------------------------------------------------------- */

static int name_of(task *t, const spec_member *m, bytes *name, weir_error *err)
{
    cat_item *item = NULL;
    if (m->kind == MEMBER_NODE) {
        const cat_node *up = catalog_node(t->w->catalog, m->id, err);
        if (!up && err->code == 0) error_set(err, WEIR_BUG, "node %llu is not stored", (unsigned long long)m->id);
        if (up) *name = up->spec.name;
        return up ? 0 : err->code;
    }
    int rc = resolve_file(t, m, -1, &item, err);
    if (item) *name = document_is_key(m) ? observe_key_name(&t->arena, item, m) : item->name;
    return rc;
}

static int hash_names(task *t, const spec_input *input, hash128 *hash, weir_error *err)
{
    bytes *names = mem_zero(input->count ? input->count : 1, sizeof *names);
    if (!names) return error_nomem(err, "hashing names");
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < input->count; i++) rc = name_of(t, &input->members[i], &names[i], err);
    if (rc == 0) *hash = read_names_hash(names, input->count);
    mem_free(names);
    return rc;
}

/* Nodes and items keep their names; where an output lies is a matter of its node, what an expansion declares is one of its value. */
static bool has_fixed_names(const spec_input *input)
{
    return !spec_input_has(input, MEMBER_EXPAND) && !spec_input_has(input, MEMBER_OUTPUT);
}

static int names_in_reads(task *t, uint64_t execution, size_t port, hash128 *hash, weir_error *err)
{
    mem_arena arena;
    read_record *reads = NULL;
    size_t count = 0;
    arena_init(&arena);
    int rc = catalog_reads(t->w->catalog, execution, &arena, &reads, &count, err);
    for (size_t i = 0; rc == 0 && i < count && hash_is_none(*hash); i++) {
        const read_ref *ref = &reads[i].ref;
        if (ref->aspect == ASPECT_NAMES && ref->port == (int32_t)port && ref->member < 0) *hash = reads[i].hash;
    }
    arena_deinit(&arena);
    if (rc == WEIR_NOTFOUND) error_clear(err);
    return rc == WEIR_NOTFOUND ? 0 : rc;
}

/* As the last execution of this declaration saw them; HASH_NONE: it did not look, or there is none. */
static int names_before(task *t, size_t port, hash128 *hash, weir_error *err)
{
    const cat_result *before = NULL;
    const cat_node *node = t->node;
    const spec_input *input = &node->spec.inputs[port];
    *hash = HASH_NONE;
    if (input->count < NAMES_LEAST || node->execution == 0 || !has_fixed_names(input)) return 0;
    int rc = catalog_result(t->w->catalog, node->execution, &before, err);
    if (rc == WEIR_NOTFOUND) error_clear(err);
    if (rc != 0) return rc == WEIR_NOTFOUND ? 0 : rc;
    if (before->node != node->id || before->spec_seq != node->spec_seq) return 0;
    return names_in_reads(t, before->execution, port, hash, err);
}

static hash128 *names_at(task *t, size_t port)
{
    if (!t->names) t->names = arena_zero(&t->arena, t->node->spec.input_count + 1, sizeof *t->names);
    return t->names ? &t->names[port] : NULL;
}

int resolve_list_names(task *t, size_t port, hash128 *hash, weir_error *err)
{
    hash128 *known = names_at(t, port);
    if (!known) return error_nomem(err, "hashing names");
    int rc = hash_is_none(*known) ? names_before(t, port, known, err) : 0;
    if (rc == 0 && hash_is_none(*known)) rc = hash_names(t, &t->node->spec.inputs[port], known, err);
    *hash = *known;
    return rc;
}

hash128 resolve_list_names_known(const task *t, size_t port)
{
    return t->names ? t->names[port] : HASH_NONE;
}
