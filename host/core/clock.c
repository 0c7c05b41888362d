/* The host's clocks. Components see only core->now_ms, which is constant within a turn. */
#include "core/internal.h"

#include <time.h>

static int64_t read_ns(clockid_t which)
{
    struct timespec ts;
    clock_gettime(which, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

int64_t clock_wall_ms(void)
{
    return read_ns(CLOCK_REALTIME) / 1000000;
}

int64_t clock_ns(void)
{
    return read_ns(CLOCK_MONOTONIC);
}

int64_t clock_coarse_ns(void)
{
    return read_ns(CLOCK_MONOTONIC_COARSE);
}

int64_t clock_thread_cpu_us(void)
{
    return read_ns(CLOCK_THREAD_CPUTIME_ID) / 1000;
}

void core_set_now(struct core *core)
{
    if (!core->options.loop) {
        core->now_ms = core->virtual_ms;
        return;
    }
    /* A clock set forward is followed. One set back is not: time must neither run backwards nor stand still, or every
     * deadline would be late by as much; until the next start the host is ahead of it. */
    int64_t steady = clock_ns() / 1000000, wall = clock_wall_ms();
    if (wall - steady > core->clock_offset_ms)
        core->clock_offset_ms = wall - steady;
    core->now_ms = steady + core->clock_offset_ms;
}

int64_t core_now_ms(const struct core *core)
{
    return core->now_ms;
}
