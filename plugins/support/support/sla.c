/* How long a ticket may still take: hours that pass only while the support team has it. Pure. */
#include "support.h"

#include <math.h>

static json_t *clock_of(const json_t *record)
{
    return json_object_get(record, "sla");
}

void sla_start(json_t *record, double hours, int64_t now_ms)
{
    if (!(hours > 0))
        return;
    if (hours > WORKFLOW_HOURS_MAX)
        hours = WORKFLOW_HOURS_MAX;
    json_object_set_new(
        record, "sla",
        json_pack("{s:I, s:I}", "left_ms", (json_int_t)llround(hours * 3600000.0), "since_ms", (json_int_t)now_ms));
}

bool sla_runs(const json_t *record)
{
    return cvm_json_int(clock_of(record), "since_ms", 0) != 0;
}

int64_t sla_left_ms(const json_t *record, int64_t now_ms)
{
    int64_t since = cvm_json_int(clock_of(record), "since_ms", 0);
    return cvm_json_int(clock_of(record), "left_ms", 0) - (since ? now_ms - since : 0);
}

int64_t sla_due_ms(const json_t *record)
{
    int64_t since = cvm_json_int(clock_of(record), "since_ms", 0);
    return since ? since + cvm_json_int(clock_of(record), "left_ms", 0) : 0;
}

static void set(json_t *record, int64_t left_ms, int64_t since_ms)
{
    json_object_set_new(clock_of(record), "left_ms", json_integer(left_ms));
    json_object_set_new(clock_of(record), "since_ms", json_integer(since_ms));
}

void sla_pause(json_t *record, int64_t now_ms)
{
    if (sla_runs(record))
        set(record, sla_left_ms(record, now_ms), 0);
}

void sla_resume(json_t *record, int64_t now_ms)
{
    if (clock_of(record) && !sla_runs(record))
        set(record, sla_left_ms(record, now_ms), now_ms);
}
