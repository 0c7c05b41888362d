/* What a message is while it is being understood; shared by understanding.c, domain.c, intent.c
 * and judge.c. Pure. */
#ifndef SERVICE_READING_H
#define SERVICE_READING_H

#include "understanding.h"

#define DISPUTE_KOBO INT64_C(10000000) /* 100,000 naira: from here on a human looks at it */

#define CLAUSES_MAX 256
#define EVIDENCE_LEAST 2 /* of a domain, to be recognised at all */
#define PART_LEAST 3     /* of a clause's domain, to count as a part */

struct clause {
    size_t from, to; /* tokens */
    int domain;      /* that it speaks of itself; -1: none */
    int owner;       /* the same, or else that of the clause before it (or after it, at the beginning) */
    int weight;      /* by which its domain leads */
    bool asks;       /* asks for something, reports something, or names a number */
};

struct reading {
    const struct vocabulary *v;
    const struct text *text;
    struct vocabulary_match matches[VOCABULARY_MATCHES_MAX];
    bool hidden[VOCABULARY_MATCHES_MAX][3]; /* inside a longer phrase: as evidence for domains, intents, signals */
    size_t n;
    int score[VOCABULARY_DOMAINS_MAX];
    int tone[TONES];
    uint8_t risks;
    bool own; /* speaks of the customer's own line, meter, account */
    struct clause clauses[CLAUSES_MAX];
    size_t n_clauses;
    struct understanding *u;
};

static inline bool reading_signal(const struct reading *r, const char *name)
{
    return (r->u->signals & vocabulary_signal(r->v, name)) != 0;
}

void reading_reason(struct reading *r, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Sets the domain and the parts. */
void reading_domain(struct reading *r);
/* Sets intent, leaf and signals of a part. `intent`: the one it is; negative: the likeliest by the rules. */
void reading_intent(struct reading *r, struct understanding_part *part, int intent);
/* Lays a model's answer over what the rules found. */
void reading_judge(struct reading *r, const json_t *answer);

#endif
