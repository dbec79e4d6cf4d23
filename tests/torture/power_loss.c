/* A library for LD_PRELOAD that logs what a power failure can undo, and ends all processes of its group at the event
   number POWER_LOSS_AT. An event is a write, a sync, or a change of a name. Only the synced bytes of a file survive a
   power failure, and only the names in a folder that was synced after their last change; the test undoes the rest.

   Lines of POWER_LOSS_LOG. Folders and files are given by their inodes:
   W file size              before a write to a file of this size
   S file size              after a sync of a file
   D folder                 after a sync of a folder
   C folder name            a file was created
   M folder name            a folder was created
   R folder name folder name kept    a name was changed. What the new name stood for before is in the file `kept`
   U folder name kept       a file was removed. It is in the file `kept`
   X folder name removed    the empty folder `removed` was removed
   Files are kept in the folder POWER_LOSS_KEPT, under their number, from 1. Number 0 stands for no file.

   The functions are those by which Rust's standard library changes names. System calls that do not come from the C
   library are not seen. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* Shared by all processes: the number of events so far, and that of kept files. */
static struct { _Atomic long events, kept; } *shared;
static long last_event;
static int log_file = -1;
static const char *kept_folder;

__attribute__((constructor)) static void start(void) {
    const char *at = getenv("POWER_LOSS_AT"), *log = getenv("POWER_LOSS_LOG");
    const char *count = getenv("POWER_LOSS_COUNTER");
    kept_folder = getenv("POWER_LOSS_KEPT");
    if (!at || !log || !count || !kept_folder) return;
    last_event = atol(at);
    int file = syscall(SYS_openat, AT_FDCWD, count, O_RDWR | O_CLOEXEC);
    if (file < 0) return;
    void *map = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (map != MAP_FAILED) shared = map;
    close(file);
    log_file = syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
}

static void event(void) {
    if (shared && atomic_fetch_add(&shared->events, 1) + 1 >= last_event) {
        kill(0, SIGKILL);
        pause();
    }
}

/* One call writes one line, so that the lines of several processes do not mix. */
__attribute__((format(printf, 1, 2))) static void log_line(const char *format, ...) {
    if (log_file < 0) return;
    int error = errno;
    char line[1024];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (length > 0 && length < (int)sizeof line) syscall(SYS_write, log_file, line, length);
    errno = error;
}

static void note_write(int fd) {
    struct stat found;
    if (log_file < 0 || fstat(fd, &found) || !S_ISREG(found.st_mode)) return;
    log_line("W %lu %ld\n", (unsigned long)found.st_ino, (long)found.st_size);
    event();
}

static void note_sync(int fd) {
    struct stat found;
    if (log_file < 0 || fstat(fd, &found)) return;
    if (S_ISREG(found.st_mode)) log_line("S %lu %ld\n", (unsigned long)found.st_ino, (long)found.st_size);
    if (S_ISDIR(found.st_mode)) log_line("D %lu\n", (unsigned long)found.st_ino);
    event();
}

/* A name and the inode of its folder. */
struct place { unsigned long folder; const char *name; };

static struct place place_of(int fd, const char *path) {
    struct place place = {0, path};
    struct stat found;
    char folder[4096] = ".";
    const char *slash = strrchr(path, '/');
    if (slash) {
        size_t length = slash - path;
        if (length >= sizeof folder) return place;
        memcpy(folder, path, length);
        folder[length] = 0;
        if (!length) strcpy(folder, "/");
        place.name = slash + 1;
    }
    if (!fstatat(fd, folder, &found, 0)) place.folder = found.st_ino;
    return place;
}

/* Keeps the file at a path under another name. Returns its number, or 0 if there is none. */
static long keep(int fd, const char *path) {
    if (!shared) return 0;
    struct stat found;
    if (fstatat(fd, path, &found, AT_SYMLINK_NOFOLLOW) || !S_ISREG(found.st_mode)) return 0;
    long number = atomic_fetch_add(&shared->kept, 1) + 1;
    char kept[4096];
    snprintf(kept, sizeof kept, "%s/%ld", kept_folder, number);
    return linkat(fd, path, AT_FDCWD, kept, 0) ? 0 : number;
}

ssize_t write(int fd, const void *bytes, size_t count) {
    note_write(fd);
    return syscall(SYS_write, fd, bytes, count);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    note_write(fd);
    return syscall(SYS_writev, fd, parts, count);
}

int fsync(int fd) {
    int result = syscall(SYS_fsync, fd);
    note_sync(fd);
    return result;
}

int fdatasync(int fd) {
    int result = syscall(SYS_fdatasync, fd);
    note_sync(fd);
    return result;
}

static int open_at(int fd, const char *path, int flags, mode_t mode) {
    struct stat found;
    int is_new = log_file >= 0 && (flags & O_CREAT) && fstatat(fd, path, &found, 0);
    if (is_new) event();
    int result = syscall(SYS_openat, fd, path, flags, mode);
    if (is_new && result >= 0) {
        struct place place = place_of(fd, path);
        log_line("C %lu %s\n", place.folder, place.name);
    }
    return result;
}

#define OPEN(name) \
    int name(const char *path, int flags, ...) { \
        va_list arguments; \
        va_start(arguments, flags); \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(arguments, unsigned) : 0; \
        va_end(arguments); \
        return open_at(AT_FDCWD, path, flags, mode); \
    }
OPEN(open)
OPEN(open64)

int mkdir(const char *path, mode_t mode) {
    event();
    int result = syscall(SYS_mkdirat, AT_FDCWD, path, mode);
    struct place place = place_of(AT_FDCWD, path);
    if (!result) log_line("M %lu %s\n", place.folder, place.name);
    return result;
}

int rename(const char *from, const char *to) {
    event();
    long kept = keep(AT_FDCWD, to);
    struct place old = place_of(AT_FDCWD, from), new = place_of(AT_FDCWD, to);
    int result = syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
    if (!result) log_line("R %lu %s %lu %s %ld\n", old.folder, old.name, new.folder, new.name, kept);
    return result;
}

int unlinkat(int fd, const char *path, int flags) {
    event();
    struct place place = place_of(fd, path);
    struct stat removed = {0};
    long kept = 0;
    if (flags & AT_REMOVEDIR) fstatat(fd, path, &removed, AT_SYMLINK_NOFOLLOW);
    else kept = keep(fd, path);
    int result = syscall(SYS_unlinkat, fd, path, flags);
    if (result) return result;
    if (flags & AT_REMOVEDIR) log_line("X %lu %s %lu\n", place.folder, place.name, (unsigned long)removed.st_ino);
    else log_line("U %lu %s %ld\n", place.folder, place.name, kept);
    return result;
}

int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }

int rmdir(const char *path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }
