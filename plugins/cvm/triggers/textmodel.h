/* What a text is about, by its words: one linear function per topic over hashed words, pairs, pieces, cues and fields
 * of meaning (a word never seen before is known by its field), trained by dual coordinate descent (L2-regularised
 * squared hinge; Hsieh et al. 2008). Pure; any thread. */
#ifndef TRIGGERS_TEXTMODEL_H
#define TRIGGERS_TEXTMODEL_H

#include "reader.h"

#define TEXTMODEL_BITS 18
#define TEXTMODEL_BLOCKS 5          /* kinds of features, each brought to a length of its own */
#define TEXTMODEL_FEATURES_MAX 8192 /* of a text */

struct feature {
    uint32_t id;
    float value;
};

struct features { /* collected by textmodel_note as a text is read */
    const struct phrases *phrases;
    size_t n;
    size_t block[TEXTMODEL_BLOCKS]; /* where each block ends, set by textmodel_close */
    uint32_t ids[TEXTMODEL_BLOCKS][TEXTMODEL_FEATURES_MAX];
    size_t count[TEXTMODEL_BLOCKS];
    struct feature feature[TEXTMODEL_BLOCKS * TEXTMODEL_FEATURES_MAX];
};

struct textmodel;

void textmodel_open(struct features *f, const struct phrases *phrases);
reader_note textmodel_note; /* arg: struct features */

/* Rows of features as they are kept for training. */
struct textrow {
    size_t n;
    struct feature *feature;
    uint8_t fold;
    bool label[TOPICS];
};
int textrow_take(struct features *f, struct textrow *ret_row); /* CVM_ENOMEM */
void textrow_fini(struct textrow *row);

/* Trains on the rows whose fold is not `without` (255: on all). Gives *ret_model. CVM_ENOMEM. */
int textmodel_train(const struct textrow *rows, size_t n, uint8_t without, struct textmodel **ret_model);
void textmodel_free(struct textmodel *m);
void textmodel_scores(const struct textmodel *m, const struct textrow *row, double ret_scores[TOPICS]);

#endif
