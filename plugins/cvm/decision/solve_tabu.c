/* Tabu search for the generalised assignment problem: shifts of one job and swaps of two, capacities as penalties whose
 * weight follows how long the assignment was (in)feasible (as Yagiura, Ibaraki and Glover weigh theirs), over the pairs
 * that a better assignment can have. Pure; the same seed gives the same walk. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "solve_gap.h"

enum { LONGEST_TENURE = 9, RESTART_AFTER = 1200, MAX_CANDIDATES = 12 };

typedef struct walk {
    gap *g;
    int16_t *now;         /* jobs */
    int *left;            /* agents; < 0: too much */
    int16_t *cand;        /* jobs x MAX_CANDIDATES: agents, the best after prices first */
    unsigned char *cands; /* jobs */
    unsigned char *may;   /* jobs x agents: in cand */
    long *until;          /* jobs x agents: not back before this round */
    int *first;           /* agents: list of jobs */
    int *next;            /* jobs */
    double weight;        /* of a unit too much */
    double value;
} walk;

typedef struct step {
    double gain;
    int job;
    int agent;
    int other; /* -1: a shift */
} step;

static double excess(int left)
{
    return left < 0 ? -left : 0;
}

static double change(const walk *w, int i, int by)
{
    return excess(w->left[i] + by) - excess(w->left[i]);
}

static void candidates(walk *w)
{
    const gap *g = w->g;
    memset(w->may, 0, (size_t)g->jobs * (size_t)g->agents);
    for (int j = 0; j < g->jobs; j++) {
        int n = 0;
        double key[MAX_CANDIDATES];
        int16_t *c = w->cand + j * MAX_CANDIDATES;
        for (int i = 0; i < g->agents; i++) {
            int at = j * g->agents + i;
            if (!g->open[at])
                continue;
            double k = g->profit[at] - g->price[i] * g->need[at];
            int a = n < MAX_CANDIDATES ? n++ : MAX_CANDIDATES;
            if (a == MAX_CANDIDATES && k <= key[a - 1])
                continue;
            a = a == MAX_CANDIDATES ? a - 1 : a;
            for (; a > 0 && key[a - 1] < k; a--) {
                key[a] = key[a - 1];
                c[a] = c[a - 1];
            }
            key[a] = k;
            c[a] = (int16_t)i;
        }
        w->cands[j] = (unsigned char)n;
        for (int a = 0; a < n; a++)
            w->may[j * g->agents + c[a]] = 1;
    }
}

static void lists(walk *w)
{
    const gap *g = w->g;
    for (int i = 0; i < g->agents; i++)
        w->first[i] = -1;
    for (int j = g->jobs; j-- > 0;) {
        w->next[j] = w->first[w->now[j]];
        w->first[w->now[j]] = j;
    }
}

static void unlink_job(walk *w, int j)
{
    int *at = &w->first[w->now[j]];
    while (*at != j)
        at = &w->next[*at];
    *at = w->next[j];
}

static void put(walk *w, int j, int to)
{
    const gap *g = w->g;
    unlink_job(w, j);
    int from = w->now[j];
    w->left[from] += g->need[j * g->agents + from];
    w->left[to] -= g->need[j * g->agents + to];
    w->value += g->profit[j * g->agents + to] - g->profit[j * g->agents + from];
    w->now[j] = (int16_t)to;
    w->next[j] = w->first[to];
    w->first[to] = j;
}

static void start_from(walk *w, const int16_t *start)
{
    const gap *g = w->g;
    memcpy(w->left, g->capacity, (size_t)g->agents * sizeof *w->left);
    w->value = 0;
    for (int j = 0; j < g->jobs; j++) {
        int i = start[j];
        if (i < 0 || !isfinite(g->profit[j * g->agents + i]))
            i = w->cands[j] > 0 ? w->cand[j * MAX_CANDIDATES] : 0;
        w->now[j] = (int16_t)i;
        w->left[i] -= g->need[j * g->agents + i];
        w->value += g->profit[j * g->agents + i];
    }
    lists(w);
}

static bool tabu(const walk *w, int j, int i, long round, double gain, double penalty_free)
{
    return w->until[j * w->g->agents + i] > round && !(penalty_free == 0 && w->value + gain > w->g->best_value + 1e-9);
}

static double total_excess(const walk *w)
{
    double sum = 0;
    for (int i = 0; i < w->g->agents; i++)
        sum += excess(w->left[i]);
    return sum;
}

