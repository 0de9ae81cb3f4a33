/*
 * os_info.c - time, random bytes, and who and where we are.
 *
 * What cannot be found out has a harmless answer ("" or 0), because it only makes decisions more careful or a report poorer;
 * random bytes are the exception, since names and tokens are built from them.
 *
 * Any thread.
 */
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/os.h"
#include "engine/base/os_internal.h"

static bool is_full(const struct statfs *fs)
{
    enum { ROOM_LEAST = 1 << 20 };
    bool counts_blocks = fs->f_blocks > 0, counts_files = fs->f_files > 0;
    return (counts_blocks && (uint64_t)fs->f_bavail * (uint64_t)fs->f_bsize < ROOM_LEAST) || (counts_files && fs->f_ffree == 0);
}

static bool is_limited(void)
{
    enum { FILES_LEAST = 1024, PROCESSES_LEAST = 1024 };
    static const int limits[] = {RLIMIT_AS, RLIMIT_DATA, RLIMIT_FSIZE, RLIMIT_CPU};
    struct rlimit limit;
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
        if (getrlimit((__rlimit_resource_t)limits[i], &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) return true;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < FILES_LEAST) return true;
    return getrlimit(RLIMIT_NPROC, &limit) == 0 && limit.rlim_cur < PROCESSES_LEAST;
}

bool os_is_short(int fd)
{
    struct statfs fs;
    const char *folder = getenv("TMPDIR");
    if (fstatfs(fd, &fs) == 0 && is_full(&fs)) return true;
    if (statfs(folder && *folder ? folder : "/tmp", &fs) == 0 && is_full(&fs)) return true;
    return is_limited();
}

int64_t os_wall_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t os_monotonic_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int os_random(void *to, size_t size, weir_error *err)
{
    errno = os_fault_check(OS_OP_RANDOM);
    if (errno) return os_fail(err, errno, "read", "random bytes");
    for (uint8_t *at = to; size > 0;) {
        ssize_t got = getrandom(at, size, 0);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return os_fail(err, errno, "read", "random bytes");
        at += got;
        size -= (size_t)got;
    }
    return 0;
}

/* A small file of /proc; "" if it cannot be read. Not a place for faults: nobody depends on it. */
static void read_small(const char *path, char *text, size_t size)
{
    ssize_t got = -1;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) got = read(fd, text, size - 1);
    os_close(fd);
    text[got > 0 ? got : 0] = '\0';
}

void os_boot_id(char id[40])
{
    read_small("/proc/sys/kernel/random/boot_id", id, 40);
    id[strcspn(id, "\n")] = '\0';
    if (strlen(id) != 36) id[0] = '\0';
}

/* What follows field 2 of /proc/PID/stat, the name in parentheses, which may hold anything; NULL: no such process. */
static const char *read_process(int64_t pid, char text[1024])
{
    char path[64];
    if (pid <= 0) return NULL;
    snprintf(path, sizeof path, "/proc/%lld/stat", (long long)pid);
    read_small(path, text, 1024);
    return strrchr(text, ')');
}

char os_process_state(int64_t pid)
{
    char text[1024];
    const char *at = read_process(pid, text);
    return at && at[1] == ' ' ? at[2] : '\0';
}

uint64_t os_process_start(int64_t pid)
{
    char text[1024];
    const char *at = read_process(pid, text);
    for (int field = 2; at && field < 22; field++) at = strchr(at + 1, ' ');
    return at ? strtoull(at, NULL, 10) : 0;
}

int os_cpu_count(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0) return CPU_COUNT(&set);
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (int)online : 1;
}

static int64_t number_in(const char *path)
{
    char text[64];
    read_small(path, text, sizeof text);
    return *text >= '0' && *text <= '9' ? strtoll(text, NULL, 10) : -1;
}

int64_t os_free_memory(void)
{
    enum { FALLBACK = 1 << 30 };
    char text[1024];
    read_small("/proc/meminfo", text, sizeof text);
    const char *at = strstr(text, "MemAvailable:");
    int64_t free_bytes = at ? strtoll(at + 13, NULL, 10) * 1024 : FALLBACK;
    int64_t limit = number_in("/sys/fs/cgroup/memory.max");
    int64_t used = number_in("/sys/fs/cgroup/memory.current");
    if (limit > 0 && used >= 0 && limit - used < free_bytes) free_bytes = limit > used ? limit - used : 0;
    return free_bytes > 0 ? free_bytes : FALLBACK;
}

void os_give_back_memory(void)
{
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}

int64_t os_peak_memory(void)
{
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? (int64_t)usage.ru_maxrss * 1024 : 0;
}

/* --- file systems ----------------------------------------------------------------------------------------------- */

