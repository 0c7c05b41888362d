/* See gap_text.h. */
#include "gap_text.h"

#include <ctype.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONSUMPTION_MOST 1e6
#define VALUE_MOST 1e9

static bool wrong(char *why, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));
static bool wrong(char *why, size_t size, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(why, size, format, args);
    va_end(args);
    return false;
}

static bool grow(void **at, size_t *room, size_t n, size_t each)
{
    if (n < *room)
        return true;
    size_t more = *room ? *room * 2 : 1024;
    void *grown = realloc(*at, more * each);
    if (!grown)
        return false;
    *at = grown;
    *room = more;
    return true;
}

bool gap_text_line(struct gap_text *g, const char *line, size_t len, char *ret_why, size_t size)
{
    size_t field = 0, no = g->lines + 1;
    for (const char *at = line, *end = line + len;;) {
        while (at < end && isspace((unsigned char)*at))
            at++;
        if (at >= end)
            break;
        const char *stop = at;
        while (stop < end && !isspace((unsigned char)*stop))
            stop++;
        char *rest;
        double x = strtod(at, &rest);
        field++;
        if (rest != stop || !isfinite(x) || fabs(x) > VALUE_MOST)
            return wrong(ret_why, size, "line %zu, field %zu: \"%.*s\" is no number of at most %.0f", no, field,
                         (int)(stop - at > 40 ? 40 : stop - at), at, VALUE_MOST);
        if (g->n >= GAP_TEXT_MAX_NUMBERS)
            return wrong(ret_why, size, "line %zu: more than %d numbers", no, GAP_TEXT_MAX_NUMBERS);
        if (!grow((void **)&g->number, &g->room, g->n, sizeof *g->number))
            return wrong(ret_why, size, "out of memory");
        g->number[g->n++] = x;
        at = stop;
    }
    if (!grow((void **)&g->line_end, &g->line_room, g->lines, sizeof *g->line_end))
        return wrong(ret_why, size, "out of memory");
    g->line_end[g->lines++] = g->n;
    return true;
}

/* "line 12, field 3" of a number. */
static const char *place(const struct gap_text *g, size_t at, char text[64])
{
    size_t line = 0;
    while (line + 1 < g->lines && g->line_end[line] <= at)
        line++;
    snprintf(text, 64, "line %zu, field %zu", line + 1, at - (line ? g->line_end[line - 1] : 0) + 1);
    return text;
}

/* Agents and jobs of the problem that begins at `at`. */
static bool shape(const struct gap_text *g, size_t at, size_t *ret_agents, size_t *ret_jobs, char *why, size_t size)
{
    char text[64];
    if (at + 2 > g->n)
        return wrong(why, size, "line %zu: the file ends where \"agents jobs\" should stand", g->lines);
    for (size_t i = 0; i < 2; i++) {
        double x = g->number[at + i], most = i ? (double)SOLVE_MAX_CUSTOMERS : (double)SOLVE_MAX_COLUMNS;
        if (!(x >= 1 && x <= most) || x != floor(x))
            return wrong(why, size, "%s: the number of %s must be 1 to %.0f, got %g", place(g, at + i, text),
                         i ? "jobs" : "agents", most, x);
    }
    *ret_agents = (size_t)g->number[at];
    *ret_jobs = (size_t)g->number[at + 1];
    size_t cells = *ret_agents * *ret_jobs, have = g->n - at - 2;
    if (have >= 2 * cells + *ret_agents)
        return true;
    const char *part = have < cells ? "values" : have < 2 * cells ? "consumptions" : "capacities";
    size_t in = have < cells ? have : have < 2 * cells ? have - cells : have - 2 * cells;
    return wrong(why, size, "line %zu: the file ends after %zu of %zu %s (%zu agents, %zu jobs)", g->lines, in,
                 have < 2 * cells ? cells : *ret_agents, part, *ret_agents, *ret_jobs);
}

/* Where problem `which` begins. A file of one problem has its two sizes first, a collection the number of problems. */
static bool find(const struct gap_text *g, size_t which, size_t *ret_at, char *why, size_t size)
{
    char text[64];
    size_t first = 0;
    while (first < g->lines && g->line_end[first] == 0)
        first++;
    bool collection = first < g->lines && g->line_end[first] == 1;
    size_t problems = collection ? (size_t)fmax(0, g->number[0]) : 1, at = collection, agents = 0, jobs = 0;
    if (which < 1 || which > problems)
        return wrong(why, size, "the file has %zu problem%s, there is no number %zu", problems,
                     problems == 1 ? "" : "s", which);
    for (size_t i = 1;; i++) {
        if (!shape(g, at, &agents, &jobs, why, size))
            return false;
        if (i == which)
            break;
        at += 2 + 2 * agents * jobs + agents;
    }
    *ret_at = at;
    size_t end = at + 2 + 2 * agents * jobs + agents;
    return collection || g->n == end ||
           wrong(why, size, "%s: nothing is expected behind the %zu capacities", place(g, end, text), agents);
}

bool gap_text_problem(const struct gap_text *g, size_t which, bool minimise, struct gap_problem *ret, char *ret_why,
                      size_t size)
{
    struct gap_problem p = {0};
    char text[64];
    size_t at = 0, m = 0, n = 0;
    if (!find(g, which, &at, ret_why, size) || !shape(g, at, &m, &n, ret_why, size))
        return false;
    at += 2;
    p.value = malloc(m * n * sizeof *p.value);
    p.use = malloc(m * n * sizeof *p.use);
    p.rate = calloc(m * m, sizeof *p.rate);
    p.limit = calloc(m, sizeof *p.limit);
    bool ok = p.value && p.use && p.rate && p.limit;
    if (!ok)
        wrong(ret_why, size, "out of memory");
    for (size_t a = 0; ok && a < m * n; a++) {
        size_t to = a % n * m + a / n, use = at + m * n + a;
        p.value[to] = (float)(minimise ? -g->number[at + a] : g->number[at + a]);
        p.use[to] = (float)g->number[use];
        if (!(g->number[use] >= 0 && g->number[use] <= CONSUMPTION_MOST))
            ok = wrong(ret_why, size, "%s: the consumption of job %zu by agent %zu must be 0 to %.0f, got %g",
                       place(g, use, text), a % n, a / n, CONSUMPTION_MOST, g->number[use]);
    }
    for (size_t i = 0; ok && i < m; i++) {
        size_t capacity = at + 2 * m * n + i;
        p.rate[i * m + i] = 1;
        p.limit[i] = (solve_limit){"unit of capacity", g->number[capacity], 0, NULL, p.rate + i * m};
        if (g->number[capacity] < 0)
            ok = wrong(ret_why, size, "%s: the capacity of agent %zu must be >= 0, got %g", place(g, capacity, text), i,
                       g->number[capacity]);
    }
    if (!ok) {
        gap_problem_fini(&p);
        return false;
    }
    p.problem = (solve_problem){n, m, m, p.value, p.use, NULL, p.limit, 1, true};
    *ret = p;
    return true;
}

void gap_text_fini(struct gap_text *g)
{
    free(g->number);
    free(g->line_end);
    memset(g, 0, sizeof *g);
}

void gap_problem_fini(struct gap_problem *p)
{
    free(p->value);
    free(p->use);
    free(p->rate);
    free(p->limit);
    memset(p, 0, sizeof *p);
}
