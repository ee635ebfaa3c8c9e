/* Loaded before libc: counts the calls that change a file below a folder, and kills the process or fails at one. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { KILL_BEFORE = -1, KILL_AFTER = -2, KILL_WITHIN = -3, MOST = 100000 };

static char root[4096], labels[MOST][64];
static int count, stop, mode;

void arm(const char *folder, int step, int how) {
    snprintf(root, sizeof root, "%s", folder);
    count = 0, stop = step, mode = how;
}
int steps(void) { return count; }
const char *label(int step) { return labels[step]; }

static void die(void) {
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

/* Returns -1 if the call must fail with errno, 1 if the process must die after it, 2 if within, else 0. */
static int step(const char *call, const char *path, int grows) {
    if (!root[0] || !path || !strstr(path, root)) return 0;
    const char *name = strrchr(path, '/');
    int now = __sync_add_and_fetch(&count, 1);
    if (now < MOST) snprintf(labels[now], sizeof labels[now], "%s %s", call, name ? name + 1 : path);
    if (stop && mode == ENOSPC && now >= stop && grows) return errno = ENOSPC, now == stop ? -1 : -2;
    if (now != stop) return 0;
    if (mode == KILL_BEFORE) die();
    if (mode > 0 && mode != ENOSPC) return errno = mode, -2;
    return mode == KILL_AFTER ? 1 : mode == KILL_WITHIN ? 2 : 0;
}

static int step_of(const char *call, int handle, int grows) {
    char link[64], path[4096];
    if (!root[0] || handle <= 2) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", handle);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return step(call, path, grows);
}

#define REAL(name) __typeof__(&name) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)
#define DONE(value) do { __typeof__(value) made = (value); if (what > 0) die(); return made; } while (0)

/* A disk that becomes full takes the first half of the write. */
#define WRITES(name, parameters, whole, half)                                  \
    ssize_t name parameters {                                                  \
        REAL(name);                                                            \
        int what = step_of("write", handle, 1);                                \
        if (what == -2) return -1;                                             \
        if (what == -1) { if (half > 0) return size / 2; errno = ENOSPC; return -1; } \
        if (what == 2) { half; die(); }                                        \
        DONE(whole);                                                           \
    }
WRITES(write, (int handle, const void *data, size_t size), real(handle, data, size), real(handle, data, size / 2))
WRITES(pwrite, (int handle, const void *data, size_t size, off_t at), real(handle, data, size, at), real(handle, data, size / 2, at))
WRITES(pwrite64, (int handle, const void *data, size_t size, off64_t at), real(handle, data, size, at), real(handle, data, size / 2, at))

#define OTHER(name, call, parameters, arguments, found)                        \
    int name parameters {                                                      \
        REAL(name);                                                            \
        int what = found;                                                      \
        if (what < 0) return -1;                                               \
        if (what == 2) die();                                                  \
        DONE(real arguments);                                                  \
    }
OTHER(fsync, "fsync", (int handle), (handle), step_of("fsync", handle, 0))
OTHER(fdatasync, "fsync", (int handle), (handle), step_of("fsync", handle, 0))
OTHER(ftruncate, "truncate", (int handle, off_t size), (handle, size), step_of("truncate", handle, 0))
OTHER(ftruncate64, "truncate", (int handle, off64_t size), (handle, size), step_of("truncate", handle, 0))
OTHER(rename, "rename", (const char *from, const char *to), (from, to), step("rename", to, 0))
OTHER(unlink, "unlink", (const char *path), (path), step("unlink", path, 0))
OTHER(mkdir, "mkdir", (const char *path, mode_t rights), (path, rights), step("mkdir", path, 1))

#define OPENS(name)                                                            \
    int name(const char *path, int flags, ...) {                               \
        REAL(name);                                                            \
        va_list more;                                                          \
        va_start(more, flags);                                                 \
        int rights = flags & O_CREAT ? va_arg(more, int) : 0;                  \
        va_end(more);                                                          \
        int what = flags & O_CREAT ? step("create", path, access(path, F_OK) != 0) : 0; \
        if (what < 0) return -1;                                               \
        if (what == 2) die();                                                  \
        DONE(real(path, flags, rights));                                       \
    }
OPENS(open)
OPENS(open64)
