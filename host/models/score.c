/* What a model answers to a text. The hot path: look-ups first, with what they will need fetched ahead, then sums. */
#include "models/model_file.h"

#include <cvm/cvm.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AHEAD 12
#define STACK_ROOM 1024

const float model_block_weight[FEATURES_BLOCKS] = {1.0f, 1.0f, 0.3f, 1.0f};

float model_tf(unsigned times)
{
    static const float known[8] = {0, 1, 1.693147f, 2.098612f, 2.386294f, 2.609438f, 2.791759f, 2.945910f};
    return times < 8 ? known[times] : 1.0f + logf((float)times);
}

/* The rows of hashes, each once. `seen`: zeros, a power of two of them, twice as many as hashes. Gives their number. */
static size_t find_rows(const struct model *m, const uint32_t *hash, size_t n, struct model_hit *hits, uint16_t *seen,
                        size_t seen_mask)
{
    size_t n_hits = 0;
    for (size_t i = 0; i < n; i++) {
        if (i + AHEAD < n)
            __builtin_prefetch(&m->table[hash[i + AHEAD] & m->mask]);
        uint32_t row = model_row(m, hash[i]);
        if (row == UINT32_MAX)
            continue;
        size_t at = hash[i] * 0x9E3779B1u >> 7 & seen_mask;
        while (seen[at] && hits[seen[at] - 1].row != row)
            at = (at + 1) & seen_mask;
        if (seen[at]) {
            hits[seen[at] - 1].times++;
            continue;
        }
        const float *weights = m->rows + (size_t)row * m->header->stride;
        __builtin_prefetch(weights);
        __builtin_prefetch(weights + 16);
        __builtin_prefetch(weights + 32);
        hits[n_hits] = (struct model_hit){row, 1};
        seen[at] = (uint16_t)++n_hits;
    }
    return n_hits;
}

size_t model_hits(const struct model *m, const struct features *f, size_t block, struct model_hit *hits, uint16_t *seen,
                  size_t n_seen)
{
    size_t from = block ? f->end[block - 1] : 0;
    memset(seen, 0, n_seen * sizeof *seen);
    return find_rows(m, f->hash + from, f->end[block] - from, hits, seen, n_seen - 1);
}

/* Adds the block's rows, scaled to its share of length 1, to `sum` (stride floats). */
static void add_block(const struct model *m, const struct model_hit *hits, size_t n, float share, model_lane *block,
                      model_lane *sum)
{
    size_t lanes = m->header->stride / MODEL_LANES;
    float square = 0;
    memset(block, 0, lanes * sizeof *block);
    for (size_t i = 0; i < n; i++) {
        const model_lane *row = (const model_lane *)(const void *)(m->rows + (size_t)hits[i].row * m->header->stride);
        float tf = model_tf(hits[i].times), value = tf * ((const float *)row)[0];
        square += value * value;
        for (size_t j = 0; j < lanes; j++)
            block[j] += row[j] * tf;
    }
    if (square <= 0)
        return;
    float scale = share / sqrtf(square);
    for (size_t j = 0; j < lanes; j++)
        sum[j] += block[j] * scale;
}

static void add_all(const struct model *m, const struct features *f, struct model_hit *hits, uint16_t *seen,
                    size_t n_seen, float *ret_scores)
{
    model_lane block[MODEL_OUTPUTS / MODEL_LANES + 2], sum[MODEL_OUTPUTS / MODEL_LANES + 2];
    memset(sum, 0, m->header->stride * sizeof(float));
    for (size_t b = 0; b < FEATURES_BLOCKS; b++) {
        size_t n = model_hits(m, f, b, hits, seen, n_seen);
        add_block(m, hits, n, model_block_weight[b], block, sum);
    }
    for (size_t i = 0; i < m->header->n_outputs; i++)
        ret_scores[i] = ((const float *)sum)[i + 1] + m->outputs[i].bias;
}

int model_scores(const struct model *m, const char *text, float *ret_scores)
{
    struct features f;
    struct model_hit few[STACK_ROOM], *hits = few;
    uint16_t few_seen[STACK_ROOM * 2], *seen = few_seen;
    size_t n_seen = 64;
    CVM_TRY(features_init(&f, text, false));
    while (n_seen < f.n * 2)
        n_seen *= 2;
    if (n_seen > STACK_ROOM * 2) {
        hits = malloc(n_seen * (sizeof *hits + sizeof *seen));
        seen = hits ? (void *)(hits + n_seen) : NULL;
    }
    if (hits)
        add_all(m, &f, hits, seen, n_seen, ret_scores);
    features_fini(&f);
    if (hits != few)
        free(hits);
    return hits ? 0 : CVM_ENOMEM;
}

void model_probabilities(const struct model *m, size_t head, const float *scores, double *ret_probabilities)
{
    const struct model_head_entry *h = &m->heads[head];
    double most = -INFINITY, sum = 0;
    for (uint32_t i = 0; i < h->n; i++) {
        ret_probabilities[i] = (double)(scores[h->first + i] * h->temperature);
        most = ret_probabilities[i] > most ? ret_probabilities[i] : most;
    }
    for (uint32_t i = 0; i < h->n; i++) {
        ret_probabilities[i] = exp(ret_probabilities[i] - most);
        sum += ret_probabilities[i];
    }
    for (uint32_t i = 0; i < h->n; i++)
        ret_probabilities[i] /= sum;
}

/* The best outputs of a head, best first; of equals the first. */
static size_t best_of(const struct model *m, size_t head, const float *scores, struct model_answer best[MODEL_BEST])
{
    const struct model_head_entry *h = &m->heads[head];
    const float *own = scores + h->first;
    size_t n = 0;
    for (uint32_t i = 0; i < h->n; i++) {
        if (n == MODEL_BEST && own[best[n - 1].label] >= own[i])
            continue;
        size_t at = n < MODEL_BEST ? n++ : n - 1;
        for (; at && own[best[at - 1].label] < own[i]; at--)
            best[at] = best[at - 1];
        best[at].label = (uint16_t)i;
    }
    double sum = 0;
    float most = own[best[0].label];
    for (uint32_t i = 0; i < h->n; i++)
        sum += (double)expf((own[i] - most) * h->temperature);
    for (size_t i = 0; i < n; i++)
        best[i].probability = (double)expf((own[best[i].label] - most) * h->temperature) / sum;
    return n;
}

int model_best(const struct model *m, const char *text, struct model_answer (*ret_best)[MODEL_BEST])
{
    float scores[MODEL_OUTPUTS];
    CVM_TRY(model_scores(m, text, scores));
    for (size_t h = 0; h < m->header->n_heads; h++)
        best_of(m, h, scores, ret_best[h]);
    return 0;
}

int model_classify(const struct model *m, const char *text, json_t **ret_json)
{
    struct model_answer best[EXAMPLES_HEADS][MODEL_BEST];
    CVM_TRY(model_best(m, text, best));
    json_t *all = json_object();
    for (size_t h = 0; h < m->header->n_heads; h++) {
        json_t *list = json_array();
        for (size_t i = 0; i < MODEL_BEST && i < m->heads[h].n; i++) {
            double rounded = round(best[h][i].probability * 10000) / 10000;
            json_array_append_new(list, json_pack("[s, f]", model_label(m, h, best[h][i].label), rounded));
        }
        if (json_object_set_new(all, model_head(m, h), list) < 0 ||
            json_array_size(list) < (m->heads[h].n < MODEL_BEST ? m->heads[h].n : MODEL_BEST)) {
            json_decref(all);
            return CVM_ENOMEM;
        }
    }
    *ret_json = all;
    return 0;
}
