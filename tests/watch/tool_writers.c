/*
 * tool_writers.c - edits a tree in every way at once, and says whether what was made of it is right.
 *
 *     watch_tool_writers write SEED MS WRITERS     in the working folder: src/, away/; prints the number of edits
 *     watch_tool_writers check                     exits with 0 when build/ is what a clean run of test_torture.sh's workflow makes
 *
 * The writers are processes that share the names, so that they get in one another's way: in place, by rename over, removed and made anew,
 * through a mapping (the second store leaves the stamps as they are), folders moved out and in, deep new trees, trees removed. What is
 * right is plain: build/REL.out is a copy of src/REL.txt, for all of them and nothing else, and build/all.out is all of them in the
 * order of their paths.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { FOLDERS = 8, FILES = 12, PATH_ROOM = 512, FILES_MOST = 20000 };

static unsigned long long state;
static long edits;

static unsigned below(unsigned n)
{
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    return (unsigned)(state >> 33) % n;
}

static long long now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (long long)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void pick(char *path)
{
    snprintf(path, PATH_ROOM, "src/d%u/f%u.txt", below(FOLDERS), below(FILES));
}

static void put(const char *path, int flags)
{
    char text[120];
    int n = snprintf(text, sizeof text, "%d %ld %u\n", (int)getpid(), edits, below(1000000));
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0644);
    if (fd < 0) return;
    ssize_t half = write(fd, text, (size_t)n / 2), rest = half < 0 ? -1 : write(fd, text + half, (size_t)(n - half));
    (void)rest;
    close(fd);
}

static void replace(const char *path)
{
    char temp[PATH_ROOM];
    snprintf(temp, sizeof temp, "%.300s.%d", path, (int)getpid());
    put(temp, O_TRUNC);
    if (rename(temp, path) != 0) unlink(temp);
}

static sigjmp_buf cut_short;

/* Somebody cut the file that is mapped: the store had no page to go to. */
static void on_bus(int number)
{
    (void)number;
    siglongjmp(cut_short, 1);
}

static void map_it(const char *path)
{
    struct stat st;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) return;
    if (fstat(fd, &st) == 0 && st.st_size > 8) {
        char *at = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (at != MAP_FAILED) {
            if (sigsetjmp(cut_short, 1) == 0) {
                at[0] = (char)('a' + below(26));
                usleep(below(3000));
                at[1] = (char)('a' + below(26));
            }
            munmap(at, (size_t)st.st_size);
        }
    }
    close(fd);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st, (void)type, (void)at;
    remove(path);
    return 0;
}

