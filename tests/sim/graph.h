/*
 * graph.h - the simulated project: sources, nodes, and what every effect computes. Shared by the fake workers, the fake processes and the
 * clean computation; knows nothing of the engine.
 *
 * A node sits in a slot and reads only lower slots, so no graph is a cycle. `perform` is every effect: it asks for contents through
 * `sim_io`, writes down what it read (tracker), and is a pure function of the bytes it got. "@3" in a text of an including effect
 * names source 3, "@C" the first output of slot 2; neither is declared.
 */
#ifndef WEIR_TESTS_SIM_GRAPH_H
#define WEIR_TESTS_SIM_GRAPH_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { SLOTS = 25, SOURCES = 8, TEXT = 64, ALL = 1024, READS = 48, PATH = 24 };

typedef enum ref_kind { REF_FILE, REF_MADE, REF_NODE, REF_OUTPUT } ref_kind;
typedef struct sim_ref {
    ref_kind kind;
    int index; /* source (REF_FILE) or slot */
    char port; /* REF_OUTPUT, REF_MADE: 'a' or 'b' */
} sim_ref;

enum { KIND_CONCAT, KIND_FIRST, KIND_LENGTH, KIND_CONSTANT, KIND_INCLUDE, KIND_FAIL, KINDS };
enum { SHAPE_A, SHAPE_AB, SHAPE_A_VALUE, SHAPE_VALUE, SHAPES };

typedef struct sim_node {
    bool present, command, shell, is_list;
    bool is_glob; /* c: the sources 0 to 3 that are there */
    int kind, variant, shape;
    sim_ref c[4], v[2];
    int c_count, v_count;
    int x; /* source behind port x, read only when the text starts with 'r'; -1: none */
    char letter; /* first letter of its name */
    char folder; /* of its outputs */
} sim_node;

typedef struct sim_source {
    bool present, renamed;
    char text[TEXT], before[TEXT];
} sim_source;

typedef struct sim_graph {
    sim_node nodes[SLOTS];
    sim_source sources[SOURCES];
    int versions[KINDS]; /* of the effects of a kind; commands have none */
} sim_graph;

typedef struct tracker {
    struct { char id[32]; char text[TEXT]; int group; } reads[READS];
    int count, group;
    bool closed;
    uint32_t makers; /* slots whose outputs were read without being declared */
    uint64_t ghosts; /* undeclared paths read that no node makes, by slot */
} tracker;

typedef struct sim_result {
    bool ok;
    char a[TEXT], b[TEXT], value[TEXT];
} sim_result;

/** How an effect gets at bytes; false: it cannot go on. An absent file is "-". */
typedef struct sim_io {
    void *ctx;
    bool (*member)(void *ctx, char port, int k, char text[TEXT]);
    bool (*names)(void *ctx, char port);
    bool (*file)(void *ctx, const char *path, char text[TEXT]);
} sim_io;

static inline bool has_a(const sim_node *n) { return n->shape != SHAPE_VALUE; }
static inline bool has_b(const sim_node *n) { return n->shape == SHAPE_AB; }
static inline bool has_value(const sim_node *n) { return n->shape >= SHAPE_A_VALUE; }

static inline const char *source_path(const sim_graph *g, int i, char path[PATH])
{
    snprintf(path, PATH, "s/%d%s", i, g->sources[i].renamed ? "r" : "");
    return path;
}

static inline const char *made_path(const sim_graph *g, int slot, char port, char path[PATH])
{
    snprintf(path, PATH, "%c/%d.%c", g->nodes[slot].folder ? g->nodes[slot].folder : 'o', slot, port);
    return path;
}

static inline const char *ref_path(const sim_graph *g, const sim_ref *r, char path[PATH])
{
    if (r->kind == REF_FILE) return source_path(g, r->index, path);
    return made_path(g, r->index, r->kind == REF_NODE ? 'a' : r->port, path);
}

static inline void track(tracker *t, const char *id, const char *text, bool declared)
{
    for (int i = 0; i < t->count; i++)
        if (strcmp(t->reads[i].id, id) == 0) return;
    if (t->count == READS) return;
    if (t->closed || (!declared && t->count > 0)) t->group++;
    t->closed = !declared;
    snprintf(t->reads[t->count].id, sizeof t->reads[0].id, "%s", id);
    snprintf(t->reads[t->count].text, TEXT, "%s", text);
    t->reads[t->count++].group = t->group;
}

static inline void append(char all[ALL], const char *text)
{
    size_t n = strlen(all);
    snprintf(all + n, ALL - n, "%s", text);
}

