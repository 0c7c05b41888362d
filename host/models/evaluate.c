/* Counts right and wrong answers; see evaluate.h. */
#include "models/evaluate.h"

#include <cvm/cvm.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CONFUSED_MAX 10

struct judged {
    char name[EXAMPLES_NAME_BYTES];
    size_t n_labels, n, right; /* labels: those of the examples, then one for what only a model knows */
    char **labels;             /* borrowed from the examples */
    json_t *ids;
    uint32_t *times; /* [expected][got] */
    struct {
        size_t n, right;
        double said;
    } bins[EVALUATION_BINS];
};

struct evaluation {
    size_t n_heads;
    struct judged heads[EXAMPLES_HEADS];
};

struct evaluation *evaluation_new(const struct examples *e)
{
    struct evaluation *v = calloc(1, sizeof *v);
    if (!v)
        return NULL;
    v->n_heads = e->n_heads;
    for (size_t h = 0; h < e->n_heads; h++) {
        struct judged *j = &v->heads[h];
        memcpy(j->name, e->heads[h].name, sizeof j->name);
        j->n_labels = e->heads[h].n_labels;
        j->labels = e->heads[h].labels;
        j->ids = json_incref(e->heads[h].ids);
        j->times = calloc((j->n_labels + 1) * (j->n_labels + 1), sizeof *j->times);
        if (!j->times) {
            evaluation_free(v);
            return NULL;
        }
    }
    return v;
}

void evaluation_free(struct evaluation *v)
{
    for (size_t h = 0; v && h < v->n_heads; h++) {
        json_decref(v->heads[h].ids);
        free(v->heads[h].times);
    }
    free(v);
}

/* ---- counting ---- */

static void judge(struct judged *j, int32_t expected, const char *got, double probability)
{
    const json_t *id = json_object_get(j->ids, got);
    size_t at = id ? (size_t)json_integer_value(id) : j->n_labels;
    size_t bin = probability >= 1 ? EVALUATION_BINS - 1 : (size_t)(probability * EVALUATION_BINS);
    bool right = at == (size_t)expected;
    j->n++;
    j->right += right;
    j->times[(size_t)expected * (j->n_labels + 1) + at]++;
    j->bins[bin].n++;
    j->bins[bin].right += right;
    j->bins[bin].said += probability;
}

int evaluation_add(struct evaluation *v, const struct model *m, const struct examples *e, char *ret_error,
                   size_t error_size)
{
    struct model_answer best[EXAMPLES_HEADS][MODEL_BEST];
    size_t of[EXAMPLES_HEADS], shared = 0;
    for (size_t h = 0; h < v->n_heads; h++) {
        for (of[h] = 0; of[h] < model_heads(m) && strcmp(model_head(m, of[h]), v->heads[h].name) != 0;)
            of[h]++;
        shared += of[h] < model_heads(m);
    }
    if (!shared) {
        snprintf(ret_error, error_size, "the model has no head \"%.80s\"; its first is \"%.80s\"", v->heads[0].name,
                 model_head(m, 0));
        return CVM_EINVAL;
    }
    for (size_t i = 0; i < e->n; i++) {
        CVM_TRY(model_best(m, e->texts[i], best));
        for (size_t h = 0; h < v->n_heads; h++) {
            int32_t expected = e->labels[i * e->n_heads + h];
            if (expected >= 0 && of[h] < model_heads(m))
                judge(&v->heads[h], expected, model_label(m, of[h], best[of[h]][0].label), best[of[h]][0].probability);
        }
    }
    return 0;
}

struct part_progress {
    const struct model_training *how;
    double from, share;
};

static bool part_progress(void *arg, double done)
{
    const struct part_progress *p = arg;
    return !p->how->progress || p->how->progress(p->how->arg, p->from + p->share * done);
}

static int one_fold(struct evaluation *v, const struct examples *e, const uint8_t *fold, uint8_t which,
                    const struct model_training *how, const char *path, char *ret_error, size_t error_size)
{
    struct examples rest = {0}, own = {0};
    struct model *m = NULL;
    int error = examples_part(e, fold, which, false, &rest);
    if (!error)
        error = examples_part(e, fold, which, true, &own);
    if (!error)
        error = model_train(&rest, how, path, ret_error, error_size);
    if (!error)
        error = model_open(path, how->max_bytes, &m, ret_error, error_size);
    if (!error)
        error = evaluation_add(v, m, &own, ret_error, error_size);
    unlink(path);
    model_unref(m);
    examples_part_fini(&rest);
    examples_part_fini(&own);
    return error;
}

