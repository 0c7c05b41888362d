/* Figures that a description names: "more than seven years", "usage has fallen by 40 percent", "paid late at least
 * three times", "over 60 years old". Each is a field of a customer (docs/reference/customers.md) and its bounds. Pure.
 */
#ifndef TRIGGERS_FIGURES_H
#define TRIGGERS_FIGURES_H

#include "../common/facts.h"
#include "words.h"

#define FIGURES_MAX 4

struct figure {
    char field[24];
    double from, to; /* from <= value <= to; infinite: open */
};

/* What the words name; `used` (a bool a word) gets those that say it. */
size_t figures_read(const struct words *w, bool *used, struct figure ret_figures[FIGURES_MAX]);
/* Whether a customer's figures are all within; one that is not known is not. */
bool figures_fit(const struct figure *figures, size_t n, const struct cvm_facts *f);

#endif
