/*
 * job_output.c - what an effect writes.
 *
 * Outputs go to temp files that the engine has named; it renames them into place. A small output stays in memory and is written
 * and hashed in one go at the end; a larger one is hashed as it passes. A copy of a small file passes through memory. A large
 * one is copied by the kernel (shared extents where the file system can), and what arrived is hashed in the private temp
 * file: so the hash recorded for the input is of the bytes that were really copied, whatever happened to it meanwhile.
 *
 * O1  `stream` has seen exactly the bytes 0..size of the file, and the descriptor stands at `size`.
 * O2  An output that could not be written fails the job, even if the effect ignores the error.
 *
 * Worker processes only, one thread.
 */
#include <errno.h>
#include <unistd.h>

#include "engine/effect/job_internal.h"
#include "engine/store/blob.h"
#include "engine/world/scan.h"

enum { CHUNK = 64 * 1024, DEFAULT_MODE = 0644, STREAM_ALIGN = 64 };

/* --- life --------------------------------------------------------------------------------------------------------- */

int job_outs_new(job *j)
{
    size_t count = j->order->output_count;
    j->outs = arena_zero(&j->arena, count + 1, sizeof *j->outs);
    if (!j->outs) return WEIR_NOMEM;
    for (size_t i = 0; i < count; i++) {
        j->outs[i].fd = -1;
        buf_init(&j->outs[i].pending);
    }
    return 0;
}

void job_outs_free(job *j)
{
    job_parts_free(j);
    for (size_t i = 0; j->outs && i < j->order->output_count; i++) {
        os_close(j->outs[i].fd);
        buf_deinit(&j->outs[i].pending);
    }
}

static const char *temp_of(const job *j, size_t output)
{
    return (const char *)j->order->outputs[output].temp.data;
}

void job_outs_remove(job *j)
{
    for (size_t i = 0; i < j->order->output_count; i++) {
        os_close(j->outs[i].fd);
        j->outs[i].fd = -1;
        if (job_out_is_folder(j, i)) (void)os_remove_tree(j->rootfd, temp_of(j, i), NULL);
        else if (j->outs[i].is_file || j->outs[i].is_external) (void)os_unlinkat(j->rootfd, temp_of(j, i), NULL);
    }
}

static const char *port_of(const job *j, size_t output)
{
    return (const char *)j->order->outputs[output].port.data;
}

static int output_failed(job *j, size_t output, int code)
{
    return job_broken(j, error_context(&j->error, code, "output \"%s\"", port_of(j, output)));
}

/* --- writing ------------------------------------------------------------------------------------------------------ */

/* The output, ready to be appended to; NULL with the error set. */
static job_out *begin(job *j, size_t output)
{
    if (output >= j->order->output_count) {
        (void)error_set(&j->error, WEIR_USAGE, "there is no output number %zu", output);
        return NULL;
    }
    job_out *out = &j->outs[output];
    if (job_out_is_folder(j, output)) {
        (void)job_is_folder_error(j, output);
        return NULL;
    }
    if (out->is_external) {
        (void)job_broken(j, error_set(&j->error, WEIR_USAGE, "output \"%s\": its temp file was handed out, write to that",
                                      port_of(j, output)));
        return NULL;
    }
    out->begun = true;
    return out;
}

static hash_stream *new_stream(job *j)
{
    uint8_t *space = arena_alloc(&j->arena, sizeof(hash_stream) + STREAM_ALIGN);
    if (!space) return NULL;
    size_t over = (uintptr_t)space % STREAM_ALIGN;
    return (hash_stream *)(void *)(space + (over ? STREAM_ALIGN - over : 0));
}

static uint32_t mode_of(const job_out *out)
{
    return out->has_mode ? out->mode : DEFAULT_MODE;
}

static int create(job *j, size_t output)
{
    job_out *out = &j->outs[output];
    int flags = OS_READ | OS_WRITE | OS_CREATE | OS_TRUNC | OS_NOFOLLOW;
    int fd = os_openat(j->rootfd, temp_of(j, output), flags, mode_of(out) | 0600, &j->error);
    if (fd < 0) return fd;
    out->fd = fd;
    out->is_file = true;
    return 0;
}

static int write_through(job *j, size_t output, bytes content)
{
    job_out *out = &j->outs[output];
    int rc = content.size ? os_write_all(out->fd, content.data, content.size, temp_of(j, output), &j->error) : 0;
    if (rc == 0 && content.size) hash_update(out->stream, content.data, content.size);
    if (rc == 0) out->size += content.size;
    return rc;
}

/* From memory to the file: more is coming. */
static int spill(job *j, size_t output)
{
    job_out *out = &j->outs[output];
    if (out->is_file) return 0;
    out->stream = new_stream(j);
    if (!out->stream) return error_nomem(&j->error, "writing an output");
    hash_begin(out->stream);
    int rc = create(j, output);
    if (rc == 0) rc = write_through(j, output, buf_bytes(&out->pending));
    buf_deinit(&out->pending);
    buf_init(&out->pending);
    return rc;
}

