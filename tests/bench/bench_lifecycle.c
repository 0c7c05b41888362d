/* lifecycle.90x5, lifecycle.90x10k: 90 simulated days of 5 and of 10,000 personas through all the agents, from the
 * command to its answer, every turn in the journal. The floor is the same lives in one loop without messages: simulate,
 * observe, choose by the same policy, take the impact. */
#include "bench.h"

#include "../../plugins/lifecycle/common/policy.h"
#include "../../plugins/lifecycle/common/world.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define DAYS 90
#define ACTIONS 8

static const char *const PLUGINS[] = {"lifecycle", "actions", "llm", NULL};
static const char *const names[ACTIONS] = {"SEND_DISCOUNT", "SEND_TUTORIAL", "SEND_REMINDER", "GRANT_LOYALTY_POINTS",
                                           "OFFER_UPGRADE", "SCHEDULE_CALL", "SEND_SURVEY",   "SEND_FEATURE_HIGHLIGHT"};

static json_t *persona(int i)
{
    static const char *const segments[] = {"Onboarding", "Retention", "Growth", "Loyalty", "Winback"};
    char key[64], name[32];
    json_t *sensitivities = json_object();
    struct life_random r = life_random_of(1, i, "bench", LIFE_NOISE);
    snprintf(key, sizeof key, "%s_P%05d", segments[i % 5], i);
    snprintf(name, sizeof name, "Person %d", i);
    for (int a = 0; a < ACTIONS; a++)
        json_object_set_new(sensitivities, names[a], life_number(life_random_between(&r, -5, 8)));
    return json_pack("{s:s, s:s, s:s, s:i, s:i, s:[s], s:o, s:i, s:f}", "persona_key", key, "display_name", name,
                     "segment", segments[i % 5], "engagement_score", 30 + i % 65, "days_inactive", i % 7, "traits",
                     "busy", "sensitivities", sensitivities, "monthly_revenue", 100000, "gross_margin", .5);
}

static json_t *people(int n)
{
    json_t *all = json_array();
    for (int i = 0; i < n; i++)
        json_array_append_new(all, persona(i));
    return all;
}

static int put_people(const struct bench_home *home, const json_t *all)
{
    char path[256];
    snprintf(path, sizeof path, "%s/data", home->path);
    mkdir(path, 0700);
    snprintf(path, sizeof path, "%s/data/lifecycle", home->path);
    mkdir(path, 0700);
    snprintf(path, sizeof path, "%s/data/lifecycle/personas.json", home->path);
    return json_dump_file(all, path, JSON_INDENT(1)); /* a line has a limit */
}

/* Runs a command; gives how long it took in ns, < 0: it failed. */
static double command(const struct bench_home *home, const char *what, const char *days)
{
    char program[512];
    int status = -1;
    snprintf(program, sizeof program, "%s/host/cvmhost", bench_build());
    int64_t begun = bench_ns();
    pid_t pid = fork();
    if (pid == 0) {
        if (!freopen("/dev/null", "w", stdout))
            _exit(126);
        execl(program, program, "--home", home->path, "lifecycle", what, days ? "--days" : NULL, days, (char *)NULL);
        _exit(127);
    }
    if (pid < 0 || waitpid(pid, &status, 0) < 0 || status != 0) {
        fprintf(stderr, "bench: lifecycle %s ended with %d\n", what, status);
        return -1;
    }
    return (double)(bench_ns() - begun);
}

static uint64_t draw(void *arg)
{
    return life_random_next(arg);
}

static void live(struct life_persona *p, struct policy_option *options, int64_t day, struct policy_settings *settings)
{
    struct life_random behaviour = life_random_of(1, day, p->key, LIFE_BEHAVIOUR),
                       choice = life_random_of(1, day, p->key, LIFE_CHOICE),
                       noise = life_random_of(1, day, p->key, LIFE_NOISE);
    struct life_observation seen;
    struct policy_choice chosen;
    life_simulate(p, &behaviour);
    life_observe(p, &seen);
    if (p->churned)
        return;
    struct policy_case c = {p->segment, (enum bandit_state)seen.state, NULL, NULL};
    policy_choose(settings, &c, options, ACTIONS, draw, &choice, &chosen);
    if (chosen.index < 0)
        return;
    struct policy_option *o = &options[chosen.index];
    double impact = life_impact(p, o->action, 0, 2, &noise);
    life_act(p, impact);
    o->impact = (o->impact * o->tries + impact) / (o->tries + 1);
    o->tries++;
    o->success = impact > 0;
    o->forbidden = !o->success;
    p->last_action = o->action;
    p->churned = life_churns(p, 10, 30);
}

/* Persona-days a second. */
static double floor_of(const json_t *all, int days)
{
    struct policy_settings settings = policy_settings_usual();
    char error[160];
    size_t n = json_array_size(all);
    int64_t begun = bench_ns();
    for (size_t i = 0; i < n; i++) {
        struct life_persona p;
        struct policy_option options[ACTIONS] = {0};
        if (life_persona_read(json_array_get(all, i), &p, error, sizeof error) < 0)
            return -1;
        for (int a = 0; a < ACTIONS; a++)
            options[a] = (struct policy_option){.action = names[a], .expected = 8 - a};
        for (int day = 1; day <= days; day++)
            live(&p, options, day, &settings);
    }
    return (double)n * days * 1e9 / (double)(bench_ns() - begun);
}

static int bench_days(struct row *row, int n, int runs)
{
    struct bench_home home;
    json_t *all = people(n);
    double values[BENCH_RUNS], took[BENCH_RUNS], floors[BENCH_RUNS];
    char days[8];
    int result = -1, many = n > 100 ? (int)bench_amount(DAYS) : DAYS;
    many = many < 1 ? 1 : many;
    snprintf(days, sizeof days, "%d", many);
    if (bench_home_make(&home, PLUGINS) < 0 || put_people(&home, all) < 0 || bench_home_serve(&home) < 0)
        goto out;
    for (int run = 0; run < runs; run++) {
        if (command(&home, "reset", NULL) < 0 || (took[run] = command(&home, "run", days)) < 0)
            goto out;
        values[run] = (double)n * many * 1e9 / took[run];
        took[run] /= 1000;
        floors[run] = floor_of(all, many);
    }
    row->unit = "persona-day/s";
    row->floor = "the same lives in one loop";
    row->value = bench_median(values, runs);
    row->p50_us = bench_median(took, runs);
    row->floor_value = bench_median(floors, runs);
    result = 0;
out:
    json_decref(all);
    bench_home_remove(&home);
    return result;
}

int bench_lifecycle_few(struct row *row)
{
    return bench_days(row, 5, bench_runs());
}

int bench_lifecycle_many(struct row *row)
{
    return bench_days(row, 10000, 1);
}
