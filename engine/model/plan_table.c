/*
 * plan_table.c - the records of the nodes that a turn has met, by id.
 *
 * Records lie in one array in the order in which they were met; a table of indexes (open addressing, linear probing,
 * nothing is ever removed) finds them. The edges that plan_wait adds are linked lists in a second array.
 *
 * Loop thread only. No I/O.
 */
#include "engine/model/plan_parts.h"

enum { SLOTS_SMALLEST = 64, KEPT_NODES = 1 << 16 };

/* The finaliser of splitmix64 (Steele, Lea, Flood, 2014): ids are small and dense. */
static size_t slot_of(const plan *p, uint64_t id)
{
    id = (id ^ (id >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    id = (id ^ (id >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (size_t)(id ^ (id >> 31)) & (p->slot_count - 1);
}

/* The slot of the id, or the empty one where it goes. There must be slots. */
static size_t probe(const plan *p, uint64_t id)
{
    size_t slot = slot_of(p, id);
    while (p->slots[slot] && p->nodes[p->slots[slot] - 1].id != id) slot = (slot + 1) & (p->slot_count - 1);
    return slot;
}

bool plan_table_find(const plan *p, uint64_t id, uint32_t *at)
{
    if (p->slot_count == 0) return false;
    uint32_t found = p->slots[probe(p, id)];
    if (found) *at = found - 1;
    return found != 0;
}

static int grow_slots(plan *p, weir_error *err)
{
    if (p->slot_count && p->node_count + 1 <= p->slot_count / 4 * 3) return 0;
    size_t count = p->slot_count ? p->slot_count * 2 : SLOTS_SMALLEST;
    uint32_t *slots = mem_zero(count, sizeof *slots);
    if (!slots) return error_nomem(err, "planning");
    mem_free(p->slots);
    p->slots = slots;
    p->slot_count = count;
    for (size_t i = 0; i < p->node_count; i++) {
        size_t slot = slot_of(p, p->nodes[i].id);
        while (slots[slot]) slot = (slot + 1) & (count - 1);
        slots[slot] = (uint32_t)i + 1;
    }
    return 0;
}

int plan_table_add(plan *p, uint64_t id, uint32_t height, uint32_t *at, weir_error *err)
{
    if (plan_table_find(p, id, at)) return 0;
    if (p->node_count == UINT32_MAX - 1) return error_set(err, WEIR_LIMIT, "plan: more than 4 billion nodes in a turn");
    int rc = grow_slots(p, err);
    if (rc == 0 && !MEM_GROW(p->nodes, p->node_capacity, p->node_count + 1)) rc = error_nomem(err, "planning");
    if (rc) return rc;
    *at = (uint32_t)p->node_count++;
    p->nodes[*at] = (plan_node){.id = id, .height = height, .state = PLAN_IDLE};
    p->slots[probe(p, id)] = *at + 1;
    return 0;
}

void plan_table_clear(plan *p)
{
    if (p->node_capacity > KEPT_NODES) { /* a large turn of a watch must not stay */
        mem_free(p->nodes);
        mem_free(p->slots);
        p->nodes = NULL;
        p->slots = NULL;
        p->node_capacity = p->slot_count = 0;
    }
    if (p->slots) memset(p->slots, 0, p->slot_count * sizeof *p->slots);
    p->node_count = 0;
    p->edge_count = 0;
}

int plan_table_link(plan *p, uint32_t on, uint32_t to, bool is_wait, weir_error *err)
{
    if (p->edge_count >= UINT32_MAX - 1) return error_set(err, WEIR_LIMIT, "plan: more than 4 billion waits in a turn");
    if (!MEM_GROW(p->edges, p->edge_capacity, p->edge_count + 1)) return error_nomem(err, "planning");
    p->edges[p->edge_count++] = (turn_edge){.to = to, .next = p->nodes[on].edge_at, .is_wait = is_wait};
    p->nodes[on].edge_at = (uint32_t)p->edge_count;
    return 0;
}

size_t plan_table_unlink(plan *p, uint32_t on, uint32_t to)
{
    size_t count = 0;
    uint32_t *at = &p->nodes[on].edge_at;
    while (*at) {
        turn_edge *edge = &p->edges[*at - 1];
        if (edge->to == to) {
            *at = edge->next;
            count++;
        } else {
            at = &edge->next;
        }
    }
    return count;
}

int plan_table_users(plan *p, uint32_t at, const plan_user **users, size_t *count, weir_error *err)
{
    *users = NULL;
    *count = 0;
    return p->source.users(p->source.ctx, p->nodes[at].id, users, count, err);
}
