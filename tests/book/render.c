/*
 * render.c - Markdown to HTML for the independent calculation in model.lua, with the dialect that effects/markdown.c has without params.
 *
 * Reads texts from stdin, each as its size in decimal, a newline and the bytes; answers each in the same form on stdout.
 * Compiled by the test: cc render.c -lmd4c-html -lmd4c.
 */
#include <md4c-html.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct text {
    char *data;
    size_t size, room;
};

static void append(const MD_CHAR *piece, MD_SIZE size, void *ctx)
{
    struct text *t = ctx;
    if (t->room - t->size < size) {
        t->room = (t->size + size) * 2;
        t->data = realloc(t->data, t->room);
        if (!t->data) abort();
    }
    memcpy(t->data + t->size, piece, size);
    t->size += size;
}

int main(void)
{
    unsigned long size = 0;
    while (scanf("%lu", &size) == 1) {
        char *in = malloc(size + 1);
        struct text out = {NULL, 0, 0};
        if (!in || getchar() != '\n' || fread(in, 1, size, stdin) != size) return 1;
        if (md_html(in, (MD_SIZE)size, append, &out, MD_DIALECT_GITHUB, MD_HTML_FLAG_SKIP_UTF8_BOM) != 0) return 1;
        printf("%lu\n", (unsigned long)out.size);
        if (out.size) fwrite(out.data, 1, out.size, stdout);
        free(in);
        free(out.data);
    }
    return fflush(stdout) == 0 && feof(stdin) ? 0 : 1;
}
