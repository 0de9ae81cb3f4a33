/*
 * tool_mapped.c - changes a file so that its signature stays as it was.
 *
 *     watch_tool_mapped FILE
 *
 * The first store through the mapping gives the page its stamp, and is left time to be seen. The second one, to the same page, leaves size,
 * stamps and inode as they are; that the file is closed at last is all there is to notice. The file ends up holding "mapped".
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    enum { SIZE = 7 };
    struct stat before, after;
    int fd = argc == 2 ? open(argv[1], O_RDWR) : -1;
    if (fd < 0 || ftruncate(fd, SIZE) != 0) return 1;
    char *at = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED) return 1;
    memcpy(at, "first!\n", SIZE);
    sleep(2);
    if (stat(argv[1], &before) != 0) return 1;
    memcpy(at, "mapped\n", SIZE);
    munmap(at, SIZE);
    close(fd);
    if (stat(argv[1], &after) != 0) return 1;
    if (before.st_mtim.tv_nsec != after.st_mtim.tv_nsec) printf("the stamp moved after all: nothing special is seen\n");
    return 0;
}
