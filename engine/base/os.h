/*
 * os.h - everything weir asks of the operating system: files, time, random, threads, locks.
 *
 * The seam where tests inject faults: every call first asks the fault table (os_fault_*), and a named point can end the process
 * (WEIR_KILL_AT=name:n in the environment, for crash tests). Paths are bytes with a NUL; functions ending in `at` take a
 * folder descriptor. Errors name the operation, the path and the cause. Any thread.
 */
#ifndef WEIR_BASE_OS_H
#define WEIR_BASE_OS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "engine/base/error.h"
#include "engine/base/memory.h"

/* --- files ---------------------------------------------------------------------------------------------------- */

typedef enum os_type { OS_ABSENT, OS_FILE, OS_DIR, OS_LINK, OS_OTHER } os_type;

typedef struct os_stat {
    os_type type;
    uint32_t mode; /* permission bits, 07777 */
    uint64_t dev, ino, nlink;
    int64_t size; /* bytes */
    int64_t mtime_ns, ctime_ns;
} os_stat;

/** Open flags of os_openat. */
enum { OS_READ = 1, OS_WRITE = 2, OS_CREATE = 4, OS_EXCL = 8, OS_TRUNC = 16, OS_NOFOLLOW = 32, OS_FOLDER = 64, OS_APPEND = 128 };

/** Close-on-exec always. @return descriptor >= 0, or a negative WEIR_ code (WEIR_NOTFOUND for ENOENT/ENOTDIR). */
int os_openat(int dirfd, const char *path, int flags, uint32_t mode, weir_error *err);
void os_close(int fd); /* -1 is ignored */

/** Absent is not an error: 0 with type OS_ABSENT (ENOENT, ENOTDIR). `follow`: look behind a final link; a dangling one is absent. */
int os_statat(int dirfd, const char *path, bool follow, os_stat *out, weir_error *err);
int os_fstat(int fd, os_stat *out, weir_error *err);

/** Read up to `size` bytes; @return count, 0 at the end, or a negative code. Retries EINTR. */
ssize_t os_read(int fd, void *to, size_t size, const char *name, weir_error *err);
/** Write all of it; short writes go on. */
int os_write_all(int fd, const void *from, size_t size, const char *name, weir_error *err);
int os_fsync(int fd, const char *name, weir_error *err);
/** Whole file into `to` (appended). WEIR_LIMIT above `limit_bytes`. */
int os_read_file(int dirfd, const char *path, size_t limit_bytes, buf *to, weir_error *err);
/** Create or replace with exactly these bytes (not atomic, not synced). */
int os_write_file(int dirfd, const char *path, bytes content, uint32_t mode, weir_error *err);
/** Copy content by copy_file_range where possible; both descriptors at their current offsets. */
int os_copy_fd(int from, int to, const char *name, weir_error *err);

int os_renameat(int fromfd, const char *from, int tofd, const char *to, weir_error *err);
/** Absent is not an error. */
int os_unlinkat(int dirfd, const char *path, weir_error *err);
/** 0 also if not empty or absent; *removed says whether it went. */
int os_rmdirat(int dirfd, const char *path, bool *removed, weir_error *err);
int os_mkdirat(int dirfd, const char *path, uint32_t mode, weir_error *err); /* exists: 0 */
/** Make all folders on the way to `path` (the last component excluded); calls `made` for each new one, in order. */
int os_make_parents(int dirfd, const char *path, void (*made)(void *ctx, const char *folder), void *ctx, weir_error *err);
/** Remove a file or a whole tree; absent is not an error. Does not follow links. */
int os_remove_tree(int dirfd, const char *path, weir_error *err);
int os_chmodat(int dirfd, const char *path, uint32_t mode, weir_error *err);
int os_readlinkat(int dirfd, const char *path, buf *to, weir_error *err);
int os_symlinkat(const char *target, int dirfd, const char *path, weir_error *err);
/** Absolute, links resolved; owned, mem_free. */
int os_realpath(const char *path, char **out, weir_error *err);

/** List a folder: names except . and .., sorted by bytes, allocated in `arena`. */
typedef struct os_entry {
    const char *name;
    os_type type; /* OS_OTHER with type unknown never: it is looked up */
} os_entry;
int os_list(int dirfd, const char *path, mem_arena *arena, os_entry **entries, size_t *count, weir_error *err);

/** Exclusive flock without waiting; WEIR_LOCKED when somebody holds it. The lock lives as long as the descriptor. */
int os_lock(int fd, const char *name, weir_error *err);

/* --- sockets ---------------------------------------------------------------------------------------------------- */

/* Stream sockets by name in a folder, however long its path is. Non-blocking and close-on-exec; none of these calls waits. */

