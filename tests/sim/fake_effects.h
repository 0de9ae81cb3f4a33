/*
 * fake_effects.h - the C effects of the simulated project: one per kind, variant and shape; they get at bytes through weir_host, as any
 * other does. A part of fake.h.
 */
#ifndef WEIR_TESTS_SIM_FAKE_EFFECTS_H
#define WEIR_TESTS_SIM_FAKE_EFFECTS_H

typedef struct job_ctx {
    const weir_host *host;
    weir_job *job;
    int slot;
    tracker *t;
} job_ctx;

static void copy_text(char text[TEXT], const char *data, size_t size)
{
    snprintf(text, TEXT, "%.*s", (int)size, data ? data : "");
}

static bool job_member_text(void *ctx, char port, int k, char text[TEXT])
{
    const job_ctx *c = ctx;
    const char name[2] = {port, 0}, *data = NULL;
    size_t size = 0;
    int rc = port == 'v' ? c->host->input_value(c->job, name, (size_t)k, 1, &data, &size)
                         : c->host->input_read(c->job, name, (size_t)k, &data, &size);
    copy_text(text, data, size);
    return rc == 0;
}

static bool job_names(void *ctx, char port)
{
    const job_ctx *c = ctx;
    const char name[2] = {port, 0};
    char text[TEXT], id[32];
    size_t count = 0;
    if (c->host->input_count(c->job, name, &count) != 0) return false;
    fake_names(c->slot, port, text);
    snprintf(id, sizeof id, "names %c", port);
    track(c->t, id, text, true);
    return true;
}

static bool job_file_text(void *ctx, const char *path, char text[TEXT])
{
    const job_ctx *c = ctx;
    const char *data = NULL;
    size_t size = 0;
    if (fake_canary == 1) return read_text(fakes.rootfd, path, text), true;
    if (c->host->read_file(c->job, path, &data, &size) != 0) return false;
    copy_text(text, data ? data : "-", data ? size : 1);
    return true;
}

static bool job_need_texts(void *ctx, char names[NEEDS][32], int count, char texts[NEEDS][TEXT], char ids[NEEDS][TEXT])
{
    const job_ctx *c = ctx;
    const char *list[NEEDS] = {NULL}, *port = NULL, *data[2];
    size_t size[2];
    for (int i = 0; i < count; i++) list[i] = names[i];
    fake_asks(c->slot, c->t);
    if (c->host->need(c->job, list, (size_t)count, &port) != 0) return false;
    for (int i = 0; i < count; i++) {
        bool is_node = names[i][0] == 'n';
        if (c->host->input_part(c->job, port, (size_t)i, WEIR_PART_CONTENT, &data[0], &size[0]) != 0) return false;
        copy_text(texts[i], data[0] ? data[0] : "-", data[0] ? size[0] : 1);
        snprintf(ids[i], TEXT, "%s", texts[i]);
        if (!is_node) continue;
        fake_made(names[i], ids[i]);
        if (c->host->input_part(c->job, port, (size_t)i, WEIR_PART_VALUE, &data[1], &size[1]) != 0) return false;
        bool has = data[1] && data[1][0] == '"'; /* a text in quotes; the list of an expand node is none */
        snprintf(texts[i], TEXT, "%.*s,%.*s", data[0] ? (int)size[0] > 30 ? 30 : (int)size[0] : 1, data[0] ? data[0] : "-", has ? (int)size[1] - 2 : 1, has ? data[1] + 1 : "-");
    }
    return true;
}

static sim_ref member_ref(const job_member *m)
{
    if (m->kind == MEMBER_ITEM) return path_ref((const char *)m->name.data);
    sim_ref r = {.kind = m->kind == MEMBER_OUTPUT ? REF_OUTPUT : REF_NODE, .index = atoi((const char *)m->name.data + 1)};
    if (m->kind == MEMBER_OUTPUT) r.port = m->file_count ? (char)m->files[0].port.data[0] : 'a';
    return r;
}

