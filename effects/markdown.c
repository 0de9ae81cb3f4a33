/*
 * markdown.c - Markdown to HTML, by md4c (CommonMark, and GitHub's additions).
 *
 *     local body = weir.markdown "body" {
 *       params = { post = md.rel },        -- any params, so that they can name the node; those below are looked at
 *       inputs = { text = md },            -- a file, an output, or a value that is a string
 *     }
 *     -- body's value is the HTML of the body, a string: i.body.value
 *
 * Params, all booleans. On if not given: `tables`, `strikethrough`, `tasklists`, `autolinks` (bare addresses become links), `html` (raw
 * HTML goes through). Off if not given: `underline` (_x_), `wikilinks` ([[x]]), `math` ($x$), `xhtml` (<br />),
 * `collapse` (runs of blanks become one).
 */
#include <limits.h>
#include <md4c-html.h>
#include <string.h>

#include "engine/weir_effect.h"

typedef struct option {
    const char *name;
    int fallback;
    unsigned parser, renderer; /* flags to set where it is true */
    unsigned parser_off;       /* flags to set where it is false */
} option;

static const option options[] = {
    {"tables", 1, MD_FLAG_TABLES, 0, 0},
    {"strikethrough", 1, MD_FLAG_STRIKETHROUGH, 0, 0},
    {"tasklists", 1, MD_FLAG_TASKLISTS, 0, 0},
    {"autolinks", 1, MD_FLAG_PERMISSIVEAUTOLINKS, 0, 0},
    {"html", 1, 0, 0, MD_FLAG_NOHTML},
    {"underline", 0, MD_FLAG_UNDERLINE, 0, 0},
    {"wikilinks", 0, MD_FLAG_WIKILINKS, 0, 0},
    {"math", 0, MD_FLAG_LATEXMATHSPANS, 0, 0},
    {"xhtml", 0, 0, MD_HTML_FLAG_XHTML, 0},
    {"collapse", 0, MD_FLAG_COLLAPSEWHITESPACE, 0, 0},
};

/* The HTML so far: doubles in the job's memory. */
typedef struct page {
    const weir_host *host;
    weir_job *job;
    char *text;
    size_t size, capacity;
    int failed;
} page;

static void append(const MD_CHAR *text, MD_SIZE size, void *ctx)
{
    page *p = ctx;
    if (p->failed) return;
    if (size > p->capacity - p->size) {
        size_t capacity = (p->capacity + size) * 2;
        char *larger = p->host->memory(p->job, capacity);
        p->failed = larger == NULL;
        if (p->failed) return;
        if (p->size) memcpy(larger, p->text, p->size);
        p->text = larger;
        p->capacity = capacity;
    }
    memcpy(p->text + p->size, text, size);
    p->size += size;
}

static int read_options(const weir_host *host, weir_job *job, unsigned *parser, unsigned *renderer)
{
    int rc = 0;
    *parser = *renderer = 0;
    for (size_t i = 0; rc == 0 && i < sizeof options / sizeof *options; i++) {
        int truth;
        rc = host->param_boolean(job, options[i].name, options[i].fallback, &truth);
        if (rc == 0 && truth) *parser |= options[i].parser;
        if (rc == 0 && truth) *renderer |= options[i].renderer;
        if (rc == 0 && !truth) *parser |= options[i].parser_off;
    }
    return rc;
}

static int run(const weir_host *host, weir_job *job)
{
    const char *text;
    size_t size;
    unsigned parser, renderer;
    page html = {.host = host, .job = job, .text = NULL};
    int rc = read_options(host, job, &parser, &renderer);
    if (rc == 0) rc = host->input_value(job, "text", 0, 1, &text, &size);
    if (rc != 0) return rc;
    if (size > UINT_MAX / 4) return host->fail(job, "the text has %zu bytes, which is too much for Markdown", size);
    if (size > 0) rc = md_html(text, (MD_SIZE)size, append, &html, parser, renderer | MD_HTML_FLAG_SKIP_UTF8_BOM);
    if (rc != 0 || html.failed) return host->fail(job, "out of memory while rendering %zu bytes of Markdown", size);
    return host->value_string(job, html.text, html.size);
}

static const weir_port inputs[] = {{"text", WEIR_REQUIRED, "Markdown"}, {NULL, 0, NULL}};
static const weir_port outputs[] = {{NULL, 0, NULL}};

extern const weir_effect builtin_markdown;
const weir_effect builtin_markdown = {
    .size = sizeof(weir_effect),
    .name = "markdown",
    .version = "1 md4c",
    .help = "Markdown to HTML, as the node's value",
    .inputs = inputs,
    .outputs = outputs,
    .params = NULL, /* any */
    .run = run,
};
