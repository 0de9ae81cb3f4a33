/*
 * graph.h - the simulated project: sources, nodes, and what every effect computes. Shared by the fake workers, the fake processes and the
 * clean computation; knows nothing of the engine.
 *
 * A node sits in a slot and reads only lower slots, so no graph is a cycle. `perform` is every effect: it asks for contents through
 * `sim_io`, writes down what it read (tracker), and is a pure function of the bytes it got. "@3" in a text of an including effect
 * names source 3, "@C" the first output of slot 2; neither is declared. "&Cd4" in a text of a needing effect asks in one call for node n2, for
 * the path of the first output of slot 3 and for source 4; whoever needs may ask for any slot.
 */
#ifndef WEIR_TESTS_SIM_GRAPH_H
#define WEIR_TESTS_SIM_GRAPH_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { SLOTS = 25, SOURCES = 10, TEXT = 64, ALL = 1024, READS = 48, PATH = 24, NEEDS = 3 };

typedef enum ref_kind { REF_FILE, REF_MADE, REF_NODE, REF_OUTPUT, REF_ROWS } ref_kind;
typedef struct sim_ref {
    ref_kind kind;
    int index; /* source (REF_FILE) or slot; REF_ROWS: of an expand node: all nodes on its list */
    char port; /* REF_OUTPUT, REF_MADE: 'a' or 'b' */
} sim_ref;

enum { KIND_CONCAT, KIND_FIRST, KIND_LENGTH, KIND_CONSTANT, KIND_INCLUDE, KIND_FAIL, KIND_NEED, KIND_EXPAND, KINDS };
enum { SHAPE_A, SHAPE_AB, SHAPE_A_VALUE, SHAPE_VALUE, SHAPES };

typedef struct sim_node {
    bool present, command, shell, is_list;
    bool is_glob; /* c: the sources 0 to 3 that are there */
    bool has_c;   /* port c is declared, with members or without */
    char row;     /* a node on a list: which of the rows (row_node); 0: of the workflow */
    int kind, variant, shape;
    sim_ref c[4], v[2];
    int c_count, v_count;
    int retries; /* further attempts after a failure */
    int x; /* source behind port x, read only when the text starts with 'r'; -1: none */
    char letter; /* first letter of its name */
    char folder; /* of its outputs */
} sim_node;

typedef struct sim_source {
    bool present, renamed; /* from STABLE on: always there, under its name */
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
    bool closed, needing, open; /* open: a group of what was needed together */
    uint32_t makers; /* slots whose outputs were read without being declared */
    uint32_t needs;  /* slots that were waited for */
    uint32_t named;  /* of these: by the name of the node, not by a path; or by a path along with a name that nothing has */
    uint32_t asked;  /* slots that were asked for, be there a node or not */
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
    /** Nodes by name, files by path, all at once. texts: what the effect goes on with; ids: all that they make. */
    bool (*need)(void *ctx, char names[NEEDS][32], int count, char texts[NEEDS][TEXT], char ids[NEEDS][TEXT]);
} sim_io;

/* A node in one of these slots may be an expand node; the next ROWS slots are then those of its list. */
enum { ROWS = 3, ROW_KINDS = 7, STABLE = 8 /* the first source that is always there */ };
static inline bool may_expand(int slot) { return slot == 4 || slot == 10 || slot == 16; }
static inline bool is_expand(const sim_node *n) { return n->kind == KIND_EXPAND; }

static inline bool has_a(const sim_node *n) { return n->shape != SHAPE_VALUE; }
static inline bool has_b(const sim_node *n) { return n->shape == SHAPE_AB; }
static inline bool has_value(const sim_node *n) { return n->shape >= SHAPE_A_VALUE && !is_expand(n); }

/* The expand node on whose list the node in this slot is, or -1. */
static inline int row_parent(const sim_graph *g, int slot)
{
    for (int p = slot - 1; p >= 0 && p >= slot - ROWS; p--)
        if (may_expand(p) && g->nodes[p].present && is_expand(&g->nodes[p])) return p;
    return -1;
}

