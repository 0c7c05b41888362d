/* The operator's configuration: config/cvmhost.json in the home, checked against the schema of the host's own
 * settings, plus the secrets (.env, environment, protected file). Read at the start and anew at a reload; loop thread.
 */
#ifndef HOST_CORE_CONFIG_H
#define HOST_CORE_CONFIG_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

struct config;

/* Reads HOME/config/cvmhost.json (or `file` if not NULL), HOME/.env and the secrets file the configuration names
 * ("secrets.file", refused unless its mode is 0600 or 0400). A missing cvmhost.json is an empty one. Returns 0, or
 * CVM_EINVAL / CVM_EIO with a sentence that names file and setting in `ret_error`. */
int config_load(const char *home, const char *file, struct config **ret_config, char *ret_error, size_t error_size);
void config_free(struct config *config);

/* Takes what `fresh` has read in place of its own, and frees it. What was borrowed before is not valid any more. */
void config_adopt(struct config *config, struct config *fresh);

/* Another number after each time that config_adopt has changed what is in it. */
uint64_t config_version(const struct config *config);

/* One for recorded turns to be run again: of `settings`, over the defaults, and `secrets`, an object of strings;
 * neither a file nor the environment is looked at. Takes neither. */
int config_recorded(const json_t *settings, const json_t *secrets, struct config **ret_config);

/* As if "plugins.inline" were ["*"]: for a developer's own run. */
void config_trust_all(struct config *config);
/* Gives a configuration that was read anew what was said for this run alone. */
void config_inherit(struct config *config, const struct config *from);

/* A setting by dotted path ("http.port"); the default of the built-in schema where the file has none. Borrowed; NULL
 * where neither has it. Names with dots in them are found too ("agents.area.name.concurrency"). LOG_LEVEL of the
 * environment or .env, where it names a level, stands in for "host.log_level". */
const json_t *config_get(const struct config *config, const char *path);
int64_t config_int(const struct config *config, const char *path, int64_t otherwise);
const char *config_str(const struct config *config, const char *path, const char *otherwise);
int config_bool(const struct config *config, const char *path, int otherwise);

/* Settings of one component: `defaults` (the manifest's), over those what the section of its area (the id's first part)
 * says of settings that are among them, over that the member "agents.<id>" of the file ("settings" inside it). Gives a
 * new object. */
json_t *config_component_settings(const struct config *config, const char *component_id, const json_t *defaults);

/* The sections of areas, by area; and the one for a component, NULL where there is none. Borrowed. */
const json_t *config_areas(const struct config *config);
const json_t *config_area(const struct config *config, const char *component_id);

/* A secret by name: real environment, then .env, then the secrets file; an empty value counts as not set. Borrowed;
 * NULL: not set. */
const char *config_secret(const struct config *config, const char *name);

/* Everything, defaults filled in; under "secrets.names" the secrets of .env and the file, each "set" or "not set",
 * never a value. Gives a new object. */
json_t *config_show(const struct config *config);

#endif
