/* What a learner believes of actions and how a policy chooses by it: exact where that is known in closed form, by
 * counting where it is not; then whole lives in the simulated world, in worlds too that nothing was chosen for. */
#include "../../plugins/lifecycle/common/bandit_json.h"
#include "../../plugins/lifecycle/learn/sim.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t draw(void *arg)
{
    return life_random_next(arg);
}

static double normal(struct life_random *r)
{
    return sqrt(-2 * log(1 - life_random_unit(r))) * cos(2 * M_PI * life_random_unit(r));
}

/* ---- the probability to be the best ---- */

START_TEST(two_are_as_the_normal_law_says)
{
    static const double deviations[] = {0, 0.01, 0.3, 1, 4};
    double p[2], worst = 0;
    for (double gap = -4; gap <= 4; gap += 0.25)
        for (size_t i = 0; i < 5; i++)
            for (size_t k = 0; k < 5; k++) {
                double s = hypot(deviations[i], deviations[k]), exact = 0.5 * erfc(-gap / s * M_SQRT1_2);
                if (s == 0)
                    continue;
                bandit_best((double[]){gap, 0}, (double[]){deviations[i], deviations[k]}, 2, p);
                ck_assert(fabs(p[0] + p[1] - 1) < 1e-12);
                worst = fmax(worst, fabs(p[0] - exact));
            }
    ck_assert_msg(worst < 0.04, "wrong by %g", worst);
}
END_TEST

START_TEST(many_are_as_counting_says)
{
    enum { N = 9, DRAWS = 200000 };
    struct life_random r = {11};
    for (int world = 0; world < 6; world++) {
        double means[N], deviations[N], p[N], total = 0;
        int wins[N] = {0};
        for (size_t i = 0; i < N; i++) {
            means[i] = 3 * normal(&r);
            deviations[i] = i ? 0.2 + 2 * life_random_unit(&r) : 0;
        }
        means[0] = 0; /* nothing: known to do nothing */
        for (int k = 0; k < DRAWS; k++) {
            size_t best = 0;
            double highest = -HUGE_VAL;
            for (size_t i = 0; i < N; i++) {
                double x = means[i] + deviations[i] * normal(&r);
                if (x > highest) {
                    highest = x;
                    best = i;
                }
            }
            wins[best]++;
        }
        bandit_best(means, deviations, N, p);
        for (size_t i = 0; i < N; i++) {
            total += p[i];
            ck_assert_msg(fabs(p[i] - (double)wins[i] / DRAWS) < 0.006, "%zu: %g, counted %g", i, p[i],
                          (double)wins[i] / DRAWS);
        }
        ck_assert(fabs(total - 1) < 1e-12);
    }
    double p[3];
    bandit_best((double[]){1, 1, 1}, (double[]){0, 0, 0}, 3, p); /* nothing tells them apart */
    ck_assert(fabs(p[0] + p[1] + p[2] - 1) < 1e-12);
}
END_TEST

/* ---- what is believed ---- */

/* The same posterior by brute force: all of a bandit's unknowns as one normal vector. */
enum { SEGMENTS = 2, PERSONAS = 4, ALL = BANDIT_COMMON + SEGMENTS + PERSONAS };

static void gauss(double a[ALL][ALL], double b[ALL]) /* a x = b, x in b */
{
    for (size_t c = 0; c < ALL; c++)
        for (size_t r = 0; r < ALL; r++) {
            double f = r == c ? 0 : a[r][c] / a[c][c];
            for (size_t k = 0; k < ALL && f != 0; k++)
                a[r][k] -= f * a[c][k];
            b[r] -= f * b[c];
        }
    for (size_t r = 0; r < ALL; r++)
        b[r] /= a[r][r];
}

