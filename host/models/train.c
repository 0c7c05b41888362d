/* Makes a model's file of labelled texts: chooses features, trains a linear function per label with liblinear, and fits
 * each head's temperature on scores of texts that the functions they come from had not seen. See model.h. */
#include "core/hex.h"
#include "models/linear_lib.h"
#include "models/model_file.h"

#include <cvm/cvm.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FOLDS 3
#define MANY_EXAMPLES 4000 /* from so many on one fold is enough to fit a temperature on */
#define COST 1.0
#define STOP_AT 0.2    /* the solver's tolerance; a smaller one takes longer and is right as often */
#define RARE_POWER 0.5 /* how far rare labels are lifted: 0 not at all, 1 until all weigh the same */
#define RARE_MOST 4.0
#define RATIO_LEAST 0.3 /* of a feature that tells nothing of a label */
#define FEW_EXAMPLES 60 /* up to so many every feature is kept, else those of two texts or more */
#define VOCABULARY_MAX (UINT32_C(1) << 25)

/* liblinear shuffles by rand(): one training at a time, from one seed, for the same bytes. */
static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;

struct counted {
    uint32_t hash, texts, last; /* last: the example that counted it + 1 */
};

struct trainer {
    const struct examples *e;
    const struct model_training *how;
    const struct linear_lib *linear;
    struct counted *vocabulary; /* 2^bits slots, texts 0: free; later the chosen ones, most frequent first */
    uint32_t n_vocabulary, bits;
    unsigned char *image; /* the file */
    size_t image_bytes;
    struct model m; /* a view of it */
    struct feature_node **x;
    size_t n_nodes; /* of all x, ends included */
    double steps, done;
    char *ret_error;
    size_t error_size;
};

static int wrong(struct trainer *t, int error, const char *what)
{
    snprintf(t->ret_error, t->error_size, "%s", what);
    return error;
}

static int step(struct trainer *t, double weight)
{
    t->done += weight;
    bool on = !t->how->progress || t->how->progress(t->how->arg, t->done < t->steps ? t->done / t->steps : 1);
    return on ? 0 : wrong(t, CVM_ESTATE, "training was stopped");
}

/* Now and then in what takes long without a step. */
static int look(struct trainer *t, size_t i)
{
    return i % 128 ? 0 : step(t, 0);
}

/* ---- the vocabulary ---- */

static int grow(struct trainer *t)
{
    uint32_t size = UINT32_C(1) << t->bits, mask = size * 2 - 1;
    if (size > VOCABULARY_MAX)
        return CVM_ELIMIT;
    struct counted *wide = calloc((size_t)size * 2, sizeof *wide);
    if (!wide)
        return CVM_ENOMEM;
    for (uint32_t i = 0; i < size; i++) {
        uint32_t at = t->vocabulary[i].hash & mask;
        while (t->vocabulary[i].texts && wide[at].texts)
            at = (at + 1) & mask;
        if (t->vocabulary[i].texts)
            wide[at] = t->vocabulary[i];
    }
    free(t->vocabulary);
    t->vocabulary = wide;
    t->bits++;
    return 0;
}

static int count(struct trainer *t, uint32_t hash, uint32_t example)
{
    uint32_t mask = (UINT32_C(1) << t->bits) - 1, at = hash & mask;
    while (t->vocabulary[at].texts && t->vocabulary[at].hash != hash)
        at = (at + 1) & mask;
    struct counted *c = &t->vocabulary[at];
    t->n_vocabulary += !c->texts;
    c->hash = hash;
    c->texts += c->last != example + 1;
    c->last = example + 1;
    return t->n_vocabulary * 2 > mask ? grow(t) : 0;
}

static int count_all(struct trainer *t)
{
    struct features f;
    t->bits = 16;
    t->vocabulary = calloc((size_t)1 << t->bits, sizeof *t->vocabulary);
    if (!t->vocabulary)
        return CVM_ENOMEM;
    for (uint32_t i = 0; i < t->e->n; i++) {
        CVM_TRY(look(t, i));
        int error = features_init(&f, t->e->texts[i], false);
        for (size_t k = 0; k < f.n && !error; k++)
            error = count(t, f.hash[k], i);
        features_fini(&f);
        if (error)
            return error;
    }
    return 0;
}

