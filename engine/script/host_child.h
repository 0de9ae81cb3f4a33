/*
 * host_child.h - what host_child.c (loads, forks) and worker.c (performs jobs) share, in the
 * children.
 */
#ifndef WEIR_SCRIPT_HOST_CHILD_H
#define WEIR_SCRIPT_HOST_CHILD_H

#include <sys/types.h>

#include "engine/script/loader.h"

/** End with the engine: the kernel kills this process when it dies. false: it has died already. */
bool host_child_tie(pid_t engine);
/** Perform jobs that come over `fd` until it closes. @param ld  NULL: bare host. @return exit code */
int worker_main(loader *ld, registry *effects, int rootfd, int fd);

#endif
