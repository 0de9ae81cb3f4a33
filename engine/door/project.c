/*
 * project.c - finds the project.
 */
#include "engine/door/project.h"

#include <fcntl.h>
#include <stdio.h>

#include "engine/base/os.h"

const char PROJECT_HINT[] = "a project is a folder with a weir.lua, a workflow; -C DIR works in another folder";

/* "a/b", owned. */
static char *join(const char *a, const char *b)
{
    size_t size = strlen(a) + strlen(b) + 2;
    char *path = mem_alloc(size);
    if (path) snprintf(path, size, "%s%s%s", a, *a && a[strlen(a) - 1] == '/' ? "" : "/", b);
    return path;
}

static bool is_there(const char *folder, const char *name)
{
    os_stat found = {0};
    char *path = name[0] == '/' ? mem_strdup(name) : join(folder, name);
    bool there = path && os_statat(AT_FDCWD, path, true, &found, NULL) == 0 && found.type != OS_ABSENT;
    mem_free(path);
    return there;
}

/* Cut the last component off; false at the top. */
static bool go_up(char *folder)
{
    char *slash = strrchr(folder, '/');
    if (!slash || folder[1] == '\0') return false;
    if (slash == folder) slash++;
    *slash = '\0';
    return true;
}

/* `path` below `root`, both absolute and clean; NULL: it is not. Borrowed from path. */
static const char *below(const char *root, const char *path)
{
    size_t size = strlen(root);
    if (strcmp(root, "/") == 0) return path + 1;
    if (strncmp(root, path, size) != 0) return NULL;
    if (path[size] == '\0') return path + size;
    return path[size] == '/' ? path + size + 1 : NULL;
}

static int find_root(project *p, const char *start, const options *o, weir_error *err)
{
    const char *name = o->file ? o->file : "weir.lua";
    p->root = mem_strdup(start);
    if (!p->root) return error_nomem(err, "looking for the project");
    do {
        if (is_there(p->root, ".weir") || is_there(p->root, "weir.lua") || (o->file && name[0] != '/' && is_there(p->root, name)))
            return 0;
    } while (go_up(p->root));
    return error_set(err, WEIR_NOTFOUND, "there is no %s in %s or in a folder above it", name, start);
}

/* The definition file, below the root: as seen from the working folder, else from the root. */
static int find_workflow(project *p, const char *start, const options *o, weir_error *err)
{
    char *given = NULL;
    char *real = NULL;
    const char *inside = NULL;
    if (!o->file) p->workflow = mem_strdup("weir.lua");
    else if (is_there(start, o->file)) {
        given = o->file[0] == '/' ? mem_strdup(o->file) : join(start, o->file);
        if (given && os_realpath(given, &real, err) == 0) inside = below(p->root, real);
        if (given && real && !inside) error_set(err, WEIR_USAGE, "%s is not below the project %s", o->file, p->root);
        if (inside) p->workflow = mem_strdup(inside);
    } else {
        p->workflow = mem_strdup(o->file);
    }
    int rc = p->workflow ? 0 : err->code ? err->code : error_nomem(err, "looking for the project");
    if (rc == 0) p->has_workflow = is_there(p->root, p->workflow);
    mem_free(given);
    mem_free(real);
    return rc;
}

static int set_paths(project *p, const char *start, weir_error *err)
{
    const char *inside = below(p->root, start);
    p->prefix = join(inside ? inside : "", "");
    if (p->prefix && strcmp(p->prefix, "/") == 0) p->prefix[0] = '\0';
    p->db_path = join(p->root, ".weir/weir.db");
    return p->prefix && p->db_path ? 0 : error_nomem(err, "looking for the project");
}

int project_find(project *p, const options *o, weir_error *err)
{
    char *start = NULL;
    *p = (project){0};
    error_clear(err);
    int rc = os_realpath(o->folder ? o->folder : ".", &start, err);
    if (rc == 0) rc = find_root(p, start, o, err);
    if (rc == 0) rc = find_workflow(p, start, o, err);
    if (rc == 0) rc = set_paths(p, start, err);
    mem_free(start);
    return rc;
}

void project_deinit(project *p)
{
    mem_free(p->root);
    mem_free(p->workflow);
    mem_free(p->prefix);
    mem_free(p->db_path);
    *p = (project){0};
}

/* Take "." and ".." out of an absolute path, in place, by text. */
static void clean(char *path)
{
    char *to = path;
    for (const char *at = path; *at;) {
        size_t size = strcspn(++at, "/");
        if (size == 2 && at[0] == '.' && at[1] == '.') {
            while (to > path && *--to != '/') {}
        } else if (size > 0 && !(size == 1 && at[0] == '.')) {
            *to++ = '/';
            memmove(to, at, size);
            to += size;
        }
        at += size;
    }
    if (to == path) *to++ = '/';
    *to = '\0';
}

char *project_path(const project *p, const char *written)
{
    char *folder = join(p->root, p->prefix);
    char *path = !folder ? NULL : written[0] == '/' ? mem_strdup(written) : join(folder, written);
    if (path) clean(path);
    const char *inside = path ? below(p->root, path) : NULL;
    char *result = inside ? mem_strdup(inside) : NULL;
    mem_free(folder);
    mem_free(path);
    return result;
}
