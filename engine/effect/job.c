/*
 * job.c - one execution inside a worker: beginning, end, and what is neither read nor written as a file.
 *
 * An effect that fails still reports its reads: what it looked at decides when trying again makes sense. What an effect ignores
 * (a read that failed) is its own affair, except where the result would be wrong: an output that could not be written, a value
 * that was not taken, memory that ran out make the job fail whatever run() returns.
 *
 *   job.c         new, free, finish, value, log
 *   job_read.c    reads
 *   job_ask.c     parts of members that may not be there
 *   job_list.c    members of long lists, which come when they are looked at
 *   job_record.c  the record of them, and their groups
 *   job_output.c  outputs
 *   job_folder.c  outputs that are folders
 *   job_host.c    the functions of weir_host on top, and job_perform
 *   job_wire.c    orders and reports as bytes
 *
 * Worker processes only, one thread. Memory: all in the job's arena, except what grows.
 */
#include "engine/effect/job.h"

#include <time.h>

#include "engine/effect/job_internal.h"
#include "engine/store/value.h"

static int64_t cpu_us(void)
{
    struct timespec now;
    if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now) != 0) return 0;
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int job_new(job **out, const job_order *order, int rootfd, weir_error *err)
{
    *out = NULL;
    job *j = mem_zero(1, sizeof *j);
    if (!j) return error_nomem(err, "starting a job");
    j->order = order;
    j->rootfd = rootfd;
    j->started_ns = os_monotonic_ns();
    j->started_cpu_us = cpu_us();
    arena_init(&j->arena);
    map_init(&j->by_ref);
    map_init(&j->declared);
    map_init(&j->part_by_name);
    buf_init(&j->part_pending);
    j->part_fd = -1;
    buf_init(&j->log);
    buf_init(&j->value);
    if (job_outs_new(j) != 0) {
        job_free(j);
        return error_nomem(err, "starting a job");
    }
    *out = j;
    return 0;
}

void job_free(job *j)
{
    if (!j) return;
    job_outs_free(j);
    buf_deinit(&j->log);
    buf_deinit(&j->value);
    map_deinit(&j->declared);
    map_deinit(&j->by_ref);
    mem_free(j->needed);
    mem_free(j->reads);
    mem_free(j->seen);
    arena_deinit(&j->arena);
    mem_free(j);
}

const char *job_error(const job *j)
{
    return j->error.message;
}

mem_arena *job_memory(job *j)
{
    return &j->arena;
}

int job_failed(job *j, int code)
{
    return code == WEIR_NOMEM ? job_broken(j, code) : code;
}

int job_broken(job *j, int code)
{
    if (j->is_broken) return code;
    j->is_broken = true;
    const char *why = arena_strdup(&j->arena, j->error.message);
    j->why_broken = why ? why : "out of memory";
    return code;
}

/* --- value, log, impurity ----------------------------------------------------------------------------------------- */

int job_value(job *j, bytes encoded)
{
    if (encoded.size > VALUE_LIMIT)
        return job_broken(j, error_set(&j->error, WEIR_LIMIT, "the value has %zu bytes, at most %d are allowed; write an output",
                                       encoded.size, (int)VALUE_LIMIT));
    int rc = value_check(encoded, &j->error);
    if (rc != 0) return job_broken(j, error_context(&j->error, rc, "the value of the node"));
    buf_clear(&j->value);
    buf_append(&j->value, encoded.data, encoded.size);
    if (j->value.failed) return job_broken(j, error_nomem(&j->error, "keeping the value"));
    j->has_value = true;
    return 0;
}

void job_log(job *j, bytes text)
{
    static const char marker[] = "\n... the log was cut off here: 1 MiB is kept\n";
    if (j->is_log_full) return;
    size_t room = JOB_LOG_LIMIT - sizeof marker - j->log.size;
    j->is_log_full = text.size > room;
    if (text.size) buf_append(&j->log, text.data, j->is_log_full ? room : text.size);
    if (j->is_log_full) buf_append(&j->log, marker, sizeof marker - 1);
}

void job_impure(job *j, const char *what)
{
    if (j->is_impure) return;
    j->is_impure = true;
    j->impure_what = arena_bytes(&j->arena, bytes_str(what));
}

void job_by_chance(job *j)
{
    j->is_by_chance = true;
}

/* --- the end -------------------------------------------------------------------------------------------------------- */

static bytes one_line(job *j, const char *text)
{
    bytes line = arena_bytes(&j->arena, bytes_str(text));
    uint8_t *at = (uint8_t *)(uintptr_t)line.data;
    if (!at) return bytes_str("out of memory");
    while (line.size && (at[line.size - 1] == '\n' || at[line.size - 1] == '\r')) at[--line.size] = '\0';
    for (size_t i = 0; i < line.size; i++)
        if (at[i] == '\n' || at[i] == '\r') at[i] = ' ';
    return line;
}

static void report_value(job *j, job_report *report)
{
    report->has_value = j->has_value;
    if (!j->has_value) return;
    report->value = buf_bytes(&j->value);
    report->value_hash = hash_bytes(j->value.data, j->value.size);
}

/* What an operation of the job ran into (a disk, a list that is shorter than thought) is not all among the reads. */
static bool is_known(const job *j)
{
    return !j->is_by_chance && !j->is_impure && !j->arena.failed && (j->error.code == 0 || j->error.code == WEIR_FAILED);
}

static void report_failure(job *j, const char *why, job_report *report)
{
    job_outs_remove(j);
    report->ok = false;
    report->known = is_known(j);
    report->message = one_line(j, *why ? why : "the effect failed and did not say why");
}

void job_finish(job *j, const char *failure, job_report *report)
{
    *report = (job_report){.id = j->order->id, .ok = true};
    if (!failure && j->is_broken) failure = j->why_broken;
    if (!failure && job_outs_finish(j, report) != 0) failure = j->error.message;
    if (failure) report_failure(j, failure, report);
    else report_value(j, report);

    report->log = j->log.failed ? (bytes){NULL, 0} : buf_bytes(&j->log);
    job_record_finish(j);
    report->reads = j->reads;
    report->read_count = j->read_count;
    report->impure = j->is_impure;
    report->impure_what = j->impure_what;
    report->duration_us = (uint64_t)(os_monotonic_ns() - j->started_ns) / 1000;
    int64_t cpu = cpu_us() - j->started_cpu_us;
    report->cpu_us = cpu > 0 ? (uint64_t)cpu : 0;
}
