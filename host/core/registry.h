/* What is loaded: plugins, their components, operations, roles, topics, domains. Owns the manifests and the library
 * handles. Looked up by interned names; changed only between turns. Loop thread. */
#ifndef HOST_CORE_REGISTRY_H
#define HOST_CORE_REGISTRY_H

#include "manifest.h"

struct core;
struct component;
struct registry;

/* An operation as the edges see it. */
struct operation {
    const char *component_id, *alias, *plugin;
    enum manifest_kind kind;
    const struct manifest_operation *decl;
    const json_t *document; /* the whole manifest, for "$ref" in the schemas as written */
};

/* A page as the listener sees it. */
struct registry_page {
    const char *plugin;
    const struct manifest_page *decl;
};

struct registry_stream {
    const char *plugin;
    const struct manifest_stream *decl;
};

/* All operations of all loaded components, in order of component id and declaration. Borrowed until the registry
 * changes; registry_version() tells when. */
const struct operation *registry_operations(const struct core *core, size_t *ret_n);
/* All pages of the generations in service, by path; borrowed as long. */
const struct registry_page *registry_pages(const struct core *core, size_t *ret_n);
/* All their streams, by path; borrowed as long. */
const struct registry_stream *registry_streams(const struct core *core, size_t *ret_n);
uint64_t registry_version(const struct core *core);

#endif
