/* See outcome.h. The constant is drawn to the mean of all rewards, the slopes to 0, each as by one more row. Any
 * thread. */
#include "outcome.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define RIDGE 1.0

struct outcome_model {
    size_t d;    /* with the constant */
    double mean; /* of all rewards */
    double sigma;
    double theta[OUTCOME_ACTIONS_MAX][OUTCOME_D];
    double (*inverse)[OUTCOME_D][OUTCOME_D]; /* by action; NULL: not asked for */
};

/* a (of size d, symmetric, positive) becomes its Cholesky factor. */
static void factor(double a[OUTCOME_D][OUTCOME_D], size_t d)
{
    for (size_t c = 0; c < d; c++) {
        double pivot = a[c][c];
        for (size_t k = 0; k < c; k++)
            pivot -= a[c][k] * a[c][k];
        a[c][c] = sqrt(fmax(pivot, RIDGE * 1e-9));
        for (size_t r = c + 1; r < d; r++) {
            double sum = a[r][c];
            for (size_t k = 0; k < c; k++)
                sum -= a[r][k] * a[c][k];
            a[r][c] = sum / a[c][c];
        }
    }
}

static void solve(const double l[OUTCOME_D][OUTCOME_D], size_t d, double *b)
{
    for (size_t r = 0; r < d; r++) {
        for (size_t k = 0; k < r; k++)
            b[r] -= l[r][k] * b[k];
        b[r] /= l[r][r];
    }
    for (size_t r = d; r-- > 0;) {
        for (size_t k = r + 1; k < d; k++)
            b[r] -= l[k][r] * b[k];
        b[r] /= l[r][r];
    }
}

static bool used(const unsigned char *fold, int left_out, size_t i)
{
    return !fold || fold[i] != left_out;
}

static void fit(struct outcome_model *m, const struct outcome_rows *rows, const unsigned char *fold, int left_out,
                int action, double a[OUTCOME_D][OUTCOME_D])
{
    double *b = m->theta[action], v[OUTCOME_D];
    memset(a, 0, sizeof(double[OUTCOME_D][OUTCOME_D]));
    for (size_t r = 0; r < m->d; r++)
        a[r][r] = RIDGE;
    v[0] = 1;
    for (size_t i = 0; i < rows->n; i++) {
        if (rows->action[i] != action || !used(fold, left_out, i))
            continue;
        if (rows->d)
            memcpy(v + 1, rows->x + i * rows->d, rows->d * sizeof *v);
        for (size_t r = 0; r < m->d; r++) {
            b[r] += v[r] * (rows->reward[i] - m->mean);
            for (size_t c = 0; c <= r; c++)
                a[r][c] += v[r] * v[c];
        }
    }
    factor(a, m->d);
    solve((const double(*)[OUTCOME_D])a, m->d, b);
    for (size_t c = 0; m->inverse && c < m->d; c++) {
        double column[OUTCOME_D] = {0};
        column[c] = 1;
        solve((const double(*)[OUTCOME_D])a, m->d, column);
        for (size_t r = 0; r < m->d; r++)
            m->inverse[action][r][c] = column[r];
    }
}

static void find_sigma(struct outcome_model *m, const struct outcome_rows *rows, const unsigned char *fold,
                       int left_out)
{
    double squares = 0;
    size_t n = 0;
    for (size_t i = 0; i < rows->n; i++) {
        if (!used(fold, left_out, i))
            continue;
        double miss = rows->reward[i] - outcome_predict(m, rows->x + i * rows->d, rows->action[i], NULL);
        squares += miss * miss;
        n++;
    }
    m->sigma = n ? sqrt(squares / (double)n) : 0;
}

struct outcome_model *outcome_learn(const struct outcome_rows *rows, const unsigned char *fold, int left_out,
                                    bool deviations)
{
    struct outcome_model *m = calloc(1, sizeof *m);
    double(*a)[OUTCOME_D] = malloc(sizeof(double[OUTCOME_D][OUTCOME_D])), sum = 0;
    size_t n = 0;
    assert(rows->d <= OUTCOME_FEATURES_MAX && rows->n_actions <= OUTCOME_ACTIONS_MAX);
    if (m && deviations)
        m->inverse = calloc(OUTCOME_ACTIONS_MAX, sizeof *m->inverse);
    if (!m || !a || (deviations && !m->inverse)) {
        free(a);
        outcome_free(m);
        return NULL;
    }
    for (size_t i = 0; i < rows->n; i++)
        if (used(fold, left_out, i)) {
            sum += rows->reward[i];
            n++;
        }
    m->d = rows->d + 1;
    m->mean = n ? sum / (double)n : 0;
    for (size_t k = 0; k < rows->n_actions; k++)
        fit(m, rows, fold, left_out, (int)k, a);
    if (deviations)
        find_sigma(m, rows, fold, left_out);
    free(a);
    return m;
}

void outcome_free(struct outcome_model *m)
{
    if (!m)
        return;
    free(m->inverse);
    free(m);
}

double outcome_predict(const struct outcome_model *m, const double *x, int action, double *ret_deviation)
{
    const double *theta = m->theta[action];
    double mean = m->mean + theta[0], variance = 0;
    for (size_t i = 1; i < m->d; i++)
        mean += theta[i] * x[i - 1];
    if (!ret_deviation)
        return mean;
    assert(m->inverse);
    for (size_t r = 0; r < m->d; r++) {
        double sum = 0;
        for (size_t c = 0; c < m->d; c++)
            sum += m->inverse[action][r][c] * (c ? x[c - 1] : 1);
        variance += sum * (r ? x[r - 1] : 1);
    }
    *ret_deviation = m->sigma * sqrt(fmax(variance, 0));
    return mean;
}
