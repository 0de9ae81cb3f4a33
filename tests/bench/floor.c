/*
 * floor.c - the least that the operating system and SQLite take for the same work: what the budgets are compared with.
 *
 *     floor copy  LIST               copies each file of LIST (lines "FROM TO"), one after the other, open-read-write-close
 *     floor spawn LIST JOBS          the same with a process `cp FROM TO` for each, JOBS at once
 *     floor shell LIST JOBS          the same with `/bin/sh -c "cp FROM TO"`
 *     floor concat LIST TO           all of the first column into one file
 *     floor hash  LIST THREADS       reads and hashes (XXH3, 128 bits) the first column
 *     floor sqlite FILE COUNT SIZE   prints microseconds: one row put, in transactions of 1000; one row put, each its own; one got
 *     floor tables FILE              prints bytes of pages in use for each table or index of a database
 *
 * Wall time is what `measure` says, except for sqlite. A plain program: it stops at the first error.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <spawn.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

extern char **environ;

typedef struct pair {
    char *from, *to;
} pair;

static pair *pairs;
static size_t pair_count;

static void stop(const char *what)
{
    perror(what);
    exit(1);
}

static void read_list(const char *path)
{
    char *line = NULL;
    size_t room = 0, capacity = 0;
    FILE *list = fopen(path, "r");
    if (!list) stop(path);
    while (getline(&line, &room, list) > 0) {
        if (pair_count == capacity) pairs = realloc(pairs, (capacity = capacity * 2 + 64) * sizeof *pairs);
        char *from = strtok(line, " \n"), *to = strtok(NULL, " \n");
        pairs[pair_count++] = (pair){strdup(from ? from : ""), to ? strdup(to) : NULL};
    }
    free(line);
    fclose(list);
}

/* --- files --------------------------------------------------------------------------------------------------------- */

static char buffer[1 << 20];

static void append(const char *from, int out)
{
    ssize_t n;
    int in = open(from, O_RDONLY | O_CLOEXEC);
    if (in < 0) stop(from);
    while ((n = read(in, buffer, sizeof buffer)) > 0)
        if (write(out, buffer, (size_t)n) != n) stop("write");
    close(in);
}

static int create(const char *to)
{
    int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (out < 0) stop(to);
    return out;
}

static void copy_all(void)
{
    for (size_t i = 0; i < pair_count; i++) {
        int out = create(pairs[i].to);
        append(pairs[i].from, out);
        close(out);
    }
}

static void concat_all(const char *to)
{
    int out = create(to);
    for (size_t i = 0; i < pair_count; i++) append(pairs[i].from, out);
    close(out);
}

static atomic_size_t next_pair;

static void *hash_some(void *unused)
{
    char *own = malloc(1 << 20);
    XXH3_state_t *state = XXH3_createState();
    for (size_t i; (i = atomic_fetch_add(&next_pair, 1)) < pair_count;) {
        ssize_t n;
        int in = open(pairs[i].from, O_RDONLY | O_CLOEXEC);
        if (in < 0) stop(pairs[i].from);
        XXH3_128bits_reset(state);
        while ((n = read(in, own, 1 << 20)) > 0) XXH3_128bits_update(state, own, (size_t)n);
        volatile XXH128_hash_t hash = XXH3_128bits_digest(state);
        (void)hash;
        close(in);
    }
    XXH3_freeState(state);
    free(own);
    return unused;
}

static void hash_all(int threads)
{
    pthread_t thread[64];
    if (threads > 64) threads = 64;
    for (int i = 0; i < threads; i++) pthread_create(&thread[i], NULL, hash_some, NULL);
    for (int i = 0; i < threads; i++) pthread_join(thread[i], NULL);
}

/* --- processes ----------------------------------------------------------------------------------------------------- */

static void start(const pair *p, int shell)
{
    char text[2048];
    char *argv[] = {"cp", p->from, p->to, NULL}, *by_shell[] = {"/bin/sh", "-c", text, NULL};
    pid_t pid;
    snprintf(text, sizeof text, "cp %s %s", p->from, p->to);
    if (posix_spawnp(&pid, shell ? "/bin/sh" : "cp", NULL, NULL, shell ? by_shell : argv, environ) != 0) stop("spawn");
}

static void spawn_all(int jobs, int shell)
{
    int running = 0, status;
    for (size_t i = 0; i < pair_count || running > 0;) {
        if (i < pair_count && running < jobs) {
            start(&pairs[i++], shell);
            running++;
        } else {
            if (wait(&status) < 0 || status != 0) stop("a command");
            running--;
        }
    }
}

