/* Customers who buy at times and leave unseen: how often they will buy, whether they are still there, what they will
 * spend. Pure; any thread.
 *
 *     BG/NBD       Fader, Hardie & Lee 2005, "Counting your customers" the easy way: buying is Poisson with a rate from
 *                  Gamma(r, alpha), after each purchase a customer leaves with a chance from Beta(a, b)
 *     Gamma-Gamma  Fader & Hardie 2013, "The Gamma-Gamma model of monetary value"
 *
 * Both by maximum likelihood over the logarithms of the parameters: BFGS with the exact gradient. */
#ifndef LIFECYCLE_LEARN_BGNBD_H
#define LIFECYCLE_LEARN_BGNBD_H

#include <stdbool.h>
#include <stddef.h>

/* A customer: `frequency` repeat purchases, the last one at `recency`, seen for `age`; times in one unit since the
 * first purchase, 0 <= recency <= age, recency > 0 where frequency > 0. */
struct clv_customer {
    double frequency, recency, age;
    double spend; /* mean of a repeat purchase; below or at 0: not known */
};

#define CLV_PARAMETERS_MAX 4

struct clv_fit {
    bool converged;                        /* to a maximum that decides the parameters; else: the best there was */
    size_t n;                              /* parameters */
    double parameters[CLV_PARAMETERS_MAX]; /* r, alpha, a, b; of Gamma-Gamma p, q, v */
    double errors[CLV_PARAMETERS_MAX];     /* standard errors, by the curvature at the maximum; NAN: not known */
    double log_likelihood;                 /* without the penalty */
    size_t customers;                      /* that it was made of */
    int steps;
};

/* A standard error above so many times its parameter leaves that undecided. */
#define CLV_ERROR_MAX 3.0

/* `penalty` times the sum of the squared logarithms is taken from the mean log-likelihood: 0 is maximum likelihood, a
 * little (0.001, for few customers 0.01) holds parameters that customers leave undecided. */
struct clv_fit bgnbd_fit(const struct clv_customer *customers, size_t n, double penalty);
/* Whether a customer is still there, and expected purchases from now on within `horizon`. */
double bgnbd_alive(const double parameters[4], const struct clv_customer *c);
double bgnbd_expected(const double parameters[4], const struct clv_customer *c, double horizon);
double bgnbd_log_likelihood(const double parameters[4], const struct clv_customer *c);

/* Of customers with a repeat purchase and a known spend. */
struct clv_fit gamma_gamma_fit(const struct clv_customer *customers, size_t n);
/* Expected mean spend of a purchase; of a customer without a repeat purchase that of all. NAN: the mean is infinite
 * (q <= 1) and nothing is known of the customer. */
double gamma_gamma_expected(const double parameters[3], const struct clv_customer *c);

/* The hypergeometric function 2F1(a, b; c; z) for 0 <= z < 1 and positive a, b, c. */
double clv_hypergeometric(double a, double b, double c, double z);

#endif
