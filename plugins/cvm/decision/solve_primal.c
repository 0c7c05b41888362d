/* A feasible assignment from prices, and better ones near it. Customers who would lose most by their second choice come
 * first; then minima are filled by those who lose least; then what fits and gains is moved, singly and in pairs. Pure;
 * never above a maximum. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "solve_internal.h"

enum { MOVE_ROUNDS = 6, CORE_MOVES = 1400, PAIR_ROUNDS = 40 };

/* Customer `i` gives up `from` and gets `to`, in place `slot`; either may be nothing. */
typedef struct move {
    float key; /* sorted by this, highest first; then by customer */
    uint32_t i;
    int16_t from;
    int16_t to;
    uint16_t slot;
} move;

typedef struct state {
    const solve_problem *p;
    const solve_touch *touch;
    const solve_clock *clock;
    const double *lambda;
    solve_prices prices;
    int16_t *assignment;
    double *load;
    move *moves;
    size_t capacity;
    size_t count;
} state;

static double value_of(const state *s, size_t i, int t)
{
    return t < 0 ? 0 : (double)s->p->value[i * s->p->columns + (size_t)t];
}

static double worth_of(const state *s, size_t i, int t)
{
    if (t < 0)
        return 0;
    size_t at = i * s->p->columns + (size_t)t;
    return (double)s->p->value[at] - s->prices.fixed[t] -
           (s->prices.rates ? s->prices.rate[t] * (double)s->p->use[at] : 0);
}

static double touched(const state *s, size_t k, size_t i, int t)
{
    return t < 0 ? 0 : solve__use(s->p, k, i, (size_t)t);
}

/* No maximum is exceeded and no minimum that holds is broken. */
static bool fits(const state *s, size_t i, int from, int to)
{
    for (uint32_t a = to < 0 ? 0 : s->touch->start[to]; to >= 0 && a < s->touch->start[to + 1]; a++) {
        size_t k = s->touch->limit[a];
        if (s->load[k] - touched(s, k, i, from) + touched(s, k, i, to) > s->p->limit[k].maximum)
            return false;
    }
    for (uint32_t a = from < 0 ? 0 : s->touch->start[from]; from >= 0 && a < s->touch->start[from + 1]; a++) {
        size_t k = s->touch->limit[a];
        double after = s->load[k] - touched(s, k, i, from) + touched(s, k, i, to);
        if (after < s->p->limit[k].minimum && after < s->load[k])
            return false;
    }
    return true;
}

static void shift_load(state *s, size_t i, int t, double sign)
{
    for (uint32_t a = t < 0 ? 0 : s->touch->start[t]; t >= 0 && a < s->touch->start[t + 1]; a++)
        s->load[s->touch->limit[a]] += sign * touched(s, s->touch->limit[a], i, t);
}

static void apply(state *s, const move *m)
{
    shift_load(s, m->i, m->from, -1);
    shift_load(s, m->i, m->to, 1);
    s->assignment[(size_t)m->i * s->p->per_customer + m->slot] = m->to;
}

/* A customer has each column, and each group, once at most. */
static bool compatible(const state *s, size_t i, unsigned slot, int t)
{
    const int *group = s->p->group;
    for (unsigned a = 0; a < s->p->per_customer; a++) {
        int c = s->assignment[i * s->p->per_customer + a];
        if (a != slot && c >= 0 && (c == t || (group != NULL && group[c] >= 0 && group[c] == group[t])))
            return false;
    }
    return true;
}

static int by_key(const void *a, const void *b)
{
    const move *x = a;
    const move *y = b;
    if (x->key != y->key)
        return x->key < y->key ? 1 : -1;
    if (x->i != y->i)
        return x->i < y->i ? -1 : 1;
    return x->to - y->to;
}

static void sort(state *s)
{
    if (s->count > 1)
        qsort(s->moves, s->count, sizeof *s->moves, by_key);
}

static bool add(state *s, move m)
{
    if (s->count == s->capacity) {
        size_t more = s->capacity * 2 + 1024;
        move *grown = realloc(s->moves, more * sizeof *grown);
        if (grown == NULL)
            return false;
        s->moves = grown;
        s->capacity = more;
    }
    s->moves[s->count++] = m;
    return true;
}

