/* The rules of understanding; see understanding.h. The order is that of the labelling conventions: domain, intent,
 * sentiment, escalation, priority. */
#include "../../common/object.h"
#include "reading.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void reading_reason(struct reading *r, const char *format, ...)
{
    struct understanding *u = r->u;
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

/* "Court Road", "Barrister Nkem", "my wife Sue": a risk's word that is part of a name says nothing. */
static bool in_a_name(const struct text *x, const struct vocabulary_match *m)
{
    static const char *const places[] = {"road", "rd",       "street", "str",   "avenue", "ave",
                                         "lane", "crescent", "estate", "close", "layout", "junction"};
    static const char *const titles[] = {"barrister", "solicitor", "attorney"};
    static const char *const buildings[] = {"court", "police"};
    static const char *const verbs_before[] = {"will", "go", "to", "shall", "may", "i", "must", "can", "would", "we"};
    const struct token *own = &x->tokens[m->start], *next = own + 1;
    bool capital = x->message[own->start] >= 'A' && x->message[own->start] <= 'Z' && !(own->flags & TOKEN_UPPER);
    bool starts = !m->start || (own[-1].flags & TOKEN_SENTENCE_END);
    if (!strcmp(text_word(x, m->start), "sue"))
        return capital && !starts &&
               !text_word_is(x, m->start - 1, verbs_before, sizeof verbs_before / sizeof *verbs_before);
    if (m->end != m->start + 1 || m->end >= x->n || (own->flags & (TOKEN_SENTENCE_END | TOKEN_CLAUSE_END)))
        return false;
    bool named = x->message[next->start] >= 'A' && x->message[next->start] <= 'Z' && !(next->flags & TOKEN_UPPER);
    if (text_word_is(x, m->start, buildings, sizeof buildings / sizeof *buildings))
        return text_word_is(x, m->end, places, sizeof places / sizeof *places);
    return capital && named && text_word_is(x, m->start, titles, sizeof titles / sizeof *titles);
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
            case GROUP_SIGNAL:
                if (!r->hidden[m][2])
                    r->u->signals |= UINT64_C(1) << label->index;
                break;
            case GROUP_TONE:
                r->tone[label->index] += label->weight;
                break;
            case GROUP_RISK:
                if (!in_a_name(r->text, &r->matches[m]))
                    r->risks |= (uint8_t)(1u << label->index);
                break;
            default:
                break;
            }
        }
    }
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
    r->own = reading_signal(r, "own");
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
    if (reading_signal(r, "many_failures"))
        u->escalate |= ESCALATE_FAILURES;
    for (size_t i = 0; i < u->entities.n_amounts; i++)
        sum += u->entities.amounts[i];
    sum = u->entities.each_kobo > sum ? u->entities.each_kobo : sum;
    /* A sum counts where it is to be paid or disputed, not where it is mentioned in a general question. */
    if (sum >= DISPUTE_KOBO && u->domain != DOMAIN_UNKNOWN && !reading_signal(r, "estimate"))
        u->escalate |= ESCALATE_AMOUNT;
    if (u->domain == DOMAIN_UNKNOWN)
        u->escalate &= (uint8_t) ~(ESCALATE_CHURN | ESCALATE_FAILURES);
}

