/*
 * job_host.c - the functions that a C effect gets (weir_host), and performing a job with one.
 *
 * A thin layer: port names become indexes, encodings become text. All text handed out has a NUL behind it and lives as long as the
 * job. A failure leaves its message in the job, so that an effect may just return the code.
 *
 * Worker processes only, one thread.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/effect/job_internal.h"
#include "engine/store/value.h"

/* --- ports -------------------------------------------------------------------------------------------------------- */

static int need_input(weir_job *j, const char *port, size_t *index)
{
    int found = job_find_input(j, bytes_str(port));
    if (found < 0) return error_set(&j->error, WEIR_USAGE, "input \"%s\" is not there", port);
    *index = (size_t)found;
    return 0;
}

/* "\x01" and the number of a file in a folder, as host_output_file hands it out. */
static bool is_part(weir_job *j, const char *port, size_t *index)
{
    if (port[0] != '\x01') return false;
    *index = (size_t)strtoull(port + 1, NULL, 10);
    return job_is_part(j, *index);
}

static int need_output(weir_job *j, const char *port, size_t *index)
{
    if (is_part(j, port, index)) return 0;
    int found = job_find_output(j, bytes_str(port));
    if (found < 0) return job_broken(j, error_set(&j->error, WEIR_USAGE, "output \"%s\" is not there", port));
    *index = (size_t)found;
    return 0;
}

static void hand_out(bytes from, const char **data, size_t *size)
{
    *data = (const char *)from.data;
    if (size) *size = from.size;
}

/* --- inputs ------------------------------------------------------------------------------------------------------- */

static int host_input_count(weir_job *j, const char *port, size_t *count)
{
    int found = job_find_input(j, bytes_str(port));
    *count = 0;
    if (found < 0) return 0;
    const job_input *input = job_input_at(j, (size_t)found);
    *count = input->count;
    return input->is_list ? job_read_names(j, (size_t)found, count) : 0;
}

static int host_input_read(weir_job *j, const char *port, size_t index, const char **data, size_t *size)
{
    size_t input = 0;
    bytes content = {NULL, 0};
    int rc = need_input(j, port, &input);
    if (rc == 0) rc = job_read_content(j, input, index, -1, &content);
    hand_out(content, data, size);
    return rc;
}

static bool has_only_content(const job_member *m)
{
    return job_member_is_file(m) && (m->kind != MEMBER_NODE || !m->has_value);
}

static int read_value(weir_job *j, size_t input, size_t index, int raw, bytes *text)
{
    bytes encoded = {NULL, 0};
    const job_member *m = job_member_at(j, input, index);
    if (!m) return j->error.code;
    if (has_only_content(m)) return job_read_content(j, input, index, -1, text);
    int rc = job_read_value(j, input, index, &encoded);
    if (rc != 0 || !encoded.data) return rc; /* not set: nothing */
    return raw ? job_encoded_text(j, encoded, text) : job_json_text(j, encoded, text);
}

static int host_input_value(weir_job *j, const char *port, size_t index, int raw, const char **data, size_t *size)
{
    size_t input = 0;
    bytes text = {NULL, 0};
    int rc = need_input(j, port, &input);
    if (rc == 0) rc = read_value(j, input, index, raw, &text);
    hand_out(text, data, size);
    return rc;
}

static int host_input_path(weir_job *j, const char *port, size_t index, const char **path)
{
    size_t input = 0;
    bytes text = {NULL, 0};
    int rc = need_input(j, port, &input);
    if (rc == 0) rc = job_read_path(j, input, index, -1, &text);
    hand_out(text, path, NULL);
    return rc;
}

static int host_input_present(weir_job *j, const char *port)
{
    int found = job_find_input(j, bytes_str(port));
    return found >= 0 && job_input_at(j, (size_t)found)->count > 0;
}

static const char *host_input_port(weir_job *j, size_t index)
{
    return index < j->order->input_count ? (const char *)j->order->inputs[index].port.data : NULL;
}

static int host_input_part(weir_job *j, const char *port, size_t index, weir_part part, const char **data, size_t *size)
{
    size_t input = 0;
    bytes text = {NULL, 0};
    int rc = need_input(j, port, &input);
    if (rc == 0) rc = job_ask(j, input, index, part, &text);
    hand_out(text, data, size);
    return rc;
}

/* The encoding of a list of strings as an array of them. */
static int hand_out_list(weir_job *j, bytes encoded, const char *const **paths, size_t *count)
{
    value_reader reader = value_read(encoded);
    value_item item;
    *count = 0;
    *paths = NULL;
    if (encoded.size == 0) return 0;
    if (!value_next(&reader, &item) || item.type != VALUE_ARRAY) return error_set(&j->error, WEIR_CORRUPT, "the list of a folder is damaged");
    size_t size = item.count;
    const char **list = arena_zero(&j->arena, size + 1, sizeof *list);
    for (size_t i = 0; list && i < size && value_next(&reader, &item); i++) list[i] = (const char *)arena_bytes(&j->arena, item.text).data;
    if (!list || j->arena.failed) return job_failed(j, error_nomem(&j->error, "listing a folder"));
    *paths = list;
    *count = size;
    return 0;
}