/* Gives one customer his best columns that still fit. */
static void place(state *s, size_t i)
{
    double worth[SOLVE_MAX_COLUMNS];
    size_t n = s->p->columns;
    for (size_t t = 0; t < n; t++)
        worth[t] = worth_of(s, i, (int)t);
    double floor = s->p->required ? -INFINITY : 0;
    for (unsigned slot = 0; slot < s->p->per_customer;) {
        int best = SOLVE_NOTHING;
        double top = floor;
        for (size_t t = 0; t < n; t++) {
            if (worth[t] > top) {
                top = worth[t];
                best = (int)t;
            }
        }
        if (best < 0)
            break;
        worth[best] = -INFINITY;
        move m = {.i = (uint32_t)i, .from = SOLVE_NOTHING, .to = (int16_t)best, .slot = (uint16_t)slot};
        if (compatible(s, i, slot, best) && fits(s, i, SOLVE_NOTHING, best)) {
            apply(s, &m);
            slot++;
        }
    }
}

static int greedy(state *s)
{
    const solve_problem *p = s->p;
    s->count = 0;
    for (size_t i = 0; i < p->customers; i++) {
        solve_choice ch;
        solve__choose(p, &s->prices, p->value + i * p->columns, p->use == NULL ? NULL : p->use + i * p->columns, NULL,
                      &ch);
        if (ch.count > 0) {
            double regret = ch.worth[ch.count - 1] - ch.next_worth;
            if (!add(s, (move){.key = (float)regret, .i = (uint32_t)i, .to = ch.column[0]}))
                return SOLVE_E_MEMORY;
        }
    }
    sort(s);
    for (size_t a = 0; a < s->count; a++)
        place(s, s->moves[a].i);
    return SOLVE_OK;
}

/* Moves towards a limit that lacks its minimum, the cheapest first. */
static int fill(state *s, size_t k)
{
    const solve_problem *p = s->p;
    s->count = 0;
    for (size_t i = 0; i < p->customers; i++) {
        for (size_t t = 0; t < p->columns; t++) {
            double use = solve__use(p, k, i, t);
            if (!(use > 0) || isinf(p->value[i * p->columns + t]))
                continue;
            for (unsigned slot = 0; slot < p->per_customer; slot++) {
                int from = s->assignment[i * p->per_customer + slot];
                if (from == (int)t || touched(s, k, i, from) >= use || !compatible(s, i, slot, (int)t))
                    continue;
                double gain = worth_of(s, i, (int)t) - worth_of(s, i, from);
                if (!add(s, (move){.key = (float)(gain / use),
                                   .i = (uint32_t)i,
                                   .from = (int16_t)from,
                                   .to = (int16_t)t,
                                   .slot = (uint16_t)slot}))
                    return SOLVE_E_MEMORY;
                break;
            }
        }
    }
    sort(s);
    for (size_t a = 0; a < s->count && s->load[k] < p->limit[k].minimum; a++) {
        const move *m = &s->moves[a];
        if (s->assignment[(size_t)m->i * p->per_customer + m->slot] == m->from && compatible(s, m->i, m->slot, m->to) &&
            fits(s, m->i, m->from, m->to))
            apply(s, m);
    }
    return SOLVE_OK;
}

/* Every move whose loss after prices is less than `within`. */
static int collect(state *s, double within, bool gains_only)
{
    const solve_problem *p = s->p;
    s->count = 0;
    for (size_t i = 0; i < p->customers; i++) {
        for (unsigned slot = 0; slot < p->per_customer; slot++) {
            int from = s->assignment[i * p->per_customer + slot];
            double worth = worth_of(s, i, from);
            double value = value_of(s, i, from);
            for (int t = p->required ? 0 : SOLVE_NOTHING; t < (int)p->columns; t++) {
                if (t == from || (from < 0 && p->required))
                    continue;
                double other = worth_of(s, i, t);
                if (worth - other >= within || isinf(other) || (gains_only && value_of(s, i, t) <= value) ||
                    (t >= 0 && !compatible(s, i, slot, t)))
                    continue;
                if (gains_only && !fits(s, i, from, t))
                    continue; /* not now; a later round sees it again */
                if (!add(s, (move){.key = (float)(other - worth),
                                   .i = (uint32_t)i,
                                   .from = (int16_t)from,
                                   .to = (int16_t)t,
                                   .slot = (uint16_t)slot}))
                    return SOLVE_E_MEMORY;
            }
        }
    }
    sort(s);
    return SOLVE_OK;
}

static bool current(const state *s, const move *m)
{
    return s->assignment[(size_t)m->i * s->p->per_customer + m->slot] == m->from &&
           (m->to < 0 || compatible(s, m->i, m->slot, m->to));
}

static double gain_of(const state *s, const move *m)
{
    return value_of(s, m->i, m->to) - value_of(s, m->i, m->from);
}

