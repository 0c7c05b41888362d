/* A treatment as a decision sees it: its record read once, so that a customer is held against it in well under a
 * microsecond. Borrows the record. Pure; any thread. */
#ifndef CVM_DECISION_OPTION_H
#define CVM_DECISION_OPTION_H

#include "../common/facts.h"

#include <cvm/json.h>

#define OPTION_RULES_MAX 16
#define OPTION_TAGS_MAX 16
#define OPTION_UNLIMITED INT64_MAX
#define OPTION_IGNORE "ignore"

/* The triggers that this product brings; others are known by name alone. */
enum signal { SIGNAL_NETWORK, SIGNAL_BILLING, SIGNAL_CHURN, SIGNAL_HIGH_VALUE, SIGNAL_ROAMING, SIGNALS };
extern const char *const signal_names[SIGNALS]; /* "network_issues" */
int signal_find(const char *name);              /* -1: another one */

enum option_channel {
    CHANNEL_NONE,
    CHANNEL_NETWORK,
    CHANNEL_SMS,
    CHANNEL_EMAIL,
    CHANNEL_CALL,
    CHANNEL_APP,
    CHANNEL_POST
};
extern const char *const channel_names[7];

enum option_op { OP_EQ, OP_NE, OP_LT, OP_LE, OP_GT, OP_GE, OP_IN, OP_EXISTS, OP_ABSENT };

struct option_rule {
    const char *id, *why;
    const char *fact; /* a column of the facts, or "attributes.NAME" */
    int column;       /* of the facts; -1: an attribute */
    enum option_op op;
    double number;    /* NAN: compared as text */
    const char *text; /* NULL: none */
    const json_t *in; /* OP_IN */
};

struct option_tag { /* a trigger it suits, and what that adds to the propensity */
    const char *name;
    int signal; /* -1: known by name */
    double uplift;
};

enum worth_kind { WORTH_ASSUMED, WORTH_RETAIN, WORTH_SELL, WORTH_SERVICE, WORTH_FIXED };
extern const char *const worth_names[5];

struct option {
    const json_t *record;
    const char *id, *name, *description;
    enum option_channel channel;
    bool enabled, service, ask; /* ask: the component is asked for each customer */
    int64_t priority;
    int64_t cost;           /* minor units */
    int64_t price;          /* minor units; what the limits of the last campaign make of one unit */
    const json_t *segments; /* array; NULL: all */
    struct option_rule rules[OPTION_RULES_MAX];
    size_t n_rules;
    struct option_tag
        tags[OPTION_TAGS_MAX]; /* of applies_to and uplift_by_trigger; of the words where it has neither */
    size_t n_tags;
    /* Value. WORTH_ASSUMED: the record says nothing. */
    enum worth_kind kind;
    double propensity, months, margin;
    int64_t amount; /* minor units; FACTS_NONE: from what the customer spends */
    double observed_contacts, observed_successes;
};

/* Reads a record. false: it has no id, or a rule that cannot be read: ret_why says which. */
bool option_read(const json_t *record, struct option *ret, char *ret_why, size_t size);
/* The same for a record that stands under its id in an object. */
bool option_read_as(const json_t *record, const char *id, struct option *ret, char *ret_why, size_t size);
/* The record of `ignore`, where a catalogue does not list it. Gives. */
json_t *option_ignore_record(void);
bool option_is_ignore(const struct option *o);

#endif
