/*
 * declare.c - a graph and named values from C: what a workflow says otherwise.
 *
 * Declarations gather in weir.declared until the next run compares them with the stored ones. Loop thread only.
 */
#include "engine/run/engine.h"
#include "engine/store/value.h"


void weir_declare_clear(weir *w)
{
    definition_clear(&w->declared);
    definition_init(&w->declared);
}

static bytes kept(weir *w, const char *text)
{
    return text ? arena_bytes(&w->declared.arena, bytes_str(text)) : bytes_of("", 0);
}

static void declare_inputs(weir *w, const weir_node *node, node_spec *spec)
{
    mem_arena *a = &w->declared.arena;
    spec->input_count = node->input_count;
    spec->inputs = arena_zero(a, node->input_count + 1, sizeof *spec->inputs);
    for (size_t i = 0; spec->inputs && i < node->input_count; i++) {
        const weir_node_input *in = &node->inputs[i];
        spec_input *to = &spec->inputs[i];
        *to = (spec_input){.port = kept(w, in->port), .is_list = in->is_list || in->count != 1, .count = in->count};
        to->members = arena_zero(a, in->count + 1, sizeof *to->members);
        for (size_t k = 0; to->members && k < in->count; k++) {
            const weir_ref *r = &in->refs[k];
            to->members[k].kind = r->file ? MEMBER_ITEM : r->port ? MEMBER_OUTPUT : MEMBER_NODE;
            to->members[k].item = ITEM_FILE;
            to->members[k].name = kept(w, r->file ? r->file : r->node);
            to->members[k].port = kept(w, r->file ? NULL : r->port);
        }
    }
}

static void declare_command(weir *w, const weir_node *node, node_spec *spec)
{
    mem_arena *a = &w->declared.arena;
    size_t words = 0;
    while (node->command && node->command[words]) words++;
    if (node->shell) {
        spec->flags |= SPEC_SHELL;
        words = 1;
    }
    spec->command = arena_zero(a, words + 1, sizeof *spec->command);
    spec->command_count = words;
    for (size_t i = 0; spec->command && i < words; i++) spec->command[i] = kept(w, node->shell ? node->shell : node->command[i]);
}

/* An effect of the declared graph, once. */
static int declare_effect(weir *w, const char *name, weir_error *err)
{
    definition *d = &w->declared;
    for (size_t i = 0; i < d->effect_count; i++)
        if (bytes_equal(d->effects[i].name, bytes_str(name))) return 0;
    if (!MEM_GROW(d->effects, d->effect_capacity, d->effect_count + 1)) return error_nomem(err, "declaring an effect");
    effect_spec spec = {.name = kept(w, name), .kind = EFFECT_COMMAND, .version = bytes_of("", 0), .always = bytes_of("", 0), .library = bytes_of("", 0)};
    if (strcmp(name, "sh") != 0) {
        const registry_entry *entry = registry_find(w->registry, bytes_str(name));
        if (!entry) return error_set(err, WEIR_USAGE, "no effect is called \"%s\"", name);
        spec.kind = EFFECT_C;
        spec.version = kept(w, entry->effect->version);
        spec.code = entry->build;
    }
    d->effects[d->effect_count++] = spec;
    return 0;
}

int weir_declare(weir *w, const weir_node *node, const char **full_name, weir_error *err)
{
    definition *d = &w->declared;
    node_spec spec = {.base = kept(w, node->name), .effect = kept(w, node->effect), .version = bytes_of("", 0)};
    int rc = declare_effect(w, node->effect, err);
    buf text;
    buf_init(&text);
    if (rc == 0 && node->params) rc = value_from_json(bytes_str(node->params), &text, err);
    spec.params = node->params ? arena_bytes(&d->arena, buf_bytes(&text)) : VALUE_EMPTY_OBJECT;
    buf_clear(&text);
    if (rc == 0) rc = spec_format_name(spec.base, spec.params, &text, err);
    spec.name = arena_bytes(&d->arena, buf_bytes(&text));
    buf_deinit(&text);
    declare_inputs(w, node, &spec);
    spec.outputs = arena_zero(&d->arena, node->output_count + 1, sizeof *spec.outputs);
    spec.output_count = node->output_count;
    for (size_t i = 0; spec.outputs && i < node->output_count; i++)
        spec.outputs[i] = (spec_output){.port = kept(w, node->outputs[i].port), .path = kept(w, node->outputs[i].path)};
    declare_command(w, node, &spec);
    spec.depfile = kept(w, node->depfile);
    if (node->always) spec.flags |= SPEC_ALWAYS;
    if (rc == 0 && (d->arena.failed || !MEM_GROW(d->nodes, d->node_capacity, d->node_count + 1))) rc = error_nomem(err, "declaring a node");
    if (rc != 0) return rc;
    d->nodes[d->node_count++] = spec;
    if (full_name) *full_name = (const char *)spec.name.data;
    return 0;
}

int weir_set(weir *w, const char *name, const char *json, weir_error *err)
{
    weir_error local = {0};
    if (!err) err = &local;
    if (w->is_reader) return error_set(err, WEIR_USAGE, "value %s: the project was opened to look only", name);
    buf encoded;
    buf_init(&encoded);
    int rc = json ? value_from_json(bytes_str(json), &encoded, err) : 0;
    cat_item *item = rc == 0 ? catalog_item_named(w->catalog, ITEM_VALUE, bytes_str(name), true, err) : NULL;
    if (rc == 0 && !item) rc = err->code;
    if (rc == 0) {
        buf *body = catalog_body(w->catalog);
        event_put_value_set(body, &(event_value_set){.item = item->id, .value = buf_bytes(&encoded)});
        journal_say(w->journal, EVENT_VALUE_SET, body);
        rc = journal_sync(w->journal, true, err);
    }
    if (rc == 0) catalog_clear(w->catalog);
    buf_deinit(&encoded);
    return rc;
}
