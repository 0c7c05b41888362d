/* Owns the table of interned names: a chained hash table of a size that never changes, because the number of names
 * is bounded by the manifests. Before it stands a small one by the address of the text: plugins name recipients and
 * types by constants, so the same text comes from the same address again; it is compared all the same. */
#include "core/names.h"

#include <cvm/cvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAMES_BUCKETS 4096
#define NAMES_SEEN 256 /* texts by their addresses */

struct names {
    struct name *bucket[NAMES_BUCKETS];
    struct {
        const char *text; /* where it was found last: may be anything by now */
        struct name *name;
    } seen[NAMES_SEEN];
};

static uint32_t hash_text(const char *text, uint32_t *ret_len)
{
    uint32_t h = 2166136261u;
    const char *s = text;
    for (; *s; s++)
        h = (h ^ (uint8_t)*s) * 16777619u;
    *ret_len = (uint32_t)(s - text);
    return h;
}

int names_new(struct names **ret_names)
{
    struct names *names = calloc(1, sizeof *names);
    if (!names)
        return CVM_ENOMEM;
    *ret_names = names;
    return 0;
}

void names_free(struct names *names)
{
    if (!names)
        return;
    for (int i = 0; i < NAMES_BUCKETS; i++) {
        for (struct name *n = names->bucket[i], *next; n; n = next) {
            next = n->next;
            free(n);
        }
    }
    free(names);
}

static struct name *find(struct names *names, const char *text, uint32_t hash, uint32_t len)
{
    for (struct name *n = names->bucket[hash % NAMES_BUCKETS]; n; n = n->next)
        if (n->hash == hash && n->len == len && memcmp(n->text, text, len) == 0)
            return n;
    return NULL;
}

struct name *names_find(struct names *names, const char *text)
{
    uint32_t place = (uint32_t)((uintptr_t)text ^ (uintptr_t)text >> 8) % NAMES_SEEN, len;
    struct name *n = names->seen[place].name;
    if (names->seen[place].text == text && strcmp(n->text, text) == 0)
        return n;
    uint32_t hash = hash_text(text, &len);
    if ((n = find(names, text, hash, len))) {
        names->seen[place].text = text;
        names->seen[place].name = n;
    }
    return n;
}

struct name *names_intern(struct names *names, const char *text)
{
    uint32_t len, hash = hash_text(text, &len);
    struct name *n = find(names, text, hash, len);
    if (n || len > CVM_NAME_MAX + 8)
        return n;
    n = calloc(1, sizeof *n + len + 1);
    if (!n)
        return NULL;
    n->hash = hash;
    n->len = len;
    memcpy(n->text, text, len + 1);
    n->next = names->bucket[hash % NAMES_BUCKETS];
    names->bucket[hash % NAMES_BUCKETS] = n;
    return n;
}

struct name *names_reply(struct names *names, struct name *name)
{
    if (!name->reply) {
        char text[CVM_NAME_MAX + 16];
        snprintf(text, sizeof text, "%s.reply", name->text);
        name->reply = names_intern(names, text);
    }
    return name->reply;
}
