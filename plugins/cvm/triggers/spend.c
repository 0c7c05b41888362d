/* Where a base parts into many and few by what they spend; see base.h. Pure; any thread. */
#include "base.h"
#include <math.h>

#define BREAK 1.6  /* a step up by this factor parts two kinds of customers */
#define NEARLY .65 /* the lowest of the breaks that are about as wide as the widest */
#define ENOUGH 10  /* customers, to speak of a distribution */

double spend_break(const double *v, size_t n, double share_top)
{
    if (n < ENOUGH)
        return NAN;
    size_t from = n * 7 / 10, to = n * 97 / 100;
    double widest = 0;
    for (size_t i = from; i + 1 <= to && i + 1 < n; i++)
        if (v[i] > 0 && v[i + 1] / v[i] > widest)
            widest = v[i + 1] / v[i];
    for (size_t i = from; widest >= BREAK && i + 1 <= to && i + 1 < n; i++)
        if (v[i] > 0 && v[i + 1] / v[i] >= BREAK && v[i + 1] / v[i] >= widest * NEARLY)
            return v[i + 1];
    size_t at = (size_t)((double)n * (1 - share_top));
    return v[at < n ? at : n - 1];
}
