/*
 * watch_notes.c - what is suspicious, by folder and name, until the owner takes it.
 *
 * A name is waited for while its file is being written. The others do not wait for it: they are handed out, it stays.
 *
 * A file that somebody relies on and that went away may be coming back in a moment (an editor that puts the old file away before it writes
 * the new one). Who lists its folder meanwhile sees it missing, so everything waits, WATCH_OPEN_MS from the first that went.
 */
#include "engine/world/watch_internal.h"

#include "engine/base/os.h"

/* What is known of a name: until when it is waited for, and what happened (note_flags). */
enum { FLAG_BITS = 4, LASTING = NOTE_WRITTEN | NOTE_LISTING | NOTE_FOLDER };

static uint64_t until_of(uint64_t word)
{
    return word >> FLAG_BITS;
}

static note *note_of(watch *w, const char *folder)
{
    bool added = false;
    uint64_t *slot = map_put(&w->by_folder, bytes_str(folder), &added);
    if (!slot) return NULL;
    if (!added) return &w->notes[*slot - 1];
    char *copy = mem_strdup(folder);
    if (!copy || !MEM_GROW(w->notes, w->note_capacity, w->note_count + 1)) {
        mem_free(copy);
        map_remove(&w->by_folder, bytes_str(folder));
        return NULL;
    }
    note *n = &w->notes[w->note_count++];
    *n = (note){.folder = copy};
    map_init(&n->names);
    *slot = w->note_count;
    return n;
}

void notes_clear(watch *w)
{
    for (size_t i = 0; i < w->note_count; i++) {
        map_deinit(&w->notes[i].names);
        mem_free(w->notes[i].folder);
    }
    w->note_count = w->names = w->waiting = w->wholes = w->gone = 0;
    map_clear(&w->by_folder);
    w->all = w->told = false;
}

static void make_whole(watch *w, note *n)
{
    size_t at = 0;
    uint64_t word;
    while (map_next(&n->names, &at, NULL, &word)) {
        if (until_of(word)) w->waiting--;
        if (word & NOTE_GONE) w->gone--;
    }
    w->names -= n->names.count;
    map_clear(&n->names);
    if (!n->whole) w->wholes++;
    n->whole = true;
}

static void put_name(watch *w, note *n, bytes name, uint64_t flags, uint64_t until)
{
    bool added = false;
    uint64_t *slot = map_put(&n->names, name, &added);
    if (!slot) {
        w->all = true;
        return;
    }
    uint64_t before = added ? 0 : until_of(*slot);
    bool was_gone = !added && (*slot & NOTE_GONE);
    if (until == NOTE_AS_BEFORE) until = before;
    if ((flags & NOTE_GONE) && !was_gone && w->gone++ == 0) w->hold_ms = watch_now_ms() + WATCH_OPEN_MS;
    if (!(flags & NOTE_GONE) && was_gone) w->gone--;
    if (added) w->names++;
    if (until && before) until = before; /* counted from the first */
    if (until && !before) w->waiting++;
    if (!until && before) w->waiting--;
    *slot = until << FLAG_BITS | (added ? 0 : *slot & LASTING) | flags;
}

static bool is_relied_on(const watch *w, const char *folder, const char *name)
{
    return w->is_relied_on && w->is_relied_on(w->ctx, folder, name);
}

void note_gone(watch *w, const char *folder, const char *name)
{
    note *n = note_of(w, folder);
    if (n && !n->whole && n->names.count < WATCH_NAMES_MOST && is_relied_on(w, folder, name)) put_name(w, n, bytes_str(name), NOTE_LISTING | NOTE_GONE, 0);
    else note_name(w, folder, name, NOTE_LISTING, 0);
}

void note_name(watch *w, const char *folder, const char *name, unsigned flags, uint64_t until)
{
    note *n = note_of(w, folder);
    if (!n) {
        w->all = true;
        return;
    }
    n->listing |= (flags & NOTE_LISTING) != 0;
    if (n->whole) return;
    if (n->names.count >= WATCH_NAMES_MOST && !map_get(&n->names, bytes_str(name))) make_whole(w, n);
    else put_name(w, n, bytes_str(name), flags, until);
}

