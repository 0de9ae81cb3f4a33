/*
 * job_internal.h - what the files of effect/job share: the state of one running job.
 */
#ifndef WEIR_EFFECT_JOB_INTERNAL_H
#define WEIR_EFFECT_JOB_INTERNAL_H

#include "engine/effect/job.h"

enum {
    JOB_COPY_SMALL = 128 * 1024, /* up to this size a copy goes through memory: hashed while it is there */
    JOB_PENDING = 64 * 1024,     /* an output is written in one go when it is not larger */
    JOB_LOG_LIMIT = 1024 * 1024
};

/** What a recorded read gave, beside the record: parallel to `reads`. */
typedef struct job_seen {
    bytes content;
    bool has_content; /* `content` holds (absent: data NULL); else it was only hashed or copied */
    bytes value;      /* canonical encoding behind a value; data NULL: not fetched, or there is none */
    bytes json;       /* of a value or params: the text, once it was asked for (job_ask.c) */
} job_seen;

/** An output being made. */
typedef struct job_out {
    bool begun;          /* something was written to it, be it nothing */
    bool is_file;        /* the temp file is open: fd */
    bool is_external;    /* the effect writes the temp file by itself */
    bool has_mode;
    uint32_t mode;
    int fd;              /* -1: none */
    uint64_t size;       /* bytes so far */
    buf pending;         /* while !is_file */
    hash_stream *stream; /* of what is in the file; 64-byte aligned, in the arena */
} job_out;

/** A file in an output that is a folder. */
typedef struct job_part {
    bytes name;    /* below the folder */
    bytes temp;    /* where it is written */
    size_t output; /* the folder */
    bool is_made, has_mode;
    uint32_t mode;
} job_part;

struct weir_job {
    const job_order *order; /* borrowed */
    int rootfd;             /* borrowed */
    mem_arena arena;        /* contents, messages, the report */
    weir_error error;       /* of the last call that failed */
    bool is_broken;         /* an output, the value or memory failed: the job cannot succeed whatever the effect makes of it */
    const char *why_broken;
    bool is_by_chance;      /* if it fails, another attempt may not */
    const char *failure;    /* what the effect itself said; NULL */

    job_read *reads;
    job_seen *seen;
    size_t read_count, read_capacity, seen_capacity;
    map by_ref;             /* packed ref, or path -> index of the read */
    uint32_t group;
    bool is_group_closed;   /* what was read so far may have decided what is read next */
    map declared;           /* path -> index in places; filled at the first read of a file by path */
    struct job_place *places;
    bool has_declared;
    struct { uint64_t dev, ino; } forbidden[4];
    size_t forbidden_count;
    bool has_forbidden;

    struct job_list *lists; /* parallel to order->inputs; NULL: no member was asked for */
    bool is_list_lost;      /* one did not come: why_broken */
    job_input *needed;      /* ports behind the declared ones: job_need.c */
    size_t needed_count, needed_capacity;
    bool is_needing;        /* an answer is being taken: one group */
    bool is_need_open;      /* and that has begun */
    job_out *outs;          /* parallel to order->outputs */
    job_part *parts;        /* owned: job_folder.c */
    size_t part_count, part_capacity;
    map part_by_name;       /* output and name -> index + 1 */
    size_t open_part;       /* index + 1; its file is part_fd, what is not written yet in part_pending */
    int part_fd;
    buf part_pending;
    buf log;
    bool is_log_full;
    buf value;
    bool has_value;
    bytes impure_what;
    bool is_impure;
    int64_t started_ns, started_cpu_us;
};

/** Write the message of a failed call; returns the code. With `broken` the job cannot succeed any more. */
int job_failed(job *j, int code);
int job_broken(job *j, int code);

/* --- the record (job_record.c) ------------------------------------------------------------------------------------- */

