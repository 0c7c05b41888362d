/* What the files of lifecycle.decision share. */
#ifndef LIFECYCLE_DECIDE_H
#define LIFECYCLE_DECIDE_H

#include "../common/bandit_json.h"
#include "../common/policy.h"
#include "lifecycle.h"

#define FIGURES_PREFIX "of/" /* a persona's figures; the rest of them is under "bandit" */

/* One persona's choice on its way. Borrows from the request. */
struct choosing {
    const json_t *customer, *observation, *memory, *options;
    int64_t day;
    uint64_t seed;
    const char *force; /* an action, or NULL */
    struct policy_settings policy;
    struct bandit *bandit;     /* with the policy thompson */
    const json_t *experiments; /* that run, or NULL; a variant of them may set what follows, else it is NULL */
    const char *provider, *model, *prompt;
    const json_t *temperature;
    size_t n;
    struct policy_option option[POLICY_OPTIONS_MAX];
    enum life_state state;
};

/* Fills the options of what is known. CVM_EINVAL: there are none, or the names are bad. */
CVM_MUST_USE int choosing_read(struct choosing *c);
/* Decides by rule, force or policy and gives the decision, with `ask` whether a model may be asked in its place. */
CVM_MUST_USE int choosing_decide(cvm_turn *t, struct choosing *c, json_t **ret_decision, bool *ret_ask);
/* Notes what was considered. Borrows the decision. `brief`: of many, whose untried options are in one note for all. */
CVM_MUST_USE int choosing_note(cvm_turn *t, const struct choosing *c, const json_t *decision, bool brief);
/* Whether `action` may be chosen; its index. */
int choosing_allowed(const struct choosing *c, const char *action);
/* Whether memory changed the choice of option `index`. */
bool choosing_adapted(const struct choosing *c, int index);

/* The policy that the settings name, and the bandit as it is stored (NULL with another policy than thompson, unless it
 * is `wanted` all the same); bandit_free it. */
CVM_MUST_USE int posterior_read(cvm_turn *t, bool wanted, struct policy_settings *ret_policy,
                                struct bandit **ret_bandit);
CVM_MUST_USE int posterior_persona(cvm_turn *t, struct bandit *bandit, const char *key,
                                   struct bandit_persona *ret_persona);

/* Asks a model about a choice; the answer comes as "chat.reply" with the cookie. */
CVM_MUST_USE int ask_model(cvm_turn *t, const struct choosing *c, cvm_id cookie);

#endif
