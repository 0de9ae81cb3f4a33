/*
 * declare.h - the simulated project as weir.h sees it: declarations, the engine opened, and what it recorded.
 *
 * What weir.h cannot say (expand nodes, the lists they make) is written into the declaration behind it. A part of judge.h.
 */
#ifndef WEIR_TESTS_SIM_DECLARE_H
#define WEIR_TESTS_SIM_DECLARE_H

typedef struct ref_space {
    char names[8][40], paths[8][PATH], ports[8][2];
} ref_space;

/* A list says names as they are in its rows, whatever the nodes are called now. */
static void make_refs(const sim_ref *from, int count, bool of_list, weir_ref *to, ref_space *space)
{
    for (int k = 0; k < count; k++) {
        const sim_ref *r = &from[k];
        if (r->kind == REF_FILE || r->kind == REF_MADE) {
            to[k] = (weir_ref){.file = ref_path(&graph, r, space->paths[k])};
            continue;
        }
        snprintf(space->names[k], 40, "%c%d[id=%d]", of_list ? 'n' : graph.nodes[r->index].letter, r->index, r->index);
        space->ports[k][0] = r->port;
        to[k] = (weir_ref){.node = space->names[k], .port = r->kind == REF_OUTPUT ? space->ports[k] : NULL};
    }
}

static size_t make_command(const sim_node *n, int slot, const char *depfile, const char **argv, char text[400])
{
    static char numbers[3][16];
    size_t count = 0;
    snprintf(numbers[0], 16, "%d", slot);
    snprintf(numbers[1], 16, "%d", n->kind);
    snprintf(numbers[2], 16, "%d", n->variant);
    argv[count++] = "tools/sim";
    for (int i = 0; i < 3; i++) argv[count++] = numbers[i];
    argv[count++] = depfile ? depfile : "-";
    argv[count++] = "--in";
    if (n->has_c) argv[count++] = "{{c}}";
    argv[count++] = "--out";
    argv[count++] = "{{a}}";
    if (has_b(n)) argv[count++] = "{{b}}";
    argv[count] = NULL;
    text[0] = '\0';
    for (size_t i = 0; i < count; i++) snprintf(text + strlen(text), 400 - strlen(text), "%s%s", i ? " " : "", argv[i]);
    return count;
}

static const char *refs_text(const weir_ref *r)
{
    return r->file ? r->file : r->node;
}

#ifndef SIM_REAL
/* The declaration that was added last: what is beyond weir_node. */
static void complete(const sim_node *n)
{
    node_spec *spec = &sim->w->declared.nodes[sim->w->declared.node_count - 1];
    if (is_expand(n)) spec->flags |= SPEC_EXPAND;
    spec->retries = (uint32_t)n->retries;
    for (size_t i = 0; i < spec->input_count; i++)
        for (size_t k = 0; k < spec->inputs[i].count; k++) {
            spec_member *m = &spec->inputs[i].members[k];
            if (m->kind == MEMBER_NODE && is_expand(&graph.nodes[atoi((const char *)m->name.data + 1)])) m->kind = MEMBER_EXPAND;
        }
}
#endif

/* Adds a declaration, and says what it is as one number. */
static uint64_t declare_node(int slot, const sim_node *n)
{
    weir_error err = {0};
    weir_ref refs[3][8];
    ref_space space[3];
    weir_node_input inputs[3];
    weir_node_output outputs[2];
    char path[2][PATH], name[16], params[24], depfile[PATH], text[400];
    const char *argv[16];
    size_t in = 0, out = 0;
    memset(space, 0, sizeof space);
    make_refs(n->c, n->c_count, n->row != 0, refs[0], &space[0]);
    make_refs(n->v, n->v_count, false, refs[1], &space[1]);
    sim_ref x = {.kind = REF_FILE, .index = n->x};
    if (n->x >= 0) make_refs(&x, 1, false, refs[2], &space[2]);
    if (n->has_c) inputs[in++] = (weir_node_input){"c", refs[0], (size_t)n->c_count, n->is_list};
    if (n->v_count) inputs[in++] = (weir_node_input){"v", refs[1], (size_t)n->v_count, 1};
    if (n->x >= 0) inputs[in++] = (weir_node_input){"x", refs[2], 1, 0};
    if (has_a(n)) outputs[out++] = (weir_node_output){"a", made_path(&graph, slot, 'a', path[0])};
    if (has_b(n)) outputs[out++] = (weir_node_output){"b", made_path(&graph, slot, 'b', path[1])};
    snprintf(name, sizeof name, "%c%d", n->letter, slot);
    snprintf(params, sizeof params, "{\"id\":%d}", slot);
    snprintf(depfile, sizeof depfile, "d/%d.d", slot);
    weir_node node = {.size = sizeof node, .name = name, .effect = n->command ? "sh" : fake_effect_name(n), .params = params, .inputs = inputs,
                      .input_count = in, .outputs = outputs, .output_count = out};
    if (n->command) {
        node.depfile = n->kind == KIND_INCLUDE ? depfile : NULL;
        make_command(n, slot, node.depfile, argv, text);
        if (n->shell) node.shell = text;
        else node.command = argv;
    }
    uint64_t spec = mix_text(mix_text(mix_text(1, name), node.effect), node.command || node.shell ? text : "");
    for (size_t i = 0; i < in; i++)
        for (size_t k = 0; k < inputs[i].count; k++) spec = mix_text(mix_text(spec, refs_text(&inputs[i].refs[k])), inputs[i].refs[k].port ? inputs[i].refs[k].port : "");
    for (size_t i = 0; i < out; i++) spec = mix_text(spec, outputs[i].path);
    spec = mix_text(spec, n->retries == 0 ? "" : n->retries == 1 ? "1" : "2");
    if (weir_declare(sim->w, &node, NULL, &err) != 0) wrong("declare %d: %s", slot, err.message);
#ifndef SIM_REAL
    complete(n);
#endif
    return spec;
}

