/* Holds an answer against the JSON Schema it was asked for with. Known is what structured answers of models know: type,
 * enum, const, properties, required, additionalProperties, items, anyOf, bounds and lengths, $ref to "#/$defs/..".
 * Pure; any thread. */
#ifndef PROVIDER_LLM_CHECK_H
#define PROVIDER_LLM_CHECK_H

#include <cvm/json.h>

#define CHECK_TEXT_SIZE 256

/* Whether it fits; else `ret_text` says where and what, without a word of the value itself. */
bool check_value(const json_t *schema, const json_t *value, char ret_text[CHECK_TEXT_SIZE]);
/* Whether a server may be asked to keep to it strictly: every object closed, each of its members required. */
bool check_is_strict(const json_t *schema);

#endif
