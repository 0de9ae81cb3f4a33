/*
 * symbols.c - the interface of an ELF file: what a program that is linked against it depends on.
 *
 *     local face = weir.symbols "face" { inputs = { file = lib } }   -- lib: the node, or file, with the shared library
 *     -- its value: { soname = "libx.so.1", needed = { "libc.so.6" }, symbols = { { name, type, binding, ... } } }
 *
 * A user takes `face` as its input instead of the library: relinking stops when only code behind the interface has changed. Symbols are
 * those that are defined and visible from outside (of an object file: its global ones), sorted; the size counts for data
 * only, because copy relocations make it a part of the interface. ELF of 32 and 64 bits, of either byte order.
 *
 * Nothing in the file is trusted: every offset is checked against the size before it is used, by `at` alone.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/weir_effect.h"

enum { TYPE_RELOCATABLE = 1, HEADER_SMALLEST = 52, NAME_MOST = 65536 };
enum { SECTION_SYMTAB = 2, SECTION_DYNAMIC = 6, SECTION_DYNSYM = 11 };
enum { DYN_NEEDED = 1, DYN_SONAME = 14 };
enum { TEXT_MOST = 15 * 1024 * 1024 }; /* of the value */
static const uint64_t SECTION_VERDEF = 0x6ffffffd, SECTION_VERSYM = 0x6fffffff;

typedef struct section {
    uint64_t type, link, offset, size, entry_size;
} section;

typedef struct symbol {
    const char *name, *version; /* version: "" if none */
    unsigned type, binding, visibility;
    uint64_t size_bytes;
    int is_default; /* the version that a link without one takes */
} symbol;

typedef struct elf {
    const weir_host *host;
    weir_job *job;
    const unsigned char *data;
    uint64_t size;
    int is_wide, is_big;
    uint64_t section_at, section_size, section_count;
    char *text; /* the value so far */
    size_t used, capacity;
    int failed;
} elf;

/* --- bytes ---------------------------------------------------------------------------------------------------------- */

/* The only way to the content. NULL: not all of it is inside. */
static const unsigned char *at(const elf *e, uint64_t offset, uint64_t size)
{
    return offset <= e->size && size <= e->size - offset ? e->data + offset : NULL;
}

static uint64_t number(const elf *e, uint64_t offset, unsigned size)
{
    const unsigned char *p = at(e, offset, size);
    uint64_t n = 0;
    for (unsigned i = 0; p && i < size; i++) n = n << 8 | p[e->is_big ? i : size - 1 - i];
    return n;
}

/* An address or size of the file's own width; both places are given. */
static uint64_t word(const elf *e, uint64_t base, unsigned narrow, unsigned wide)
{
    return e->is_wide ? number(e, base + wide, 8) : number(e, base + narrow, 4);
}

static int get_section(const elf *e, uint64_t index, section *s)
{
    *s = (section){0};
    if (index >= e->section_count) return 0;
    uint64_t base = e->section_at + index * e->section_size;
    s->type = number(e, base + 4, 4);
    s->offset = word(e, base, 16, 24);
    s->size = word(e, base, 20, 32);
    s->link = number(e, base + (e->is_wide ? 40 : 24), 4);
    s->entry_size = word(e, base, 36, 56);
    return at(e, s->offset, s->size) != NULL;
}

static int find_section(const elf *e, uint64_t type, section *s)
{
    for (uint64_t i = 1; i < e->section_count; i++)
        if (get_section(e, i, s) && s->type == type) return 1;
    *s = (section){0};
    return 0;
}

/* A name in a table of strings; NULL: it does not end in there. */
static const char *name_at(const elf *e, const section *strings, uint64_t offset)
{
    if (offset >= strings->size) return NULL;
    const unsigned char *from = at(e, strings->offset + offset, strings->size - offset);
    uint64_t left = strings->size - offset;
    if (left > NAME_MOST) left = NAME_MOST;
    return from && memchr(from, '\0', (size_t)left) ? (const char *)from : NULL;
}

/* --- text ----------------------------------------------------------------------------------------------------------- */

static void put(elf *e, const char *text, size_t size)
{
    if (e->failed || size > TEXT_MOST - e->used) {
        e->failed = 1;
        return;
    }
    if (size > e->capacity - e->used) {
        size_t capacity = (e->capacity + size) * 2;
        char *larger = e->host->memory(e->job, capacity);
        if (!larger) {
            e->failed = 1;
            return;
        }
        if (e->used) memcpy(larger, e->text, e->used);
        e->text = larger;
        e->capacity = capacity;
    }
    memcpy(e->text + e->used, text, size);
    e->used += size;
}

