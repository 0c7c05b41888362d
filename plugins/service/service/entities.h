/* What a message names: phone and meter numbers, sums of naira, networks, DISCOs. Read by hand-written scanners over
 * the tokens; see service.md 7 and 12. Pure. Any thread. */
#ifndef SERVICE_ENTITIES_H
#define SERVICE_ENTITIES_H

#include "vocabulary.h"

#define ENTITIES_MAX 20 /* of each kind; more are not kept */

struct entities {
    char phones[ENTITIES_MAX][12]; /* 0XXXXXXXXXX */
    char meters[ENTITIES_MAX][14];
    int64_t amounts[ENTITIES_MAX];                                                    /* kobo */
    uint8_t networks[ENTITIES_MAX], discos[ENTITIES_MAX];                             /* indexes in the vocabulary */
    uint16_t phone_at[ENTITIES_MAX], meter_at[ENTITIES_MAX], amount_at[ENTITIES_MAX]; /* the tokens where they begin */
    size_t n_phones, n_meters, n_amounts, n_networks, n_discos;
    int64_t each_kobo; /* "N3,000 each for 42 teachers": the sum of all; 0: nothing is for each of several */
    bool size_named;   /* "2GB" */
    bool bare_amount;  /* a number alone was taken for a sum */
};

/* `matches` are those of vocabulary_match. */
void entities_read(const struct vocabulary *vocabulary, const struct text *text, const struct vocabulary_match *matches,
                   size_t n_matches, struct entities *ret_entities);

/* As in the classification's answer: {"phone_numbers": [], "meter_numbers": [], "amounts": [naira], ...}. New value. */
json_t *entities_json(const struct vocabulary *vocabulary, const struct entities *entities);

#endif
