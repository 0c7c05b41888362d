/* How figures are told; see bench_report.c. */
#ifndef TESTS_BENCH_BENCH_REPORT_H
#define TESTS_BENCH_BENCH_REPORT_H

#include "bench.h"

/* {"bench", "commit", "machine", "rows", "curves"}; the caller releases it. */
json_t *report_json(const struct row *rows, int n, const struct curve *curves, int n_curves);

/* By how much of it a row's ratio is worse than the recorded one: .2 is a fifth. -1: it is not compared. `recorded` may
 * be NULL. */
int report_loss(const struct row *row, const json_t *recorded, double *ret_loss);

void report_head(void);
void report_row(const struct row *row, const json_t *recorded);
void report_curve(const struct curve *curve);

/* Writes the recorded figures into a page, between <!-- figures --> or <!-- curves --> and <!-- end -->, in the order
 * of `known`. With only_check nothing is written: -1 where the page shows others. */
int report_page(const char *path, const json_t *recorded, const struct row *known, int n, int only_check);

#endif
