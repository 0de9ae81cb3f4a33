/*
 * registry.h - C effects by name: the table of built-ins, and loaded plug-ins.
 *
 * The engine never names an effect: the program hands its table in. Schemas are checked while a workflow loads (ports, params,
 * types, defaults). One thread at a time.
 */
#ifndef WEIR_EFFECT_REGISTRY_H
#define WEIR_EFFECT_REGISTRY_H

#include "engine/base/error.h"
#include "engine/base/memory.h"
#include "engine/store/spec.h"
#include "engine/weir_effect.h"

typedef struct registry registry;

typedef struct registry_entry {
    const weir_effect *effect;
    hash128 build;  /* build id of the file it is in */
    bytes library;  /* "" for a built-in */
} registry_entry;

/** @param builtins  ended by NULL; kept */
int registry_open(registry **out, const weir_effect *const *builtins, weir_error *err);
void registry_close(registry *r); /* plug-ins stay mapped until the process ends */
/** dlopen in this process (a worker or script host, never the engine), check ABI, add its effects. Names already taken: an error that names both. Loaded before: nothing.
 *  `first`, `count`: out, its entries by registry_at. */
int registry_load(registry *r, const char *path, size_t *first, size_t *count, weir_error *err);
/** NULL when unknown. */
const registry_entry *registry_find(const registry *r, bytes name);
size_t registry_count(const registry *r);
const registry_entry *registry_at(const registry *r, size_t index);

/** Everything wrong with a node that applies a C effect: unknown or missing ports, unknown or missing params, wrong types. Each finding goes to
 *  `report` (message, hint or NULL). Returns how many. */
size_t registry_check(const registry_entry *entry, const node_spec *node,
                      void (*report)(void *ctx, const char *message, const char *hint), void *ctx);
/** params with defaults filled in: canonical encoding appended. */
int registry_fill(const registry_entry *entry, bytes params, buf *to, weir_error *err);

#endif