/** Listen at `name`, mode 0600; what lay there is removed first. @return descriptor, or a negative code. */
int os_socket_listen(int dirfd, const char *name, weir_error *err);
/** @return descriptor; WEIR_NOTFOUND when nobody listens there (also: left behind), WEIR_BUSY when too many wait already */
int os_socket_connect(int dirfd, const char *name, weir_error *err);
/** @return descriptor; WEIR_NOTFOUND when nobody waits */
int os_socket_accept(int fd, weir_error *err);
/** User and process at the other end, as the kernel saw them connect (or listen). */
int os_socket_peer(int fd, int64_t *uid, int64_t *pid, weir_error *err);
/** What fits now. @return count (0: nothing fits), or a negative code: the other end is gone */
ssize_t os_socket_send(int fd, const void *from, size_t size, weir_error *err);
/** What is there now. @return count, 0: nothing yet, or *ended; or a negative code */
ssize_t os_socket_receive(int fd, void *to, size_t size, bool *ended, weir_error *err);

/* --- time, random, identity ------------------------------------------------------------------------------------ */

int64_t os_wall_us(void);      /* since 1970, UTC; for people, never compared for correctness */
int64_t os_monotonic_ns(void); /* for durations and deadlines */
void os_sleep_ms(int64_t milliseconds);
/** "2026-11-21T03:04:05Z" */
void os_wall_text(int64_t wall_us, char text[40]);
int os_random(void *to, size_t size, weir_error *err);
/** The kernel's boot id, 36 characters and a NUL; "" where there is none. */
void os_boot_id(char id[40]);
/** Start time of a process in clock ticks since boot (field 22 of /proc/PID/stat); 0 if there is no such process. */
uint64_t os_process_start(int64_t pid);
/** Its state as /proc/PID/stat has it ('R', 'S', 'T': stopped, 'Z': dead ...); '\0' if there is no such process. */
char os_process_state(int64_t pid);
int os_cpu_count(void);
/** Bytes that can be taken without swapping: what the system has free, or what is left to our control group; a GiB if neither says. */
int64_t os_free_memory(void);
/** How many descriptors this process may have; as many as it can have, once raised (commands get the limit that was there before). */
uint64_t os_files_limit(void);
void os_files_raise(void);
/** The limit for what we start: the one that was there before it was raised; 0: it was not. */
uint64_t os_files_before(void);
/** Bytes of address space that this process may have (ulimit -v); UINT64_MAX: no limit. */
uint64_t os_address_limit(void);
/** Descriptors that are open now. */
size_t os_files_open(void);
/** Peak resident memory of this process, bytes. */
int64_t os_peak_memory(void);
/** What was freed goes back to the system, as far as it can; for a process that stays. */
void os_give_back_memory(void);
/**
 * May what fails now fail because something is short? Less than a MiB (or no file more) is free behind this descriptor or where temporary
 * files go, or this process and its children are held to some memory, processor time or file size, or to few open files or processes.
 * Unknown: false.
 */
bool os_is_short(int fd);
/** "ext4", "nfs", ... by statfs magic number; *network true for NFS, CIFS, 9p, FUSE-ssh. */
void os_filesystem(const char *path, char name[16], bool *network);

/* --- threads --------------------------------------------------------------------------------------------------- */

typedef struct os_thread os_thread;
typedef struct os_mutex os_mutex;
typedef struct os_cond os_cond;
int os_thread_start(os_thread **out, void (*body)(void *ctx), void *ctx, weir_error *err);
void os_thread_join(os_thread *thread); /* frees it; NULL is ignored */
os_mutex *os_mutex_new(void);
void os_mutex_free(os_mutex *m);
void os_mutex_lock(os_mutex *m);
void os_mutex_unlock(os_mutex *m);
os_cond *os_cond_new(void);
void os_cond_free(os_cond *c);
void os_cond_wait(os_cond *c, os_mutex *m);
void os_cond_signal(os_cond *c); /* wakes all */

/* --- faults (tests) -------------------------------------------------------------------------------------------- */

typedef enum os_op {
    OS_OP_OPEN, OS_OP_STAT, OS_OP_READ, OS_OP_WRITE, OS_OP_FSYNC, OS_OP_RENAME, OS_OP_UNLINK, OS_OP_MKDIR,
    OS_OP_LIST, OS_OP_CHMOD, OS_OP_LINK, OS_OP_SPAWN, OS_OP_RANDOM, OS_OP_WATCH, OS_OP_PROBE, OS_OP_COUNT
} os_op;
/** The `countdown`-th call of `op` from now fails with `errnum` (and all later ones if sticky). countdown 0 switches off. */
void os_fault_set(os_op op, int64_t countdown, int errnum, bool sticky);
/** errno value that this call must fail with, or 0. Modules that make system calls of their own (spawn) ask too. */
int os_fault_check(os_op op);
/** Calls made so far, for --stats. */
uint64_t os_count(os_op op);
/** A named place where a crash test may end the process with SIGKILL: WEIR_KILL_AT=name:n kills at the n-th pass. */
void os_kill_point(const char *name);

#endif
