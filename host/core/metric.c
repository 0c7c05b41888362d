/* Figures that plugins publish (cvm_metric): declared by the manifest, changed when a turn is kept, shown on /metrics,
 * gone with the process. Owns component.metrics: {name: {label value: number, or what a histogram has}}. Loop thread.
 */
#include "core/internal.h"

#include <cvm/json.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define LABEL_VALUES_MAX 100
#define LABEL_VALUE_MAX 64
#define OTHER "other" /* where there are more values than that */

static const json_t *declared(const struct component *c, const char *name)
{
    const json_t *one;
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)c->now->decl->metrics, i,
                       one) if (!strcmp(cvm_json_str(one, "name", ""), name)) return one;
    return NULL;
}

static bool is_histogram(const json_t *decl)
{
    return !strcmp(cvm_json_str(decl, "kind", ""), "histogram");
}

/* What a plugin says as a label, as it may stand between quotes. */
static void label_of(const json_t *decl, const char *text, char ret_label[LABEL_VALUE_MAX + 1])
{
    size_t n = 0;
    for (const char *s = json_object_get(decl, "label") ? text : ""; *s && n < LABEL_VALUE_MAX; s++)
        ret_label[n++] = *s < ' ' || *s > '~' || *s == '"' || *s == '\\' ? '_' : *s;
    ret_label[n] = 0;
}

/* Keeps what a turn wants to publish; metric_apply does it when the turn is kept. */
int metric_note(struct turn *t, json_t *data)
{
    const char *name = cvm_json_str(data, "name", "");
    const json_t *decl = declared(t->component, name), *value = json_object_get(data, "value");
    bool counter = decl && !strcmp(cvm_json_str(decl, "kind", ""), "counter");
    int e = !decl                                                 ? CVM_EACCES
            : !json_is_number(value)                              ? CVM_EINVAL
            : counter && json_number_value(value) < 0             ? CVM_EINVAL
            : json_array_size(t->metrics) >= CVM_TURN_METRICS_MAX ? CVM_ELIMIT
                                                                  : CVM_OK;
    if (e == CVM_EACCES && !t->told)
        log_error(t->component->id->text, "the manifest declares no metric \"%.100s\" of this component", name);
    if (e < 0) {
        json_decref(data);
        return e;
    }
    if (!t->metrics)
        t->metrics = json_array();
    json_array_append_new(t->metrics, data);
    return CVM_OK;
}

/* {"le": [counts], "sum", "count"}, anew where the buckets are not those of the manifest any more. */
static void observe(json_t *rows, const char *label, const json_t *decl, double value)
{
    const json_t *buckets = json_object_get(decl, "buckets");
    json_t *row = json_object_get(rows, label), *counts = json_object_get(row, "le");
    size_t n = json_array_size(buckets);
    if (!counts || json_array_size(counts) != n) {
        counts = json_array();
        for (size_t i = 0; i < n; i++)
            json_array_append_new(counts, json_integer(0));
        row = json_pack("{s:o, s:f, s:i}", "le", counts, "sum", 0.0, "count", 0);
        json_object_set_new(rows, label, row);
    }
    for (size_t i = 0; i < n; i++) {
        json_t *count = json_array_get(counts, i);
        if (value <= json_number_value(json_array_get(buckets, i)))
            json_integer_set(count, json_integer_value(count) + 1);
    }
    json_real_set(json_object_get(row, "sum"), json_real_value(json_object_get(row, "sum")) + value);
    json_integer_set(json_object_get(row, "count"), json_integer_value(json_object_get(row, "count")) + 1);
}

