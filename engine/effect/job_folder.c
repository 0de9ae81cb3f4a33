/*
 * job_folder.c - outputs that are folders: files whose names the effect decides.
 *
 * The temp of such an output is a folder. Each file in it is a part, with a number behind those of the outputs, so that job_write,
 * job_copy and job_mode take it like an output. One part at a time has its file open; the others are on disk already and are appended to. The engine looks at what lies
 * there in the end, so nothing is hashed here, and what else the effect left in the folder counts as well.
 *
 * D1  No part lies outside its folder: paths are normalised, and nothing in the folder is a link that an effect made through us.
 *
 * Worker processes only, one thread.
 */
#include "engine/effect/job_internal.h"
#include "engine/world/scan.h"

enum { CHUNK = 64 * 1024 };

bool job_out_is_folder(const job *j, size_t output)
{
    bytes path = j->order->outputs[output].path;
    return path.size > 1 && path.data[path.size - 1] == '/';
}

static const char *text_of(bytes text)
{
    return (const char *)text.data;
}

static job_part *part_at(job *j, size_t number)
{
    return &j->parts[number - j->order->output_count];
}

bool job_is_part(const job *j, size_t number)
{
    return number >= j->order->output_count && number - j->order->output_count < j->part_count;
}

static int failed(job *j, const job_part *p, int code)
{
    return job_broken(j, error_context(&j->error, code, "output \"%s\", file %s", text_of(j->order->outputs[p->output].port), text_of(p->name)));
}

/* --- one of them is open ------------------------------------------------------------------------------------------- */

static int flush(job *j)
{
    bytes content = buf_bytes(&j->part_pending);
    job_part *p = j->open_part ? &j->parts[j->open_part - 1] : NULL;
    int rc = p && content.size ? os_write_all(j->part_fd, content.data, content.size, text_of(p->temp), &j->error) : 0;
    buf_clear(&j->part_pending);
    return rc == 0 ? 0 : failed(j, p, rc);
}

static int close_part(job *j)
{
    int rc = flush(j);
    os_close(j->part_fd);
    j->part_fd = -1;
    j->open_part = 0;
    return rc;
}

static int open_part(job *j, size_t index)
{
    job_part *p = &j->parts[index];
    if (j->open_part == index + 1) return 0;
    int rc = close_part(j);
    if (rc != 0) return rc;
    int flags = OS_WRITE | OS_NOFOLLOW | (p->is_made ? OS_APPEND : OS_CREATE | OS_EXCL);
    int fd = os_openat(j->rootfd, text_of(p->temp), flags, 0644, &j->error);
    if (fd < 0) return failed(j, p, fd);
    p->is_made = true;
    j->part_fd = fd;
    j->open_part = index + 1;
    return 0;
}

/* --- the folder ---------------------------------------------------------------------------------------------------- */

static int make_folder(job *j, size_t output)
{
    job_out *out = &j->outs[output];
    const char *temp = text_of(j->order->outputs[output].temp);
    if (out->begun) return 0;
    out->begun = true;
    int rc = os_remove_tree(j->rootfd, temp, &j->error);
    if (rc == 0) rc = os_mkdirat(j->rootfd, temp, 0755, &j->error);
    return rc == 0 ? 0 : job_broken(j, error_context(&j->error, rc, "output \"%s\"", text_of(j->order->outputs[output].port)));
}

int job_folder_temp(job *j, size_t output, bytes *path)
{
    *path = j->order->outputs[output].temp;
    return make_folder(j, output);
}

int job_is_folder_error(job *j, size_t output)
{
    const char *port = text_of(j->order->outputs[output].port);
    return job_broken(j, error_set(&j->error, WEIR_USAGE, "output \"%s\" is the folder %s: say which file in it, as in o.%s:file(\"a.txt\")", port,
                                   text_of(j->order->outputs[output].path), port));
}

/* The path below the folder, as it counts. */
static int clean_name(job *j, size_t output, bytes path, bytes *name)
{
    buf normal;
    weir_error why = {0};
    buf_init(&normal);
    int rc = scan_normalise(path, &normal, &why);
    if (rc == WEIR_NOMEM) rc = job_failed(j, error_nomem(&j->error, "writing an output"));
    else if (rc != 0 || path.data[path.size - 1] == '/')
        rc = job_broken(j, error_set(&j->error, WEIR_USAGE, "output \"%s\": \"%.*s\" is no file in it%s%s", text_of(j->order->outputs[output].port),
                                     (int)(path.size < 200 ? path.size : 200), text_of(path), why.code ? ": " : "", why.message));
    else *name = arena_bytes(&j->arena, buf_bytes(&normal));
    buf_deinit(&normal);
    return rc;
}

