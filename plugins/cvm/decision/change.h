/* The smallest change that would alter a decision: one fact, permission, trigger, limit or figure of a treatment, found
 * by deciding again. What it says has been tried: applied as it is stated, the winner is another one. Pure, works in
 * place on the problem and leaves it as it was; any thread.
 *
 * How large a change is: a number by its share, |to - from| / |from| (at least .05 of a score, 1 of a count, a pound);
 * a yes that becomes a no counts 1. */
#ifndef CVM_DECISION_CHANGE_H
#define CVM_DECISION_CHANGE_H

#include "decide.h"

enum change_kind {
    CHANGE_NONE,
    CHANGE_FACT,       /* `name` */
    CHANGE_PERMISSION, /* `name`: sms, .., marketing */
    CHANGE_TRIGGER,    /* `name` matched or not */
    CHANGE_COST,       /* of option `option`, pounds */
    CHANGE_PROPENSITY, /* its base rate, or what it was told */
    CHANGE_AMOUNT,     /* what success is worth, pounds */
    CHANGE_LIMIT,      /* units left */
    CHANGE_ENABLED,
    CHANGE_RULES /* its eligibility rules do not count */
};

struct change {
    enum change_kind kind;
    const char *name; /* NULL for those of an option */
    size_t option;    /* of which; DECIDE_NONE */
    double from, to;
    double relative;
    size_t then; /* the new winner; DECIDE_NONE: nobody */
};

/* CHANGE_NONE in ret->kind: none was found. */
void change_find(struct decide_problem *p, const struct decide_result *decided, struct change *ret);
/* Sets what it is about to `value` (change.to, or change.from to undo it). */
void change_set(struct decide_problem *p, const struct change *c, double value);
/* {"kind", "name", "treatment", "from", "to", "relative", "then", "text"}. Gives; JSON null for none. */
json_t *change_json(const struct decide_problem *p, const struct change *c);

#endif