static int append(job *j, size_t output, bytes content)
{
    job_out *out = &j->outs[output];
    if (!out->is_file && content.size <= JOB_PENDING - out->pending.size) {
        if (content.size) buf_append(&out->pending, content.data, content.size);
        return out->pending.failed ? error_nomem(&j->error, "writing an output") : 0;
    }
    int rc = spill(j, output);
    return rc == 0 ? write_through(j, output, content) : rc;
}

int job_write(job *j, size_t output, bytes content)
{
    if (job_is_part(j, output)) return job_part_write(j, output, content);
    if (!begin(j, output)) return j->error.code;
    int rc = append(j, output, content);
    return rc == 0 ? 0 : output_failed(j, output, rc);
}

int job_temp(job *j, size_t output, bytes *path)
{
    if (job_is_part(j, output)) return job_part_temp(j, output, path);
    if (output >= j->order->output_count) return error_set(&j->error, WEIR_USAGE, "there is no output number %zu", output);
    if (job_out_is_folder(j, output)) return job_folder_temp(j, output, path);
    job_out *out = &j->outs[output];
    *path = j->order->outputs[output].temp;
    if (out->is_external) return 0;
    if (out->begun)
        return job_broken(j, error_set(&j->error, WEIR_USAGE, "output \"%s\": was written to already, its temp file cannot be handed out",
                                       port_of(j, output)));
    out->begun = out->is_external = true;
    int rc = os_unlinkat(j->rootfd, temp_of(j, output), &j->error);
    return rc == 0 ? 0 : output_failed(j, output, rc);
}

void job_mode(job *j, size_t output, uint32_t mode)
{
    if (job_is_part(j, output)) job_part_mode(j, output, mode);
    if (output >= j->order->output_count) return;
    j->outs[output].has_mode = true;
    j->outs[output].mode = mode & 0777u; /* never set-user-id and its like */
}

/* --- copying ------------------------------------------------------------------------------------------------------ */

static int copy_through_memory(job *j, size_t output, int fd, const char *name, hash128 *content)
{
    hash_stream stream;
    ssize_t got = 1;
    int rc = 0;
    uint8_t *chunk = mem_alloc(CHUNK);
    if (!chunk) return error_nomem(&j->error, "copying a file");
    hash_begin(&stream);
    while (rc == 0 && got > 0) {
        got = os_read(fd, chunk, CHUNK, name, &j->error);
        if (got > 0) hash_update(&stream, chunk, (size_t)got);
        if (got > 0) rc = append(j, output, bytes_of(chunk, (size_t)got));
    }
    mem_free(chunk);
    *content = hash_end(&stream);
    return got < 0 ? (int)got : rc;
}

/* Hash what arrived in the temp file behind `size`, up to its end. */
static int hash_arrived(job *j, size_t output, hash128 *content)
{
    job_out *out = &j->outs[output];
    const char *name = temp_of(j, output);
    hash_stream stream;
    ssize_t got = 1;
    if (lseek(out->fd, (off_t)out->size, SEEK_SET) < 0) return error_errno(&j->error, errno, "cannot seek in %s", name);
    uint8_t *chunk = mem_alloc(CHUNK);
    if (!chunk) return error_nomem(&j->error, "copying a file");
    hash_begin(&stream);
    while (got > 0) {
        got = os_read(out->fd, chunk, CHUNK, name, &j->error);
        if (got <= 0) continue;
        hash_update(&stream, chunk, (size_t)got);
        hash_update(out->stream, chunk, (size_t)got);
        out->size += (uint64_t)got;
    }
    mem_free(chunk);
    *content = hash_end(&stream);
    return (int)got;
}

int job_out_append_fd(job *j, size_t output, int fd, const char *name, uint64_t size, hash128 *content)
{
    int rc = 0;
    if (size <= JOB_COPY_SMALL) return copy_through_memory(j, output, fd, name, content);
    rc = spill(j, output);
    if (rc == 0) rc = os_copy_fd(fd, j->outs[output].fd, name, &j->error);
    return rc == 0 ? hash_arrived(j, output, content) : rc;
}

static int copy_file(job *j, size_t output, size_t port, size_t member, const job_file *file)
{
    const char *path = (const char *)file->path.data;
    os_stat st;
    int fd;
    hash128 content = HASH_NONE, fingerprint = HASH_ABSENT;
    int rc = job_open_input(j, path, &fd, &st);
    if (rc == 0 && fd >= 0) {
        rc = job_out_append_fd(j, output, fd, path, (uint64_t)st.size, &content);
        fingerprint = scan_fingerprint(content, st.mode);
    } else if (rc == 0 && st.type == OS_DIR) {
        fingerprint = hash_bytes("weir dir", 8);
    }
    os_close(fd);
    if (rc != 0) return output_failed(j, output, rc);
    rc = job_record_file(j, port, member, -1, file, fingerprint);
    if (rc == 0 && st.type == OS_ABSENT) rc = job_broken(j, job_input_absent(j, port, path));
    if (rc == 0 && st.type == OS_DIR)
        rc = job_broken(j, error_set(&j->error, WEIR_IO, "cannot copy %s: it is a folder", path));
    return rc;
}

