/* The jobs of cvm.evaluation: `evaluate` joins applications, control groups and outcomes by treatment and customer;
 * `applied` looks whether a treatment ever was. The job's thread. */
#include "effect.h"
#include "index.h"
#include "insight.h"
#include "rows.h"

#include "../common/value.h"

#include <math.h>
#include <stdlib.h>

#define TREATMENTS_MAX 1000

enum { RESPONDED = 1, CONVERTED = 2, COMPLAINED = 4, CHURNED = 8 };

struct pair { /* a treatment and a customer */
    uint32_t treatment;
    uint8_t outcomes;
    bool treated, control;
    int64_t since_ms; /* when it was applied or withheld first */
    double value;
};

struct study {
    const char *only; /* a treatment; NULL: all */
    int64_t from_ms, to_ms;
    struct index_map treatments, pairs;
    struct effect *effects;
    struct pair *at;
    size_t n, room;
};

/* The effect of a treatment, which is there from then on; NULL: no memory or too many. */
static struct effect *effect_of(struct study *s, const char *treatment)
{
    size_t i = index_put(&s->treatments, treatment, NULL);
    return i < TREATMENTS_MAX ? &s->effects[i] : NULL;
}

static struct pair *pair_of(struct study *s, const char *treatment, const char *customer, int64_t ms)
{
    size_t i = index_put(&s->pairs, treatment, customer);
    if (i == INDEX_NONE)
        return NULL;
    if (i == s->room) {
        size_t room = s->room ? s->room * 2 : 1024;
        struct pair *at = realloc(s->at, room * sizeof *at);
        if (!at)
            return NULL;
        s->at = at;
        s->room = room;
    }
    if (i == s->n)
        s->at[s->n++] =
            (struct pair){.treatment = (uint32_t)index_find(&s->treatments, treatment, NULL), .since_ms = ms};
    if (ms < s->at[i].since_ms)
        s->at[i].since_ms = ms;
    return &s->at[i];
}

static bool in_time(const struct study *s, const char *at, int64_t *ret_ms)
{
    *ret_ms = value_ms(at);
    return *ret_ms != INT64_MIN && *ret_ms >= s->from_ms && *ret_ms < s->to_ms;
}

static int application(void *arg, const cvm_cell *c)
{
    struct study *s = arg;
    int64_t ms;
    if (!in_time(s, c[2].text, &ms) || strcmp(c[3].text, "control") == 0) /* withheld: cvm_groups has it */
        return CVM_OK;
    struct effect *e = effect_of(s, c[1].text);
    if (!e)
        return CVM_ELIMIT;
    if (strcmp(c[3].text, "failed") == 0) {
        e->failed++;
        return CVM_OK;
    }
    struct pair *p = pair_of(s, c[1].text, c[0].text, ms);
    if (!p)
        return CVM_ELIMIT;
    p->treated = true;
    e->applications++;
    e->simulated += strcmp(c[3].text, "simulated") == 0;
    e->cost += c[4].kind == CVM_CELL_NULL ? 0 : c[4].r;
    return CVM_OK;
}

static int withheld(void *arg, const cvm_cell *c)
{
    struct study *s = arg;
    int64_t ms;
    if (strcmp(c[3].text, "control") != 0 || !in_time(s, c[2].text, &ms))
        return CVM_OK;
    struct pair *p = effect_of(s, c[1].text) ? pair_of(s, c[1].text, c[0].text, ms) : NULL;
    if (!p)
        return CVM_ELIMIT;
    p->control = true;
    return CVM_OK;
}

static int outcome(void *arg, const cvm_cell *c)
{
    struct study *s = arg;
    static const struct {
        const char *word;
        uint8_t bits;
    } kinds[] = {{"responded", RESPONDED},
                 {"converted", RESPONDED | CONVERTED},
                 {"complained", COMPLAINED},
                 {"churned", CHURNED}};
    size_t i = index_find(&s->pairs, c[1].text, c[0].text);
    int64_t ms = value_ms(c[2].text);
    if (i == INDEX_NONE || ms / 1000 < s->at[i].since_ms / 1000) {
        struct effect *e = ms >= s->from_ms && ms < s->to_ms ? effect_of(s, c[1].text) : NULL;
        if (e)
            e->unmatched++;
        return CVM_OK;
    }
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
        if (strcmp(kinds[k].word, c[3].text) == 0)
            s->at[i].outcomes |= kinds[k].bits;
    s->at[i].value += c[4].kind == CVM_CELL_NULL ? 0 : c[4].r;
    return CVM_OK;
}

