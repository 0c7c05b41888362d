/* See option.h. */
#include "option.h"
#include "words.h"

#include <math.h>
#include <stdio.h>

#define ASSUMED_PROPENSITY 0.02
#define ASSUMED_UPLIFT 0.10
#define DEFAULT_PRIORITY 5

const char *const signal_names[SIGNALS] = {"network_issues", "billing_disputes", "churn_risk", "high_value",
                                           "roaming_issues"};
const char *const channel_names[7] = {"none", "network", "sms", "email", "call", "app", "post"};
const char *const worth_names[5] = {"assumed", "retain", "sell", "service", "fixed"};
static const char *const op_names[] = {"=", "!=", "<", "<=", ">", ">=", "in", "exists", "absent"};

int signal_find(const char *name)
{
    for (int i = 0; i < SIGNALS; i++)
        if (strcmp(signal_names[i], name) == 0)
            return i;
    return -1;
}

static int find(const char *const *names, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(names[i], name) == 0)
            return (int)i;
    return -1;
}

static double number(const json_t *object, const char *key, double otherwise)
{
    const json_t *v = json_object_get(object, key);
    return json_is_number(v) ? json_number_value(v) : otherwise;
}

static int64_t minor(double pounds)
{
    return fabs(pounds) < 1e13 ? llround(pounds * 100) : 0;
}

static bool read_rule(const json_t *json, struct option_rule *r)
{
    const json_t *value = json_object_get(json, "value");
    int op = find(op_names, sizeof op_names / sizeof *op_names, cvm_json_str(json, "op", "="));
    *r = (struct option_rule){.id = cvm_json_str(json, "rule", ""),
                              .why = cvm_json_str(json, "why", ""),
                              .fact = cvm_json_str(json, "fact", ""),
                              .op = (enum option_op)(op < 0 ? 0 : op),
                              .number = NAN};
    r->column = facts_column_find(r->fact);
    if (!*r->id)
        r->id = r->fact;
    if (json_is_number(value))
        r->number = json_number_value(value);
    else if (json_is_boolean(value))
        r->number = json_is_true(value);
    else if (json_is_string(value))
        r->text = json_string_value(value);
    else if (json_is_array(value))
        r->in = value;
    if (op < 0 || (r->column < 0 && strncmp(r->fact, "attributes.", 11) != 0))
        return false;
    if (r->op == OP_IN)
        return r->in != NULL;
    if (r->op == OP_EXISTS || r->op == OP_ABSENT)
        return true;
    return !isnan(r->number) || (r->text && (r->op == OP_EQ || r->op == OP_NE || r->column == FACTS_contract_end));
}

static bool read_rules(const json_t *list, struct option *o, char *ret_why, size_t size)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *json = json_array_get(list, i);
        if (o->n_rules == OPTION_RULES_MAX || !read_rule(json, &o->rules[o->n_rules])) {
            snprintf(ret_why, size,
                     "%s: eligibility %zu%s cannot be read: a fact, an operator (= != < <= > >= in exists "
                     "absent) and a value that fits are needed",
                     o->id, i + 1, o->n_rules == OPTION_RULES_MAX ? " (at most 16)" : "");
            return false;
        }
        o->n_rules++;
    }
    return true;
}

static void add_tag(struct option *o, const char *name, double uplift)
{
    if (!name)
        return;
    for (size_t i = 0; i < o->n_tags; i++)
        if (strcmp(o->tags[i].name, name) == 0) {
            o->tags[i].uplift = uplift;
            return;
        }
    if (o->n_tags < OPTION_TAGS_MAX)
        o->tags[o->n_tags++] = (struct option_tag){name, signal_find(name), uplift};
}

/* What a treatment that somebody wrote in a sentence is good for, by that sentence. */
static void tags_of_words(struct option *o)
{
    static const char *const high[] = {"high-value", "high value", "vip", "loyal", "valuable", "premium customer"};
    static const char *const keep[] = {"retention", "retain", "stay with", "win back", "win-back", "churn", "at risk"};
    struct reading r;
    char text[1024];
    snprintf(text, sizeof text, "%s. %s", o->name, o->description);
    words_read(text, &r);
    for (int topic = 0; topic < TOPIC_OTHER; topic++)
        if (r.about[topic])
            add_tag(o, topic_triggers[topic], ASSUMED_UPLIFT);
    for (size_t i = 0; i < sizeof high / sizeof *high; i++)
        if (strcasestr(text, high[i]))
            add_tag(o, signal_names[SIGNAL_HIGH_VALUE], ASSUMED_UPLIFT);
    for (size_t i = 0; i < sizeof keep / sizeof *keep; i++)
        if (strcasestr(text, keep[i]))
            add_tag(o, signal_names[SIGNAL_CHURN], ASSUMED_UPLIFT);
}

