/*
 * flight.c - identical work that is asked for twice in a run is done once.
 *
 * Two nodes may have one key and the same content behind their declared inputs. The second one waits for the first; when that
 * has ended, the second is settled once more: its lookup finds what the first one made and it is restored. What it waited for may
 * have failed, or it reads what no declaration tells (its own output path): then it runs by itself, and waits no second time, so
 * that nothing is done one after the other that could be done at once. A failure is found again like a result if it came from what
 * was read (failure.c); one by chance is not shared: each node says its own.
 *
 * F1  A task follows only one that is ready, running or ending, and never one that follows: no circles.
 * F2  Whoever follows is settled again when its leader ends, whatever the end is (schedule_free).
 *
 * Loop thread only.
 */
#include "engine/run/engine.h"

static const char doing[] = "looking for identical work";

static bool can_share(const task *t)
{
    uint32_t own = SPEC_ALWAYS | SPEC_UPDATE | SPEC_NO_STORE;
    return !hash_is_none(t->key) && !(t->node->spec.flags & own) && !t->effect->spec.always.size && !t->node->forced &&
           t->node->spec.job == JOB_PURE;
}

/* The key and what is behind every declared input now: what it reads is among that, or is the same for both. */
static int take_flight(task *t, weir_error *err)
{
    hash_stream stream;
    int rc = 0;
    if (t->has_flight) return 0;
    hash_begin(&stream);
    hash_update(&stream, "weir flight 1", 13);
    hash_update(&stream, t->key.bytes, HASH_SIZE);
    for (size_t i = 0; rc == 0 && i < t->node->spec.input_count; i++) {
        const spec_input *input = &t->node->spec.inputs[i];
        hash128 seen = HASH_NONE;
        if (input->is_list) rc = resolve_list(t, input, &seen, NULL, NULL, err);
        else if (input->count > 0) rc = resolve_member_hash(t, &input->members[0], &seen, err);
        hash_update(&stream, seen.bytes, HASH_SIZE);
    }
    t->flight = hash_end(&stream);
    t->has_flight = rc == 0;
    return rc;
}

static task *first_of(const weir *w, hash128 key)
{
    const uint64_t *slot = map_get(&w->flights, bytes_of(key.bytes, HASH_SIZE));
    return slot ? (task *)(uintptr_t)*slot : NULL;
}

/* The open task with the same work; NULL: none. Hashes are taken only when a key meets itself. */
static int find_twin(task *t, task **twin, weir_error *err)
{
    int rc = 0;
    *twin = NULL;
    for (task *other = first_of(t->w, t->key); rc == 0 && other && !*twin; other = other->next_flight) {
        rc = take_flight(other, err);
        if (rc == 0) rc = take_flight(t, err);
        if (rc == 0 && hash_equal(other->flight, t->flight)) *twin = other;
    }
    return rc;
}

int flight_join(task *t, bool *follows, weir_error *err)
{
    weir *w = t->w;
    task *twin = NULL;
    *follows = false;
    if (!can_share(t)) return 0;
    int rc = t->alone ? 0 : find_twin(t, &twin, err);
    if (rc != 0) return rc;
    if (twin) {
        t->leader = twin;
        t->state = TASK_FOLLOWING;
        twin->followers++;
        w->following++;
        *follows = true;
        return 0;
    }
    uint64_t *slot = map_put(&w->flights, bytes_of(t->key.bytes, HASH_SIZE), NULL);
    if (!slot) return error_nomem(err, doing);
    t->next_flight = (task *)(uintptr_t)*slot;
    *slot = (uint64_t)(uintptr_t)t;
    t->flies = true;
    return 0;
}

static void land(task *t)
{
    weir *w = t->w;
    bytes key = bytes_of(t->key.bytes, HASH_SIZE);
    uint64_t *slot = map_get(&w->flights, key);
    task *at = slot ? (task *)(uintptr_t)*slot : NULL;
    t->flies = false;
    if (at == t && t->next_flight) *slot = (uint64_t)(uintptr_t)t->next_flight;
    else if (at == t) map_remove(&w->flights, key);
    if (at == t) return;
    while (at && at->next_flight != t) at = at->next_flight;
    if (at) at->next_flight = t->next_flight;
}

void flight_leave(task *t)
{
    weir *w = t->w;
    if (t->flies) land(t);
    if (t->state == TASK_FOLLOWING) {
        w->following--;
        if (t->leader) t->leader->followers--;
    }
    for (task *other = t->followers > 0 ? w->tasks : NULL; other; other = other->next) {
        if (other->leader != t) continue;
        other->leader = NULL;
        other->alone = true;
        other->state = TASK_AGAIN;
        w->following--;
        w->has_again = true;
    }
    t->followers = 0;
}
