/*
 * policy.c - what a change of an effect's code does to the results of the old one: code = "track", "warn", "pin".
 *
 *   track   the code is in the key: nothing here
 *   warn    the code is not in the key; a result of other code is used, and said once a run for each effect
 *   pin     the code is not in the key; the declared version is
 *
 * C1  Changing the word alone runs nothing: a result that was recorded under the other kind of key is looked for under it. Going back
 *     to "track", it counts only if it is of the code of now.
 *
 * Loop thread only.
 */
#include <inttypes.h>

#include "engine/run/engine.h"

/* The effect as it was when a result was recorded. */
static int effect_then(task *t, const cat_result *result, effect_spec *spec, bool *known, weir_error *err)
{
    event_body body;
    *known = true;
    *spec = t->effect->spec;
    if (result->effect_seq == t->effect->seq) return 0;
    int rc = settle_load_event(t, result->effect_seq, EVENT_EFFECT, &body, err);
    if (rc == 0) rc = effect_get(body.effect.spec, &t->arena, spec, err);
    *known = rc == 0;
    return rc == WEIR_NOTFOUND ? 0 : rc;
}

static int held_effect(task *t, effect_spec *then, bool *known, weir_error *err)
{
    const cat_result *held = NULL;
    *known = false;
    int rc = t->node->execution != 0 ? catalog_result(t->w->catalog, t->node->execution, &held, err) : WEIR_NOTFOUND;
    if (rc == 0) rc = effect_then(t, held, then, known, err);
    return rc == WEIR_NOTFOUND ? 0 : rc;
}

int policy_other_key(task *t, hash128 *key, bool *has, weir_error *err)
{
    effect_spec then;
    effect_spec mixed = t->effect->spec;
    *has = false;
    if (hash_is_none(mixed.code)) return 0;
    int rc = held_effect(t, &then, has, err);
    bool is_tracked = mixed.policy == CODE_TRACK;
    if (rc != 0 || !*has || (then.policy == CODE_TRACK) == is_tracked || (is_tracked && !hash_equal(then.code, mixed.code))) {
        *has = false;
        return rc;
    }
    mixed.policy = then.policy;
    mixed.code = then.code;
    return settle_key_with(t, &mixed, key, err);
}

int policy_fits(task *t, const cat_result *result, bool *fits, weir_error *err)
{
    effect_spec then;
    bool known = false;
    t->older_code = false;
    if (t->effect->spec.policy == CODE_TRACK && !t->by_other_key) return 0; /* the code is in the key */
    int rc = effect_then(t, result, &then, &known, err);
    if (rc != 0 || !known || hash_equal(then.code, t->effect->spec.code)) return rc;
    if (t->effect->spec.policy == CODE_TRACK) *fits = false;
    t->older_code = t->effect->spec.policy == CODE_WARN;
    return 0;
}

/* --- saying it --------------------------------------------------------------------------------------------------- */

void policy_used(task *t)
{
    weir *w = t->w;
    if (!t->older_code) return;
    uint64_t *slot = map_put(&w->older_code, t->node->spec.effect, NULL);
    if (!slot) return;
    if (*slot == 0) {
        if (!MEM_GROW(w->older, w->older_capacity, w->older_count + 1)) return;
        w->older[w->older_count] = (struct older_code){.effect = t->node->spec.effect, .node = t->node->spec.name};
        *slot = ++w->older_count;
    }
    w->older[*slot - 1].count++;
}

void policy_tell(weir *w)
{
    for (size_t i = 0; i < w->older_count; i++) {
        const struct older_code *o = &w->older[i];
        char others[60] = "";
        if (o->count > 1) snprintf(others, sizeof others, " and %" PRIu64 " more", o->count - 1);
        tell_message(w, "effect %.200s has other code now; code = \"warn\" keeps what the old code made for %.200s%s: `weir accept NODE` if that "
                        "is right, `weir void NODE` to make it anew", (const char *)o->effect.data, (const char *)o->node.data, others);
    }
    w->older_count = 0;
    map_clear(&w->older_code);
}