static void decide_priority(struct reading *r)
{
    struct understanding *u = r->u;
    bool trouble = reading_signal(r, "not_received") || reading_signal(r, "failed") || reading_signal(r, "duplicate") ||
                   reading_signal(r, "wrong_target");
    uint8_t priority = PRIORITY_LOW;
    for (size_t p = 0; p < u->n_parts; p++)
        if (r->v->intents[u->parts[p].intent].priority > priority)
            priority = r->v->intents[u->parts[p].intent].priority;
    if (u->domain == DOMAIN_UNKNOWN) {
        u->priority = u->escalate & ESCALATE_SECURITY ? PRIORITY_CRITICAL : u->sentiment ? PRIORITY_LOW : PRIORITY_HIGH;
        return;
    }
    bool general = (reading_signal(r, "question") || reading_signal(r, "how_to") || reading_signal(r, "price")) &&
                   !r->own && !trouble && !u->entities.n_phones && !u->entities.n_meters;
    if (priority <= PRIORITY_MEDIUM && (general || (reading_signal(r, "how_to") && !trouble)) && u->sentiment >= 2)
        priority = PRIORITY_LOW;
    else if (priority == PRIORITY_LOW && (r->own || u->sentiment < 2))
        priority = PRIORITY_MEDIUM;
    if (trouble && priority < PRIORITY_HIGH)
        priority = PRIORITY_HIGH;
    if ((reading_signal(r, "urgent") || reading_signal(r, "no_supply") || u->sentiment == 0) &&
        priority < PRIORITY_HIGH)
        priority = PRIORITY_HIGH;
    if ((u->escalate & ESCALATE_SECURITY) || reading_signal(r, "danger") ||
        (reading_signal(r, "area") && reading_signal(r, "no_supply")) ||
        (reading_signal(r, "area") && reading_signal(r, "all_down")) || reading_signal(r, "wrong_target") ||
        reading_signal(r, "many_charges") || reading_signal(r, "refund_overdue") ||
        (trouble && (u->escalate & ESCALATE_AMOUNT)))
        priority = PRIORITY_CRITICAL;
    u->priority = priority;
}

static int language_of(const struct vocabulary *v, const struct text *text)
{
    int counts[16] = {0}, best = -1;
    vocabulary_languages(v, text, counts);
    for (size_t i = 0; i < v->n_languages; i++)
        if (counts[i] >= 2 && (best < 0 || counts[i] > counts[best]))
            best = (int)i;
    return best;
}

int understand_language(const struct vocabulary *v, const char *message)
{
    struct text text;
    text_read(&text, message, vocabulary_lookup, v);
    return language_of(v, &text);
}

static void read_rules(struct reading *r)
{
    const struct vocabulary *v = r->v;
    struct understanding *u = r->u;
    r->n = vocabulary_match(v, r->text, r->matches, VOCABULARY_MATCHES_MAX);
    hide_inner(r);
    count_labels(r);
    entities_read(v, r->text, r->matches, r->n, &u->entities);
    derive_signals(r);
    reading_domain(r);
    for (size_t p = 0; p < u->n_parts; p++)
        reading_intent(r, &u->parts[p], -1);
    decide_sentiment(r);
    decide_escalation(r);
    decide_priority(r);
    u->language = language_of(v, r->text);
    u->request =
        u->signals & (vocabulary_signal(v, "buy") | vocabulary_signal(v, "not_received") |
                      vocabulary_signal(v, "failed") | vocabulary_signal(v, "debited") |
                      vocabulary_signal(v, "refund") | vocabulary_signal(v, "amount") | vocabulary_signal(v, "own"));
    u->greeting = reading_signal(r, "greeting");
}

void understand_judged(const struct vocabulary *v, const char *message, const char *channel, understanding_model *model,
                       void *arg, struct understanding *u)
{
    struct text text;
    struct reading r = {.v = v, .text = &text, .u = u};
    (void)channel; /* digits said one by one are read on every channel */
    memset(u, 0, sizeof *u);
    u->confidence = 0.5;
    u->close = -1;
    text_read(&text, message, vocabulary_lookup, v);
    u->cut = text.cut;
    read_rules(&r);
    json_t *answer = model ? model(arg, v, message, u) : NULL;
    if (answer)
        reading_judge(&r, answer);
    json_decref(answer);
}

void understand(const struct vocabulary *v, const char *message, const char *channel, struct understanding *u)
{
    understand_judged(v, message, channel, NULL, NULL, u);
}

const char *understanding_domain(const struct vocabulary *v, const struct understanding *u)
{
    return u->domain == DOMAIN_MULTI ? "MULTI" : u->domain == DOMAIN_UNKNOWN ? "UNKNOWN" : v->domains[u->domain];
}

/* ---- as JSON ----------------------------------------------------------------------------------------------------- */