/* Single moves that gain and fit. */
static int improve(state *s, double within, double *ret_gain)
{
    *ret_gain = 0;
    int rc = collect(s, within, true);
    for (size_t a = 0; rc == SOLVE_OK && a < s->count; a++) {
        const move *m = &s->moves[a];
        if (current(s, m) && fits(s, m->i, m->from, m->to)) {
            *ret_gain += gain_of(s, m);
            apply(s, m);
        }
    }
    return rc;
}

/* Two moves that gain together, where the one makes room for the other; true when one pair was applied. */
static double pair(state *s, size_t a)
{
    const move *x = &s->moves[a];
    double gain_x = gain_of(s, x);
    if (!current(s, x))
        return 0;
    apply(s, x);
    move back = {.i = x->i, .from = x->to, .to = x->from, .slot = x->slot};
    for (size_t b = 0; b < s->count; b++) {
        const move *y = &s->moves[b];
        if (y->i == x->i || gain_x + gain_of(s, y) <= 1e-9 || !current(s, y))
            continue;
        apply(s, y);
        bool ok = true;
        for (size_t k = 0; ok && k < s->p->limits; k++)
            ok = s->load[k] <= s->p->limit[k].maximum && s->load[k] >= s->p->limit[k].minimum;
        if (ok)
            return gain_x + gain_of(s, y);
        move undo = {.i = y->i, .from = y->to, .to = y->from, .slot = y->slot};
        apply(s, &undo);
    }
    apply(s, &back);
    return 0;
}

/* Only moves that lose less than the gap can be part of a better assignment, so few of them are looked at. */
static int pairs(state *s, double gap, double *ret_gain)
{
    *ret_gain = 0;
    int rc = collect(s, gap, false);
    if (rc != SOLVE_OK)
        return rc;
    s->count = s->count > CORE_MOVES ? CORE_MOVES : s->count;
    for (size_t a = 0; a < s->count && !solve__over(s->clock); a++)
        *ret_gain += pair(s, a);
    return SOLVE_OK;
}

static double total(const state *s)
{
    double sum = 0;
    for (size_t a = 0; a < s->p->customers * s->p->per_customer; a++)
        sum += value_of(s, a / s->p->per_customer, s->assignment[a]);
    return sum;
}

/* Sums rounded in another order may end above a maximum by a last bit: the least valuable goes then. */
static void settle(state *s)
{
    const solve_problem *p = s->p;
    for (size_t tries = 0; tries < 1000; tries++) {
        memset(s->load, 0, p->limits * sizeof *s->load);
        for (size_t a = 0; a < p->customers * p->per_customer; a++)
            shift_load(s, a / p->per_customer, s->assignment[a], 1);
        size_t over = 0;
        while (over < p->limits && s->load[over] <= p->limit[over].maximum)
            over++;
        if (over == p->limits)
            return;
        size_t worst = SIZE_MAX;
        for (size_t a = 0; a < p->customers * p->per_customer; a++) {
            size_t i = a / p->per_customer;
            if (touched(s, over, i, s->assignment[a]) > 0 &&
                (worst == SIZE_MAX ||
                 value_of(s, i, s->assignment[a]) < value_of(s, worst / p->per_customer, s->assignment[worst])))
                worst = a;
        }
        if (worst == SIZE_MAX)
            return;
        s->assignment[worst] = SOLVE_NOTHING;
    }
}

int solve__primal(const solve_problem *p, const solve_touch *touch, const solve_clock *clock, const double *lambda,
                  double bound, int16_t *assignment, double *loads, size_t *scans)
{
    state s = {.p = p, .touch = touch, .clock = clock, .lambda = lambda, .assignment = assignment, .load = loads};
    solve__price_columns(p, lambda, &s.prices);
    memset(loads, 0, p->limits * sizeof *loads);
    for (size_t a = 0; a < p->customers * p->per_customer; a++)
        assignment[a] = SOLVE_NOTHING;
    int rc = greedy(&s);
    for (size_t k = 0; rc == SOLVE_OK && k < p->limits; k++)
        rc = loads[k] < p->limit[k].minimum ? fill(&s, k) : SOLVE_OK;
    double gain = 1;
    for (int round = 0; rc == SOLVE_OK && round < MOVE_ROUNDS && gain > 0 && !solve__over(clock); round++) {
        rc = improve(&s, INFINITY, &gain);
        ++*scans;
    }
    gain = 1;
    for (int round = 0; rc == SOLVE_OK && round < PAIR_ROUNDS && gain > 0 && !solve__over(clock); round++) {
        double gap = bound - total(&s);
        if (gap <= 1e-6 * fabs(bound))
            break;
        rc = pairs(&s, gap, &gain);
        ++*scans;
    }
    if (rc == SOLVE_OK)
        settle(&s);
    free(s.moves);
    return rc;
}
