/* A library for LD_PRELOAD that logs which bytes of a file are synced, and ends all processes of its group at the
   write, sync or rename number POWER_LOSS_AT. Only the synced bytes of a file survive a power failure; the test
   removes the others.

   Lines of POWER_LOSS_LOG: "W inode size" before a write to a file of this size, "S inode size" after a sync. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* Number of events so far, shared by all processes. */
static _Atomic long *counter;
static long last_event;
static int log_file = -1;

__attribute__((constructor)) static void start(void) {
    const char *at = getenv("POWER_LOSS_AT"), *log = getenv("POWER_LOSS_LOG");
    const char *count = getenv("POWER_LOSS_COUNTER");
    if (!at || !log || !count) return;
    last_event = atol(at);
    log_file = open(log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    int file = open(count, O_RDWR | O_CLOEXEC);
    if (file < 0) return;
    void *shared = mmap(NULL, sizeof *counter, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (shared != MAP_FAILED) counter = shared;
    close(file);
}

static void event(void) {
    if (counter && atomic_fetch_add(counter, 1) + 1 >= last_event) {
        kill(0, SIGKILL);
        pause();
    }
}

static void note(char kind, int fd) {
    struct stat found;
    if (log_file < 0 || fstat(fd, &found) || !S_ISREG(found.st_mode)) return;
    char line[80];
    int length = snprintf(line, sizeof line, "%c %lu %ld\n", kind, (unsigned long)found.st_ino, (long)found.st_size);
    syscall(SYS_write, log_file, line, length);
    event();
}

ssize_t write(int fd, const void *bytes, size_t count) {
    note('W', fd);
    return syscall(SYS_write, fd, bytes, count);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    note('W', fd);
    return syscall(SYS_writev, fd, parts, count);
}

int fsync(int fd) {
    int result = syscall(SYS_fsync, fd);
    note('S', fd);
    return result;
}

int fdatasync(int fd) {
    int result = syscall(SYS_fdatasync, fd);
    note('S', fd);
    return result;
}

int rename(const char *from, const char *to) {
    event();
    int (*next)(const char *, const char *) = (int (*)(const char *, const char *))dlsym(RTLD_NEXT, "rename");
    return next(from, to);
}
