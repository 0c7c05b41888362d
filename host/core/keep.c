/* When the journal is folded and pruned: a pass begins by itself every ten minutes, or because an operator asks. Its
 * steps run on the writer's thread, with pauses; while turns wait to be written none begins, unless they wait all the
 * time. Loop thread. */
#include "core/keep.h"

#include "core/audit.h"
#include "core/store.h"
#include <stdlib.h>
#include <string.h>

#define FIRST_MS 60000
#define EVERY_MS 600000
#define TURNS_EVERY_MS (6 * 3600 * INT64_C(1000))
#define PAUSE_MS 20          /* between steps: the writer is ours for a fourteenth of its time */
#define BUSY_MS 5            /* looked at again after so long */
#define BUSY_LONGEST_MS 1000 /* then a step comes in between all the same */
#define DAY_MS (24 * 3600 * INT64_C(1000))

struct asker {
    bool dry;
    int64_t before_ms; /* 0: as the setting says */
    core_pruned done;
    void *arg;
};

struct keeper {
    struct core *core;
    struct alarm alarm;
    struct keep_pass pass;
    struct asker asker, waiting; /* of the pass under way; of the next. `done` NULL: nobody */
    bool busy, few;              /* a pass is under way; one of keys and letters alone */
    int64_t paused_since_ms;     /* 0: it is not waiting for the writer */
    int64_t turn_ms;             /* when the turns are looked at again, not the keys and letters alone */
    struct keep_totals totals;
};

struct keep_totals *keep_totals(const struct core *core)
{
    return &core->keeper->totals;
}

static int64_t keep_days(const struct core *core)
{
    return config_int(core->options.config, "journal.keep_days", 90);
}

static int64_t inbox_keep_ms(const struct core *core)
{
    return 3600000 * config_int(core->options.config, "journal.inbox_keep_hours", 24);
}

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static void next_step(struct core *core, struct alarm *alarm);
static void next_pass(struct core *core, struct alarm *alarm);

/* ---- a pass ------------------------------------------------------------------------------------------------------ */

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* The lanes that have no end: each component's own, and one for each topic that it takes. */
static int list_pinned(const struct core *core, struct keep_pass *p)
{
    char name[2 * CVM_NAME_MAX + 32];
    size_t n = core->n_components;
    for (uint32_t i = 0; i < core->registry->topics.n; i++)
        n += core->registry->topics.at[i]->subscribers.n;
    p->pinned = malloc((n + 1) * sizeof *p->pinned);
    if (!p->pinned)
        return CVM_ENOMEM;
    for (uint32_t i = 0; i < core->n_components; i++)
        p->pinned[p->n_pinned++] = core->components[i]->lane->key;
    for (uint32_t i = 0; i < core->registry->topics.n; i++) {
        const struct topic *topic = core->registry->topics.at[i];
        for (uint32_t k = 0; k < topic->subscribers.n; k++) {
            snprintf(name, sizeof name, "topic:%s/%s", topic->name->text, topic->subscribers.at[k]->id->text);
            p->pinned[p->n_pinned++] = conversation_key(name);
        }
    }
    qsort(p->pinned, p->n_pinned, sizeof *p->pinned, compare);
    return 0;
}

static json_t *report(const struct keep_pass *p)
{
    return json_pack("{s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "dry_run", (int)p->dry, "before_ms",
                     (json_int_t)p->before_ms, "turns", (json_int_t)p->turns, "bytes", (json_int_t)p->bytes,
                     "conversations", (json_int_t)p->conversations, "kept", (json_int_t)p->kept, "dead_letters",
                     (json_int_t)p->letters, "keys", (json_int_t)p->keys, "steps", (json_int_t)p->steps, "us",
                     (json_int_t)(p->ns / 1000), "longest_step_us", (json_int_t)(p->longest_ns / 1000));
}

