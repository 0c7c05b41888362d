/* See plan.h. */
#include "plan.h"

#include <cvm/cvm.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static int wrong(char *why, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));
static int wrong(char *why, size_t size, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(why, size, format, args);
    va_end(args);
    return CVM_EINVAL;
}

static uint32_t hash(const char *text, size_t len)
{
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < len; i++)
        h = (h ^ (unsigned char)text[i]) * 16777619u;
    return h;
}

static int rehash(struct plan_names *n)
{
    size_t slots = n->slots ? n->slots * 2 : 1024;
    uint32_t *slot = calloc(slots, sizeof *slot);
    if (!slot)
        return CVM_ENOMEM;
    for (size_t i = 0; i < n->n; i++) {
        const char *text = n->pool + n->at[i];
        size_t s = hash(text, strlen(text)) & (slots - 1);
        while (slot[s])
            s = (s + 1) & (slots - 1);
        slot[s] = (uint32_t)i + 1;
    }
    free(n->slot);
    n->slot = slot;
    n->slots = slots;
    return CVM_OK;
}

static int keep(struct plan_names *n, const char *text, size_t len)
{
    if (n->n == n->at_room) {
        size_t more = n->at_room ? n->at_room * 2 : 256;
        uint32_t *at = realloc(n->at, more * sizeof *at);
        if (!at)
            return CVM_ENOMEM;
        n->at = at;
        n->at_room = more;
    }
    while (n->used + len + 1 > n->room) {
        size_t more = n->room ? n->room * 2 : 16384;
        char *pool = more > UINT32_MAX ? NULL : realloc(n->pool, more);
        if (!pool)
            return CVM_ENOMEM;
        n->pool = pool;
        n->room = more;
    }
    memcpy(n->pool + n->used, text, len);
    n->pool[n->used + len] = 0;
    n->at[n->n++] = (uint32_t)n->used;
    n->used += len + 1;
    return CVM_OK;
}

int plan_name(struct plan_names *n, const char *text, size_t len, uint32_t *ret_number)
{
    if (len < 1 || len > PLAN_ID_MAX_BYTES || memchr(text, 0, len))
        return CVM_ELIMIT;
    if (n->n * 2 >= n->slots)
        CVM_TRY(rehash(n));
    size_t s = hash(text, len) & (n->slots - 1);
    for (; n->slot[s]; s = (s + 1) & (n->slots - 1)) {
        const char *there = n->pool + n->at[n->slot[s] - 1];
        if (!strncmp(there, text, len) && !there[len]) {
            *ret_number = n->slot[s] - 1;
            return CVM_OK;
        }
    }
    CVM_TRY(keep(n, text, len));
    n->slot[s] = (uint32_t)n->n;
    *ret_number = (uint32_t)n->n - 1;
    return CVM_OK;
}

const char *plan_text(const struct plan_names *n, size_t number)
{
    return n->pool + n->at[number];
}

int plan_add(struct plan *p, const char *customer, size_t customer_len, const char *treatment, size_t treatment_len,
             double value, double cost)
{
    struct plan_row row = {.value = (float)value, .cost = (float)cost};
    CVM_TRY(plan_name(&p->customers, customer, customer_len, &row.customer));
    CVM_TRY(plan_name(&p->treatments, treatment, treatment_len, &row.treatment));
    if (p->treatments.n > SOLVE_MAX_COLUMNS || p->customers.n > SOLVE_MAX_CUSTOMERS || p->rows >= PLAN_MAX_ROWS)
        return CVM_ELIMIT;
    if (p->rows == p->row_room) {
        size_t more = p->row_room ? p->row_room * 2 : 4096;
        struct plan_row *grown = realloc(p->row, more * sizeof *grown);
        if (!grown)
            return CVM_ENOMEM;
        p->row = grown;
        p->row_room = more;
    }
    p->row[p->rows++] = row;
    return CVM_OK;
}

static int matrices(struct plan *p)
{
    size_t n = p->customers.n, t = p->treatments.n;
    if (n * t > SOLVE_MAX_CELLS)
        return CVM_ELIMIT;
    p->value = malloc((n * t + 1) * sizeof *p->value);
    p->use = calloc(n * t + 1, sizeof *p->use);
    p->group = malloc((t + 1) * sizeof *p->group);
    if (!p->value || !p->use || !p->group)
        return CVM_ENOMEM;
    for (size_t a = 0; a < n * t; a++)
        p->value[a] = -INFINITY;
    for (size_t i = 0; i < t; i++)
        p->group[i] = -1;
    for (size_t r = 0; r < p->rows; r++) {
        const struct plan_row *row = &p->row[r];
        p->value[row->customer * t + row->treatment] = row->value;
        p->use[row->customer * t + row->treatment] = row->cost;
    }
    return CVM_OK;
}

static int find(const struct plan *p, const char *name)
{
    for (size_t t = 0; t < p->treatments.n; t++)
        if (!strcmp(plan_text(&p->treatments, t), name))
            return (int)t;
    return -1;
}

/* A member that is a number >= 0; `otherwise` where there is none. */
static int amount(const json_t *object, const char *of, const char *member, double otherwise, double *ret, char *why,
                  size_t size)
{
    const json_t *v = json_object_get(object, member);
    *ret = v ? json_number_value(v) : otherwise;
    return !v || (json_is_number(v) && *ret >= 0 && isfinite(*ret))
               ? CVM_OK
               : wrong(why, size, "limits: %s.%s must be a number >= 0", of, member);
}

