/*
 * plan_heap.c - the orders of the planner: heaps with four children, from which nodes leave without being looked for.
 *
 * A node is in a heap as long as it has the flag of the heap. Taking the flag away leaves a dead entry behind, which is
 * dropped when it comes to the top, or when more than half of the entries are dead: then the heap is made anew, which
 * the pushes since the last time have paid for.
 *
 * Loop thread only.
 */
#include "engine/model/plan_parts.h"

enum { CHILDREN = 4, DEAD_SMALLEST = 64 };

void plan_heap_init(plan_heap *heap, uint8_t flag, bool by_height)
{
    *heap = (plan_heap){.flag = flag, .by_height = by_height};
}

static uint64_t rank(heap_entry entry)
{
    return (uint64_t)entry.major << 32 | entry.minor;
}

static bool is_before(const plan *p, heap_entry a, heap_entry b)
{
    if (rank(a) != rank(b)) return rank(a) < rank(b);
    return p->nodes[a.node].id < p->nodes[b.node].id;
}

static bool is_alive(const plan *p, const plan_heap *heap, heap_entry entry)
{
    const plan_node *node = &p->nodes[entry.node];
    return (node->flags & heap->flag) && (!heap->by_height || node->height == entry.major);
}

static void sift_up(const plan *p, plan_heap *heap, size_t hole, heap_entry entry)
{
    while (hole > 0) {
        size_t parent = (hole - 1) / CHILDREN;
        if (!is_before(p, entry, heap->entries[parent])) break;
        heap->entries[hole] = heap->entries[parent];
        hole = parent;
    }
    heap->entries[hole] = entry;
}

static void sift_down(const plan *p, plan_heap *heap, size_t hole, heap_entry entry)
{
    for (;;) {
        size_t first = hole * CHILDREN + 1;
        if (first >= heap->size) break;
        size_t last = first + CHILDREN < heap->size ? first + CHILDREN : heap->size;
        size_t best = first;
        for (size_t child = first + 1; child < last; child++)
            if (is_before(p, heap->entries[child], heap->entries[best])) best = child;
        if (!is_before(p, heap->entries[best], entry)) break;
        heap->entries[hole] = heap->entries[best];
        hole = best;
    }
    heap->entries[hole] = entry;
}

/* Drops dead entries and all but one of those that a node has more than once. */
static void bury(plan *p, plan_heap *heap)
{
    size_t kept = 0;
    for (size_t i = 0; i < heap->size; i++) {
        heap_entry entry = heap->entries[i];
        if (!is_alive(p, heap, entry)) continue;
        p->nodes[entry.node].flags &= (uint8_t)~heap->flag;
        heap->entries[kept++] = entry;
    }
    heap->size = kept;
    for (size_t i = 0; i < kept; i++) p->nodes[heap->entries[i].node].flags |= heap->flag;
    for (size_t i = kept / CHILDREN + 1; i-- > 0;)
        if (i < kept) sift_down(p, heap, i, heap->entries[i]);
}

int plan_heap_push(plan *p, plan_heap *heap, uint32_t at, uint32_t major, uint32_t minor, weir_error *err)
{
    if (heap->size > 2 * heap->live + DEAD_SMALLEST) bury(p, heap);
    if (!MEM_GROW(heap->entries, heap->capacity, heap->size + 1)) return error_nomem(err, "planning");
    if (!(p->nodes[at].flags & heap->flag)) heap->live++;
    p->nodes[at].flags |= heap->flag;
    sift_up(p, heap, heap->size++, (heap_entry){major, minor, at});
    return 0;
}

static void remove_top(plan *p, plan_heap *heap)
{
    heap_entry last = heap->entries[--heap->size];
    if (heap->size > 0) sift_down(p, heap, 0, last);
}

const heap_entry *plan_heap_top(plan *p, plan_heap *heap)
{
    while (heap->size > 0 && !is_alive(p, heap, heap->entries[0])) remove_top(p, heap);
    return heap->size > 0 ? &heap->entries[0] : NULL;
}

uint32_t plan_heap_take(plan *p, plan_heap *heap)
{
    uint32_t at = heap->entries[0].node;
    remove_top(p, heap);
    plan_heap_drop(p, heap, at);
    return at;
}

void plan_heap_drop(plan *p, plan_heap *heap, uint32_t at)
{
    if (!(p->nodes[at].flags & heap->flag)) return;
    p->nodes[at].flags &= (uint8_t)~heap->flag;
    heap->live--;
}

void plan_heap_clear(plan_heap *heap)
{
    enum { KEPT = 1 << 16 };
    if (heap->capacity > KEPT) {
        mem_free(heap->entries);
        heap->entries = NULL;
        heap->capacity = 0;
    }
    heap->size = heap->live = 0;
}
