/*
 * jobserver.h - the tokens of a GNU make jobserver: handed out by us, or taken from a make above us.
 *
 * A token is a byte in a pipe; who reads it may run one job more, and writes it back. make 4.2 and 4.3 know the pipe by two
 * descriptors ("--jobserver-auth=R,W"), make 4.4 knows that form too: children get descriptors JOBSERVER_READ and
 * JOBSERVER_WRITE, and only those that were declared to take part. Our own reading end is opened anew, so that it does not block while
 * that of the children does.
 *
 * Loop thread only.
 */
#ifndef WEIR_WORLD_JOBSERVER_H
#define WEIR_WORLD_JOBSERVER_H

#include <stdbool.h>
#include <stddef.h>

#include "engine/base/error.h"

enum { JOBSERVER_READ = 3, JOBSERVER_WRITE = 4, JOBSERVER_MOST = 10000 };

typedef struct jobserver jobserver;

/**
 * The jobserver that the variable MAKEFLAGS names: its descriptors (a pipe inherited from make, or a fifo that is opened), and
 * the N of its -jN (0: not said). To be called before the process opens anything else.
 *
 * @param fds  out: owned; read and write end, close-on-exec
 * @return 1: there is one; 0: none is named; -1: it is named and not open to us
 */
int jobserver_find(const char *makeflags, int fds[2], int *slots);

/** A pipe of our own, empty. */
int jobserver_serve(jobserver **out, weir_error *err);
/** Take part in the one behind these descriptors; they are borrowed and stay open until the close. */
int jobserver_join(jobserver **out, const int fds[2], weir_error *err);
/** Gives back what was taken (of a joined one). NULL is fine. */
void jobserver_close(jobserver *j);

/** Take up to `most` tokens that are there now. @return how many */
int jobserver_take(jobserver *j, int most);
/** Put tokens in: those that were taken first, new ones of ours else. */
void jobserver_give(jobserver *j, int count);
/** Readable while a token is there. */
int jobserver_poll_fd(const jobserver *j);
/** What children get as JOBSERVER_READ and JOBSERVER_WRITE. Borrowed. */
const int *jobserver_child_fds(const jobserver *j);

#endif