static int host_input_files(weir_job *j, const char *port, size_t index, const char *const **paths, size_t *count)
{
    size_t input = 0;
    bytes encoded = {NULL, 0};
    int rc = need_input(j, port, &input);
    *count = 0;
    if (rc == 0) rc = job_read_files(j, input, index, -1, &encoded);
    return rc == 0 ? hand_out_list(j, encoded, paths, count) : rc;
}

static int host_input_file(weir_job *j, const char *port, size_t index, const char *path, const char **data, size_t *size)
{
    size_t input = 0;
    bytes content = {NULL, 0};
    int rc = need_input(j, port, &input);
    if (rc == 0) rc = job_read_below(j, input, index, -1, bytes_str(path), &content);
    hand_out(content, data, size);
    return rc;
}

/* --- params ------------------------------------------------------------------------------------------------------- */

static bool find_param(const weir_job *j, const char *name, bytes *encoded, value_item *item)
{
    bytes params = j->order->params;
    if (params.size == 0 || !value_member(params, name, encoded)) return false;
    value_reader reader = value_read(*encoded);
    return value_next(&reader, item);
}

static int wrong_type(weir_job *j, const char *name, const char *type)
{
    return error_set(&j->error, WEIR_USAGE, "param \"%s\" must be %s", name, type);
}

static int host_param_string(weir_job *j, const char *name, const char *fallback, const char **text)
{
    bytes encoded;
    value_item item;
    *text = fallback;
    if (!find_param(j, name, &encoded, &item)) return 0;
    if (item.type != VALUE_STRING && item.type != VALUE_BYTES) return wrong_type(j, name, "a string");
    if (item.text.size && memchr(item.text.data, '\0', item.text.size)) return wrong_type(j, name, "a string without NUL");
    *text = (const char *)arena_bytes(&j->arena, item.text).data;
    return *text ? 0 : job_failed(j, error_nomem(&j->error, "reading a param"));
}

static int host_param_integer(weir_job *j, const char *name, int64_t fallback, int64_t *number)
{
    bytes encoded;
    value_item item;
    *number = fallback;
    if (!find_param(j, name, &encoded, &item)) return 0;
    if (item.type != VALUE_INT) return wrong_type(j, name, "an integer");
    *number = item.integer;
    return 0;
}

static int host_param_number(weir_job *j, const char *name, double fallback, double *number)
{
    bytes encoded;
    value_item item;
    *number = fallback;
    if (!find_param(j, name, &encoded, &item)) return 0;
    if (item.type != VALUE_INT && item.type != VALUE_FLOAT) return wrong_type(j, name, "a number");
    *number = item.number;
    return 0;
}

static int host_param_boolean(weir_job *j, const char *name, int fallback, int *truth)
{
    bytes encoded;
    value_item item;
    *truth = fallback;
    if (!find_param(j, name, &encoded, &item)) return 0;
    if (item.type != VALUE_TRUE && item.type != VALUE_FALSE) return wrong_type(j, name, "true or false");
    *truth = item.type == VALUE_TRUE;
    return 0;
}

static int host_param_json(weir_job *j, const char *name, const char **json, size_t *size)
{
    bytes encoded, text = {NULL, 0};
    value_item item;
    int rc = find_param(j, name, &encoded, &item) ? job_json_text(j, encoded, &text) : 0;
    hand_out(text, json, size);
    return rc;
}

/* --- outputs ------------------------------------------------------------------------------------------------------ */

static int host_output_write(weir_job *j, const char *port, const void *data, size_t size)
{
    size_t output = 0;
    int rc = need_output(j, port, &output);
    return rc == 0 ? job_write(j, output, bytes_of(data, size)) : rc;
}

static int host_output_copy(weir_job *j, const char *port, const char *input_port, size_t index)
{
    size_t output = 0, input = 0;
    int rc = need_output(j, port, &output);
    if (rc == 0) rc = need_input(j, input_port, &input);
    return rc == 0 ? job_copy(j, output, input, index) : rc;
}

static int host_output_temp(weir_job *j, const char *port, const char **path)
{
    size_t output = 0;
    bytes text = {NULL, 0};
    int rc = need_output(j, port, &output);
    if (rc == 0) rc = job_temp(j, output, &text);
    hand_out(text, path, NULL);
    return rc;
}

static int host_output_mode(weir_job *j, const char *port, uint32_t mode)
{
    size_t output = 0;
    int rc = need_output(j, port, &output);
    if (rc == 0) job_mode(j, output, mode);
    return rc;
}

