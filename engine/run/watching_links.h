/*
 * watching_links.h - files that are relied on through a link: what happens to the file it leads to happens to them.
 *
 * The kernel names a change by the folder in which it was made. A link that is a file to us leads elsewhere, perhaps by way of other links: the
 * folders of all these hops are watched too, and a change of one of them makes the path that was asked for suspicious. Loop thread only.
 */
#ifndef WEIR_RUN_WATCHING_LINKS_H
#define WEIR_RUN_WATCHING_LINKS_H

#include "engine/run/suspects.h"
#include "engine/world/watch.h"

typedef struct watching_links {
    map hops; /* path of a hop, below the root or absolute -> index + 1 of the last alias of it */
    struct watching_alias { char *path; size_t next; } *aliases; /* who leads there; next: index + 1 */
    size_t count, capacity;
} watching_links;

void watching_links_init(watching_links *l);
void watching_links_deinit(watching_links *l);
void watching_links_clear(watching_links *l);
/**
 * If `path` is a link: remember where it leads, and name the folders on the way. Nothing for anything else; what cannot be resolved is left out.
 * @param root    absolute, of the project
 * @param folder  called for each folder to watch, as the watch knows it
 */
int watching_links_follow(watching_links *l, const char *root, const char *path, void (*folder)(void *ctx, bytes path), void *ctx,
                          weir_error *err);
/** Who is suspicious because these are. */
void watching_links_note(const watching_links *l, const watch_change *change, suspects *to);

#endif
