/*
 * files.h - small text files of the simulated project, as a whole. `dir` is an open folder, or AT_FDCWD.
 */
#ifndef WEIR_TESTS_SIM_FILES_H
#define WEIR_TESTS_SIM_FILES_H

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/sim/graph.h"

/** "-": it is not there. */
static void read_text(int dir, const char *path, char text[TEXT])
{
    snprintf(text, TEXT, "-");
    int fd = openat(dir, path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, TEXT - 1) : -1;
    if (n >= 0) text[n] = '\0';
    if (fd >= 0) close(fd);
}

static void write_text(int dir, const char *path, const char *text)
{
    int fd = openat(dir, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text)) abort();
    close(fd);
}

#endif
