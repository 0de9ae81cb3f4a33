/*
 * path.c - names below the root: made plain, kept inside, and programs found.
 *
 * scan_inside walks a path component by component and resolves each link by hand, as the kernel would below a root that cannot be
 * left: a link may point anywhere inside, absolute ones too if they name something below the root. One lstat per
 * component; openat2(RESOLVE_BENEATH) would answer the yes or no with fewer calls, but not the resolved name.
 *
 * Any thread. Nothing is kept.
 */
#include <fcntl.h>
#include <stdio.h>

#include "engine/world/scan.h"

enum { LINKS_MOST = 40, PATH_MOST = 4095 };

/* --- normalising ------------------------------------------------------------------------------------------------- */

static void show(bytes path, char text[128])
{
    size_t size = path.size < 127 ? path.size : 127;
    for (size_t i = 0; i < size; i++) text[i] = path.data[i] < 0x20 ? '?' : (char)path.data[i];
    text[size] = '\0';
}

static int refuse(weir_error *err, bytes path, const char *why)
{
    char text[128];
    show(path, text);
    return error_set(err, WEIR_WORKFLOW, "path \"%s\" %s", text, why);
}

/* Cuts off the last component; false when there is none. `start`: where the path begins in the buffer. */
static bool go_up(buf *to, size_t start)
{
    if (to->size == start) return false;
    while (to->size > start && to->data[to->size - 1] != '/') to->size--;
    if (to->size > start) to->size--;
    return true;
}

static void go_down(buf *to, size_t start, bytes name)
{
    if (to->size > start) buf_byte(to, '/');
    buf_append(to, name.data, name.size);
}

static bool is_up(bytes name)
{
    return name.size == 2 && name.data[0] == '.' && name.data[1] == '.';
}

static bool is_here(bytes name)
{
    return name.size == 0 || (name.size == 1 && name.data[0] == '.');
}

/* Takes the next component off the front. */
static bytes take_name(bytes *path)
{
    const uint8_t *slash = path->size ? memchr(path->data, '/', path->size) : NULL;
    bytes name = {path->data, slash ? (size_t)(slash - path->data) : path->size};
    size_t used = name.size + (slash ? 1 : 0);
    *path = (bytes){path->data + used, path->size - used};
    return name;
}

int scan_normalise(bytes path, buf *to, weir_error *err)
{
    size_t start = to->size;
    bytes left = path;
    if (path.size == 0) return error_set(err, WEIR_WORKFLOW, "a path is empty");
    if (path.size > PATH_MOST) return refuse(err, path, "is longer than 4095 bytes");
    if (memchr(path.data, 0, path.size)) return refuse(err, path, "has a NUL in it");
    if (path.data[0] == '/')
        return refuse(err, path, "is absolute; paths are relative to the root of the project");
    while (left.size > 0) {
        bytes name = take_name(&left);
        if (is_here(name)) continue;
        if (!is_up(name)) {
            go_down(to, start, name);
        } else if (!go_up(to, start)) {
            to->size = start;
            return refuse(err, path, "leaves the root of the project");
        }
    }
    if (to->failed) return error_nomem(err, "reading a path");
    return to->size > start ? 0 : refuse(err, path, "is the root of the project itself");
}

/* --- staying inside ---------------------------------------------------------------------------------------------- */

/* The root's own absolute path, as the kernel tells it; appended. */
static int root_path(int rootfd, buf *to, weir_error *err)
{
    char link[64] = "/proc/self/cwd";
    if (rootfd >= 0) snprintf(link, sizeof link, "/proc/self/fd/%d", rootfd);
    return os_readlinkat(AT_FDCWD, link, to, err);
}

typedef struct inside {
    int rootfd;
    const char *path; /* as asked, for messages */
    buf *real;        /* the resolved path begins at `start` */
    size_t start;
    bytes left;      /* what is still to be walked */
    mem_arena arena; /* of the targets of links */
    int links;
    bool is_absent; /* the rest has nothing to resolve */
    weir_error *err;
} inside;

static int leaves(const inside *in, bytes target)
{
    char text[128];
    show(target, text);
    return error_set(in->err, WEIR_WORKFLOW, "path \"%s\" leaves the root of the project%s%s",
                     in->path, in->links ? " through a link to " : "", in->links ? text : "");
}

/* An absolute target that lies below the root is made relative to it; else the path leaves. */
static int make_relative(const inside *in, bytes *target)
{
    buf root;
    buf_init(&root);
    int rc = root_path(in->rootfd, &root, in->err);
    bool is_below = rc == 0 && target->size >= root.size &&
                    memcmp(target->data, root.data, root.size) == 0 &&
                    (target->size == root.size || target->data[root.size] == '/' || root.size == 1);
    if (rc == 0 && !is_below) rc = leaves(in, *target);
    if (rc == 0) *target = (bytes){target->data + root.size, target->size - root.size};
    buf_deinit(&root);
    return rc;
}

