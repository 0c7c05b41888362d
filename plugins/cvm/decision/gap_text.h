/* Generalised assignment problems as OR-Library writes them: `agents jobs`, then the values (or costs) of all jobs
 * agent by agent, the consumptions in the same way, and a capacity an agent; white space between. The library's own
 * collections begin with the number of problems. Pure; any thread. */
#ifndef CVM_DECISION_GAP_TEXT_H
#define CVM_DECISION_GAP_TEXT_H

#include "solve.h"

#define GAP_TEXT_MAX_NUMBERS 20000000

struct gap_text {
    double *number;
    size_t n, room;
    size_t *line_end; /* numbers until the end of each line */
    size_t lines, line_room;
};

/* A problem that was read, with the arrays that it points to. */
struct gap_problem {
    solve_problem problem;
    float *value, *use, *rate;
    solve_limit *limit;
};

/* Reads one more line. false: ret_why says which field of which line is wrong. */
bool gap_text_line(struct gap_text *g, const char *line, size_t len, char *ret_why, size_t size);
/* Problem `which` (from 1); `minimise` turns the values round. false: ret_why says what is wrong where. Gives. */
bool gap_text_problem(const struct gap_text *g, size_t which, bool minimise, struct gap_problem *ret, char *ret_why,
                      size_t size);
void gap_text_fini(struct gap_text *g);
void gap_problem_fini(struct gap_problem *p);

#endif
