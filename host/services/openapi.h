/* The description of all routes for clients: an OpenAPI 3.1 document, made from the declarations of the operations.
 * Knows no HTTP library and no core but the registry's list. Pure. */
#ifndef HOST_SERVICES_OPENAPI_H
#define HOST_SERVICES_OPENAPI_H

#include "core/registry.h"

#define OPENAPI_PATH "/api/v1/openapi.json"
#define OPENAPI_PATH_SHORT "/openapi.json"
#define OPENAPI_SECURITY "token" /* name of the security scheme */

struct openapi_options {
    const char *version; /* of the interface: http.api_version, else of the host */
    const char *title;   /* http.api_title; NULL: "cvmhost" */
    bool guarded;        /* tokens are asked for: see access.h */
};

/* Of a catalogue (catalogue.h), which may be a running host's or made from files. Gives a new object. */
json_t *openapi_of_catalogue(const json_t *catalogue, const struct openapi_options *options);
/* Of the operations that are loaded. Gives a new object. */
json_t *openapi_of_operations(const struct operation *operations, size_t n, const struct openapi_options *options);

#endif
