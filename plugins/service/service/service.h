/* What the components of the plugin `service` share. Loop thread.
 *
 * The shared document of an enquiry's conversation (service.md 11), beside the fields named there:
 *   channel, message, created_ms, language      set by the desk and TriageAgent
 *   classification, sub_intent, entities, cues  by ClassifierAgent; service_domain, intent, priority, sentiment too
 *   routing {outcome, considered, notes}, route by OrchestratorAgent
 *   escalation {rules: [{rule, reason, queue}]} why a human is needed; grows
 *   multi {parts, current, classification}      by EscalationAgent, where an enquiry has several domains
 *   review {scores, approved, rejections}          by QAAgent
 *   handoff_id, interim                         by EscalationAgent
 *   final_response, next_steps                  by ResponseGeneratorAgent */
#ifndef SERVICE_SERVICE_H
#define SERVICE_SERVICE_H

#include "../common/clip.h"
#include "../common/phone.h"
#include "reply.h"
#include <cvm/cvm.h>
#include <cvm/json.h>
#include <cvm/money.h>

#define SERVICE_DESK "service.desk"
#define SERVICE_TRIAGE "service.triage"
#define SERVICE_CLASSIFIER "service.classifier"
#define SERVICE_ORCHESTRATOR "service.orchestrator"
#define SERVICE_QA "service.qa"
#define SERVICE_RESPONSE "service.response_generator"
#define SERVICE_ESCALATION "service.escalation"
#define SERVICE_RESEARCH "service.research"
#define SERVICE_TRANSACTION "service.transaction"

#define SERVICE_TIME_SIZE 32
#define SERVICE_TEXT_MAX 8192 /* bytes of an answer to a customer */

/* ---- shared.c ---- */

/* The compiled vocabulary of what is loaded; NULL (logged) where it cannot be had. A cache: rebuilt when domains
 * change. */
const struct vocabulary *service_vocabulary(cvm_turn *t);
/* The base vocabulary's own document: "routes" and so on; NULL where there is none. */
const json_t *service_base(cvm_turn *t);
void service_forget(void); /* frees the caches; the plugin's destroy */

/* The message an agent was handed; "" and {} where it lacks a member. Borrowed. */
const char *service_content(const cvm_msg *m);
const json_t *service_given(const cvm_msg *m);
const char *service_from(const cvm_msg *m);

/* Ends an agent's step. `structured_data` is taken (NULL for {}); `next` NULL: the route goes on. */
CVM_MUST_USE int service_step(cvm_turn *t, const cvm_msg *m, const char *content, json_t *structured_data,
                              const char *next, bool end);

bool service_loaded(cvm_turn *t, const char *id);

/* The rule by which an agent, named in its structured data, did not do what was asked; "" where it did. */
const char *service_rule(const json_t *given);

/* A string member of the context, or "". */
const char *service_context_str(cvm_turn *t, const char *name);
/* Appends to the array at `path` of the context ("/escalation/rules"). `value` is taken. */
CVM_MUST_USE int service_context_append(cvm_turn *t, const char *path, json_t *value);

/* A row, or rows, as a query answers them, with the columns that hold JSON read. New value. */
json_t *service_row(const json_t *row, const char *const *json_columns, size_t n);
json_t *service_rows(const json_t *rows, const char *const *json_columns, size_t n);

/* Asks for the newest rows of a table, of those whose columns equal what the message gives: pairs of (member of the
 * message, column). The answer comes as "query.reply" on behalf of the message. */
int service_list(cvm_turn *t, const cvm_msg *m, const char *table, const char *const (*filters)[2], size_t n);

/* ---- pure.c: pure ---- */

const char *service_time(int64_t at_ms, char ret_text[SERVICE_TIME_SIZE]); /* UTC, ISO 8601 with milliseconds */
int64_t service_time_ms(const char *text);                                 /* the other way; 0: it is none */
/* In the registry's array of components, by id or alias; NULL: not loaded. */
const json_t *service_component(const json_t *components, const char *id_or_alias);
/* Those of them that do something about enquiries that are over, in their order; NULL: there is no registry. */
const json_t *service_after(const json_t *components);
void service_forget_components(void);
bool service_has_role(const json_t *component, const char *role);
bool triage_email_form(const char *text);

/* ---- customers.c ---- */

struct customer {
    char id[CVM_SHORT_ID_SIZE];
    char phone[PHONE_SIZE];
    char session[65];
    char tier[16];     /* as the customer is served */
    char set_tier[16]; /* what the operator set */
    char name[121];
    char email[255];
    char language[8];
    char asked[REPLY_BYTES_MAX + 1]; /* the order that an answer to our latest question completes; "" */
    char asked_rule[32];             /* what was asked for */
};

