/* Which line of business a message is about, and whether it is about several (service.md 12.1). Words weigh; where they
 * stand decides between "several" and "in passing". Pure. Any thread. */
#include "reading.h"
#include <stdio.h>
#include <string.h>

#define LONG_TOKENS 30 /* from here on a domain named in passing is likelier than a second request */

/* ---- clauses ------------------------------------------------------------------------------------------------------
 */

static bool joins_clauses(const struct text *x, size_t i)
{
    static const char *const words[] = {"and",     "also",     "plus",  "then",   "but", "while",
                                        "another", "secondly", "again", "sannan", "kuma"};
    for (size_t w = 0; w < sizeof words / sizeof *words; w++)
        if (*text_word(x, i) == *words[w] && !strcmp(text_word(x, i), words[w]))
            return true;
    return strcmp(text_word(x, i), "\xF0\x9F\x91\x89") == 0;
}

static void cut_clauses(struct reading *r)
{
    size_t n = 0, from = 0;
    const struct text *x = r->text;
    for (size_t i = 0; i < x->n; i++) {
        bool end =
            i + 1 == x->n || (x->tokens[i].flags & (TOKEN_SENTENCE_END | TOKEN_CLAUSE_END)) || joins_clauses(x, i + 1);
        if (!end)
            continue;
        if (n < CLAUSES_MAX)
            r->clauses[n++] = (struct clause){.from = from, .to = i + 1, .domain = -1, .owner = -1};
        else
            r->clauses[n - 1].to = i + 1;
        from = i + 1;
    }
    r->n_clauses = n;
}

static bool holds(const struct clause *c, size_t token)
{
    return token >= c->from && token < c->to;
}

static bool holds_any(const struct clause *c, const uint16_t *at, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (holds(c, at[i]))
            return true;
    return false;
}

static bool holds_name(const struct reading *r, const struct clause *c, enum vocabulary_group group)
{
    for (size_t m = 0; m < r->n; m++)
        for (uint32_t l = r->matches[m].label; l; l = r->v->labels[l - 1].next)
            if (r->v->labels[l - 1].group == group && holds(c, r->matches[m].start))
                return true;
    return false;
}

/* "500 MTN for 0803.." is airtime and "3k for AEDC" electricity, though no word says so. */
static void weigh_names(const struct reading *r, const struct clause *c, int score[VOCABULARY_DOMAINS_MAX])
{
    const struct entities *e = &r->u->entities;
    int airtime = vocabulary_domain(r->v, "AIRTIME"), power = vocabulary_domain(r->v, "POWER"), other = 0;
    for (size_t d = 0; d < r->v->n_domains; d++)
        other = score[d] > other && (int)d != airtime ? score[d] : other;
    if (power >= 0 && (holds_any(c, e->meter_at, e->n_meters) || holds_name(r, c, GROUP_DISCO)))
        score[power] += 3;
    else if (airtime >= 0 && other < 2 && holds_any(c, e->amount_at, e->n_amounts))
        score[airtime] += holds_name(r, c, GROUP_NETWORK) ? 3 : holds_any(c, e->phone_at, e->n_phones) ? 2 : 0;
}

static void weigh_clause(const struct reading *r, const struct clause *c, int score[VOCABULARY_DOMAINS_MAX])
{
    for (size_t i = 0; i < r->n; i++) {
        if (r->hidden[i][0] || !holds(c, r->matches[i].start))
            continue;
        for (uint32_t l = r->matches[i].label; l; l = r->v->labels[l - 1].next) {
            const struct vocabulary_label *label = &r->v->labels[l - 1];
            if (label->group == GROUP_DOMAIN && label->index != VOCABULARY_NO_DOMAIN)
                score[label->index] += label->weight;
        }
    }
}