START_TEST(posterior_is_the_exact_one)
{
    struct bandit_prior prior = bandit_prior_usual();
    prior.half_life = 0;
    struct bandit *b = bandit_new(&prior);
    static struct bandit_persona known[PERSONAS];
    struct life_random r = {5};
    double precision[ALL][ALL] = {{0}}, right[ALL] = {0}, per = 1 / (prior.sigma * prior.sigma);
    const double deviations[ALL] = {prior.all,     prior.state,   prior.state,   prior.fatigue, prior.segment,
                                    prior.segment, prior.persona, prior.persona, prior.persona, prior.persona};
    const char *const segments[SEGMENTS] = {"Growth", "Loyalty"};
    int action = bandit_action(b, "SEND_TUTORIAL");
    for (size_t i = 0; i < ALL; i++)
        precision[i][i] = 1 / (deviations[i] * deviations[i]);
    right[3] = precision[3][3] * prior.fatigue_mean;
    for (int day = 1; day <= 60; day++) {
        size_t p = (size_t)(life_random_unit(&r) * 3); /* the last one is never seen */
        struct bandit_case c = {segments[p % 2], (enum bandit_state)(life_random_unit(&r) * 3),
                                life_random_unit(&r) < 0.4, 1.5};
        double impact = 2 + (double)p + normal(&r),
               x[ALL] = {1, c.state == BANDIT_AT_RISK, c.state == BANDIT_CRITICAL, c.yesterday};
        x[4 + p % 2] = x[6 + p] = 1;
        bandit_day(b, day);
        bandit_learn(b, &known[p], action, &c, impact);
        for (size_t i = 0; i < ALL; i++) {
            right[i] += per * x[i] * (impact - c.expected);
            for (size_t k = 0; k < ALL; k++)
                precision[i][k] += per * x[i] * x[k];
        }
    }
    for (size_t p = 0; p < PERSONAS; p++) {
        struct bandit_case c = {segments[p % 2], BANDIT_AT_RISK, true, 0.5};
        double x[ALL] = {1, 1, 0, 1}, a[ALL][ALL], solved[ALL], mean = c.expected, variance = 0, m, s;
        x[4 + p % 2] = x[6 + p] = 1;
        memcpy(a, precision, sizeof a);
        memcpy(solved, x, sizeof solved);
        gauss(a, solved);
        for (size_t i = 0; i < ALL; i++) {
            mean += solved[i] * right[i];
            variance += solved[i] * x[i];
        }
        bandit_predict(b, &known[p], action, &c, &m, &s);
        ck_assert_msg(fabs(m - mean) < 1e-9 && fabs(s - sqrt(variance)) < 1e-9, "%zu: %g %g, exact %g %g", p, m, s,
                      mean, sqrt(variance));
    }
    bandit_free(b);
}
END_TEST

START_TEST(a_persona_is_drawn_to_its_segment)
{
    struct bandit_prior prior = bandit_prior_usual();
    struct bandit *b = bandit_new(&prior);
    static struct bandit_persona liked[5], odd;
    struct bandit_case growth = {"Growth", BANDIT_HEALTHY, false, 0}, other = {"Retention", BANDIT_HEALTHY, false, 0};
    int action = bandit_action(b, "SEND_TUTORIAL");
    double new_growth, new_other, own, s_new, s_own, s_other;
    for (int day = 1; day <= 30; day++) {
        bandit_day(b, day);
        for (size_t p = 0; p < 5; p++)
            bandit_learn(b, &liked[p], action, &growth, 5);
        if (day > 20)
            bandit_learn(b, &odd, action, &growth, -4);
    }
    bandit_predict(b, NULL, action, &growth, &new_growth, &s_new);
    bandit_predict(b, NULL, action, &other, &new_other, &s_other);
    bandit_predict(b, &odd, action, &growth, &own, &s_own);
    ck_assert_msg(new_growth > 2 && new_growth < 5, "%g", new_growth); /* mostly what its segment does */
    ck_assert_msg(new_other > 0 && new_other < new_growth, "%g", new_other);
    ck_assert_msg(own < -2.5, "%g", own); /* ten of its own speak louder */
    ck_assert(s_own < s_new && s_new < s_other);
    bandit_day(b, 30 + 10 * 365); /* everything fades to what was believed at first */
    bandit_predict(b, &odd, action, &growth, &own, &s_own);
    ck_assert_msg(fabs(own) < 1e-6, "%g", own);
    bandit_learn(b, &odd, action, &growth, NAN);
    bandit_learn(b, &odd, action, &growth, INFINITY);
    bandit_predict(b, &odd, action, &growth, &new_growth, &s_new);
    ck_assert(new_growth == own);
    bandit_free(b);
}
END_TEST

