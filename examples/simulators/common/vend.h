/* What simulated vendors answer, and how they misbehave. Knows the ledger and no sockets: a request comes in as
 * text, an answer goes out as a struct that says what to send, when, and which line must be safe on disk first.
 * Server thread only. */
#ifndef SIMULATOR_VEND_H
#define SIMULATOR_VEND_H

#include "ledger.h"

#include <stdio.h>

#define KEY_MAX 256

struct options {
    int64_t delay_ms;   /* mean of every answer's delay; 0: none */
    int64_t slow_ms;    /* delay of an answer that comes too late */
    int64_t hang_ms;    /* after this an answer that never comes ends in a closed connection */
    int64_t settle_ms;  /* how long a pending vend takes to be decided */
    int64_t float_kobo; /* what each merchant account begins with */
    double faults;      /* share of requests that are disturbed, 0 to 1 */
    uint64_t seed;
    const char *webhooks;  /* where to tell by itself, without the part that names the vendor; NULL: nowhere */
    int64_t webhook_ms;    /* how long after */
    double webhook_faults; /* share of them that are repeated, late, or preceded by a forged one */
    bool strict;           /* as the vendors' own sandboxes are: what is not listed fails */
};

struct trade;
struct hooks;

struct vending {
    const struct trade *trade;
    struct options options;
    struct ledger *ledger;
    struct hooks *hooks;             /* NULL: there are none */
    const char (*keys)[KEY_MAX + 1]; /* by vendor; borrowed from the server's options */
    struct {
        int64_t requests, refused, replayed, conflicts, disturbed;
    } counts[VENDORS_MAX];
};

/* A request as it came. Strings are borrowed, NULL where missing. */
struct asked {
    int vendor;              /* of the address; -1: none */
    const char *vendor_name; /* of the query */
    const char *key;         /* header Idempotency-Key */
    const char *reference;   /* of the query */
    const char *subject;     /* of the query */
    const char *body;
    size_t body_len;
    const char *path, *method;
    void *connection;
    const char *(*header)(const struct asked *asked, const char *name);   /* NULL: there is none */
    const char *(*argument)(const struct asked *asked, const char *name); /* of the query */
};

/* How a vend goes wrong. */
enum manner {
    ANSWERS, /* as it should */
    REFUSES, /* with status, code and text; nothing is vended */
    CUTS,    /* closes the connection */
    HANGS,   /* gives no answer while the vend is pending */
    IS_LATE, /* answers after slow_ms */
    BABBLES, /* 200 with a page of HTML */
    HALVES,  /* the first half of an answer, then the end of the connection */
};

struct behaviour {
    const char *digits; /* at the end of the phone or meter number; NULL: the table's end */
    enum outcome books; /* what is written to the ledger; OUT_NONE: nothing */
    enum manner manner;
    bool settles;      /* pending at first, `books` after settle_ms */
    bool first_only;   /* the second attempt with the same reference is served normally */
    bool verify_fails; /* verify answers 503, for ever */
    int status;
    const char *code, *text;
    const char *help;
};

/* Owned by the caller; members are freed by answer_clear(). */
struct answer {
    int status;
    char *text;    /* body */
    bool html;     /* else JSON */
    bool cut;      /* close the connection instead of answering */
    bool half;     /* close it in the middle of the body */
    bool replayed; /* the result of an earlier request */
    int64_t delay_ms;
    char *line;                /* to be committed before anything of this answer is seen; NULL: nothing new */
    const struct entry *entry; /* whom it is about, for the log; NULL: nobody */
    char note[64];             /* for the log */
};

struct place {
    const char *path;
    void (*answer)(struct vending *v, const struct asked *asked, int64_t now_ms, struct answer *ret_answer);
    bool get, post;
};

/* What is sold: everything in which the simulators differ. */
struct trade {
    const char *program, *usage;
    struct ledger_form form;
    const char *vendor_list;                                            /* for people */
    const char *wrong_vendor_code, *wrong_subject_code, *wrong_subject; /* of refused orders */
    bool vendor_in_order;                                               /* an order must name its vendor */
    bool (*subject_read)(const char *text, char ret_subject[SUBJECT_SIZE]);
    const char *(*key_header)(int vendor);
    const struct behaviour *triggers; /* of vends, by the last digits of the subject; ends with {0} */
    const struct place *places;       /* below a vendor's address; ends with {0} */
    /* In place of `places`: every address but those without a key. Checks method and key itself. */
    void (*answer)(struct vending *v, const struct asked *asked, int64_t now_ms, struct answer *ret_answer);
};

/* What the number of an order, the seed and the count of its attempts say. Counts. */
const struct behaviour *vend_behaviour(struct vending *v, const struct entry *e, struct answer *a);
/* Answers late, cut, halved or with nonsense; false: with whatever the trade says. */
bool vend_misbehaves(const struct vending *v, const struct entry *e, const struct behaviour *b, int64_t now_ms,
                     struct answer *a);
int64_t vend_jitter(const struct vending *v, const char *what, const struct entry *e, uint32_t attempt);
/* Whether chance disturbs this; the same seed, word and entry give the same. */
bool vend_chance(const struct vending *v, const char *what, const struct entry *e, uint32_t attempt, double share);

/* The usual places of a trade. */
void vend_answer(struct vending *v, const struct asked *asked, int64_t now_ms, struct answer *ret_answer);
void verify_answer(struct vending *v, const struct asked *asked, int64_t now_ms, struct answer *ret_answer);
void balance_answer(struct vending *v, const struct asked *asked, int64_t now_ms, struct answer *ret_answer);

/* Every vend between two times, for reconciliation: {"entries": [{"reference", "transaction_id", "amount_kobo",
 * "status", "time_ms", ..}], "more"}. */
void statement_answer(struct vending *v, const struct asked *asked, int64_t now_ms, struct answer *ret_answer);
void ledger_answer(struct vending *v, const char *vendor, int64_t now_ms, struct answer *ret_answer);
void error_answer(struct answer *ret_answer, int status, const char *code, const char *message);
void json_answer(struct answer *ret_answer, int status, json_t *body); /* takes body */
json_t *naira_json(int64_t kobo); /* whole naira as a number, else a decimal string: never a float; gives */
void answer_clear(struct answer *answer);

void vend_print_triggers(const struct trade *trade, FILE *out);

#endif
