/* The figures of a decision over the base, and how two of them differ. See base.h. */
#include "base.h"
#include "moment.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define Z95 1.959964
#define DIFFERENCES_MAX 400

static double pounds(double minor)
{
    return round(minor) / 100;
}

/* Sums of one treatment, or of all. */
struct sums {
    int64_t assigned;
    double value, cost, worth; /* minor units */
    double chance;             /* variance of what happens, the propensities being true */
    double rate;               /* variance by not knowing the treatment's rate exactly */
    double propensity;
};

static void add_up(const struct base *b, const struct base_decision *d, struct sums *of)
{
    size_t slots = d->problem.customers * d->problem.per_customer;
    memset(of, 0, (b->n + 1) * sizeof *of);
    for (size_t s = 0; s < slots; s++) {
        int t = d->result.assignment[s];
        if (t < 0)
            continue;
        size_t cell = s / d->problem.per_customer * b->n + (size_t)t;
        double p = (double)b->propensity[cell], w = (double)b->worth[cell];
        of[t].assigned++;
        of[t].value += (double)b->value[cell];
        of[t].cost += (double)b->options[t].o.cost;
        of[t].worth += w;
        of[t].propensity += p;
        of[t].chance += w * w * p * (1 - p);
    }
    struct sums *all = &of[b->n];
    for (size_t i = 0; i < b->n; i++) {
        double p = of[i].assigned ? of[i].propensity / (double)of[i].assigned : 0;
        double known = VALUE_PRIOR_CONTACTS + b->options[i].o.observed_contacts;
        of[i].rate = of[i].worth * of[i].worth * p * (1 - p) / known;
        all->assigned += of[i].assigned;
        all->value += of[i].value;
        all->cost += of[i].cost;
        all->chance += of[i].chance;
        all->rate += of[i].rate;
    }
}

static void put_limit(json_t *entry, const struct base_decision *d, int k, double per)
{
    char words[200];
    struct solve_limit l;
    if (k < 0)
        return;
    l = d->limit[k];
    if (d->result.prices[k] > 0)
        snprintf(words, sizeof words, "one more %s is worth %.2f pounds", l.name, d->result.prices[k] * per / 100);
    else
        snprintf(words, sizeof words, "%s: more of it would gain nothing", l.name);
    json_object_set_new(entry, "one_more_is_worth_pounds", json_real(round(d->result.prices[k] * per) / 100));
    json_object_set_new(entry, "words", json_string(words));
}

static json_t *treatments_of(const struct base *b, const struct base_decision *d, const struct sums *of)
{
    json_t *list = json_array();
    for (size_t i = 0; i < b->n; i++) {
        const struct base_funnel *f = &b->funnel[i];
        int k = d->limit_of[i];
        json_t *entry = json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:o, s:f, s:f}", "treatment", b->options[i].o.id,
                                  "channel", channel_names[b->options[i].o.channel], "candidates",
                                  (json_int_t)f->candidates, "worthwhile", (json_int_t)f->worthwhile, "wanted",
                                  (json_int_t)f->wanted, "assigned", (json_int_t)of[i].assigned, "maximum",
                                  k < 0 ? json_null() : json_integer((json_int_t)d->limit[k].maximum), "value_pounds",
                                  pounds(of[i].value), "cost_pounds", pounds(of[i].cost));
        put_limit(entry, d, k, 1);
        json_array_append_new(list, entry);
    }
    return list;
}

static json_t *rejections_of(const struct base *b)
{
    json_t *list = json_array();
    for (size_t i = 0; i < b->n; i++)
        for (size_t r = 0; r < b->funnel[i].n_rejected; r++)
            json_array_append_new(list, json_pack("{s:s, s:s, s:I}", "treatment", b->options[i].o.id, "rule",
                                                  b->funnel[i].rejected[r].rule, "customers",
                                                  (json_int_t)b->funnel[i].rejected[r].customers));
    return list;
}

static json_t *volumes_of(const struct base *b, const struct base_decision *d, int64_t now_ms)
{
    enum { CHANNELS = sizeof channel_names / sizeof *channel_names };
    int64_t contacts[BASE_DAYS_MAX][CHANNELS] = {{0}}, cost[BASE_DAYS_MAX][CHANNELS] = {{0}};
    json_t *list = json_array();
    for (size_t s = 0; s < d->problem.customers * d->problem.per_customer; s++) {
        int t = d->result.assignment[s];
        if (t >= 0) {
            contacts[d->day[s]][b->options[t].o.channel]++;
            cost[d->day[s]][b->options[t].o.channel] += b->options[t].o.cost;
        }
    }
    for (int64_t day = 0; day < b->terms.days; day++)
        for (size_t c = 0; c < CHANNELS; c++) {
            char text[MOMENT_SIZE];
            if (contacts[day][c])
                json_array_append_new(list,
                                      json_pack("{s:s, s:s, s:I, s:f}", "day", moment_day(now_ms + day * DAY_MS, text),
                                                "channel", channel_names[c], "contacts", (json_int_t)contacts[day][c],
                                                "cost_pounds", pounds((double)cost[day][c])));
        }
    return list;
}