static int read_treatments(struct plan *p, const json_t *treatments, float *cost, char *why, size_t size)
{
    const char *name;
    json_t *entry;
    json_object_foreach((json_t *)(uintptr_t)treatments, name, entry)
    {
        int t = find(p, name);
        double maximum, minimum, each;
        if (!json_is_object(entry))
            return wrong(why, size, "limits: treatments.%s must be an object", name);
        CVM_TRY(amount(entry, name, "maximum", INFINITY, &maximum, why, size));
        CVM_TRY(amount(entry, name, "minimum", 0, &minimum, why, size));
        CVM_TRY(amount(entry, name, "cost", 0, &each, why, size));
        if (t < 0)
            continue; /* nobody has it: nothing to limit */
        float *weights = p->weights + p->problem.limits * p->treatments.n;
        weights[t] = 1;
        cost[t] = (float)each;
        p->limit[p->problem.limits++] =
            (solve_limit){plan_text(&p->treatments, (size_t)t), maximum, minimum, weights, NULL};
    }
    return CVM_OK;
}

static int read_budgets(struct plan *p, const json_t *budgets, const float *cost, const float *ones, char *why,
                        size_t size)
{
    const char *name;
    json_t *entry, *id;
    size_t i, n = p->treatments.n;
    json_object_foreach((json_t *)(uintptr_t)budgets, name, entry)
    {
        const json_t *of = json_object_get(entry, "treatments");
        double maximum, minimum;
        if (!json_is_object(entry) || (of && !json_is_array(of)) || p->problem.limits + 1 > SOLVE_MAX_LIMITS)
            return wrong(why, size, "limits: budgets.%s must be {\"maximum\", \"treatments\": [..]}", name);
        CVM_TRY(amount(entry, name, "maximum", INFINITY, &maximum, why, size));
        CVM_TRY(amount(entry, name, "minimum", 0, &minimum, why, size));
        float *fixed = p->weights + p->problem.limits * n,
              *rate = p->weights + (n + json_object_size(budgets) + p->problem.limits) * n;
        memcpy(fixed, cost, n * sizeof *fixed);
        memcpy(rate, ones, n * sizeof *rate);
        if (of) {
            memset(fixed, 0, n * sizeof *fixed);
            memset(rate, 0, n * sizeof *rate);
        }
        json_array_foreach((json_t *)(uintptr_t)of, i, id)
        {
            int t = json_is_string(id) ? find(p, json_string_value(id)) : -1;
            if (t >= 0) {
                fixed[t] = cost[t];
                rate[t] = 1;
            }
        }
        p->limit[p->problem.limits++] = (solve_limit){name, maximum, minimum, fixed, rate};
    }
    return CVM_OK;
}

static int read_exclusive(struct plan *p, const json_t *sets, char *why, size_t size)
{
    size_t i, k;
    json_t *set, *id;
    json_array_foreach((json_t *)(uintptr_t)sets, i, set) json_array_foreach(set, k, id)
    {
        int t = json_is_string(id) ? find(p, json_string_value(id)) : -1;
        if (t >= 0 && p->group[t] >= 0)
            return wrong(why, size, "limits: exclusive: \"%s\" is in two sets", json_string_value(id));
        if (t >= 0)
            p->group[t] = (int)i;
    }
    return CVM_OK;
}

int plan_build(struct plan *p, const json_t *limits, char *ret_why, size_t size)
{
    const json_t *treatments = json_object_get(limits, "treatments"), *budgets = json_object_get(limits, "budgets");
    size_t n = p->treatments.n, most = n + json_object_size(budgets);
    double per = 1;
    if (!json_is_object(limits) || (treatments && !json_is_object(treatments)) || (budgets && !json_is_object(budgets)))
        return wrong(ret_why, size, "limits: must be {\"treatments\": {..}, \"budgets\": {..}}");
    if (most > SOLVE_MAX_LIMITS)
        return wrong(ret_why, size, "limits: more than %d", SOLVE_MAX_LIMITS);
    int e = matrices(p);
    float *cost = calloc(n + 1, sizeof *cost), *ones = malloc((n + 1) * sizeof *ones);
    p->weights = calloc(2 * most * n + 1, sizeof *p->weights);
    p->limit = calloc(most + 1, sizeof *p->limit);
    if (e == CVM_OK && (!cost || !ones || !p->weights || !p->limit))
        e = CVM_ENOMEM;
    for (size_t t = 0; e == CVM_OK && t < n; t++)
        ones[t] = 1;
    e = e == CVM_OK ? read_treatments(p, treatments, cost, ret_why, size) : e;
    e = e == CVM_OK ? read_budgets(p, budgets, cost, ones, ret_why, size) : e;
    e = e == CVM_OK ? read_exclusive(p, json_object_get(limits, "exclusive"), ret_why, size) : e;
    e = e == CVM_OK ? amount(limits, "limits", "per_customer", 1, &per, ret_why, size) : e;
    if (e == CVM_OK && (per < 1 || per > SOLVE_MAX_PER_CUSTOMER || per != floor(per)))
        e = wrong(ret_why, size, "limits: per_customer must be 1 to %d", SOLVE_MAX_PER_CUSTOMER);
    p->problem.customers = p->customers.n;
    p->problem.columns = n;
    p->problem.value = p->value;
    p->problem.use = p->use;
    p->problem.group = p->group;
    p->problem.limit = p->limit;
    p->problem.per_customer = (unsigned)per;
    free(cost);
    free(ones);
    if (e == CVM_ELIMIT || e == CVM_ENOMEM)
        wrong(ret_why, size, "%zu customers x %zu treatments are too many", p->customers.n, n);
    return e;
}

static void names_fini(struct plan_names *n)
{
    free(n->pool);
    free(n->at);
    free(n->slot);
}

void plan_fini(struct plan *p)
{
    names_fini(&p->customers);
    names_fini(&p->treatments);
    free(p->row);
    free(p->value);
    free(p->use);
    free(p->weights);
    free(p->group);
    free(p->limit);
    memset(p, 0, sizeof *p);
}