static int by_frequency(const void *a, const void *b)
{
    const struct counted *x = a, *y = b;
    if (x->texts != y->texts)
        return x->texts > y->texts ? -1 : 1;
    return x->hash < y->hash ? -1 : x->hash > y->hash;
}

static uint32_t bits_for(uint32_t n)
{
    uint32_t bits = 4;
    while ((UINT32_C(1) << bits) < n * 2 + 2)
        bits++;
    return bits;
}

static size_t bytes_of(uint32_t n_rows, uint32_t stride)
{
    return ((size_t)1 << bits_for(n_rows)) * sizeof(struct model_slot) + (size_t)n_rows * stride * sizeof(float);
}

/* Keeps the features of enough texts, and of those as many as the file may hold. */
static int choose(struct trainer *t, uint32_t stride, size_t room)
{
    uint32_t n = 0, size = UINT32_C(1) << t->bits, least = t->e->n <= FEW_EXAMPLES ? 1 : 2;
    for (uint32_t i = 0; i < size; i++)
        if (t->vocabulary[i].texts >= least)
            t->vocabulary[n++] = t->vocabulary[i];
    qsort(t->vocabulary, n, sizeof *t->vocabulary, by_frequency);
    while (n && bytes_of(n, stride) > room)
        n -= n / 64 + 1;
    if (!n)
        return wrong(t, CVM_ELIMIT, "the model may have too few bytes for even one feature");
    t->n_vocabulary = n;
    return 0;
}

/* ---- the file's image ---- */

static size_t texts_bytes(const struct examples *e)
{
    size_t n = 0;
    for (size_t h = 0; h < e->n_heads; h++) {
        n += strlen(e->heads[h].name) + 1;
        for (size_t i = 0; i < e->heads[h].n_labels; i++)
            n += strlen(e->heads[h].labels[i]) + 1;
    }
    return n;
}

static uint32_t put_text(char *texts, uint32_t *at, const char *text)
{
    uint32_t begin = *at;
    size_t n = strlen(text) + 1;
    memcpy(texts + begin, text, n);
    *at += (uint32_t)n;
    return begin;
}

static void put_labels(struct trainer *t)
{
    struct model_output *outputs = (void *)(uintptr_t)t->m.outputs;
    struct model_head_entry *heads = (void *)(uintptr_t)t->m.heads;
    char *texts = (char *)(uintptr_t)t->m.texts;
    uint32_t at = 0, next = 0;
    for (size_t h = 0; h < t->e->n_heads; h++) {
        const struct examples_head *head = &t->e->heads[h];
        heads[h] = (struct model_head_entry){put_text(texts, &at, head->name), next, (uint32_t)head->n_labels, 1};
        for (size_t i = 0; i < head->n_labels; i++)
            outputs[next++].text = put_text(texts, &at, head->labels[i]);
    }
}

static void put_table(struct trainer *t)
{
    struct model_slot *table = (void *)(uintptr_t)t->m.table;
    float *rows = (void *)(uintptr_t)t->m.rows;
    for (uint32_t i = 0; i < t->n_vocabulary; i++) {
        uint32_t at = t->vocabulary[i].hash & t->m.mask;
        while (table[at].row)
            at = (at + 1) & t->m.mask;
        table[at] = (struct model_slot){t->vocabulary[i].hash, i + 1};
        double idf = log((1.0 + (double)t->e->n) / (1.0 + t->vocabulary[i].texts)) + 1;
        rows[(size_t)i * t->m.header->stride] = (float)idf;
    }
}

