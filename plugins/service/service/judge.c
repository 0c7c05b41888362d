/* What the text model says of a message, laid over what the rules found. The model was taught on the rules' reading as
 * well (its notes), so where it knows a label it is believed; where parts are, signals and entities stay the rules'.
 * Pure. Any thread. */
#include "reading.h"
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define NOTE_SIZE 96
#define CLOSE_BEST 0.55   /* two domains are close when the better one is no surer than this */
#define CLOSE_SECOND 0.25 /* and the other at least so likely */
#define GUESSES 8
#define HEARD_LEAST 0.01  /* of a domain that a head does not name among its best */
#define PART_HEARD 0.03   /* of an intent that the head names behind MULTI, to be what a part wants */
#define ESCALATE_SURE 0.5 /* that a human is needed, by the model alone */
#define ESCALATE_BOTH 0.2 /* where a rule says so too */

/* ---- notes --------------------------------------------------------------------------------------------------------
 */

static void note(json_t *notes, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void note(json_t *notes, const char *format, ...)
{
    char text[NOTE_SIZE];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    json_array_append_new(notes, json_string(text));
}

static void note_entities(json_t *notes, const struct entities *e)
{
    const struct {
        const char *name;
        size_t n;
    } kinds[] = {{"phone", e->n_phones},
                 {"meter", e->n_meters},
                 {"amount", e->n_amounts},
                 {"network", e->n_networks},
                 {"disco", e->n_discos}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        note(notes, "%s:%zu", kinds[i].name, kinds[i].n < 2 ? kinds[i].n : 2);
}

json_t *understanding_notes(const struct vocabulary *v, const struct understanding *u)
{
    json_t *notes = json_array();
    if (!notes)
        return NULL;
    note(notes, "domain:%s", understanding_domain(v, u));
    note(notes, "priority:%u", u->priority);
    note(notes, "sentiment:%u", u->sentiment);
    note(notes, "language:%d", u->language);
    note(notes, "escalate:%d", u->escalate != 0);
    for (size_t p = 0; p < u->n_parts; p++) {
        note(notes, "intent:%s/%s", v->domains[u->parts[p].domain], v->intents[u->parts[p].intent].name);
        if (u->parts[p].leaf >= 0)
            note(notes, "leaf:%s", v->leaves[u->parts[p].leaf].name);
    }
    uint64_t signals = u->n_parts == 1 ? u->parts[0].signals : u->signals;
    for (size_t i = 0; i < v->n_signals; i++)
        if (signals & UINT64_C(1) << i)
            note(notes, "signal:%s", v->signals[i]);
    for (unsigned bit = 0; 1u << bit <= ESCALATE_MODEL; bit++)
        if (u->escalate & 1u << bit)
            note(notes, "risk:%u", bit);
    for (size_t d = 0; d < v->n_domains; d++)
        if (u->weights[d])
            note(notes, "weight:%s:%d", v->domains[d], u->weights[d] < 9 ? u->weights[d] / 3 : 3);
    note_entities(notes, &u->entities);
    return notes;
}

/* ---- the model's answer -------------------------------------------------------------------------------------------
 */

/* The label at a place of a head, best first; "" when there is none. */
static const char *label_at(const json_t *answer, const char *head, size_t place, double *ret_probability)
{
    const json_t *one = json_array_get(json_object_get(answer, head), place);
    const char *label = json_string_value(json_array_get(one, 0));
    *ret_probability = label ? json_number_value(json_array_get(one, 1)) : 0;
    return label ? label : "";
}

static int index_of(const char *word, const char *const *words, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!strcmp(word, words[i]))
            return (int)i;
    return -1;
}

/* DOMAIN_MULTI, DOMAIN_UNKNOWN, a domain of the vocabulary, or -3: none that is known here. */
static int domain_of(const struct vocabulary *v, const char *label)
{
    if (!strcmp(label, "MULTI"))
        return DOMAIN_MULTI;
    if (!strcmp(label, "UNKNOWN"))
        return DOMAIN_UNKNOWN;
    int domain = vocabulary_domain(v, label);
    return domain >= 0 ? domain : -3;
}

static int find_intent(const struct vocabulary *v, int domain, const char *name)
{
    for (size_t i = 0; i < v->n_intents; i++)
        if (v->intents[i].domain == domain && !strcmp(v->intents[i].name, name))
            return (int)i;
    return -1;
}

/* The likeliest intent of a domain that the vocabulary has too; -1: the rules decide. */
static int intent_of(const struct vocabulary *v, const json_t *answer, int domain, double *ret_probability)
{
    const char *name = v->domains[domain];
    size_t len = strlen(name);
    for (size_t i = 0; i < 3; i++) {
        const char *label = label_at(answer, "intent", i, ret_probability);
        if (!strncmp(label, name, len) && label[len] == '/') {
            int intent = find_intent(v, domain, label + len + 1);
            if (intent >= 0)
                return intent;
        }
    }
    *ret_probability = 0;
    return -1;
}

/* ---- laid over ----------------------------------------------------------------------------------------------------
 */

static void whole_part(struct reading *r, int domain)
{
    struct understanding *u = r->u;
    u->n_parts = 1;
    u->parts[0] = (struct understanding_part){.domain = (uint8_t)domain, .leaf = -1, .end = (uint32_t)r->text->bytes};
    for (size_t n = 0; n < r->n_clauses; n++)
        r->clauses[n].domain = r->clauses[n].owner = domain;
}

struct guess {
    int domain; /* as domain_of() */
    double by_domain, by_intent, probability;
};

static struct guess *guess_of(struct guess guesses[GUESSES], size_t *n, int domain)
{
    for (size_t i = 0; i < *n; i++)
        if (guesses[i].domain == domain)
            return &guesses[i];
    guesses[*n] = (struct guess){.domain = domain};
    return &guesses[(*n)++];
}

/* Two heads were taught what domains are: one by name, one by their intents. They err in different places, so both are
 * heard: the mean of the logarithms, the first one twice. Best first. Returns how many. */
static size_t guess_domains(const struct vocabulary *v, const json_t *answer, struct guess ret_guesses[GUESSES])
{
    size_t n = 0;
    double probability, sum = 0;
    for (size_t i = 0; i < 3; i++) {
        char name[64];
        const char *label = label_at(answer, "domain", i, &probability);
        if (*label)
            guess_of(ret_guesses, &n, domain_of(v, label))->by_domain += probability;
        label = label_at(answer, "intent", i, &probability);
        snprintf(name, sizeof name, "%.*s", (int)strcspn(label, "/"), label);
        if (*label)
            guess_of(ret_guesses, &n, domain_of(v, name))->by_intent += probability;
    }
    for (size_t i = 0; i < n; i++) {
        double named = ret_guesses[i].by_domain + HEARD_LEAST;
        ret_guesses[i].probability = cbrt(named * named * (ret_guesses[i].by_intent + HEARD_LEAST));
        sum += ret_guesses[i].probability;
    }
    for (size_t i = 0; i < n; i++) {
        struct guess one = ret_guesses[i];
        size_t at = i;
        one.probability /= sum;
        for (; at && ret_guesses[at - 1].probability < one.probability; at--)
            ret_guesses[at] = ret_guesses[at - 1];
        ret_guesses[at] = one;
    }
    return n;
}

static void add_part(struct reading *r, int domain)
{
    struct understanding *u = r->u;
    if (domain >= 0 && u->n_parts < 2 && (!u->n_parts || u->parts[0].domain != domain))
        u->parts[u->n_parts++] =
            (struct understanding_part){.domain = (uint8_t)domain, .leaf = -1, .end = (uint32_t)r->text->bytes};
}

/* The domain beside the first part's that the rules have most words of; -1: none. */
static int weightiest(const struct reading *r)
{
    const struct understanding *u = r->u;
    int best = -1;
    for (int d = 0; d < (int)r->v->n_domains; d++)
        if (u->weights[d] > (best < 0 ? 0 : u->weights[best]) && (!u->n_parts || u->parts[0].domain != d))
            best = d;
    return best;
}

/* The parts of a message in which the rules saw one domain or none: the domains that are likeliest, each with the whole
 * message. Where UNKNOWN is among the three labels of the answer, the rules have the second. */
static void several_parts(struct reading *r, const json_t *answer)
{
    double probability;
    for (size_t i = 0; i < 3; i++)
        add_part(r, domain_of(r->v, label_at(answer, "domain", i, &probability)));
    add_part(r, weightiest(r));
}

/* Whether the rules saw a domain that no model can know: it is not loaded, or nobody gave examples of it. */
static bool saw_untaught(const struct reading *r)
{
    const struct understanding *u = r->u;
    for (size_t p = 0; p < u->n_parts; p++)
        if (!r->v->taught[u->parts[p].domain] && u->weights[u->parts[p].domain] >= PART_LEAST)
            return true;
    return false;
}

static void judge_domain(struct reading *r, const json_t *answer)
{
    struct understanding *u = r->u;
    double intent = 0;
    struct guess guesses[GUESSES];
    size_t n = saw_untaught(r) ? 0 : guess_domains(r->v, answer, guesses);
    if (!n || guesses[0].domain == -3)
        return;
    int domain = guesses[0].domain, other = n > 1 ? guesses[1].domain : -1;
    u->confidence = guesses[0].probability;
    u->by_model = true;
    u->close =
        domain >= 0 && other >= 0 && u->confidence <= CLOSE_BEST && guesses[1].probability >= CLOSE_SECOND ? other : -1;
    reading_reason(r, "; the model: %s (%.2f)",
                   domain == DOMAIN_MULTI     ? "MULTI"
                   : domain == DOMAIN_UNKNOWN ? "UNKNOWN"
                                              : r->v->domains[domain],
                   u->confidence);
    if (domain == DOMAIN_UNKNOWN) {
        u->n_parts = 0;
    } else if (domain == DOMAIN_MULTI) {
        several_parts(r, answer);
        if (u->n_parts < 2)
            domain = u->n_parts ? u->parts[0].domain : DOMAIN_UNKNOWN;
    } else if (u->domain != domain) {
        whole_part(r, domain);
    }
    u->domain = domain;
    for (size_t p = 0; p < u->n_parts; p++) {
        int chosen = intent_of(r->v, answer, u->parts[p].domain, &intent);
        if (u->n_parts > 1 && intent < PART_HEARD)
            chosen = -1;
        reading_intent(r, &u->parts[p], chosen);
        if (chosen >= 0 && u->n_parts == 1)
            u->confidence = intent;
    }
}

/* Rage and thanks are rare, and to miss them costs more than to suspect them: they win somewhat early, and so does
 * displeasure: among the examples themselves, asked about those it did not learn from, the model finds two thirds of it
 * and is right in eight of ten. -1: the model does not say. */
static int judge_sentiment(const json_t *answer)
{
    static const struct {
        const char *label;
        double worth;
    } sentiments[] = {{"VERY_NEGATIVE", 1.8}, {"NEGATIVE", 1.25}, {"NEUTRAL", 1}, {"POSITIVE", 1.3}};
    double best = 0, probability;
    int chosen = -1;
    for (size_t place = 0; place < 3; place++) {
        const char *label = label_at(answer, "sentiment", place, &probability);
        for (int i = 0; i < 4; i++) {
            if (strcmp(label, sentiments[i].label) != 0 || probability * sentiments[i].worth <= best)
                continue;
            best = probability * sentiments[i].worth;
            chosen = i;
        }
    }
    return chosen;
}

/* A sum for each of several, large together. */
static bool is_bulk_order(const struct reading *r)
{
    const struct understanding *u = r->u;
    bool order = false;
    for (size_t p = 0; p < u->n_parts; p++)
        order |= !strcmp(r->v->intents[u->parts[p].intent].name, "PURCHASE");
    return order && u->entities.each_kobo >= DISPUTE_KOBO;
}

static void judge_rest(struct reading *r, const json_t *answer)
{
    static const char *const priorities[] = {"LOW", "MEDIUM", "HIGH", "CRITICAL"};
    struct understanding *u = r->u;
    double probability;
    int sentiment = judge_sentiment(answer);
    int priority = index_of(label_at(answer, "priority", 0, &probability), priorities, 4);
    bool human = !strcmp(label_at(answer, "escalate", 0, &probability), "yes");
    probability = human ? probability : 1 - probability;
    u->sentiment = sentiment < 0 ? u->sentiment : (uint8_t)sentiment;
    u->priority = priority < 0 ? u->priority : (uint8_t)priority;
    u->escalate &= (uint8_t)~ESCALATE_SENTIMENT;
    if (probability < (u->escalate ? ESCALATE_BOTH : ESCALATE_SURE))
        u->escalate = 0;
    else if (!u->escalate && u->sentiment)
        u->escalate = ESCALATE_MODEL;
    /* The conventions bind the labels to each other: rage is never below HIGH and always needs a human. */
    if (u->sentiment == 0) {
        u->escalate |= ESCALATE_SENTIMENT;
        u->priority = u->priority < PRIORITY_HIGH ? PRIORITY_HIGH : u->priority;
    }
    if (is_bulk_order(r)) { /* no model multiplies */
        u->escalate |= ESCALATE_AMOUNT;
        u->priority = PRIORITY_CRITICAL;
    }
}

void reading_judge(struct reading *r, const json_t *answer)
{
    judge_domain(r, answer);
    if (r->u->by_model)
        judge_rest(r, answer);
}
