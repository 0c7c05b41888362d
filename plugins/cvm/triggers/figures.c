/* See figures.h. A figure is a number with its bound ("more than", "or less") and the word that says of what. */
#include "figures.h"
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NEAR 8 /* words around a number that may say what it counts */

static bool one_of(const char *word, const char *list) /* words parted by spaces; one that ends with * begins so */
{
    for (const char *at = list; *at; at += strspn(at, " ")) {
        size_t n = strcspn(at, " ");
        bool prefix = at[n - 1] == '*';
        if (prefix ? !strncmp(word, at, n - 1) : strlen(word) == n && !strncmp(word, at, n))
            return true;
        at += n;
    }
    return false;
}

static const char *word_at(const struct words *w, size_t i)
{
    return i < w->n ? w->word[i].folded : "";
}

/* Whether one of `list` stands within `span` words of `i`; it is marked. */
static bool near_by(const struct words *w, size_t i, size_t span, const char *list, bool *used)
{
    bool found = false;
    for (size_t k = i > span ? i - span : 0; k < w->n && k <= i + span; k++)
        if (one_of(w->word[k].folded, list))
            found = used[k] = true;
    return found;
}

/* A number in digits or in words, from word `i`; *ret_to: its last. */
static bool number_at(const struct words *w, size_t i, double *ret_value, size_t *ret_to)
{
    static const char *const small[] = {
        "zero", "one",    "two",    "three",    "four",     "five",    "six",     "seven",     "eight",    "nine",
        "ten",  "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"};
    static const char *const tens[] = {"twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"};
    const char *word = word_at(w, i);
    char digits[32];
    size_t n = 0;
    double v = NAN;
    if (*word == '#') {
        const char *end = w->text + w->word[i].end;
        for (const char *c = w->text + w->word[i].start; c < end && n + 1 < sizeof digits; c++)
            if (isdigit((unsigned char)*c) || (*c == '.' && n))
                digits[n++] = *c;
        digits[n] = 0;
        v = n ? strtod(digits, NULL) : NAN;
        if (end > w->text && (end[-1] == 'k' || end[-1] == 'K'))
            v *= 1000;
    }
    for (size_t k = 1; k < sizeof small / sizeof *small && isnan(v); k++)
        v = !strcmp(word, small[k]) ? (double)k : NAN;
    for (size_t k = 0; k < sizeof tens / sizeof *tens && isnan(v); k++)
        v = !strcmp(word, tens[k]) ? 20.0 + 10.0 * (double)k : NAN;
    if (isnan(v))
        v = !strcmp(word, "twice") ? 2 : !strcmp(word, "once") ? 1 : NAN;
    if (isnan(v))
        return false;
    for (*ret_to = i; one_of(word_at(w, *ret_to + 1), "hundred thousand million"); ++*ret_to) {
        const char *scale = word_at(w, *ret_to + 1);
        v *= *scale == 'h' ? 100 : *scale == 't' ? 1000 : 1e6;
    }
    *ret_value = v;
    return true;
}

enum bound { BOUND_NONE, BOUND_OVER, BOUND_LEAST, BOUND_UNDER, BOUND_MOST };

/* "more than", "no more than", ".. or more"; the words that say it are marked. */
static enum bound bound_of(const struct words *w, size_t from, size_t to, bool *used)
{
    enum bound bound = BOUND_NONE;
    for (size_t k = to + 1; k <= to + 3; k++) {
        bool said = one_of(word_at(w, k - 1), "or and") || k == to + 1;
        if (said && one_of(word_at(w, k), "more above over upwards plus older longer higher"))
            bound = BOUND_LEAST;
        else if (said && one_of(word_at(w, k), "less fewer under below younger lower"))
            bound = BOUND_MOST;
        else
            continue;
        used[k] = true;
        return bound;
    }
    for (size_t k = from > 3 ? from - 3 : 0; k < from; k++) {
        const char *word = w->word[k].folded;
        enum bound was = bound;
        if (one_of(word, "more over above exceed* beyond older longer higher greater past"))
            bound = BOUND_OVER;
        else if (one_of(word, "least minimum"))
            bound = BOUND_LEAST;
        else if (one_of(word, "under below less fewer younger lower"))
            bound = BOUND_UNDER;
        else if (one_of(word, "most maximum"))
            bound = BOUND_MOST;
        else
            continue;
        used[k] = true;
        if (k && one_of(w->word[k - 1].folded, "no not"))
            bound = bound == BOUND_OVER ? BOUND_MOST : bound == BOUND_UNDER ? BOUND_LEAST : was;
    }
    return bound;
}

#define FALL "fall* fell drop* decreas* declin* down less reduc* lost shrunk shrank lower*"
#define RISE "rise* rose risen grow* grew increas* up"
#define AWAY "abroad country roam* overseas away travel* foreign outside"