static int make_image(struct trainer *t)
{
    const struct examples *e = t->e;
    struct model_header h = {.magic = MODEL_MAGIC, .byte_order = MODEL_BYTE_ORDER, .trainer = MODEL_TRAINER};
    h.n_examples = (uint32_t)e->n;
    h.n_heads = (uint32_t)e->n_heads;
    for (size_t i = 0; i < e->n_heads; i++)
        h.n_outputs += (uint32_t)e->heads[i].n_labels;
    if (h.n_outputs > MODEL_OUTPUTS)
        return wrong(t, CVM_ELIMIT, "the heads have more than 2048 labels together");
    h.stride = (h.n_outputs + 1 + MODEL_LANES - 1) / MODEL_LANES * MODEL_LANES;
    h.heads_at = sizeof h + h.n_outputs * sizeof(struct model_output);
    h.texts_at = h.heads_at + h.n_heads * sizeof(struct model_head_entry);
    h.table_at = (h.texts_at + texts_bytes(e) + 63) / 64 * 64;
    if (h.table_at >= t->how->max_bytes)
        return wrong(t, CVM_ELIMIT, "the model may have too few bytes for even its labels");
    CVM_TRY(choose(t, h.stride, t->how->max_bytes - h.table_at));
    h.n_rows = t->n_vocabulary;
    h.table_bits = bits_for(h.n_rows);
    h.rows_at = h.table_at + sizeof(struct model_slot) * (UINT64_C(1) << h.table_bits);
    h.bytes = h.rows_at + (uint64_t)h.n_rows * h.stride * sizeof(float);
    if (t->how->id)
        snprintf(h.id, MODEL_ID_SIZE, "%s", t->how->id);
    else
        CVM_TRY(model_id_of(e, h.id));
    t->image_bytes = h.bytes;
    t->image = aligned_alloc(64, (h.bytes + 63) / 64 * 64);
    if (!t->image)
        return CVM_ENOMEM;
    memset(t->image, 0, h.bytes);
    memcpy(t->image, &h, sizeof h);
    t->m = (struct model){.header = (void *)t->image,
                          .outputs = (void *)(t->image + sizeof h),
                          .heads = (void *)(t->image + h.heads_at),
                          .texts = (char *)t->image + h.texts_at,
                          .table = (void *)(t->image + h.table_at),
                          .rows = (void *)(t->image + h.rows_at),
                          .mask = (UINT32_C(1) << h.table_bits) - 1};
    put_labels(t);
    put_table(t);
    free(t->vocabulary);
    t->vocabulary = NULL;
    return 0;
}

/* ---- texts as vectors ---- */

static int by_index(const void *a, const void *b)
{
    const struct feature_node *x = a, *y = b;
    return x->index < y->index ? -1 : x->index > y->index;
}

static int vector(struct trainer *t, const struct features *f, struct feature_node **ret_nodes)
{
    size_t n = 0, n_seen = 64;
    while (n_seen < f->n * 2)
        n_seen *= 2;
    struct model_hit *hits = malloc(n_seen * (sizeof *hits + sizeof(uint16_t)));
    struct feature_node *nodes = malloc((f->n + 2) * sizeof *nodes);
    if (!hits || !nodes) {
        free(hits);
        free(nodes);
        return CVM_ENOMEM;
    }
    for (size_t b = 0; b < FEATURES_BLOCKS; b++) {
        size_t begin = n, n_hits = model_hits(&t->m, f, b, hits, (uint16_t *)(hits + n_seen), n_seen);
        double square = 0;
        for (size_t i = 0; i < n_hits; i++) {
            float value = model_tf(hits[i].times) * t->m.rows[(size_t)hits[i].row * t->m.header->stride];
            nodes[n++] = (struct feature_node){(int)hits[i].row + 1, (double)value};
            square += (double)value * (double)value;
        }
        for (size_t i = begin; i < n; i++)
            nodes[i].value *= (double)model_block_weight[b] / sqrt(square);
    }
    qsort(nodes, n, sizeof *nodes, by_index);
    nodes[n++] = (struct feature_node){(int)t->m.header->n_rows + 1, 1};
    nodes[n++] = (struct feature_node){-1, 0};
    t->n_nodes += n;
    free(hits);
    struct feature_node *fitting = realloc(nodes, n * sizeof *nodes);
    *ret_nodes = fitting ? fitting : nodes;
    return 0;
}

static int make_vectors(struct trainer *t)
{
    struct features f;
    t->x = calloc(t->e->n, sizeof *t->x);
    if (!t->x)
        return CVM_ENOMEM;
    for (size_t i = 0; i < t->e->n; i++) {
        CVM_TRY(look(t, i));
        int error = features_init(&f, t->e->texts[i], false);
        if (!error)
            error = vector(t, &f, &t->x[i]);
        features_fini(&f);
        if (error)
            return error;
    }
    return 0;
}

/* ---- a head ---- */

