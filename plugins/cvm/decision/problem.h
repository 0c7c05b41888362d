/* A decision's problem, made of what recommend_treatment is given, and what came out of it as JSON and as sentences.
 * Pure but for allocation; any thread. */
#ifndef CVM_DECISION_PROBLEM_H
#define CVM_DECISION_PROBLEM_H

#include "change.h"

#define EXPLANATION_SIZE 1024

struct problem {
    struct decide_problem p;
    struct decide_result r; /* after problem_decide */
    struct decide_verdict *verdicts;
    json_t *triggers;      /* held: signals and patterns of the journey */
    const json_t *journey; /* borrowed, as are all texts in the options */
    json_t *insights;      /* held */
    json_t *ignore;        /* held: its record, where the catalogue has none */
};

/* What a caller gives; any may be NULL. Borrowed as long as the problem is there. */
struct problem_given {
    const json_t *journey;
    const json_t *treatments;  /* array of records, or an object by id */
    const json_t *constraints; /* object by id: remaining, cost_per_contact_pounds, priority */
    const json_t *permissions; /* object of booleans; NULL: those of the journey */
    const json_t *excluded;    /* array of ids */
    const char *excluded_one;
    const json_t *unavailable; /* object id -> sentence: tried in vain */
    const json_t *verdicts;    /* object id -> answer of the treatment's own check */
};

/* CVM_EINVAL: ret_why says which record cannot be read. Gives; free with problem_free. */
CVM_MUST_USE int problem_make(const struct problem_given *given, struct problem **ret, char *ret_why, size_t size);
void problem_free(struct problem *p);
void problem_decide(struct problem *p);
/* The option of that id that is a candidate; DECIDE_NONE: there is none. After problem_decide. */
size_t problem_candidate(const struct problem *p, const char *id);
size_t problem_find(const struct problem *p, const char *id);

/* Why the option `chosen`, in one to four sentences with facts of the journey. */
void problem_explain(const struct problem *p, size_t chosen, char text[EXPLANATION_SIZE]);
/* How sure: the distance to the next, 0 to 1. */
double problem_confidence(const struct problem *p, size_t chosen);
/* The reply's members about the choice: selected_treatment, treatment_name, confidence, considered, runner_up, change,
 * permissions_applied. Gives. */
json_t *problem_answer(struct problem *p, size_t chosen, bool with_change);

#endif