static void declare_all(void)
{
    weir_declare_clear(sim->w);
    for (int s = 0; s < SLOTS; s++) {
        const sim_node *n = &graph.nodes[s];
        if (!n->present) continue;
        uint64_t spec = n->row ? mix_text(2, (const char[]){n->row, 0}) : declare_node(s, n);
        if (spec != sim->spec[s]) sim->anew[s] = true;
        sim->spec[s] = spec;
    }
#ifndef SIM_REAL
    bool expands = false;
    for (int s = 0; s < SLOTS; s++) expands |= graph.nodes[s].present && is_expand(&graph.nodes[s]);
    for (char row = 'a'; expands && row < 'a' + ROW_KINDS; row++) { /* what a list may name is part of the definition */
        sim_node n = row_node(SLOTS - 1, SLOTS - 2, row);
        declare_node(SLOTS - 1, &n);
        sim->w->declared.node_count--;
    }
#endif
}

#ifndef SIM_REAL
/* One entry of a list: name, effect and the declaration packed. */
static void fake_declare_row(int slot, int parent, char row, buf *to)
{
    buf packed;
    sim_node n = row_node(slot, parent, row);
    definition *d = &sim->w->declared;
    buf_init(&packed);
    declare_node(slot, &n);
    node_spec *spec = &d->nodes[--d->node_count];
    spec_put_declared(&packed, spec);
    value_put_object(to, 3);
    value_put_key(to, bytes_str("declaration"));
    value_put_string(to, buf_bytes(&packed));
    value_put_key(to, bytes_str("effect"));
    value_put_string(to, spec->effect);
    value_put_key(to, bytes_str("name"));
    value_put_string(to, spec->name);
    buf_deinit(&packed);
}
#endif

/* --- the engine --------------------------------------------------------------------------------------------------------- */

static void engine_open(void)
{
    weir_error err = {0};
    weir_options o = {.size = sizeof o, .root = sim->root, .effects = fake_table, .listener = on_event};
    if (weir_open(&sim->w, &o, &err) != 0) {
        fprintf(stderr, "open: %s\n", err.message);
        abort();
    }
}

static void check_record(void)
{
    weir_error err = {0};
    db *d = NULL;
    char path[400];
    uint64_t differences = 0, events = 0;
    snprintf(path, sizeof path, "%s/.weir/weir.db", sim->root);
    if (access(path, F_OK) != 0) return; /* nothing ran yet */
    int dir = openat(sim->rootfd, ".weir", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = db_open(&d, path, DB_READ, NULL, &err);
    if (rc == 0) rc = fold_check(d, NULL, NULL, &differences, &err);
    if (rc == 0) rc = log_verify(d, dir, &events, &err);
    if (rc != 0) wrong("the record: %s", err.message);
    if (differences) wrong("%llu differences between the state and the fold of the log", (unsigned long long)differences);
    db_close(d);
    close(dir);
}

static void drop_cache(void)
{
    weir_error err = {0};
    db *d = NULL;
    char path[400];
    bool stale = false;
    snprintf(path, sizeof path, "%s/.weir/weir.db", sim->root);
    if (access(path, F_OK) != 0) return;
    int rc = db_open(&d, path, DB_WRITE, &stale, &err);
    if (rc == 0) rc = db_exec(d, "DELETE FROM cache_folder; DELETE FROM cache_glob; DELETE FROM cache_meta", &err);
    if (rc != 0) wrong("dropping the cache: %s", err.message);
    db_close(d);
}

#endif