struct task {
    size_t head, n, n_labels;
    struct feature_node **x; /* of the texts that answer this head */
    int32_t *label;
    uint8_t *fold;
    size_t counts[EXAMPLES_LABELS];
    bool ratios;                               /* features are weighed by what they tell of a label */
    double *scores;                            /* [text][label], by functions that did not see the text */
    struct feature_node **some_x, *some_nodes; /* what one function is trained on, and room for its values */
    double *some_y, *ratio;
    double *texts_with; /* each feature, of those outside the fold that is trained for */
};

static void task_fini(struct task *k)
{
    free(k->x);
    free(k->label);
    free(k->fold);
    free(k->scores);
    free(k->some_x);
    free(k->some_nodes);
    free(k->some_y);
    free(k->ratio);
    free(k->texts_with);
}

static int task_init(struct trainer *t, size_t head, struct task *k)
{
    size_t n = t->e->n, dealt[EXAMPLES_LABELS] = {0};
    *k = (struct task){.head = head, .n_labels = t->e->heads[head].n_labels};
    k->x = calloc(n, sizeof *k->x);
    k->label = calloc(n, sizeof *k->label);
    k->fold = calloc(n, 1);
    k->some_x = calloc(n, sizeof *k->some_x);
    k->some_y = calloc(n, sizeof *k->some_y);
    k->some_nodes = malloc(t->n_nodes * sizeof *k->some_nodes);
    k->ratio = malloc((t->m.header->n_rows + 1) * sizeof *k->ratio);
    k->texts_with = malloc((t->m.header->n_rows + 1) * sizeof *k->texts_with);
    if (!k->x || !k->label || !k->fold || !k->some_x || !k->some_y || !k->some_nodes || !k->ratio || !k->texts_with)
        return CVM_ENOMEM;
    for (size_t i = 0; i < n; i++) {
        int32_t label = t->e->labels[i * t->e->n_heads + head];
        if (label < 0)
            continue;
        k->x[k->n] = t->x[i];
        k->label[k->n++] = label;
        k->counts[label]++;
    }
    /* Neighbours stay together: what says the same in other words stands side by side, and would be no test. */
    for (size_t i = 0; i < k->n; i++)
        k->fold[i] = (uint8_t)(dealt[k->label[i]]++ * FOLDS / k->counts[k->label[i]]);
    k->scores = calloc(k->n * k->n_labels, sizeof *k->scores);
    return k->scores ? 0 : CVM_ENOMEM;
}

/* What an example counts on the side of a label: more for a rare one. */
static double weight_of(const struct task *k, int32_t label)
{
    double even = (double)k->n / ((double)k->n_labels * (double)k->counts[label]);
    double weight = pow(even, RARE_POWER);
    return weight < 1 ? 1 : weight > RARE_MOST ? RARE_MOST : weight;
}

static void count_texts(const struct task *k, int fold, int32_t label, double *counts)
{
    for (size_t i = 0; i < k->n; i++)
        if (k->fold[i] != fold && (label < 0 || k->label[i] == label))
            for (const struct feature_node *x = k->x[i]; x->index > 0; x++)
                counts[x->index - 1]++;
}

/* How much each feature tells of a label: the logarithm of how much likelier it is there than elsewhere. The functions
 * are trained on features times this: what speaks clearly, by however few texts, is learnt before what is merely
 * there. (Wang and Manning 2012.) `n` texts, `own` of them with the label. */
static void find_ratios(const struct trainer *t, struct task *k, int32_t label, int fold, size_t n, size_t own)
{
    size_t n_features = t->m.header->n_rows;
    double even = log((double)(n - own + 2) / (double)(own + 2));
    memset(k->ratio, 0, (n_features + 1) * sizeof *k->ratio);
    count_texts(k, fold, label, k->ratio);
    for (size_t j = 0; j < n_features; j++)
        k->ratio[j] = fabs(log((k->ratio[j] + 1) / (k->texts_with[j] - k->ratio[j] + 1)) + even) + RATIO_LEAST;
    k->ratio[n_features] = 1;
}

static void scale(struct task *k, size_t n)
{
    struct feature_node *to = k->some_nodes;
    for (size_t i = 0; i < n; i++) {
        const struct feature_node *x = k->some_x[i];
        k->some_x[i] = to;
        for (; x->index > 0; x++)
            *to++ = (struct feature_node){x->index, x->value * k->ratio[x->index - 1]};
        *to++ = *x;
    }
}