/** A ref to something declared. */
read_ref job_ref(read_aspect aspect, size_t port, size_t member, int sub);
/** NULL when it was not read yet. What is returned here and below is valid until the next record. */
job_seen *job_find_read(const job *j, read_ref ref);
/** Finds a read of something declared (and checks that the hash is still the same), or adds it. NULL with the error set. */
job_seen *job_record(job *j, read_ref ref, uint64_t source, bool source_is_node, hash128 hash, hash128 belief);
/** A file by its path. *seen NULL: not read yet. */
int job_find_found(job *j, bytes path, job_seen **seen);
/** Adds it; `path` is kept. NULL with the error set. */
job_seen *job_record_found(job *j, bytes path, hash128 hash);

/** A needed node, or a name that nothing has. */
job_seen *job_record_needed(job *j, bytes name, uint64_t item, hash128 hash);
/** Takes away what job_record kept of needed nodes beside their one read. */
void job_record_finish(job *j);
/** Is this port one of job_need? */
bool job_is_needed(const job *j, size_t port);
void job_member_put(buf *b, const job_member *m);
void job_member_get(unpack *u, mem_arena *arena, job_member *m);

/* --- shared between reading and copying ------------------------------------------------------------------------------ */

/** A member of a declared list whose order has none; NULL with the error set (job_list.c). */
const job_member *job_list_member(job *j, size_t port, size_t member);
/** As it stands in the list of names: the path of a file member, else the name. */
bytes job_member_name(const job_member *m);
/** Does it stand for files (or for something with a value only)? */
bool job_member_is_file(const job_member *m);
/** Is it a folder, a tree or a link? */
bool job_member_is_tree(const job_member *m);
/** The file that is meant; NULL with the error set when it is not clear which. */
const job_file *job_member_file(job *j, size_t port, const job_member *m, int sub);
/** Open a declared or found file for reading: *fd -1 and type OS_ABSENT when nothing is there. */
int job_open_input(job *j, const char *path, int *fd, os_stat *st);
/** Record what was seen in a declared file, as `fingerprint`. Known already: checks that it is still the same. */
int job_record_file(job *j, size_t port, size_t member, int sub, const job_file *file, hash128 fingerprint);
/** Sets the error "there is no file"; returns its code. */
int job_input_absent(job *j, size_t port, const char *path);
/** The content of a declared file, if it was read before; false: not yet. */
bool job_known_content(const job *j, size_t port, size_t member, bytes *content);
/** A member's text: content of a file, text of a string or bytes value, JSON of all else; unset: data NULL. */
int job_read_text(job *j, size_t port, size_t member, bytes *text);
/** Text of a string or bytes encoding, JSON of all else; in the arena, NUL behind it. */
int job_encoded_text(job *j, bytes encoded, bytes *text);
/** Its JSON text; in the arena, NUL behind it. */
int job_json_text(job *j, bytes encoded, bytes *text);

/* --- outputs (job_output.c): made in job_new, closed in job_free ---------------------------------------------------------- */
int job_outs_new(job *j);
void job_outs_free(job *j);
/** Bring all to disk, hash, check. Fills report->written. */
int job_outs_finish(job *j, job_report *report);
/** Take away what a failed job wrote. */
void job_outs_remove(job *j);
/** Append what `fd` holds (a regular file of `size` bytes at offset 0); *content: the hash of what was copied. */
int job_out_append_fd(job *j, size_t output, int fd, const char *name, uint64_t size, hash128 *content);

/* --- outputs that are folders (job_folder.c) ------------------------------------------------------------------------------ */
bool job_out_is_folder(const job *j, size_t output);
/** Is this the number of a part, as job_part_named gives it? */
bool job_is_part(const job *j, size_t number);
/** Sets the error that a folder was taken for a file; returns its code. */
int job_is_folder_error(job *j, size_t output);
int job_folder_temp(job *j, size_t output, bytes *path);
int job_part_write(job *j, size_t number, bytes content);
int job_part_temp(job *j, size_t number, bytes *path);
void job_part_mode(job *j, size_t number, uint32_t mode);
/** All parts are on disk, with their modes. */
int job_parts_finish(job *j);
/** The engine will look at it: only port and mode are filled in. */
int job_folder_finish(job *j, size_t output, job_written *w);
void job_parts_free(job *j);

#endif
