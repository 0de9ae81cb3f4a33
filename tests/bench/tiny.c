/*
 * tiny.c - a plug-in with the smallest effects that measure something.
 *
 *     weir.tiny   its value is the number behind `above`, or 0, and one more, and `add`      params: id (names the node), add
 *     weir.block  its value is `size` bytes that depend on `id` and on the text behind `salt` params: id, size
 *     weir.last   its value is that of the last member of `all`: it reads one of many
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/weir_effect.h"

static int number_behind(const weir_host *host, weir_job *job, const char *port, long *number)
{
    const char *text = "0";
    size_t size;
    int rc = host->input_present(job, port) ? host->input_value(job, port, 0, 1, &text, &size) : 0;
    *number = strtol(text, NULL, 10);
    return rc;
}

static int tell(const weir_host *host, weir_job *job, long number)
{
    char text[32];
    int size = snprintf(text, sizeof text, "%ld", number);
    return host->value_json(job, text, (size_t)size);
}

static int run_tiny(const weir_host *host, weir_job *job)
{
    long above;
    int64_t add;
    int rc = number_behind(host, job, "above", &above);
    if (rc == 0) rc = host->param_integer(job, "add", 0, &add);
    return rc == 0 ? tell(host, job, above + 1 + (long)add) : rc;
}

static int run_block(const weir_host *host, weir_job *job)
{
    long salt;
    int64_t size, id;
    int rc = number_behind(host, job, "salt", &salt);
    if (rc == 0) rc = host->param_integer(job, "size", 0, &size);
    if (rc == 0) rc = host->param_integer(job, "id", 0, &id);
    if (rc != 0) return rc;
    unsigned char *data = host->memory(job, (size_t)size);
    if (!data) return host->fail(job, "out of memory");
    unsigned long long state = (unsigned long long)id * 1000003u + (unsigned long long)salt + 1;
    for (int64_t i = 0; i < size; i++) data[i] = (unsigned char)((state = state * 6364136223846793005u + 1442695040888963407u) >> 56);
    return host->value_bytes(job, data, (size_t)size);
}

static int run_last(const weir_host *host, weir_job *job)
{
    size_t count, size;
    const char *text = "0";
    int rc = host->input_count(job, "all", &count);
    if (rc == 0 && count > 0) rc = host->input_value(job, "all", count - 1, 1, &text, &size);
    return rc == 0 ? tell(host, job, strtol(text, NULL, 10)) : rc;
}

static const weir_port above[] = {{"above", 0, "a number"}, {NULL, 0, NULL}};
static const weir_port salt[] = {{"salt", 0, "a number"}, {NULL, 0, NULL}};
static const weir_port all[] = {{"all", WEIR_LIST, "numbers"}, {NULL, 0, NULL}};
static const weir_port none[] = {{NULL, 0, NULL}};
static const weir_param tiny_params[] = {
    {"id", "any", 0, NULL, "names the node"}, {"add", "integer", 0, "0", "what to add"}, {NULL, NULL, 0, NULL, NULL}};
static const weir_param block_params[] = {
    {"id", "integer", 0, NULL, "names the node"}, {"size", "integer", 0, NULL, "bytes"}, {NULL, NULL, 0, NULL, NULL}};
static const weir_param no_params[] = {{NULL, NULL, 0, NULL, NULL}};

static const weir_effect tiny = {.size = sizeof(weir_effect), .name = "tiny", .version = "1", .help = "one more", .inputs = above,
                                 .outputs = none, .params = tiny_params, .run = run_tiny};
static const weir_effect block = {.size = sizeof(weir_effect), .name = "block", .version = "1", .help = "bytes", .inputs = salt,
                                  .outputs = none, .params = block_params, .run = run_block};
static const weir_effect last = {.size = sizeof(weir_effect), .name = "last", .version = "1", .help = "one of many", .inputs = all,
                                 .outputs = none, .params = no_params, .run = run_last};

static const weir_effect *const effects[] = {&tiny, &block, &last, NULL};
static const weir_plugin plugin = {.size = sizeof(weir_plugin), .abi = WEIR_EFFECT_ABI, .effects = effects};

WEIR_PLUGIN_EXPORT;
WEIR_PLUGIN_EXPORT
{
    return &plugin;
}
