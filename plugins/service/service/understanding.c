/* The rules of understanding; see understanding.h. The order is that of the labelling conventions: domain, intent,
 * sentiment, escalation, priority. */
#include "understanding.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define EVIDENCE_LEAST 2               /* of a domain, to be recognised at all */
#define PART_LEAST 3                   /* of a clause's domain, to count as a part */
#define DISPUTE_KOBO INT64_C(10000000) /* 100,000 naira */
#define CLAUSES_MAX 256

struct reading {
    const struct vocabulary *v;
    const struct text *text;
    struct vocabulary_match matches[VOCABULARY_MATCHES_MAX];
    bool hidden[VOCABULARY_MATCHES_MAX][3]; /* inside a longer phrase: as evidence for domains, intents, signals */
    size_t n;
    int score[VOCABULARY_DOMAINS_MAX];
    int intent_score[VOCABULARY_INTENTS_MAX];
    bool leaf[VOCABULARY_LEAVES_MAX];
    int tone[TONES];
    int languages[16];
    uint8_t risks;
    bool own; /* speaks of the customer's own line, meter, account */
    struct understanding *u;
};

static void reason(struct understanding *u, const char *format, ...)
{
    size_t at = strlen(u->reasoning);
    va_list args;
    va_start(args, format);
    if (at + 1 < sizeof u->reasoning)
        vsnprintf(u->reasoning + at, sizeof u->reasoning - at, format, args);
    va_end(args);
}

static bool has_group(const struct vocabulary *v, const struct vocabulary_match *m, unsigned groups)
{
    for (uint32_t l = m->label; l; l = v->labels[l - 1].next)
        if (groups & 1u << v->labels[l - 1].group)
            return true;
    return false;
}

/* A phrase inside a longer one of the same kind says nothing of its own: "credit" in "credit card". */
static void hide_inner(struct reading *r)
{
    static const unsigned kinds[3] = {1u << GROUP_DOMAIN, 1u << GROUP_INTENT, 1u << GROUP_SIGNAL};
    for (size_t k = 0; k < 3; k++) {
        for (size_t a = 0; a < r->n; a++) {
            if (!has_group(r->v, &r->matches[a], kinds[k]) || r->matches[a].end - r->matches[a].start < 2)
                continue;
            for (size_t b = a; b-- > 0 && r->matches[b].start == r->matches[a].start;)
                r->hidden[b][k] |= r->matches[b].end < r->matches[a].end;
            for (size_t b = a + 1; b < r->n && r->matches[b].start < r->matches[a].end; b++)
                r->hidden[b][k] |= r->matches[b].end <= r->matches[a].end &&
                                   r->matches[b].end - r->matches[b].start < r->matches[a].end - r->matches[a].start;
        }
    }
}

static bool seen_before(const struct reading *r, size_t m)
{
    for (size_t i = 0; i < m; i++)
        if (r->matches[i].label == r->matches[m].label && !r->hidden[i][0])
            return true;
    return false;
}

static void count_labels(struct reading *r)
{
    for (size_t m = 0; m < r->n; m++) {
        for (uint32_t l = r->matches[m].label; l; l = r->v->labels[l - 1].next) {
            const struct vocabulary_label *label = &r->v->labels[l - 1];
            switch (label->group) {
            case GROUP_DOMAIN:
                if (label->index != VOCABULARY_NO_DOMAIN && !r->hidden[m][0] && !seen_before(r, m))
                    r->score[label->index] += label->weight;
                break;
            case GROUP_INTENT:
                if (!r->hidden[m][1])
                    r->intent_score[label->index] += label->weight;
                break;
            case GROUP_LEAF:
                r->leaf[label->index] = true;
                break;
            case GROUP_SIGNAL:
                if (!r->hidden[m][2])
                    r->u->signals |= UINT64_C(1) << label->index;
                break;
            case GROUP_TONE:
                r->tone[label->index] += label->weight;
                break;
            case GROUP_RISK:
                r->risks |= (uint8_t)(1u << label->index);
                break;
            case GROUP_LANGUAGE:
                r->languages[label->index]++;
                break;
            default:
                break;
            }
        }
    }
}