static void count(struct keep_totals *t, const struct keep_pass *p, int64_t now_ms)
{
    t->passes++;
    t->steps += (uint64_t)p->steps;
    t->ns += (uint64_t)p->ns;
    t->longest_ns = (uint64_t)p->longest_ns > t->longest_ns ? (uint64_t)p->longest_ns : t->longest_ns;
    if (p->dry)
        return;
    t->turns += (uint64_t)p->turns;
    t->conversations += (uint64_t)p->conversations;
    t->letters += (uint64_t)p->letters;
    t->keys += (uint64_t)p->keys;
    t->kept = p->kept;
    t->last_ms = now_ms;
}

/* When something can be old enough next, so that a host with nothing to do sleeps; with a minute's grace. What was kept
 * is looked at again then: whatever frees it leaves something newer. */
static void arm(struct keeper *k, const struct keep_pass *p)
{
    struct core *core = k->core;
    int64_t keep_ms = DAY_MS * keep_days(core);
    if (!k->few && !p->dry)
        k->turn_ms = p->turn_ms == INT64_MAX ? INT64_MAX : later(p->turn_ms + keep_ms, core->now_ms + TURNS_EVERY_MS);
    int64_t next = p->key_ms == INT64_MAX ? INT64_MAX : p->key_ms + inbox_keep_ms(core);
    if (p->error || p->dry || k->turn_ms < next)
        next = p->error || p->dry ? core->now_ms : k->turn_ms;
    if (k->asker.done)
        alarm_set(core, &k->alarm, core->now_ms, next_pass);
    else if (next != INT64_MAX)
        alarm_set(core, &k->alarm, later(next + 60000, core->now_ms + EVERY_MS), next_pass);
}

static void end_pass(struct keeper *k)
{
    struct core *core = k->core;
    struct keep_pass *p = &k->pass;
    struct asker asker = k->asker;
    int error = p->error;
    json_t *found = error ? json_pack("{s:s}", "text", p->text) : report(p);
    if (error)
        log_warning("journal", "pruning has stopped: %s; it goes on in ten minutes", p->text);
    else if (!p->dry && p->turns)
        log_info("journal", "%lld turns pruned, %lld conversations folded", (long long)p->turns,
                 (long long)p->conversations);
    if (!p->dry &&
        (p->conversations || (p->turns && asker.done))) { /* not where it is only of receipts like this one */
        char before[32];
        time_text(p->before_ms, before);
        audit_event(core, "journal.pruned",
                    json_pack("{s:s, s:I, s:I, s:s}", "by", asker.done ? "operator" : "host", "turns",
                              (json_int_t)p->turns, "conversations", (json_int_t)p->conversations, "before", before));
    }
    count(&k->totals, p, core->now_ms);
    k->busy = false;
    k->asker = k->waiting;
    k->waiting.done = NULL;
    arm(k, p);
    keep_clear(p);
    if (asker.done)
        asker.done(asker.arg, error, found);
    else
        json_decref(found);
}

static void stepped(struct core *core, void *arg)
{
    struct keeper *k = arg;
    core_set_now(core);
    if (k->pass.error || k->pass.phase == KEEP_DONE)
        end_pass(k);
    else
        alarm_set(core, &k->alarm, core->now_ms + PAUSE_MS, next_step);
}

static void run_step(struct store *store, void *arg)
{
    struct keeper *k = arg;
    if (!k->pass.steps)
        keep_resume(store, &k->pass);
    if (!k->pass.error)
        keep_step(store, &k->pass);
}

static void next_step(struct core *core, struct alarm *alarm)
{
    struct keeper *k = core->keeper;
    if (core->stopping)
        return;
    if (!k->paused_since_ms)
        k->paused_since_ms = core->now_ms;
    bool waits = !journal_idle(core) && core->now_ms - k->paused_since_ms < BUSY_LONGEST_MS;
    if (waits || core->trouble) {
        alarm_set(core, alarm, core->now_ms + BUSY_MS, next_step);
        return;
    }
    k->paused_since_ms = 0;
    if (journal_job(core, run_step, stepped, k) < 0) {
        k->pass.error = CVM_ENOMEM;
        end_pass(k);
    }
}

