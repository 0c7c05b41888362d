/* A trained text model: a file, mapped, and what it answers. Several heads, one linear function per label over the same
 * features (features.h), and for each head a temperature that makes its scores probabilities.
 *
 * The file, little endian, sizes in bytes:
 *   header   struct model_header (model_file.h), 256
 *   outputs  per label: float bias, uint32 where its text begins; then the heads; then the texts, each with its NUL
 *   table    2^table_bits slots of uint32 hash, uint32 row + 1 (0: free), linear probing
 *   rows     per feature `stride` floats: idf, then the weight of each output times idf; 0 to fill up
 * A model is never changed: another one is another file. Read by any number of threads. */
#ifndef HOST_MODELS_MODEL_H
#define HOST_MODELS_MODEL_H

#include "models/examples.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MODEL_TRAINER 6 /* a change to features, training or the file is another number */
#define MODEL_ID_SIZE 33
#define MODEL_OUTPUTS 2048 /* labels of all heads */
#define MODEL_BEST 3       /* of each head, in an answer */
#define MODEL_EXPLAINED 64

struct model;

/* Maps the file and checks all of it. On error a sentence: CVM_ENOENT, CVM_EDATA (damaged, or of another trainer),
 * CVM_ELIMIT (over `max_bytes`), CVM_EIO. Gives *ret_model. */
int model_open(const char *path, size_t max_bytes, struct model **ret_model, char *ret_error, size_t error_size);
/* `seen`: this very file was opened before and found sound, which takes reading all of it. */
int model_open_seen(const char *path, size_t max_bytes, bool seen, struct model **ret_model, char *ret_error,
                    size_t error_size);
struct model *model_ref(struct model *m);
void model_unref(struct model *m); /* NULL is none */

const char *model_id(const struct model *m); /* 32 digits: a hash over examples, heads and trainer */
size_t model_examples(const struct model *m);
size_t model_bytes(const struct model *m);
size_t model_features(const struct model *m);
size_t model_heads(const struct model *m);
const char *model_head(const struct model *m, size_t head);
double model_temperature(const struct model *m, size_t head);
size_t model_labels(const struct model *m, size_t head);
const char *model_label(const struct model *m, size_t head, size_t label);
size_t model_first(const struct model *m, size_t head); /* its first output: index into scores */
size_t model_outputs(const struct model *m);

/* The score of every output into ret_scores[model_outputs]. CVM_ENOMEM. */
int model_scores(const struct model *m, const char *text, float *ret_scores) __attribute__((warn_unused_result));
/* Scores of a head as probabilities. */
void model_probabilities(const struct model *m, size_t head, const float *scores, double *ret_probabilities);
/* {"head": [["label", .93], ..], ..}, the best three of each, four decimals. Gives *ret_json. CVM_ENOMEM. */
int model_classify(const struct model *m, const char *text, json_t **ret_json) __attribute__((warn_unused_result));
/* The same into the caller's memory: for what must be fast, or may not fail. */
struct model_answer {
    uint16_t label;
    double probability;
};
int model_best(const struct model *m, const char *text, struct model_answer (*ret_best)[MODEL_BEST])
    __attribute__((warn_unused_result));

/* ---- why ---- */

struct model_reason {
    char feature[96];
    unsigned times;
    double weight; /* what it adds to the score */
};
struct model_explanation {
    double score, bias, rest; /* score = bias + all reasons + rest */
    size_t n;
    struct model_reason reasons[MODEL_EXPLAINED]; /* the strongest, either way */
    double unseen;                                /* the part of the text's features that the model does not know */
};
/* Why `output` scores what it does; at most `most` reasons. CVM_ENOMEM. */
int model_explain(const struct model *m, const char *text, size_t output, size_t most,
                  struct model_explanation *ret_explanation) __attribute__((warn_unused_result));

/* ---- training ---- */

struct model_training {
    size_t max_bytes;                         /* of the file; rare features are left out to keep it */
    bool (*progress)(void *arg, double done); /* 0..1; false: stop (CVM_ESTATE); NULL: none */
    void *arg;
    const char *id; /* of the model; NULL: model_id_of() */
};

/* The id that a model of these examples has. Labels must be sorted. CVM_ENOMEM. */
int model_id_of(const struct examples *e, char ret_id[MODEL_ID_SIZE]) __attribute__((warn_unused_result));
/* Trains on sorted examples and writes the file: whole or not at all. Takes seconds; one training at a time runs in a
 * process. The same examples make the same bytes. CVM_EINVAL: a head has fewer than two labels (ret_error);
 * CVM_ENOENT: liblinear is not there; CVM_ESTATE: stopped. */
int model_train(const struct examples *e, const struct model_training *how, const char *path, char *ret_error,
                size_t error_size);

#endif
