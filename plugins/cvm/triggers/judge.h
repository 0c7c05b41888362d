/* The verdicts of the five built-in triggers over one customer: figures and a reading of the conversations into a row
 * of features, a weight for each learnt from labelled histories, and rules that hold without any learning. Pure; any
 * thread; a judge is read by any number of threads. */
#ifndef TRIGGERS_JUDGE_H
#define TRIGGERS_JUDGE_H

#include "../common/facts.h"
#include "textmodel.h"

enum trigger { NETWORK_ISSUES, BILLING_DISPUTES, CHURN_RISK, HIGH_VALUE, ROAMING_ISSUES, TRIGGERS };
extern const char *const trigger_names[TRIGGERS];

#define JUDGE_FEATURES_MAX 96
#define REASON_BYTES_MAX 512

struct thresholds { /* settings; money in minor units of the customer's currency */
    double dropped_pct, signal_dbm, download_mbps, outages; /* a line's figures are bad from here on */
    int bad_figures;                                        /* so many of the four make it plain */
    double churn_score, usage_fall_pct;
    int contract_days;
    double high_spend; /* 0: by share_top */
    double on_time_min;
    int tenure_min;
    double confidence_min;
};
void thresholds_default(struct thresholds *t);

struct case_file { /* one customer */
    const struct cvm_facts *facts;
    const struct conversation *conversations;
    size_t n_conversations;
    int64_t now_ms;
    double high_spend;         /* of his currency's base, in minor units; NAN: not known */
    double churn_chance;       /* of the churn model; NAN: none */
    const char *churn_factors; /* what makes it; NULL: none */
};

struct verdict {
    bool matches;
    bool rules; /* what the rules alone say */
    double confidence;
    char reasoning[REASON_BYTES_MAX];
    size_t n_evidence;
    struct {
        const char *source; /* static */
        char ref[64];
        char timestamp[32];
        char excerpt[EXCERPT_BYTES_MAX + 1];
    } evidence[READER_EVIDENCE_MAX];
};

struct judge;

/* `lexicon` as for reader_new. Gives *ret_judge. It goes by rules alone until it has learnt. */
int judge_new(const json_t *lexicon, struct judge **ret_judge, char *ret_error, size_t error_size);
void judge_free(struct judge *j);
const struct reader *judge_reader(const struct judge *j);

/* A labelled history: {"text" | "call_transcripts", .., "labels": [..]} (docs/reference/triggers.md). CVM_EINVAL. */
int judge_example(struct judge *j, const json_t *history, char *ret_error, size_t error_size);
/* Learns from the examples given so far. CVM_ENOMEM, CVM_EDATA. */
int judge_learn(struct judge *j);
size_t judge_examples(const struct judge *j);

/* Judges; `wanted`: bits of enum trigger. Texts of verdicts are only filled for matches. CVM_ENOMEM. */
int judge_case(const struct judge *j, const struct thresholds *t, const struct case_file *c, unsigned wanted,
               struct verdict ret_verdicts[TRIGGERS]);
/* From figures alone, for a customer without conversations: no allocation. */
unsigned judge_figures(const struct thresholds *t, const struct case_file *c);

/* Months of "YYYY-MM-DD" from now, in days; NAN: none. */
double days_until(const char *date, int64_t now_ms);
/* Conversations of a history or of customer_data ("call_transcripts", "web_transcripts"). Gives texts that live until
 * conversations_fini. CVM_ENOMEM. */
struct conversations {
    size_t n;
    struct conversation item[READER_CONVERSATIONS_MAX];
    char *texts[READER_CONVERSATIONS_MAX];
};
int conversations_read(const json_t *customer, struct conversations *ret_conversations);
void conversations_fini(struct conversations *c);
/* The facts of a labelled history (members usage, billing, network). Borrows. */
void history_facts(const json_t *history, struct cvm_facts *ret_facts);

#endif