/* The function that tells `label` from the others, from texts outside `fold` (FOLDS: from all). NULL where there is no
 * text on one side. Gives *ret_function. */
static int train_one(struct trainer *t, struct task *k, int32_t label, int fold, struct linear_model **ret_function)
{
    size_t n = 0, own = 0;
    for (size_t i = 0; i < k->n; i++) {
        if (k->fold[i] == fold)
            continue;
        k->some_x[n] = k->x[i];
        k->some_y[n++] = k->label[i] == label ? 1 : -1;
        own += k->label[i] == label;
    }
    *ret_function = NULL;
    if (!own || own == n)
        return 0;
    if (k->ratios) {
        find_ratios(t, k, label, fold, n, own);
        scale(k, n);
    }
    int sides[2] = {1, -1};
    double weights[2] = {weight_of(k, label), k->n_labels == 2 ? weight_of(k, !label) : 1};
    struct problem problem = {
        .l = (int)n, .n = (int)t->m.header->n_rows + 1, .y = k->some_y, .x = k->some_x, .bias = 1};
    struct parameter parameter = {.solver_type = L2R_L2LOSS_SVC_DUAL,
                                  .eps = STOP_AT,
                                  .C = COST,
                                  .nr_weight = 2,
                                  .weight_label = sides,
                                  .weight = weights,
                                  .p = 0.1};
    if (t->linear->check_parameter(&problem, &parameter))
        return wrong(t, CVM_EINVAL, "liblinear refuses the problem");
    srand(1);
    *ret_function = t->linear->train(&problem, &parameter);
    if (!*ret_function)
        return CVM_ENOMEM;
    for (int j = 0; j < problem.n && k->ratios; j++)
        (*ret_function)->w[j] *= k->ratio[j];
    return 0;
}

static double dot(const struct feature_node *x, const double *w)
{
    double sum = 0;
    for (; x->index > 0; x++)
        sum += x->value * w[x->index - 1];
    return sum;
}

static void count_outside(const struct trainer *t, struct task *k, int fold)
{
    memset(k->texts_with, 0, (t->m.header->n_rows + 1) * sizeof *k->texts_with);
    count_texts(k, fold, -1, k->texts_with);
}

/* Scores of what lies in `fold`, by functions trained on the rest. */
static int score_fold(struct trainer *t, struct task *k, int fold)
{
    /* Of two labels one is what the other is not. */
    size_t functions = k->n_labels == 2 ? 1 : k->n_labels;
    count_outside(t, k, fold);
    for (size_t label = 0; label < functions; label++) {
        struct linear_model *function;
        CVM_TRY(train_one(t, k, (int32_t)label, fold, &function));
        for (size_t i = 0; i < k->n; i++) {
            if (k->fold[i] != fold)
                continue;
            double score = function ? dot(k->x[i], function->w) : -2;
            k->scores[i * k->n_labels + label] = score;
            if (functions == 1)
                k->scores[i * k->n_labels + 1] = -score;
        }
        if (function)
            t->linear->free_and_destroy_model(&function);
        CVM_TRY(step(t, (double)k->n));
    }
    return 0;
}

static void put_weights(struct trainer *t, size_t output, const double *w, double sign)
{
    float *rows = (float *)(uintptr_t)t->m.rows;
    struct model_output *outputs = (void *)(uintptr_t)t->m.outputs;
    size_t stride = t->m.header->stride, n = t->m.header->n_rows;
    for (size_t i = 0; i < n; i++)
        rows[i * stride + 1 + output] = (float)(sign * w[i] * (double)rows[i * stride]);
    outputs[output].bias = (float)(sign * w[n]);
}

static void put_nothing(struct trainer *t, size_t output, double bias)
{
    struct model_output *outputs = (void *)(uintptr_t)t->m.outputs;
    outputs[output].bias = (float)bias;
}