static bool clause_asks(const struct reading *r, const struct clause *c)
{
    uint64_t idle = vocabulary_signal(r->v, "own") | vocabulary_signal(r->v, "greeting") |
                    vocabulary_signal(r->v, "noun") | vocabulary_signal(r->v, "area");
    for (size_t t = c->from; t < c->to; t++)
        if (r->text->tokens[t].kind == TOKEN_NUMBER || (r->text->tokens[t].flags & TOKEN_QUESTION))
            return true;
    for (size_t i = 0; i < r->n; i++) {
        if (r->hidden[i][2] || !holds(c, r->matches[i].start))
            continue;
        for (uint32_t l = r->matches[i].label; l; l = r->v->labels[l - 1].next)
            if (r->v->labels[l - 1].group == GROUP_SIGNAL && !(idle & UINT64_C(1) << r->v->labels[l - 1].index))
                return true;
    }
    return false;
}

/* Which domain each clause speaks of: the one with clearly the most weight in it. */
static void name_clauses(struct reading *r)
{
    for (size_t n = 0; n < r->n_clauses; n++) {
        struct clause *c = &r->clauses[n];
        int score[VOCABULARY_DOMAINS_MAX] = {0}, best = 0, second = 0, at = -1;
        weigh_clause(r, c, score);
        weigh_names(r, c, score);
        for (size_t d = 0; d < r->v->n_domains; d++) {
            if (score[d] > best) {
                second = best;
                best = score[d];
                at = (int)d;
            } else if (score[d] > second) {
                second = score[d];
            }
        }
        c->domain = best > second ? at : -1;
        c->weight = best - second;
        c->asks = clause_asks(r, c);
    }
}

static void own_clauses(struct reading *r)
{
    int owner = -1;
    for (size_t n = 0; n < r->n_clauses; n++) {
        owner = r->clauses[n].domain >= 0 ? r->clauses[n].domain : owner;
        r->clauses[n].owner = owner;
    }
    for (size_t n = r->n_clauses; n-- > 0;) {
        owner = r->clauses[n].owner >= 0 ? r->clauses[n].owner : owner;
        r->clauses[n].owner = owner;
    }
}

/* ---- parts --------------------------------------------------------------------------------------------------------
 */

static void add_part(struct understanding *u, int domain, uint32_t start, uint32_t end)
{
    for (size_t p = 0; p < u->n_parts; p++) {
        if (u->parts[p].domain == domain) {
            u->parts[p].end = end;
            return;
        }
    }
    if (u->n_parts < UNDERSTANDING_PARTS_MAX)
        u->parts[u->n_parts++] =
            (struct understanding_part){.domain = (uint8_t)domain, .leaf = -1, .start = start, .end = end};
}

/* MULTI: two domains, each leading clauses of its own with weight. A word in passing is not enough (D-116). */
static void find_parts(struct reading *r)
{
    int lead[VOCABULARY_DOMAINS_MAX] = {0}, strongest = 0;
    for (size_t n = 0; n < r->n_clauses; n++) {
        const struct clause *c = &r->clauses[n];
        if (c->domain < 0 || (r->text->n > LONG_TOKENS && !c->asks))
            continue;
        lead[c->domain] += c->weight;
        strongest = lead[c->domain] > strongest ? lead[c->domain] : strongest;
    }
    for (size_t n = 0; n < r->n_clauses; n++) {
        const struct clause *c = &r->clauses[n];
        if (c->domain >= 0 && lead[c->domain] >= PART_LEAST && lead[c->domain] * 3 >= strongest)
            add_part(r->u, c->domain, r->text->tokens[c->from].start, r->text->tokens[c->to - 1].end);
    }
}

/* ---- the decision -------------------------------------------------------------------------------------------------
 */