static bool signal(const struct reading *r, const char *name)
{
    return (r->u->signals & vocabulary_signal(r->v, name)) != 0;
}

/* Signals that stand in no word list: a question mark, a sum, a phone number, a size. */
static void derive_signals(struct reading *r)
{
    const struct entities *e = &r->u->entities;
    if (r->text->questions)
        r->u->signals |= vocabulary_signal(r->v, "question");
    if (e->n_amounts)
        r->u->signals |= vocabulary_signal(r->v, "amount");
    if (e->n_phones)
        r->u->signals |= vocabulary_signal(r->v, "phone");
    if (e->n_meters)
        r->u->signals |= vocabulary_signal(r->v, "meter");
    if (e->size_named)
        r->u->signals |= vocabulary_signal(r->v, "size");
    r->own = signal(r, "own");
}

/* ---- domain ------------------------------------------------------------------------------------------------------ */

/* Names and numbers speak for a domain where words leave it open. */
static void weigh_entities(struct reading *r)
{
    const struct entities *e = &r->u->entities;
    int airtime = vocabulary_domain(r->v, "AIRTIME"), power = vocabulary_domain(r->v, "POWER"),
        data = vocabulary_domain(r->v, "DATA");
    if (power >= 0)
        r->score[power] += (e->n_discos ? 3 : 0) + (e->n_meters ? 3 : 0);
    if (data >= 0)
        r->score[data] += e->size_named ? 3 : 0;
    if (airtime >= 0 && (e->n_networks || e->n_phones) && e->n_amounts && (data < 0 || r->score[data] < 2) &&
        (power < 0 || r->score[power] < 2))
        r->score[airtime] += 2 + (e->n_networks != 0);
}

struct clause {
    size_t from, to; /* tokens */
    int domain;      /* -1: none */
    int weight;
};

static bool joins_clauses(const struct text *x, size_t i)
{
    static const char *const words[] = {"and",     "also",     "plus",  "then",   "but", "while",
                                        "another", "secondly", "again", "sannan", "kuma"};
    for (size_t w = 0; w < sizeof words / sizeof *words; w++)
        if (*text_word(x, i) == *words[w] && !strcmp(text_word(x, i), words[w]))
            return true;
    return strcmp(text_word(x, i), "\xF0\x9F\x91\x89") == 0;
}

static size_t cut_clauses(const struct reading *r, struct clause *clauses)
{
    size_t n = 0, from = 0;
    const struct text *x = r->text;
    for (size_t i = 0; i < x->n; i++) {
        bool end =
            i + 1 == x->n || (x->tokens[i].flags & (TOKEN_SENTENCE_END | TOKEN_CLAUSE_END)) || joins_clauses(x, i + 1);
        if (!end)
            continue;
        if (n < CLAUSES_MAX)
            clauses[n++] = (struct clause){.from = from, .to = i + 1, .domain = -1};
        else
            clauses[n - 1].to = i + 1;
        from = i + 1;
    }
    return n;
}

