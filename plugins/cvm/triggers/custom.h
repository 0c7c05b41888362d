/* Triggers in the operator's own words: a description and keywords compiled into a rule that can be read before it is
 * used, and matched. A description is understood through a thesaurus (manifests/triggers/terms.json): groups of what
 * people ask for and how customers say it. Pure; any thread; terms and rules are read by any number of threads. */
#ifndef TRIGGERS_CUSTOM_H
#define TRIGGERS_CUSTOM_H

#include "judge.h"

#define CUSTOM_DESCRIPTION_BYTES_MAX 1000
#define CUSTOM_KEYWORDS_MAX 64

struct custom_terms;
struct custom_rule;

/* Gives *ret_terms. CVM_EINVAL with a sentence. Borrows. */
int custom_terms_new(const json_t *json, struct custom_terms **ret_terms, char *ret_error, size_t error_size);
void custom_terms_free(struct custom_terms *t);

/* {"description", "keywords": [..] or "a,b", "data_types": [..], "match": "any"|"all"}. The rule borrows the terms.
 * CVM_EINVAL: neither a description nor keywords, or nothing in them that can be looked for (ret_error). */
int custom_compile(const struct custom_terms *t, const json_t *trigger, struct custom_rule **ret_rule, char *ret_error,
                   size_t error_size);
void custom_rule_free(struct custom_rule *r);
/* What it looks for, for people. Gives; NULL: out of memory. */
json_t *custom_rule_json(const struct custom_rule *r);
/* Bits of enum trigger whose verdicts it needs. */
unsigned custom_needs(const struct custom_rule *r);
/* `builtin`: verdicts of those, of this customer. */
int custom_match(const struct custom_rule *r, const struct case_file *c, const struct verdict builtin[TRIGGERS],
                 struct verdict *ret_verdict);

#endif