static int host_output_file(weir_job *j, const char *port, const char *path, const char **file)
{
    size_t output = 0, number = 0;
    *file = NULL;
    int rc = need_output(j, port, &output);
    if (rc == 0) rc = job_part_named(j, output, bytes_str(path), &number);
    if (rc == 0) *file = arena_printf(&j->arena, "\x01%zu", number);
    return rc == 0 && !*file ? job_failed(j, error_nomem(&j->error, "writing an output")) : rc;
}

/* --- value -------------------------------------------------------------------------------------------------------- */

static int take_value(weir_job *j, buf *encoded, int rc)
{
    if (rc == 0 && encoded->failed) rc = error_nomem(&j->error, "making the value");
    rc = rc == 0 ? job_value(j, buf_bytes(encoded)) : job_broken(j, error_context(&j->error, rc, "the value of the node"));
    buf_deinit(encoded);
    return rc;
}

static int host_value_json(weir_job *j, const char *json, size_t size)
{
    buf encoded;
    buf_init(&encoded);
    int rc = value_from_json(bytes_of(json, size), &encoded, &j->error);
    return take_value(j, &encoded, rc);
}

static int host_value_string(weir_job *j, const char *text, size_t size)
{
    buf encoded;
    buf_init(&encoded);
    value_put_string(&encoded, bytes_of(text, size));
    return take_value(j, &encoded, 0);
}

static int host_value_bytes(weir_job *j, const void *data, size_t size)
{
    buf encoded;
    buf_init(&encoded);
    value_put_bytes(&encoded, bytes_of(data, size));
    return take_value(j, &encoded, 0);
}

/* --- all else ------------------------------------------------------------------------------------------------------- */

static int host_read_file(weir_job *j, const char *path, const char **data, size_t *size)
{
    bytes content = {NULL, 0};
    int rc = job_read_file(j, bytes_str(path), &content);
    hand_out(content, data, size);
    return rc;
}

static void host_log(weir_job *j, const char *text)
{
    bytes line = bytes_str(text);
    job_log(j, line);
    if (line.size == 0 || line.data[line.size - 1] != '\n') job_log(j, bytes_str("\n"));
}

static int host_fail(weir_job *j, const char *format, ...) __attribute__((format(printf, 2, 3)));
static int host_fail(weir_job *j, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    const char *kept = arena_strdup(&j->arena, text);
    j->failure = kept ? kept : "out of memory";
    return -1;
}

static void *host_memory(weir_job *j, size_t size)
{
    return arena_alloc(&j->arena, size);
}

static int host_need(weir_job *j, const char *const *names, size_t count, const char **port)
{
    bytes *list = arena_zero(&j->arena, count + 1, sizeof *list);
    size_t number = 0;
    if (!list) return job_failed(j, error_nomem(&j->error, "asking for nodes"));
    for (size_t i = 0; i < count; i++) list[i] = bytes_str(names[i]);
    int rc = job_need(j, list, count, &number);
    if (rc == 0 && port) *port = (const char *)job_input_at(j, number)->port.data;
    return rc;
}

static const weir_host host = {
    .size = sizeof(weir_host),
    .abi = WEIR_EFFECT_ABI,
    .input_count = host_input_count,
    .input_read = host_input_read,
    .input_value = host_input_value,
    .input_path = host_input_path,
    .input_present = host_input_present,
    .param_string = host_param_string,
    .param_integer = host_param_integer,
    .param_number = host_param_number,
    .param_boolean = host_param_boolean,
    .param_json = host_param_json,
    .output_write = host_output_write,
    .output_copy = host_output_copy,
    .output_temp = host_output_temp,
    .output_mode = host_output_mode,
    .value_json = host_value_json,
    .value_string = host_value_string,
    .value_bytes = host_value_bytes,
    .read_file = host_read_file,
    .log = host_log,
    .fail = host_fail,
    .memory = host_memory,
    .need = host_need,
    .input_port = host_input_port,
    .input_part = host_input_part,
    .input_files = host_input_files,
    .input_file = host_input_file,
    .output_file = host_output_file,
};

/* --- performing --------------------------------------------------------------------------------------------------- */

int job_perform(const registry_entry *entry, const job_order *order, int rootfd, job **out, job_report *report, weir_error *err)
{
    int rc = job_new(out, order, rootfd, err);
    if (rc != 0) return rc;
    job *j = *out;
    const char *failure = NULL;
    int code = entry->effect->run(&host, j);
    if (code != 0) failure = j->failure ? j->failure : j->error.message;
    if (code != 0 && !*failure) failure = arena_printf(&j->arena, "effect \"%s\" returned %d", entry->effect->name, code);
    job_finish(j, code != 0 && !failure ? "out of memory" : failure, report);
    return 0;
}
