/* The schema of the host's own settings, as JSON text; and what a misspelt setting may have meant. */
#ifndef HOST_CORE_CONFIG_SETTINGS_H
#define HOST_CORE_CONFIG_SETTINGS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

extern const char config_settings[];

/* Looks for a member of `value` that `schema` (config_settings, parsed) does not have. True: found, and `ret_text` says
 * "http.prot: unknown setting; did you mean http.port?". */
bool config_unknown(const json_t *schema, const json_t *value, char *ret_text, size_t size);

/* Whether the top-level member `name` of a file without unknown settings is a section of an area. */
bool config_is_area(const json_t *schema, const char *name);

#endif