/* Which domain each clause speaks of: the one with clearly the most weight in it. */
static void name_clauses(const struct reading *r, struct clause *clauses, size_t n)
{
    size_t m = 0;
    for (size_t c = 0; c < n; c++) {
        int score[VOCABULARY_DOMAINS_MAX] = {0}, best = 0, second = 0, at = -1;
        while (m < r->n && r->matches[m].start < clauses[c].from)
            m++;
        for (size_t i = m; i < r->n && r->matches[i].start < clauses[c].to; i++) {
            if (r->hidden[i][0])
                continue;
            for (uint32_t l = r->matches[i].label; l; l = r->v->labels[l - 1].next) {
                const struct vocabulary_label *label = &r->v->labels[l - 1];
                if (label->group == GROUP_DOMAIN && label->index != VOCABULARY_NO_DOMAIN)
                    score[label->index] += label->weight;
            }
        }
        for (size_t d = 0; d < r->v->n_domains; d++) {
            if (score[d] > best) {
                second = best;
                best = score[d];
                at = (int)d;
            } else if (score[d] > second) {
                second = score[d];
            }
        }
        clauses[c].domain = best > second ? at : -1;
        clauses[c].weight = best - second;
    }
}

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
    struct clause clauses[CLAUSES_MAX];
    int lead[VOCABULARY_DOMAINS_MAX] = {0}, strongest = 0;
    size_t n = cut_clauses(r, clauses);
    name_clauses(r, clauses, n);
    for (size_t c = 0; c < n; c++)
        if (clauses[c].domain >= 0 && (lead[clauses[c].domain] += clauses[c].weight) > strongest)
            strongest = lead[clauses[c].domain];
    for (size_t c = 0; c < n; c++) {
        int d = clauses[c].domain;
        if (d >= 0 && lead[d] >= PART_LEAST && lead[d] * 3 >= strongest)
            add_part(r->u, d, r->text->tokens[clauses[c].from].start, r->text->tokens[clauses[c].to - 1].end);
    }
}

static void decide_domain(struct reading *r)
{
    struct understanding *u = r->u;
    int best = -1;
    weigh_entities(r);
    for (size_t d = 0; d < r->v->n_domains; d++)
        if (r->score[d] >= EVIDENCE_LEAST && (best < 0 || r->score[d] > r->score[best]))
            best = (int)d;
    find_parts(r);
    if (best < 0) {
        u->domain = DOMAIN_UNKNOWN;
        u->n_parts = 0;
        reason(u, "no word of a served line of business");
        return;
    }
    if (u->n_parts >= 2) {
        u->domain = DOMAIN_MULTI;
        reason(u, "speaks of");
        for (size_t p = 0; p < u->n_parts; p++)
            reason(u, "%s %s", p ? " and" : "", r->v->labels_of[u->parts[p].domain]);
        return;
    }
    u->domain = best;
    u->n_parts = 0;
    add_part(u, best, 0, (uint32_t)r->text->bytes);
    reason(u, "speaks of %s (weight %d)", r->v->labels_of[best], r->score[best]);
}

/* ---- intent ------------------------------------------------------------------------------------------------------ */

static void decide_intent(struct reading *r, struct understanding_part *part)
{
    const struct vocabulary *v = r->v;
    int best = -1, best_score = 0;
    for (size_t i = 0; i < v->n_intents; i++) {
        if (v->intents[i].domain != part->domain)
            continue;
        int score = v->intents[i].base + r->intent_score[i];
        for (size_t s = 0; s < v->n_signals; s++)
            if (r->u->signals & UINT64_C(1) << s)
                score += v->intents[i].weights[s];
        if (best < 0 || score > best_score) {
            best = (int)i;
            best_score = score;
        }
    }
    part->intent = (uint8_t)(best < 0 ? 0 : best);
    for (size_t l = 0; l < v->n_leaves; l++) {
        uint64_t needed = v->leaves[l].signals;
        if (v->leaves[l].intent != part->intent)
            continue;
        if (r->leaf[l] || (needed && (r->u->signals & needed) == needed)) {
            part->leaf = (int)l;
            if (r->leaf[l])
                break;
        }
    }
    if (best >= 0)
        reason(r->u, "; %s", v->intents[best].name);
}

/* ---- sentiment, escalation, priority ------------------------------------------------------------------------------
 */

static void decide_sentiment(struct reading *r)
{
    struct understanding *u = r->u;
    int upper = 0, words = 0;
    for (size_t i = 0; i < r->text->n; i++) {
        words += r->text->tokens[i].kind == TOKEN_WORD && r->text->tokens[i].len >= 3;
        upper += (r->text->tokens[i].flags & TOKEN_UPPER) != 0;
    }
    bool shouting = upper >= 4 && upper * 2 > words;
    int bad = r->tone[TONE_NEGATIVE] + (r->text->exclamations >= 3) + (shouting && r->tone[TONE_NEGATIVE]);
    if (r->tone[TONE_VERY_NEGATIVE] >= 2 || (r->tone[TONE_VERY_NEGATIVE] && (bad || shouting)))
        u->sentiment = 0;
    else if (r->tone[TONE_VERY_NEGATIVE] || bad > r->tone[TONE_POSITIVE])
        u->sentiment = 1;
    else if (r->tone[TONE_POSITIVE] > bad)
        u->sentiment = 3;
    else
        u->sentiment = bad ? 1 : 2;
}

