/* See textmodel.h. */
#include "textmodel.h"
#include <cvm/cvm.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS (1u << TEXTMODEL_BITS)
#define ROUNDS 30
#define COST .3
#define FIELD_SPAN 6 /* words between two fields that are a pair */

enum block { WORDS, PIECES, CUES, OTHER_SIDE, FIELDS };
/* Found by cross-validation on the labelled histories, in blocks of ten that were written together. */
static const float block_weight[TEXTMODEL_BLOCKS] = {1.0f, .6f, .4f, .8f, .4f};

struct textmodel {
    float idf[BUCKETS];
    float weight[TOPICS][BUCKETS];
    float bias[TOPICS];
};

static uint32_t hash(uint32_t h, const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++)
        h = (h ^ (unsigned char)s[i]) * 16777619u;
    return h;
}

static void put(struct features *f, size_t block, uint32_t h)
{
    h ^= h >> 15;
    h *= 2246822519u;
    h ^= h >> 13;
    if (f->count[block] < TEXTMODEL_FEATURES_MAX)
        f->ids[block][f->count[block]++] = h & (BUCKETS - 1);
}

void textmodel_open(struct features *f, const struct phrases *phrases)
{
    f->phrases = phrases;
    memset(f->count, 0, sizeof f->count);
}

static void pieces(struct features *f, const struct word *w)
{
    char padded[WORDS_BYTES_MAX + 3];
    size_t len = (size_t)w->len + 2;
    padded[0] = '_';
    memcpy(padded + 1, w->folded, w->len);
    padded[len - 1] = '_';
    for (size_t n = 4; n <= 5; n++)
        for (size_t i = 0; i + n <= len; i++)
            put(f, PIECES, hash(7u + (uint32_t)n, padded + i, n));
}

/* Fields of meaning, and which follows which within a sentence. */
static void fields(struct features *f, bool agent, const struct words *w, const struct words_match *m, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const char *a = phrases_label(f->phrases, m[i].label), *b;
        if (strncmp(a, READER_FIELD, strlen(READER_FIELD)) != 0)
            continue;
        uint32_t first = hash(agent ? 201 : 200, a, strlen(a));
        put(f, FIELDS, first);
        for (size_t k = i + 1; k < n && m[k].from <= m[i].from + FIELD_SPAN; k++) {
            b = phrases_label(f->phrases, m[k].label);
            if (m[k].from != m[i].from && w->word[m[k].from].sentence == w->word[m[i].from].sentence &&
                !strncmp(b, READER_FIELD, strlen(READER_FIELD)))
                put(f, FIELDS, hash(first * 31 + 77, b, strlen(b)));
        }
    }
}

void textmodel_note(void *arg, bool agent, const struct words *w, const struct words_match *m, size_t n)
{
    struct features *f = arg;
    enum block own = agent ? OTHER_SIDE : WORDS;
    for (size_t i = 0; i < w->n; i++) {
        const struct word *x = &w->word[i];
        put(f, own, hash(agent ? 31 : 1, x->folded, x->len));
        if (i && w->word[i - 1].sentence == x->sentence)
            put(f, own, hash(hash(agent ? 37 : 3, w->word[i - 1].folded, w->word[i - 1].len) * 31, x->folded, x->len));
        if (!agent)
            pieces(f, x);
    }
    fields(f, agent, w, m, n);
    for (size_t i = 0; i < n; i++) {
        const char *label = phrases_label(f->phrases, m[i].label);
        put(f, CUES, hash(agent ? 41 : 43, label, strlen(label)));
        if (!agent)
            put(f, CUES,
                hash(47, phrases_text(f->phrases, m[i].phrase), strlen(phrases_text(f->phrases, m[i].phrase))));
    }
}

