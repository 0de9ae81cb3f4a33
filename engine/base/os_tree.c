/*
 * os_tree.c - folders as wholes: list, make those on the way, remove a tree.
 *
 * Nothing here follows a link on its way down: a folder is opened by name below the descriptor of its parent,
 * so a tree that is moved or swapped for a link meanwhile does not lead outside.
 *
 * Any thread.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/os.h"
#include "engine/base/os_internal.h"

/* --- making and removing one ------------------------------------------------------------------------------------ */

/* @return 0, or an errno; *made tells whether it is new. A link to a folder counts as one. */
static int make_folder(int dirfd, const char *path, uint32_t mode, bool *made)
{
    *made = false;
    int errnum = os_fault_check(OS_OP_MKDIR);
    if (errnum) return errnum;
    if (mkdirat(dirfd, path, (mode_t)mode) == 0) {
        *made = true;
        return 0;
    }
    if (errno != EEXIST) return errno;
    struct stat found;
    if (fstatat(dirfd, path, &found, 0) != 0)
        return errno == ENOENT ? EEXIST : errno; /* dangling link */
    return S_ISDIR(found.st_mode) ? 0 : EEXIST;
}

int os_mkdirat(int dirfd, const char *path, uint32_t mode, weir_error *err)
{
    bool made;
    int errnum = make_folder(dirfd, path, mode, &made);
    return errnum ? os_fail(err, errnum, "make the folder", path) : 0;
}

int os_rmdirat(int dirfd, const char *path, bool *removed, weir_error *err)
{
    *removed = false;
    int errnum = os_fault_check(OS_OP_UNLINK);
    if (!errnum && unlinkat(dirfd, path, AT_REMOVEDIR) != 0) errnum = errno;
    *removed = !errnum;
    if (!errnum || os_is_absent(errnum) || errnum == ENOTEMPTY || errnum == EEXIST) return 0;
    return os_fail(err, errnum, "remove the folder", path);
}

/* Makes each folder in front of a slash; `path` is changed meanwhile. */
static int make_each(int dirfd, char *path, void (*made)(void *ctx, const char *folder), void *ctx,
                     weir_error *err)
{
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        if (slash[-1] == '/') continue; /* two in a row */
        bool is_new;
        *slash = '\0';
        int errnum = make_folder(dirfd, path, 0777, &is_new);
        if (errnum) return os_fail(err, errnum, "make the folder", path);
        if (is_new && made) made(ctx, path);
        *slash = '/';
    }
    return 0;
}

int os_make_parents(int dirfd, const char *path, void (*made)(void *ctx, const char *folder),
                    void *ctx, weir_error *err)
{
    const char *slash = strrchr(path, '/');
    if (!slash || slash == path) return 0;
    char *copy = mem_dup(path, strlen(path) + 1);
    if (!copy) return error_nomem(err, "making folders");

    /* Mostly they are there: one look saves one call for each of them. */
    os_stat parent;
    copy[slash - path] = '\0';
    int rc = os_statat(dirfd, copy, true, &parent, err);
    copy[slash - path] = '/';
    if (rc == 0 && parent.type != OS_DIR) rc = make_each(dirfd, copy, made, ctx, err);
    mem_free(copy);
    return rc;
}

/* --- listing ---------------------------------------------------------------------------------------------------- */

static bool is_dots(const char *name)
{
    return name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0'));
}

/* Opens for listing, without going through a final link if `flags` says O_NOFOLLOW; NULL with errno. */
static DIR *open_folder(int dirfd, const char *path, int flags)
{
    errno = os_fault_check(OS_OP_LIST);
    if (errno) return NULL;
    int fd = openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK | flags);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (!dir && fd >= 0) {
        int errnum = errno;
        os_close(fd);
        errno = errnum;
    }
    return dir;
}

/* The next entry that is not . or ..; NULL at the end (errno 0) or with errno. */
static struct dirent *next_entry(DIR *dir)
{
    struct dirent *entry;
    do {
        errno = 0;
        entry = readdir(dir);
    } while (entry && is_dots(entry->d_name));
    return entry;
}

/* OS_ABSENT: it went away meanwhile. */
static int entry_type(int dirfd, const struct dirent *entry, os_type *type, weir_error *err)
{
    os_stat st;
    int rc = 0;
    switch (entry->d_type) {
    case DT_REG: *type = OS_FILE; break;
    case DT_DIR: *type = OS_DIR; break;
    case DT_LNK: *type = OS_LINK; break;
    case DT_UNKNOWN:
        rc = os_statat(dirfd, entry->d_name, false, &st, err);
        *type = st.type;
        break;
    default: *type = OS_OTHER;
    }
    return rc;
}

