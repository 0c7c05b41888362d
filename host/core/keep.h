/* The journal in the long run: conversations that have been closed long enough are folded, their turns deleted in small
 * steps between the writer's groups; old answers, keys and dead letters go too. store_keep.c does the steps on the
 * writer's thread, keep.c says when, backup.c copies the database the same way. */
#ifndef HOST_CORE_KEEP_H
#define HOST_CORE_KEEP_H

#include "core/internal.h"

#define KEEP_STEP_NS INT64_C(1500000) /* of the writer's time; a step ends with the row that passes it */

enum keep_phase { KEEP_OPEN, KEEP_TURNS, KEEP_LETTERS, KEEP_INBOX, KEEP_DONE };

/* An id that something open names. */
struct keep_id {
    int64_t hi, lo;
};

/* One pass over the journal. Lent to the writer during a step, the loop's between two. */
struct keep_pass {
    /* Asked for: */
    int64_t now_ms, before_ms, inbox_before_ms;
    bool dry;        /* counts and changes nothing */
    int64_t *pinned; /* keys of the lanes that never end, sorted */
    size_t n_pinned;
    /* How far it is: */
    enum keep_phase phase;
    int64_t position; /* in the phase: the last number looked at */
    int64_t noted;    /* the place that stands in the store */
    int64_t resume;   /* where the turns begin: what was looked at before the host ended */
    int64_t last_seq; /* this turn and those behind it stay */
    int64_t skip;     /* a conversation just found to be kept */
    struct keep_id *open;
    size_t n_open, open_cap;
    bool sorted;
    int64_t turn_ms, key_ms; /* of the oldest turn and key that are not old enough yet; INT64_MAX: there is none */
    void *statement[20];
    /* What came of it: */
    int64_t turns, bytes, conversations, kept, letters, keys; /* kept: expired turns that something still needs */
    int64_t steps, ns, longest_ns;
    int error; /* the step failed and was undone; 0: it did not */
    char text[200];
};

/* One step of at most about KEEP_STEP_NS. Writer's thread. */
void keep_step(struct store *store, struct keep_pass *pass);
/* Where the turns end, and where the last pass stood when the host ended. Writer's thread, before the first step. */
void keep_resume(struct store *store, struct keep_pass *pass);
void keep_clear(struct keep_pass *pass);

/* ---- keep.c: when, and for whom. Loop thread ---- */

/* Counters for metrics and `journal stats`. */
struct keep_totals {
    uint64_t turns, conversations, letters, keys, passes, steps, ns, longest_ns, backups;
    int64_t kept, last_ms, backup_ms, backup_bytes;
};
struct keep_totals *keep_totals(const struct core *core);

/* backup.c */
void backup_close(struct core *core);

#endif
