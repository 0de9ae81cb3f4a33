/*
 * misled.c - nodes that failed, or were blocked, by what they had found or needed.
 *
 * What an attempt finds without having declared it is stored when the attempt ends well; one that fails leaves
 * what was stored before it. So the state does not know who failed over what another node made, and a maker that
 * comes to its final result only in a later turn (it raced, or something above it did) would have no such user
 * then, nor would one that makes a path only now that a list declares it. For the length of a run it is remembered here.
 *
 * M1  When the maker makes something else, whoever failed over what it had made before, and was not tried again
 *     since, is looked at in the next turn. That the maker fails or is blocked changes nothing for who has failed.
 * M2  So is who saw a file before its maker came to another one in this turn (a list declared it while the attempt
 *     ran, so nothing waited for it), when the attempt ends only after that.
 *
 * Loop thread only.
 */
#include "engine/run/engine.h"
#include "engine/run/output.h"

static const char doing[] = "remembering who failed";

struct misled {
    uint64_t node;
    size_t next; /* place of another one with the same source, from 1; 0: there is none */
};

static uint64_t key_of(uint64_t source, bool is_item)
{
    return source << 1 | is_item;
}

static int note(weir *w, uint64_t node, uint64_t key, weir_error *err)
{
    if (!MEM_GROW(w->misled, w->misled_capacity, w->misled_count + 1)) return error_nomem(err, doing);
    uint64_t *first = map_put(&w->misled_by, map_key_u64(&key), NULL);
    if (!first) return error_nomem(err, doing);
    w->misled[w->misled_count] = (misled){.node = node, .next = (size_t)*first};
    *first = ++w->misled_count;
    return 0;
}

int misled_note(weir *w, uint64_t node, uint64_t maker, weir_error *err)
{
    return maker == 0 || maker == node ? 0 : note(w, node, key_of(maker, false), err);
}

/* Who makes what stands behind this item? 0: nobody. */
static int maker_of(weir *w, uint64_t source, uint64_t *maker, weir_error *err)
{
    const cat_item *item = catalog_item(w->catalog, source, err), *folder = NULL;
    cat_node *node = NULL;
    *maker = 0;
    if (!item) return err->code;
    int rc = 0;
    if (item->kind == ITEM_NODE) rc = need_node(w, item->name, &node, err);
    else if (item->kind == ITEM_MEMBER) rc = output_folder_above(w, item->name, &folder, err);
    *maker = node ? node->id : folder ? folder->node : item->node;
    return rc;
}

/* Does the maker hold something else than the attempt saw, and did so before this came to its end? A transient file may just be away. */
static bool saw_old(weir *w, const cat_item *item, hash128 seen)
{
    const cat_node *maker = item->kind == ITEM_FILE && item->node ? catalog_loaded(w->catalog, item->node) : NULL;
    if (!maker || maker->status != CAT_SETTLED || (maker->spec.flags & SPEC_TRANSIENT)) return false;
    bool is_over = w->plan && plan_state_of(w->plan, maker->id) == PLAN_SETTLED;
    return is_over && !hash_equal(seen, HASH_UNREADABLE) && !hash_equal(seen, item->hash);
}

static int note_item(weir *w, uint64_t node, uint64_t id, hash128 seen, weir_error *err)
{
    uint64_t maker = 0;
    int rc = maker_of(w, id, &maker, err);
    const cat_item *item = rc == 0 ? catalog_item(w->catalog, id, err) : NULL;
    if (!item) return rc ? rc : err->code;
    if (saw_old(w, item, seen) && !map_put(&w->read_lost, map_key_u64(&node), NULL)) return error_nomem(err, doing);
    return maker ? misled_note(w, node, maker, err) : note(w, node, key_of(id, true), err);
}

int misled_note_reads(weir *w, uint64_t node, const read_record *reads, size_t count, weir_error *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        if (reads[i].ref.port >= 0 || reads[i].source == 0) continue; /* declared: its users are stored */
        rc = reads[i].source_is_node ? misled_note(w, node, reads[i].source, err) : note_item(w, node, reads[i].source, reads[i].hash, err);
    }
    return rc;
}

int misled_note_report(weir *w, uint64_t node, const job_report *report, weir_error *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && report && i < report->read_count; i++) {
        const job_read *r = &report->reads[i];
        if (r->ref.port >= 0 || r->source_is_node) continue;
        const cat_item *item = catalog_item_named(w->catalog, ITEM_FILE, r->path, true, err);
        rc = item ? note_item(w, node, item->id, r->hash, err) : err->code;
    }
    return rc;
}

static int recall(weir *w, uint64_t key, weir_error *err)
{
    const uint64_t *first = map_get(&w->misled_by, map_key_u64(&key));
    for (size_t at = first ? (size_t)*first : 0; at != 0; at = w->misled[at - 1].next) {
        const cat_node *node = catalog_loaded(w->catalog, w->misled[at - 1].node);
        if (!node || (node->status != CAT_FAILED && node->status != CAT_BLOCKED)) continue;
        plan_state state = plan_state_of(w->plan, node->id);
        if (state == PLAN_DUE || state == PLAN_RUNNING) continue;
        if (!map_put(&w->read_lost, map_key_u64(&node->id), NULL)) return error_nomem(err, doing);
    }
    return 0;
}

int misled_recall(weir *w, const cat_node *maker, weir_error *err)
{
    if (w->misled_count == 0) return 0;
    int rc = recall(w, key_of(maker->id, false), err);
    for (size_t i = 0; rc == 0 && i < maker->spec.output_count; i++) rc = recall(w, key_of(maker->spec.outputs[i].id, true), err);
    return rc;
}

void misled_begin(weir *w)
{
    map_clear(&w->misled_by);
    w->misled_count = 0;
}