int job_copy(job *j, size_t output, size_t port, size_t member)
{
    bytes content;
    const job_member *m = job_member_at(j, port, member);
    if (!m) return j->error.code;
    if (!job_member_is_file(m)) { /* a value: what it says */
        int rc = job_read_text(j, port, member, &content);
        return rc == 0 ? job_write(j, output, content) : rc;
    }
    const job_file *file = job_member_file(j, port, m, -1);
    if (job_is_part(j, output) || job_member_folder(m, -1)) {
        int rc = job_read_content(j, port, member, -1, &content);
        return rc == 0 ? job_write(j, output, content) : rc;
    }
    if (!file || !begin(j, output)) return j->error.code;
    if (!job_known_content(j, port, member, &content)) return copy_file(j, output, port, member, file);
    return job_write(j, output, content);
}

/* --- the end ------------------------------------------------------------------------------------------------------ */

static int flush(job *j, size_t output, job_written *w)
{
    job_out *out = &j->outs[output];
    if (out->is_file) {
        w->content = hash_end(out->stream);
        w->size = out->size;
        return 0;
    }
    bytes content = buf_bytes(&out->pending);
    w->content = hash_bytes(content.data, content.size);
    w->size = content.size;
    w->is_inline = j->order->keep && content.size <= BLOB_INLINE;
    if (w->is_inline) w->inlined = content;
    int rc = create(j, output);
    if (rc == 0 && content.size) rc = os_write_all(out->fd, content.data, content.size, temp_of(j, output), &j->error);
    return rc;
}

/* What the effect left in the temp file by other means. */
static int collect(job *j, size_t output, job_written *w)
{
    job_out *out = &j->outs[output];
    const char *name = temp_of(j, output);
    os_stat st;
    int rc = os_statat(j->rootfd, name, false, &st, &j->error);
    if (rc == 0 && st.type == OS_ABSENT) rc = error_set(&j->error, WEIR_FAILED, "was not written (%s)", name);
    if (rc == 0 && st.type != OS_FILE) rc = error_set(&j->error, WEIR_FAILED, "is no regular file (%s)", name);
    if (rc != 0) return rc;
    int fd = os_openat(j->rootfd, name, OS_READ | OS_NOFOLLOW, 0, &j->error);
    if (fd < 0) return fd;
    out->fd = fd;
    if (!out->has_mode && (st.mode & 0111u)) job_mode(j, output, 0755);

    out->stream = new_stream(j);
    if (!out->stream) return error_nomem(&j->error, "hashing an output");
    hash_begin(out->stream);
    rc = hash_arrived(j, output, &w->content);
    w->size = out->size;
    if (rc != 0 || !j->order->keep || out->size > BLOB_INLINE) return rc;
    rc = os_read_file(j->rootfd, name, BLOB_INLINE, &out->pending, &j->error);
    w->inlined = buf_bytes(&out->pending);
    w->is_inline = rc == 0 && hash_equal(hash_bytes(w->inlined.data, w->inlined.size), w->content);
    return rc;
}

/* Mode as promised, whatever the umask is; then the descriptor is done. Some file systems tell only at the close that the disk is full. */
static int settle(job *j, size_t output, job_written *w)
{
    job_out *out = &j->outs[output];
    os_stat st;
    w->mode = mode_of(out);
    int rc = os_fstat(out->fd, &st, &j->error);
    if (rc == 0 && st.mode != w->mode) rc = os_chmodat(j->rootfd, temp_of(j, output), w->mode, &j->error);
    int fd = out->fd;
    out->fd = -1;
    if (close(fd) != 0 && errno != EINTR && rc == 0) rc = error_errno(&j->error, errno, "cannot write %s", temp_of(j, output));
    w->hash = scan_fingerprint(w->content, w->mode);
    return rc;
}

static int finish_one(job *j, size_t output, job_written *w)
{
    *w = (job_written){.port = (uint32_t)output};
    if (!j->outs[output].begun)
        return error_set(&j->error, WEIR_FAILED, "was not written (%s)", (const char *)j->order->outputs[output].path.data);
    int rc = j->outs[output].is_external ? collect(j, output, w) : flush(j, output, w);
    return rc == 0 ? settle(j, output, w) : rc;
}

int job_outs_finish(job *j, job_report *report)
{
    size_t count = j->order->output_count;
    job_written *written = arena_zero(&j->arena, count + 1, sizeof *written);
    if (!written) return error_nomem(&j->error, "finishing outputs");
    int rc = job_parts_finish(j);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        rc = job_out_is_folder(j, i) ? job_folder_finish(j, i, &written[i]) : finish_one(j, i, &written[i]);
        if (rc != 0) (void)error_context(&j->error, rc, "output \"%s\"", port_of(j, i));
    }
    if (rc != 0) return rc;
    report->written = written;
    report->written_count = count;
    return 0;
}
