/*
 * key.h - what decides a node's result before anything is read.
 *
 * key = H over the typed stream of the components below, each hashed by itself, so that `why` and the planner can tell which
 * one differs. No input content; never the node's name, the project's path, an attempt, a pid or a time. Scheme 1, frozen:
 * tests/engine/model/key_vectors.txt. Pure; any thread.
 */
#ifndef WEIR_MODEL_KEY_H
#define WEIR_MODEL_KEY_H

#include "engine/model/command.h"
#include "engine/model/near.h"
#include "engine/store/spec.h"

typedef enum key_component {
    KEY_EFFECT,  /* effect name and kind */
    KEY_VERSION, /* declared versions: of the effect and of the node */
    KEY_CODE,    /* code hash (Lua), build id (C) */
    KEY_PARAMS,  /* canonical params */
    KEY_PORTS,   /* input port names, list or single, and per member: a file's path, another item's kind and name, or the output
                    port of a node ("" for a whole node); output port names (not their paths) */
    KEY_ENV,     /* declared environment */
    KEY_COMMAND, /* expanded argv or text, depfile, update flag; commands only */
    KEY_TOOL,    /* fingerprint of the resolved program; commands only */
    KEY_COMPONENTS
} key_component;

/** "effect", "version" ... for messages. */
const char *key_component_name(key_component which);

typedef struct key_parts {
    hash128 part[KEY_COMPONENTS];
} key_parts;

/** What the key needs beside the specs. */
typedef struct key_source {
    const effect_spec *effect;
    const node_spec *node;
    /** Name of an item (path, variable ...); borrowed until the next call. Empty on failure. */
    bytes (*item_name)(void *ctx, uint64_t item);
    void *ctx;
    const bytes *command; /* expanded (command_words); NULL for others */
    size_t command_count;
    hash128 tool; /* HASH_NONE: none */
} key_source;

/**
 * @param parts, key  out: HASH_NONE, both the part and the key, if the name of an item was not to be had: never a partial key
 * Ports, outputs and environment are taken in the order of the spec, which is by bytes once put or got (spec.h).
 */
void key_compute(const key_source *source, key_parts *parts, hash128 *key);

#endif
