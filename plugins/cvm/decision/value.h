/* What a treatment is worth with a customer: value = propensity x worth - cost - price, each factor by name. One
 * function for one customer and for a whole base. Money is in minor units. Pure, without allocation; any thread.
 *
 *   propensity  that it does what it is for. The base rate of the record, moved towards what was observed of it (a base
 *               rate counts as VALUE_PRIOR_CONTACTS contacts), plus the uplift of each trigger that the customer
 *               matches, at most .95; a service of which the customer matches no trigger puts nothing right: 0; a sale:
 *               times upsell score / .5; what this customer did before with it moves it
 *               again (VALUE_OWN_CONTACTS), a complaint quarters it. What a component answered counts instead of all.
 *   worth       retain: churn score x monthly spend x margin x months: what leaves with the customer. service: the
 *               amount, else as retain. sell: the amount x margin x months, else monthly spend x margin x months x .25.
 *               fixed: the amount.
 *   cost        of one contact.
 *   price       of one unit that is scarce, known since the last campaign; 0 in a campaign itself. */
#ifndef CVM_DECISION_VALUE_H
#define CVM_DECISION_VALUE_H

#include "option.h"

#define VALUE_FACTORS_MAX 12
#define VALUE_PRIOR_CONTACTS 50
#define VALUE_OWN_CONTACTS 5
#define VALUE_CHURN_UNKNOWN 0.15
#define VALUE_UPSELL_UNKNOWN 0.5

/* What is known of one customer with one option beyond the facts. Zero is: nothing. */
struct value_history {
    double contacts, successes, complaints; /* of this customer with this treatment */
    bool told;                              /* the component was asked: */
    double propensity;                      /* NAN: it did not say */
    int64_t worth;                          /* FACTS_NONE: it did not say */
};

struct value_customer {
    const struct cvm_facts *facts;
    unsigned signals;       /* bits of enum signal: triggers matched */
    const json_t *triggers; /* array of names; NULL: those of `signals` are all */
};

struct value_factor {
    const char *name;
    double amount;
    const char *note; /* "assumed", "unknown, base used"; NULL */
};

struct value {
    double propensity;
    int64_t worth, cost, value;                     /* minor units */
    struct value_factor factors[VALUE_FACTORS_MAX]; /* in the order in which they came in */
    size_t n_factors;
    size_t matched; /* tags of the option that the customer matches */
};

/* The built-in triggers' rules on facts alone, for those that a source's words are not needed for. */
unsigned value_signals(const struct cvm_facts *facts);
bool value_matches(const struct option_tag *tag, const struct value_customer *c);

/* `history` may be NULL. `ignore` is worth 0. */
void value_of(const struct option *o, const struct value_customer *c, const struct value_history *history,
              struct value *ret);
/* {"propensity", "worth_pounds", "cost_pounds", "value_pounds", "factors": {name: amount}, "notes": {name: note}}.
 * Gives. */
json_t *value_json(const struct value *v);

/* Eligibility by facts: NULL, or the first rule that does not hold; its `id` and `why` are for people. */
const struct option_rule *option_broken_rule(const struct option *o, const struct cvm_facts *facts);
bool option_rule_holds(const struct option_rule *r, const struct cvm_facts *facts);
/* The customer's segment may have it. */
bool option_suits_segment(const struct option *o, const struct cvm_facts *facts);
/* NULL, or the permission that is missing: "sms", .. or "marketing". */
const char *option_missing_permission(const struct option *o, const struct cvm_facts *facts);

#endif
