/* The maximum of a smooth function of few positive parameters, over their logarithms: BFGS with the exact gradient
 * (Nocedal & Wright 2006, chapter 6). Pure; any thread. */
#ifndef LIFECYCLE_LEARN_MAXIMUM_H
#define LIFECYCLE_LEARN_MAXIMUM_H

#include <stdbool.h>
#include <stddef.h>

#define MAXIMUM_D 4

/* Value at the parameters, and its derivatives by them. Not finite: outside of where it is defined. */
typedef double (*maximum_function)(const double *parameters, double *ret_gradient, void *arg);

struct maximum {
    bool converged;
    int steps;
    double value, parameters[MAXIMUM_D];
    double errors[MAXIMUM_D]; /* by the curvature, where the value is a log-likelihood; NAN: it is not curved */
};

/* From `parameters`, all above 0; d <= MAXIMUM_D. `scale` is how many observations the value stands for. */
struct maximum maximum_find(maximum_function f, void *arg, const double *parameters, size_t d, double scale);

#endif
