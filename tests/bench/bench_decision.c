/* decision.one: the data of one customer in, a treatment with its reasons, its explanation and the smallest change that
 * would alter it out. Customers are those of the sample base who called or wrote. The floor is the ranking alone. */
#include "bench.h"

#include "../../plugins/cvm/decision/journey.h"
#include "../../plugins/cvm/decision/problem.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define CUSTOMERS_MAX 200
#define NOW INT64_C(1795219200000) /* 2026-11-21 */

struct base {
    json_t *customers[CUSTOMERS_MAX]; /* customer_data */
    size_t n;
    json_t *treatments;
};

static json_t *load(const char *name)
{
    char path[512];
    json_error_t error;
    snprintf(path, sizeof path, "%s/manifests/%s", bench_source(), name);
    json_t *value = json_load_file(path, 0, &error);
    if (!value)
        fprintf(stderr, "decision.one: %s: %s\n", path, error.text);
    return value;
}

static json_t *customer_of(struct base *b, json_t *index, const char *id)
{
    json_t *found = json_object_get(index, id);
    if (found || b->n == CUSTOMERS_MAX)
        return found;
    size_t i = b->n++;
    found =
        json_pack("{s:[], s:[], s:{s:s, s:i, s:i, s:f, s:f, s:f, s:i, s:i, s:i, s:i, s:i, s:i}}", "call_transcripts",
                  "web_transcripts", "facts", "customer_id", id, "monthly_spend", (int)(1000 + i * 37 % 6000),
                  "tenure_months", (int)(i % 60), "churn_score", (double)(i * 13 % 100) / 100, "upsell_score",
                  (double)(i * 7 % 100) / 100, "dropped_call_rate", (double)(i * 3 % 40) / 10, "sms", 1, "email",
                  (int)(i % 3 != 0), "call", (int)(i % 2), "app", 1, "post", 0, "marketing", (int)(i % 5 != 0));
    b->customers[i] = found;
    json_object_set_new(index, id, found);
    return found;
}

/* Gives the index, which holds the customers; NULL: a file is missing. */
static json_t *read_base(struct base *b)
{
    static const char *const kinds[] = {"call_transcripts", "web_transcripts"};
    json_t *index = json_object(), *manifest = load("treatments.json"), *component, *one;
    size_t i;
    for (size_t k = 0; k < 2; k++) {
        char name[80];
        snprintf(name, sizeof name, "customers/sample/%s.json", kinds[k]);
        json_t *list = load(name);
        json_array_foreach(list, i, one)
        {
            json_t *customer = customer_of(b, index, json_string_value(json_object_get(one, "customer_id")));
            json_array_append(json_object_get(customer, kinds[k]), one);
        }
        json_decref(list);
    }
    json_array_foreach(json_object_get(manifest, "components"), i, component)
    {
        json_t *treatments = json_object_get(json_object_get(component, "settings"), "treatments");
        if (treatments && !b->treatments)
            b->treatments = json_incref(treatments);
    }
    json_decref(manifest);
    if (b->n && b->treatments)
        return index;
    json_decref(index);
    return NULL;
}

static int decide_one(const struct base *b, size_t i, const json_t *limits, int64_t *ret_rank_ns)
{
    char why[200], text[EXPLANATION_SIZE];
    struct problem *p = NULL;
    json_t *journey = journey_build("U", b->customers[i], NOW);
    struct problem_given given = {.journey = journey, .treatments = b->treatments, .constraints = limits};
    int error = problem_make(&given, &p, why, sizeof why);
    if (error == 0) {
        int64_t began = bench_ns();
        problem_decide(p);
        *ret_rank_ns = bench_ns() - began;
        problem_explain(p, p->r.winner, text);
        json_decref(problem_answer(p, p->r.winner, true));
    }
    problem_free(p);
    json_decref(journey);
    return error;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

int bench_decision(struct row *row)
{
    struct base b = {.n = 0};
    json_t *index = read_base(&b), *limits = json_object();
    size_t total = (size_t)bench_amount(10000);
    double *each = calloc(total, sizeof *each), rates[BENCH_RUNS], floors[BENCH_RUNS], p50[BENCH_RUNS], p99[BENCH_RUNS];
    int result = index && each ? 0 : -1;
    for (int run = 0; result == 0 && run < bench_runs(); run++) {
        int64_t ranked = 0, one = 0, began = bench_ns();
        for (size_t i = 0; result == 0 && i < total; i++) {
            int64_t start = bench_ns();
            result = decide_one(&b, i % b.n, limits, &one);
            each[i] = (double)(bench_ns() - start) / 1e3;
            ranked += one;
        }
        rates[run] = (double)total * 1e9 / (double)(bench_ns() - began);
        floors[run] = (double)total * 1e9 / (double)(ranked ? ranked : 1);
        qsort(each, total, sizeof *each, by_value);
        p50[run] = each[total / 2];
        p99[run] = each[total * 99 / 100];
    }
    if (result == 0) {
        row->value = bench_median(rates, bench_runs());
        row->p50_us = bench_median(p50, bench_runs());
        row->p99_us = bench_median(p99, bench_runs());
        row->floor_value = bench_median(floors, bench_runs());
        row->unit = "1/s";
        row->floor = "ranking alone";
    }
    free(each);
    json_decref(b.treatments);
    json_decref(limits);
    json_decref(index);
    return result;
}