static int compare_entries(const void *a, const void *b)
{
    return strcmp(((const os_entry *)a)->name, ((const os_entry *)b)->name);
}

/* Reads all entries into an array on the heap, the names into the arena. */
static int read_entries(DIR *dir, const char *path, mem_arena *arena, os_entry **list,
                        size_t *count, weir_error *err)
{
    size_t capacity = 0;
    struct dirent *entry;
    while ((entry = next_entry(dir)) != NULL) {
        os_type type;
        int rc = entry_type(dirfd(dir), entry, &type, err);
        if (rc != 0) return rc;
        if (type == OS_ABSENT) continue;
        const char *name = arena_strdup(arena, entry->d_name);
        if (!name || !MEM_GROW(*list, capacity, *count + 1))
            return error_nomem(err, "listing a folder");
        (*list)[(*count)++] = (os_entry){name, type};
    }
    return errno ? os_fail(err, errno, "list", path) : 0;
}

int os_list(int dirfd, const char *path, mem_arena *arena, os_entry **entries, size_t *count,
            weir_error *err)
{
    *entries = NULL;
    *count = 0;
    DIR *dir = open_folder(dirfd, path, 0);
    if (!dir) return os_fail(err, errno, "list", path);
    os_entry *list = NULL;
    size_t found = 0;
    int rc = read_entries(dir, path, arena, &list, &found, err);
    closedir(dir);
    if (rc == 0 && found > 0) {
        qsort(list, found, sizeof *list, compare_entries);
        *entries = arena_alloc(arena, found * sizeof *list);
        if (*entries) memcpy(*entries, list, found * sizeof *list);
        else rc = error_nomem(err, "listing a folder");
    }
    if (rc == 0) *count = found;
    mem_free(list);
    return rc;
}

/* --- removing a tree -------------------------------------------------------------------------------------------- */

enum { DEEPEST = 512 }; /* each level holds a descriptor */

static int remove_at(int parent, const char *name, int depth, weir_error *err);

/* @return 0 or an errno */
static int unlink_checked(int dirfd, const char *name, int flags)
{
    int errnum = os_fault_check(OS_OP_UNLINK);
    if (!errnum && unlinkat(dirfd, name, flags) != 0) errnum = errno;
    return errnum;
}

/* Opens a folder of the tree; one that forbids it gets its permissions first, as `rm -rf` would have us do by hand. */
static DIR *open_own(int parent, const char *name)
{
    DIR *dir = open_folder(parent, name, O_NOFOLLOW);
    struct stat st;
    if (dir && fstat(dirfd(dir), &st) == 0 && (st.st_mode & 0300) != 0300)
        (void)fchmod(dirfd(dir), 0700);
    if (dir || errno != EACCES) return dir;
    if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISDIR(st.st_mode)) return NULL;
    if (fchmodat(parent, name, 0700, 0) != 0) return NULL;
    return open_folder(parent, name, O_NOFOLLOW);
}

static int remove_content(int parent, const char *name, int depth, weir_error *err)
{
    if (depth > DEEPEST)
        return error_set(err, WEIR_LIMIT, "cannot remove %s: more than %d folders deep", name,
                         DEEPEST);
    DIR *dir = open_own(parent, name);
    if (!dir) return errno == ENOENT ? 0 : os_fail(err, errno, "open the folder", name);
    struct dirent *entry;
    int rc = 0;
    while (rc == 0 && (entry = next_entry(dir)) != NULL)
        rc = remove_at(dirfd(dir), entry->d_name, depth + 1, err);
    if (rc == 0 && errno) rc = os_fail(err, errno, "list", name);
    closedir(dir);
    return rc;
}

static int remove_at(int parent, const char *name, int depth, weir_error *err)
{
    int errnum = unlink_checked(parent, name, 0);
    if (!errnum || os_is_absent(errnum)) return 0;
    struct stat st;
    if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISDIR(st.st_mode))
        return os_fail(err, errnum, "remove", name);

    /* Entries that a file system skipped while we deleted, or that somebody added, are met by a second pass. */
    for (int pass = 0;; pass++) {
        int rc = remove_content(parent, name, depth, err);
        if (rc != 0) return rc;
        errnum = unlink_checked(parent, name, AT_REMOVEDIR);
        if (!errnum || errnum == ENOENT) return 0;
        if (errnum != ENOTEMPTY || pass == 3)
            return os_fail(err, errnum, "remove the folder", name);
    }
}

int os_remove_tree(int dirfd, const char *path, weir_error *err)
{
    return remove_at(dirfd, path, 0, err);
}