static void apply(struct component *c, const json_t *one)
{
    const char *name = cvm_json_str(one, "name", "");
    const json_t *decl = declared(c, name);
    double value = json_number_value(json_object_get(one, "value"));
    char label[LABEL_VALUE_MAX + 1];
    if (!decl || !isfinite(value))
        return;
    if (!c->metrics)
        c->metrics = json_object();
    json_t *rows = json_object_get(c->metrics, name);
    if (!rows && json_object_set_new(c->metrics, name, rows = json_object()) < 0)
        return;
    label_of(decl, cvm_json_str(one, "label", ""), label);
    if (!json_object_get(rows, label) && json_object_size(rows) >= LABEL_VALUES_MAX)
        snprintf(label, sizeof label, "%s", OTHER);
    if (is_histogram(decl)) {
        observe(rows, label, decl, value);
    } else {
        const json_t *now = json_object_get(rows, label);
        bool counter = !strcmp(cvm_json_str(decl, "kind", ""), "counter");
        json_object_set_new(rows, label, json_real(value + (counter ? json_number_value(now) : 0)));
    }
}

void metric_apply(struct turn *t)
{
    const json_t *one;
    size_t i;
    if (t->core->replay)
        return;
    json_array_foreach(t->metrics, i, one) apply(t->component, one);
}

/* ---- as text ----------------------------------------------------------------------------------------------------- */

static void put_label(struct text *text, const json_t *decl, const char *label, const char *more, double le)
{
    const char *key = cvm_json_str(decl, "label", NULL);
    if (!key && !more)
        return;
    text_puts(text, "{");
    if (key)
        text_printf(text, "%s=\"%s\"%s", key, label, more ? "," : "");
    if (more && isinf(le))
        text_printf(text, "%s=\"+Inf\"", more);
    else if (more)
        text_printf(text, "%s=\"%.15g\"", more, le);
    text_puts(text, "}");
}

static void put_histogram(struct text *text, const json_t *decl, const char *name, const char *label, const json_t *row)
{
    const json_t *buckets = json_object_get(decl, "buckets"), *counts = json_object_get(row, "le");
    long long count = (long long)cvm_json_int(row, "count", 0);
    for (size_t i = 0; i <= json_array_size(counts); i++) {
        bool last = i == json_array_size(counts);
        text_printf(text, "cvmhost_%s_bucket", name);
        put_label(text, decl, label, "le", last ? INFINITY : json_number_value(json_array_get(buckets, i)));
        text_printf(text, " %lld\n", last ? count : (long long)json_integer_value(json_array_get(counts, i)));
    }
    text_printf(text, "cvmhost_%s_sum", name);
    put_label(text, decl, label, NULL, 0);
    text_printf(text, " %.15g\ncvmhost_%s_count", json_number_value(json_object_get(row, "sum")), name);
    put_label(text, decl, label, NULL, 0);
    text_printf(text, " %lld\n", count);
}

static void put_rows(struct text *text, const json_t *decl, const json_t *rows)
{
    const char *label, *name = cvm_json_str(decl, "name", "");
    const json_t *row;
    void *at;
    for (at = json_object_iter((json_t *)(uintptr_t)rows); at;
         at = json_object_iter_next((json_t *)(uintptr_t)rows, at)) {
        label = json_object_iter_key(at);
        row = json_object_iter_value(at);
        if (is_histogram(decl) && json_is_object(row)) {
            put_histogram(text, decl, name, label, row);
        } else if (!is_histogram(decl) && json_is_number(row)) {
            text_printf(text, "cvmhost_%s", name);
            put_label(text, decl, label, NULL, 0);
            text_printf(text, " %.15g\n", json_number_value(row));
        }
    }
}

void metrics_of_plugins(const struct core *core, struct text *text)
{
    char head[160];
    for (uint32_t i = 0; i < core->n_components; i++) {
        const struct component *c = core->components[i];
        const json_t *decl;
        size_t k;
        json_array_foreach((json_t *)(uintptr_t)c->now->decl->metrics, k, decl)
        {
            const char *name = cvm_json_str(decl, "name", "");
            snprintf(head, sizeof head, "# TYPE cvmhost_%s ", name);
            if (c->absent || text->failed || strstr(text->at, head)) /* somebody else's already */
                continue;
            text_printf(text, "# HELP cvmhost_%s %s\n%s%s\n", name, cvm_json_str(decl, "help", ""), head,
                        cvm_json_str(decl, "kind", "gauge"));
            put_rows(text, decl, json_object_get(c->metrics, name));
        }
    }
}
