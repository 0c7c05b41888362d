/* The layout of a model's file; see model.h. For the trainer, which writes it, and the reader. */
#ifndef HOST_MODELS_MODEL_FILE_H
#define HOST_MODELS_MODEL_FILE_H

#include "models/features.h"
#include "models/model.h"

#define MODEL_MAGIC "CVMMODEL"
#define MODEL_BYTE_ORDER 0x01020304u
#define MODEL_LANES 4 /* floats of one vector: rows are a multiple of it */

struct model_header {
    char magic[8];
    uint32_t byte_order, trainer;
    uint64_t bytes;           /* of the file */
    uint64_t sum, header_sum; /* of what follows the header; of the header with header_sum 0 */
    char id[40];
    uint32_t n_examples, n_heads, n_outputs, stride, n_rows, table_bits;
    uint64_t heads_at, texts_at, table_at, rows_at; /* outputs follow the header */
    uint8_t zero[120];
};
_Static_assert(sizeof(struct model_header) == 256, "the header is 256 bytes");

struct model_output {
    float bias;
    uint32_t text; /* from texts_at */
};

struct model_head_entry {
    uint32_t text, first, n;
    float temperature; /* probabilities are softmax(score * temperature) */
};

struct model_slot {
    uint32_t hash, row; /* row + 1; 0: free */
};

typedef float model_lane __attribute__((vector_size(sizeof(float) * MODEL_LANES)));

struct model {
    int refs;
    const struct model_header *header;
    const struct model_output *outputs;
    const struct model_head_entry *heads;
    const char *texts;
    const struct model_slot *table;
    const float *rows;
    uint32_t mask;
};

/* How much each block counts: its share of a vector of length 1. */
extern const float model_block_weight[FEATURES_BLOCKS];

uint64_t model_sum(const void *bytes, size_t n);

/* The row of a hash; UINT32_MAX: the model does not know it. */
static inline uint32_t model_row(const struct model *m, uint32_t hash)
{
    for (uint32_t i = hash & m->mask;; i = (i + 1) & m->mask) {
        if (!m->table[i].row)
            return UINT32_MAX;
        if (m->table[i].hash == hash)
            return m->table[i].row - 1;
    }
}

struct model_hit {
    uint32_t row, times;
};

/* The rows of a block of a text's features, each once: `hits` and `seen` have room for n_seen of them, a power of two
 * and twice the number of features or more. Gives their number. */
size_t model_hits(const struct model *m, const struct features *f, size_t block, struct model_hit *hits, uint16_t *seen,
                  size_t n_seen);

/* How often a feature occurs, dampened. */
float model_tf(unsigned times);

#endif
