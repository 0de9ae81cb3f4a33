/*
 * suspects.h - which paths may not be what they were when they were last looked at.
 *
 * A watch gathers them between two runs from what the kernel said; a run that has them looks at nothing else (observe_suspects.c). Paths are
 * below the root, or absolute. Once memory for one is missing, everything is suspicious.
 *
 * Loop thread only.
 */
#ifndef WEIR_RUN_SUSPECTS_H
#define WEIR_RUN_SUSPECTS_H

#include "engine/base/memory.h"

enum suspect_flags {
    SUSPECT_WRITTEN = 1, /* its content may be another one although the signature is the same */
    SUSPECT_LISTING = 2, /* it came or went */
    SUSPECT_DEEP = 4,    /* it is, or was, a folder or a link: with what is below */
    SUSPECT_MOVED = 8    /* found by the look: it is not among the names of its folder as before, or who knows */
};

typedef struct suspects {
    bool all;
    map paths;   /* -> suspect_flags */
    map folders; /* with all that is below -> SUSPECT_WRITTEN or 0 */
} suspects;

void suspects_init(suspects *s);
void suspects_deinit(suspects *s);
void suspects_clear(suspects *s);
bool suspects_are_any(const suspects *s);
void suspects_add(suspects *s, const char *folder, const char *name, unsigned flags);
void suspects_add_folder(suspects *s, const char *folder, unsigned flags);

/** Is the path itself, or a folder that it is in, suspicious as a whole? SUSPECT_DEEP, and perhaps SUSPECT_WRITTEN; 0: no. */
unsigned suspects_cover(const suspects *s, bytes path);
/** Is there a suspect at or below this path, or one that covers it? `names_only`: only such as may have changed the names there. */
bool suspects_touch(const suspects *s, bytes path, bool names_only);
/** May the names that this pattern finds be others? `matches` is asked for single names. */
bool suspects_touch_names(const suspects *s, const char *pattern, size_t fixed, bool (*matches)(const char *pattern, const char *path));
/** Is this file to be read again whatever its signature says? */
bool suspects_is_written(const suspects *s, bytes path);

#endif
