/* The words the desk understands, compiled from JSON: which phrase speaks for which domain, intent, signal, tone, risk,
 * network, DISCO or language. The base vocabulary is manifests/service/vocabulary.json; every loaded domain adds its
 * own. Immutable once made. Pure: knows no host. Any thread. */
#ifndef SERVICE_VOCABULARY_H
#define SERVICE_VOCABULARY_H

#include "text.h"
#include <jansson.h>

#define VOCABULARY_DOMAINS_MAX 16
#define VOCABULARY_INTENTS_MAX 96 /* over all domains */
#define VOCABULARY_SIGNALS_MAX 64
#define VOCABULARY_LEAVES_MAX 192
#define VOCABULARY_WORDS_MAX 7500
#define VOCABULARY_PHRASES_MAX 8000
#define VOCABULARY_PHRASE_WORDS_MAX 8
#define VOCABULARY_GAP 3 /* words that "*" in a phrase stands for, at most */
#define VOCABULARY_MATCHES_MAX 1024

enum vocabulary_group {
    GROUP_DOMAIN,
    GROUP_INTENT,
    GROUP_LEAF,
    GROUP_SIGNAL,
    GROUP_TONE,
    GROUP_RISK,
    GROUP_NETWORK,
    GROUP_DISCO,
    GROUP_LANGUAGE,
    GROUP_UNIT,
    GROUPS
};

/* Names of these groups are fixed: code relies on them. The vocabulary gives their words. */
enum tone { TONE_VERY_NEGATIVE, TONE_NEGATIVE, TONE_POSITIVE, TONES };
enum risk { RISK_LEGAL, RISK_CHURN, RISK_SECURITY, RISKS };
enum unit { UNIT_SIZE, UNIT_OTHER, UNIT_NAIRA, UNIT_FOREIGN, UNIT_THOUSAND, UNIT_MILLION, UNITS };

#define VOCABULARY_NO_DOMAIN 255 /* a phrase that hides its words from the domains: "power bank" */

struct vocabulary_intent {
    const char *name;
    uint8_t domain;
    uint8_t priority;                       /* of a plain message of this intent: 0 LOW .. 3 CRITICAL */
    int8_t base;                            /* score before any word */
    int8_t weights[VOCABULARY_SIGNALS_MAX]; /* of the signals */
};

struct vocabulary_leaf {
    const char *name;
    uint8_t intent;
    uint64_t signals; /* all of these make it likely, without words of its own */
};

struct vocabulary_label {
    uint32_t next; /* index + 1; 0: the last */
    uint8_t group, index;
    int8_t weight;
};

struct vocabulary_match {
    uint16_t start, end; /* tokens, end exclusive */
    uint32_t label;      /* index + 1 of its first label */
};

struct vocabulary {
    json_t *keep; /* the documents that names point into */
    const char *domains[VOCABULARY_DOMAINS_MAX];
    const char *labels_of[VOCABULARY_DOMAINS_MAX]; /* what people call them: "electricity" */
    bool taught[VOCABULARY_DOMAINS_MAX]; /* its section is loaded and has examples: a text model may know it */
    size_t n_domains;
    struct vocabulary_intent intents[VOCABULARY_INTENTS_MAX];
    size_t n_intents;
    struct vocabulary_leaf leaves[VOCABULARY_LEAVES_MAX];
    size_t n_leaves;
    const char *signals[VOCABULARY_SIGNALS_MAX];
    size_t n_signals;
    uint8_t signal_at[4 * VOCABULARY_SIGNALS_MAX]; /* index + 1 by the name's hash; 0: empty */
    const char *networks[32], *discos[32], *languages[16];
    size_t n_networks, n_discos, n_languages;
    struct vocabulary_label *labels;
    size_t n_labels, labels_size;
    struct vocabulary_words *words;
};

/* Compiles `base` and the domain sections in `domains` (array, may be NULL). Holds a reference to both. A section that
 * breaks a limit is left out, so that one line of business cannot silence the others: `ret_error` is then a sentence,
 * else "". Returns 0, or negative with a sentence in `ret_error`. */
int vocabulary_new(const json_t *base, const json_t *domains, struct vocabulary **ret_vocabulary, char *ret_error,
                   size_t error_size);
void vocabulary_free(struct vocabulary *vocabulary); /* accepts NULL */

/* For text_read(). */
uint32_t vocabulary_lookup(const void *vocabulary, const char *word, size_t len);

/* All phrases found, in order of their first word. Returns how many. */
size_t vocabulary_match(const struct vocabulary *vocabulary, const struct text *text, struct vocabulary_match *matches,
                        size_t max);

/* Adds to counts[] how often words of each language are found. They are compared as they are written: "wetin" may stand
 * for "what" elsewhere, but only "wetin" is Pidgin. */
void vocabulary_languages(const struct vocabulary *vocabulary, const struct text *text, int counts[16]);

/* Bit of a signal by name; 0: the vocabulary does not know it. */
uint64_t vocabulary_signal(const struct vocabulary *vocabulary, const char *name);
int vocabulary_domain(const struct vocabulary *vocabulary, const char *name); /* index or -1 */

#endif