/* "#2b" in what an expand node reads: the second node of its list is a row of kind b. All that it is, but the contents, follows from both. */
static inline sim_node row_node(int slot, int parent, char row)
{
    static const struct { int kind, variant, shape; bool command; } rows[ROW_KINDS] = {
        {KIND_CONCAT, 0, SHAPE_A, false}, {KIND_INCLUDE, 0, SHAPE_A, false}, {KIND_CONCAT, 1, SHAPE_A_VALUE, false}, {KIND_NEED, 0, SHAPE_A, false},
        {KIND_CONCAT, 0, SHAPE_A, true},  {KIND_FAIL, 0, SHAPE_A, false},    {KIND_CONCAT, 1, SHAPE_A, false}};
    int at = row - 'a';
    sim_node n = {.present = true, .command = rows[at].command, .kind = rows[at].kind, .variant = rows[at].variant, .shape = rows[at].shape,
                  .x = -1, .letter = 'n', .folder = 'o', .row = row, .has_c = true, .c_count = 1};
    n.c[0] = (sim_ref){.kind = REF_FILE, .index = STABLE + at % 2};
    if (row == 'c' && slot > parent + 1) n.c[0] = (sim_ref){.kind = REF_NODE, .index = slot - 1};
    if (row == 'e') n.c[n.c_count++] = (sim_ref){.kind = REF_FILE, .index = STABLE + 1};
    if (row == 'g') n.c[0] = (sim_ref){.kind = REF_OUTPUT, .index = parent - 1, .port = 'a'};
    n.is_list = n.c_count > 1;
    return n;
}

/* The row of the k-th node (from 1); 0: it is not on the list. */
static inline char row_of(const char *list, int k)
{
    for (; list[0] && list[1]; list += 2)
        if (list[0] == '0' + k) return list[1];
    return 0;
}

/* Is a node on it twice, or does a row take in what is not there? */
static inline bool list_is_wrong(const sim_graph *g, int parent, const char *list)
{
    const sim_node *below = &g->nodes[parent - 1];
    for (const char *at = list; *at; at += 2) {
        if (strchr(at + 2, *at)) return true;
        if (at[1] == 'c' && *at > '1' && !row_of(list, *at - '0' - 1)) return true;
        if (at[1] == 'g' && !(below->present && below->letter == 'n' && has_a(below))) return true;
    }
    return false;
}

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
    if (!t->open && (t->closed || (!declared && t->count > 0))) t->group++;
    if (!t->open) t->closed = !declared;
    if (t->needing && !declared) t->open = true;
    snprintf(t->reads[t->count].id, sizeof t->reads[0].id, "%.*s", (int)sizeof t->reads[0].id - 1, id);
    snprintf(t->reads[t->count].text, TEXT, "%.*s", TEXT - 1, text);
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

static inline const char *letter_path(char what, int *maker, char path[PATH])
{
    *maker = what >= 'A' && what < 'A' + SLOTS ? what - 'A' : what >= 'a' && what < 'a' + SLOTS ? what - 'a' : -1;
    if (*maker >= 0) snprintf(path, PATH, "o/%d.a", *maker);
    else snprintf(path, PATH, "s/%c", what);
    return path;
}

/* A file that is read by its path, be it declared or not. */
static inline void track_file(const sim_graph *g, const sim_node *n, int maker, const char *path, const char *text, tracker *t)
{
    char id[32], where[32];
    const char *declared = declared_id(g, n, path, id);
    if (declared && n->command) return;
    if (declared && by_node(n, id)) {
        snprintf(where, sizeof where, "path of %.16s", id);
        track(t, where, path, true);
    }
    track(t, declared ? id : path, text, declared != NULL);
    if (n->command) t->reads[t->count - 1].group = 1;
    if (declared || maker < 0) return;
    const sim_node *m = &g->nodes[maker];
    if (m->present && m->folder == 'o' && has_a(m)) t->makers |= 1U << maker;
    else t->ghosts |= 1ULL << maker;
}

