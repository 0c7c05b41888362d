/* A core under the virtual clock in a home of its own, with test plugins: for tests of the core without a process. */
#ifndef TESTS_UNIT_VIRTUAL_H
#define TESTS_UNIT_VIRTUAL_H

#include "core/core.h"
#include "core/edge.h"
#include "core/replay.h"
#include <check.h>

struct virtual
{
    char home[64];
    struct config *config;
    struct core *core;
    int (*send)(void *arg, const struct http_request *request, http_done done, void *done_arg, uint64_t *ret_handle);
    void *send_arg;
    struct page *page;
};

/* One answer of an edge; `n` counts how often it came. */
struct answer_seen {
    int n, outcome;
    bool repeated;
    json_t *data;
};

struct virtual *virtual_new(const char *const *plugins, const char *config); /* config: JSON text or NULL */
void virtual_open(struct virtual *v);  /* opens, loads, starts and runs what starting caused */
void virtual_close(struct virtual *v); /* the data stay */
void virtual_free(struct virtual *v);

/* Submits and expects to be taken. */
cvm_id virtual_submit(struct virtual *v, const char *to, const char *type, json_t *data, struct answer_seen *seen);
/* Submits, runs until nothing is left to do for `ms`, expects exactly one answer; gives its outcome, data in *seen. */
int virtual_call(struct virtual *v, const char *to, const char *type, json_t *data, struct answer_seen *seen);
void virtual_seen(void *arg, const struct edge_reply *reply); /* an edge_done */
int64_t virtual_count(struct virtual *v, const char *sql);    /* one integer from the committed data */
/* What the journal has goes through the builds again and gives the same; the core may be open. Gives the report. Done
 * to every home that virtual_free takes where CVMHOST_TEST_REPLAY is set. */
struct replay_report virtual_replays(struct virtual *v);
void virtual_conserved(struct virtual *v); /* nothing queued or lent, and delivered = settled + dead, everywhere */

#endif
