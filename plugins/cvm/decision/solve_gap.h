/* What the files of the generalised assignment problem share: each job to one agent, within the agents' capacities. */
#ifndef CVM_DECISION_SOLVE_GAP_H
#define CVM_DECISION_SOLVE_GAP_H

#include "solve_internal.h"

enum { GAP_MAX_CELLS = 4000000, GAP_MAX_CAPACITY = 200000, GAP_KNAPSACK_CELLS = 30000000 };

typedef struct gap {
    int agents;
    int jobs;
    double *profit; /* jobs x agents; -INFINITY: not to be */
    int *need;      /* jobs x agents */
    int *capacity;  /* agents */
    bool *open;     /* jobs x agents: may be part of a better assignment than the best one */
    double *price;  /* agents: of a unit of capacity, from the linear relaxation */
    double *worth;  /* jobs: the price of doing one, from the knapsack relaxation */
    int16_t *best;  /* jobs: the best feasible assignment, with best_value; -INFINITY: none yet */
    double best_value;
    double bound;
    double enough;   /* relative gap at which to stop */
    double step;     /* values are multiples of this (1 for whole numbers, 0: unknown) */
    bool infeasible; /* proven */
    uint64_t random;
    const solve_clock *clock;
    double deadline_ms; /* of the present phase, after the clock's start */
} gap;

/* Takes over an assignment that is feasible and better; says whether it was. */
bool gap__offer(gap *g, const int16_t *assignment);
bool gap__over(const gap *g);
/* Nothing better than the best can exist. */
bool gap__proven(const gap *g);
uint32_t gap__random(gap *g, uint32_t below);

/* Upper bounds by prices of jobs, one knapsack an agent; offers assignments by the way, closes what cannot be in a
 * better one. */
int gap__relax(gap *g, int rounds);
/* Tabu search over shifts and swaps from `start` (jobs), capacities as penalties; offers what is feasible. */
int gap__tabu(gap *g, const int16_t *start, long rounds);
/* Depth first over what is open, until all was seen or the deadline. */
int gap__branch(gap *g);

#endif