static bool wants_of_a_line(const struct reading *r)
{
    static const char *const names[] = {"history", "balance",   "not_received", "debited", "failed", "refund",
                                        "overdue", "duplicate", "wrong_target", "share",   "stop",   "barring"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (reading_signal(r, names[i]))
            return true;
    return false;
}

/* Names and numbers speak for a domain where words leave it open. */
static void weigh_entities(struct reading *r)
{
    const struct entities *e = &r->u->entities;
    int airtime = vocabulary_domain(r->v, "AIRTIME"), power = vocabulary_domain(r->v, "POWER"),
        data = vocabulary_domain(r->v, "DATA");
    int units = data < 0 ? 0 : r->score[data], light = power < 0 ? 0 : r->score[power];
    bool meter = e->n_discos || e->n_meters;
    if (power >= 0)
        r->score[power] += (e->n_discos ? 3 : 0) + (e->n_meters ? 3 : 0);
    if (data >= 0)
        r->score[data] += e->size_named ? 3 : 0;
    if (airtime < 0 || units >= 3 || e->size_named)
        return;
    if ((e->n_networks || e->n_phones) && e->n_amounts && light < 2)
        r->score[airtime] += 2 + (e->n_networks != 0);
    /* A sum, a network and a number, and nothing to be lit by it: an order, whatever else the customer tells. */
    if (e->n_networks && e->n_phones && e->n_amounts && !meter)
        r->score[airtime] += 4;
    /* A mobile number is a line's, where nothing says otherwise. */
    if (e->n_phones && !meter && r->score[airtime] < 2 && light < 2 && units < 2 && wants_of_a_line(r))
        r->score[airtime] += 2;
}

/* The whole message is one domain's. */
static void claim(struct reading *r, int domain)
{
    for (size_t d = 0; d < r->v->n_domains; d++)
        if ((int)d != domain && r->score[d] >= r->score[domain])
            r->score[domain] = r->score[d] + 1;
    for (size_t n = 0; n < r->n_clauses; n++)
        r->clauses[n].domain = r->clauses[n].owner = domain;
}

/* Airtime turned into data is airtime's; data paid for with airtime is data's (service.md 12.5). */
static void settle_exchange(struct reading *r)
{
    int airtime = vocabulary_domain(r->v, "AIRTIME"), data = vocabulary_domain(r->v, "DATA"),
        power = vocabulary_domain(r->v, "POWER");
    if (airtime < 0 || r->score[airtime] < EVIDENCE_LEAST)
        return;
    if (reading_signal(r, "convert") && (power < 0 || r->score[power] <= r->score[airtime]))
        claim(r, airtime);
    else if (reading_signal(r, "with_airtime") && data >= 0 && r->score[data] >= EVIDENCE_LEAST)
        claim(r, data);
}

static void decide_unknown(struct reading *r, const char *why)
{
    r->u->domain = DOMAIN_UNKNOWN;
    r->u->n_parts = 0;
    reading_reason(r, "%s", why);
}

void reading_domain(struct reading *r)
{
    struct understanding *u = r->u;
    int best = -1;
    weigh_entities(r);
    cut_clauses(r);
    name_clauses(r);
    own_clauses(r);
    settle_exchange(r);
    for (size_t d = 0; d < r->v->n_domains; d++) {
        u->weights[d] = r->score[d];
        if (r->score[d] >= EVIDENCE_LEAST && (best < 0 || r->score[d] > r->score[best]))
            best = (int)d;
    }
    if (best < 0) {
        decide_unknown(r, "no word of a served line of business");
        return;
    }
    if (reading_signal(r, "advert") && !r->own && !r->text->questions) {
        decide_unknown(r, "an advertisement");
        return;
    }
    find_parts(r);
    if (u->n_parts >= 2) {
        u->domain = DOMAIN_MULTI;
        reading_reason(r, "speaks of");
        for (size_t p = 0; p < u->n_parts; p++)
            reading_reason(r, "%s %s", p ? " and" : "", r->v->labels_of[u->parts[p].domain]);
        return;
    }
    u->domain = best;
    u->n_parts = 0;
    add_part(u, best, 0, (uint32_t)r->text->bytes);
    reading_reason(r, "speaks of %s (weight %d)", r->v->labels_of[best], r->score[best]);
}