/* Which field a number stands for, by its unit and the words around; what one unit is of the field's. NULL: none. */
static const char *field_of(const struct words *w, size_t from, size_t to, bool *used, double *ret_unit, bool *ret_fall)
{
    const char *unit = word_at(w, to + 1);
    *ret_unit = 1;
    if (one_of(unit, "or and") || one_of(unit, "more less full whole consecutive"))
        unit = word_at(w, to + (one_of(unit, "or and") ? 3 : 2));
    if (one_of(unit, "percent per % pct") ||
        memchr(w->text + w->word[to].start, '%', w->word[to].end + 1 - w->word[to].start)) {
        if (near_by(w, from, NEAR, "dropped", used) && near_by(w, from, NEAR, "call calls rate", used) &&
            !near_by(w, from, NEAR, "usage use data", used))
            return "dropped_call_rate";
        *ret_fall = near_by(w, from, NEAR, FALL, used);
        if (!near_by(w, from, NEAR, "usage use uses using data minutes consumption", used))
            return NULL;
        return *ret_fall || near_by(w, from, NEAR, RISE, used) ? "usage_change_pct" : NULL;
    }
    if (one_of(unit, "gb gigabyte* gig gigs") || strstr(w->word[to].folded, "gb"))
        return "data_gb";
    if (one_of(unit, "minute* min mins") && near_by(w, from, NEAR, "call* voice talk* use* using usage month*", used))
        return "voice_minutes";
    if (one_of(unit, "mbps mbit* megabit*"))
        return "download_mbps";
    if (one_of(unit, "outage*"))
        return "outages_30d";
    if (one_of(unit, "day* night* week*") && near_by(w, from, NEAR, AWAY, used)) {
        *ret_unit = one_of(unit, "week*") ? 7 : 1;
        return "roaming_days_60";
    }
    if ((one_of(unit, "time* payment*") || one_of(w->word[from].folded, "twice once")) &&
        near_by(w, from, NEAR, "late overdue", used))
        return "late_payments_12m";
    if (near_by(w, from, 4, "age* old aged older younger", used))
        return "age";
    if (one_of(unit, "year*") || one_of(unit, "month*")) {
        *ret_unit = one_of(unit, "year*") ? 12 : 1;
        return "tenure_months";
    }
    if (near_by(w, from, 6, "spend* spent pay pays paying bill* worth", used)) {
        *ret_unit = 100;
        return "monthly_spend";
    }
    return NULL;
}

static void put(struct figure *x, const char *field, enum bound bound, double v, bool fall)
{
    snprintf(x->field, sizeof x->field, "%s", field);
    x->from = -INFINITY;
    x->to = INFINITY;
    if (fall) { /* a fall of more than 40 is a change below -40 */
        v = -v;
        bound = bound == BOUND_OVER    ? BOUND_UNDER
                : bound == BOUND_UNDER ? BOUND_OVER
                : bound == BOUND_MOST  ? BOUND_LEAST
                                       : BOUND_MOST;
    }
    if (bound == BOUND_OVER || bound == BOUND_LEAST)
        x->from = bound == BOUND_OVER ? nextafter(v, INFINITY) : v;
    else
        x->to = bound == BOUND_UNDER ? nextafter(v, -INFINITY) : v;
}

/* Those without a number: "usage has halved", "who pay late", "were abroad in the last 30 days". */
static size_t plain_ones(const struct words *w, bool *used, struct figure *figures, size_t n)
{
    for (size_t i = 0; i < w->n && n < FIGURES_MAX; i++) {
        const char *word = w->word[i].folded;
        if (one_of(word, "usage use") &&
            near_by(w, i, 4, "fallen falling fell dropped declined declining shrunk halved", used))
            put(&figures[n++], "usage_change_pct", BOUND_LEAST, near_by(w, i, 4, "halved", used) ? 50 : 30, true);
        else if (one_of(word, "pay pays paying paid payers payer") && near_by(w, i, 2, "late", used))
            put(&figures[n++], "late_payments_12m", BOUND_LEAST, 1, false);
        else if (one_of(word, "roamed abroad travelled overseas") &&
                 near_by(w, i, 3, "last past recently lately", used))
            put(&figures[n++], "roaming_days_60", BOUND_LEAST, 1, false);
        else
            continue;
        used[i] = true;
        return n;
    }
    return n;
}

size_t figures_read(const struct words *w, bool *used, struct figure ret_figures[FIGURES_MAX])
{
    size_t n = 0;
    bool *marks = calloc(w->n + 4, sizeof *marks);
    for (size_t i = 0, to; marks && i < w->n && n < FIGURES_MAX; i++) {
        double v, unit = 1;
        bool fall = false;
        if (!number_at(w, i, &v, &to))
            continue;
        memset(marks, 0, (w->n + 4) * sizeof *marks);
        enum bound bound = bound_of(w, i, to, marks);
        const char *field = bound == BOUND_NONE ? NULL : field_of(w, i, to, marks, &unit, &fall);
        bool same = false;
        for (size_t k = 0; field && k < n; k++)
            same |= !strcmp(ret_figures[k].field, field);
        if (field && !same) {
            put(&ret_figures[n++], field, bound, v * unit, fall);
            for (size_t k = i; k <= to + 1 && k < w->n; k++)
                marks[k] = true;
            for (size_t k = 0; k < w->n; k++)
                used[k] |= marks[k];
        }
        i = to;
    }
    if (!n && marks)
        n = plain_ones(w, used, ret_figures, n);
    free(marks);
    return n;
}

bool figures_fit(const struct figure *figures, size_t n, const struct cvm_facts *f)
{
    for (size_t i = 0; i < n; i++) {
        struct facts_value value;
        if (!facts_get(f, figures[i].field, &value))
            return false;
        double v = facts_number(&value.cell);
        if (!(v >= figures[i].from && v <= figures[i].to))
            return false;
    }
    return true;
}
