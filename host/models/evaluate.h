/* How good a model is: its answers to labelled texts counted, per head. Any thread. */
#ifndef HOST_MODELS_EVALUATE_H
#define HOST_MODELS_EVALUATE_H

#include "models/model.h"

#define EVALUATION_BINS 10
#define EVALUATION_FOLDS_MAX 20

struct evaluation;

/* For heads of these examples. Gives a new one; NULL: out of memory. */
struct evaluation *evaluation_new(const struct examples *e);
void evaluation_free(struct evaluation *v);

/* Asks the model about every text and counts. CVM_EINVAL: it shares no head with the examples (ret_error). */
int evaluation_add(struct evaluation *v, const struct model *m, const struct examples *e, char *ret_error,
                   size_t error_size);
/* Trains on all but one of `folds` parts of the examples, asks about that one, and so through all of them. A text's
 * fold is its place among those of its label in the first head. `folder`: where the models lie meanwhile. */
int evaluation_cross(struct evaluation *v, const struct examples *e, unsigned folds, const struct model_training *how,
                     const char *folder, char *ret_error, size_t error_size);

/* {"heads": [{"head", "examples", "accuracy", "macro_f1", "weighted_f1", "calibration_error", "labels": [{"label",
 * "examples", "precision", "recall", "f1"}], "confused": [{"expected", "got", "times"}], "calibration": [{"from", "to",
 * "examples", "said", "right"}]}]}. Gives a new object; NULL: out of memory. */
json_t *evaluation_json(const struct evaluation *v);

#endif
