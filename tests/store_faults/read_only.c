/* A disk that turns read-only under files that are open, as a file system does after an error: while
 * the file named by READ_ONLY_WHILE exists, writing to files below READ_ONLY_BELOW gives EROFS.
 * (A file system with files open for writing cannot be remounted read-only on demand.) */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int is_refused(int fd) {
    const char *flag = getenv("READ_ONLY_WHILE"), *below = getenv("READ_ONLY_BELOW");
    char link[64], path[PATH_MAX];
    if (!flag || !below || access(flag, F_OK) != 0) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    if (strncmp(path, below, strlen(below)) != 0) return 0;
    errno = EROFS;
    return 1;
}

#define REAL(name) __typeof__(&name) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

ssize_t write(int fd, const void *from, size_t count) {
    REAL(write);
    return is_refused(fd) ? -1 : real(fd, from, count);
}

ssize_t pwrite(int fd, const void *from, size_t count, off_t at) {
    REAL(pwrite);
    return is_refused(fd) ? -1 : real(fd, from, count, at);
}

ssize_t pwrite64(int fd, const void *from, size_t count, off64_t at) {
    REAL(pwrite64);
    return is_refused(fd) ? -1 : real(fd, from, count, at);
}

int ftruncate(int fd, off_t length) {
    REAL(ftruncate);
    return is_refused(fd) ? -1 : real(fd, length);
}

int ftruncate64(int fd, off64_t length) {
    REAL(ftruncate64);
    return is_refused(fd) ? -1 : real(fd, length);
}
