/*
 * manifest.h - a folder that is an output: all that is below it, as one content.
 *
 * Its path ends in '/'. scan_one looks at such a path as at a file: the content is the manifest, a text that lists everything below in
 * byte order of the paths, and that can be read by people (weir get):
 *
 *     weir folder 1
 *     dir css
 *     file 3f1c... css/a.css      content hash
 *     exec 90aa... run            with any execute bit
 *     link ../x up                its text; links are not followed
 *
 * Blanks, control characters and '%' in paths and texts are %XX. Of the mode only the execute bit counts. The signature stands for those of
 * all entries: any that moves makes the whole differ, and everything is read again. Any thread.
 */
#ifndef WEIR_WORLD_MANIFEST_H
#define WEIR_WORLD_MANIFEST_H

#include "engine/world/scan.h"

typedef struct manifest_entry {
    bytes path;      /* below the folder; NUL behind it */
    os_type type;    /* OS_FILE, OS_DIR, OS_LINK */
    bool executable; /* OS_FILE */
    hash128 content; /* OS_FILE: plain content hash, the name of its blob */
    bytes text;      /* OS_LINK; NUL behind it */
} manifest_entry;

/** Is this the path of a folder as a whole? */
static inline bool manifest_is_folder(bytes path)
{
    return path.size > 1 && path.data[path.size - 1] == '/';
}

/** As part of scan_one; fills in the request. WEIR_BUSY: something was replaced meanwhile, look again. */
int manifest_look(const scan_config *config, scan_request *r, const char *path, weir_error *err);
/** The text of entries that are sorted by path. */
void manifest_put(const manifest_entry *entries, size_t count, buf *to);
/** The entries of a manifest, in `arena`; WEIR_CORRUPT. Sorted, and no path leads out of the folder. */
int manifest_read(bytes text, mem_arena *arena, manifest_entry **entries, size_t *count, weir_error *err);
/** What is below a folder now, everything read; in `arena`. Absent: nothing. FIFOs and the like: WEIR_WORKFLOW. */
int manifest_walk(const scan_config *config, const char *folder, mem_arena *arena, manifest_entry **entries, size_t *count,
                  weir_error *err);
/** The paths of the files and links below a folder: a list as its encoding (store/value.h), sorted; nothing is read. Absent: the empty list. */
int manifest_names(int rootfd, const char *folder, buf *names, weir_error *err);
/** The same of entries. */
void manifest_entry_names(const manifest_entry *entries, size_t count, buf *names);
/** What a path below leads to, links followed as long as they stay in the folder. NULL: nothing; *outside: a link that leaves it. */
const manifest_entry *manifest_follow(const manifest_entry *entries, size_t count, bytes path, bool *outside);
/** The entry with a path, or NULL; they are sorted. */
const manifest_entry *manifest_find(const manifest_entry *entries, size_t count, bytes path);
/** The same thing with the same content. */
bool manifest_same(const manifest_entry *a, const manifest_entry *b);

#endif
