/* Values that a handler borrows, and those it has given away: neither may change, and no reference to them may be
 * dropped that is not the handler's. The guard holds one of its own to each, so that a mistake is seen and not followed
 * by a crash. In a child, within one turn. */
#include "conform/parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NODES_MAX 20000
#define ROOTS_MAX 512
#define DEPTH_MAX 512

struct node {
    json_t *value;
    size_t references; /* with the guard's */
    size_t before;     /* the host's own work */
};

struct root {
    const char *what;
    json_t *value;
    uint64_t hash;
    size_t first, n; /* of the nodes; n 0: not counted */
    uint64_t place;  /* of a state value: hash of its key */
};

static struct node nodes[NODES_MAX];
static size_t n_nodes;
static struct root roots[ROOTS_MAX];
static size_t n_roots;
static struct {
    const json_t *value;
    uint32_t turn;
} known[1 << 16]; /* the nodes, by address */
static uint32_t turn;
static struct root pending;
static size_t pending_references;

static uint64_t hash(const json_t *value, int depth)
{
    uint64_t h = (uint64_t)json_typeof(value) + 1;
    const char *name;
    json_t *member;
    double real;
    json_int_t integer;
    size_t i;
    if (depth > DEPTH_MAX)
        return h;
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        json_object_foreach((json_t *)(uintptr_t)value, name, member) h =
            gen_mix(h, gen_hash(name, strlen(name), hash(member, depth + 1)));
        return h;
    case JSON_ARRAY:
        json_array_foreach((json_t *)(uintptr_t)value, i, member) h = gen_mix(h, hash(member, depth + 1));
        return h;
    case JSON_STRING:
        return gen_hash(json_string_value(value), json_string_length(value), h);
    case JSON_INTEGER:
        integer = json_integer_value(value);
        return gen_hash(&integer, sizeof integer, h);
    case JSON_REAL:
        real = json_real_value(value);
        return gen_hash(&real, sizeof real, h);
    default:
        return h;
    }
}

static bool countable(const json_t *value)
{
    return value->refcount != (size_t)-1; /* true, false and null belong to nobody */
}

/* Counted once: what the handler itself has added to a value meanwhile is its own to drop again. */
static bool new_here(const json_t *value)
{
    size_t i = (size_t)gen_mix((uint64_t)(uintptr_t)value, 2) % (sizeof known / sizeof *known);
    while (known[i].turn == turn && known[i].value != value)
        i = (i + 1) % (sizeof known / sizeof *known);
    if (known[i].turn == turn)
        return false;
    known[i].turn = turn;
    known[i].value = value;
    return true;
}

static void walk(json_t *value, int depth)
{
    const char *name;
    json_t *member;
    size_t i;
    if (!countable(value) || n_nodes == NODES_MAX || depth > DEPTH_MAX || !new_here(value))
        return;
    nodes[n_nodes++] = (struct node){.value = json_incref(value)};
    if (json_is_object(value))
        json_object_foreach(value, name, member) walk(member, depth + 1);
    else if (json_is_array(value))
        json_array_foreach(value, i, member) walk(member, depth + 1);
}

void borrow_begin(void)
{
    n_nodes = n_roots = 0;
    turn++;
    pending.value = NULL;
}

void borrow(const char *what, const json_t *borrowed, bool counted)
{
    json_t *value = (json_t *)(uintptr_t)borrowed;
    if (!value || !countable(value) || n_roots == ROOTS_MAX)
        return;
    for (size_t i = 0; i < n_roots; i++)
        if (roots[i].value == value)
            return;
    struct root *root = &roots[n_roots++];
    *root = (struct root){.what = what, .value = json_incref(value), .hash = hash(value, 0), .first = n_nodes};
    if (counted)
        walk(value, 0);
    root->n = n_nodes - root->first;
    for (size_t i = root->first; i < n_nodes; i++) /* a value may stand in the tree twice */
        nodes[i].references = nodes[i].value->refcount;
}

/* Another value takes the place of a part of it: the host may drop what it held. */
void borrow_forget(const char *what)
{
    for (size_t i = 0; i < n_roots; i++)
        if (strcmp(roots[i].what, what) == 0)
            roots[i].n = 0;
}

/* Where the handler hands over the only reference it has, it has none left to drop. */
void borrow_taken(const char *what, json_t *value)
{
    pending = (struct root){.what = what};
    pending_references = 0;
    if (!value || !countable(value))
        return;
    pending.value = json_incref(value);
    pending_references = value->refcount;
}

void borrow_given(json_t *value)
{
    json_t *held = pending.value;
    pending.value = NULL;
    if (!held)
        return;
    if (value && n_roots < ROOTS_MAX) {
        struct root *root = &roots[n_roots++];
        *root =
            (struct root){.what = pending.what, .value = json_incref(held), .hash = hash(held, 0), .first = n_nodes};
        if (pending_references == 2 && n_nodes < NODES_MAX) {
            nodes[n_nodes++] = (struct node){.value = json_incref(held)};
            root->n = 1;
            json_decref(held);
            nodes[n_nodes - 1].references = held->refcount;
            return;
        }
    }
    json_decref(held);
}

/* Around what the host does: references that it drops meanwhile are its own. A value of the state that it reads anew
 * may have had parts of what else is lent. */
void borrow_pause(void)
{
    for (size_t i = 0; i < n_nodes; i++)
        nodes[i].before = nodes[i].value->refcount;
}

void borrow_resume(void)
{
    for (size_t i = 0; i < n_nodes; i++)
        if (nodes[i].value->refcount < nodes[i].before)
            nodes[i].references -= nodes[i].before - nodes[i].value->refcount;
}

static uint64_t place_of(const char *key)
{
    uint64_t h = UINT64_C(14695981039346656037);
    for (; *key; key++)
        h = (h ^ (unsigned char)*key) * UINT64_C(1099511628211);
    return h | 1;
}

/* The host drops the value that a turn has put before under the same key. */
void borrow_replaced(const char *key)
{
    for (size_t i = 0; i < n_roots; i++)
        if (roots[i].place == place_of(key))
            roots[i].n = roots[i].place = 0;
}

void borrow_placed(const char *key, const json_t *value)
{
    if (value && n_roots && roots[n_roots - 1].value == value)
        roots[n_roots - 1].place = place_of(key);
}

const char *borrow_end(char ret_text[200])
{
    const char *wrong = NULL;
    for (size_t i = 0; i < n_roots; i++) {
        struct root *root = &roots[i];
        for (size_t k = root->first; k < root->first + root->n; k++) {
            struct node *node = &nodes[k];
            if (node->value->refcount < node->references) {
                if (!wrong)
                    snprintf(ret_text, 200, "dropped a reference to %s that was not its own (json_decref too many)",
                             root->what);
                wrong = ret_text;
                while (node->value->refcount < node->references)
                    json_incref(node->value);
            }
        }
        if (hash(root->value, 0) != root->hash && !wrong) {
            snprintf(ret_text, 200, "changed %s, which others hold too (copy it first)", root->what);
            wrong = ret_text;
        }
    }
    while (n_nodes)
        json_decref(nodes[--n_nodes].value);
    while (n_roots)
        json_decref(roots[--n_roots].value);
    return wrong;
}