static void put_text(elf *e, const char *text)
{
    put(e, text, strlen(text));
}

/* Names are bytes: what is not plain ASCII is written byte by byte. */
static void put_name(elf *e, const char *name)
{
    put_text(e, "\"");
    for (const unsigned char *c = (const unsigned char *)name; *c && !e->failed; c++) {
        char code[8];
        int is_plain = *c >= 0x20 && *c < 0x7f && *c != '"' && *c != '\\';
        int size = is_plain ? 1 : snprintf(code, sizeof code, "\\u%04x", *c);
        put(e, is_plain ? (const char *)c : code, (size_t)size);
    }
    put_text(e, "\"");
}

static void put_word(elf *e, const char *key, const char *const *words, size_t count, unsigned number_of)
{
    char other[16];
    snprintf(other, sizeof other, "%u", number_of);
    put_text(e, key);
    put_name(e, number_of < count && words[number_of] ? words[number_of] : other);
}

static void put_symbol(elf *e, const symbol *s)
{
    static const char *const types[] = {"none", "object", "function", "section", "file", "common", "tls", 0, 0, 0, "ifunc"};
    static const char *const bindings[] = {"local", "global", "weak", 0, 0, 0, 0, 0, 0, 0, "unique"};
    static const char *const visibilities[] = {"default", "internal", "hidden", "protected"};
    char size[40];
    put_text(e, "{\"name\":");
    put_name(e, s->name);
    put_word(e, ",\"type\":", types, sizeof types / sizeof *types, s->type);
    put_word(e, ",\"binding\":", bindings, sizeof bindings / sizeof *bindings, s->binding);
    put_word(e, ",\"visibility\":", visibilities, 4, s->visibility);
    if (*s->version) {
        put_text(e, ",\"version\":");
        put_name(e, s->version);
        put_text(e, s->is_default ? ",\"default\":true" : ",\"default\":false");
    }
    int is_data = s->type == 1 || s->type == 5 || s->type == 6;
    if (is_data) put(e, size, (size_t)snprintf(size, sizeof size, ",\"size\":%llu", (unsigned long long)s->size_bytes));
    put_text(e, "}");
}

/* --- the parts ------------------------------------------------------------------------------------------------------ */

static void put_dynamic(elf *e)
{
    section dynamic, strings = {0};
    const char *soname = NULL, *comma = "";
    unsigned step = e->is_wide ? 16 : 8;
    if (find_section(e, SECTION_DYNAMIC, &dynamic)) get_section(e, dynamic.link, &strings);
    put_text(e, "{\"needed\":[");
    for (uint64_t o = 0; o + step <= dynamic.size; o += step) {
        uint64_t tag = word(e, dynamic.offset + o, 0, 0);
        const char *name = tag == DYN_NEEDED || tag == DYN_SONAME ? name_at(e, &strings, word(e, dynamic.offset + o, 4, 8)) : NULL;
        if (tag == 0) break;
        if (name && tag == DYN_SONAME) soname = name;
        if (!name || tag != DYN_NEEDED) continue;
        put_text(e, comma);
        put_name(e, name);
        comma = ",";
    }
    put_text(e, "],\"soname\":");
    if (soname) put_name(e, soname);
    else put_text(e, "null");
}

/* Names of the versions that the file defines, by number: one walk over the chain, which only goes forward. */
static const char **read_versions(elf *e, size_t *count)
{
    section verdef, strings;
    *count = 0;
    if (!find_section(e, SECTION_VERDEF, &verdef) || !get_section(e, verdef.link, &strings)) return NULL;
    const char **names = e->host->memory(e->job, 32768 * sizeof *names);
    if (!names) {
        e->failed = 1;
        return NULL;
    }
    memset(names, 0, 32768 * sizeof *names);
    *count = 32768;
    for (uint64_t o = 0; verdef.size >= 20 && o <= verdef.size - 20;) {
        uint64_t base = verdef.offset + o, number_of = number(e, base + 4, 2) & 0x7fff;
        uint64_t aux = number(e, base + 12, 4), next = number(e, base + 16, 4);
        names[number_of] = name_at(e, &strings, number(e, base + aux, 4));
        if (next == 0) break;
        o += next;
    }
    return names;
}

