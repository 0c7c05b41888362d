/* What audit.c and audit_end.c share. */
#ifndef HOST_SIM_AUDIT_PARTS_H
#define HOST_SIM_AUDIT_PARTS_H

#include "sim/parts.h"

struct auditor {
    sqlite3 *db; /* open as long as the core */
    sqlite3_stmt *turns;
    int64_t seq;     /* last turn that was read */
    bool lowered;    /* state may have been written by a rollback, outside any turn */
    json_t *known;   /* ids that were sent or taken in; "turn ID" of those that were handled -> turn */
    json_t *pending; /* sent and not handled yet -> [to, type, sort, turn] */
    json_t *calls;   /* key or id of a call -> how often */
    json_t *timers;  /* ids */
    json_t *asked;   /* requests -> [to, type] */
    json_t *answers; /* request -> how often it was answered */
    json_t *closed;  /* input -> [id, outcome, data] */
    json_t *busy;    /* the same of those that were answered BUSY, which may come again */
    json_t *meddled; /* turns that the simulation made fail: they cannot be replayed */
    json_t *state;   /* component -> key -> [turn, value] */
};

struct row {
    long long seq;
    const char *component, *type, *outcome, *text;
    char id[40];
};

int auditor_open(struct sim *s);

#endif