int evaluation_cross(struct evaluation *v, const struct examples *e, unsigned folds, const struct model_training *how,
                     const char *folder, char *ret_error, size_t error_size)
{
    size_t dealt[EXAMPLES_LABELS + 1] = {0};
    uint8_t *fold = calloc(e->n + 1, 1);
    char *path = NULL;
    int error = fold && asprintf(&path, "%s/fold.%ld.model", folder, (long)getpid()) > 0 ? 0 : CVM_ENOMEM;
    for (size_t i = 0; i < e->n && !error; i++) {
        int32_t label = e->labels[i * e->n_heads];
        fold[i] = (uint8_t)(dealt[label < 0 ? EXAMPLES_LABELS : label]++ % folds);
    }
    for (unsigned k = 0; k < folds && !error; k++) {
        struct part_progress part = {how, (double)k / folds, 1.0 / folds};
        struct model_training own = {how->max_bytes, part_progress, &part};
        error = one_fold(v, e, fold, (uint8_t)k, &own, path, ret_error, error_size);
    }
    free(path);
    free(fold);
    return error;
}

/* ---- telling ---- */

static json_t *rounded(double value)
{
    return json_real(round(value * 10000) / 10000);
}

static double ratio(double a, double b)
{
    return b > 0 ? a / b : 0;
}

struct label_figures {
    double expected, got, right, f1;
};

static struct label_figures figures(const struct judged *j, size_t label)
{
    struct label_figures f = {.right = j->times[label * (j->n_labels + 1) + label]};
    for (size_t i = 0; i <= j->n_labels; i++) {
        f.expected += j->times[label * (j->n_labels + 1) + i];
        f.got += j->times[i * (j->n_labels + 1) + label];
    }
    f.f1 = ratio(2 * f.right, f.expected + f.got);
    return f;
}

/* The labels' table, and the mean of their F1 by label and by example. */
static json_t *labels_json(const struct judged *j, double *ret_macro, double *ret_weighted)
{
    json_t *list = json_array();
    double macro = 0, weighted = 0, n = 0;
    for (size_t i = 0; i < j->n_labels; i++) {
        struct label_figures f = figures(j, i);
        if (f.expected + f.got <= 0)
            continue;
        n++;
        macro += f.f1;
        weighted += f.f1 * f.expected;
        json_array_append_new(list, json_pack("{s:s, s:I, s:o, s:o, s:o}", "label", j->labels[i], "examples",
                                              (json_int_t)f.expected, "precision", rounded(ratio(f.right, f.got)),
                                              "recall", rounded(ratio(f.right, f.expected)), "f1", rounded(f.f1)));
    }
    *ret_macro = ratio(macro, n);
    *ret_weighted = ratio(weighted, (double)j->n);
    return list;
}

static json_t *confused_json(const struct judged *j)
{
    json_t *list = json_array();
    size_t width = j->n_labels + 1, last = SIZE_MAX;
    uint32_t most = UINT32_MAX;
    for (size_t k = 0; k < CONFUSED_MAX; k++) {
        size_t best = SIZE_MAX;
        for (size_t i = 0; i < width * width; i++) {
            bool after = j->times[i] < most || (j->times[i] == most && (last == SIZE_MAX || i > last));
            if (i / width != i % width && after && j->times[i] && (best == SIZE_MAX || j->times[i] > j->times[best]))
                best = i;
        }
        if (best == SIZE_MAX)
            break;
        last = best;
        most = j->times[best];
        const char *got = best % width < j->n_labels ? j->labels[best % width] : "(another)";
        json_array_append_new(list, json_pack("{s:s, s:s, s:I}", "expected", j->labels[best / width], "got", got,
                                              "times", (json_int_t)most));
    }
    return list;
}

static json_t *calibration_json(const struct judged *j, double *ret_error)
{
    json_t *list = json_array();
    double error = 0;
    for (size_t b = 0; b < EVALUATION_BINS; b++) {
        double n = (double)j->bins[b].n;
        if (j->bins[b].n == 0)
            continue;
        error += fabs(j->bins[b].said - (double)j->bins[b].right);
        json_array_append_new(list, json_pack("{s:o, s:o, s:I, s:o, s:o}", "from", rounded((double)b / EVALUATION_BINS),
                                              "to", rounded((double)(b + 1) / EVALUATION_BINS), "examples",
                                              (json_int_t)j->bins[b].n, "said", rounded(j->bins[b].said / n), "right",
                                              rounded((double)j->bins[b].right / n)));
    }
    *ret_error = ratio(error, (double)j->n);
    return list;
}

static json_t *head_json(const struct judged *j)
{
    double macro, weighted, off;
    json_t *labels = labels_json(j, &macro, &weighted), *calibration = calibration_json(j, &off);
    return json_pack("{s:s, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "head", j->name, "examples", (json_int_t)j->n,
                     "accuracy", rounded(ratio((double)j->right, (double)j->n)), "macro_f1", rounded(macro),
                     "weighted_f1", rounded(weighted), "calibration_error", rounded(off), "labels", labels, "confused",
                     confused_json(j), "calibration", calibration);
}

json_t *evaluation_json(const struct evaluation *v)
{
    json_t *heads = json_array();
    for (size_t h = 0; h < v->n_heads; h++)
        if (v->heads[h].n)
            json_array_append_new(heads, head_json(&v->heads[h]));
    return json_pack("{s:o}", "heads", heads);
}
