/* What the simulated networks answer, and how they misbehave. Knows the ledger and no sockets: a request comes in as
 * text, an answer goes out as a struct that says what to send, when, and which line must be safe on disk first.
 * Server thread only. */
#ifndef NETWORK_SIM_VEND_H
#define NETWORK_SIM_VEND_H

#include "ledger.h"

#include <stdio.h>

struct options {
    int64_t delay_ms;   /* mean of every answer's delay; 0: none */
    int64_t slow_ms;    /* delay of an answer that comes too late */
    int64_t hang_ms;    /* after this an answer that never comes ends in a closed connection */
    int64_t settle_ms;  /* how long a pending vend takes to be decided */
    int64_t float_kobo; /* what each merchant account begins with */
    double faults;      /* share of requests that are disturbed, 0 to 1 */
    uint64_t seed;
};

struct vending {
    struct options options;
    struct ledger *ledger;
    struct {
        int64_t requests, refused, replayed, conflicts, disturbed;
    } counts[NET_COUNT];
};

/* A vend or verify request as it came. Strings are borrowed, NULL where missing. */
struct asked {
    enum network network;
    const char *key;       /* header Idempotency-Key */
    const char *reference; /* of the query */
    const char *body;
    size_t body_len;
};

/* Owned by the caller; members are freed by answer_clear(). */
struct answer {
    int status;
    char *text;    /* body */
    bool html;     /* else JSON */
    bool cut;      /* close the connection instead of answering */
    bool replayed; /* the result of an earlier request */
    int64_t delay_ms;
    char *line;                /* to be committed before anything of this answer is seen; NULL: nothing new */
    const struct entry *entry; /* whom it is about, for the log; NULL: nobody */
    char note[64];             /* for the log */
};

void vend_answer(struct vending *v, const struct asked *asked, int64_t now_ms, struct answer *ret_answer);
void verify_answer(struct vending *v, const struct asked *asked, int64_t now_ms, struct answer *ret_answer);
void balance_answer(struct vending *v, enum network network, struct answer *ret_answer);
void ledger_answer(struct vending *v, const char *network, int64_t now_ms, struct answer *ret_answer);
void error_answer(struct answer *ret_answer, int status, const char *code, const char *message);
void answer_clear(struct answer *answer);

void vend_print_triggers(FILE *out);

#endif
