/* One life: opened, driven by its seed until its steps are over, healed, judged. */
#include "sim/parts.h"

#include "core/internal.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DATABASE "/data/cvmhost.db"
#define OPENS_MAX 20

/* ---- what is told of it -------------------------------------------------------------------------------------------
 */

int64_t sim_now(const struct sim *s)
{
    return s->core ? core_now_ms(s->core) : s->virtual_ms;
}

void sim_hash(struct sim *s, const void *bytes, size_t n)
{
    s->digest = gen_hash(bytes, n, s->digest);
}

/* Its folder has another name each time. */
static void without_home(const struct sim *s, char *line)
{
    char *at = strstr(line, s->home);
    if (at)
        memmove(at, at + strlen(s->home), strlen(at + strlen(s->home)) + 1);
}

void sim_event(struct sim *s, const char *format, ...)
{
    char *line = s->trace[s->n_trace++ % SIM_TRACE_LINES];
    int64_t ms = sim_now(s) - s->begin_ms;
    int n = snprintf(line, SIM_TRACE_BYTES, "%lld.%03lld ", (long long)(ms / 1000), (long long)(ms % 1000));
    va_list args;
    va_start(args, format);
    vsnprintf(line + n, SIM_TRACE_BYTES - (size_t)n, format, args);
    va_end(args);
    without_home(s, line);
    mend(line);
    sim_hash(s, line, strlen(line));
    if (s->options->trace)
        fprintf(stderr, "%s\n", line);
}

void sim_fail(struct sim *s, enum invariant which, const char *format, ...)
{
    if (s->failed)
        return;
    s->failed = true;
    s->invariant = which;
    s->failed_at_ms = sim_now(s) - s->begin_ms;
    va_list args;
    va_start(args, format);
    vsnprintf(s->what, sizeof s->what, format, args);
    va_end(args);
    mend(s->what);
    if (s->options->trace)
        fprintf(stderr, "FAILED %s: %s\n", sim_invariants[which], s->what);
}

/* ---- opening and crashing ------------------------------------------------------------------------------------------
 */

static void fatal(void *arg, int exit_status, const char *text)
{
    struct sim *s = arg;
    if (!disk_is_cut(s->disk))
        sim_fail(s, INV_HOST, "the host ends with status %d: %s", exit_status, text);
}

/* How long the disk takes for what is written now. */
static int64_t write_ms(void *arg)
{
    struct sim *s = arg;
    if (s->calm || !gen_chance(&s->gen, sim_now(s) < s->slow_until_ms ? 90 : s->temper.slow / 4))
        return 0;
    return 1 + (int64_t)gen_below(&s->gen, gen_chance(&s->gen, 20) ? 3000 : 60);
}

static int try_open(struct sim *s, char *error, size_t size)
{
    struct core_options options = {.home = s->home,
                                   .seed = s->seed * 2 + 1,
                                   .begin_ms = s->virtual_ms,
                                   .send = world_send,
                                   .send_arg = s,
                                   .around = guardian_around,
                                   .around_arg = s,
                                   .write_ms = write_ms,
                                   .write_arg = s,
                                   .fatal = fatal,
                                   .fatal_arg = s};
    int e = config_load(s->home, NULL, &s->config, error, size);
    options.config = s->config;
    if (!e)
        e = core_open(&options, &s->core, error, size);
    if (!e) {
        auditor_listen(s);
        e = core_load(s->core, error, size);
    }
    if (!e)
        e = core_start(s->core, error, size);
    return e;
}

static void let_go(struct sim *s)
{
    s->virtual_ms = sim_now(s);
    auditor_close(s);
    core_close(s->core);
    config_free(s->config);
    s->core = NULL;
    s->config = NULL;
    s->changes_open = 0;
    world_crashed(s);
    load_crashed(s);
}

/* Until it stands: the power may fail while it recovers, too. */
int sim_open(struct sim *s)
{
    char error[512] = "";
    for (int i = 0; i < OPENS_MAX && !s->failed; i++) {
        if (!s->calm && i < 3 && s->virtual_ms > s->begin_ms && gen_chance(&s->gen, s->temper.crash / 3))
            disk_cut_after(s->disk, 1 + gen_below(&s->gen, 60));
        int e = try_open(s, error, sizeof error);
        if (!e && !disk_is_cut(s->disk)) {
            disk_cut_after(s->disk, UINT64_MAX / 2);
            guardian_opened(s);
            auditor_opened(s);
            return 0;
        }
        if (!disk_is_cut(s->disk)) {
            s->unfit = s->virtual_ms == s->begin_ms;
            sim_fail(s, INV_HOST, s->unfit ? "%s" : "does not open: %s", error);
            break;
        }
        disk_cut_after(s->disk, 0);
        let_go(s);
        disk_power(s->disk);
        s->crashes++;
        sim_event(s, "the power fails while it opens");
    }
    if (!s->failed)
        sim_fail(s, INV_HOST, "does not open in %d attempts", OPENS_MAX);
    return CVM_EIO;
}

