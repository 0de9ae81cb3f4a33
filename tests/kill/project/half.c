/*
 * half.c - a C effect that writes half of its output and fails when the text says "bad".
 */
#include <string.h>

#include "engine/weir_effect.h"

static int run(const weir_host *host, weir_job *job)
{
    const char *text;
    size_t size;
    int rc = host->input_read(job, "text", 0, &text, &size);
    if (rc == 0) rc = host->output_write(job, "to", "half\n", 5);
    if (rc == 0 && size >= 3 && memcmp(text, "bad", 3) == 0) return host->fail(job, "the text is bad");
    return rc == 0 ? host->output_write(job, "to", text, size) : rc;
}

static const weir_port inputs[] = {{"text", WEIR_REQUIRED, "what to write"}, {NULL, 0, NULL}};
static const weir_port outputs[] = {{"to", WEIR_REQUIRED, "both halves"}, {NULL, 0, NULL}};
static const weir_param params[] = {{NULL, NULL, 0, NULL, NULL}};
static const weir_effect half = {.size = sizeof(weir_effect), .name = "half", .version = "1", .help = "write two halves",
                                 .inputs = inputs, .outputs = outputs, .params = params, .run = run};
static const weir_effect *const effects[] = {&half, NULL};
static const weir_plugin plugin = {.size = sizeof(weir_plugin), .abi = WEIR_EFFECT_ABI, .effects = effects};

WEIR_PLUGIN_EXPORT;
WEIR_PLUGIN_EXPORT
{
    return &plugin;
}