/* *real ends with a link: it goes, and its target comes before what is left to walk. */
static int follow(inside *in)
{
    buf text;
    buf_init(&text);
    const char *link = buf_cstr(in->real);
    int rc = link ? os_readlinkat(in->rootfd, link + in->start, &text, in->err)
                  : error_nomem(in->err, "resolving a path");
    bytes target = buf_bytes(&text);
    go_up(in->real, in->start);
    if (rc == 0 && ++in->links > LINKS_MOST)
        rc = error_set(in->err, WEIR_WORKFLOW,
                       "path \"%s\" goes through more than %d links (a loop?)", in->path,
                       LINKS_MOST);
    if (rc == 0 && target.size > 0 && target.data[0] == '/') {
        rc = make_relative(in, &target);
        in->real->size = in->start;
    }
    if (rc == 0) {
        const char *left =
            arena_printf(&in->arena, "%.*s/%.*s", (int)target.size, (const char *)target.data,
                         (int)in->left.size, in->left.size ? (const char *)in->left.data : "");
        in->left = bytes_str(left);
        if (!left) rc = error_nomem(in->err, "resolving a path");
    }
    buf_deinit(&text);
    return rc;
}

static int step(inside *in, bytes name)
{
    os_stat st;
    if (is_here(name)) return 0;
    if (is_up(name)) return go_up(in->real, in->start) ? 0 : leaves(in, bytes_str(".."));
    go_down(in->real, in->start, name);
    if (in->is_absent) return 0;
    const char *path = buf_cstr(in->real);
    int rc = path ? os_statat(in->rootfd, path + in->start, false, &st, in->err)
                  : error_nomem(in->err, "resolving a path");
    if (rc != 0) return rc;
    in->is_absent = st.type == OS_ABSENT;
    return st.type == OS_LINK ? follow(in) : 0;
}

int scan_inside(int rootfd, const char *path, buf *real, weir_error *err)
{
    inside in = {.rootfd = rootfd,
                 .path = path,
                 .real = real,
                 .start = real->size,
                 .left = bytes_str(path),
                 .err = err};
    int rc = 0;
    if (path[0] == '\0' || path[0] == '/')
        return refuse(err, in.left, "is not below the root of the project");
    while (rc == 0 && in.left.size > 0) rc = step(&in, take_name(&in.left));
    if (rc == 0 && real->failed) rc = error_nomem(err, "resolving a path");
    arena_deinit(&in.arena);
    if (rc != 0) real->size = in.start;
    return rc;
}

/* --- programs ---------------------------------------------------------------------------------------------------- */

/* Is it a program? *is_file: at least there. What stands in *to from `start` on is looked at. */
static int look_at_tool(buf *to, size_t start, bool *is_file, bool *is_program, weir_error *err)
{
    os_stat st;
    const char *path = buf_cstr(to);
    if (!path) return error_nomem(err, "looking for a program");
    int rc = os_statat(AT_FDCWD, path + start, true, &st, err);
    *is_file = rc == 0 && st.type == OS_FILE;
    *is_program = *is_file && (st.mode & 0111u) != 0;
    return rc;
}

static int tool_by_path(const char *name, int rootfd, buf *to, weir_error *err)
{
    size_t start = to->size;
    bool is_file = false;
    bool is_program = false;
    int rc = name[0] == '/' ? 0 : root_path(rootfd, to, err);
    if (name[0] != '/') buf_byte(to, '/');
    buf_text(to, name);
    if (rc == 0) rc = look_at_tool(to, start, &is_file, &is_program, err);
    if (rc == 0 && !is_program)
        rc = error_set(err, WEIR_NOTFOUND, "program \"%s\" %s", name,
                       is_file ? "is not executable" : "does not exist");
    return rc;
}

/* Folders of the PATH that are not absolute would mean something else in every folder: they are left out. */
static int tool_by_name(const char *name, const char *path_variable, buf *to, weir_error *err)
{
    size_t start = to->size;
    const char *refused = "";
    for (const char *at = path_variable; at && *at;) {
        size_t size = strcspn(at, ":");
        bool is_file = false;
        bool is_program = false;
        to->size = start;
        buf_append(to, at, size);
        buf_byte(to, '/');
        buf_text(to, name);
        /* A folder that may not be searched is passed over, as the shell does. */
        if (*at == '/' && look_at_tool(to, start, &is_file, &is_program, NULL) == WEIR_NOMEM)
            return error_nomem(err, "looking for a program");
        if (is_program) return 0;
        if (is_file) refused = "; a file of this name is not executable";
        at += size + (at[size] == ':');
    }
    return error_set(err, WEIR_NOTFOUND, "program \"%s\" is not on the PATH (%.300s)%s", name,
                     path_variable ? path_variable : "not set", refused);
}

int scan_tool(const char *name, const char *path_variable, int rootfd, buf *to, weir_error *err)
{
    size_t start = to->size;
    if (name[0] == '\0') return error_set(err, WEIR_NOTFOUND, "the name of a program is empty");
    int rc = strchr(name, '/') ? tool_by_path(name, rootfd, to, err)
                               : tool_by_name(name, path_variable, to, err);
    if (rc == 0 && to->failed) rc = error_nomem(err, "looking for a program");
    if (rc != 0) to->size = start;
    return rc;
}