static void decide_escalation(struct reading *r)
{
    struct understanding *u = r->u;
    int64_t sum = 0;
    if (r->risks & 1u << RISK_LEGAL)
        u->escalate |= ESCALATE_LEGAL;
    if (r->risks & 1u << RISK_CHURN)
        u->escalate |= ESCALATE_CHURN;
    if (r->risks & 1u << RISK_SECURITY)
        u->escalate |= ESCALATE_SECURITY;
    if (u->sentiment == 0)
        u->escalate |= ESCALATE_SENTIMENT;
    if (signal(r, "many_failures"))
        u->escalate |= ESCALATE_FAILURES;
    for (size_t i = 0; i < u->entities.n_amounts; i++)
        sum += u->entities.amounts[i];
    /* A sum counts where it is to be paid or disputed, not where it is mentioned in a general question. */
    if (sum >= DISPUTE_KOBO && u->domain != DOMAIN_UNKNOWN && !signal(r, "estimate"))
        u->escalate |= ESCALATE_AMOUNT;
    if (u->domain == DOMAIN_UNKNOWN)
        u->escalate &= (uint8_t) ~(ESCALATE_CHURN | ESCALATE_FAILURES);
}

static void decide_priority(struct reading *r)
{
    struct understanding *u = r->u;
    bool trouble =
        signal(r, "not_received") || signal(r, "failed") || signal(r, "duplicate") || signal(r, "wrong_target");
    uint8_t priority = PRIORITY_LOW;
    for (size_t p = 0; p < u->n_parts; p++)
        if (r->v->intents[u->parts[p].intent].priority > priority)
            priority = r->v->intents[u->parts[p].intent].priority;
    if (u->domain == DOMAIN_UNKNOWN) {
        u->priority = u->escalate & ESCALATE_SECURITY ? PRIORITY_CRITICAL : u->sentiment ? PRIORITY_LOW : PRIORITY_HIGH;
        return;
    }
    bool general = (signal(r, "question") || signal(r, "how_to") || signal(r, "price")) && !r->own && !trouble &&
                   !u->entities.n_phones && !u->entities.n_meters;
    if (priority <= PRIORITY_MEDIUM && (general || (signal(r, "how_to") && !trouble)) && u->sentiment >= 2)
        priority = PRIORITY_LOW;
    else if (priority == PRIORITY_LOW && (r->own || u->sentiment < 2))
        priority = PRIORITY_MEDIUM;
    if (trouble && priority < PRIORITY_HIGH)
        priority = PRIORITY_HIGH;
    if ((signal(r, "urgent") || signal(r, "no_supply") || u->sentiment == 0) && priority < PRIORITY_HIGH)
        priority = PRIORITY_HIGH;
    if ((u->escalate & ESCALATE_SECURITY) || signal(r, "danger") || (signal(r, "area") && signal(r, "no_supply")) ||
        (signal(r, "area") && signal(r, "all_down")) || signal(r, "wrong_target") || signal(r, "many_charges") ||
        signal(r, "refund_overdue") || (trouble && (u->escalate & ESCALATE_AMOUNT)))
        priority = PRIORITY_CRITICAL;
    u->priority = priority;
}

static void decide_language(struct reading *r)
{
    int best = -1;
    for (size_t i = 0; i < r->v->n_languages; i++)
        if (r->languages[i] >= 2 && (best < 0 || r->languages[i] > r->languages[best]))
            best = (int)i;
    r->u->language = best;
}

