/*
 * watch_stamp.c - tells bench_watch that something began, and when. Built twice by watch.sh:
 *
 *     -DAS_PROGRAM   a command: watch_stamp SOCKET [WORD...]
 *     -DAS_EFFECT    a plug-in with the effect "stamp" (inputs from; param socket; output to)
 *
 * A datagram to a UNIX socket with the monotonic clock in nanoseconds, sent before anything else is done.
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static void stamp(const char *path)
{
    struct timespec now;
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    clock_gettime(CLOCK_MONOTONIC, &now);
    int64_t ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    snprintf(to.sun_path, sizeof to.sun_path, "%s", path);
    if (fd < 0) return;
    (void)sendto(fd, &ns, sizeof ns, MSG_DONTWAIT, (struct sockaddr *)&to, sizeof to);
    close(fd);
}

#ifdef AS_PROGRAM
int main(int argc, char **argv)
{
    if (argc > 1) stamp(argv[1]);
    return 0;
}
#endif

#ifdef AS_EFFECT
#include "engine/weir_effect.h"

static int run(const weir_host *host, weir_job *job)
{
    const char *path, *text;
    size_t size;
    int rc = host->param_string(job, "socket", NULL, &path);
    if (rc == 0) stamp(path);
    if (rc == 0) rc = host->input_read(job, "from", 0, &text, &size);
    return rc == 0 ? host->output_write(job, "to", text, size) : rc;
}

static const weir_port inputs[] = {{"from", WEIR_REQUIRED, "what is edited"}, {NULL, 0, NULL}};
static const weir_port outputs[] = {{"to", WEIR_REQUIRED, "a copy"}, {NULL, 0, NULL}};
static const weir_param params[] = {{"socket", "string", WEIR_REQUIRED, NULL, "who is told"}, {"*", "any", 0, NULL, "names the node"}, {NULL, NULL, 0, NULL, NULL}};
static const weir_effect stamped = {.size = sizeof(weir_effect), .name = "stamp", .version = "1", .help = "tell that it began",
                                    .inputs = inputs, .outputs = outputs, .params = params, .run = run};
static const weir_effect *const effects[] = {&stamped, NULL};
static const weir_plugin plugin = {.size = sizeof(weir_plugin), .abi = WEIR_EFFECT_ABI, .effects = effects};

WEIR_PLUGIN_EXPORT;
WEIR_PLUGIN_EXPORT
{
    return &plugin;
}
#endif
