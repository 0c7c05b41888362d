/* Operations as data: what a client needs to offer them as commands, to describe them and to type their arguments.
 * The same description is made from a running host's registry and from a manifest file. Pure. */
#ifndef HOST_SERVICES_CATALOGUE_H
#define HOST_SERVICES_CATALOGUE_H

#include "core/registry.h"

/* Adds an operation and, once for each plugin, its document to {"operations": [..], "documents": {plugin: ..}}.
 *
 * An operation: {"plugin","component","alias","kind","type","description","durable","raw","timeout_ms","request",
 * "response","expose"}; members the manifest does not have are missing. "expose" is {"cli","help","args","required",
 * "method","path","success","refused","rename","columns","rows","permission"}. Schemas are shared, as written: "$ref"
 * points into the document.
 *
 * A document, above all what "$ref"s point to: {"version","description","schemas": {..}}. */
int catalogue_add(json_t *catalogue, const struct operation *operation);
json_t *catalogue_new(void);

/* Adds every operation of a manifest. */
int catalogue_add_manifest(json_t *catalogue, const struct manifest *manifest);

/* The value at a dotted path of a configuration; names of members may have dots in them ("agents.a.b.settings").
 * Borrowed; NULL: none. */
const json_t *catalogue_setting(const json_t *config, const char *path);

#endif
