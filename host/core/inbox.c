/* The inbox: inputs from edges that wait for their answer. A keyed input's id is derived from (source, key), so the
 * running one is found by id. Finished ones stand in the store for a day. */
#include "core/internal.h"

#include "core/crash.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

static struct inbox **bucket(struct core *core, uint64_t lo)
{
    return &core->inboxes[lo & (CORE_HASH_BUCKETS - 1)];
}

struct inbox *inbox_find(struct core *core, cvm_id id)
{
    for (struct inbox *i = *bucket(core, id.lo); i; i = i->next)
        if (i->id.lo == id.lo)
            return i;
    return NULL;
}

/* The first reference is the caller's; the table holds none. */
struct inbox *inbox_new(struct core *core, const char *source, const char *key, const uint8_t hash[32], cvm_id id)
{
    struct inbox *i = calloc(1, sizeof *i);
    if (!i)
        return NULL;
    i->core = core;
    i->refs = 1;
    i->id = id;
    if (key) {
        i->source = strdup(source);
        i->key = strdup(key);
        memcpy(i->hash, hash, 32);
        if (!i->source || !i->key) { /* without its key it would be done again when it comes again */
            free(i->source);
            free(i->key);
            free(i);
            return NULL;
        }
    }
    i->next = *bucket(core, id.lo);
    *bucket(core, id.lo) = i;
    i->listed = true;
    return i;
}

int inbox_wait(struct inbox *inbox, edge_done done, void *arg, bool repeated)
{
    struct waiter *w = calloc(1, sizeof *w);
    if (!w)
        return CVM_ENOMEM;
    *w = (struct waiter){.next = inbox->waiters, .done = done, .arg = arg, .repeated = repeated};
    inbox->waiters = w;
    return 0;
}

static void unlist(struct core *core, struct inbox *inbox)
{
    for (struct inbox **at = bucket(core, inbox->id.lo); inbox->listed && *at; at = &(*at)->next) {
        if (*at == inbox) {
            *at = inbox->next;
            inbox->listed = false;
            return;
        }
    }
}

void inbox_answer(struct core *core, struct inbox *inbox, int outcome, const json_t *data, const char *content)
{
    struct waiter *w;
    unlist(core, inbox); /* who asks again from now on finds the answer in the store */
    if (inbox->waiters)
        crash_here(CRASH_REPLY_COMMITTED);
    while ((w = inbox->waiters)) { /* one may forget another */
        inbox->waiters = w->next;
        struct edge_reply reply = {.request = inbox->id,
                                   .outcome = outcome,
                                   .data = data,
                                   .content = content ? content : "",
                                   .repeated = w->repeated};
        w->done(w->arg, &reply);
        free(w);
    }
}

void inbox_release(struct core *core, struct inbox *inbox)
{
    assert(inbox->refs > 0);
    if (--inbox->refs)
        return;
    unlist(core, inbox);
    for (struct waiter *w = inbox->waiters, *next; w; w = next) {
        next = w->next;
        free(w);
    }
    free(inbox->source);
    free(inbox->key);
    free(inbox);
}

void edge_forget(struct core *core, cvm_id id, void *arg)
{
    struct inbox *inbox = inbox_find(core, id);
    for (struct waiter **at = inbox ? &inbox->waiters : NULL; at && *at;) {
        struct waiter *w = *at;
        if (w->arg == arg) {
            *at = w->next;
            free(w);
        } else {
            at = &w->next;
        }
    }
}
