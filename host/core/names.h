/* Interned names: component ids, aliases, types, topics, tables, roles. A name lives as long as the core and is
 * compared by pointer. Only manifests and the host add names; a name from outside is looked up, never added, so a
 * client cannot make the table grow. Loop thread; the text may be read by any. */
#ifndef HOST_CORE_NAMES_H
#define HOST_CORE_NAMES_H

#include <stdbool.h>
#include <stdint.h>

struct name {
    uint32_t hash, len;
    struct name *next;  /* in the bucket */
    struct name *reply; /* "<text>.reply"; NULL until asked for */
    bool unanswered;    /* a reply to it was found to have no route: said once */
    void *component;    /* struct component of this id or unambiguous alias; NULL: none */
    char text[];
};

struct names;

int names_new(struct names **ret_names);
void names_free(struct names *names);
struct name *names_find(struct names *names, const char *text);   /* NULL: unknown */
struct name *names_intern(struct names *names, const char *text); /* NULL: out of memory or too long */
struct name *names_reply(struct names *names, struct name *name); /* the name of the reply to it */

#endif
