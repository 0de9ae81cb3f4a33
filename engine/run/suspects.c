/*
 * suspects.c - see suspects.h. Everything costs as much as there are suspects, or as a path has folders above it.
 */
#include "engine/run/suspects.h"

void suspects_init(suspects *s)
{
    *s = (suspects){0};
    map_init(&s->paths);
    map_init(&s->folders);
}

void suspects_deinit(suspects *s)
{
    map_deinit(&s->paths);
    map_deinit(&s->folders);
}

void suspects_clear(suspects *s)
{
    map_clear(&s->paths);
    map_clear(&s->folders);
    s->all = false;
}

bool suspects_are_any(const suspects *s)
{
    return s->all || s->paths.count > 0 || s->folders.count > 0;
}

void suspects_add(suspects *s, const char *folder, const char *name, unsigned flags)
{
    buf path;
    buf_init(&path);
    bool has_slash = !folder[0] || strcmp(folder, "/") == 0;
    buf_printf(&path, "%s%s%s", folder, has_slash ? "" : "/", name);
    uint64_t *slot = path.failed ? NULL : map_put(&s->paths, buf_bytes(&path), NULL);
    if (slot) *slot |= flags;
    else s->all = true;
    buf_deinit(&path);
}

void suspects_add_folder(suspects *s, const char *folder, unsigned flags)
{
    uint64_t *slot = map_put(&s->folders, bytes_str(folder), NULL);
    if (slot) *slot |= flags;
    else s->all = true;
}

static unsigned deep_flags(const suspects *s, bytes path)
{
    const uint64_t *flags = map_get(&s->paths, path), *whole = map_get(&s->folders, path);
    return (whole ? SUSPECT_DEEP | (unsigned)*whole : 0u) | (flags && (*flags & SUSPECT_DEEP) ? SUSPECT_DEEP : 0u);
}

/* The folder that a path is in: "" for what is in the root, "/" for what is in the system's; false: none. */
static bool cut(bytes *path)
{
    bool is_absolute = path->size > 0 && path->data[0] == '/';
    if (path->size == 0 || (is_absolute && path->size == 1)) return false;
    size_t at = path->size;
    while (at > 0 && path->data[at - 1] != '/') at--;
    path->size = at > 1 ? at - 1 : at;
    return true;
}

unsigned suspects_cover(const suspects *s, bytes path)
{
    unsigned flags = s->all ? SUSPECT_DEEP | SUSPECT_WRITTEN : 0;
    do flags |= deep_flags(s, path);
    while (cut(&path));
    return flags;
}

static bool is_at_or_below(bytes path, bytes folder)
{
    bool is_absolute = path.size > 0 && path.data[0] == '/';
    if (folder.size == 0) return !is_absolute;
    if (path.size < folder.size || memcmp(path.data, folder.data, folder.size) != 0) return false;
    return path.size == folder.size || path.data[folder.size] == '/' || folder.size == 1;
}

static bool any_below(const map *paths, bytes folder, unsigned flags)
{
    size_t at = 0;
    bytes path;
    uint64_t has;
    while (map_next(paths, &at, &path, &has))
        if ((flags == 0 || (has & flags)) && is_at_or_below(path, folder)) return true;
    return false;
}

bool suspects_touch(const suspects *s, bytes path, bool names_only)
{
    if (suspects_cover(s, path)) return true;
    return any_below(&s->folders, path, 0) || any_below(&s->paths, path, names_only ? SUSPECT_MOVED : 0);
}

bool suspects_touch_names(const suspects *s, const char *pattern, size_t fixed, bool (*matches)(const char *pattern, const char *path))
{
    bytes folder = bytes_of(pattern, fixed > 1 ? fixed - 1 : fixed);
    size_t at = 0;
    bytes path;
    uint64_t has;
    if (suspects_cover(s, folder) || any_below(&s->folders, folder, 0) || any_below(&s->paths, folder, SUSPECT_DEEP)) return true;
    while (map_next(&s->paths, &at, &path, &has)) {
        if (!(has & SUSPECT_MOVED) || !is_at_or_below(path, folder)) continue;
        buf text;
        buf_init(&text);
        buf_append(&text, path.data, path.size);
        const char *name = buf_cstr(&text);
        bool is_match = !name || matches(pattern, name);
        buf_deinit(&text);
        if (is_match) return true;
    }
    return false;
}

bool suspects_is_written(const suspects *s, bytes path)
{
    const uint64_t *flags = map_get(&s->paths, path);
    return flags && (*flags & SUSPECT_WRITTEN);
}
