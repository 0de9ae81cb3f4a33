/*
 * scan.h - what is on disk: signatures, fingerprints, globs.
 *
 * A signature (dev, ino, size, mtime, ctime, mode) only decides whether to read a file again; content decides everything else. An entry
 * whose mtime or ctime lies within scan_window_ns of the file system's clock at the observation is racy: read once more by a later
 * scan. Fingerprint of a regular file: hash of its content; with any execute bit: hash of "weir x" and that; a link that
 * is not followed does not occur (links are followed; a dangling one is absent); a folder: hash of "weir dir"; absent:
 * HASH_ABSENT; what cannot be an input (FIFOs, sockets, devices, no permission, a file of the state) is the error WEIR_WORKFLOW that
 * names it, and HASH_UNREADABLE.
 *
 * Never opens a file of the state folder (P10): before reading, (dev, ino) is compared with a list. The functions here are
 * synchronous and thread-safe over disjoint requests; scan_pool spreads them over libuv's pool.
 */
#ifndef WEIR_WORLD_SCAN_H
#define WEIR_WORLD_SCAN_H

#include <stdatomic.h>
#include <uv.h>

#include "engine/store/blob.h"

enum { SCAN_RACY_NS = 10 * 1000 * 1000 }; /* a tick of the clock that files are stamped with */

typedef struct scan_sig {
    uint64_t dev, ino;
    int64_t size, mtime_ns, ctime_ns;
    uint32_t mode; /* file type and permission bits as in st_mode; 0: absent */
} scan_sig;

typedef struct scan_entry {
    uint64_t item;
    bytes name;    /* below the folder, one component */
    scan_sig sig;
    hash128 hash;  /* fingerprint that belongs to the signature */
    bool racy;     /* must be read again although the signature is the same */
} scan_entry;

/** Packed form of one folder's entries, for the cache. Sorted by name. */
void scan_pack(buf *b, const scan_entry *entries, size_t count);
int scan_unpack(bytes packed, mem_arena *arena, scan_entry **entries, size_t *count, weir_error *err);

/** Files that must never be opened, by identity. */
typedef struct scan_forbidden {
    struct { uint64_t dev, ino; } file[16];
    size_t count;
} scan_forbidden;

typedef struct scan_config {
    int rootfd;                /* of the project root */
    blob_store *blobs;         /* for SCAN_KEEP; may be NULL */
    const scan_forbidden *forbidden;
    bool distrust;             /* signatures of another boot or place: read everything */
    int64_t distrust_from_ns;  /* not 0: read what was written at or after this time, whatever its signature says */
    const atomic_int *stop;    /* not zero: scan_check_folders gives up (a signal handler may set it); NULL: never */
} scan_config;

enum scan_flags {
    SCAN_KEEP = 1,   /* put the content into the store */
    SCAN_RENAMED = 2, /* weir itself has just renamed it into place: racy only where stamps are coarse */
    SCAN_LIST = 4     /* of a folder as a whole (manifest.h): its list into the store, its files not */
};

/** One path to look at. Fields from `sig` on are filled in. */
typedef struct scan_request {
    uint64_t item;
    bytes path;      /* below the root, or absolute; NUL behind it */
    int flags;
    bool known;      /* known_sig and known_hash hold: read again only if they differ or are racy */
    scan_sig known_sig;
    hash128 known_hash;
    bool known_racy;
    /* out */
    scan_sig sig;
    hash128 hash;    /* fingerprint; HASH_ABSENT */
    uint64_t size;
    uint32_t mode;   /* permission bits */
    os_type type;
    bool racy, read; /* read: the content was hashed */
    bool forbidden;  /* a file of weir's own state; then code is WEIR_WORKFLOW */
    blob_row row;    /* SCAN_KEEP and small: taken by the caller; only if it was read */
    blob_row *rows;  /* of the small files of a folder as a whole, the same; scan_drop_rows */
    size_t row_count;
    hash128 content; /* plain content hash, without the execute bit: the blob's name; HASH_NONE for one with
                        an execute bit that was not read */
    int code;        /* 0 or a WEIR_ code; then `message` */
    char message[200];
} scan_request;

/** How long after a stamp another write may get the same one: a tick, and as much as the file system cuts off (see scan.c). */
int64_t scan_window_ns(int64_t stamp_ns);

/** weir has put this file in place just now: may somebody change it from now on without another stamp? Only where stamps are coarse. */
bool scan_is_coarse(const scan_sig *sig);

/** Free what SCAN_KEEP brought and nobody took. */
void scan_drop_rows(scan_request *request);

/** Look at one path. Replaced while it was read: tried again, 10 times within some milliseconds, then WEIR_BUSY and HASH_UNREADABLE. */
void scan_one(const scan_config *config, scan_request *request);

/** Open what a look has just seen, for reading. WEIR_BUSY: it is another file by now; WEIR_WORKFLOW: one that may not be read. */
int scan_open_seen(const scan_config *config, scan_request *request, int *fd, weir_error *err);

/** One folder's cached entries to check. */
typedef struct scan_folder {
    bytes folder; /* "" is the root; NUL behind it */
    bytes packed;
    /* out, in the folder's own arena: */
    scan_request *changed; /* entries whose signature differs, or that were racy, already read again */
    size_t changed_count;
    uint64_t checked;      /* entries stat'ed */
    bool repack;           /* some entry differs from its packed form: write the cache row again */
    scan_entry *entries;   /* all entries with their new signatures; NULL when nothing moved */
    size_t entry_count;
    mem_arena arena;
    int code;
    char message[200];
} scan_folder;

