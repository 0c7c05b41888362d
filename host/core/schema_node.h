/* A compiled schema as schema_compile.c builds it and schema.c walks it. Nothing else includes this. */
#ifndef HOST_CORE_SCHEMA_NODE_H
#define HOST_CORE_SCHEMA_NODE_H

#define PCRE2_CODE_UNIT_WIDTH 8
#include "schema.h"
#include <pcre2.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define SCHEMA_PATTERN_MAX_BYTES 1000
#define SCHEMA_MATCH_LIMIT 100000   /* work of one `pattern`, in PCRE2's own unit */
#define SCHEMA_STEPS_MAX (4u << 20) /* nodes visited in one check: alternatives in recursion can multiply */

enum {
    TYPE_NULL = 1,
    TYPE_BOOLEAN = 2,
    TYPE_OBJECT = 4,
    TYPE_ARRAY = 8,
    TYPE_STRING = 16,
    TYPE_NUMBER = 32,
    TYPE_INTEGER = 64,
    TYPE_ANY = 127
};

/* Which groups of keywords a node has, so that a check skips the others at once. */
enum {
    HAS_REF = 1,
    HAS_VALUES = 2,
    HAS_STRING = 4,
    HAS_NUMBER = 8,
    HAS_ARRAY = 16,
    HAS_OBJECT = 32,
    HAS_COMBINED = 64
};

struct node;

struct nodes {
    struct node **at;
    size_t n;
};

struct bound {
    bool set, real;
    json_int_t integer;
    double number;
};

/* A member an object schema names in `properties`, in `required`, or in both. */
struct property {
    char *name;
    size_t len;
    struct node *node; /* NULL: only required */
    bool required;
};

struct node {
    uint8_t types, has;
    bool closed;    /* additionalProperties: false */
    bool is_const;  /* `values` came from const */
    bool compiled;  /* false: waits in the compiler's queue */
    uint8_t height; /* longest chain of nodes that look at the same value; 0: not known yet */
    bool visiting;  /* while heights are found */
    struct node *ref;
    json_t *values; /* array: enum, or const alone */
    size_t min_length, max_length, min_items, max_items;
    struct bound minimum, maximum;
    pcre2_code *pattern;
    char *pattern_text;
    struct property *properties; /* declared ones first, in the order of the document */
    size_t n_properties, n_declared, n_required;
    uint16_t *table; /* index + 1 into properties, by hash of the name; 0: free */
    size_t table_mask;
    struct node *additional; /* NULL: anything, unless closed */
    struct node *items;
    struct nodes all, any, one;
    struct node *next; /* all nodes of the schema */
};

struct schema {
    struct node *root;
    struct node *nodes;
    size_t n_nodes;
    pcre2_match_data *match; /* NULL while no node has a pattern */
    pcre2_match_context *match_limits;
};

/* Both ends of the name and its length: names of one object differ there, and it costs no loop. */
static inline size_t schema_hash(const char *name, size_t len)
{
    uint64_t head = 0, tail = 0;
    if (len >= 8) {
        memcpy(&head, name, 8);
        memcpy(&tail, name + len - 8, 8);
    } else if (len >= 4) {
        memcpy(&head, name, 4);
        memcpy(&tail, name + len - 4, 4);
    } else if (len) {
        head = (uint64_t)(unsigned char)name[0] << 16 | (uint64_t)(unsigned char)name[len / 2] << 8;
        tail = (unsigned char)name[len - 1];
    }
    uint64_t h = (head ^ (tail << 21 | tail >> 43) ^ len) * 0x9e3779b97f4a7c15u;
    return (size_t)(h >> 32);
}

static inline const struct property *schema_property(const struct node *node, const char *name, size_t len)
{
    if (!node->table)
        return NULL;
    for (size_t at = schema_hash(name, len);; at++) {
        size_t index = node->table[at & node->table_mask];
        if (!index)
            return NULL;
        const struct property *p = &node->properties[index - 1];
        if (p->len == len && memcmp(p->name, name, len) == 0)
            return p;
    }
}

/* What the pointer ("" or "/a/0") of a URI fragment leads to; NULL: nothing. */
const json_t *schema_pointer(const json_t *document, const char *pointer);

/* Appends formatted text to buf; what does not fit is cut between characters, control characters become '?'.
 * Returns the new length. */
size_t schema_text(char *buf, size_t size, size_t len, const char *format, ...) __attribute__((format(printf, 4, 5)));

#endif