static json_t *funnel_of(const struct base *b, const struct base_decision *d)
{
    int64_t reached = 0, wants = 0, got = 0;
    for (int64_t i = 0; i < b->matched; i++) {
        bool candidate = false, worth = false, has = false;
        for (size_t t = 0; t < b->n; t++) {
            float v = b->value[(size_t)i * b->n + t];
            candidate |= v > -INFINITY;
            worth |= v > 0;
        }
        for (size_t s = 0; s < d->problem.per_customer; s++)
            has |= d->result.assignment[(size_t)i * d->problem.per_customer + s] >= 0;
        reached += candidate;
        wants += worth;
        got += has;
    }
    return json_pack("{s:I, s:I, s:I, s:I, s:I}", "customers", (json_int_t)b->total, "matched", (json_int_t)b->matched,
                     "with_a_candidate", (json_int_t)reached, "with_something_worthwhile", (json_int_t)wants, "treated",
                     (json_int_t)got);
}

/* What one assignment to each treatment costs in limits, in minor units: what streaming decisions are made by. */
static json_t *prices_of(const struct base *b, const struct base_decision *d)
{
    json_t *prices = json_object();
    for (size_t i = 0; i < b->n; i++) {
        double price = d->limit_of[i] < 0 ? 0 : d->result.prices[d->limit_of[i]];
        price += d->budget < 0 ? 0 : d->result.prices[d->budget] * (double)b->options[i].o.cost;
        json_object_set_new(prices, b->options[i].o.id, json_real(round(price * 100) / 100));
    }
    return prices;
}

json_t *base_summary(const struct base *b, const struct base_decision *d, int64_t now_ms)
{
    struct sums *of = malloc((b->n + 1) * sizeof *of);
    if (!of)
        return NULL;
    add_up(b, d, of);
    const struct sums *all = &of[b->n];
    /* No propensity is below 0, so that no more than the cost can be lost. */
    double half = Z95 * sqrt(all->chance + all->rate);
    json_t *budget = b->terms.budget == FACTS_NONE ? json_null()
                                                   : json_pack("{s:f, s:f}", "pounds", pounds((double)b->terms.budget),
                                                               "spent_pounds", pounds(all->cost));
    put_limit(budget, d, d->budget, 100);
    json_t *summary =
        json_pack("{s:o, s:I, s:f, s:f, s:f, s:f, s:f, s:f, s:o, s:o, s:o, s:o, s:o}", "funnel", funnel_of(b, d),
                  "assigned", (json_int_t)all->assigned, "expected_value_pounds", pounds(all->value), "low_pounds",
                  pounds(fmax(all->value - half, -all->cost)), "high_pounds", pounds(all->value + half), "bound_pounds",
                  pounds(d->result.bound), "gap_percent", round(d->result.gap * 1e7) / 1e5, "cost_pounds",
                  pounds(all->cost), "budget", budget, "treatments", treatments_of(b, d, of), "rejections",
                  rejections_of(b), "volumes", volumes_of(b, d, now_ms), "prices", prices_of(b, d));
    free(of);
    return summary;
}

/* ---- two decisions ---- */

struct difference {
    const char *from, *to;
    int64_t customers;
    double value;
};

static double value_at(const struct base *b, const struct base_decision *d, size_t i)
{
    int t = d->result.assignment[i * d->problem.per_customer];
    return t < 0 ? 0 : (double)b->value[i * b->n + (size_t)t];
}

static int by_customers(const void *a, const void *b)
{
    const struct difference *x = a, *y = b;
    if (x->customers != y->customers)
        return x->customers < y->customers ? 1 : -1;
    int from = strcmp(x->from, y->from);
    return from ? from : strcmp(x->to, y->to);
}

static json_t *losses_of(const struct base *before, const struct difference *list, size_t n)
{
    json_t *rows = json_array();
    for (size_t t = 0; t < before->n; t++) {
        const char *id = before->options[t].o.id;
        int64_t lost = 0, gained = 0;
        for (size_t i = 0; i < n; i++) {
            lost += strcmp(list[i].from, id) == 0 ? list[i].customers : 0;
            gained += strcmp(list[i].to, id) == 0 ? list[i].customers : 0;
        }
        if (lost || gained)
            json_array_append_new(rows, json_pack("{s:s, s:I, s:I}", "treatment", id, "loses", (json_int_t)lost,
                                                  "gains", (json_int_t)gained));
    }
    return rows;
}

json_t *base_compare(const struct base *before, const struct base_decision *b, const struct base *after,
                     const struct base_decision *a)
{
    struct difference *list = calloc(DIFFERENCES_MAX + 1, sizeof *list);
    size_t n = 0;
    int64_t changed = 0;
    for (size_t i = 0; list && i < (size_t)before->matched && i < (size_t)after->matched; i++) {
        const char *from = base_choice(before, b, i, 0), *to = base_choice(after, a, i, 0);
        size_t k = 0;
        if (strcmp(from, to) == 0)
            continue;
        changed++;
        while (k < n && (strcmp(list[k].from, from) != 0 || strcmp(list[k].to, to) != 0))
            k++;
        if (k == n && n < DIFFERENCES_MAX)
            list[n++] = (struct difference){from, to, 0, 0};
        if (k < n) {
            list[k].customers++;
            list[k].value += value_at(after, a, i) - value_at(before, b, i);
        }
    }
    if (n > 1)
        qsort(list, n, sizeof *list, by_customers);
    json_t *moves = json_array();
    for (size_t k = 0; k < n; k++)
        json_array_append_new(moves,
                              json_pack("{s:s, s:s, s:I, s:f}", "from", list[k].from, "to", list[k].to, "customers",
                                        (json_int_t)list[k].customers, "value_change_pounds", pounds(list[k].value)));
    json_t *losses = losses_of(before, list, n);
    free(list);
    return json_pack("{s:I, s:o, s:o}", "customers_decided_otherwise", (json_int_t)changed, "moves", moves,
                     "treatments", losses);
}
