/* What a customer's conversations say of the present: each sentence is read with its speaker, its clause, what it is
 * said under (negation, supposition, somebody else, the past) and what came after it (solved, not solved). Rules only;
 * no host, no language model. Pure; any thread; a reader's lists are read by any number of threads. */
#ifndef TRIGGERS_READER_H
#define TRIGGERS_READER_H

#include "words.h"

#define READER_CONVERSATIONS_MAX 64
#define READER_EVIDENCE_MAX 6
#define EXCERPT_BYTES_MAX 240

enum topic { TOPIC_NET, TOPIC_BILL, TOPIC_CHURN, TOPIC_ROAM, TOPICS };

enum standing { /* of a statement */
                STANDS,
                STANDS_WEAK, /* a hint only */
                IF_ONLY,     /* a supposition or a question about one */
                PASSED,      /* of the past */
                ANOTHERS,
                DENIED,
                STANDINGS
};

struct conversation {
    bool web;
    char ref[64];
    char date[32];    /* as it is stored; sorts by time */
    const char *text; /* "customer: ..\nagent: ..", borrowed */
    size_t len;
};

struct remark { /* a sentence that says something of a topic */
    uint8_t topic, standing, conversation;
    bool question;
    uint16_t order;      /* of the sentence among all that the customer said */
    uint32_t start, end; /* bytes of the sentence in the conversation's text */
};

#define READER_REMARKS_MAX 128

struct reading {
    size_t n_conversations, n_remarks;
    const struct conversation *conversations; /* sorted, oldest first */
    uint16_t n_sentences;                     /* that the customer said */
    uint16_t count[TOPICS][STANDINGS];        /* sentences */
    uint16_t last[TOPICS];                    /* order + 1 of the last that stands; 0: none */
    uint16_t in_last[TOPICS];                 /* sentences that stand, in the last conversation */
    uint16_t solved_at[TOPICS];               /* order + 1 of the last that says it is solved */
    uint16_t agent[TOPICS];                   /* what the other side speaks of */
    uint16_t solved, unsolved, unsolved_last, stays, cleared, praise, sarcasm, asks, abroad, international, not_trouble;
    uint16_t supposed, another, past;
    uint16_t abroad_with[TOPICS]; /* statements of the topic in a conversation about being abroad */
    uint16_t home_net;            /* statements about the network outside one */
    bool agent_fixed, agent_open; /* in the last conversation with a concern */
    bool ends_well;               /* the customer's last words are content */
    struct remark remarks[READER_REMARKS_MAX];
};

struct reader;

#define READER_FIELD "field:" /* labels of words of a field of meaning, for a text model, begin so */

/* Gives *ret_reader. `lexicon`: manifests/triggers/lexicon.json. Borrows. */
int reader_new(const json_t *lexicon, struct reader **ret_reader, char *ret_error, size_t error_size);
void reader_free(struct reader *r);
const struct phrases *reader_phrases(const struct reader *r);

/* Sorts by time. */
void conversations_sort(struct conversation *c, size_t n);
/* Reads; `home`: two letters of the country that is not abroad ("NG", "GB"); `note` is told each word and each cue (for
 * a text model), may be NULL. CVM_ENOMEM. */
typedef void reader_note(void *arg, bool agent, const struct words *w, const struct words_match *m, size_t n);
int reader_read(const struct reader *r, const struct conversation *c, size_t n, const char *home, reader_note *note,
                void *arg, struct reading *ret_reading) __attribute__((warn_unused_result));

/* One speaker's words at a time: "customer: .." or "agent: ..", else the customer's. 0: the end. */
size_t reader_turn(const char *text, size_t len, size_t at, bool *ret_agent, size_t *ret_from);

#endif
