/* What the files that compile a schema share. Nothing else includes this. */
#ifndef HOST_CORE_SCHEMA_COMPILER_H
#define HOST_CORE_SCHEMA_COMPILER_H

#include "core/schema_node.h"

#define POINTER_MAX_BYTES 512

/* A node by the address of the JSON it comes from; the first member of struct place is the key of the search tree. */
struct place {
    const json_t *source;
    struct node *node;
    char *pointer; /* of a target that waits; else NULL */
    struct place *next_all, *next_waiting;
};

struct compiler {
    const json_t *document, *start;
    struct schema *schema;
    struct schema_error *error;
    void *tree;
    struct place *places, *waiting, **waiting_end;
    bool from_start; /* `pointer` is relative to `start`, else to the document */
    char pointer[POINTER_MAX_BYTES];
    size_t pointer_len;
    unsigned depth;
};

/* ---- schema_place.c: where in the document we are, and the nodes made of it ---- */

size_t compiler_push(struct compiler *c, const char *name); /* returns what compiler_pop() wants */
size_t compiler_push_index(struct compiler *c, size_t index);
void compiler_pop(struct compiler *c, size_t before);
int compiler_bad(struct compiler *c, const char *format, ...) __attribute__((format(printf, 2, 3))); /* CVM_EINVAL */
/* The place of `source`, made if there is none. */
int compiler_place(struct compiler *c, const json_t *source, struct place **ret_place);
void compiler_forget_places(struct compiler *c);

/* ---- schema_compile.c ---- */

int compiler_node(struct compiler *c, const json_t *source, struct node **ret_node);

/* ---- keywords: schema_keywords.c has the list of them, schema_object.c those of objects ---- */

int compiler_keyword(struct compiler *c, struct node *node, const char *name, const json_t *value);
int compiler_object(struct compiler *c, struct node *node, const json_t *source); /* properties and required */
int compiler_extra(struct node *node, struct extra **ret_extra);                  /* made if there is none */
int compiler_pattern(struct compiler *c, const char *text, struct schema_pattern *ret_pattern);
int compiler_pattern_name(struct schema_pattern *pattern, const char *text, const char *title);
int compiler_limit(struct compiler *c, const json_t *value, size_t *ret_limit);
int key_additional(struct compiler *c, struct node *node, const json_t *value);
int key_member_patterns(struct compiler *c, struct node *node, const json_t *value);
int key_dependencies(struct compiler *c, struct node *node, const json_t *value);
int key_dependent_required(struct compiler *c, struct node *node, const json_t *value);
int key_dependent_schemas(struct compiler *c, struct node *node, const json_t *value);
int key_names(struct compiler *c, struct node *node, const json_t *value);
int key_min_members(struct compiler *c, struct node *node, const json_t *value);
int key_max_members(struct compiler *c, struct node *node, const json_t *value);

#endif
