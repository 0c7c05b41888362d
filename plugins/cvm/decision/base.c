/* See base.h. What is known of the customers, and the decision. */
#include "base.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- treatments ---- */

static int64_t whole(const json_t *v, int64_t otherwise)
{
    return json_is_number(v) ? (int64_t)json_number_value(v) : otherwise;
}

static int add_option(struct base *b, const json_t *record, const json_t *limits, char *why, size_t size)
{
    struct decide_option *d = &b->options[b->n];
    if (!option_read(record, &d->o, why, size))
        return CVM_EINVAL;
    if (option_is_ignore(&d->o))
        return CVM_OK;
    const json_t *own = json_object_get(record, "constraints"),
                 *cost = json_object_get(limits, "cost_per_contact_pounds");
    int64_t most = whole(json_object_get(own, "max_per_day"), OPTION_UNLIMITED), left = most;
    if (limits) {
        most = whole(json_object_get(limits, "max_per_day"), OPTION_UNLIMITED);
        left = whole(json_object_get(limits, "remaining"), most);
    }
    if (json_is_number(cost))
        d->o.cost = llround(json_number_value(cost) * 100);
    d->remaining = OPTION_UNLIMITED; /* the solver minds the limits */
    b->daily[b->n] = most < 0 ? 0 : most;
    b->today[b->n] = left < 0 ? 0 : left;
    b->n++;
    return CVM_OK;
}

int base_new(const json_t *treatments, const json_t *constraints, const struct base_terms *terms, struct base **ret,
             char *ret_why, size_t size)
{
    size_t most = json_array_size(treatments);
    struct base *b = calloc(1, sizeof *b);
    int e = b ? CVM_OK : CVM_ENOMEM;
    snprintf(ret_why, size, "out of memory");
    if (most > DECIDE_OPTIONS_MAX) {
        snprintf(ret_why, size, "there are %zu treatments, at most %d can be considered", most, DECIDE_OPTIONS_MAX);
        e = CVM_ELIMIT;
    }
    if (e == CVM_OK) {
        b->terms = *terms;
        b->records = json_deep_copy(treatments);
        b->options = calloc(most + 1, sizeof *b->options);
        b->today = calloc(most + 1, sizeof *b->today);
        b->daily = calloc(most + 1, sizeof *b->daily);
        b->funnel = calloc(most + 1, sizeof *b->funnel);
        e = b->records && b->options && b->today && b->daily && b->funnel ? CVM_OK : CVM_ENOMEM;
    }
    for (size_t i = 0; e == CVM_OK && i < most; i++) {
        const json_t *record = json_array_get(b->records, i);
        e = add_option(b, record, json_object_get(constraints, cvm_json_str(record, "id", "")), ret_why, size);
    }
    if (e != CVM_OK) {
        base_free(b);
        return e;
    }
    *ret = b;
    return CVM_OK;
}

void base_free(struct base *b)
{
    if (!b)
        return;
    free(b->options);
    free(b->today);
    free(b->daily);
    free(b->funnel);
    free(b->value);
    free(b->propensity);
    free(b->worth);
    free(b->ids.pool);
    free(b->ids.at);
    free(b->ids.slot);
    json_decref(b->records);
    free(b);
}

/* ---- customers ---- */

static void count(struct base_funnel *f, const char *rule)
{
    size_t i = 0;
    while (i < f->n_rejected && strcmp(f->rejected[i].rule, rule) != 0)
        i++;
    if (i == f->n_rejected && i + 1 < BASE_RULES_MAX)
        snprintf(f->rejected[f->n_rejected++].rule, DECIDE_RULE_SIZE, "%s", rule);
    else if (i == f->n_rejected && i < BASE_RULES_MAX)
        snprintf(f->rejected[f->n_rejected++].rule, DECIDE_RULE_SIZE, "other rules");
    f->rejected[i < BASE_RULES_MAX ? i : BASE_RULES_MAX - 1].customers++;
}