/* Finds the customer of a phone number, or makes one, and the session the enquiry belongs to. `name`, `email` and
 * `session` may be "". An account is opened in the lane of `enquiry`, before anything else that happens there. */
CVM_MUST_USE int customers_find(cvm_turn *t, const cvm_msg *m, const char *phone, const char *name, const char *email,
                                const char *session, const char *enquiry, struct customer *ret_customer);
/* The desk has asked for what is missing in `order`: the customer's next message in this session may be the answer. */
CVM_MUST_USE int customers_asked(cvm_turn *t, const char *customer, const char *session, const char *order,
                                 const char *rule);
/* CVM_EREFUSED: there is no such customer. */
CVM_MUST_USE int customers_set_tier(cvm_turn *t, const cvm_msg *m, const char *customer, const char *tier);
int customers_start(cvm_turn *t, const cvm_msg *m);
int customers_opened(cvm_turn *t, const cvm_msg *m); /* "open_account.reply" */
/* The number of the sample customer whose turn it is, where the operator has set any; NULL. Each enquiry without a
 * number is the next one's, so that many of them are not one customer's haste; those of the highest tier are left out,
 * because their cases go to humans. */
CVM_MUST_USE int customers_sample(cvm_turn *t, const char **ret_phone);

/* ---- rules.c: pure ---- */

/* Which of the rules of section 14 hold for what the context says. New array of {"rule", "reason", "queue"}. */
json_t *rules_apply(const json_t *context, const json_t *settings);
bool rules_hold_money(const json_t *rules);                      /* no purchase may go on before a human has looked */
bool rules_only_inform(const json_t *rules, const char *intent); /* a human is told, the customer is served */
const char *rules_queue(const json_t *rules);                    /* of the most urgent one of them */
const char *rules_first(const json_t *rules);                    /* the most urgent one's name; "" for none */

/* ---- routing.c: pure ---- */

/* Section 13 for what the context says. New object: {"route": [ids], "outcome": "answer", "multi", "unknown",
 * "not_served", "clarify_domain" (with "instead": the domain that may be meant) or "agents_missing", "considered":
 * [..], "notes": [{"rule", ..}]}. */
json_t *routing_decide(const json_t *context, const json_t *rules, const json_t *domains, const json_t *base,
                       const json_t *components);
/* The agents of one domain and intent that are loaded, without QA and the rest. New array. */
json_t *routing_agents(const char *domain, const char *intent, const char *leaf, const json_t *domains,
                       const json_t *base, const json_t *components, json_t *missing);
bool routing_served(const json_t *domains, const char *domain);

/* ---- review.c: pure ---- */

/* QA by rules: {"scores": {accuracy, completeness, professionalism}, "mean", "approved", "remarks": [..]}. */
json_t *review_draft(const char *draft, const json_t *facts, const json_t *context, const json_t *settings);

/* ---- compose.c: pure ---- */

struct compose_in {
    const char *channel; /* "SMS", ... */
    const char *tone;    /* friendly, formal, empathetic, brief; "" chooses by sentiment and channel */
    const char *sentiment;
    const char *name;     /* of the customer; "" */
    const char *body;     /* what is to be said */
    const char *token;    /* a 20-digit token that must stay whole; "" */
    const char *language; /* "en", "pcm", .. */
};

const char *compose_tone(const char *channel, const char *sentiment);
/* The text as it goes to the customer, within the channel's limits. */
void compose_text(const struct compose_in *in, char *ret_text, size_t size);

/* ---- escalation.c ---- */

int escalation_handle(cvm_turn *t, const cvm_msg *m);
int escalation_create(cvm_turn *t, const cvm_msg *m);
int escalation_notify(cvm_turn *t, const cvm_msg *m);
int escalation_split(cvm_turn *t, const cvm_msg *m);

/* ---- handoffs.c: the records ---- */

struct handoff {
    const char *enquiry_id, *customer_id, *priority, *summary, *draft; /* borrowed; "" where unknown */
    const json_t *rules;                                               /* borrowed array of {rule, reason, queue} */
    const json_t *context;                                             /* borrowed; may be NULL */
};

/* Writes the record and tells the topic `handoff.created`. */
CVM_MUST_USE int handoffs_create(cvm_turn *t, const cvm_msg *m, const struct handoff *h,
                                 char ret_id[CVM_SHORT_ID_SIZE]);
/* What the customer is told meanwhile. */
void handoffs_interim(cvm_turn *t, const char *handoff_id, const json_t *rules, const char *priority, char *ret_text,
                      size_t size);
int handoffs_list(cvm_turn *t, const cvm_msg *m);
int handoffs_listed(cvm_turn *t, const cvm_msg *m);
int handoffs_show(cvm_turn *t, const cvm_msg *m);
int handoffs_shown(cvm_turn *t, const cvm_msg *m);

