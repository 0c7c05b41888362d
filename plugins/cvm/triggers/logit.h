/* Logistic regression with L2: iteratively reweighted least squares (Newton). Dense and small. Pure; any thread. */
#ifndef TRIGGERS_LOGIT_H
#define TRIGGERS_LOGIT_H

#include <stddef.h>

#define LOGIT_COLUMNS_MAX 256

/* `x`: n rows of `k` columns, the first of which is 1 (not penalised); y: 0 or 1; weight may be NULL. ret_beta[k].
 * CVM_ENOMEM, CVM_EDATA: it does not converge. */
int logit_fit(const double *x, const double *y, const double *weight, size_t n, size_t k, double l2, double *ret_beta);
double logit_score(const double *beta, const double *row, size_t k); /* the log-odds */
double logit_chance(double log_odds);

/* How good scores are. */
double logit_auc(const double *chance, const double *y, size_t n);
double logit_brier(const double *chance, const double *y, size_t n);
/* Slope and intercept of y on the log-odds: 1 and 0 where what is said holds. */
int logit_calibration(const double *chance, const double *y, size_t n, double *ret_slope, double *ret_intercept);

#endif
