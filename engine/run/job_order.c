/*
 * job_order.c - what a job is told: its inputs as they are now, its outputs, its params.
 *
 * A long list is told by its length and, if it is known, the hash of its names; the worker asks for members when the effect looks at them
 * (effect/job_list.c). What is told then is as of then: what moved in between shows at the end like any other move.
 *
 * Loop thread only. Memory: the task's arena.
 */
#include <stdlib.h>

#include "engine/run/engine.h"
#include "engine/run/output.h"
#include "engine/store/document.h"

enum {
    SENT_MOST = 256,            /* members of a list that go along with the order */
    ANSWER_BYTES = 1024 * 1024, /* of members that are asked for: the block that exceeds it is the last one */
};

static int node_files(task *t, const cat_node *up, bytes only, job_member *to, weir_error *err)
{
    to->files = arena_zero(&t->arena, up->spec.output_count ? up->spec.output_count : 1, sizeof *to->files);
    if (!to->files) return error_nomem(err, "describing a job");
    for (size_t i = 0; i < up->spec.output_count; i++) {
        const spec_output *out = &up->spec.outputs[i];
        if (only.size && !bytes_equal(out->port, only)) continue;
        const cat_item *item = catalog_item(t->w->catalog, out->id, err);
        if (!item) return err->code ? err->code : WEIR_BUG;
        to->files[to->file_count++] = (job_file){arena_bytes(&t->arena, out->port), item->name, item->hash, item->id};
    }
    return 0;
}

/* One file in an output that is a folder. */
static int part_files(task *t, const spec_member *m, job_member *to, weir_error *err)
{
    cat_item *item = NULL;
    int rc = resolve_file(t, m, -1, &item, err);
    if (rc != 0 || !item) return rc;
    to->files = arena_zero(&t->arena, 1, sizeof *to->files);
    if (!to->files) return error_nomem(err, "describing a job");
    to->files[to->file_count++] = (job_file){arena_bytes(&t->arena, m->port), item->name, item->hash, item->id};
    return 0;
}

static int node_member(task *t, const spec_member *m, job_member *to, uint64_t *missing, weir_error *err)
{
    bytes below = {0};
    const cat_node *up = catalog_node(t->w->catalog, m->id, err);
    if (!up) return err->code ? err->code : WEIR_BUG;
    to->name = up->spec.name;
    to->params = up->spec.params;
    if (m->kind == MEMBER_OUTPUT) (void)spec_member_output(&up->spec, m->port, &below);
    int rc = below.size ? part_files(t, m, to, err) : node_files(t, up, m->kind == MEMBER_OUTPUT ? m->port : bytes_of(NULL, 0), to, err);
    if (rc != 0 || hash_is_none(up->value)) return rc;
    to->has_value = true;
    to->value_hash = up->value;
    rc = jobs_value(t, up->value, &to->value, err);
    if (rc == WEIR_NOTFOUND || rc == WEIR_CORRUPT) *missing = up->id;
    return rc;
}

/* A key of a document goes out as a value; it has no files. */
static int key_member(task *t, const cat_item *item, const spec_member *m, job_member *to, weir_error *err)
{
    bytes encoded;
    int rc = observe_key(t->w, m, &encoded, &to->value_hash, err);
    if (rc != 0) return rc;
    to->name = observe_key_name(&t->arena, item, m);
    to->item_type = ITEM_FILE;
    to->is_key = true;
    to->has_value = encoded.size > 0;
    to->value = arena_bytes(&t->arena, encoded);
    return t->arena.failed ? error_nomem(err, "describing a job") : 0;
}

static int item_member(task *t, const spec_member *m, job_member *to, weir_error *err)
{
    weir *w = t->w;
    cat_item *item = catalog_item(w->catalog, m->id, err);
    if (!item) return err->code ? err->code : WEIR_BUG;
    if (document_is_key(m)) return key_member(t, item, m, to, err);
    to->name = item->name;
    to->item_type = item->kind;
    if (item->kind == ITEM_FILE) {
        to->files = arena_zero(&t->arena, 1, sizeof *to->files);
        if (!to->files) return error_nomem(err, "describing a job");
        to->files[0] = (job_file){bytes_of("", 0), item->name, item->hash, item->id};
        to->file_count = 1;
        return 0;
    }
    to->value_hash = item->hash;
    buf encoded;
    buf_init(&encoded);
    int rc = 0;
    if (item->kind == ITEM_ENV) {
        const char *value = getenv((const char *)item->name.data);
        if (value) value_put_string(&encoded, bytes_str(value));
    } else if (item->kind == ITEM_TOOL) {
        buf path;
        hash128 hash;
        buf_init(&path);
        rc = observe_outside_hash(w, ITEM_TOOL, item->name, &hash, &path, err);
        if (rc == 0) value_put_string(&encoded, buf_bytes(&path));
        buf_deinit(&path);
    } else if (observe_is_tree(item->kind)) {
        bytes value = {0};
        rc = observe_tree_value(w, item, &value, err);
        if (rc == 0) buf_append(&encoded, value.data, value.size);
        to->value_hash = item->hash;
    } else {
        bytes value = {0};
        rc = observe_value(w, item, &value, err);
        if (rc == 0 && value.size == 0) value = m->port; /* its default */
        if (rc == 0) buf_append(&encoded, value.data, value.size);
    }
    to->has_value = encoded.size > 0;
    if (rc == 0) to->value = arena_bytes(&t->arena, buf_bytes(&encoded));
    buf_deinit(&encoded);
    return rc;
}

