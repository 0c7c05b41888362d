/* Owns the one heap of deadlines, ordered by time and, for equal times, by the order in which they were set: so the
 * virtual clock fires them in the same order every time. */
#include "core/internal.h"

static bool before(const struct alarm *a, const struct alarm *b)
{
    return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->order < b->order;
}

static void place(struct core *core, size_t index, struct alarm *alarm)
{
    core->alarms.at[index - 1] = alarm;
    alarm->index = index;
}

static void sift_up(struct core *core, size_t i)
{
    struct alarm *moving = core->alarms.at[i - 1];
    while (i > 1 && before(moving, core->alarms.at[i / 2 - 1])) {
        place(core, i, core->alarms.at[i / 2 - 1]);
        i /= 2;
    }
    place(core, i, moving);
}

static void sift_down(struct core *core, size_t i)
{
    struct alarm *moving = core->alarms.at[i - 1];
    size_t n = core->alarms.n;
    for (;;) {
        size_t child = 2 * i;
        if (child > n)
            break;
        if (child < n && before(core->alarms.at[child], core->alarms.at[child - 1]))
            child++;
        if (!before(core->alarms.at[child - 1], moving))
            break;
        place(core, i, core->alarms.at[child - 1]);
        i = child;
    }
    place(core, i, moving);
}

int alarm_set(struct core *core, struct alarm *alarm, int64_t at_ms, void (*fire)(struct core *, struct alarm *))
{
    alarm_clear(core, alarm);
    alarm->at_ms = at_ms;
    alarm->fire = fire;
    alarm->order = ++core->alarm_order;
    if (!VECTOR_PUSH(core->alarms, alarm))
        return CVM_ENOMEM;
    alarm->index = core->alarms.n;
    sift_up(core, alarm->index);
    return 0;
}

void alarm_clear(struct core *core, struct alarm *alarm)
{
    size_t i = alarm->index;
    if (!i)
        return;
    alarm->index = 0;
    struct alarm *last = core->alarms.at[--core->alarms.n];
    if (last == alarm)
        return;
    place(core, i, last);
    sift_up(core, i);
    sift_down(core, last->index);
}

int64_t alarm_next(const struct core *core)
{
    return core->alarms.n ? core->alarms.at[0]->at_ms : INT64_MAX;
}

int alarms_fire(struct core *core, int limit)
{
    int fired = 0;
    while (fired < limit && core->alarms.n && core->alarms.at[0]->at_ms <= core->now_ms) {
        struct alarm *alarm = core->alarms.at[0];
        alarm_clear(core, alarm);
        alarm->fire(core, alarm);
        fired++;
    }
    return fired;
}
