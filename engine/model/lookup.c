/*
 * lookup.c - see lookup.h.
 *
 *   h0 = begin(key) --group: src/a.c--> h1 = H(h0, src/a.c and the hash seen now) --group: a.h, b.h--> h2 ... --leaf: execution
 *
 * Where one prefix has several groups they are tried one after the other, the newest first.
 *
 * All reads of a group are asked for even when one is not known yet, so that the resolver hears at once of all files that have
 * to be looked at. What can never match ends the walk first: nothing is worth waiting for then.
 *
 * Pure; any thread.
 */
#include "engine/model/lookup.h"

#include "engine/store/trace.h"

enum { OTHERS = 16 };

typedef struct group_answer {
    bool impossible, wait, observe, unmade;
    uint64_t wait_for; /* the first one */
    uint64_t failed;   /* the first one that could not make its part */
    hash128 next;      /* prefix behind the group, if all is known */
} group_answer;

static int resolve_group(const lookup_source *source, hash128 prefix, const read_ref *refs, size_t count,
                         group_answer *answer, weir_error *err)
{
    *answer = (group_answer){0};
    hash_stream stream;
    trace_group(&stream, prefix);
    int begun = source->begin ? source->begin(source->ctx, refs, count, err) : 0;
    if (begun) return begun;
    for (size_t i = 0; i < count && !answer->impossible; i++) {
        hash128 hash = HASH_NONE;
        uint64_t wait_for = 0;
        resolve_result how = RESOLVE_IMPOSSIBLE;
        int rc = source->resolve(source->ctx, &refs[i], &hash, &wait_for, &how, err);
        if (rc) return rc;
        switch (how) {
        case RESOLVE_KNOWN: trace_read(&stream, &refs[i], hash); break;
        case RESOLVE_IMPOSSIBLE: answer->impossible = true; break;
        case RESOLVE_OBSERVE: answer->observe = true; break;
        case RESOLVE_WAIT:
            if (!answer->wait) answer->wait_for = wait_for;
            answer->wait = true;
            break;
        case RESOLVE_UNMADE:
            if (!answer->unmade) answer->failed = wait_for;
            answer->unmade = true;
            break;
        }
    }
    answer->next = hash_end(&stream);
    return 0;
}

/* The place of a group (trace_other). */
typedef struct place {
    hash128 prefix;
    unsigned number;
} place;

typedef struct walk {
    place at;
    place others[OTHERS]; /* that may be tried when the one in hand leads nowhere; the last ones: older ones are not gone back to */
    size_t count;
    lookup_result result; /* what is said when all lead nowhere */
    uint64_t execution, wait_for;
} walk;

static void keep_other(walk *w, const lookup_source *source, const read_ref *refs, size_t count)
{
    if (source->latest_alone || !trace_may_differ(refs, count) || w->at.number + 1 == TRACE_GROUPS) return;
    if (w->count == OTHERS) memmove(w->others, w->others + 1, --w->count * sizeof *w->others);
    w->others[w->count++] = (place){w->at.prefix, w->at.number + 1};
}

static bool go_back(walk *w)
{
    if (w->count == 0) return false;
    w->at = w->others[--w->count];
    return true;
}

/* With a result in hand another one is only looked for where nothing has to be found out. */
static bool is_all_declared(const read_ref *refs, size_t count)
{
    bool declared = true;
    for (size_t i = 0; declared && i < count; i++) declared = refs[i].port >= 0;
    return declared;
}

/* The way goes on behind the group, or back, or *ends here. */
static int take_group(walk *w, const lookup_source *source, bytes packed, mem_arena *scratch, bool *ends, weir_error *err)
{
    read_ref *refs = NULL;
    size_t count = 0;
    group_answer answer = {.impossible = true};
    bool has_result = w->result == LOOKUP_HIT;
    arena_reset(scratch);
    int rc = read_refs_get(packed, scratch, &refs, &count, err);
    if (rc == 0) keep_other(w, source, refs, count);
    if (rc == 0 && !(has_result && !is_all_declared(refs, count)))
        rc = resolve_group(source, w->at.prefix, refs, count, &answer, err);
    if (rc != 0) return error_context(err, rc, "trace");
    bool known = !answer.impossible && !answer.wait && !answer.observe && !answer.unmade;
    *ends = !has_result && !answer.impossible && (answer.wait || answer.observe);
    if (*ends) {
        w->wait_for = answer.wait ? answer.wait_for : 0;
        w->result = answer.wait ? LOOKUP_WAIT : LOOKUP_OBSERVE;
    } else if (known) {
        w->at = (place){answer.next, 0};
    } else {
        if (w->result == LOOKUP_MISS && !answer.impossible) {
            w->wait_for = answer.failed;
            w->result = LOOKUP_UNMADE;
        }
        *ends = !go_back(w);
    }
    return 0;
}

static void take_leaf(walk *w, const lookup_source *source, uint64_t execution, bool *ends)
{
    if (w->result != LOOKUP_HIT || execution == source->current) w->execution = execution;
    w->result = LOOKUP_HIT;
    w->wait_for = 0;
    *ends = source->current == 0 || w->execution == source->current || !go_back(w);
}

int lookup_trace(const lookup_source *source, hash128 key, mem_arena *scratch, lookup_result *result,
                 uint64_t *execution, uint64_t *wait_for, uint64_t *probes, weir_error *err)
{
    walk w = {.at = {trace_begin(key), 0}, .result = LOOKUP_MISS};
    bool ends = false;
    int rc = 0;
    if (probes) *probes = 0;
    while (rc == 0 && !ends) {
        bytes packed = {NULL, 0};
        uint64_t leaf = 0;
        int found = source->probe(source->ctx, trace_other(w.at.prefix, w.at.number), &packed, &leaf, err);
        if (probes) ++*probes;
        if (found < 0) rc = found;
        else if (found == 0) ends = !go_back(&w);
        else if (leaf != 0) take_leaf(&w, source, leaf, &ends);
        else rc = take_group(&w, source, packed, scratch, &ends, err);
    }
    *result = rc == 0 ? w.result : LOOKUP_MISS;
    *execution = rc == 0 ? w.execution : 0;
    *wait_for = rc == 0 ? w.wait_for : 0;
    return rc;
}