/* ---- handoff_change.c ---- */

int handoffs_claim(cvm_turn *t, const cvm_msg *m);
int handoffs_resolve(cvm_turn *t, const cvm_msg *m);
bool handoffs_changing(cvm_turn *t, const cvm_msg *m); /* the row that has come is for one of these */
int handoffs_changed(cvm_turn *t, const cvm_msg *m);

/* ---- desk.c, lookup.c, and the other agents ---- */

int desk_process(cvm_turn *t, const cvm_msg *m);
int desk_open(cvm_turn *t, const cvm_msg *m);
int desk_conversed(cvm_turn *t, const cvm_msg *m);
int desk_handed_over(cvm_turn *t, const cvm_msg *m);
int desk_classify(cvm_turn *t, const cvm_msg *m);

/* Opens the conversation of an enquiry, whose data is taken, for the request. CVM_PENDING. */
CVM_MUST_USE int desk_go_on(cvm_turn *t, cvm_id request, json_t *data);
/* Writes the row from what the enquiry's context says. */
CVM_MUST_USE int desk_write_row(cvm_turn *t, const cvm_msg *m, const char *status);

/* ---- rating.c ---- */

int rating_take(cvm_turn *t, const cvm_msg *m);
int rating_settle(cvm_turn *t, const cvm_msg *m);
int rating_settled(cvm_turn *t, const cvm_msg *m);
int rating_resolved(cvm_turn *t, const cvm_msg *m);
CVM_MUST_USE int rating_reply(cvm_turn *t, const cvm_msg *m, const char *message, const char *channel,
                              const char *customer, json_t *enquiry);
int rating_replied(cvm_turn *t, const cvm_msg *m);

/* ---- tiers.c ---- */

/* The tier that counts, of one whose operator set `set`. */
CVM_MUST_USE int tiers_of(cvm_turn *t, const char *customer, const char *set, char ret_tier[16]);
int tiers_spent(cvm_turn *t, const cvm_msg *m);
int tiers_set(cvm_turn *t, const cvm_msg *m);
int tiers_contact(cvm_turn *t, const cvm_msg *m);

/* ---- evaluate.c ---- */

int evaluate_rows(cvm_turn *t, const cvm_msg *m);

int lookup_list(cvm_turn *t, const cvm_msg *m);
int lookup_listed(cvm_turn *t, const cvm_msg *m);
int lookup_show(cvm_turn *t, const cvm_msg *m);
int lookup_shown(cvm_turn *t, const cvm_msg *m);
int lookup_context(cvm_turn *t, const cvm_msg *m);

int triage_handle(cvm_turn *t, const cvm_msg *m);
int triage_validate_phone(cvm_turn *t, const cvm_msg *m);
int triage_validate_email(cvm_turn *t, const cvm_msg *m);
int triage_detect_language(cvm_turn *t, const cvm_msg *m);

int classifier_start(cvm_turn *t, const cvm_msg *m);
int classifier_handle(cvm_turn *t, const cvm_msg *m);
int classifier_classify(cvm_turn *t, const cvm_msg *m);
int classifier_answered(cvm_turn *t, const cvm_msg *m); /* "chat.reply" */
int classifier_entities(cvm_turn *t, const cvm_msg *m);
int classifier_sentiment(cvm_turn *t, const cvm_msg *m);
int classifier_notes(cvm_turn *t, const cvm_msg *m);
int classifier_intent(cvm_turn *t, const cvm_msg *m);
/* The classification of a text; NULL where there is no vocabulary or memory. New value. */
json_t *classifier_read(cvm_turn *t, const char *text, const char *channel);

int orchestrator_handle(cvm_turn *t, const cvm_msg *m);
int orchestrator_route(cvm_turn *t, const cvm_msg *m);
int orchestrator_check(cvm_turn *t, const cvm_msg *m);
int orchestrator_context(cvm_turn *t, const cvm_msg *m);

/* The escalation rule that an agent's work made hold (a purchase that needs a colleague); NULL. New value. */
json_t *qa_late_rule(cvm_turn *t, const json_t *given);
int64_t qa_workers(cvm_turn *t); /* agents that worked on the matter itself (D-42) */
int qa_handle(cvm_turn *t, const cvm_msg *m);
int qa_answered(cvm_turn *t, const cvm_msg *m); /* "chat.reply" */
int qa_review(cvm_turn *t, const cvm_msg *m);
int qa_policy(cvm_turn *t, const cvm_msg *m);

int response_handle(cvm_turn *t, const cvm_msg *m);
int response_answered(cvm_turn *t, const cvm_msg *m); /* "chat.reply" */
int response_compose(cvm_turn *t, const cvm_msg *m);
int response_tone(cvm_turn *t, const cvm_msg *m);

#endif