void sim_crash(struct sim *s, const char *how)
{
    if (s->failed)
        return;
    disk_cut_after(s->disk, 0);
    s->crashes++;
    s->virtual_ms = sim_now(s);
    let_go(s);
    uint32_t lost = disk_power(s->disk);
    sim_event(s, "crash: %s; %u writes lost", how, lost);
    if (!s->calm)
        s->virtual_ms += gen_chance(&s->gen, 70) ? 0 : (int64_t)gen_below(&s->gen, 90000);
    (void)sim_open(s);
}

/* ---- time ---------------------------------------------------------------------------------------------------------
 */

static bool cut(struct sim *s)
{
    if (!disk_is_cut(s->disk) || s->failed)
        return false;
    sim_crash(s, "in the middle of a write");
    return true;
}

static bool tick(struct sim *s, uint32_t turns)
{
    int64_t before = (int64_t)s->core->total.turns;
    bool more = core_tick(s->core, turns);
    s->turns += (int64_t)s->core->total.turns - before;
    if (s->turns > SIM_TURNS_MAX)
        sim_fail(s, INV_SERVICE, "no rest after %d turns", SIM_TURNS_MAX);
    return more;
}

void sim_ticks(struct sim *s, int ticks)
{
    bool more = true;
    for (int i = 0; i < ticks && more && !s->failed; i++) {
        more = tick(s, 1 + (uint32_t)gen_below(&s->gen, 8));
        if (cut(s))
            return;
    }
}

/* A slice of turns takes a millisecond. */
void sim_run_on(struct sim *s, int64_t ms)
{
    int64_t until = sim_now(s) + ms;
    while (!s->failed) {
        bool more = tick(s, 1024);
        if (s->failed || cut(s))
            return;
        if (world_deliver(s))
            continue;
        if (more) {
            core_advance(s->core, sim_now(s) + 1);
            continue;
        }
        int64_t now = sim_now(s), next = core_next_ms(s->core), outside = world_next(s);
        next = outside < next ? outside : next;
        if (next <= now)
            continue;
        if (now >= until)
            return;
        core_advance(s->core, next < until ? next : until);
    }
}

/* ---- one life ------------------------------------------------------------------------------------------------------
 */

/* Some lives know no crash, others little else: what one kind of trouble hides, another life shows. */
static void draw_temper(struct sim *s)
{
    struct gen *g = &s->gen;
    unsigned *const each[] = {&s->temper.outside, &s->temper.late,   &s->temper.disk,  &s->temper.slow,
                              &s->temper.crash,   &s->temper.change, &s->temper.fault, &s->temper.error,
                              &s->temper.hostile, &s->temper.bad,    &s->temper.read};
    for (size_t i = 0; i < sizeof each / sizeof *each; i++)
        *each[i] = gen_chance(g, 30) ? 0 : 1 + (unsigned)gen_below(g, gen_chance(g, 50) ? 25 : 100);
    s->temper.steps = 20 + (int)gen_below(g, 70);
}

static void check_counts(struct sim *s)
{
    for (uint32_t i = 0; i < s->core->n_components && !s->failed; i++) {
        const struct component *c = s->core->components[i];
        const struct counts *n = &c->counts;
        if (n->delivered != n->settled + n->queued + n->lent + n->dead)
            sim_fail(s, INV_CONSERVED, "%s: delivered %llu is not settled %llu + queued %llu + lent %llu + dead %llu",
                     c->id->text, (unsigned long long)n->delivered, (unsigned long long)n->settled,
                     (unsigned long long)n->queued, (unsigned long long)n->lent, (unsigned long long)n->dead);
        if (s->calm && (n->queued || n->lent))
            sim_fail(s, INV_ONCE, "%s has %llu messages queued and %llu requests open although nothing is under way",
                     c->id->text, (unsigned long long)n->queued, (unsigned long long)n->lent);
    }
}

static void judge(struct sim *s)
{
    auditor_read(s);
    check_counts(s);
    if (!s->failed)
        load_end(s);
    if (!s->failed)
        auditor_end(s);
    if (!s->failed)
        world_end(s);
    if (!s->failed && s->seed % 16 == 4 && !s->unreadable) /* what the disk did is in no record */
        auditor_replay(s);
}

void sim_live(struct sim *s)
{
    char database[SIM_PATH + 32];
    snprintf(database, sizeof database, "%s" DATABASE, s->home);
    s->begin_ms = s->virtual_ms = 1700000000000;
    s->digest = s->seed;
    draw_temper(s);
    s->disk = disk_new(database, gen_next(&s->gen));
    if (!s->disk || world_new(s) < 0 || auditor_new(s) < 0 || guardian_new(s) < 0) {
        sim_fail(s, INV_HOST, "out of memory");
        goto out;
    }
    if (sim_open(s) < 0)
        goto out;
    sim_run_on(s, 0);
    for (int i = 0; i < s->temper.steps && !s->failed; i++) {
        sim_act(s);
        if (!s->failed)
            check_counts(s);
    }
    if (!s->failed)
        sim_heal(s);
    if (!s->failed)
        judge(s);
out:
    if (s->core)
        let_go(s);
    guardian_free(s);
    auditor_free(s);
    world_free(s);
    load_free(s);
    disk_free(s->disk);
    s->disk = NULL;
}