static int grow(struct base *b)
{
    if ((size_t)b->matched < b->room)
        return CVM_OK;
    size_t more = b->room ? b->room * 2 : 4096, cells = more * (b->n ? b->n : 1);
    if (more > SOLVE_MAX_CUSTOMERS * (size_t)2 || cells > SOLVE_MAX_CELLS * (size_t)2)
        return CVM_ELIMIT;
    float **all[] = {&b->value, &b->propensity, &b->worth};
    for (size_t i = 0; i < 3; i++) {
        float *grown = realloc(*all[i], cells * sizeof *grown);
        if (!grown)
            return CVM_ENOMEM;
        *all[i] = grown;
    }
    b->room = more;
    return CVM_OK;
}

static bool matches(const struct base *b, unsigned signals)
{
    int signal = b->terms.trigger ? signal_find(b->terms.trigger) : -1;
    return !b->terms.trigger || (signal >= 0 && signals >> signal & 1);
}

static void take_history(struct decide_option *d, const struct base_history *history, size_t n)
{
    d->history = (struct value_history){.propensity = NAN, .worth = FACTS_NONE};
    for (size_t i = 0; i < n; i++)
        if (strcmp(history[i].treatment, d->o.id) == 0)
            d->history = history[i].history;
}

int base_add(struct base *b, const struct cvm_facts *facts, unsigned word_signals, const struct base_history *history,
             size_t n_history)
{
    struct decide_problem p = {.facts = *facts, .word_signals = word_signals, .options = b->options, .n = b->n};
    struct value_customer c = {&p.facts, decide_signals(&p), NULL};
    uint32_t at = 0;
    b->total++;
    if (!facts->customer_id || !matches(b, c.signals))
        return CVM_OK;
    CVM_TRY(grow(b));
    CVM_TRY(plan_name(&b->ids, facts->customer_id, strlen(facts->customer_id), &at));
    if (at != b->matched)
        return CVM_OK; /* the same one again */
    float *value = b->value + (size_t)b->matched * b->n, best = 0;
    float *propensity = b->propensity + (size_t)b->matched * b->n, *worth = b->worth + (size_t)b->matched * b->n;
    size_t wanted = DECIDE_NONE;
    for (size_t i = 0; i < b->n; i++) {
        struct base_funnel *f = &b->funnel[i];
        char rule[DECIDE_RULE_SIZE];
        struct value v;
        value[i] = -INFINITY;
        propensity[i] = worth[i] = 0;
        take_history(&b->options[i], history, n_history);
        if (!decide_candidate(&p, i, NULL, NULL)) {
            decide_candidate(&p, i, rule, NULL);
            count(f, rule);
            continue;
        }
        value_of(&b->options[i].o, &c, &b->options[i].history, &v);
        if (b->options[i].o.kind == WORTH_ASSUMED && !v.matched) {
            count(f, "suits no trigger of the customer");
            continue;
        }
        f->candidates++;
        f->worthwhile += v.value > 0;
        value[i] = (float)v.value;
        propensity[i] = (float)v.propensity;
        worth[i] = (float)v.worth;
        wanted = value[i] > best ? i : wanted;
        best = value[i] > best ? value[i] : best;
    }
    if (wanted != DECIDE_NONE)
        b->funnel[wanted].wanted++;
    b->matched++;
    return CVM_OK;
}

/* ---- deciding ---- */

static double units_of(const struct base *b, size_t i)
{
    if (b->daily[i] == OPTION_UNLIMITED)
        return INFINITY;
    return (double)b->today[i] + (double)(b->terms.days - 1) * (double)b->daily[i];
}

