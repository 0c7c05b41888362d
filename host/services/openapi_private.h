/* What the two parts of the OpenAPI writer share: openapi.c knows routes, openapi_schema.c schemas. */
#ifndef HOST_SERVICES_OPENAPI_PRIVATE_H
#define HOST_SERVICES_OPENAPI_PRIVATE_H

#include "services/openapi.h"

#define OPENAPI_DEPTH_MAX 64

struct openapi {
    const json_t *catalogue;
    const struct openapi_options *options;
    json_t *paths, *schemas, *tags;
    json_t *shapes;       /* path with its parameters unnamed -> path as written first */
    json_t *ids;          /* operationIds in use */
    json_t *schema_names; /* "plugin name" -> key in `schemas` */
};

/* `text` with only letters, digits and those of `also`, others turned into "_"; "_2" and so on behind it where `taken`
 * has it already. Gives a string for free(). */
char *openapi__key(const char *text, const char *also, const json_t *taken);

/* The schema as it stands in the document: "$ref" leads to components, which are added where they are not there yet.
 * Gives a new value. */
json_t *openapi__schema(struct openapi *o, const char *plugin, const json_t *schema, int depth);

/* Follows "$ref" in the plugin's document. Borrowed; NULL: it leads nowhere. */
const json_t *openapi__resolve(const struct openapi *o, const char *plugin, const json_t *schema);

/* The request as clients write it: names after `rename`, without the members in `except` (an object; those that stand
 * in the path). Gives a new value. */
json_t *openapi__body(struct openapi *o, const json_t *entry, const json_t *except);

/* The client's name of a request member. Borrowed. */
const char *openapi__edge_name(const json_t *rename, const char *member);

#endif