/** Check all entries of a folder against the disk, with one dirfd. Begins with an empty arena; the caller ends it. */
void scan_check_folder(const scan_config *config, scan_folder *folder);

/** Spread over the pool; `done` is called on the loop thread once all are looked at. Requests are borrowed until then. */
typedef struct scan_job scan_job;
int scan_submit(uv_loop_t *loop, const scan_config *config, scan_request *requests, size_t count,
                void (*done)(void *ctx), void *ctx, weir_error *err);
/** The same for folders, and waits (runs no loop): for the start of a run. */
int scan_check_folders(uv_loop_t *loop, const scan_config *config, scan_folder *folders, size_t count, weir_error *err);
/** Requests looked at by several threads; waits. */
int scan_wait(uv_loop_t *loop, const scan_config *config, scan_request *requests, size_t count, weir_error *err);

typedef struct scan_counts {
    uint64_t stats, hashed, hashed_bytes;
} scan_counts;
scan_counts scan_stats(void); /* of this process; atomic */

/** Fingerprint of content with a mode, as above. */
hash128 scan_fingerprint(hash128 content, uint32_t mode);

/* --- globs ------------------------------------------------------------------------------------------------------ */

/**
 * Evaluate a pattern: *, ?, [a-z], [!a-z], ** (any folders; does not follow links), {a,b}. Dot files only where the pattern has the dot.
 * Returns files (not folders) below the root, sorted by bytes, without those for which `skip` (may be NULL) says true.
 * @param folders  out (may be NULL): packed signatures of every folder looked into, for scan_glob_same
 */
int scan_glob(const scan_config *config, const char *pattern, bool (*skip)(void *ctx, const char *path), void *ctx,
              mem_arena *arena, const char ***paths, size_t *count, buf *folders, weir_error *err);
/** Are all folders as they were? Then the names are the same. */
bool scan_glob_same(const scan_config *config, bytes folders);
/** Every folder in what scan_glob packed; borrowed during the call. */
void scan_glob_folders(bytes folders, void (*folder)(void *ctx, bytes path), void *ctx);
/** Hash of the sorted names. */
hash128 scan_names_hash(const char *const *paths, size_t count);
/** The fixed part of a pattern: "content/" of content/<star><star>/<star>.md; length. */
size_t scan_glob_fixed(const char *pattern);
/** WEIR_WORKFLOW with the cause when the pattern is malformed, absolute or leaves the root. */
int scan_glob_check(const char *pattern, weir_error *err);
/** Does one path match? */
bool scan_glob_match(const char *pattern, const char *path);

/* --- folders as wholes ------------------------------------------------------------------------------------------- */

typedef struct scan_tree_entry {
    bytes path; /* from the root of the project */
    os_type type;
    scan_sig sig;
    hash128 hash; /* file: fingerprint; link: of its text; else none */
    bool racy;
} scan_tree_entry;

/** A folder to look at. Begins zeroed but for the first four; scan_tree_deinit. */
typedef struct scan_tree {
    const char *folder; /* below the root; borrowed */
    bool deep;          /* everything below with its content; else only the names in it */
    bool (*skip)(void *ctx, const char *path, os_type type); /* what is not seen; NULL: nothing is left out */
    bool (*is_doubtful)(void *ctx, bytes path); /* is a file to be read whatever its signature says? NULL: none */
    void *ctx;
    /* out */
    bool is_there;      /* as a folder */
    bool is_closed;     /* there is a folder that cannot be opened; the error names it */
    hash128 hash;       /* tree.c; HASH_ABSENT */
    buf names;          /* encoding of a list: paths below the folder, sorted; a folder's ends with a slash */
    buf record;         /* for scan_tree_same and the next look; empty when absent */
    buf folders;        /* of the walk */
} scan_tree;

/**
 * Look; `before` is an earlier record or empty: files whose signatures are in it are not read. Reads with several threads; waits.
 * WEIR_WORKFLOW: a folder cannot be opened (is_closed), or a file is one of weir's own; the message names it.
 */
int scan_tree_look(const scan_config *config, scan_tree *tree, bytes before, weir_error *err);
/** Has nothing moved? Then the hash is the same. Opens each folder once and stats its entries. */
bool scan_tree_same(const scan_config *config, bytes record);
/** Every folder in a record; borrowed during the call. */
void scan_tree_folders(bytes record, void (*folder)(void *ctx, bytes path), void *ctx);
/** The names of a record, as in scan_tree; appended. */
int scan_tree_names(const char *folder, bytes record, buf *names, weir_error *err);
void scan_tree_deinit(scan_tree *tree);

/* --- paths and tools --------------------------------------------------------------------------------------------- */

/** Normalise a path below the root: no ".", "..", "//"; WEIR_WORKFLOW when it leaves the root, is empty or has a NUL. */
int scan_normalise(bytes path, buf *to, weir_error *err);
/** Does a path stay inside when its links are resolved (openat2 RESOLVE_BENEATH, with a fallback)? *real: its resolved form. Absent tails are fine. */
int scan_inside(int rootfd, const char *path, buf *real, weir_error *err);
/** Resolve a program: a name by PATH, a path as it is. Absolute result with links kept. WEIR_NOTFOUND names the PATH. */
int scan_tool(const char *name, const char *path_variable, int rootfd, buf *to, weir_error *err);

#endif
