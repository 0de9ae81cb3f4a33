/*
 * spawn.h - one child: clone, prepare, exec. Used by process.c only.
 */
#ifndef WEIR_WORLD_SPAWN_H
#define WEIR_WORLD_SPAWN_H

#include "engine/base/error.h"

enum { SPAWN_STACK = 64 * 1024 };

typedef struct spawn_spec {
    const char *program;
    char *const *argv;
    char *const *envp;
    int cwd_fd, null_fd, output_fd; /* each above 2 */
    const int *job_fds;             /* two, above 4, that become 3 and 4; NULL: none */
} spawn_spec;

/**
 * Returns once the child has executed the program, or could not: then it is reaped and nothing is left of it.
 *
 * @param stack        SPAWN_STACK bytes, used while this function runs
 * @param pidfd        out: owned, os_close
 * @param start_ticks  out: as os_process_start tells it
 * @return 0; WEIR_NOTFOUND when there is no such program; WEIR_LIMIT when arguments and environment are too long; WEIR_IO
 */
int spawn_start(const spawn_spec *spec, void *stack, int64_t *pid, int *pidfd,
                uint64_t *start_ticks, weir_error *err);

#endif
