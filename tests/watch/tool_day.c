/*
 * tool_day.c - one edit after the other, each as soon as what is made of the one before is there.
 *
 *     watch_tool_day PID EDITS MOST_MB     in the working folder: src/NAME.txt becomes build/NAME.out (test_day.sh)
 *
 * In turn: in place, by rename over, removed and made anew, a file more, that file gone. Twenty times on the way the memory and the
 * descriptors of PID are taken, once half of them are done: 1 when it has more descriptors at the end than then, or MOST_MB more memory.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { FILES = 40, WAIT_S = 60 };

static long resident_kb(const char *pid)
{
    char path[64], line[200];
    long kb = 0;
    snprintf(path, sizeof path, "/proc/%s/status", pid);
    FILE *f = fopen(path, "r");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "VmRSS: %ld", &kb) == 1) break;
    if (f) fclose(f);
    return kb;
}

static int descriptors(const char *pid)
{
    char path[64];
    int count = 0;
    snprintf(path, sizeof path, "/proc/%s/fd", pid);
    DIR *d = opendir(path);
    while (d && readdir(d)) count++;
    if (d) closedir(d);
    return count;
}

static void put(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    if (!f) exit(2);
    fputs(text, f);
    fclose(f);
}

static int holds(const char *path, const char *text)
{
    char got[200] = "";
    FILE *f = fopen(path, "r");
    if (!f) return text == NULL;
    size_t n = fread(got, 1, sizeof got - 1, f);
    fclose(f);
    return text && n == strlen(text) && memcmp(got, text, n) == 0;
}

/* Until the output is this; NULL: until it is gone. */
static void await(const char *output, const char *text, long edit)
{
    time_t limit = time(NULL) + WAIT_S;
    while (!holds(output, text)) {
        if (time(NULL) > limit) {
            printf("edit %ld: %s is not there after %d s\n", edit, output, WAIT_S);
            exit(1);
        }
        usleep(300);
    }
}

static void one(long edit)
{
    char source[64], output[64], text[100];
    int n = (int)(edit % FILES);
    snprintf(source, sizeof source, "src/f%d.txt", n);
    snprintf(output, sizeof output, "build/f%d.out", n);
    snprintf(text, sizeof text, "edit %ld\n", edit);
    switch (edit % 50) {
    case 10:
        put("src/more.txt", text);
        await("build/more.out", text, edit);
        return;
    case 30:
        unlink("src/more.txt");
        await("build/more.out", NULL, edit);
        return;
    case 20:
        unlink(source);
        break;
    default:
        if (edit % 3 != 0) break;
        put("src/.temp", text);
        rename("src/.temp", source);
        await(output, text, edit);
        return;
    }
    put(source, text);
    await(output, text, edit);
}

int main(int argc, char **argv)
{
    if (argc != 4) return 2;
    long edits = atol(argv[2]), most_kb = atol(argv[3]) * 1024, first_kb = 0, kb = 0;
    int first_fds = 0, fds = 0;
    for (long i = 1; i <= edits; i++) {
        one(i);
        if (i % (edits / 20 ? edits / 20 : 1) != 0) continue;
        usleep(500 * 1000); /* at rest: workers that have had a job are gone */
        kb = resident_kb(argv[1]);
        fds = descriptors(argv[1]);
        printf("%6ld edits: %ld kB, %d descriptors\n", i, kb, fds);
        fflush(stdout);
        if (first_kb == 0 && i >= edits / 2) first_kb = kb, first_fds = fds;
    }
    if (fds > first_fds) printf("FAILED: %d descriptors, %d at first\n", fds, first_fds);
    if (most_kb && kb > first_kb + most_kb) printf("FAILED: %ld kB, %ld at first\n", kb, first_kb);
    return fds > first_fds || (most_kb && kb > first_kb + most_kb);
}
