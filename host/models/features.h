/* A text as hashed features: words and pairs of words (side by side, and one apart), character n-grams across the whole
 * text, its shape. Training, answering and explaining all see a text through here, so a change to it is a new trainer
 * (MODEL_TRAINER). Knows no language: letters are folded, numbers become their number of digits. Pure; any thread. */
#ifndef HOST_MODELS_FEATURES_H
#define HOST_MODELS_FEATURES_H

#include <stddef.h>
#include <stdint.h>

#define FEATURES_TEXT_SYMBOLS 2000 /* what lies behind them is not read */
#define FEATURES_NOTES_MAX 256

/* Behind the text may stand notes (cvm_noted_text). A note is a feature as it is, whole. */

/* Each block is weighed and given length 1 by itself: a long text has many n-grams but one shape. */
enum features_block { FEATURES_WORDS, FEATURES_CHARS, FEATURES_SHAPE, FEATURES_NOTED, FEATURES_BLOCKS };

struct feature_place {
    uint16_t from, to; /* symbols; both 0 for those of the shape, whose name is `shape`; of a note: bytes of `notes` */
    uint16_t first_end, second; /* pair of words: where the first ends and the second begins; else 0 */
    uint16_t apart;             /* whether one word stands between the two */
    uint16_t shape;
};

struct features {
    size_t n_symbols, n;
    size_t end[FEATURES_BLOCKS]; /* in `hash`: a block begins where the one before ends */
    uint32_t *symbols;           /* the normalised text, a space at each end */
    uint32_t *hash;              /* as often as the feature occurs */
    struct feature_place *place; /* NULL unless asked for */
    const char *notes;           /* in the text; "" where there are none */
    void *memory;
};

/* Borrows `text` (UTF-8; what is not is skipped). CVM_ENOMEM. Filled features end with features_fini. */
int features_init(struct features *f, const char *text, int with_places) __attribute__((warn_unused_result));
void features_fini(struct features *f);

/* The feature in words, for people: "arrive", "my card", "not .. yet", "~arri~", "[!: 2]". At most `size` bytes. */
void features_name(const struct features *f, size_t i, char *ret_text, size_t size);

#endif