static int by_id(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

int textrow_take(struct features *f, struct textrow *ret_row)
{
    size_t n = 0;
    for (size_t b = 0; b < TEXTMODEL_BLOCKS; b++) {
        qsort(f->ids[b], f->count[b], sizeof *f->ids[b], by_id);
        size_t from = n;
        for (size_t i = 0; i < f->count[b];) {
            size_t j = i;
            while (j < f->count[b] && f->ids[b][j] == f->ids[b][i])
                j++;
            f->feature[n++] = (struct feature){f->ids[b][i], (float)(1 + log((double)(j - i)))};
            i = j;
        }
        f->block[b] = n;
        (void)from;
    }
    struct feature *kept = malloc((n ? n : 1) * sizeof *kept + sizeof f->block);
    if (!kept)
        return CVM_ENOMEM;
    memcpy(kept, f->feature, n * sizeof *kept);
    memcpy(kept + n, f->block, sizeof f->block);
    ret_row->n = n;
    ret_row->feature = kept;
    return 0;
}

void textrow_fini(struct textrow *row)
{
    free(row->feature);
    row->feature = NULL;
}

/* The row's values weighed by idf, each block brought to its length. */
static void weigh(const struct textmodel *m, const struct textrow *row, float *ret_value)
{
    size_t block[TEXTMODEL_BLOCKS], from = 0;
    memcpy(block, row->feature + row->n, sizeof block);
    for (size_t b = 0; b < TEXTMODEL_BLOCKS; b++) {
        double sum = 0;
        for (size_t i = from; i < block[b]; i++) {
            ret_value[i] = row->feature[i].value * m->idf[row->feature[i].id];
            sum += (double)ret_value[i] * ret_value[i];
        }
        float scale = sum > 0 ? block_weight[b] / (float)sqrt(sum) : 0;
        for (size_t i = from; i < block[b]; i++)
            ret_value[i] *= scale;
        from = block[b];
    }
}

static void count_idf(struct textmodel *m, const struct textrow *rows, size_t n, uint8_t without)
{
    double used = 0;
    for (size_t r = 0; r < n; r++) {
        if (rows[r].fold == without)
            continue;
        used++;
        for (size_t i = 0; i < rows[r].n; i++)
            m->idf[rows[r].feature[i].id]++;
    }
    for (size_t i = 0; i < BUCKETS; i++) /* what one text alone has says nothing of others */
        m->idf[i] = m->idf[i] < 2 ? 0 : (float)log((1 + used) / m->idf[i]);
}

/* One topic. The order of rows is shuffled by a fixed generator: the same rows give the same model. */
static void train_topic(struct textmodel *m, const struct textrow *rows, float *const *values, size_t n,
                        uint8_t without, size_t topic, double *alpha, size_t *order)
{
    uint64_t seed = 88172645463325252u;
    double positive = 0, used = 0, bias = 0;
    float *w = m->weight[topic];
    for (size_t r = 0; r < n; r++) {
        alpha[r] = 0;
        order[r] = r;
        positive += rows[r].fold != without && rows[r].label[topic];
        used += rows[r].fold != without;
    }
    double up = positive > 0 ? sqrt((used - positive) / positive) : 1;
    for (size_t round = 0; round < ROUNDS; round++) {
        for (size_t i = n; i > 1; i--) {
            seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
            size_t j = seed % i, t = order[i - 1];
            order[i - 1] = order[j];
            order[j] = t;
        }
        for (size_t o = 0; o < n; o++) {
            const struct textrow *row = &rows[order[o]];
            const float *v = values[order[o]];
            if (row->fold == without)
                continue;
            double y = row->label[topic] ? 1 : -1, z = bias, q = 1;
            double soft = .5 / (COST * (y > 0 ? up : 1)), *a = &alpha[order[o]];
            for (size_t i = 0; i < row->n; i++) {
                z += (double)w[row->feature[i].id] * v[i];
                q += (double)v[i] * v[i];
            }
            double g = y * z - 1 + *a * soft, next = fmax(*a - g / (q + soft), 0), step = (next - *a) * y;
            *a = next;
            for (size_t i = 0; i < row->n; i++)
                w[row->feature[i].id] += (float)(step * v[i]);
            bias += step;
        }
    }
    m->bias[topic] = (float)bias;
}

int textmodel_train(const struct textrow *rows, size_t n, uint8_t without, struct textmodel **ret_model)
{
    struct textmodel *m = calloc(1, sizeof *m);
    float **values = calloc(n ? n : 1, sizeof *values);
    double *alpha = calloc(n ? n : 1, sizeof *alpha);
    size_t *order = calloc(n ? n : 1, sizeof *order);
    int e = m && values && alpha && order ? 0 : CVM_ENOMEM;
    if (e == 0)
        count_idf(m, rows, n, without);
    for (size_t r = 0; e == 0 && r < n; r++) {
        values[r] = malloc((rows[r].n ? rows[r].n : 1) * sizeof **values);
        if (!values[r])
            e = CVM_ENOMEM;
        else
            weigh(m, &rows[r], values[r]);
    }
    for (size_t t = 0; e == 0 && t < TOPICS; t++)
        train_topic(m, rows, values, n, without, t, alpha, order);
    for (size_t r = 0; values && r < n; r++)
        free(values[r]);
    free(values);
    free(alpha);
    free(order);
    if (e < 0) {
        free(m);
        return e;
    }
    *ret_model = m;
    return 0;
}

void textmodel_free(struct textmodel *m)
{
    free(m);
}

void textmodel_scores(const struct textmodel *m, const struct textrow *row, double ret_scores[TOPICS])
{
    float *v = malloc((row->n ? row->n : 1) * sizeof *v);
    for (size_t t = 0; t < TOPICS; t++)
        ret_scores[t] = m->bias[t];
    if (!v)
        return;
    weigh(m, row, v);
    for (size_t t = 0; t < TOPICS; t++)
        for (size_t i = 0; i < row->n; i++)
            ret_scores[t] += (double)m->weight[t][row->feature[i].id] * v[i];
    free(v);
}