static inline bool include(const sim_graph *g, const sim_node *n, int slot, char what, const sim_io *io, tracker *t, char all[ALL])
{
    char path[PATH], text[TEXT];
    int maker = -1;
    if ((what < '0' || what >= '0' + SOURCES) && (what < 'A' || what >= 'A' + slot)) return true;
    letter_path(what, &maker, path);
    if (!io->file(io->ctx, path, text)) return false;
    append(all, text);
    track_file(g, n, maker, path, text, t);
    return true;
}

/* At most three letters, in one call. */
static inline bool ask_for(const sim_graph *g, const sim_node *n, const char *letters, const sim_io *io, tracker *t, char all[ALL])
{
    char names[NEEDS][32] = {""}, texts[NEEDS][TEXT], ids[NEEDS][TEXT];
    int count = 0, makers[NEEDS];
    for (; count < NEEDS && *letters; letters++, count++) {
        bool is_node = *letters >= 'A' && *letters < 'A' + SLOTS;
        if (!is_node && !(*letters >= 'a' && *letters < 'a' + SLOTS) && !(*letters >= '0' && *letters < '0' + SOURCES)) break;
        letter_path(*letters, &makers[count], names[count]);
        if (is_node) snprintf(names[count], sizeof names[0], "n%d[id=%d]", makers[count], makers[count]);
        if (makers[count] >= 0) t->asked |= 1U << makers[count];
    }
    if (count == 0) return true;
    bool ok = io->need(io->ctx, names, count, texts, ids); /* only then it is known which nodes lists declare */
    bool lists = false; /* a name that nothing has: all lists are made, and then the paths are looked for again */
    for (int i = 0; i < count; i++) lists |= names[i][0] == 'n' && !(g->nodes[makers[i]].present && g->nodes[makers[i]].letter == 'n');
    for (int i = 0; i < count; i++) {
        const sim_node *m = makers[i] >= 0 ? &g->nodes[makers[i]] : NULL;
        bool by_name = names[i][0] == 'n';
        if (!m || !m->present || !(by_name ? m->letter == 'n' : m->folder == 'o' && has_a(m))) continue;
        t->needs |= 1U << makers[i];
        if (by_name || lists) t->named |= 1U << makers[i];
    }
    if (!ok) return false;
    t->needing = true;
    t->open = false;
    for (int i = 0; i < count; i++) {
        append(all, texts[i]);
        if (names[i][0] == 'n') track(t, names[i], ids[i], false);
        else track_file(g, n, makers[i], names[i], ids[i], t);
    }
    t->needing = t->open = false;
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

static inline void effect_list(const char *all, char list[TEXT])
{
    size_t size = 0;
    for (; *all && size < 8; all++)
        if (all[0] == '#' && all[1] >= '1' && all[1] < '1' + ROWS && all[2] >= 'a' && all[2] < 'a' + ROW_KINDS) {
            list[size++] = all[1];
            list[size++] = all[2];
        }
    list[size] = '\0';
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
    if (is_expand(n)) {
        effect_list(all, r->value);
        return;
    }
    snprintf(r->b, TEXT, "%c", third[size % 2]);
    memcpy(r->value, r->a, 2);
    r->value[2] = '\0';
}

static inline bool perform(const sim_graph *g, int slot, const sim_node *n, const sim_io *io, tracker *t, sim_result *r)
{
    char all[ALL] = "";
    *t = (tracker){0};
    *r = (sim_result){.ok = true};
    if (n->has_c && n->is_list && !n->command && !io->names(io->ctx, 'c')) return false;
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
    for (size_t i = 0, found = 0; n->kind == KIND_NEED && !n->command && all[i] && found < 3; i++) {
        if (all[i] != '&') continue;
        found++;
        if (!ask_for(g, n, all + i + 1, io, t, all)) return false;
    }
    effect_text(n, all, r);
    return true;
}

#endif
