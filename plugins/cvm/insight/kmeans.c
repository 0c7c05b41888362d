/* See kmeans.h. Any thread. */
#include "kmeans.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define STARTS 4
#define STEPS 60
#define SAMPLE 1500 /* rows for which silhouettes are taken */
#define LEAST_SILHOUETTE 0.1

static double uniform(uint64_t *state)
{
    uint64_t x = *state += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return (double)((x ^ x >> 31) >> 11) * 0x1p-53;
}

void kmeans_normalise(float *rows, size_t n, size_t dims)
{
    for (size_t d = 0; d < dims; d++) {
        double sum = 0, squares = 0, known = 0;
        for (size_t i = 0; i < n; i++)
            if (!isnan(rows[i * dims + d])) {
                known++;
                sum += rows[i * dims + d];
            }
        double mean = known > 0 ? sum / known : 0;
        for (size_t i = 0; i < n; i++)
            if (!isnan(rows[i * dims + d]))
                squares += (rows[i * dims + d] - mean) * (rows[i * dims + d] - mean);
        double deviation = known > 0 ? sqrt(squares / known) : 0;
        for (size_t i = 0; i < n; i++) {
            float *x = &rows[i * dims + d];
            *x = isnan(*x) || deviation < 1e-9 * (fabs(mean) + 1) ? 0 : (float)((*x - mean) / deviation);
        }
    }
}

static double distance(const float *row, const double *centre, size_t dims)
{
    double sum = 0;
    for (size_t d = 0; d < dims; d++)
        sum += (row[d] - centre[d]) * (row[d] - centre[d]);
    return sum;
}

static void put_centre(struct kmeans *m, size_t c, const float *row, size_t dims)
{
    for (size_t d = 0; d < dims; d++)
        m->centres[c][d] = row[d];
}

/* k-means++: each further centre is a row drawn by its squared distance to the nearest one so far. */
static void seed_centres(const float *rows, size_t n, size_t dims, size_t k, uint64_t *state, double *nearest,
                         struct kmeans *m)
{
    size_t at = (size_t)(uniform(state) * (double)n);
    m->k = 0;
    for (size_t i = 0; i < n; i++)
        nearest[i] = INFINITY;
    for (;;) {
        double sum = 0;
        put_centre(m, m->k, rows + at * dims, dims);
        for (size_t i = 0; i < n; i++) {
            nearest[i] = fmin(nearest[i], distance(rows + i * dims, m->centres[m->k], dims));
            sum += nearest[i];
        }
        m->k++;
        if (m->k == k || sum <= 1e-12)
            return;
        double target = uniform(state) * sum;
        at = n;
        for (size_t i = 0; i < n && (at == n || target >= 0); i++)
            if (nearest[i] > 0) {
                target -= nearest[i];
                at = i;
            }
    }
}

/* Gives each row its nearest centre. True: something changed. */
static bool assign(const float *rows, size_t n, size_t dims, struct kmeans *m, double *nearest, uint8_t *of)
{
    bool changed = false;
    m->inertia = 0;
    memset(m->sizes, 0, sizeof m->sizes);
    for (size_t i = 0; i < n; i++) {
        size_t best = 0;
        double least = INFINITY;
        for (size_t c = 0; c < m->k; c++) {
            double d = distance(rows + i * dims, m->centres[c], dims);
            if (d < least) {
                least = d;
                best = c;
            }
        }
        changed |= of[i] != best;
        of[i] = (uint8_t)best;
        nearest[i] = least;
        m->sizes[best]++;
        m->inertia += least;
    }
    return changed;
}

/* An empty cluster takes the row that is farthest from its centre. */
static void fill_empty(const float *rows, size_t n, size_t dims, struct kmeans *m, double *nearest, uint8_t *of)
{
    for (size_t c = 0; c < m->k; c++) {
        size_t far = n;
        if (m->sizes[c])
            continue;
        for (size_t i = 0; i < n; i++)
            if (m->sizes[of[i]] > 1 && (far == n || nearest[i] > nearest[far]))
                far = i;
        if (far == n)
            continue;
        m->sizes[of[far]]--;
        of[far] = (uint8_t)c;
        m->sizes[c] = 1;
        nearest[far] = 0;
        put_centre(m, c, rows + far * dims, dims);
    }
}

static void move_centres(const float *rows, size_t n, size_t dims, struct kmeans *m, const uint8_t *of)
{
    memset(m->centres, 0, sizeof m->centres);
    for (size_t i = 0; i < n; i++)
        for (size_t d = 0; d < dims; d++)
            m->centres[of[i]][d] += rows[i * dims + d];
    for (size_t c = 0; c < m->k; c++)
        for (size_t d = 0; d < dims && m->sizes[c]; d++)
            m->centres[c][d] /= (double)m->sizes[c];
}