static json_t *escalate_json(uint8_t bits)
{
    static const char *const names[] = {"legal", "churn", "security", "sentiment", "amount", "failures", "model"};
    json_t *array = json_array();
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (bits & 1u << i)
            json_array_append_new(array, json_string(names[i]));
    return array;
}

static json_t *cues_json(const struct vocabulary *v, uint64_t signals)
{
    json_t *array = json_array();
    for (size_t i = 0; i < v->n_signals; i++)
        if (signals & UINT64_C(1) << i)
            json_array_append_new(array, json_string(v->signals[i]));
    return array;
}

static json_t *weights_json(const struct vocabulary *v, const struct understanding *u)
{
    json_t *object = json_object();
    for (size_t d = 0; d < v->n_domains; d++)
        if (u->weights[d])
            json_object_set_new(object, v->domains[d], json_integer(u->weights[d]));
    return object;
}

static json_t *part_json(const struct vocabulary *v, const char *message, const struct understanding_part *part)
{
    size_t len = part->end - part->start;
    json_t *words = json_stringn(message + part->start, len);
    return json_pack("{s:s, s:s, s:o?, s:o, s:o}", "service_domain", v->domains[part->domain], "intent",
                     v->intents[part->intent].name, "sub_intent",
                     part->leaf >= 0 ? json_string(v->leaves[part->leaf].name) : json_null(), "message",
                     words ? words : json_string(""), "cues", cues_json(v, part->signals));
}

json_t *understanding_json(const struct vocabulary *v, const char *message, const struct understanding *u)
{
    static const char *const priorities[] = {"LOW", "MEDIUM", "HIGH", "CRITICAL"};
    static const char *const sentiments[] = {"VERY_NEGATIVE", "NEGATIVE", "NEUTRAL", "POSITIVE"};
    const struct understanding_part *first = u->n_parts ? &u->parts[0] : NULL;
    json_t *tags = json_array();
    if (u->domain == DOMAIN_UNKNOWN)
        json_array_append_new(tags, json_string("unclassified"));
    if (u->cut)
        json_array_append_new(tags, json_string("cut"));
    if (u->close >= 0)
        json_array_append_new(tags, json_string("ambiguous"));
    uint64_t cues = u->n_parts == 1 ? first->signals : u->signals;
    json_t *result = json_object();
    OBJECT_TEXT(result, "service_domain", understanding_domain(v, u));
    OBJECT_TEXT(result, "intent", first ? v->intents[first->intent].name : "UNKNOWN");
    OBJECT_PUT(result, "sub_intent",
               first && first->leaf >= 0 ? json_string(v->leaves[first->leaf].name) : json_null());
    OBJECT_TEXT(result, "priority", priorities[u->priority]);
    OBJECT_TEXT(result, "sentiment", sentiments[u->sentiment]);
    OBJECT_PUT(result, "entities", entities_json(v, &u->entities));
    OBJECT_TEXT(result, "reasoning", u->reasoning);
    OBJECT_PUT(result, "escalate", json_boolean(u->escalate != 0));
    OBJECT_PUT(result, "escalate_reasons", escalate_json(u->escalate));
    if (u->entities.each_kobo)
        OBJECT_PUT(result, "total_amount", json_real((double)u->entities.each_kobo / 100));
    OBJECT_PUT(result, "confidence", json_real(u->confidence));
    OBJECT_PUT(result, "fallback_used", json_boolean(!u->by_model));
    OBJECT_PUT(result, "tags", tags);
    OBJECT_TEXT(result, "language", u->language >= 0 ? v->languages[u->language] : "en");
    OBJECT_PUT(result, "weights", weights_json(v, u));
    OBJECT_PUT(result, "cues", cues_json(v, cues));
    if (result && u->close >= 0)
        json_object_set_new(result, "alternative", json_string(v->domains[u->close]));
    if (result && u->domain == DOMAIN_MULTI) {
        json_t *parts = json_array();
        for (size_t p = 0; p < u->n_parts; p++)
            json_array_append_new(parts, part_json(v, message, &u->parts[p]));
        json_object_set_new(result, "parts", parts);
    }
    return result;
}
