/* See maximum.h. Any thread. */
#include "maximum.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#define STEPS 500
#define FLAT 1e-7  /* of the gradient by the logarithms, per observation */
#define LIMIT 40.0 /* of a logarithm */
#define CURVE 1e-4 /* of a logarithm, for second derivatives */

struct hill {
    maximum_function f;
    void *arg;
    size_t d;
    double scale;
};

/* Minus the value per observation at logarithms u, and its gradient by them. */
static double at(const struct hill *h, const double *u, double *ret_gradient)
{
    double p[MAXIMUM_D];
    for (size_t i = 0; i < h->d; i++) {
        if (!(fabs(u[i]) < LIMIT))
            return HUGE_VAL;
        p[i] = exp(u[i]);
    }
    double value = -h->f(p, ret_gradient, h->arg) / h->scale;
    for (size_t i = 0; i < h->d; i++)
        ret_gradient[i] *= -p[i] / h->scale;
    return isfinite(value) ? value : HUGE_VAL;
}

static double dot(const double *a, const double *b, size_t d)
{
    double sum = 0;
    for (size_t i = 0; i < d; i++)
        sum += a[i] * b[i];
    return sum;
}

static void identity(double b[MAXIMUM_D][MAXIMUM_D])
{
    memset(b, 0, sizeof(double[MAXIMUM_D][MAXIMUM_D]));
    for (size_t i = 0; i < MAXIMUM_D; i++)
        b[i][i] = 1;
}

/* The inverse curvature b learns from a step s over which the gradient changed by y. */
static void update(double b[MAXIMUM_D][MAXIMUM_D], const double *s, const double *y, size_t d)
{
    double sy = dot(s, y, d), by[MAXIMUM_D];
    if (sy <= 1e-12 * sqrt(dot(s, s, d) * dot(y, y, d)))
        return;
    for (size_t i = 0; i < d; i++)
        by[i] = dot(b[i], y, d);
    double yby = dot(y, by, d);
    for (size_t i = 0; i < d; i++)
        for (size_t k = 0; k < d; k++)
            b[i][k] += (1 + yby / sy) * s[i] * s[k] / sy - (by[i] * s[k] + s[i] * by[k]) / sy;
}

/* A step downhill: false where there is none to be found. */
static bool step(const struct hill *h, double b[MAXIMUM_D][MAXIMUM_D], double *u, double *value, double *gradient)
{
    double way[MAXIMUM_D], next[MAXIMUM_D], there[MAXIMUM_D] = {0}, s[MAXIMUM_D], y[MAXIMUM_D], length = 0;
    for (size_t i = 0; i < h->d; i++) {
        way[i] = -dot(b[i], gradient, h->d);
        length = fmax(length, fabs(way[i]));
    }
    double slope = dot(way, gradient, h->d), t = length > 2 ? 2 / length : 1;
    if (!(slope < 0))
        return false;
    for (int i = 0; i < 60; i++, t /= 2) {
        for (size_t k = 0; k < h->d; k++)
            next[k] = u[k] + t * way[k];
        double reached = at(h, next, there);
        if (!(reached <= *value + 1e-4 * t * slope))
            continue;
        for (size_t k = 0; k < h->d; k++) {
            s[k] = next[k] - u[k];
            y[k] = there[k] - gradient[k];
        }
        update(b, s, y, h->d);
        memcpy(u, next, sizeof next);
        memcpy(gradient, there, sizeof there);
        *value = reached;
        return true;
    }
    return false;
}

/* The inverse of a small symmetric matrix that should be positive; false: it is not. */
static bool inverted(double a[MAXIMUM_D][MAXIMUM_D], size_t d, double ret[MAXIMUM_D][MAXIMUM_D])
{
    identity(ret);
    for (size_t c = 0; c < d; c++) { /* positive: no pivoting; each pivot is a determinant's factor */
        if (!(a[c][c] > 0))
            return false;
        for (size_t r = 0; r < d; r++) {
            double f = a[r][c] / a[c][c];
            for (size_t k = 0; r != c && k < d; k++) {
                a[r][k] -= f * a[c][k];
                ret[r][k] -= f * ret[c][k];
            }
        }
    }
    for (size_t r = 0; r < d; r++)
        for (size_t k = 0; k < d; k++)
            ret[r][k] /= a[r][r];
    return true;
}

static void find_errors(const struct hill *h, const double *u, struct maximum *m)
{
    double curvature[MAXIMUM_D][MAXIMUM_D] = {{0}}, inverse[MAXIMUM_D][MAXIMUM_D], place[MAXIMUM_D],
           up[MAXIMUM_D] = {0}, down[MAXIMUM_D] = {0};
    for (size_t i = 0; i < h->d; i++) {
        memcpy(place, u, sizeof place);
        place[i] = u[i] + CURVE;
        at(h, place, up);
        place[i] = u[i] - CURVE;
        at(h, place, down);
        for (size_t k = 0; k < h->d; k++) {
            double second = (up[k] - down[k]) / (2 * CURVE) * h->scale;
            curvature[i][k] += second / 2;
            curvature[k][i] += second / 2;
        }
    }
    bool known = inverted(curvature, h->d, inverse);
    for (size_t i = 0; i < h->d; i++)
        m->errors[i] = known && inverse[i][i] > 0 ? m->parameters[i] * sqrt(inverse[i][i]) : NAN;
}

struct maximum maximum_find(maximum_function f, void *arg, const double *parameters, size_t d, double scale)
{
    struct hill h = {f, arg, d, scale};
    struct maximum m = {0};
    double u[MAXIMUM_D] = {0}, gradient[MAXIMUM_D] = {0}, b[MAXIMUM_D][MAXIMUM_D];
    assert(d <= MAXIMUM_D && scale > 0);
    for (size_t i = 0; i < d; i++)
        u[i] = log(parameters[i]);
    double value = at(&h, u, gradient);
    identity(b);
    bool fresh = true;
    for (; isfinite(value) && m.steps < STEPS && !m.converged; m.steps++) {
        double steepest = 0;
        for (size_t i = 0; i < d; i++)
            steepest = fmax(steepest, fabs(gradient[i]));
        m.converged = steepest < FLAT;
        if (m.converged)
            break;
        if (step(&h, b, u, &value, gradient)) {
            fresh = false;
            continue;
        }
        if (fresh) /* not even straight downhill: rounding is all that is left */
            break;
        identity(b);
        fresh = true;
    }
    m.value = -value * scale;
    for (size_t i = 0; i < d; i++)
        m.parameters[i] = exp(u[i]);
    find_errors(&h, u, &m);
    return m;
}
