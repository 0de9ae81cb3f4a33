/*
 * watch_internal.h - what the files of a watch share.
 *
 *   watch.c         folders, the kernel's events             watch_cookie.c  questions that wait until everything before was seen
 *   watch_notes.c   what is suspicious until it is taken     watch_probe.c   does a file system send events at all?
 */
#ifndef WEIR_WORLD_WATCH_INTERNAL_H
#define WEIR_WORLD_WATCH_INTERNAL_H

#include <sys/inotify.h>

#include "engine/world/watch.h"

typedef struct entry {
    char *folder;
    int wd;           /* -1: polled */
    uint32_t next;    /* another path of the same folder (through a link), or the next unused entry: index + 1; 0: none */
    uint32_t sweep;   /* round in which it was last asked for */
    bool is_used;
} entry;

typedef struct note {
    char *folder;
    bool whole, listing;
    map names; /* name -> note_word */
} note;

typedef struct barrier {
    void (*seen)(void *ctx);
    void *ctx;
    uint64_t number;
    struct barrier *next;
} barrier;

struct watch {
    uv_loop_t *loop;
    char *root;
    void (*ripe)(void *ctx);
    bool (*is_relied_on)(void *ctx, const char *folder, const char *name);
    void *ctx;
    int fd; /* -1: everything is polled */
    uv_poll_t poll;
    uv_timer_t timer, poller, cookie_timer;
    int handles; /* open ones */
    bool told, all, freed;
    entry *entries;
    size_t entry_count, entry_capacity;
    uint32_t unused; /* first of the unused entries: index + 1; 0: none */
    map by_path, by_wd; /* -> index + 1 */
    uint32_t sweep;
    note *notes;
    size_t note_count, note_capacity;
    map by_folder; /* note index + 1 */
    size_t names, waiting, wholes; /* names noted, those of them that are being written, folders as a whole */
    size_t gone;      /* names that somebody relies on and that went away */
    uint64_t hold_ms; /* while there are any: until when everything waits for them */
    struct device { uint64_t dev; bool has_events; } *devices;
    size_t device_count, device_capacity;
    int cookie_wd; /* -1: none */
    uint64_t cookie;
    barrier *first, *last;
    watch_counts counts;
};

uint64_t watch_now_ms(void);
/** Tell the owner, or set the clock for what is waited for. */
void watch_consider(watch *w);

/* --- watch_notes.c --- */
#define NOTE_AS_BEFORE UINT64_MAX
enum note_flags { NOTE_WRITTEN = 1, NOTE_LISTING = 2, NOTE_FOLDER = 4, NOTE_GONE = 8 };
/** until: in monotonic ms, how long it is waited for what belongs to this; 0: it is complete. No memory: everything is suspicious. */
void note_name(watch *w, const char *folder, const char *name, unsigned flags, uint64_t until);
/** The file went away. */
void note_gone(watch *w, const char *folder, const char *name);
void note_whole(watch *w, const char *folder);
void notes_clear(watch *w);
/** Is there something that is not waited for (any more)? Else *soonest: when there will be; UINT64_MAX: there is nothing. */
bool notes_are_ready(const watch *w, uint64_t now, uint64_t *soonest);

/* --- watch_cookie.c --- */
/** An event in the folder of cookies. */
void cookie_event(watch *w, const struct inotify_event *e);
/** The kernel dropped events: everything is suspicious, which is as good as having seen it. */
void cookie_overflow(watch *w);
void cookies_free(watch *w);
void cookie_on_timer(uv_timer_t *timer);

/* --- watch_probe.c --- */
/** Does the file system that this folder is on send events? Asked once for each. */
bool probe_has_events(watch *w, const char *path);

#endif