static int train_all(struct trainer *t, struct task *k)
{
    size_t functions = k->n_labels == 2 ? 1 : k->n_labels, first = t->m.heads[k->head].first;
    count_outside(t, k, FOLDS);
    for (size_t label = 0; label < functions; label++) {
        struct linear_model *function;
        CVM_TRY(train_one(t, k, (int32_t)label, FOLDS, &function));
        if (!function) { /* none of its texts is here: it is never the answer */
            put_nothing(t, first + label, functions == 1 && k->counts[0] ? 1 : -2);
            if (functions == 1)
                put_nothing(t, first + 1, k->counts[0] ? -1 : 2);
        } else {
            put_weights(t, first + label, function->w, 1);
            if (functions == 1)
                put_weights(t, first + 1, function->w, -1);
            t->linear->free_and_destroy_model(&function);
        }
        CVM_TRY(step(t, (double)k->n * FOLDS / (FOLDS - 1)));
    }
    return 0;
}

/* ---- probabilities ---- */

static int scored_folds(size_t n)
{
    return n < MANY_EXAMPLES ? FOLDS : 1;
}

/* The mean of -log of what a temperature gives the right label. */
static double loss(const struct task *k, double temperature)
{
    double sum = 0;
    size_t n = 0;
    for (size_t i = 0; i < k->n; i++) {
        if (k->fold[i] >= scored_folds(k->n))
            continue;
        const double *score = k->scores + i * k->n_labels;
        double most = score[0], all = 0;
        for (size_t j = 1; j < k->n_labels; j++)
            most = score[j] > most ? score[j] : most;
        for (size_t j = 0; j < k->n_labels; j++)
            all += exp((score[j] - most) * temperature);
        sum += log(all) - (score[k->label[i]] - most) * temperature;
        n++;
    }
    return sum / (double)n;
}

/* Golden section over the logarithm: the loss has one minimum in it. (Guo et al. 2017, temperature scaling.) */
static double fit_temperature(const struct task *k)
{
    const double golden = 0.6180339887498949;
    double low = log(0.05), high = log(50), a = high - golden * (high - low), b = low + golden * (high - low);
    double at_a = loss(k, exp(a)), at_b = loss(k, exp(b));
    while (high - low > 0.002) {
        if (at_a < at_b) {
            high = b;
            b = a;
            at_b = at_a;
            a = high - golden * (high - low);
            at_a = loss(k, exp(a));
        } else {
            low = a;
            a = b;
            at_a = at_b;
            b = low + golden * (high - low);
            at_b = loss(k, exp(b));
        }
    }
    return exp((low + high) / 2);
}

static size_t count_right(const struct task *k)
{
    size_t right = 0;
    for (size_t i = 0; i < k->n; i++) {
        const double *score = k->scores + i * k->n_labels;
        size_t best = 0;
        if (k->fold[i] >= scored_folds(k->n))
            continue;
        for (size_t j = 1; j < k->n_labels; j++)
            best = score[j] > score[best] ? j : best;
        right += best == (size_t)k->label[i];
    }
    return right;
}

/* Answers to texts by functions that had not seen them: how many are right, and the temperature that suits them. */
static int try_head(struct trainer *t, struct task *k, bool ratios, size_t *ret_right, double *ret_temperature)
{
    k->ratios = ratios;
    for (int fold = 0; fold < scored_folds(k->n); fold++)
        CVM_TRY(score_fold(t, k, fold));
    *ret_right = count_right(k);
    *ret_temperature = fit_temperature(k);
    return 0;
}

/* Ratios suit heads of few labels with many examples each, and harm those of many labels with few: what is right more
 * often about texts not seen is taken. */
static int train_head(struct trainer *t, size_t head)
{
    struct task k;
    size_t right[2];
    double temperature[2];
    int error = task_init(t, head, &k);
    for (int ratios = 0; ratios < 2 && !error; ratios++)
        error = try_head(t, &k, ratios, &right[ratios], &temperature[ratios]);
    if (!error) {
        struct model_head_entry *entry = (void *)(uintptr_t)&t->m.heads[head];
        k.ratios = right[1] > right[0];
        entry->temperature = (float)temperature[k.ratios];
        error = train_all(t, &k);
    }
    task_fini(&k);
    return error;
}

/* ---- all of it ---- */

