/* When a human is needed (service.md 14). Pure: reads the conversation's context and settings. Any thread. */
#include "service.h"

static const struct {
    const char *rule, *queue;
} queues[] = {
    /* most urgent first: a handoff goes to the first one that holds */
    {"security_keywords", "security"},
    {"legal_keywords", "legal"},
    {"transaction_amount_threshold", "transactions"},
    {"transaction_failure_count", "transactions"},
    {"two_factor", "transactions"},
    {"fraud_check", "transactions"},
    {"bulk_order", "transactions"},
    {"churn_keywords", "retention"},
    {"customer_tier", "vip"},
};

static const char *queue_of(const char *rule)
{
    for (size_t i = 0; i < sizeof queues / sizeof *queues; i++)
        if (!strcmp(queues[i].rule, rule))
            return queues[i].queue;
    return "general";
}

static void add(json_t *rules, const char *rule, const char *reason)
{
    json_array_append_new(rules, json_pack("{s:s, s:s, s:s}", "rule", rule, "reason", reason, "queue", queue_of(rule)));
}

static bool has_reason(const json_t *context, const char *name)
{
    const json_t *reasons = json_object_get(json_object_get(context, "classification"), "escalate_reasons");
    for (size_t i = 0; i < json_array_size(reasons); i++) {
        const char *reason = json_string_value(json_array_get(reasons, i));
        if (reason && !strcmp(reason, name))
            return true;
    }
    return false;
}

/* Of all sums named, or of what one of them comes to for all whom it is for. */
static double amounts(const json_t *context)
{
    const json_t *list = json_object_get(json_object_get(context, "entities"), "amounts");
    double sum = 0, total;
    for (size_t i = 0; i < json_array_size(list); i++)
        sum += json_number_value(json_array_get(list, i));
    total = json_number_value(json_object_get(json_object_get(context, "classification"), "total_amount"));
    return total > sum ? total : sum;
}

static bool has_cue(const json_t *context, const char *name)
{
    const json_t *cues = json_object_get(context, "cues");
    for (size_t i = 0; i < json_array_size(cues); i++) {
        const char *cue = json_string_value(json_array_get(cues, i));
        if (cue && !strcmp(cue, name))
            return true;
    }
    return false;
}

json_t *rules_apply(const json_t *context, const json_t *settings)
{
    json_t *rules = json_array();
    char text[160], sum_text[32];
    double threshold = (double)cvm_json_int(settings, "transaction_amount_threshold", 100000), sum = amounts(context);
    int64_t failures = cvm_json_int(context, "transaction_failure_count", 0);
    /* The label `escalate` counts sums from the threshold on; purchases are automatic up to and with it (D-43). */
    if (has_reason(context, "amount") && sum > threshold) {
        cvm_money_text((int64_t)(sum * 100), sum_text, sizeof sum_text);
        snprintf(text, sizeof text, "the request is about %s naira, more than %.0f", sum_text, threshold);
        add(rules, "transaction_amount_threshold", text);
    }
    if (!strcmp(cvm_json_str(context, "sentiment", ""), cvm_json_str(settings, "sentiment_threshold", "VERY_NEGATIVE")))
        add(rules, "sentiment_threshold", "the customer is very angry");
    if (!strcmp(cvm_json_str(context, "customer_tier", ""), cvm_json_str(settings, "customer_tier", "PLATINUM")))
        add(rules, "customer_tier", "a customer of the highest tier");
    if (has_reason(context, "legal"))
        add(rules, "legal_keywords", "speaks of legal steps or a regulator");
    if (has_reason(context, "churn"))
        add(rules, "churn_keywords", "speaks of leaving");
    if (has_reason(context, "security"))
        add(rules, "security_keywords", "reports fraud, theft or unauthorised use");
    if (has_cue(context, "human"))
        add(rules, "human_requested", "asks for a person");
    if (has_reason(context, "model"))
        add(rules, "model_judgement", "reads like a case for a person, though no rule names it");
    if (has_reason(context, "failures"))
        add(rules, "transaction_failure_count", "reports three or more failed attempts");
    else if (failures >= cvm_json_int(settings, "transaction_failure_count", 3)) {
        snprintf(text, sizeof text, "%lld failed transactions in this session", (long long)failures);
        add(rules, "transaction_failure_count", text);
    }
    return rules;
}

static bool holds(const json_t *rules, const char *rule)
{
    for (size_t i = 0; i < json_array_size(rules); i++)
        if (!strcmp(cvm_json_str(json_array_get(rules, i), "rule", ""), rule))
            return true;
    return false;
}

bool rules_hold_money(const json_t *rules)
{
    return holds(rules, "transaction_amount_threshold") || holds(rules, "security_keywords");
}

bool rules_only_inform(const json_t *rules, const char *intent)
{
    return json_array_size(rules) == 1 && holds(rules, "customer_tier") && !strcmp(intent, "PURCHASE");
}

const char *rules_first(const json_t *rules)
{
    for (size_t i = 0; i < sizeof queues / sizeof *queues; i++)
        if (holds(rules, queues[i].rule))
            return queues[i].rule;
    return cvm_json_str(json_array_get(rules, 0), "rule", "");
}

const char *rules_queue(const json_t *rules)
{
    for (size_t i = 0; i < sizeof queues / sizeof *queues; i++)
        if (holds(rules, queues[i].rule))
            return queues[i].queue;
    return "general";
}