int jobs_member(task *t, const spec_member *m, job_member *to, uint64_t *missing, weir_error *err)
{
    return m->kind == MEMBER_ITEM ? item_member(t, m, to, err) : node_member(t, m, to, missing, err);
}

static int order_members(task *t, const spec_input *in, size_t from, size_t count, job_member *to, uint64_t *missing, weir_error *err)
{
    int rc = 0;
    for (size_t k = 0; rc == 0 && k < count; k++) {
        const spec_member *m = &in->members[from + k];
        to[k].kind = m->kind;
        to[k].id = m->id;
        rc = jobs_member(t, m, &to[k], missing, err);
    }
    return rc;
}

bool jobs_asks_for(const task *t, const spec_input *input)
{
    return input->is_list && input->count > SENT_MOST && t->effect->spec.kind != EFFECT_COMMAND && !t->w->dry;
}

static int order_inputs(task *t, job_order *order, uint64_t *missing, weir_error *err)
{
    const node_spec *spec = &t->node->spec;
    order->inputs = arena_zero(&t->arena, spec->input_count ? spec->input_count : 1, sizeof *order->inputs);
    if (!order->inputs) return error_nomem(err, "describing a job");
    order->input_count = spec->input_count;
    for (size_t i = 0; i < spec->input_count; i++) {
        const spec_input *in = &spec->inputs[i];
        job_input *to = &order->inputs[i];
        *to = (job_input){.port = arena_bytes(&t->arena, in->port), .is_list = in->is_list, .count = in->count};
        if (jobs_asks_for(t, in)) {
            to->names = resolve_list_names_known(t, i);
            continue;
        }
        to->members = arena_zero(&t->arena, in->count ? in->count : 1, sizeof *to->members);
        if (!to->members) return error_nomem(err, "describing a job");
        int rc = order_members(t, in, 0, in->count, to->members, missing, err);
        if (rc != 0) return rc;
    }
    return 0;
}

char *jobs_temp_path(task *t, size_t port)
{
    return arena_printf(&t->arena, ".weir/tmp/e%llu.%zu", (unsigned long long)t->execution, port);
}

int jobs_order(task *t, job_order *order, uint64_t *missing, weir_error *err)
{
    const node_spec *spec = &t->node->spec;
    *missing = 0;
    *order = (job_order){.id = t->execution, .node = spec->name, .effect = arena_bytes(&t->arena, t->effect->spec.name),
                         .kind = t->effect->spec.kind, .library = arena_bytes(&t->arena, t->effect->spec.library),
                         .params = spec->params, .output_count = spec->output_count, .timeout_ms = spec->timeout_ms,
                         .keep = !(spec->flags & SPEC_NO_STORE)};
    int rc = order_inputs(t, order, missing, err);
    if (rc != 0) return rc;
    order->outputs = arena_zero(&t->arena, spec->output_count ? spec->output_count : 1, sizeof *order->outputs);
    if (!order->outputs) return error_nomem(err, "describing a job");
    for (size_t i = 0; i < spec->output_count; i++) {
        const cat_item *item = catalog_item(t->w->catalog, spec->outputs[i].id, err);
        if (!item) return err->code ? err->code : WEIR_BUG;
        order->outputs[i] = (job_output){arena_bytes(&t->arena, spec->outputs[i].port), item->name, bytes_str(jobs_temp_path(t, i))};
    }
    return t->arena.failed ? error_nomem(err, "describing a job") : 0;
}

/* --- members that are asked for ------------------------------------------------------------------------------------ */

static size_t bytes_of_members(const job_member *members, size_t count)
{
    size_t size = 0;
    for (size_t i = 0; i < count; i++) size += members[i].name.size + members[i].value.size + members[i].params.size;
    return size;
}

/* Transient outputs are on disk again before the job hears of them. */
static int bring_members(task *t, const spec_input *in, size_t from, size_t count, uint64_t *missing, weir_error *err)
{
    int rc = 0;
    for (size_t k = 0; rc == 0 && *missing == 0 && k < count; k++) rc = output_bring_member(t, &in->members[from + k], missing, err);
    return rc;
}

int jobs_list(task *t, const job_list_request *request, job_list_answer *answer, uint64_t *missing, weir_error *err)
{
    const node_spec *spec = &t->node->spec;
    size_t size = 0;
    int rc = 0;
    *missing = 0;
    *answer = (job_list_answer){.count = 0};
    const spec_input *in = request->port < spec->input_count ? &spec->inputs[request->port] : NULL;
    if (!in || request->from % JOB_LIST_BLOCK != 0 || request->from >= in->count || request->count > in->count - request->from)
        return error_set(err, WEIR_BUG, "a worker asked for members that are not there");
    answer->members = arena_zero(&t->arena, (size_t)request->count + 1, sizeof *answer->members);
    if (!answer->members) return error_nomem(err, "describing a job");
    while (rc == 0 && *missing == 0 && answer->count < request->count && size < ANSWER_BYTES) {
        size_t left = (size_t)request->count - answer->count, some = left < JOB_LIST_BLOCK ? left : JOB_LIST_BLOCK;
        job_member *to = answer->members + answer->count;
        rc = bring_members(t, in, (size_t)request->from + answer->count, some, missing, err);
        if (rc == 0 && *missing == 0) rc = order_members(t, in, (size_t)request->from + answer->count, some, to, missing, err);
        size += bytes_of_members(to, some);
        answer->count += some;
    }
    return rc;
}
