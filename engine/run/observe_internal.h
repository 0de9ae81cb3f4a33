/*
 * observe_internal.h - what the files of observe share.
 *
 *   observe.c          files: signatures, sources that changed, outputs that differ
 *   observe_suspects.c the same for what a watch noted
 *   observe_outside.c  environment, values, tools, weir's own build
 *   observe_glob.c     globs
 *   observe_tree.c     folders, trees, links
 *   observe_key.c      keys of documents
 */
#ifndef WEIR_RUN_OBSERVE_INTERNAL_H
#define WEIR_RUN_OBSERVE_INTERNAL_H

#include "engine/run/engine.h"

/** This is what the item is now: a source that moved is observed, its users are due; an output that differs is marked. */
int observe_take(weir *w, cat_item *item, hash128 hash, uint64_t size, uint32_t mode, weir_error *err);
/** Look at one path, with its signature, and take it; the entry is borrowed until the signatures change. */
int observe_file(weir *w, cat_item *item, weir_error *err);
/** Only what w->suspects name; in place of all signatures. */
int observe_suspects(weir *w, weir_error *err);
/** What was found of one of them. One that could not be read because it keeps changing stays as it was: more events are on their way. */
int observe_take_suspect(weir *w, const scan_request *r, weir_error *err);
/** An item that is no file. */
int observe_other(weir *w, cat_item *item, weir_error *err);
/** Names of a glob as they are now; in *err the code too. */
int observe_glob_item(weir *w, cat_item *item, weir_error *err);

/** What a glob or tree does not see. */
typedef struct output_filter {
    weir *w;
    bool any_vanished;
    weir_error *err; /* its code ends the search */
    bytes last;      /* the folder of the path before, and what was found of it; zero at first */
    bool last_is_output;
} output_filter;

/** All but `err`, which the caller sets. */
int observe_filter(weir *w, output_filter *f, weir_error *err);
/** Is this path claimed by a live node, or as a vanished one left it? ctx: output_filter. */
bool observe_is_output(void *ctx, const char *path);
/** Look at a folder, tree or link. */
int observe_tree_item(weir *w, cat_item *item, weir_error *err);

#endif
