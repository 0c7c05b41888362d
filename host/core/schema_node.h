/* A compiled schema as the schema_*.c files build it and schema.c walks it. Nothing else includes this. */
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
    HAS_COMBINED = 64,
    HAS_EXTRA = 128
};

struct node;

struct nodes {
    struct node **at;
    size_t n;
};

struct bound {
    bool set, real, exclusive;
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

struct schema_pattern {
    pcre2_code *code;
    char *text;        /* how an error names it */
    struct node *node; /* of patternProperties: what members of such a name must be */
};

/* Of dependencies, dependentRequired, dependentSchemas: what the member `name` asks of the object it is in. */
struct dependency {
    char *name;
    char **required;
    size_t n_required;
    struct node *node; /* NULL: only `required` */
};

/* Keywords that few schemas have. */
struct extra {
    struct node *not_, *if_, *then_, *else_;
    struct node *contains, *names;
    struct schema_pattern *patterns;
    size_t n_patterns;
    struct dependency *dependencies;
    size_t n_dependencies;
    size_t min_members, max_members;
    struct bound multiple_of;
    bool unique;
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
    struct schema_pattern pattern;
    struct extra *extra;         /* NULL unless HAS_EXTRA */
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
    struct node *root;                         /* NULL: to be compiled of what follows */
    const json_t *later_document, *later_node; /* NULL: it was compiled at once */
    struct node *nodes;
    size_t n_nodes;
    pcre2_match_data *match; /* NULL while no node has a pattern */
    pcre2_match_context *match_limits;
};

int schema_compile_later(struct schema *schema); /* CVM_ENOMEM */

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

/* ---- values: schema_value.c ---- */

unsigned schema_type(const json_t *value); /* its TYPE_ bits */
int schema_compare(const json_t *number, const struct bound *bound);
bool schema_is_multiple(const json_t *number, const struct bound *of);
struct bound schema_bound(const json_t *number);
/* JSON equality: 1 equals 1.0, members in any order. Adds its work to *steps and, over SCHEMA_STEPS_MAX, gives up: the
 * caller looks at *steps. */
bool schema_equal(const json_t *a, const json_t *b, unsigned *steps);

/* ---- texts: schema_text.c ---- */

/* Where we are in a value: a chain on the stack, read only when something is wrong. */
struct step {
    const struct step *up;
    const char *name; /* NULL: an array's index */
    size_t index;
    unsigned depth;
};

/* One check under way. */
struct check {
    const struct schema *schema;
    struct schema_error *error;
    unsigned silent; /* > 0: inside an alternative, whose faults are not ours */
    unsigned steps;
    bool quote; /* strings may stand in the text */
};

void schema_field_text(char *buf, size_t size, const struct step *at, const char *member);
void schema_types_text(char *buf, size_t size, unsigned types); /* "a string, an integer or null" */
void schema_values_text(char *buf, size_t size, const json_t *values);
size_t schema_characters(const json_t *string);
/* What came. Strings and long numbers may be personal (a phone number), so they are shown only where the caller said
 * that the value is no customer's. */
const char *schema_value_text(char *buf, size_t size, const json_t *value, bool quote);
/* Writes "<format>, got <value>" unless silent; value NULL leaves the tail out. Returns CVM_EINVAL. */
int schema_wrong(struct check *c, const struct step *at, const char *member, const json_t *value, const char *format,
                 ...) __attribute__((format(printf, 5, 6)));
/* Ends the whole check, also from inside an alternative: else a `not` would take "cannot tell" for "no". CVM_ELIMIT. */
int schema_give_up(struct check *c, const struct step *at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* ---- checking: schema.c, schema_extra.c ---- */

int schema_check_node(struct check *c, const struct node *node, const json_t *value, const struct step *at);
int schema_holds(struct check *c, const struct node *node, const json_t *value, const struct step *at);
int schema_matches(struct check *c, const struct schema_pattern *pattern, const char *text, size_t len,
                   const struct step *at);
int schema_check_extra(struct check *c, const struct node *node, const json_t *value, unsigned type,
                       const struct step *at);
int schema_check_member_patterns(struct check *c, const struct extra *extra, const json_t *value, const struct step *at,
                                 bool *ret_matched);

/* What the pointer ("" or "/a/0") of a URI fragment leads to; NULL: nothing. */
const json_t *schema_pointer(const json_t *document, const char *pointer);

/* Appends formatted text to buf; what does not fit is cut between characters, control characters become '?'.
 * Returns the new length. */
size_t schema_text(char *buf, size_t size, size_t len, const char *format, ...) __attribute__((format(printf, 4, 5)));

#endif
