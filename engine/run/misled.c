/*
 * misled.c - nodes that failed, or were blocked, by what they had found or needed.
 *
 * What an attempt finds without having declared it is stored when the attempt ends well; one that fails leaves
 * what was stored before it. So the state does not know who failed over what another node made, and a maker that
 * comes to its final result only in a later turn (it raced, or something above it did) would have no such user
 * then. For the length of a run it is remembered here.
 *
 * M1  When the maker makes something else, whoever failed over what it had made before, and was not tried again
 *     since, is looked at in the next turn. That the maker fails or is blocked changes nothing for who has failed.
 *
 * Loop thread only.
 */
#include "engine/run/engine.h"

static const char doing[] = "remembering who failed";

struct misled {
    uint64_t node;
    size_t next; /* place of another one with the same maker, from 1; 0: there is none */
};

int misled_note(weir *w, uint64_t node, uint64_t maker, weir_error *err)
{
    if (maker == 0 || maker == node) return 0;
    if (!MEM_GROW(w->misled, w->misled_capacity, w->misled_count + 1)) return error_nomem(err, doing);
    uint64_t *first = map_put(&w->misled_by, map_key_u64(&maker), NULL);
    if (!first) return error_nomem(err, doing);
    w->misled[w->misled_count] = (misled){.node = node, .next = (size_t)*first};
    *first = ++w->misled_count;
    return 0;
}

/* Who makes what stands behind this read? 0: nobody. */
static int maker_of(weir *w, const read_record *r, uint64_t *maker, weir_error *err)
{
    const cat_item *item = catalog_item(w->catalog, r->source, err), *folder = NULL;
    cat_node *node = NULL;
    *maker = 0;
    if (!item) return err->code;
    int rc = 0;
    if (item->kind == ITEM_NODE) rc = need_node(w, item->name, &node, err);
    else if (item->kind == ITEM_MEMBER) rc = output_folder_above(w, item->name, &folder, err);
    *maker = node ? node->id : folder ? folder->node : item->node;
    return rc;
}

int misled_note_reads(weir *w, uint64_t node, const read_record *reads, size_t count, weir_error *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        uint64_t maker = 0;
        if (reads[i].ref.port >= 0 || reads[i].source == 0) continue; /* declared: its users are stored */
        if (reads[i].source_is_node) maker = reads[i].source;
        else rc = maker_of(w, &reads[i], &maker, err);
        if (rc == 0) rc = misled_note(w, node, maker, err);
    }
    return rc;
}

int misled_recall(weir *w, uint64_t maker, weir_error *err)
{
    const uint64_t *first = w->misled_count ? map_get(&w->misled_by, map_key_u64(&maker)) : NULL;
    for (size_t at = first ? (size_t)*first : 0; at != 0; at = w->misled[at - 1].next) {
        const cat_node *node = catalog_loaded(w->catalog, w->misled[at - 1].node);
        if (!node || (node->status != CAT_FAILED && node->status != CAT_BLOCKED)) continue;
        plan_state state = plan_state_of(w->plan, node->id);
        if (state == PLAN_DUE || state == PLAN_RUNNING) continue;
        if (!map_put(&w->read_lost, map_key_u64(&node->id), NULL)) return error_nomem(err, doing);
    }
    return 0;
}

void misled_begin(weir *w)
{
    map_clear(&w->misled_by);
    w->misled_count = 0;
}