int model_id_of(const struct examples *e, char ret_id[MODEL_ID_SIZE])
{
    char hex[HASH_HEX_SIZE], *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    if (!out)
        return CVM_ENOMEM;
    fprintf(out, "%d", MODEL_TRAINER);
    for (size_t h = 0; h < e->n_heads; h++) {
        fprintf(out, "%c%s", 1, e->heads[h].name);
        for (size_t i = 0; i < e->heads[h].n_labels; i++)
            fprintf(out, "%c%s", 2, e->heads[h].labels[i]);
    }
    for (size_t i = 0; i < e->n; i++) {
        fprintf(out, "%c%s", 3, e->texts[i]);
        for (size_t h = 0; h < e->n_heads; h++)
            fprintf(out, "%c%d", 4, e->labels[i * e->n_heads + h]);
    }
    bool whole = !ferror(out);
    if (fclose(out) == 0 && whole) {
        hash_hex(text, len, hex);
        snprintf(ret_id, MODEL_ID_SIZE, "%.*s", MODEL_ID_SIZE - 1, hex);
    } else {
        whole = false;
    }
    free(text);
    return whole ? 0 : CVM_ENOMEM;
}

static int write_all(int fd, const unsigned char *at, size_t n)
{
    while (n) {
        ssize_t done = write(fd, at, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return -1;
        at += done;
        n -= (size_t)done;
    }
    return 0;
}

/* Under another name first: a model that is there is whole. */
static int store(struct trainer *t, const char *path)
{
    struct model_header *h = (void *)t->image;
    char *temporary = NULL;
    h->sum = model_sum(t->image + sizeof *h, t->image_bytes - sizeof *h);
    h->header_sum = model_sum(h, sizeof *h);
    if (asprintf(&temporary, "%s.%ld.tmp", path, (long)getpid()) < 0)
        return CVM_ENOMEM;
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644), error = 0;
    if (fd < 0 || write_all(fd, t->image, t->image_bytes) < 0 || fdatasync(fd) < 0)
        error = CVM_EIO;
    if (fd >= 0 && close(fd) < 0)
        error = CVM_EIO;
    if (!error && rename(temporary, path) < 0)
        error = CVM_EIO;
    if (error) {
        snprintf(t->ret_error, t->error_size, "%s: %s", path, strerror(errno));
        if (fd >= 0)
            unlink(temporary);
    }
    free(temporary);
    return error;
}

static int check(struct trainer *t)
{
    const struct examples *e = t->e;
    if (!e->n || !e->n_heads)
        return wrong(t, CVM_EINVAL, "there is no example to train on");
    for (size_t h = 0; h < e->n_heads; h++) {
        size_t n = 0;
        for (size_t i = 0; i < e->n; i++)
            n += e->labels[i * e->n_heads + h] >= 0;
        if (e->heads[h].n_labels < 2) {
            snprintf(t->ret_error, t->error_size, "head \"%.80s\": expected examples of two labels or more, got %zu",
                     e->heads[h].name, e->heads[h].n_labels);
            return CVM_EINVAL;
        }
        size_t functions = e->heads[h].n_labels == 2 ? 1 : e->heads[h].n_labels;
        t->steps += (double)(n * functions) * (2 * scored_folds(n) + (double)FOLDS / (FOLDS - 1));
    }
    return 0;
}

int model_train(const struct examples *e, const struct model_training *how, const char *path, char *ret_error,
                size_t error_size)
{
    struct trainer t = {.e = e, .how = how, .ret_error = ret_error, .error_size = error_size};
    if (error_size)
        *ret_error = 0;
    pthread_mutex_lock(&one_at_a_time);
    int error = check(&t);
    if (!error && !(t.linear = linear_lib()))
        error = wrong(&t, CVM_ENOENT, "liblinear.so.4 is not there; install the package liblinear4");
    if (!error)
        error = count_all(&t);
    if (!error)
        error = make_image(&t);
    if (!error)
        error = make_vectors(&t);
    for (size_t h = 0; h < e->n_heads && !error; h++)
        error = train_head(&t, h);
    if (!error)
        error = store(&t, path);
    pthread_mutex_unlock(&one_at_a_time);
    if (error && error_size && !*ret_error)
        snprintf(ret_error, error_size, "%s", cvm_strerror(error));
    for (size_t i = 0; t.x && i < e->n; i++)
        free(t.x[i]);
    free(t.x);
    free(t.vocabulary);
    free(t.image);
    return error;
}
