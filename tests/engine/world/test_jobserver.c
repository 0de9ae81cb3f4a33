/*
 * test_jobserver.c - tokens go round and come back; what is named and not there is said.
 */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "engine/world/jobserver.h"
#include "tests/check.h"

static void test_find(void)
{
    int fds[2], slots = 7;
    CHECK_INT(0, jobserver_find(NULL, fds, &slots));
    CHECK_INT(0, jobserver_find("kw -j4", fds, &slots));
    CHECK_INT(-1, jobserver_find(" -j4 --jobserver-auth=900,901", fds, &slots));
    CHECK_INT(-1, jobserver_find(" -j4 --jobserver-auth=-2,-2", fds, &slots));
    CHECK_INT(-1, jobserver_find(" -j4 --jobserver-auth=0", fds, &slots));
    CHECK_INT(-1, jobserver_find("--jobserver-auth=fifo:/no/such/fifo", fds, &slots));
    int file = open("/dev/null", O_RDWR), flags_size = 0;
    char flags[80];
    flags_size = snprintf(flags, sizeof flags, " -j4 --jobserver-auth=%d,%d", file, file); /* a descriptor, and no pipe */
    CHECK(flags_size > 0);
    CHECK_INT(-1, jobserver_find(flags, fds, &slots));
    CHECK(fcntl(file, F_GETFD) >= 0);
    close(file);
}

/* Below a make: the bytes that come back are those that were taken, also those still held at the end. */
static void test_join(void)
{
    int ends[2], fds[2], slots = 0;
    char flags[80], got[8] = "";
    weir_error err = {0};
    jobserver *j = NULL;
    CHECK_OR_STOP(pipe(ends) == 0);
    CHECK(write(ends[1], "abc", 3) == 3);
    int size = snprintf(flags, sizeof flags, "w -j3 --jobserver-auth=9,9 -- --jobserver-fds=1 --jobserver-auth=%d,%d", ends[0], ends[1]);
    CHECK(size > 0);
    CHECK_OR_STOP(jobserver_find(flags, fds, &slots) == 1);
    CHECK_INT(3, slots);
    CHECK(fcntl(fds[0], F_GETFD) & FD_CLOEXEC);
    CHECK_OK(jobserver_join(&j, fds, &err), err);
    CHECK_INT(2, jobserver_take(j, 2));
    CHECK_INT(1, jobserver_take(j, 5));
    CHECK_INT(0, jobserver_take(j, 5)); /* does not wait */
    CHECK_INT(0, fcntl(fds[0], F_GETFL) & O_NONBLOCK); /* theirs still does */
    jobserver_give(j, 1);
    jobserver_close(j);
    CHECK_INT(3, (int)read(fds[0], got, sizeof got));
    CHECK(strchr(got, 'a') && strchr(got, 'b') && strchr(got, 'c'));
    close(fds[0]);
    close(fds[1]);
}

static void test_serve(void)
{
    weir_error err = {0};
    jobserver *j = NULL;
    CHECK_OK(jobserver_serve(&j, &err), err);
    CHECK_INT(0, jobserver_take(j, 1));
    jobserver_give(j, 5);
    CHECK_INT(2, jobserver_take(j, 2));
    CHECK_INT(3, jobserver_take(j, 9));
    const int *fds = jobserver_child_fds(j);
    CHECK(fds[0] > JOBSERVER_WRITE && fds[1] > JOBSERVER_WRITE); /* the child's own come first */
    jobserver_close(j);
}

int main(void)
{
    test_find();
    test_join();
    test_serve();
    return check_done();
}
