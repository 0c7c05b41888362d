/* A schema as written, taken apart: itself, what its $ref leads to, its allOf, and theirs. All of them hold for one
 * value. Borrows from the document. Pure; any thread. */
#ifndef HOST_CORE_SCHEMA_PARTS_H
#define HOST_CORE_SCHEMA_PARTS_H

#include "core/schema_node.h"

#define PARTS_MAX 24

struct parts {
    const json_t *at[PARTS_MAX];
    size_t n;
    bool never; /* one of them is false: there is no such value */
};

void parts_add(const json_t *document, const json_t *schema, struct parts *parts);
struct parts parts_of_items(const json_t *document, const struct parts *parts); /* what holds for the items */
/* What holds for the member `name`; NULL: for any that no part names. `beside`: patterns that it does not match. */
struct parts parts_of_member(const json_t *document, const struct parts *parts, const char *name, const json_t *beside);
bool parts_require(const struct parts *parts, const char *name);
const json_t *parts_keyword(const struct parts *parts, const char *keyword); /* of the first that has it; or NULL */
unsigned parts_types(const struct parts *parts);                             /* TYPE_ bits that all allow */
unsigned schema_types_named(const json_t *schema);

#endif
