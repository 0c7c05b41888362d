/* Personal data in what is sent out: numbers of ten digits and more (phones, meters, tokens, cards), e-mail addresses
 * and the names that the caller gives are exchanged for marks such as [NUMBER_1], and put back in what comes. The same
 * value has the same mark within one call. Pure; any thread. */
#ifndef PROVIDER_LLM_MASK_H
#define PROVIDER_LLM_MASK_H

#include <cvm/json.h>

#define MASK_VALUES_MAX 64 /* in one call; what is more is struck out and cannot be put back */

/* Gives the text with marks, NULL without memory (free() it). `map` is an object {mark: value} that grows; `names` an
 * array of strings, may be NULL. */
char *mask_text(const char *text, const json_t *names, json_t *map);
/* Gives the text with its values back; free() it. */
char *unmask_text(const char *text, const json_t *map);
/* The same for every string in a value (not for names of members). New values; NULL without memory. */
json_t *mask_json(const json_t *value, const json_t *names, json_t *map);
json_t *unmask_json(const json_t *value, const json_t *map);

#endif