/* The node as its job tells it: of the project as it was when the job began. */
static sim_node job_node(weir_job *j, int effect)
{
    sim_node n = {.present = true, .kind = effect / (2 * SHAPES), .variant = effect / SHAPES % 2, .shape = effect % SHAPES, .x = -1};
    const job_input *in;
    for (size_t port = 0; (in = job_input_at(j, port)) != NULL; port++) {
        char name = (char)in->port.data[0];
        if (name == 'c') n.has_c = true, n.is_list = in->is_list;
        for (size_t k = 0; k < in->count; k++) {
            sim_ref r = member_ref(&in->members[k]);
            if (name == 'c' && n.c_count < 4) n.c[n.c_count++] = r;
            else if (name == 'v' && n.v_count < 2) n.v[n.v_count++] = r;
            else if (name == 'x') n.x = r.index;
        }
    }
    return n;
}

static int give_list(weir_job *j, int slot, const char *list)
{
    buf value;
    buf_init(&value);
    value_put_array(&value, strlen(list) / 2);
    for (; *list; list += 2) fake_declare_row(slot + list[0] - '0', slot, list[1], &value);
    int rc = job_value(j, buf_bytes(&value));
    buf_deinit(&value);
    return rc;
}

static int fake_effect_number(bytes name);

static int effect_run(const weir_host *host, weir_job *j)
{
    tracker t;
    sim_result r;
    int64_t slot = -1;
    if (host->param_integer(j, "id", -1, &slot) != 0 || slot < 0) return host->fail(j, "no id");
    sim_node n = job_node(j, fake_effect_number(j->order->effect));
    job_ctx c = {host, j, (int)slot, &t};
    sim_io io = {.ctx = &c, .member = job_member_text, .names = job_names, .file = job_file_text, .need = job_need_texts};
    if (!perform(&graph, (int)slot, &n, &io, &t, &r)) return -1;
    fake_performed((int)slot, &n, &t, r.ok);
    if (!r.ok) return host->fail(j, "there is a !");
    if (is_expand(&n)) return give_list(j, (int)slot, r.value);
    int rc = has_a(&n) ? host->output_write(j, "a", r.a, strlen(r.a)) : 0;
    if (rc == 0 && has_b(&n)) rc = host->output_write(j, "b", r.b, strlen(r.b));
    if (rc == 0 && has_value(&n)) rc = host->value_string(j, r.value, strlen(r.value));
    return rc;
}

enum { EFFECTS = KINDS * 2 * SHAPES };
static weir_effect fake_effects[EFFECTS];
static char fake_effect_names[EFFECTS][24];
static const weir_effect *fake_table[EFFECTS + 1];
static registry_entry fake_entries[EFFECTS];

/* A new version of the effects of a kind; for an engine that is opened later. */
static void fake_set_version(int kind, int version)
{
    for (int i = 0; i < EFFECTS; i++)
        if (i / (2 * SHAPES) == kind) fake_effects[i].version = version ? "2" : "1";
}

static bool x_is_file(const sim_node *n)
{
    (void)n;
    return true;
}

static const char *fake_effect_name(const sim_node *n)
{
    return fake_effect_names[(n->kind * 2 + n->variant) * SHAPES + n->shape];
}

static void fake_effects_make(void)
{
    for (int i = 0; i < EFFECTS; i++) {
        snprintf(fake_effect_names[i], sizeof fake_effect_names[i], "effect%d", i);
        fake_effects[i] = (weir_effect){.size = sizeof(weir_effect), .name = fake_effect_names[i], .version = "1", .help = "", .run = effect_run};
        fake_table[i] = &fake_effects[i];
        fake_entries[i] = (registry_entry){.effect = &fake_effects[i], .library = bytes_of("", 0)};
    }
}

static int fake_effect_number(bytes name)
{
    for (int i = 0; i < EFFECTS; i++)
        if (bytes_equal(name, bytes_str(fake_effect_names[i]))) return i;
    abort();
}

static const registry_entry *fake_entry_of(bytes effect)
{
    return &fake_entries[fake_effect_number(effect)];
}

#endif
