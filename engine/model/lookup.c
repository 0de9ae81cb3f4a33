/*
 * lookup.c - see lookup.h.
 *
 *   h0 = begin(key) --group: src/a.c--> h1 = H(h0, src/a.c and the hash seen now) --group: a.h, b.h--> h2 ... --leaf: execution
 *
 * All reads of a group are asked for even when one is not known yet, so that the resolver hears at once of all files that have
 * to be looked at. What can never match ends the walk first: nothing is worth waiting for then.
 *
 * Pure; any thread.
 */
#include "engine/model/lookup.h"

#include "engine/store/trace.h"

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

int lookup_trace(const lookup_source *source, hash128 key, mem_arena *scratch, lookup_result *result,
                 uint64_t *execution, uint64_t *wait_for, uint64_t *probes, weir_error *err)
{
    *result = LOOKUP_MISS;
    *execution = 0;
    *wait_for = 0;
    if (probes) *probes = 0;
    for (hash128 prefix = trace_begin(key);;) {
        bytes packed = {NULL, 0};
        uint64_t leaf = 0;
        int rc = source->probe(source->ctx, prefix, &packed, &leaf, err);
        if (rc < 0) return rc;
        if (probes) ++*probes;
        if (rc == 0) return 0;
        if (leaf != 0) {
            *execution = leaf;
            *result = LOOKUP_HIT;
            return 0;
        }
        read_ref *refs = NULL;
        size_t count = 0;
        group_answer answer = {0};
        arena_reset(scratch);
        rc = read_refs_get(packed, scratch, &refs, &count, err);
        if (rc == 0) rc = resolve_group(source, prefix, refs, count, &answer, err);
        if (rc) return error_context(err, rc, "trace");
        if (answer.impossible) return 0;
        if (answer.wait) {
            *wait_for = answer.wait_for;
            *result = LOOKUP_WAIT;
            return 0;
        }
        if (answer.observe) {
            *result = LOOKUP_OBSERVE;
            return 0;
        }
        if (answer.unmade) {
            *wait_for = answer.failed;
            *result = LOOKUP_UNMADE;
            return 0;
        }
        prefix = answer.next;
    }
}