/* Id under which a path is a declared read, or NULL. */
static inline const char *declared_id(const sim_graph *g, const sim_node *n, const char *path, char id[32])
{
    char p[PATH];
    for (int k = 0; k < n->c_count; k++)
        if (strcmp(ref_path(g, &n->c[k], p), path) == 0) return snprintf(id, 32, "c%d", k), id;
    for (int k = 0; k < n->v_count; k++)
        if (g->nodes[n->v[k].index].shape != SHAPE_VALUE && strcmp(ref_path(g, &n->v[k], p), path) == 0)
            return snprintf(id, 32, "file of v%d", k), id;
    if (n->x >= 0 && strcmp(source_path(g, n->x, p), path) == 0) return snprintf(id, 32, "x0"), id;
    return NULL;
}

/* Is the path of this declared read not in the key? */
static inline bool by_node(const sim_node *n, const char *id)
{
    if (strncmp(id, "file of v", 9) == 0) return true;
    return id[0] == 'c' && (n->c[id[1] - '0'].kind == REF_NODE || n->c[id[1] - '0'].kind == REF_OUTPUT);
}

static inline bool include(const sim_graph *g, const sim_node *n, int slot, char what, const sim_io *io, tracker *t, char all[ALL])
{
    char path[PATH], id[32], text[TEXT];
    int maker = what >= 'A' && what < 'A' + SLOTS ? what - 'A' : -1;
    if (what >= '0' && what < '0' + SOURCES) snprintf(path, sizeof path, "s/%c", what);
    else if (maker >= 0 && maker < slot) snprintf(path, sizeof path, "o/%d.a", maker);
    else return true;
    const char *declared = declared_id(g, n, path, id);
    if (!io->file(io->ctx, path, text)) return false;
    append(all, text);
    if (declared && n->command) return true;
    if (declared && by_node(n, id)) {
        char where[32];
        snprintf(where, sizeof where, "path of %.16s", id);
        track(t, where, path, true);
    }
    track(t, declared ? id : path, text, declared != NULL);
    if (n->command) t->reads[t->count - 1].group = 1;
    if (declared || maker < 0) return true;
    const sim_node *m = &g->nodes[maker];
    if (m->present && m->folder == 'o' && has_a(m)) t->makers |= 1U << maker;
    else t->ghosts |= 1ULL << maker;
    return true;
}

static inline bool read_port(const sim_io *io, tracker *t, char port, int count, char all[ALL])
{
    char id[32], text[TEXT];
    for (int k = 0; k < count; k++) {
        if (!io->member(io->ctx, port, k, text)) return false;
        snprintf(id, sizeof id, "%c%d", port, k);
        track(t, id, text, true);
        append(all, text);
    }
    return true;
}

static inline void effect_text(const sim_node *n, const char *all, sim_result *r)
{
    static const char third[] = "012";
    size_t size = strlen(all);
    r->ok = !(n->kind == KIND_FAIL && strchr(all, '!'));
    switch (n->kind) {
    case KIND_FIRST: snprintf(r->a, TEXT, "%.1s", all); break;
    case KIND_LENGTH: snprintf(r->a, TEXT, "%c", third[size % 3]); break;
    case KIND_CONSTANT: snprintf(r->a, TEXT, "k%d", n->variant); break;
    default: snprintf(r->a, TEXT, "%s%d%.40s", n->variant ? "r" : "", n->variant, all); break;
    }
    snprintf(r->b, TEXT, "%c", third[size % 2]);
    memcpy(r->value, r->a, 2);
    r->value[2] = '\0';
}

static inline bool perform(const sim_graph *g, int slot, const sim_io *io, tracker *t, sim_result *r)
{
    const sim_node *n = &g->nodes[slot];
    char all[ALL] = "";
    *t = (tracker){0};
    if (n->c_count && n->is_list && !n->command && !io->names(io->ctx, 'c')) return false;
    if (!read_port(io, t, 'c', n->c_count, all)) return false;
    if (n->v_count && !io->names(io->ctx, 'v')) return false;
    if (!read_port(io, t, 'v', n->v_count, all)) return false;
    if (n->x >= 0 && all[0] == 'r' && !read_port(io, t, 'x', 1, all)) return false;
    size_t end = strlen(all);
    for (size_t i = 0, found = 0; n->kind == KIND_INCLUDE && all[i] && found < 4; i++) {
        if (n->command && i >= end) break;
        if (all[i] != '@' || !all[i + 1]) continue;
        found++;
        if (!include(g, n, slot, all[i + 1], io, t, all)) return false;
    }
    effect_text(n, all, r);
    return true;
}

#endif
