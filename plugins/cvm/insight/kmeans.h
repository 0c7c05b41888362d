/* k-means over rows of figures that were brought to one scale: k-means++ to begin with, Lloyd's steps, no empty
 * cluster. The same rows and seed give the same clusters. Pure; any thread. */
#ifndef CVM_INSIGHT_KMEANS_H
#define CVM_INSIGHT_KMEANS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KMEANS_MAX 20 /* clusters */
#define KMEANS_DIMS_MAX 8

struct kmeans {
    size_t k; /* fewer than asked for where there are fewer different rows */
    size_t sizes[KMEANS_MAX];
    double centres[KMEANS_MAX][KMEANS_DIMS_MAX];
    double inertia; /* sum of squared distances to the centres */
};

/* Brings each column to mean 0 and deviation 1; NAN (unknown) becomes 0, the mean. A column without deviation or
 * without any value becomes 0. `rows` is n x dims. */
void kmeans_normalise(float *rows, size_t n, size_t dims);

/* Clusters n > 0 rows; ret_of (n places) gets each row's cluster. The best of a few starts. Clusters are in order of
 * size, the largest first. False: no memory. */
bool kmeans_run(const float *rows, size_t n, size_t dims, size_t k, uint64_t seed, uint8_t *ret_of,
                struct kmeans *ret_kmeans);

/* Lloyd's steps from the k centres of `m` until nothing moves; a cluster that loses its last row gets the row that is
 * farthest from its own centre. `nearest` and `of` have n places. */
void kmeans_settle(const float *rows, size_t n, size_t dims, struct kmeans *m, double *nearest, uint8_t *of);

/* The k from 2 to `most` whose clusters are best apart, by the mean silhouette of a sample. 1: nothing tells apart. */
size_t kmeans_choose(const float *rows, size_t n, size_t dims, size_t most, uint64_t seed, double *ret_silhouette);

/* Mean silhouette of rows in clusters `of`, -1 to 1. n^2 steps. */
double kmeans_silhouette(const float *rows, size_t n, size_t dims, const uint8_t *of, size_t k);

#endif