static void next_pass(struct core *core, struct alarm *alarm)
{
    struct keeper *k = core->keeper;
    if (core->stopping)
        return;
    k->busy = true;
    k->pass = (struct keep_pass){.now_ms = core->now_ms, .dry = k->asker.done && k->asker.dry};
    k->pass.before_ms =
        k->asker.done && k->asker.before_ms ? k->asker.before_ms : core->now_ms - keep_days(core) * DAY_MS;
    k->pass.inbox_before_ms = core->now_ms - inbox_keep_ms(core);
    k->few = !k->asker.done && core->now_ms < k->turn_ms;
    if (k->few)
        k->pass.phase = KEEP_LETTERS;
    k->pass.error = list_pinned(core, &k->pass);
    if (k->pass.error)
        end_pass(k);
    else
        next_step(core, alarm);
}

/* ---- for others -------------------------------------------------------------------------------------------------- */

int keep_open(struct core *core)
{
    core->keeper = calloc(1, sizeof *core->keeper);
    if (!core->keeper)
        return CVM_ENOMEM;
    core->keeper->core = core;
    return 0;
}

void keep_start(struct core *core)
{
    struct keeper *k = core->keeper;
    k->turn_ms = core->now_ms + FIRST_MS;
    alarm_set(core, &k->alarm, k->turn_ms, next_pass);
}

/* Something was written; that it may be old one day must be thought of. */
void keep_written(struct core *core)
{
    struct keeper *k = core->keeper;
    if (k->busy || k->alarm.index || core->stopping)
        return;
    k->turn_ms = core->now_ms;
    alarm_set(core, &k->alarm, core->now_ms + EVERY_MS, next_pass);
}

void keep_close(struct core *core)
{
    if (!core->keeper)
        return;
    struct asker askers[] = {core->keeper->asker, core->keeper->waiting};
    for (int i = 0; i < 2; i++)
        if (askers[i].done)
            askers[i].done(askers[i].arg, CVM_ESTATE, NULL);
    backup_close(core);
    alarm_clear(core, &core->keeper->alarm);
    keep_clear(&core->keeper->pass);
    free(core->keeper);
    core->keeper = NULL;
}

int core_prune(struct core *core, bool dry, int64_t before_ms, core_pruned done, void *arg)
{
    struct keeper *k = core->keeper;
    core_set_now(core);
    const struct asker asker = {.dry = dry, .before_ms = before_ms, .done = done, .arg = arg};
    if (core->stopping || before_ms > core->now_ms)
        return core->stopping ? CVM_ESTATE : CVM_EINVAL;
    if (k->waiting.done || (k->asker.done && !k->busy))
        return CVM_EBUSY;
    if (k->busy) {
        k->waiting = asker;
        return 0;
    }
    k->asker = asker;
    alarm_set(core, &k->alarm, core->now_ms, next_pass);
    return 0;
}

json_t *core_keeping(const struct core *core)
{
    const struct keep_totals *t = &core->keeper->totals;
    const struct store *store = journal_store((struct core *)(uintptr_t)core);
    int64_t next = core->keeper->turn_ms == INT64_MAX ? 0 : core->keeper->turn_ms;
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "wal_bytes",
                     (json_int_t)store_wal_bytes(store), "keep_days", (json_int_t)keep_days(core), "last_ms",
                     (json_int_t)t->last_ms, "next_ms", (json_int_t)next, "turns_pruned", (json_int_t)t->turns,
                     "conversations_folded", (json_int_t)t->conversations, "kept", (json_int_t)t->kept, "steps",
                     (json_int_t)t->steps, "longest_step_us", (json_int_t)(t->longest_ns / 1000), "backup_ms",
                     (json_int_t)t->backup_ms);
}