void understand(const struct vocabulary *v, const char *message, const char *channel, struct understanding *u)
{
    struct text text;
    struct reading r = {.v = v, .text = &text, .u = u};
    (void)channel; /* digits said one by one are read on every channel */
    memset(u, 0, sizeof *u);
    text_read(&text, message, vocabulary_lookup, v);
    u->cut = text.cut;
    r.n = vocabulary_match(v, &text, r.matches, VOCABULARY_MATCHES_MAX);
    hide_inner(&r);
    count_labels(&r);
    entities_read(v, &text, r.matches, r.n, &u->entities);
    derive_signals(&r);
    decide_domain(&r);
    for (size_t p = 0; p < u->n_parts; p++)
        decide_intent(&r, &u->parts[p]);
    decide_sentiment(&r);
    decide_escalation(&r);
    decide_priority(&r);
    decide_language(&r);
    u->request =
        u->signals & (vocabulary_signal(v, "buy") | vocabulary_signal(v, "not_received") |
                      vocabulary_signal(v, "failed") | vocabulary_signal(v, "debited") |
                      vocabulary_signal(v, "refund") | vocabulary_signal(v, "amount") | vocabulary_signal(v, "own"));
    u->greeting = signal(&r, "greeting");
}

/* ---- as JSON ----------------------------------------------------------------------------------------------------- */

static json_t *escalate_json(uint8_t bits)
{
    static const char *const names[] = {"legal", "churn", "security", "sentiment", "amount", "failures"};
    json_t *array = json_array();
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (bits & 1u << i)
            json_array_append_new(array, json_string(names[i]));
    return array;
}

static json_t *part_json(const struct vocabulary *v, const char *message, const struct understanding_part *part)
{
    size_t len = part->end - part->start;
    json_t *words = json_stringn(message + part->start, len);
    return json_pack("{s:s, s:s, s:o?, s:o}", "service_domain", v->domains[part->domain], "intent",
                     v->intents[part->intent].name, "sub_intent",
                     part->leaf >= 0 ? json_string(v->leaves[part->leaf].name) : json_null(), "message",
                     words ? words : json_string(""));
}

json_t *understanding_json(const struct vocabulary *v, const char *message, const struct understanding *u)
{
    static const char *const priorities[] = {"LOW", "MEDIUM", "HIGH", "CRITICAL"};
    static const char *const sentiments[] = {"VERY_NEGATIVE", "NEGATIVE", "NEUTRAL", "POSITIVE"};
    const char *domain = u->domain == DOMAIN_MULTI     ? "MULTI"
                         : u->domain == DOMAIN_UNKNOWN ? "UNKNOWN"
                                                       : v->domains[u->domain];
    const struct understanding_part *first = u->n_parts ? &u->parts[0] : NULL;
    json_t *tags = json_array();
    if (u->domain == DOMAIN_UNKNOWN)
        json_array_append_new(tags, json_string("unclassified"));
    if (u->cut)
        json_array_append_new(tags, json_string("cut"));
    json_t *result = json_pack("{s:s, s:s, s:o, s:s, s:s, s:o, s:s, s:b, s:o, s:f, s:b, s:o, s:s}", "service_domain",
                               domain, "intent", first ? v->intents[first->intent].name : "UNKNOWN", "sub_intent",
                               first && first->leaf >= 0 ? json_string(v->leaves[first->leaf].name) : json_null(),
                               "priority", priorities[u->priority], "sentiment", sentiments[u->sentiment], "entities",
                               entities_json(v, &u->entities), "reasoning", u->reasoning, "escalate", u->escalate != 0,
                               "escalate_reasons", escalate_json(u->escalate), "confidence", 0.5, "fallback_used", 1,
                               "tags", tags, "language", u->language >= 0 ? v->languages[u->language] : "en");
    if (result && u->domain == DOMAIN_MULTI) {
        json_t *parts = json_array();
        for (size_t p = 0; p < u->n_parts; p++)
            json_array_append_new(parts, part_json(v, message, &u->parts[p]));
        json_object_set_new(result, "parts", parts);
    }
    return result;
}
