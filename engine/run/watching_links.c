/*
 * watching_links.c - see watching_links.h. Hops are followed one by one, as the kernel does; the folder of each is resolved as a whole.
 */
#include "engine/run/watching_links.h"

#include <stdio.h>
#include <string.h>

#include "engine/base/os.h"

enum { HOPS_MOST = 16 };

void watching_links_init(watching_links *l)
{
    *l = (watching_links){0};
    map_init(&l->hops);
}

void watching_links_clear(watching_links *l)
{
    for (size_t i = 0; i < l->count; i++) mem_free(l->aliases[i].path);
    l->count = 0;
    map_clear(&l->hops);
}

void watching_links_deinit(watching_links *l)
{
    watching_links_clear(l);
    mem_free(l->aliases);
    map_deinit(&l->hops);
}

static bool has_alias(const watching_links *l, const uint64_t *slot, const char *path)
{
    for (size_t at = slot ? *slot : 0; at != 0; at = l->aliases[at - 1].next)
        if (strcmp(l->aliases[at - 1].path, path) == 0) return true;
    return false;
}

static int remember(watching_links *l, const char *hop, const char *path, weir_error *err)
{
    uint64_t *slot = map_put(&l->hops, bytes_str(hop), NULL);
    if (has_alias(l, slot, path)) return 0;
    char *copy = slot ? mem_strdup(path) : NULL;
    if (!copy || !MEM_GROW(l->aliases, l->capacity, l->count + 1)) {
        mem_free(copy);
        return error_nomem(err, "watching a link");
    }
    l->aliases[l->count++] = (struct watching_alias){copy, *slot};
    *slot = l->count;
    return 0;
}

/* As the watch names it: below the root without the root. */
static const char *below_root(const char *root, const char *path)
{
    size_t n = strcmp(root, "/") == 0 ? 0 : strlen(root);
    if (strncmp(path, root, n) != 0 || (path[n] != '/' && path[n] != 0)) return path;
    return path[n] == '/' ? path + n + 1 : path + n;
}

/* Where the link at `at` (absolute, its folder resolved) leads, in the same form; false: it is none, or leads nowhere. */
static bool read_hop(const char *at, buf *to)
{
    os_stat st;
    buf text;
    char *folder = NULL;
    bool is = os_statat(-100, at, false, &st, NULL) == 0 && st.type == OS_LINK;
    buf_init(&text);
    if (is && os_readlinkat(-100, at, &text, NULL) != 0) is = false;
    const char *target = is ? buf_cstr(&text) : NULL;
    buf whole;
    buf_init(&whole);
    if (target && target[0] != '/') buf_printf(&whole, "%.*s/", (int)(strrchr(at, '/') - at), at);
    if (target) buf_text(&whole, target);
    char *path = target && buf_cstr(&whole) ? mem_strdup(buf_cstr(&whole)) : NULL;
    char *slash = path ? strrchr(path, '/') : NULL;
    is = slash && slash[1] != 0 && strcmp(slash + 1, "..") != 0 && strcmp(slash + 1, ".") != 0;
    if (is) {
        *slash = 0;
        is = os_realpath(path[0] ? path : "/", &folder, NULL) == 0;
    }
    buf_clear(to);
    if (is) buf_printf(to, "%s/%s", strcmp(folder, "/") == 0 ? "" : folder, slash + 1);
    mem_free(folder);
    mem_free(path);
    buf_deinit(&whole);
    buf_deinit(&text);
    return is && buf_cstr(to);
}

static int take_hop(watching_links *l, const char *root, const char *hop, const char *path, void (*folder)(void *ctx, bytes path), void *ctx,
                    weir_error *err)
{
    const char *name = below_root(root, hop), *slash = strrchr(name, '/');
    int rc = remember(l, name, path, err);
    if (rc == 0) folder(ctx, bytes_of(name, !slash ? 0 : slash == name ? 1 : (size_t)(slash - name)));
    return rc;
}

int watching_links_follow(watching_links *l, const char *root, const char *path, void (*folder)(void *ctx, bytes path), void *ctx,
                          weir_error *err)
{
    buf at, next;
    int rc = 0;
    buf_init(&at);
    buf_init(&next);
    buf_printf(&at, "%s%s%s", path[0] == '/' ? "" : root, path[0] == '/' ? "" : "/", path);
    for (int hops = 0; rc == 0 && hops < HOPS_MOST && buf_cstr(&at) && read_hop(buf_cstr(&at), &next); hops++) {
        rc = take_hop(l, root, buf_cstr(&next), path, folder, ctx, err);
        buf_clear(&at);
        buf_append(&at, next.data, next.size);
    }
    buf_deinit(&at);
    buf_deinit(&next);
    return rc;
}

static void note_hop(const watching_links *l, bytes hop, unsigned flags, suspects *to)
{
    const uint64_t *slot = map_get(&l->hops, hop);
    for (size_t at = slot ? *slot : 0; at != 0; at = l->aliases[at - 1].next) suspects_add(to, "", l->aliases[at - 1].path, flags);
}

void watching_links_note(const watching_links *l, const watch_change *change, suspects *to)
{
    size_t n = strlen(change->folder), at = 0;
    bytes hop;
    buf path;
    if (l->count == 0) return;
    buf_init(&path);
    for (size_t i = 0; i < change->count; i++) {
        buf_clear(&path);
        buf_printf(&path, "%s%s%s", change->folder, n == 0 || strcmp(change->folder, "/") == 0 ? "" : "/", change->names[i].name);
        note_hop(l, buf_bytes(&path), SUSPECT_LISTING | SUSPECT_DEEP | SUSPECT_WRITTEN, to);
    }
    while (change->whole && map_next(&l->hops, &at, &hop, NULL)) {
        bool is_in = hop.size > n && memcmp(hop.data, change->folder, n) == 0 && (n == 0 ? hop.data[0] != '/' : hop.data[n] == '/');
        if (is_in) note_hop(l, hop, SUSPECT_LISTING | SUSPECT_DEEP | SUSPECT_WRITTEN, to);
    }
    buf_deinit(&path);
}
