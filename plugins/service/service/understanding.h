/* What a customer's message means: domain, intent, priority, sentiment, entities, whether a human is needed, and why.
 * By whole-word rules over the vocabulary (service.md 12), judged by a text model where there is one. Pure: knows no
 * host. Any thread. */
#ifndef SERVICE_UNDERSTANDING_H
#define SERVICE_UNDERSTANDING_H

#include "entities.h"

#define UNDERSTANDING_PARTS_MAX 4
#define DOMAIN_MULTI (-1)
#define DOMAIN_UNKNOWN (-2)

enum { PRIORITY_LOW, PRIORITY_MEDIUM, PRIORITY_HIGH, PRIORITY_CRITICAL };

/* Why a human is needed; bits. */
enum {
    ESCALATE_LEGAL = 1,
    ESCALATE_CHURN = 2,
    ESCALATE_SECURITY = 4,
    ESCALATE_SENTIMENT = 8,
    ESCALATE_AMOUNT = 16,
    ESCALATE_FAILURES = 32,
    ESCALATE_MODEL = 64 /* no rule names it */
};

/* One domain's share of a message. */
struct understanding_part {
    uint8_t domain;
    uint8_t intent;      /* index in the vocabulary */
    int leaf;            /* index in the vocabulary, -1: none */
    uint32_t start, end; /* bytes of the message that speak of it */
    uint64_t signals;    /* of the clauses that speak of it */
};

struct understanding {
    int domain;                                               /* index, DOMAIN_MULTI or DOMAIN_UNKNOWN */
    struct understanding_part parts[UNDERSTANDING_PARTS_MAX]; /* one, or more where MULTI; strongest first */
    size_t n_parts;
    int weights[VOCABULARY_DOMAINS_MAX]; /* what speaks for each domain */
    uint8_t priority, sentiment;         /* 0 VERY_NEGATIVE .. 3 POSITIVE */
    uint8_t escalate;                    /* bits */
    uint64_t signals;
    int language; /* index in the vocabulary; -1: English */
    bool request; /* it asks for something, though no domain is recognised */
    bool greeting;
    bool cut; /* longer than what is read */
    bool by_model;
    double confidence; /* that domain and intent are right */
    int close;         /* the domain that is nearly as likely; -1: none */
    struct entities entities;
    char reasoning[256];
};

/* By the rules alone. */
void understand(const struct vocabulary *vocabulary, const char *message, const char *channel,
                struct understanding *ret_understanding);

/* Its language alone: index in the vocabulary; -1: English. */
int understand_language(const struct vocabulary *vocabulary, const char *message);

/* What a model answers to a message and to what the rules read in it: {"domain": [["DATA", .93], ..], "intent":
 * [["DATA/PURCHASE", .9], ..], "priority", "sentiment", "escalate"}, best first. Gives; NULL: no model answers. */
typedef json_t *understanding_model(void *arg, const struct vocabulary *vocabulary, const char *message,
                                    const struct understanding *by_rules);
void understand_judged(const struct vocabulary *vocabulary, const char *message, const char *channel,
                       understanding_model *model, void *arg, struct understanding *ret_understanding);

/* What the rules read, as notes for the model: an array of short strings. New value. */
json_t *understanding_notes(const struct vocabulary *vocabulary, const struct understanding *by_rules);

/* "POWER", "MULTI", "UNKNOWN". */
const char *understanding_domain(const struct vocabulary *vocabulary, const struct understanding *u);

/* As service.md 12.4: service_domain, intent, priority, sentiment, entities, reasoning; plus sub_intent, escalate,
 * escalate_reasons, confidence, fallback_used, tags, language, weights (of the domains), cues (names of the signals)
 * and, where MULTI, parts. New value. */
json_t *understanding_json(const struct vocabulary *vocabulary, const char *message, const struct understanding *u);

#endif
