/*
 * document.c - see document.h.
 */
#include "engine/store/document.h"

#include <stdio.h>

/* --- documents --------------------------------------------------------------------------------------------------- */

static bool ends_with(bytes path, const char *ending)
{
    size_t size = strlen(ending);
    return path.size > size && memcmp(path.data + path.size - size, ending, size) == 0;
}

bool document_is_one(bytes path)
{
    return ends_with(path, ".json") || ends_with(path, ".toml");
}

int document_parse(bytes path, bytes text, buf *to, weir_error *err)
{
    weir_error why = {0};
    int line = 0, column = 0, at = 0;
    int rc = ends_with(path, ".toml") ? value_from_toml(text, to, &why) : value_from_json(text, to, &why);
    if (rc == 0 || !err) return rc;
    bool has_place = sscanf(why.message, "%*4s: line %d, column %d: %n", &line, &column, &at) == 2 && at > 0;
    if (!has_place) return error_set(err, rc, "%.*s: %s", (int)path.size, (const char *)path.data, why.message);
    return error_set(err, rc, "%.*s:%d:%d: %s", (int)path.size, (const char *)path.data, line, column, why.message + at);
}

/* --- keys -------------------------------------------------------------------------------------------------------- */

typedef struct key_step {
    bytes name;      /* data NULL: a position */
    size_t position; /* from 1 */
} key_step;

static bool is_bare(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c >= 0x80;
}

static bool take_position(bytes key, size_t *at, key_step *step)
{
    size_t begin = ++*at;
    step->name = (bytes){NULL, 0};
    step->position = 0;
    for (; *at < key.size && key.data[*at] >= '0' && key.data[*at] <= '9' && *at - begin < 9; (*at)++)
        step->position = step->position * 10 + (size_t)(key.data[*at] - '0');
    if (step->position == 0 || *at == key.size || key.data[*at] != ']') return false;
    (*at)++;
    return true;
}

static bool take_name(bytes key, size_t *at, key_step *step)
{
    size_t begin = *at;
    if (*at < key.size && key.data[*at] == '"') {
        const uint8_t *end = memchr(key.data + begin + 1, '"', key.size - begin - 1);
        if (!end) return false;
        step->name = bytes_of(key.data + begin + 1, (size_t)(end - key.data) - begin - 1);
        *at = (size_t)(end - key.data) + 1;
        return true;
    }
    while (*at < key.size && is_bare(key.data[*at])) (*at)++;
    step->name = bytes_of(key.data + begin, *at - begin);
    return *at > begin;
}

/* The next step from *at; 1, 0 at the end, -1: malformed. */
static int next_step(bytes key, size_t *at, key_step *step)
{
    if (*at >= key.size) return 0;
    if (key.data[*at] == '[') return take_position(key, at, step) ? 1 : -1;
    if (*at > 0 && key.data[*at] != '.') return -1;
    if (*at > 0) (*at)++;
    return take_name(key, at, step) ? 1 : -1;
}

int document_check_key(bytes key, weir_error *err)
{
    size_t at = 0;
    key_step step;
    int more = key.size > 0 && !memchr(key.data, '\0', key.size) ? 1 : -1;
    while (more > 0) more = next_step(key, &at, &step);
    if (more == 0) return 0;
    return error_set(err, WEIR_USAGE, "'%.*s' is no key: write it like title, site.title, authors[1].name or pages.\"a.b\"",
                     key.size > 200 ? 200 : (int)key.size, key.size ? (const char *)key.data : "");
}

static bool member_named(bytes object, bytes name, bytes *member)
{
    value_reader reader = value_read(object);
    value_item head;
    bytes key;
    if (!value_next(&reader, &head) || head.type != VALUE_OBJECT) return false;
    for (size_t i = 0; i < head.count && value_key(&reader, &key) && value_skip(&reader, member); i++)
        if (bytes_equal(key, name)) return true;
    return false;
}

static bool member_at(bytes array, size_t position, bytes *member)
{
    value_reader reader = value_read(array);
    value_item head;
    if (!value_next(&reader, &head) || head.type != VALUE_ARRAY || position > head.count) return false;
    for (size_t i = 0; i < position; i++)
        if (!value_skip(&reader, member)) return false;
    return true;
}

bool document_find(bytes encoded, bytes key, bytes *value)
{
    size_t at = 0;
    key_step step;
    *value = encoded;
    for (int more; (more = next_step(key, &at, &step)) != 0;) {
        bytes inner = {NULL, 0};
        if (more < 0) return false;
        bool found = step.name.data ? member_named(*value, step.name, &inner) : member_at(*value, step.position, &inner);
        if (!found) return false;
        *value = inner;
    }
    return true;
}

/* --- as members of a declaration --------------------------------------------------------------------------------- */

bool document_is_key(const spec_member *m)
{
    return m->kind == MEMBER_ITEM && m->item == ITEM_FILE && m->port.size > 0;
}

void document_put_port(buf *b, bytes key, bytes fallback)
{
    buf_put_bytes(b, key);
    buf_append(b, fallback.data, fallback.size);
}

void document_get_port(bytes port, bytes *key, bytes *fallback)
{
    unpack u = unpack_of(port);
    *key = unpack_bytes(&u);
    *fallback = u.failed ? (bytes){NULL, 0} : bytes_of(u.at, (size_t)(u.end - u.at));
}
