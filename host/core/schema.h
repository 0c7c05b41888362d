/* JSON Schema (2020-12), the keywords our manifests use: those in the list of schema_keywords.c, which
 * docs/reference/schema.md explains. $ref stays within the document ("#/schemas/Name" and other JSON pointers); format
 * is an annotation. A keyword that is not in the list is an error when the schema is compiled. A compiled schema is
 * immutable; checking is for the loop thread. */
#ifndef HOST_CORE_SCHEMA_H
#define HOST_CORE_SCHEMA_H

#include <jansson.h>
#include <stddef.h>

#define SCHEMA_DEPTH_MAX 64 /* nesting of a schema, and of an instance while it is checked */
#define SCHEMA_NODES_MAX 10000

struct schema;

/* What is wrong, where. `field` is a dotted path ("recipient.phones[2]"; "" for the value itself); `text` a sentence
 * that says what was expected and what came. */
struct schema_error {
    char field[128];
    char text[256];
};

/* Compiles `node` of `document` (for $ref). Borrows both only during the call. Returns 0 and gives *ret_schema, or
 * CVM_EINVAL with *ret_error filled (field is the JSON pointer of the faulty keyword), or CVM_ENOMEM. */
int schema_compile(const json_t *document, const json_t *node, struct schema **ret_schema,
                   struct schema_error *ret_error);
/* The same of a schema that was compiled before without a fault: it is compiled by the first check. Borrows both as
 * long as the schema lives; neither may change. */
int schema_defer(const json_t *document, const json_t *node, struct schema **ret_schema);
void schema_free(struct schema *schema); /* accepts NULL */

/* Returns 0, or CVM_EINVAL with *ret_error filled for the first fault found. NULL schema accepts anything. The text
 * quotes no string and no number long enough to be a phone number, so it may be logged; member names are shown. */
int schema_check(const struct schema *schema, const json_t *value, struct schema_error *ret_error);
/* The same, but the text shows what came: for files of the operator, never for what a customer sent. */
int schema_check_quoting(const struct schema *schema, const json_t *value, struct schema_error *ret_error);

/* A schema as written, for those who show or type its members (tables, the command line): follows $ref until there is
 * none. Borrowed from `document`; NULL where it leads nowhere. */
const json_t *schema_resolve(const json_t *document, const json_t *node);
/* The schema of member `name`: from `properties` of `node` or of its allOf, anyOf, oneOf. Not resolved. NULL: none. */
const json_t *schema_member(const json_t *document, const json_t *node, const char *name);

#endif
