/* Owns the crash points; see crash.h. Only tests set the environment that arms them. */
#include "core/crash.h"

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CRASH_X(id, name) name,
static const char *const point_names[] = {CRASH_POINTS(CRASH_X)};
#undef CRASH_X

int crash_armed;
static int crash_wanted = -1;
static long crash_count = 1;
static int hits_fd = -1;
static atomic_long passed[CRASH_POINT_COUNT];

const char *crash_point_name(enum crash_point point)
{
    return point_names[point];
}

void crash_init(void)
{
    const char *want = getenv("CVMHOST_CRASH");
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
    if (n == 1 && hits_fd >= 0) {
        char line[64];
        size_t len = strlen(point_names[point]);
        memcpy(line, point_names[point], len);
        line[len] = '\n';
        if (write(hits_fd, line, len + 1) < 0)
            hits_fd = -1;
    }
    if ((int)point == crash_wanted && n == crash_count)
        kill(getpid(), SIGKILL);
}
