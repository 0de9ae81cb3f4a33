/*
 * test_symbols.c - weir.symbols on a real plug-in: cut at many lengths, with bits flipped. Under the sanitizers nothing is read
 * outside the content, which lies in a block of exactly its size.
 */
#include <stdarg.h>

#include "effects/symbols.c"
#include "tests/check.h"

static char *content, *given;
static size_t content_size, given_size;
static char *value;
static size_t failures;
static void *blocks[64];
static size_t block_count;

static int fake_read(weir_job *job, const char *port, size_t index, const char **data, size_t *size)
{
    (void)job;
    (void)port;
    (void)index;
    *data = given;
    *size = given_size;
    return 0;
}

static void *fake_memory(weir_job *job, size_t size)
{
    (void)job;
    if (block_count == sizeof blocks / sizeof *blocks) return NULL;
    return blocks[block_count++] = malloc(size ? size : 1);
}

static int fake_value(weir_job *job, const char *json, size_t size)
{
    (void)job;
    free(value);
    value = malloc(size + 1);
    memcpy(value, json, size);
    value[size] = '\0';
    return 0;
}

static int fake_fail(weir_job *job, const char *format, ...)
{
    (void)job;
    failures += format != NULL;
    return -1;
}

static int perform(size_t size)
{
    static const weir_host host = {.input_read = fake_read, .memory = fake_memory, .value_json = fake_value, .fail = fake_fail};
    given_size = size;
    int rc = builtin_symbols.run(&host, NULL);
    while (block_count > 0) free(blocks[--block_count]);
    return rc;
}

static int perform_cut(size_t size)
{
    given = malloc(size ? size : 1);
    memcpy(given, content, size);
    int rc = perform(size);
    free(given);
    return rc;
}

static void load(void)
{
    char path[1024];
    const char *build = getenv("WEIR_BUILD");
    snprintf(path, sizeof path, "%s/template.so", build ? build : ".");
    FILE *f = fopen(path, "rb");
    if (!f) exit(77);
    content = malloc(16 << 20);
    content_size = fread(content, 1, 16 << 20, f);
    fclose(f);
}

static void test_whole(void)
{
    CHECK_INT(0, perform_cut(content_size));
    CHECK_HAS("weir_plugin_entry", value);
    CHECK_HAS("\"needed\":[", value);
    CHECK(!strstr(value, "\"name\":\"malloc\"")); /* used, not defined */
}

static void test_cut(void)
{
    size_t before = failures;
    for (size_t size = 0; size < content_size; size += size < 256 ? 1 : 1 + content_size / 2000) perform_cut(size);
    CHECK(failures > before + 256); /* no header, no sections */
}

/* Flips in the headers and anywhere: it ends, well or with a message. */
static void test_flipped(void)
{
    unsigned seed = 1;
    given = content = realloc(content, content_size);
    uint64_t headers = content_size - (content_size < 4096 ? content_size : 4096); /* the sections' are at the end */
    for (int i = 0; i < 4000; i++) {
        seed = seed * 1103515245u + 12345u;
        size_t place = i % 3 == 0 ? seed / 8 % 64 : i % 3 == 1 ? headers + seed / 8 % (content_size - headers) : seed / 8 % content_size;
        char bit = (char)(1 << (i % 8));
        content[place] = (char)(content[place] ^ bit);
        perform(content_size);
        content[place] = (char)(content[place] ^ bit);
    }
    CHECK_INT(0, perform(content_size));
    CHECK_HAS("weir_plugin_entry", value);
}

int main(void)
{
    load();
    test_whole();
    test_cut();
    test_flipped();
    free(content);
    free(value);
    return check_done();
}