static void read_value(const json_t *value, struct option *o)
{
    int kind = find(worth_names, 5, cvm_json_str(value, "kind", "assumed"));
    const json_t *observed = json_object_get(value, "observed");
    const char *name;
    json_t *uplift;
    o->kind = json_is_object(value) && kind <= 0 ? WORTH_FIXED : kind < 0 ? WORTH_ASSUMED : (enum worth_kind)kind;
    o->propensity = number(value, "propensity", ASSUMED_PROPENSITY);
    o->propensity = o->propensity < 0 ? 0 : o->propensity > 1 ? 1 : o->propensity;
    o->months = number(value, "months", 12);
    o->margin = number(value, "margin", 0.4);
    o->amount =
        json_is_number(json_object_get(value, "amount_pounds")) ? minor(number(value, "amount_pounds", 0)) : FACTS_NONE;
    if (o->kind == WORTH_FIXED && o->amount == FACTS_NONE)
        o->amount = 0;
    o->observed_contacts = fmax(0, number(observed, "contacts", 0));
    o->observed_successes =
        fmin(fmax(0, number(observed, "successes", number(observed, "converted", 0))), o->observed_contacts);
    json_object_foreach(json_object_get(value, "uplift_by_trigger"), name, uplift) if (json_is_number(uplift))
        add_tag(o, name, json_number_value(uplift));
}

bool option_read(const json_t *record, struct option *ret, char *ret_why, size_t size)
{
    return option_read_as(record, cvm_json_str(record, "treatment_id", ""), ret, ret_why, size);
}

bool option_read_as(const json_t *record, const char *id, struct option *ret, char *ret_why, size_t size)
{
    const json_t *constraints = json_object_get(record, "constraints"), *value = json_object_get(record, "value");
    const json_t *tags = json_object_get(record, "applies_to"),
                 *segments = json_object_get(record, "eligible_segments");
    struct option *o = ret;
    memset(o, 0, sizeof *o);
    o->record = record;
    o->id = cvm_json_str(record, "id", id);
    o->name = cvm_json_str(record, "display_name", o->id);
    o->description = cvm_json_str(record, "description", o->name);
    int channel = find(channel_names, 7, cvm_json_str(record, "channel", "none"));
    o->channel = channel < 0 ? CHANNEL_NONE : (enum option_channel)channel;
    o->enabled = cvm_json_bool(record, "enabled", true);
    o->service = cvm_json_bool(record, "service", false);
    o->ask = cvm_json_bool(record, "check", false);
    o->priority = (int64_t)number(constraints, "priority", number(record, "priority", DEFAULT_PRIORITY));
    o->cost =
        minor(fmax(0, number(constraints, "cost_per_contact_pounds", number(record, "cost_per_contact_pounds", 0))));
    o->segments = json_array_size(segments) ? segments : NULL;
    if (!*o->id) {
        snprintf(ret_why, size, "a treatment without id");
        return false;
    }
    for (size_t i = 0; i < json_array_size(tags); i++)
        add_tag(o, json_string_value(json_array_get(tags, i)), json_is_object(value) ? 0 : ASSUMED_UPLIFT);
    read_value(value, o);
    if (!o->n_tags && o->kind == WORTH_ASSUMED && !option_is_ignore(o))
        tags_of_words(o);
    return read_rules(json_object_get(record, "eligibility"), o, ret_why, size);
}

bool option_is_ignore(const struct option *o)
{
    return strcmp(o->id, OPTION_IGNORE) == 0;
}

json_t *option_ignore_record(void)
{
    return json_pack("{s:s, s:s, s:s, s:b, s:{s:i}}", "id", OPTION_IGNORE, "display_name", "No treatment",
                     "description", "Leave this customer alone", "enabled", 1, "constraints", "priority", 9);
}