static int make_limits(const struct base *b, struct base_decision *d)
{
    size_t n = b->n, k = 0;
    d->weights = calloc((n + 1) * (n + 1), sizeof *d->weights);
    d->limit = calloc(n + 1, sizeof *d->limit);
    d->limit_of = malloc((n + 1) * sizeof *d->limit_of);
    if (!d->weights || !d->limit || !d->limit_of)
        return CVM_ENOMEM;
    for (size_t i = 0; i < n; i++) {
        d->limit_of[i] = -1;
        if (isinf(units_of(b, i)))
            continue;
        d->weights[k * n + i] = 1;
        d->limit_of[i] = (int)k;
        d->limit[k] = (solve_limit){b->options[i].o.id, units_of(b, i), 0, d->weights + k * n, NULL};
        k++;
    }
    d->budget = -1;
    if (b->terms.budget != FACTS_NONE) {
        for (size_t i = 0; i < n; i++)
            d->weights[k * n + i] = (float)b->options[i].o.cost;
        d->budget = (int)k;
        d->limit[k] = (solve_limit){"pound of the budget", (double)b->terms.budget, 0, d->weights + k * n, NULL};
        k++;
    }
    d->problem = (solve_problem){
        (size_t)b->matched, n, k, b->value, NULL, NULL, d->limit, (unsigned)b->terms.per_customer, false};
    return CVM_OK;
}

struct order {
    float value;
    uint32_t slot;
};

static int by_value(const void *a, const void *b)
{
    const struct order *x = a, *y = b;
    return x->value != y->value ? (x->value < y->value ? 1 : -1) : x->slot < y->slot ? -1 : 1;
}

/* The most valuable ones of a treatment come first; what a day cannot take goes to the next. */
static int set_days(const struct base *b, struct base_decision *d)
{
    size_t slots = d->problem.customers * d->problem.per_customer;
    struct order *order = malloc((slots + 1) * sizeof *order);
    d->day = calloc(slots + 1, sizeof *d->day);
    if (!order || !d->day) {
        free(order);
        return CVM_ENOMEM;
    }
    for (size_t i = 0; i < b->n && b->terms.days > 1; i++) {
        size_t n = 0;
        for (size_t s = 0; s < slots; s++)
            if (d->result.assignment[s] == (int)i)
                order[n++] = (struct order){b->value[s / d->problem.per_customer * b->n + i], (uint32_t)s};
        if (n > 1)
            qsort(order, n, sizeof *order, by_value);
        int64_t left = b->daily[i] == OPTION_UNLIMITED ? INT64_MAX : b->today[i];
        uint8_t day = 0;
        for (size_t a = 0; a < n; a++, left--) {
            for (; left <= 0 && day + 1 < b->terms.days; left = b->daily[i])
                day++;
            d->day[order[a].slot] = day;
        }
    }
    free(order);
    return CVM_OK;
}

int base_decide(const struct base *b, bool (*stopped)(void *arg, double done), double (*clock_ms)(void *arg), void *arg,
                struct base_decision *ret, char *ret_why, size_t size)
{
    struct base_decision d = {0};
    solve_options o = {.time_limit_ms = b->terms.time_limit_ms, .stopped = stopped, .clock_ms = clock_ms, .arg = arg};
    snprintf(ret_why, size, "out of memory");
    int e = make_limits(b, &d);
    if (e == CVM_OK) {
        int solved = solve_run(&d.problem, &o, &d.result, ret_why, size);
        e = solved == SOLVE_OK          ? CVM_OK
            : solved == SOLVE_E_MEMORY  ? CVM_ENOMEM
            : solved == SOLVE_E_STOPPED ? CVM_ESTATE
                                        : CVM_EINVAL;
    }
    if (e == CVM_OK)
        e = set_days(b, &d);
    if (e != CVM_OK) {
        base_decision_fini(&d);
        return e;
    }
    *ret = d;
    return CVM_OK;
}

void base_decision_fini(struct base_decision *d)
{
    solve_result_fini(&d->result);
    free(d->limit);
    free(d->weights);
    free(d->day);
    free(d->limit_of);
    memset(d, 0, sizeof *d);
}

const char *base_choice(const struct base *b, const struct base_decision *d, size_t customer, size_t slot)
{
    int t = d->result.assignment[customer * d->problem.per_customer + slot];
    return t < 0 ? OPTION_IGNORE : b->options[t].o.id;
}