/* The largest first; `of` is renumbered. */
static void order(struct kmeans *m, uint8_t *of, size_t n)
{
    struct kmeans was = *m;
    uint8_t at[KMEANS_MAX];
    size_t sorted[KMEANS_MAX];
    for (size_t c = 0; c < m->k; c++) {
        size_t i = c;
        for (; i > 0 && was.sizes[sorted[i - 1]] < was.sizes[c]; i--)
            sorted[i] = sorted[i - 1];
        sorted[i] = c;
    }
    for (size_t c = 0; c < m->k; c++) {
        m->sizes[c] = was.sizes[sorted[c]];
        memcpy(m->centres[c], was.centres[sorted[c]], sizeof m->centres[c]);
        at[sorted[c]] = (uint8_t)c;
    }
    for (size_t i = 0; i < n; i++)
        of[i] = at[of[i]];
}

void kmeans_settle(const float *rows, size_t n, size_t dims, struct kmeans *m, double *nearest, uint8_t *of)
{
    memset(of, 0, n);
    for (int step = 0; step < STEPS; step++) {
        bool changed = assign(rows, n, dims, m, nearest, of);
        fill_empty(rows, n, dims, m, nearest, of);
        if (step && !changed)
            break;
        move_centres(rows, n, dims, m, of);
    }
}

bool kmeans_run(const float *rows, size_t n, size_t dims, size_t k, uint64_t seed, uint8_t *ret_of,
                struct kmeans *ret_kmeans)
{
    double *nearest = malloc((n ? n : 1) * sizeof *nearest);
    uint8_t *of = malloc(n ? n : 1);
    struct kmeans best = {.inertia = INFINITY};
    assert(n > 0 && k >= 1 && k <= KMEANS_MAX && dims <= KMEANS_DIMS_MAX);
    for (int start = 0; nearest && of && start < STARTS; start++) {
        struct kmeans m = {0};
        seed_centres(rows, n, dims, k, &seed, nearest, &m);
        kmeans_settle(rows, n, dims, &m, nearest, of);
        if (m.inertia < best.inertia) {
            best = m;
            memcpy(ret_of, of, n);
        }
    }
    bool made = nearest && of;
    free(nearest);
    free(of);
    if (!made)
        return false;
    order(&best, ret_of, n);
    *ret_kmeans = best;
    return true;
}

double kmeans_silhouette(const float *rows, size_t n, size_t dims, const uint8_t *of, size_t k)
{
    double whole = 0;
    size_t sizes[KMEANS_MAX] = {0};
    for (size_t i = 0; i < n; i++)
        sizes[of[i]]++;
    for (size_t i = 0; i < n; i++) {
        double sums[KMEANS_MAX] = {0}, other = INFINITY;
        for (size_t j = 0; j < n; j++) {
            double sum = 0;
            for (size_t d = 0; d < dims; d++)
                sum += (rows[i * dims + d] - rows[j * dims + d]) * (rows[i * dims + d] - rows[j * dims + d]);
            sums[of[j]] += sqrt(sum);
        }
        for (size_t c = 0; c < k; c++)
            if (c != of[i] && sizes[c])
                other = fmin(other, sums[c] / (double)sizes[c]);
        if (sizes[of[i]] < 2 || isinf(other))
            continue;
        double own = sums[of[i]] / (double)(sizes[of[i]] - 1), larger = fmax(own, other);
        whole += larger > 0 ? (other - own) / larger : 0;
    }
    return n ? whole / (double)n : 0;
}

size_t kmeans_choose(const float *rows, size_t n, size_t dims, size_t most, uint64_t seed, double *ret_silhouette)
{
    size_t taken = n < SAMPLE ? n : SAMPLE, best_k = 1;
    float *sample = malloc((taken ? taken : 1) * dims * sizeof *sample);
    uint8_t *of = malloc(taken ? taken : 1);
    double best = LEAST_SILHOUETTE;
    for (size_t i = 0; sample && i < taken; i++)
        memcpy(sample + i * dims, rows + i * n / taken * dims, dims * sizeof *sample);
    for (size_t k = 2; sample && of && k <= most && k <= KMEANS_MAX && k < taken; k++) {
        struct kmeans m;
        if (!kmeans_run(sample, taken, dims, k, seed, of, &m) || m.k < k)
            break;
        double s = kmeans_silhouette(sample, taken, dims, of, k);
        if (s > best) {
            best = s;
            best_k = k;
        }
    }
    free(sample);
    free(of);
    *ret_silhouette = best_k > 1 ? best : 0;
    return best_k;
}