/* --- SQLite -------------------------------------------------------------------------------------------------------- */

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void ask(sqlite3 *db, const char *sql)
{
    char *message = NULL;
    if (sqlite3_exec(db, sql, NULL, NULL, &message) == SQLITE_OK) return;
    fprintf(stderr, "%s: %s\n", sql, message);
    exit(1);
}

static void key_of(int i, XXH128_canonical_t *key)
{
    XXH128_canonicalFromHash(key, XXH3_128bits(&i, sizeof i));
}

/* Microseconds for each of `count` rows put, from number `first` on. */
static double put(sqlite3 *db, int first, int count, int size, int group)
{
    sqlite3_stmt *s;
    char *value = calloc(1, (size_t)size + 1);
    sqlite3_prepare_v2(db, "INSERT INTO memo(key, value) VALUES (?, ?)", -1, &s, NULL);
    double from = now();
    for (int i = 0; i < count; i++) {
        XXH128_canonical_t key;
        key_of(first + i, &key);
        if (i % group == 0) ask(db, "BEGIN");
        sqlite3_bind_blob(s, 1, &key, sizeof key, SQLITE_STATIC);
        sqlite3_bind_blob(s, 2, value, size, SQLITE_STATIC);
        if (sqlite3_step(s) != SQLITE_DONE) stop("insert");
        sqlite3_reset(s);
        if (i % group == group - 1 || i == count - 1) ask(db, "COMMIT");
    }
    double each = (now() - from) / count;
    sqlite3_finalize(s);
    free(value);
    return each;
}

static double get(sqlite3 *db, int count)
{
    sqlite3_stmt *s;
    sqlite3_prepare_v2(db, "SELECT value FROM memo WHERE key = ?", -1, &s, NULL);
    double from = now();
    for (int i = 0; i < count; i++) {
        XXH128_canonical_t key;
        key_of((int)((long)i * 7919 % count), &key);
        sqlite3_bind_blob(s, 1, &key, sizeof key, SQLITE_STATIC);
        if (sqlite3_step(s) != SQLITE_ROW) stop("select");
        sqlite3_reset(s);
    }
    double each = (now() - from) / count;
    sqlite3_finalize(s);
    return each;
}

static void memo(const char *file, int count, int size)
{
    sqlite3 *db;
    if (sqlite3_open(file, &db) != SQLITE_OK) stop(file);
    ask(db, "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA secure_delete=OFF;"
            "CREATE TABLE memo(id INTEGER PRIMARY KEY, key BLOB, value BLOB) STRICT; CREATE UNIQUE INDEX by_key ON memo(key)");
    int single = count < 500 ? count : 500;
    double grouped = put(db, 0, count, size, 1000), alone = put(db, count, single, size, 1);
    printf("%.2f %.2f %.2f\n", grouped, alone, get(db, count));
    sqlite3_close(db);
}

static void tables(const char *file)
{
    sqlite3 *db;
    sqlite3_stmt *s;
    if (sqlite3_open_v2(file, &db, SQLITE_OPEN_READONLY, NULL) != SQLITE_OK) stop(file);
    const char *sql = "SELECT m.tbl_name, d.name, sum(d.pgsize) FROM dbstat d LEFT JOIN sqlite_schema m ON m.name = d.name GROUP BY d.name";
    if (sqlite3_prepare_v2(db, sql, -1, &s, NULL) != SQLITE_OK) stop(sqlite3_errmsg(db));
    while (sqlite3_step(s) == SQLITE_ROW) {
        const char *table = (const char *)sqlite3_column_text(s, 0);
        printf("%s %s %lld\n", table ? table : "sqlite_schema", (const char *)sqlite3_column_text(s, 1), sqlite3_column_int64(s, 2));
    }
    sqlite3_finalize(s);
    sqlite3_close(db);
}

int main(int argc, char **argv)
{
    const char *what = argc > 2 ? argv[1] : "";
    int number = argc > 3 ? atoi(argv[3]) : 1;
    if (strcmp(what, "sqlite") == 0) return argc > 4 ? memo(argv[2], number, atoi(argv[4])), 0 : 2;
    if (strcmp(what, "tables") == 0) return tables(argv[2]), 0;
    if (argc > 2) read_list(argv[2]);
    if (strcmp(what, "copy") == 0) copy_all();
    else if (strcmp(what, "spawn") == 0) spawn_all(number, 0);
    else if (strcmp(what, "shell") == 0) spawn_all(number, 1);
    else if (strcmp(what, "concat") == 0 && argc > 3) concat_all(argv[3]);
    else if (strcmp(what, "hash") == 0) hash_all(number);
    else return fputs("usage: floor copy|spawn|shell|concat|hash LIST ..., floor sqlite|tables FILE ...\n", stderr), 2;
    return 0;
}