static void look(const walk *w, int j, long round, double over, step *best)
{
    const gap *g = w->g;
    int m = g->agents;
    int from = w->now[j];
    for (int a = 0; a < w->cands[j]; a++) {
        int to = w->cand[j * MAX_CANDIDATES + a];
        if (to == from)
            continue;
        double gain = g->profit[j * m + to] - g->profit[j * m + from];
        int free_from = g->need[j * m + from];
        int take_to = g->need[j * m + to];
        double more = change(w, from, free_from) + change(w, to, -take_to);
        double score = gain - w->weight * more;
        if (score > best->gain && !tabu(w, j, to, round, gain, over + more))
            *best = (step){score, j, to, -1};
        for (int o = w->first[to]; o >= 0; o = w->next[o]) {
            if (!w->may[o * m + from])
                continue;
            double g2 = gain + g->profit[o * m + from] - g->profit[o * m + to];
            if (g2 <= best->gain - w->weight * (excess(w->left[from]) + excess(w->left[to])))
                continue; /* not even if it cured both */
            double more2 =
                change(w, from, free_from - g->need[o * m + from]) + change(w, to, g->need[o * m + to] - take_to);
            double s2 = g2 - w->weight * more2;
            if (s2 > best->gain && !tabu(w, j, to, round, g2, over + more2) &&
                !tabu(w, o, from, round, g2, over + more2))
                *best = (step){s2, j, to, o};
        }
    }
}

/* Every job's best move in turn as long as that gains: large instances are soon near where the walk is worth its scans.
 */
static void descend(walk *w)
{
    gap *g = w->g;
    bool moved = true;
    for (int pass = 0; pass < 30 && moved && !gap__over(g); pass++) {
        moved = false;
        for (int j = 0; j < g->jobs; j++) {
            step best = {.gain = 1e-9, .job = -1};
            look(w, j, 0, total_excess(w), &best);
            if (best.job >= 0) {
                int from = w->now[j];
                put(w, j, best.agent);
                if (best.other >= 0)
                    put(w, best.other, from);
                moved = true;
            }
        }
    }
    gap__offer(g, w->now);
}

static void go(walk *w, long rounds, const int16_t *start)
{
    gap *g = w->g;
    long idle = 0;
    int good = 0;
    int bad = 0;
    double base = w->weight;
    int tenure = g->jobs < 4 * LONGEST_TENURE ? 1 + g->jobs / 4 : LONGEST_TENURE;
    for (long round = 1; round <= rounds && !gap__proven(g); round++) {
        if (round % 16 == 0 && gap__over(g))
            break;
        double over = total_excess(w);
        step best = {.gain = -INFINITY, .job = -1};
        for (int j = 0; j < g->jobs; j++)
            look(w, j, round, over, &best);
        if (best.job < 0)
            continue;
        int from = w->now[best.job];
        long hold = round + tenure + gap__random(g, (uint32_t)tenure + 1);
        w->until[best.job * g->agents + from] = hold;
        put(w, best.job, best.agent);
        if (best.other >= 0) {
            w->until[best.other * g->agents + best.agent] = hold;
            put(w, best.other, from);
        }
        bool fits = total_excess(w) == 0;
        if (fits && w->value > g->best_value + 1e-9 && gap__offer(g, w->now))
            idle = 0;
        good = fits ? good + 1 : 0;
        bad = fits ? 0 : bad + 1;
        w->weight *= good >= 5 ? .85 : bad >= 5 ? 1.18 : 1;
        w->weight = w->weight < base * 1e-3 ? base * 1e-3 : w->weight > base * 1e4 ? base * 1e4 : w->weight;
        good = good >= 5 ? 0 : good;
        bad = bad >= 5 ? 0 : bad;
        if (++idle >= RESTART_AFTER) {
            idle = 0;
            start_from(w, isfinite(g->best_value) ? g->best : start);
            for (int kick = 0; kick < 3 + g->jobs / 25; kick++) {
                int j = (int)gap__random(g, (uint32_t)g->jobs);
                int near = w->cands[j] > 3 ? 3 : w->cands[j];
                if (near > 0)
                    put(w, j, w->cand[j * MAX_CANDIDATES + (int)gap__random(g, (uint32_t)near)]);
            }
            descend(w);
        }
    }
}

int gap__tabu(gap *g, const int16_t *start, long rounds)
{
    size_t jobs = (size_t)g->jobs;
    size_t agents = (size_t)g->agents;
    walk w = {.g = g};
    w.now = malloc(jobs * sizeof *w.now);
    w.left = malloc(agents * sizeof *w.left);
    w.cand = malloc(jobs * MAX_CANDIDATES * sizeof *w.cand);
    w.cands = malloc(jobs);
    w.may = malloc(jobs * agents);
    w.until = calloc(jobs * agents, sizeof *w.until);
    w.first = malloc(agents * sizeof *w.first);
    w.next = malloc(jobs * sizeof *w.next);
    int rc = SOLVE_E_MEMORY;
    if (w.now && w.left && w.cand && w.cands && w.may && w.until && w.first && w.next) {
        double mean = 0;
        for (size_t i = 0; i < agents; i++)
            mean += g->price[i] / (double)agents;
        w.weight = mean > 0 ? 2 * mean : 1;
        candidates(&w);
        start_from(&w, start);
        descend(&w);
        go(&w, rounds, start);
        rc = SOLVE_OK;
    }
    free(w.now);
    free(w.left);
    free(w.cand);
    free(w.cands);
    free(w.may);
    free(w.until);
    free(w.first);
    free(w.next);
    return rc;
}