static void remove_tree(const char *path)
{
    nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void deep(unsigned who)
{
    char path[PATH_ROOM];
    int n = snprintf(path, sizeof path, "src/n%u", who);
    if (below(3) == 0) {
        remove_tree(path);
        return;
    }
    mkdir(path, 0755);
    for (unsigned i = 0; i < 4; i++) {
        n += snprintf(path + n, sizeof path - (size_t)n, "/s%u", below(2));
        mkdir(path, 0755);
        char file[PATH_ROOM + 40];
        snprintf(file, sizeof file, "%s/x%u.txt", path, below(3));
        put(file, O_TRUNC);
    }
}

static void move_folder(void)
{
    char inside[64], outside[64];
    unsigned k = below(FOLDERS);
    snprintf(inside, sizeof inside, "src/d%u", k);
    snprintf(outside, sizeof outside, "away/d%u", below(FOLDERS));
    if (below(2) == 0) rename(inside, outside);
    else rename(outside, inside);
    if (below(4) == 0) mkdir(inside, 0755);
}

static void edit(unsigned who)
{
    char path[PATH_ROOM], other[PATH_ROOM];
    pick(path);
    pick(other);
    edits++;
    switch (below(16)) {
    case 0: case 1: case 2: case 3: put(path, O_TRUNC); break;
    case 4: put(path, 0); break;
    case 5: case 6: case 7: replace(path); break;
    case 8: unlink(path); break;
    case 9: unlink(path); put(path, O_EXCL); break;
    case 10: case 11: map_it(path); break;
    case 12: rename(path, other); break;
    case 13: move_folder(); break;
    case 14: deep(who); break;
    default: put(path, O_APPEND); break;
    }
}

static int write_all(unsigned seed, long ms, unsigned writers)
{
    int ends[2];
    long total = 0, one;
    if (pipe(ends) != 0) return 1;
    for (unsigned i = 0; i < FOLDERS; i++) { /* what was lost comes back from time to time */
        char path[64];
        snprintf(path, sizeof path, "src/d%u", i);
        if (below(2) == 0) mkdir(path, 0755);
    }
    long long until = now_ms() + ms;
    for (unsigned who = 0; who < writers; who++) {
        if (fork() != 0) continue;
        state = seed * 1000003ULL + who;
        signal(SIGBUS, on_bus);
        while (now_ms() < until) edit(who);
        if (write(ends[1], &edits, sizeof edits) < 0) _exit(1);
        _exit(0);
    }
    close(ends[1]);
    while (read(ends[0], &one, sizeof one) == sizeof one) total += one;
    while (wait(NULL) > 0) {}
    printf("%ld\n", total);
    return 0;
}

/* --- what should be there ------------------------------------------------------------------------------------------ */

static char *found[FILES_MOST];
static size_t found_count, outputs;

static int find_source(const char *path, const struct stat *st, int type, struct FTW *at)
{
    size_t n = strlen(path);
    (void)st;
    if (type == FTW_F && n > 4 && strcmp(path + n - 4, ".txt") == 0 && path[at->base] != '.' && found_count < FILES_MOST)
        found[found_count++] = strdup(path);
    return 0;
}

static int count_output(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)path, (void)st, (void)at;
    outputs += type == FTW_F;
    return 0;
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The whole content; NULL when it cannot be read. */
static char *content(const char *path, size_t *size)
{
    FILE *f = fopen(path, "r");
    char *text = malloc(1 << 22);
    *size = f && text ? fread(text, 1, 1 << 22, f) : 0;
    if (f) fclose(f);
    if (f) return text;
    free(text);
    return NULL;
}

static int wrong(const char *what, const char *path)
{
    printf("%s: %s\n", path, what);
    return 1;
}

static int check(void)
{
    size_t all_size, all_at = 0;
    char *all = content("build/all.out", &all_size);
    if (!all) return wrong("is not there", "build/all.out");
    nftw("src", find_source, 16, FTW_PHYS);
    nftw("build", count_output, 16, FTW_PHYS);
    qsort(found, found_count, sizeof *found, by_bytes);
    for (size_t i = 0; i < found_count; i++) {
        char path[PATH_ROOM];
        size_t source_size, output_size;
        int n = (int)strlen(found[i]) - 8; /* src/ and .txt */
        snprintf(path, sizeof path, "build/%.*s.out", n, found[i] + 4);
        char *source = content(found[i], &source_size), *output = content(path, &output_size);
        if (!source) return wrong("cannot be read", found[i]);
        if (!output) return wrong("is not there", path);
        if (source_size != output_size || memcmp(source, output, source_size) != 0) return wrong("is another content", path);
        if (all_at + source_size > all_size || memcmp(all + all_at, source, source_size) != 0) return wrong("differs where this comes", found[i]);
        all_at += source_size;
        free(source);
        free(output);
        free(found[i]);
        found[i] = NULL;
    }
    free(all);
    if (all_at != all_size) return wrong("is longer than what there is", "build/all.out");
    if (outputs != found_count + 1) {
        printf("%zu files in build, expected %zu\n", outputs, found_count + 1);
        return 1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 5 && strcmp(argv[1], "write") == 0)
        return write_all((unsigned)atoi(argv[2]), atol(argv[3]), (unsigned)atoi(argv[4]));
    if (argc == 2 && strcmp(argv[1], "check") == 0) return check();
    return 2;
}
