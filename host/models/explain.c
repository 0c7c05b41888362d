/* Which features of a text push an output, and how far; see model.h. The names come from the text: a model has none. */
#include "models/model_file.h"

#include <cvm/cvm.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct push {
    size_t feature; /* the first of its kind in the text */
    uint32_t row;
    unsigned times;
    double weight;
};

static int stronger(const void *a, const void *b)
{
    const struct push *x = a, *y = b;
    if (fabs(x->weight) != fabs(y->weight))
        return fabs(x->weight) > fabs(y->weight) ? -1 : 1;
    return x->feature < y->feature ? -1 : x->feature > y->feature;
}

/* The block's rows with their times; unweighed. */
static size_t pushes_of(const struct model *m, const struct features *f, size_t from, size_t to, struct push *pushes,
                        size_t *unseen)
{
    size_t n = 0;
    for (size_t i = from; i < to; i++) {
        uint32_t row = model_row(m, f->hash[i]);
        size_t at = 0;
        *unseen += row == UINT32_MAX;
        if (row == UINT32_MAX)
            continue;
        while (at < n && pushes[at].row != row)
            at++;
        if (at == n)
            pushes[n++] = (struct push){.feature = i, .row = row};
        pushes[at].times++;
    }
    return n;
}

static void weigh(const struct model *m, struct push *pushes, size_t n, double share, size_t output)
{
    double square = 0;
    for (size_t i = 0; i < n; i++) {
        const float *row = m->rows + (size_t)pushes[i].row * m->header->stride;
        double tf = (double)model_tf(pushes[i].times), value = tf * (double)row[0];
        square += value * value;
        pushes[i].weight = tf * (double)row[1 + output];
    }
    for (size_t i = 0; i < n && square > 0; i++)
        pushes[i].weight *= share / sqrt(square);
}

int model_explain(const struct model *m, const char *text, size_t output, size_t most,
                  struct model_explanation *ret_explanation)
{
    struct model_explanation *x = ret_explanation;
    struct features f;
    size_t n = 0, unseen = 0;
    CVM_TRY(features_init(&f, text, true));
    struct push *pushes = malloc(f.n * sizeof *pushes);
    if (!pushes) {
        features_fini(&f);
        return CVM_ENOMEM;
    }
    for (size_t b = 0, from = 0; b < FEATURES_BLOCKS; from = f.end[b], b++) {
        size_t own = pushes_of(m, &f, from, f.end[b], pushes + n, &unseen);
        weigh(m, pushes + n, own, (double)model_block_weight[b], output);
        n += own;
    }
    qsort(pushes, n, sizeof *pushes, stronger);
    *x = (struct model_explanation){.bias = (double)m->outputs[output].bias, .unseen = (double)unseen / (double)f.n};
    x->score = x->bias;
    for (size_t i = 0; i < n; i++) {
        x->score += pushes[i].weight;
        if (x->n >= most || x->n >= MODEL_EXPLAINED) {
            x->rest += pushes[i].weight;
            continue;
        }
        struct model_reason *r = &x->reasons[x->n++];
        features_name(&f, pushes[i].feature, r->feature, sizeof r->feature);
        r->times = pushes[i].times;
        r->weight = pushes[i].weight;
    }
    free(pushes);
    features_fini(&f);
    return 0;
}