static const struct {
    uint32_t magic;
    const char *name;
    bool is_network;
} file_systems[] = {
    {0x0000ef53, "ext4", false},     {0x9123683e, "btrfs", false},    {0x58465342, "xfs", false},
    {0x01021994, "tmpfs", false},    {0x794c7630, "overlay", false},  {0x2fc12fc1, "zfs", false},
    {0xf2f52010, "f2fs", false},     {0xca451a4e, "bcachefs", false}, {0x00004d44, "vfat", false},
    {0x2011bab0, "exfat", false},    {0x5346544e, "ntfs", false},     {0x7366746e, "ntfs3", false},
    {0x73717368, "squashfs", false}, {0x0000f15f, "ecryptfs", false}, {0x858458f6, "ramfs", false},
    {0x00006969, "nfs", true},       {0xff534d42, "cifs", true},      {0xfe534d42, "smb2", true},
    {0x0000517b, "smb", true},       {0x01021997, "9p", true},        {0x5346414f, "afs", true},
    {0x00c36400, "ceph", true},      {0x0bd00bd0, "lustre", true},    {0x01161970, "gfs2", true},
    {0x7461636f, "ocfs2", true},     {0x73757245, "coda", true},      {0x47504653, "gpfs", true},
};

enum { FUSE_MAGIC = 0x65735546 };

/* Reads "... MAJOR:MINOR ROOT PLACE OPTIONS ... - TYPE SOURCE ..." of /proc/self/mountinfo; "fuse.sshfs" and the like. */
static void fuse_type(dev_t dev, char name[64])
{
    char line[8192];
    FILE *in = fopen("/proc/self/mountinfo", "re");
    strcpy(name, "fuse");
    while (in && fgets(line, sizeof line, in)) {
        unsigned major_number;
        unsigned minor_number;
        const char *type = strstr(line, " - ");
        if (sscanf(line, "%*d %*d %u:%u", &major_number, &minor_number) != 2 || !type) continue;
        if (major_number == major(dev) && minor_number == minor(dev)) sscanf(type, " - %63s", name);
    }
    if (in) fclose(in);
}

static bool is_network_fuse(const char *type)
{
    static const char *const kinds[] = {"ssh",   "rclone", "s3",   "gcs",  "goofys", "gluster",
                                        "juice", "dav",    "curl", "gvfs", "nfs",    "smb"};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strstr(type, kinds[i])) return true;
    return false;
}

void os_filesystem(const char *path, char name[16], bool *network)
{
    struct statfs fs;
    *network = false;
    name[0] = '\0';
    if (statfs(path, &fs) != 0) return;
    uint32_t magic = (uint32_t)fs.f_type;
    snprintf(name, 16, "0x%08x", magic);
    for (size_t i = 0; i < sizeof file_systems / sizeof *file_systems; i++) {
        if (file_systems[i].magic != magic) continue;
        snprintf(name, 16, "%s", file_systems[i].name);
        *network = file_systems[i].is_network;
    }
    struct stat st;
    if (magic != FUSE_MAGIC || stat(path, &st) != 0) return;
    char type[64];
    fuse_type(st.st_dev, type);
    snprintf(name, 16, "%.15s", type);
    *network = is_network_fuse(type);
}

void os_sleep_ms(int64_t milliseconds)
{
    struct timespec left = {milliseconds / 1000, (long)(milliseconds % 1000) * 1000000};
    while (nanosleep(&left, &left) != 0 && errno == EINTR) continue;
}

void os_wall_text(int64_t wall_us, char text[40])
{
    time_t seconds = (time_t)(wall_us / 1000000);
    struct tm parts;
    if (!gmtime_r(&seconds, &parts) || strftime(text, 40, "%Y-%m-%dT%H:%M:%SZ", &parts) == 0) text[0] = '\0';
}

/* --- limits ---------------------------------------------------------------------------------------------------- */

static rlim_t files_before;

uint64_t os_files_limit(void)
{
    struct rlimit limit;
    return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : 1024;
}

void os_files_raise(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= limit.rlim_max) return;
    rlim_t before = limit.rlim_cur;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) == 0) files_before = before;
}

uint64_t os_files_before(void)
{
    return files_before;
}

uint64_t os_address_limit(void)
{
    struct rlimit limit;
    return getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY ? limit.rlim_cur : UINT64_MAX;
}

size_t os_files_open(void)
{
    size_t count = 0;
    DIR *folder = opendir("/proc/self/fd");
    while (folder && readdir(folder)) count++;
    if (folder) closedir(folder);
    return count > 3 ? count - 3 : 0; /* "." and "..", and the folder itself */
}
