/*
 * concat.c - many files one after the other.
 *
 *     weir.concat "bundle" {
 *       inputs  = { parts = { weir.file "a.js", weir.file "b.js", footer } },  -- files, outputs, values (their text), in this order
 *       outputs = { to = "public/all.js" },
 *       params  = { separator = "\n" },                                        -- between two parts; "" if not given
 *     }
 */
#include <string.h>

#include "engine/weir_effect.h"

static int run(const weir_host *host, weir_job *job)
{
    const char *separator;
    size_t count;
    int rc = host->param_string(job, "separator", "", &separator);
    if (rc == 0) rc = host->input_count(job, "parts", &count);
    if (rc == 0) rc = host->output_write(job, "to", "", 0); /* no parts: an empty file */
    for (size_t i = 0; rc == 0 && i < count; i++) {
        if (i > 0 && *separator) rc = host->output_write(job, "to", separator, strlen(separator));
        if (rc == 0) rc = host->output_copy(job, "to", "parts", i);
    }
    return rc;
}

static const weir_port inputs[] = {{"parts", WEIR_REQUIRED | WEIR_LIST, "what to join, in order"}, {NULL, 0, NULL}};
static const weir_port outputs[] = {{"to", WEIR_REQUIRED, "where to"}, {NULL, 0, NULL}};
static const weir_param params[] = {
    {"separator", "string", 0, "\"\"", "text between two parts"},
    {"*", "any", 0, NULL, "any other: names the node"},
    {NULL, NULL, 0, NULL, NULL},
};

extern const weir_effect builtin_concat;
const weir_effect builtin_concat = {
    .size = sizeof(weir_effect),
    .name = "concat",
    .version = "1",
    .help = "join files",
    .inputs = inputs,
    .outputs = outputs,
    .params = params,
    .run = run,
};