/* Those of the treatment alone where there is one. */
static int read_rows(cvm_job *j, struct study *s, const char *table, const char *const columns[],
                     int (*take)(void *arg, const cvm_cell *cells))
{
    return rows_read(j, table, columns, s->only ? json_pack("{s:s}", "treatment_id", s->only) : NULL, take, s);
}

static void count(struct study *s)
{
    for (size_t i = 0; i < s->n; i++) {
        const struct pair *p = &s->at[i];
        struct effect *e = &s->effects[p->treatment];
        bool responded = p->outcomes & RESPONDED, converted = p->outcomes & CONVERTED;
        if (p->treated) {
            e->applied++;
            e->responded += responded;
            e->converted += converted;
            e->complained += (p->outcomes & COMPLAINED) != 0;
            e->churned += (p->outcomes & CHURNED) != 0;
            e->crossed += p->control;
            stats_add(&e->value, p->value);
        } else {
            e->control++;
            e->control_responded += responded;
            e->control_converted += converted;
            e->control_churned += (p->outcomes & CHURNED) != 0;
            stats_add(&e->control_value, p->value);
        }
    }
}

static int read_all(cvm_job *j, struct study *s)
{
    static const char *const applied[] = {"customer_id", "treatment_id", "at", "status", "cost_pounds", NULL};
    static const char *const groups[] = {"customer_id", "treatment_id", "at", "side", NULL};
    static const char *const outcomes[] = {"customer_id", "treatment_id", "at", "outcome", "value_pounds", NULL};
    CVM_TRY(read_rows(j, s, "cvm_applications", applied, application));
    CVM_TRY(read_rows(j, s, "cvm_groups", groups, withheld));
    CVM_TRY(read_rows(j, s, "cvm_outcomes", outcomes, outcome));
    count(s);
    return CVM_OK;
}

static json_t *result_of(cvm_job *j, const struct study *s, bool single)
{
    const json_t *settings = cvm_job_settings(j);
    double share = insight_setting(settings, "control_percent", 5) / 100;
    double least = insight_setting(settings, "least_effect", 0.02);
    static const struct effect none;
    if (single) {
        size_t i = index_find(&s->treatments, s->only, NULL);
        return effect_json(s->only, i == INDEX_NONE ? &none : &s->effects[i], share, least);
    }
    json_t *list = json_array();
    for (size_t i = 0; i < s->treatments.n && i < TREATMENTS_MAX; i++)
        insight_append(&list, effect_json(index_text(&s->treatments, i), &s->effects[i], share, least));
    json_t *result = json_pack("{s:o}", "treatments", list);
    if (result && s->treatments.n == 0)
        insight_set(&result, "note", json_string("not enough data: nothing was applied and no outcome recorded"));
    return result;
}

int evaluation_job(cvm_job *j, const json_t *input, json_t **ret_result)
{
    struct study s = {.only = cvm_json_str(input, "treatment_id", NULL),
                      .from_ms = cvm_json_int(input, "from_ms", INT64_MIN),
                      .to_ms = cvm_json_int(input, "to_ms", INT64_MAX)};
    s.effects = calloc(TREATMENTS_MAX, sizeof *s.effects);
    int e = s.effects ? read_all(j, &s) : CVM_ENOMEM;
    if (e == CVM_ELIMIT)
        e = cvm_job_fail(j, "TOO_MANY",
                         "too many treatments or customers for one report: take one treatment, a shorter time");
    if (e == CVM_OK) {
        *ret_result = result_of(j, &s, cvm_json_bool(input, "single", false));
        e = *ret_result ? CVM_OK : CVM_ENOMEM;
    }
    index_fini(&s.treatments);
    index_fini(&s.pairs);
    free(s.effects);
    free(s.at);
    return e;
}

int evaluation_applied_job(cvm_job *j, const json_t *input, json_t **ret_result)
{
    static const char *const columns[] = {"customer_id", NULL};
    const cvm_cell *cells;
    cvm_cursor *c;
    int e = cvm_job_open(j, "cvm_applications", columns, input, NULL, &c);
    if (e == CVM_OK) {
        e = cvm_cursor_next(c, &cells);
        cvm_cursor_close(c);
    }
    if (e < 0 && e != CVM_ENOENT)
        return e;
    *ret_result = json_pack("{s:b}", "applied", e > 0);
    return *ret_result ? CVM_OK : CVM_ENOMEM;
}
