/*
 * plugin.c - effects in shared objects, and the build id of a file of code.
 *
 * The only home of dlfcn.h. A plug-in runs its constructors when it is mapped, so this happens in a script host or worker, never
 * in the engine (P9). Linkers write a build id into a note that a program header points to: a hash over what they linked, so
 * reading a few hundred bytes tells whether the code is the same. Everything odd about the ELF structure means "no
 * note", and the content decides.
 *
 * One thread at a time (dlerror).
 */
#include "engine/effect/plugin.h"

#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <unistd.h>

#include "engine/base/memory.h"
#include "engine/base/os.h"

enum { NOTES_LIMIT = 64 * 1024, HEADERS_LIMIT = 512, CHUNK = 64 * 1024 };

/* --- build id --------------------------------------------------------------------------------------------------- */

/* Read exactly `size` bytes at `offset`; false when there are not as many. */
static bool read_at(int fd, uint64_t offset, void *to, size_t size)
{
    if (offset > INT64_MAX || lseek(fd, (off_t)offset, SEEK_SET) < 0) return false;
    size_t have = 0;
    while (have < size) {
        ssize_t got = os_read(fd, (char *)to + have, size - have, "", NULL);
        if (got <= 0) return false;
        have += (size_t)got;
    }
    return true;
}

static size_t align4(size_t size)
{
    return (size + 3) & ~(size_t)3;
}

/* Look for the build id among the notes of one segment. */
static bool find_note(const uint8_t *notes, size_t size, hash128 *build)
{
    ElfW(Nhdr) head;
    while (size >= sizeof head) {
        memcpy(&head, notes, sizeof head);
        size_t name_size = align4(head.n_namesz), text_size = align4(head.n_descsz);
        size_t left = size - sizeof head;
        if (head.n_namesz > left || name_size > left || head.n_descsz > left - name_size) return false;
        const uint8_t *name = notes + sizeof head;
        if (head.n_type == NT_GNU_BUILD_ID && head.n_namesz == 4 && memcmp(name, "GNU", 4) == 0 && head.n_descsz >= 8) {
            *build = hash_bytes(name + name_size, head.n_descsz);
            return true;
        }
        if (text_size > left - name_size) return false;
        notes = name + name_size + text_size;
        size = left - name_size - text_size;
    }
    return false;
}

static bool segment_build_id(int fd, const ElfW(Phdr) *segment, hash128 *build)
{
    if (segment->p_type != PT_NOTE || segment->p_filesz > NOTES_LIMIT) return false;
    size_t size = (size_t)segment->p_filesz;
    uint8_t *notes = mem_alloc(size + 1);
    bool found = notes && read_at(fd, segment->p_offset, notes, size) && find_note(notes, size, build);
    mem_free(notes);
    return found;
}

static bool elf_build_id(int fd, hash128 *build)
{
    ElfW(Ehdr) head;
    ElfW(Phdr) segment;
    if (!read_at(fd, 0, &head, sizeof head) || memcmp(head.e_ident, ELFMAG, SELFMAG) != 0) return false;
    if (head.e_ident[EI_CLASS] != (sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32)) return false;
    if (head.e_phentsize != sizeof segment || head.e_phnum > HEADERS_LIMIT) return false;
    for (size_t i = 0; i < head.e_phnum; i++) {
        if (!read_at(fd, head.e_phoff + i * sizeof segment, &segment, sizeof segment)) return false;
        if (segment_build_id(fd, &segment, build)) return true;
    }
    return false;
}

static int content_build_id(int fd, const char *path, hash128 *build, weir_error *err)
{
    hash_stream stream;
    ssize_t got = lseek(fd, 0, SEEK_SET) == 0 ? 1 : error_set(err, WEIR_IO, "cannot read %s from its start", path);
    uint8_t *chunk = mem_alloc(CHUNK);
    if (!chunk) got = error_nomem(err, "hashing a file of code");
    hash_begin(&stream);
    while (got > 0) {
        got = os_read(fd, chunk, CHUNK, path, err);
        if (got > 0) hash_update(&stream, chunk, (size_t)got);
    }
    if (got == 0) *build = hash_end(&stream);
    mem_free(chunk);
    return (int)got;
}

int plugin_build_id(const char *path, hash128 *build, weir_error *err)
{
    int fd = os_openat(AT_FDCWD, path, OS_READ, 0, err);
    if (fd < 0) return fd;
    int rc = elf_build_id(fd, build) ? 0 : content_build_id(fd, path, build, err);
    os_close(fd);
    return rc;
}

/* --- plug-ins --------------------------------------------------------------------------------------------------- */

typedef const weir_plugin *(*plugin_entry)(void);

/* ISO C knows no way from an object pointer to a function pointer; POSIX promises that the bytes are the same. */
static plugin_entry find_entry(void *library)
{
    void *symbol = dlsym(library, WEIR_PLUGIN_SYMBOL);
    plugin_entry entry = NULL;
    _Static_assert(sizeof entry == sizeof symbol, "function pointers as wide as others");
    if (symbol) memcpy(&entry, &symbol, sizeof entry);
    return entry;
}

static int check_plugin(const char *path, const weir_plugin *plugin, weir_error *err)
{
    if (!plugin) return error_set(err, WEIR_WORKFLOW, "plug-in %s: %s gave nothing", path, WEIR_PLUGIN_SYMBOL);
    /* The first two fields are the same in every version; the rest is looked at only once they are right. */
    if (plugin->abi != WEIR_EFFECT_ABI)
        return error_set(err, WEIR_WORKFLOW, "plug-in %s: made for effect ABI %u, this weir has %d; build it again", path,
                         plugin->abi, WEIR_EFFECT_ABI);
    if (plugin->size < sizeof *plugin)
        return error_set(err, WEIR_WORKFLOW, "plug-in %s: its struct weir_plugin has %zu bytes, at least %zu are needed",
                         path, plugin->size, sizeof *plugin);
    if (!plugin->effects) return error_set(err, WEIR_WORKFLOW, "plug-in %s: has no list of effects", path);
    return 0;
}

static int open_library(const char *path, const char *place, void **library, weir_error *err)
{
    *library = dlopen(place, RTLD_NOW | RTLD_LOCAL);
    if (*library) return 0;
    const char *why = dlerror();
    return error_set(err, WEIR_WORKFLOW, "plug-in %s: %s", path, why ? why : "cannot be loaded");
}

int plugin_open(const char *path, const weir_plugin **out, weir_error *err)
{
    buf place;
    void *library = NULL;
    *out = NULL;
    buf_init(&place);
    if (!strchr(path, '/')) buf_text(&place, "./");
    buf_text(&place, path);
    const char *where = buf_cstr(&place);
    int rc = where ? open_library(path, where, &library, err) : error_nomem(err, "loading a plug-in");
    buf_deinit(&place);
    if (rc != 0) return rc;

    plugin_entry entry = find_entry(library);
    const weir_plugin *plugin = entry ? entry() : NULL;
    if (!entry)
        rc = error_set(err, WEIR_WORKFLOW, "plug-in %s: does not export %s; see effects/template.c", path,
                       WEIR_PLUGIN_SYMBOL);
    if (rc == 0) rc = check_plugin(path, plugin, err);
    if (rc != 0) (void)dlclose(library);
    if (rc == 0) *out = plugin;
    return rc;
}