START_TEST(stays_sound_for_long)
{
    struct bandit_prior prior = bandit_prior_usual();
    struct bandit *b = bandit_new(&prior);
    static struct bandit_persona known[50];
    static const char *const segments[] = {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n"};
    struct life_random r = {3};
    double mean, deviation;
    for (int day = 1; day <= 4000; day++) {
        bandit_day(b, day);
        for (size_t k = 0; k < 20; k++) {
            size_t p = (size_t)(life_random_unit(&r) * 50);
            struct bandit_case c = {segments[p % 14], BANDIT_HEALTHY, life_random_unit(&r) < 0.5, 0};
            double scale = k % 5 ? 1 : 1e6; /* absurd impacts too */
            bandit_learn(b, &known[p], bandit_action(b, p % 3 ? "x" : "y"), &c, scale * normal(&r));
        }
        struct bandit_case c = {segments[day % 14], BANDIT_CRITICAL, true, 0};
        bandit_predict(b, &known[day % 50], bandit_action(b, "x"), &c, &mean, &deviation);
        ck_assert_msg(isfinite(mean) && deviation > 0 && deviation < 10, "day %d: %g %g", day, mean, deviation);
    }
    ck_assert_int_eq(b->n_segments, BANDIT_SEGMENTS_MAX);
    ck_assert_int_eq(bandit_action(b, ""), -1);
    for (int i = 0; i < BANDIT_ACTIONS_MAX; i++) {
        char name[16];
        snprintf(name, sizeof name, "action %d", i);
        ck_assert_int_eq(bandit_action(b, name), i < BANDIT_ACTIONS_MAX - 2 ? i + 2 : -1);
    }
    bandit_free(b);
}
END_TEST

/* What is stored is what was known, in little room; and what is none of ours is refused. */
START_TEST(is_stored_as_json)
{
    struct bandit_prior prior = bandit_prior_usual();
    struct bandit *b = bandit_new(&prior), *again = bandit_new(&prior);
    static struct bandit_persona known[20], read;
    struct life_random r = {9};
    char name[BANDIT_NAME_MAX];
    for (int day = 1; day <= 400; day++)
        for (int k = 0; k < 20; k++) {
            char segment[16];
            snprintf(segment, sizeof segment, "segment %d", k % BANDIT_SEGMENTS_MAX);
            snprintf(name, sizeof name, "ACTION_OF_A_LONG_NAME_%d", (int)(life_random_unit(&r) * BANDIT_ACTIONS_MAX));
            struct bandit_case c = {segment, (enum bandit_state)(k % 3), day % 3 == 0, 0.1};
            bandit_day(b, day);
            bandit_learn(b, &known[k], bandit_action(b, name), &c, 8 * life_random_unit(&r) - 4);
        }
    json_t *json = bandit_json(b), *persona = bandit_persona_json(b, &known[3]);
    char *text = json_dumps(json, JSON_COMPACT), *small = json_dumps(persona, JSON_COMPACT);
    ck_assert_int_eq(b->n_actions, BANDIT_ACTIONS_MAX);
    ck_assert_msg(strlen(text) < CVM_STATE_VALUE_MAX_BYTES && strlen(small) < 8192, "%zu %zu", strlen(text),
                  strlen(small));
    ck_assert(bandit_read(again, json) && bandit_persona_read(again, persona, &read));
    for (int i = 0; i < b->n_actions; i++) {
        struct bandit_case c = {"segment 3", BANDIT_CRITICAL, true, 1};
        double m[2], s[2];
        bandit_predict(b, &known[3], i, &c, &m[0], &s[0]);
        bandit_predict(again, &read, bandit_action(again, b->models[i].name), &c, &m[1], &s[1]);
        ck_assert(fabs(m[0] - m[1]) < 1e-12 && fabs(s[0] - s[1]) < 1e-12);
    }
    static const char *const wrong[] = {"[]",
                                        "{}",
                                        "{\"day\": -1, \"segments\": [], \"actions\": {}}",
                                        "{\"day\": 1, \"segments\": [\"a\", \"a\"], \"actions\": {}}",
                                        "{\"day\": 1, \"segments\": [], \"actions\": {\"A\": [1, 2]}}",
                                        "{\"day\": 1, \"segments\": [5], \"actions\": {}}"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        json_t *bad = json_loads(wrong[i], 0, NULL);
        struct bandit *fresh = bandit_new(&prior);
        ck_assert_msg(!bandit_read(fresh, bad) && !fresh->n_actions && !fresh->n_segments, "%s", wrong[i]);
        bandit_free(fresh);
        json_decref(bad);
    }
    json_t *bad = json_loads("{\"A\": [1, 0, 0, 0, \"x\", 3]}", 0, NULL);
    ck_assert(!bandit_persona_read(again, bad, &read) && bandit_persona_read(again, NULL, &read) &&
              bandit_read(again, NULL));
    json_decref(bad);
    free(text);
    free(small);
    json_decref(json);
    json_decref(persona);
    bandit_free(b);
    bandit_free(again);
}
END_TEST

/* ---- choices ---- */

START_TEST(source_is_the_specified_rule)
{
    struct policy_settings s = policy_settings_usual();
    struct policy_case c = {.segment = "Growth"};
    struct policy_choice choice;
    struct life_random r = {1};
    struct policy_option o[] = {{.action = "A", .expected = 1},
                                {.action = "B", .expected = 3},
                                {.action = "C", .tries = 2, .success = true, .impact = 2},
                                {.action = "D", .tries = 1, .success = true, .impact = 4},
                                {.action = "E", .tries = 1, .forbidden = true},
                                {.action = "NO_ACTION", .nothing = true}};
    policy_choose(&s, &c, o, 6, draw, &r, &choice);
    ck_assert_int_eq(choice.best, 3); /* the best known success */
    ck_assert(fabs(choice.probabilities[3] - 0.85) < 1e-12 && fabs(choice.probabilities[0] - 0.075) < 1e-12 &&
              fabs(choice.probabilities[1] - 0.075) < 1e-12 && choice.probabilities[4] == 0);
    ck_assert(choice.probability == choice.probabilities[choice.index]);
    o[2].forbidden = o[3].forbidden = true;
    policy_choose(&s, &c, o, 6, draw, &r, &choice);
    ck_assert_int_eq(choice.best, 1); /* the highest expectation */
    for (size_t i = 0; i < 5; i++)
        o[i].forbidden = true;
    policy_choose(&s, &c, o, 6, draw, &r, &choice);
    ck_assert(choice.index == 5 && choice.probability == 1);
    o[5].blocked = true;
    policy_choose(&s, &c, o, 6, draw, &r, &choice);
    ck_assert(choice.index == -1 && choice.probability == 1);
    ck_assert(policy_kind_of("thompson", &s.kind) && s.kind == POLICY_THOMPSON && !policy_kind_of("oracle", &s.kind));
}
END_TEST

/* What a choice is said to be as likely as is how often it is made; each policy. */
START_TEST(propensities_are_true)
{
    enum { N = 5, DRAWS = 40000 };
    struct bandit_prior prior = bandit_prior_usual();
    struct bandit *b = bandit_new(&prior);
    static struct bandit_persona known;
    struct policy_option o[N] = {{.action = "A", .expected = 1},
                                 {.action = "B", .expected = 3, .yesterday = true},
                                 {.action = "C", .tries = 1, .success = true, .impact = 2},
                                 {.action = "D", .blocked = true},
                                 {.action = "NO_ACTION", .nothing = true}};
    for (enum policy_kind kind = POLICY_SOURCE; kind <= POLICY_THOMPSON; kind++) {
        struct policy_settings s = policy_settings_usual();
        struct policy_case c = {.segment = "Growth", .bandit = b, .known = &known};
        struct policy_choice choice;
        struct life_random r = {7};
        int made[N] = {0};
        double total = 0;
        s.kind = kind;
        s.spread = 1;
        for (int i = 0; i < DRAWS; i++) {
            policy_choose(&s, &c, o, N, draw, &r, &choice);
            made[choice.index]++;
            ck_assert(choice.probability == choice.probabilities[choice.index]);
            ck_assert(choice.why == (choice.index == choice.best ? POLICY_RULE : POLICY_EXPLORE));
        }
        for (size_t i = 0; i < N; i++) {
            double p = choice.probabilities[i], sd = sqrt(p * (1 - p) / DRAWS);
            total += p;
            ck_assert_msg(fabs((double)made[i] / DRAWS - p) <= 4 * sd + 1e-12, "%s %zu: %g made %g", policy_name(kind),
                          i, p, (double)made[i] / DRAWS);
            if (kind == POLICY_THOMPSON && i != 3)
                ck_assert(p >= s.floor / 4); /* none is left out */
        }
        ck_assert(fabs(total - 1) < 1e-9 && made[3] == 0);
    }
    bandit_free(b);
}
END_TEST

/* What failed comes again only where good is expected of it. */
START_TEST(thompson_leaves_out_what_failed)
{
    struct bandit_prior prior = bandit_prior_usual();
    struct bandit *b = bandit_new(&prior);
    static struct bandit_persona known;
    struct policy_settings s = {.kind = POLICY_THOMPSON, .floor = 0.02, .spread = 1};
    struct policy_case c = {.segment = "Retention", .bandit = b, .known = &known};
    struct policy_option o[] = {{.action = "SEND_TUTORIAL", .expected = 1, .forbidden = true, .tries = 1},
                                {.action = "SEND_DISCOUNT", .expected = 1}};
    struct bandit_case circumstances = {"Retention", BANDIT_HEALTHY, false, 1};
    struct policy_choice choice;
    struct life_random r = {7};
    bandit_day(b, 1);
    bandit_learn(b, &known, bandit_action(b, "SEND_TUTORIAL"), &circumstances, -3);
    policy_choose(&s, &c, o, 2, draw, &r, &choice);
    ck_assert(choice.probabilities[0] == 0 && choice.probabilities[1] == 1);
    for (int i = 0; i < 5; i++)
        bandit_learn(b, &known, bandit_action(b, "SEND_TUTORIAL"), &circumstances, 4);
    policy_choose(&s, &c, o, 2, draw, &r, &choice);
    ck_assert(choice.probabilities[0] > 0.5);
    bandit_free(b);
}
END_TEST

/* ---- whole lives ---- */

struct gap {
    double mean, low, high; /* of the difference, with its paired interval */
};

static struct gap gap_of(const double *a, const double *b, size_t n)
{
    double mean = 0, squares = 0;
    for (size_t i = 0; i < n; i++)
        mean += (a[i] - b[i]) / (double)n;
    for (size_t i = 0; i < n; i++)
        squares += (a[i] - b[i] - mean) * (a[i] - b[i] - mean);
    double half = 1.97 * sqrt(squares / (double)(n - 1) / (double)n);
    return (struct gap){mean, mean - half, mean + half};
}

enum { SEEDS_MAX = 1000 };
struct lives {
    double score[SEEDS_MAX], days_score[SEEDS_MAX], impact[SEEDS_MAX], clv[SEEDS_MAX];
};

static void live(const struct sim_world *w, const struct sim_options *usual, bool shuffled, size_t seeds,
                 struct lives *ret)
{
    for (size_t i = 0; i < seeds; i++) {
        struct sim_options o = *usual;
        struct sim_world drawn = *w;
        struct sim_result result;
        o.seed = i + 1;
        if (shuffled)
            ck_assert_int_eq(sim_world_shuffle(w, o.seed, &drawn), CVM_OK);
        ck_assert_int_eq(sim_run(&drawn, &o, &result), CVM_OK);
        if (shuffled)
            sim_world_fini(&drawn);
        ret->score[i] = result.score;
        ret->days_score[i] = result.days_score;
        ret->impact[i] = result.impact;
        ret->clv[i] = result.clv;
    }
}

static size_t seeds(void)
{
    const char *text = getenv("CVM_LEARN_SEEDS");
    long n = text ? strtol(text, NULL, 10) : 200;
    return n < 20 ? 20 : n > SEEDS_MAX ? SEEDS_MAX : (size_t)n;
}

static void world(struct sim_world *ret)
{
    char error[SIM_ERROR_SIZE] = "";
    json_t *record = json_load_file(WORLD, 0, NULL);
    ck_assert_ptr_nonnull(record);
    ck_assert_msg(sim_world_read(record, ret, error) == CVM_OK, "%s", error);
    json_decref(record);
}

#define ABOVE(a, b, what)                                                                                              \
    do {                                                                                                               \
        struct gap g_ = gap_of((a).what, (b).what, n);                                                                 \
        ck_assert_msg(g_.low > 0, #a " - " #b ": " #what " %g (%g to %g)", g_.mean, g_.low, g_.high);                  \
    } while (0)

START_TEST(learning_beats_the_rule_and_chance)
{
    static struct lives thompson, source, chance;
    struct sim_world w;
    struct sim_options o = sim_options_usual();
    size_t n = seeds();
    world(&w);
    o.policy.kind = POLICY_SOURCE;
    live(&w, &o, false, n, &source);
    o.policy.kind = POLICY_RANDOM;
    live(&w, &o, false, n, &chance);
    o.policy.kind = POLICY_THOMPSON;
    live(&w, &o, false, n, &thompson);
    ABOVE(thompson, source, impact);
    ABOVE(thompson, source, days_score);
    ABOVE(thompson, chance, impact);
    ABOVE(thompson, chance, score);
    sim_world_fini(&w);
}
END_TEST

/* Worlds that nothing was chosen for: sensitivities drawn at random, another noise, personas that change. */
START_TEST(learning_pays_in_other_worlds_too)
{
    static struct lives thompson, source;
    static const struct {
        double noise, drift;
    } worlds[] = {{2, 0}, {5, 0}, {0, 0}, {2, 0.3}};
    struct sim_world w;
    size_t n = seeds();
    world(&w);
    for (size_t i = 0; i < sizeof worlds / sizeof *worlds; i++) {
        struct sim_options o = sim_options_usual();
        o.noise = worlds[i].noise;
        o.drift = worlds[i].drift;
        o.policy.kind = POLICY_SOURCE;
        live(&w, &o, true, n, &source);
        o.policy.kind = POLICY_THOMPSON;
        live(&w, &o, true, n, &thompson);
        ABOVE(thompson, source, score);
        ABOVE(thompson, source, impact);
        ABOVE(thompson, source, clv);
    }
    sim_world_fini(&w);
}
END_TEST

START_TEST(forgetting_helps_where_people_change)
{
    static struct lives forgets, keeps;
    struct sim_world w;
    struct sim_options o = sim_options_usual();
    size_t n = seeds();
    world(&w);
    o.policy.kind = POLICY_THOMPSON;
    o.drift = 0.5;
    o.days = 365;
    live(&w, &o, true, n, &forgets);
    o.prior.half_life = 0;
    live(&w, &o, true, n, &keeps);
    ABOVE(forgets, keeps, score);
    ABOVE(forgets, keeps, impact);
    sim_world_fini(&w);
}
END_TEST

START_TEST(worlds_are_read_or_refused)
{
    static const char *const wrong[] = {"{}", "[]", "{\"personas\": [{\"persona_key\": 5}]}",
                                        "{\"personas\": [{\"persona_key\": \"A_b\", \"display_name\": \"b\", "
                                        "\"segment\": \"A\", \"engagement_score\": 50}], \"actions\": [{}]}"};
    struct sim_world w;
    char error[SIM_ERROR_SIZE];
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        json_t *record = json_loads(wrong[i], 0, NULL);
        error[0] = 0;
        ck_assert_int_eq(sim_world_read(record, &w, error), CVM_EINVAL);
        ck_assert_msg(*error, "%s", wrong[i]);
        json_decref(record);
    }
}
END_TEST

/* The world of `learn compare` is that of the agents: their personas, what their treatments expect. */
START_TEST(world_is_the_agents)
{
    json_t *world_json = json_load_file(WORLD, 0, NULL), *personas = json_load_file(PERSONAS_FILE, 0, NULL),
           *manifest = json_load_file(ACTIONS_FILE, 0, NULL), *component;
    size_t i, n = 0;
    ck_assert(world_json && personas && manifest);
    ck_assert_msg(json_equal(json_object_get(world_json, "personas"), personas), "%s has other personas", WORLD);
    json_array_foreach(json_object_get(manifest, "components"), i, component)
    {
        const json_t *settings = json_object_get(component, "settings"), *action = json_object_get(settings, "action");
        if (!action || strcmp(json_string_value(action), LIFE_NO_ACTION) == 0)
            continue;
        const json_t *own = json_array_get(json_object_get(world_json, "actions"), n++);
        ck_assert_msg(json_equal(json_object_get(own, "action"), action) &&
                          json_equal(json_object_get(own, "expected"), json_object_get(settings, "expected")),
                      "%s: %s is another one", WORLD, json_string_value(action));
    }
    ck_assert_uint_eq(n, json_array_size(json_object_get(world_json, "actions")));
    json_decref(world_json);
    json_decref(personas);
    json_decref(manifest);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("bandit");
    TCase *c = tcase_create("bandit");
    tcase_set_timeout(c, 240);
    tcase_add_test(c, two_are_as_the_normal_law_says);
    tcase_add_test(c, many_are_as_counting_says);
    tcase_add_test(c, posterior_is_the_exact_one);
    tcase_add_test(c, a_persona_is_drawn_to_its_segment);
    tcase_add_test(c, stays_sound_for_long);
    tcase_add_test(c, is_stored_as_json);
    tcase_add_test(c, source_is_the_specified_rule);
    tcase_add_test(c, propensities_are_true);
    tcase_add_test(c, thompson_leaves_out_what_failed);
    tcase_add_test(c, learning_beats_the_rule_and_chance);
    tcase_add_test(c, learning_pays_in_other_worlds_too);
    tcase_add_test(c, forgetting_helps_where_people_change);
    tcase_add_test(c, worlds_are_read_or_refused);
    tcase_add_test(c, world_is_the_agents);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