void note_whole(watch *w, const char *folder)
{
    note *n = note_of(w, folder);
    if (!n) {
        w->all = true;
        return;
    }
    make_whole(w, n);
    n->listing = true;
}

bool notes_are_ready(const watch *w, uint64_t now, uint64_t *soonest)
{
    *soonest = w->hold_ms;
    if (w->all) return true;
    if (w->gone > 0 && now < w->hold_ms) return false;
    *soonest = UINT64_MAX;
    if (w->wholes > 0 || w->names > w->waiting) return true;
    for (size_t i = 0; i < w->note_count; i++) {
        size_t at = 0;
        uint64_t word;
        while (map_next(&w->notes[i].names, &at, NULL, &word))
            if (until_of(word) && until_of(word) < *soonest) *soonest = until_of(word);
    }
    return *soonest <= now;
}

bool watch_is_ripe(const watch *w)
{
    return w->all || w->wholes > 0 || w->names > 0;
}

/* --- handing out --------------------------------------------------------------------------------------------------- */

/* Names that stay because they are waited for. */
typedef struct rest {
    mem_arena arena;
    struct { const char *folder; bytes name; uint64_t word; } *names;
    size_t count, capacity;
} rest;

static bool keep(rest *r, const char *folder, bytes name, uint64_t word)
{
    if (!MEM_GROW(r->names, r->capacity, r->count + 1)) return false;
    r->names[r->count].folder = folder;
    r->names[r->count].name = arena_bytes(&r->arena, name);
    r->names[r->count].word = word;
    return r->names[r->count++].name.data != NULL;
}

/* Those of a folder that are handed out now; the others go to `r`. */
static bool pick(const note *n, uint64_t now, mem_arena *arena, watch_change *c, watch_name *names, rest *r)
{
    size_t at = 0;
    bytes name;
    uint64_t word;
    const char *folder = NULL;
    while (map_next(&n->names, &at, &name, &word)) {
        if (until_of(word) > now) {
            if (!folder) folder = arena_strdup(&r->arena, n->folder);
            if (!folder || !keep(r, folder, name, word)) return false;
            continue;
        }
        const char *copy = (const char *)arena_bytes(arena, name).data;
        if (!copy) return false;
        names[c->count++] = (watch_name){copy, (word & NOTE_WRITTEN) != 0, (word & NOTE_LISTING) != 0, (word & NOTE_FOLDER) != 0};
        c->listing |= (word & NOTE_LISTING) != 0;
    }
    return true;
}

static int hand_out(const note *n, uint64_t now, rest *r, int (*change)(void *ctx, const watch_change *c), void *ctx, weir_error *err)
{
    watch_name names[WATCH_NAMES_MOST + 1];
    watch_change c = {.folder = n->folder, .whole = n->whole, .listing = n->whole && n->listing, .names = names};
    mem_arena arena;
    arena_init(&arena);
    int rc = pick(n, now, &arena, &c, names, r) ? 0 : error_nomem(err, "watching");
    if (rc == 0 && (c.whole || c.count > 0)) rc = change(ctx, &c);
    arena_deinit(&arena);
    return rc;
}

int watch_take(watch *w, bool waiting_too, bool *all, int (*change)(void *ctx, const watch_change *c), void *ctx, weir_error *err)
{
    rest r = {0};
    int rc = 0;
    uint64_t now = waiting_too ? UINT64_MAX : watch_now_ms();
    arena_init(&r.arena);
    *all = w->all;
    for (size_t i = 0; rc == 0 && !w->all && i < w->note_count; i++) rc = hand_out(&w->notes[i], now, &r, change, ctx, err);
    notes_clear(w);
    for (size_t i = 0; i < r.count; i++) {
        note *n = note_of(w, r.names[i].folder);
        if (n) put_name(w, n, r.names[i].name, r.names[i].word & LASTING, until_of(r.names[i].word));
        else w->all = true;
    }
    if (rc != 0) w->all = true; /* what was not handed out is not lost */
    mem_free(r.names);
    arena_deinit(&r.arena);
    watch_consider(w);
    return rc;
}
