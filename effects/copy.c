/*
 * copy.c - one file, somewhere else.
 *
 *     weir.copy "style" {
 *       inputs  = { from = weir.file "assets/style.css" },  -- a file, an output, or a value (its text)
 *       outputs = { to = "public/style.css" },
 *       params  = { mode = "755" },                         -- optional: permission bits in octal, "644" if not given
 *     }
 *
 * The kernel copies where it can. The mode of the source is not taken over.
 */
#include "engine/weir_effect.h"

/* Three or four octal digits; 0 when it is none. */
static uint32_t parse_mode(const char *text)
{
    uint32_t mode = 0;
    int digits = 0;
    for (; *text >= '0' && *text <= '7' && digits < 5; text++, digits++) mode = mode * 8 + (uint32_t)(*text - '0');
    return *text == '\0' && digits >= 3 && digits <= 4 && mode <= 0777 ? mode : 0;
}

static int run(const weir_host *host, weir_job *job)
{
    const char *text;
    int rc = host->param_string(job, "mode", "644", &text);
    if (rc != 0) return rc;
    uint32_t mode = parse_mode(text);
    if (mode == 0) return host->fail(job, "param \"mode\" is \"%s\": write permission bits in octal, like \"755\"", text);
    rc = host->output_copy(job, "to", "from", 0);
    return rc == 0 ? host->output_mode(job, "to", mode) : rc;
}

static const weir_port inputs[] = {{"from", WEIR_REQUIRED, "what to copy"}, {NULL, 0, NULL}};
static const weir_port outputs[] = {{"to", WEIR_REQUIRED, "where to"}, {NULL, 0, NULL}};
static const weir_param params[] = {
    {"mode", "string", 0, NULL, "permission bits in octal, \"644\" if not given"},
    {"*", "any", 0, NULL, "any other: names the node"},
    {NULL, NULL, 0, NULL, NULL},
};

extern const weir_effect builtin_copy;
const weir_effect builtin_copy = {
    .size = sizeof(weir_effect),
    .name = "copy",
    .version = "1",
    .help = "copy one file",
    .inputs = inputs,
    .outputs = outputs,
    .params = params,
    .run = run,
};
