/* What a customer wants of one line of business: signals and words of the clauses that speak of it, weighed by the
 * vocabulary (service.md 12.2). Pure. Any thread. */
#include "reading.h"
#include <string.h>

#define TERSE_TOKENS 5 /* so short that hardly more than the thing wanted is named */

/* What the clauses of one part say. */
struct view {
    const struct understanding_part *part;
    uint64_t signals;
    int words[VOCABULARY_INTENTS_MAX];
    bool leaf[VOCABULARY_LEAVES_MAX];
    bool amount, phone, question;
};

/* With one domain a clause counts unless it clearly speaks of another; with several, only where it is this part's. */
static bool counts(const struct reading *r, const struct clause *c, int domain)
{
    if (r->u->domain == DOMAIN_MULTI)
        return c->owner == domain;
    return c->domain < 0 || c->domain == domain || c->weight < PART_LEAST;
}

static const struct clause *clause_of(const struct reading *r, size_t token)
{
    for (size_t n = 0; n < r->n_clauses; n++)
        if (token < r->clauses[n].to)
            return &r->clauses[n];
    return &r->clauses[r->n_clauses - 1];
}

static bool token_counts(const struct reading *r, size_t token, int domain)
{
    return counts(r, clause_of(r, token), domain);
}

static void view_matches(const struct reading *r, struct view *w)
{
    for (size_t m = 0; m < r->n; m++) {
        if (!token_counts(r, r->matches[m].start, w->part->domain))
            continue;
        for (uint32_t l = r->matches[m].label; l; l = r->v->labels[l - 1].next) {
            const struct vocabulary_label *label = &r->v->labels[l - 1];
            if (label->group == GROUP_INTENT && !r->hidden[m][1])
                w->words[label->index] += label->weight;
            else if (label->group == GROUP_LEAF)
                w->leaf[label->index] = true;
            else if (label->group == GROUP_SIGNAL && !r->hidden[m][2])
                w->signals |= UINT64_C(1) << label->index;
        }
    }
}

static void view_entities(const struct reading *r, struct view *w)
{
    const struct entities *e = &r->u->entities;
    for (size_t i = 0; i < e->n_amounts; i++)
        w->amount |= token_counts(r, e->amount_at[i], w->part->domain);
    for (size_t i = 0; i < e->n_phones; i++)
        w->phone |= token_counts(r, e->phone_at[i], w->part->domain);
    for (size_t t = 0; t < r->text->n; t++)
        w->question |= (r->text->tokens[t].flags & TOKEN_QUESTION) && token_counts(r, t, w->part->domain);
}

static uint64_t bits(const struct vocabulary *v, const char *const *names)
{
    uint64_t all = 0;
    for (; *names; names++)
        all |= vocabulary_signal(v, *names);
    return all;
}

/* Signals that stand in no word list, and those that follow from others. */
static void view_derive(const struct reading *r, struct view *w)
{
    static const char *const implied[][2] = {{"many_charges", "duplicate"},
                                             {"many_charges", "debited"},
                                             {"refund_overdue", "refund"},
                                             {"overdue", "waiting"}};
    static const char *const complaints[] = {"not_received", "debited",      "failed",   "wrong_target",
                                             "duplicate",    "many_charges", "refund",   "refund_overdue",
                                             "overdue",      "fraud",        "followup", NULL};
    static const char *const other_wishes[] = {"price", "auto", "convert",      "borrow",
                                               "pin",   "stop", "with_airtime", NULL};
    const struct vocabulary *v = r->v;
    const struct entities *e = &r->u->entities;
    w->signals |= w->question ? vocabulary_signal(v, "question") : 0;
    w->signals |= w->amount ? vocabulary_signal(v, "amount") : 0;
    w->signals |= w->phone ? vocabulary_signal(v, "phone") : 0;
    w->signals |= e->n_meters ? vocabulary_signal(v, "meter") : 0;
    w->signals |= e->size_named ? vocabulary_signal(v, "size") : 0;
    w->signals |= r->text->n <= TERSE_TOKENS ? vocabulary_signal(v, "terse") : 0;
    w->signals |= r->risks & 1u << RISK_SECURITY ? vocabulary_signal(v, "fraud") : 0;
    for (size_t i = 0; i < sizeof implied / sizeof *implied; i++)
        if (w->signals & vocabulary_signal(v, implied[i][0]))
            w->signals |= vocabulary_signal(v, implied[i][1]);
    bool buy = w->signals & vocabulary_signal(v, "buy");
    if ((w->signals & bits(v, complaints)) || ((w->signals & vocabulary_signal(v, "past")) && !buy)) {
        w->signals |= vocabulary_signal(v, "complaint");
        return;
    }
    bool bulk = (w->signals & vocabulary_signal(v, "bulk")) && buy;
    if (!w->amount || (!bulk && (w->signals & bits(v, other_wishes))))
        return;
    const char *domain = v->domains[w->part->domain];
    if (!strcmp(domain, "POWER") ? e->n_meters > 0 : e->n_networks && w->phone)
        w->signals |= vocabulary_signal(v, "order");
    else if (buy && (bulk || e->n_networks || w->phone || (w->signals & vocabulary_signal(v, "own"))))
        w->signals |= vocabulary_signal(v, "request");
}

static int best_intent(const struct reading *r, const struct view *w)
{
    const struct vocabulary *v = r->v;
    int best = -1, best_score = 0;
    for (size_t i = 0; i < v->n_intents; i++) {
        if (v->intents[i].domain != w->part->domain)
            continue;
        int score = v->intents[i].base + w->words[i];
        for (size_t s = 0; s < v->n_signals; s++)
            if (w->signals & UINT64_C(1) << s)
                score += v->intents[i].weights[s];
        if (best < 0 || score > best_score) {
            best = (int)i;
            best_score = score;
        }
    }
    return best;
}

void reading_intent(struct reading *r, struct understanding_part *part, int intent)
{
    const struct vocabulary *v = r->v;
    struct view w = {.part = part};
    view_matches(r, &w);
    view_entities(r, &w);
    view_derive(r, &w);
    int best = intent < 0 ? best_intent(r, &w) : intent;
    part->leaf = -1;
    part->signals = w.signals;
    part->intent = (uint8_t)(best < 0 ? 0 : best);
    for (size_t l = 0; l < v->n_leaves; l++) {
        uint64_t needed = v->leaves[l].signals;
        if (v->leaves[l].intent != part->intent)
            continue;
        if (w.leaf[l] || (needed && (w.signals & needed) == needed)) {
            part->leaf = (int)l;
            if (w.leaf[l])
                break;
        }
    }
    if (best >= 0)
        reading_reason(r, "; %s", v->intents[best].name);
}
