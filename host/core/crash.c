/* Owns the crash points; see crash.h. Only tests set the environment that arms them. */
#include "core/crash.h"

#include "core/log.h"
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WISHES_MAX_BYTES 65536

#define CRASH_X(id, name) name,
static const char *const point_names[] = {CRASH_POINTS(CRASH_X)};
#undef CRASH_X

int crash_armed;
static int crash_wanted = -1;
static long crash_count = 1;
static int hits_fd = -1;
static atomic_long passed[CRASH_POINT_COUNT];

void crash_promised(const char *what)
{
    log_error("host", "no memory for %s, which was promised: the host ends here, and the next start recovers", what);
    abort();
}

const char *crash_point_name(enum crash_point point)
{
    return point_names[point];
}

/* "@FILE": a line of a file is for one process; the first process takes the first line away. */
static const char *wish(char *buffer, size_t size)
{
    const char *want = getenv("CVMHOST_CRASH");
    if (!want || *want != '@')
        return want;
    int fd = open(want + 1, O_RDWR | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, buffer, size - 1);
    buffer[n < 0 ? 0 : n] = 0;
    char *end = strchr(buffer, '\n');
    if (end) {
        size_t rest = strlen(end + 1);
        *end = 0;
        if (pwrite(fd, end + 1, rest, 0) != (ssize_t)rest || ftruncate(fd, (off_t)rest) < 0)
            *buffer = 0;
    }
    if (fd >= 0)
        close(fd);
    return buffer;
}

/* One write, so that lines of threads do not mix. */
static void tell(const char *name, const char *end)
{
    char line[64];
    int len = snprintf(line, sizeof line, "%s%s\n", name, end);
    if (hits_fd >= 0 && write(hits_fd, line, (size_t)len) < 0)
        hits_fd = -1;
}

void crash_init(void)
{
    static char buffer[WISHES_MAX_BYTES];
    const char *want = wish(buffer, sizeof buffer);
    const char *hits = getenv("CVMHOST_CRASH_HITS");
    if (hits)
        hits_fd = open(hits, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (want) {
        const char *colon = strchr(want, ':');
        size_t len = colon ? (size_t)(colon - want) : strlen(want);
        for (int i = 0; i < CRASH_POINT_COUNT; i++)
            if (strlen(point_names[i]) == len && strncmp(point_names[i], want, len) == 0)
                crash_wanted = i;
        crash_count = colon ? strtol(colon + 1, NULL, 10) : 1;
    }
    crash_armed = crash_wanted >= 0 || hits_fd >= 0;
}

void crash_hit(enum crash_point point)
{
    long n = atomic_fetch_add(&passed[point], 1) + 1;
    if (n == 1)
        tell(point_names[point], "");
    if ((int)point == crash_wanted && n == crash_count) {
        tell(point_names[point], "!");
        kill(getpid(), SIGKILL);
    }
}