static int read_symbol(const elf *e, const section *table, const section *strings, uint64_t index, symbol *s)
{
    uint64_t base = table->offset + index * (e->is_wide ? 24 : 16);
    uint64_t info = number(e, base + (e->is_wide ? 4 : 12), 1), other = number(e, base + (e->is_wide ? 5 : 13), 1);
    uint64_t home = number(e, base + (e->is_wide ? 6 : 14), 2);
    *s = (symbol){.version = "", .type = (unsigned)info & 15, .binding = (unsigned)info >> 4, .visibility = (unsigned)other & 3};
    s->size_bytes = word(e, base, 8, 16);
    s->name = name_at(e, strings, number(e, base, 4));
    int is_outside = s->binding != 0 && s->visibility != 1 && s->visibility != 2;
    return home != 0 && is_outside && s->name && *s->name;
}

static int compare(const void *a, const void *b)
{
    const symbol *left = a, *right = b;
    int order = strcmp(left->name, right->name);
    return order ? order : strcmp(left->version, right->version);
}

static void put_symbols(elf *e, const section *table)
{
    section strings, versym;
    size_t version_count = 0, count = 0;
    uint64_t most = table->size / (e->is_wide ? 24 : 16);
    symbol *symbols = e->host->memory(e->job, (size_t)(most + 1) * sizeof *symbols);
    const char **versions = read_versions(e, &version_count);
    if (!symbols) e->failed = 1;
    get_section(e, table->link, &strings);
    find_section(e, SECTION_VERSYM, &versym);
    for (uint64_t i = 1; !e->failed && i < most; i++) {
        symbol *s = &symbols[count];
        if (!read_symbol(e, table, &strings, i, s)) continue;
        uint64_t version = versions && 2 * i + 2 <= versym.size ? number(e, versym.offset + 2 * i, 2) : 0;
        s->is_default = !(version & 0x8000);
        version &= 0x7fff;
        if (version > 1 && versions[version]) s->version = versions[version];
        count++;
    }
    if (!e->failed && count > 1) qsort(symbols, count, sizeof *symbols, compare);
    put_text(e, ",\"symbols\":[");
    for (size_t i = 0; !e->failed && i < count; i++) {
        if (i > 0) put_text(e, ",");
        put_symbol(e, &symbols[i]);
    }
    put_text(e, "]}");
}

static int read_header(elf *e)
{
    const unsigned char *head = at(e, 0, HEADER_SMALLEST);
    if (!head || memcmp(head, "\177ELF", 4) != 0 || head[4] < 1 || head[4] > 2 || head[5] < 1 || head[5] > 2) return 0;
    e->is_wide = head[4] == 2;
    e->is_big = head[5] == 2;
    e->section_at = word(e, 0, 32, 40);
    e->section_size = number(e, e->is_wide ? 58 : 46, 2);
    e->section_count = number(e, e->is_wide ? 60 : 48, 2);
    if (e->section_count == 0 && e->section_at && at(e, e->section_at, 64)) /* too many for the header */
        e->section_count = word(e, e->section_at, 20, 32);
    if (e->section_size < (e->is_wide ? 64u : 40u) || e->section_count > e->size / e->section_size) return 0;
    return e->section_count > 0 && at(e, e->section_at, e->section_count * e->section_size) != NULL;
}

static int run(const weir_host *host, weir_job *job)
{
    elf e = {.host = host, .job = job};
    const char *data = NULL;
    size_t size = 0;
    section table;
    int rc = host->input_read(job, "file", 0, &data, &size);
    if (rc != 0) return rc;
    e.data = (const unsigned char *)data;
    e.size = size;
    if (!data || !read_header(&e))
        return host->fail(job, "input \"file\" is no ELF file with section headers (a shared library, object or program)");
    int is_object = number(&e, 16, 2) == TYPE_RELOCATABLE;
    if (!find_section(&e, is_object ? SECTION_SYMTAB : SECTION_DYNSYM, &table))
        return host->fail(job, "input \"file\" is an ELF file without %s symbols", is_object ? "" : "dynamic");
    put_dynamic(&e);
    put_symbols(&e, &table);
    if (e.failed) return host->fail(job, "the symbols are more than memory or a value can hold");
    return host->value_json(job, e.text, e.used);
}

static const weir_port inputs[] = {{"file", WEIR_REQUIRED, "an ELF file"}, {NULL, 0, NULL}};
static const weir_port outputs[] = {{NULL, 0, NULL}};

extern const weir_effect builtin_symbols;
const weir_effect builtin_symbols = {
    .size = sizeof(weir_effect),
    .name = "symbols",
    .version = "1",
    .help = "the interface of a shared library or object, as the node's value",
    .inputs = inputs,
    .outputs = outputs,
    .params = NULL, /* any */
    .run = run,
};