static int new_part(job *j, size_t output, bytes name, bytes key, size_t *number)
{
    const char *temp = arena_printf(&j->arena, "%s/%s", text_of(j->order->outputs[output].temp), text_of(name));
    uint64_t *slot = NULL;
    if (temp && MEM_GROW(j->parts, j->part_capacity, j->part_count + 1)) slot = map_put(&j->part_by_name, key, NULL);
    if (!slot) return job_failed(j, error_nomem(&j->error, "writing an output"));
    *number = j->order->output_count + j->part_count;
    *slot = ++j->part_count;
    job_part *p = part_at(j, *number);
    *p = (job_part){.name = name, .temp = bytes_str(temp), .output = output};
    int rc = os_make_parents(j->rootfd, temp, NULL, NULL, &j->error);
    return rc == 0 ? open_part(j, j->part_count - 1) : failed(j, p, rc);
}

int job_part_named(job *j, size_t output, bytes path, size_t *number)
{
    buf key;
    bytes name = {NULL, 0};
    if (output >= j->order->output_count || !job_out_is_folder(j, output))
        return job_broken(j, error_set(&j->error, WEIR_USAGE, "only an output that is a folder (\"public/\") has files in it"));
    int rc = clean_name(j, output, path, &name);
    if (rc == 0) rc = make_folder(j, output);
    if (rc != 0) return rc;
    buf_init(&key);
    buf_put_u64(&key, output);
    buf_append(&key, name.data, name.size);
    const uint64_t *known = key.failed || !name.data ? NULL : map_get(&j->part_by_name, buf_bytes(&key));
    if (key.failed || !name.data) rc = job_failed(j, error_nomem(&j->error, "writing an output"));
    else if (known) *number = j->order->output_count + (size_t)*known - 1;
    else rc = new_part(j, output, name, buf_bytes(&key), number);
    buf_deinit(&key);
    return rc;
}

/* --- writing ------------------------------------------------------------------------------------------------------- */

int job_part_write(job *j, size_t number, bytes content)
{
    int rc = open_part(j, number - j->order->output_count);
    if (rc == 0 && content.size > CHUNK - j->part_pending.size) rc = flush(j);
    if (rc != 0) return rc;
    job_part *p = part_at(j, number);
    if (content.size > CHUNK) {
        rc = os_write_all(j->part_fd, content.data, content.size, text_of(p->temp), &j->error);
        return rc == 0 ? 0 : failed(j, p, rc);
    }
    if (content.size) buf_append(&j->part_pending, content.data, content.size);
    return j->part_pending.failed ? job_failed(j, error_nomem(&j->error, "writing an output")) : 0;
}

int job_part_temp(job *j, size_t number, bytes *path)
{
    *path = part_at(j, number)->temp;
    return open_part(j, number - j->order->output_count) == 0 ? close_part(j) : j->error.code;
}

int job_part_path(job *j, size_t number, bytes *path)
{
    const job_part *p = part_at(j, number);
    bytes folder;
    int rc = job_read_outpath(j, p->output, &folder);
    const char *text = rc == 0 ? arena_printf(&j->arena, "%s%s", text_of(folder), text_of(p->name)) : NULL;
    *path = bytes_str(text ? text : "");
    return rc == 0 && !text ? job_failed(j, error_nomem(&j->error, "naming an output")) : rc;
}

void job_part_mode(job *j, size_t number, uint32_t mode)
{
    part_at(j, number)->has_mode = true;
    part_at(j, number)->mode = mode & 0777u;
}

/* --- the end ------------------------------------------------------------------------------------------------------- */

int job_parts_finish(job *j)
{
    int rc = close_part(j);
    for (size_t i = 0; rc == 0 && i < j->part_count; i++) {
        const job_part *p = &j->parts[i];
        if (!p->has_mode) continue;
        rc = os_chmodat(j->rootfd, text_of(p->temp), p->mode | 0400u, &j->error);
        if (rc != 0) rc = failed(j, p, rc);
    }
    return rc;
}

int job_folder_finish(job *j, size_t output, job_written *w)
{
    *w = (job_written){.port = (uint32_t)output, .mode = 0644};
    return make_folder(j, output);
}

void job_parts_free(job *j)
{
    os_close(j->part_fd);
    j->part_fd = -1;
    buf_deinit(&j->part_pending);
    map_deinit(&j->part_by_name);
    mem_free(j->parts);
}
