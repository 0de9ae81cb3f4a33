/*
 * template.c - a complete smallest effect to copy.
 *
 *     cc -shared -fPIC -o shout.so template.c     (with weir's headers on the include path)
 *
 *     weir.plugin "shout.so"
 *     weir.shout "title" {
 *       inputs  = { text = weir.file "title.txt" },
 *       outputs = { to = "build/title.txt" },
 *       params  = { mark = "!" },
 *     }
 *
 * An effect is a pure function: it reads through `host`, so that every read is recorded, writes through `host`, keeps nothing between
 * two jobs and looks at no clock. It returns what failed, or 0. Memory from host->memory needs no free.
 */
#include <string.h>

#include "engine/weir_effect.h"

static int run(const weir_host *host, weir_job *job)
{
    const char *mark, *text;
    size_t size;
    int rc = host->param_string(job, "mark", "!", &mark);
    if (rc == 0) rc = host->input_read(job, "text", 0, &text, &size);
    if (rc != 0) return rc;
    if (size == 0) return host->fail(job, "nothing to shout: the text is empty");

    char *loud = host->memory(job, size);
    if (!loud) return host->fail(job, "out of memory");
    for (size_t i = 0; i < size; i++) loud[i] = (char)(text[i] >= 'a' && text[i] <= 'z' ? text[i] - 'a' + 'A' : text[i]);

    rc = host->output_write(job, "to", loud, size);
    if (rc == 0) rc = host->output_write(job, "to", mark, strlen(mark));
    return rc;
}

static const weir_port inputs[] = {{"text", WEIR_REQUIRED, "what to shout"}, {NULL, 0, NULL}};
static const weir_port outputs[] = {{"to", WEIR_REQUIRED, "the loud text"}, {NULL, 0, NULL}};
static const weir_param params[] = {
    {"mark", "string", 0, "\"!\"", "what to put behind it"}, /* name, type, flags, default as JSON, help */
    {NULL, NULL, 0, NULL, NULL},
};

static const weir_effect shout = {
    .size = sizeof(weir_effect),
    .name = "shout", /* weir.shout */
    .version = "1",  /* change it when results change for the same inputs */
    .help = "say it loudly",
    .inputs = inputs,
    .outputs = outputs,
    .params = params,
    .run = run,
};

static const weir_effect *const effects[] = {&shout, NULL};
static const weir_plugin plugin = {.size = sizeof(weir_plugin), .abi = WEIR_EFFECT_ABI, .effects = effects};

WEIR_PLUGIN_EXPORT;
WEIR_PLUGIN_EXPORT
{
    return &plugin;
}
