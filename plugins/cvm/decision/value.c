/* See value.h. */
#include "value.h"
#include "moment.h"

#include <math.h>

#define PROPENSITY_MOST 0.95
#define UPSELL_SHARE 0.25 /* of what is spent, where a sale's amount is not known */
#define WORTH_MOST 1e13

unsigned value_signals(const struct cvm_facts *f)
{
    unsigned bits = 0;
    int64_t end = 0;
    if (f->dropped_call_rate >= 2.0 || f->download_mbps < 2.0 || (f->outages_30d != FACTS_NONE && f->outages_30d >= 3))
        bits |= 1U << SIGNAL_NETWORK;
    if (f->dispute_open != FACTS_NONE && f->dispute_open > 0)
        bits |= 1U << SIGNAL_BILLING;
    if (f->churn_score >= 0.70)
        bits |= 1U << SIGNAL_CHURN;
    else if (f->usage_change_pct <= -30 && f->as_of_ms != FACTS_NONE && f->contract_end &&
             moment_parse(f->contract_end, &end) && end >= f->as_of_ms && end - f->as_of_ms <= 30 * DAY_MS)
        bits |= 1U << SIGNAL_CHURN;
    return bits;
}

bool value_matches(const struct option_tag *tag, const struct value_customer *c)
{
    if (tag->signal >= 0 && (c->signals >> tag->signal & 1))
        return true;
    for (size_t i = 0; i < json_array_size(c->triggers); i++) {
        const char *name = json_string_value(json_array_get(c->triggers, i));
        if (name && strcmp(name, tag->name) == 0)
            return true;
    }
    return false;
}

static void factor(struct value *v, const char *name, double amount, const char *note)
{
    if (v->n_factors < VALUE_FACTORS_MAX)
        v->factors[v->n_factors++] = (struct value_factor){name, amount, note};
}

static double within(double x, double least, double most)
{
    return x < least ? least : x > most ? most : x;
}

static double propensity_of(const struct option *o, const struct value_customer *c, const struct value_history *h,
                            struct value *v)
{
    double p = o->propensity, added = 0;
    factor(v, "base_rate", p, o->kind == WORTH_ASSUMED ? "assumed: the treatment has no figures of its own" : NULL);
    if (o->observed_contacts > 0) {
        p = (p * VALUE_PRIOR_CONTACTS + o->observed_successes) / (VALUE_PRIOR_CONTACTS + o->observed_contacts);
        factor(v, "observed_rate", p, "base rate moved towards what was observed");
    }
    for (size_t i = 0; i < o->n_tags; i++)
        if (value_matches(&o->tags[i], c)) {
            v->matched++;
            added += o->tags[i].uplift;
        }
    if (o->kind == WORTH_SELL) {
        bool known = !isnan(c->facts->upsell_score);
        double score = known ? within(c->facts->upsell_score, 0, 1) : VALUE_UPSELL_UNKNOWN;
        factor(v, "upsell_score", score, known ? NULL : "unknown, .5 taken");
        p *= score / VALUE_UPSELL_UNKNOWN;
    }
    if (o->kind == WORTH_SERVICE && o->n_tags && !v->matched) {
        p = 0;
        factor(v, "no_trigger_matched", 0, "there is nothing that it would put right");
    }
    if (added != 0)
        factor(v, "uplift_of_triggers", added, NULL);
    p = within(p + added, 0, PROPENSITY_MOST);
    if (h && h->contacts > 0) {
        p = (p * VALUE_OWN_CONTACTS + h->successes) / (VALUE_OWN_CONTACTS + h->contacts);
        factor(v, "own_history", p, "after what the customer did before");
    }
    if (h && h->complaints > 0) {
        p *= 0.25;
        factor(v, "complaint", 0.25, "the customer complained about it before");
    }
    if (h && h->told && !isnan(h->propensity)) {
        p = within(h->propensity, 0, 1);
        factor(v, "propensity_told", p, "answered by the treatment itself");
    }
    return within(p, 0, 1);
}

static double spend_of(const struct option *o, const struct value_customer *c, struct value *v)
{
    bool known = c->facts->monthly_spend != FACTS_NONE;
    double spend = known ? fmax(0, (double)c->facts->monthly_spend) : 0;
    factor(v, "monthly_spend_pounds", spend / 100, known ? NULL : "unknown, nothing counted");
    factor(v, "margin", o->margin, NULL);
    factor(v, "months", o->months, NULL);
    return spend * o->margin * o->months;
}

static double churn_of(const struct value_customer *c, struct value *v)
{
    bool known = !isnan(c->facts->churn_score);
    double churn = known ? within(c->facts->churn_score, 0, 1) : VALUE_CHURN_UNKNOWN;
    factor(v, "churn_score", churn, known ? NULL : "unknown, .15 taken");
    return churn;
}

static double worth_of(const struct option *o, const struct value_customer *c, const struct value_history *h,
                       struct value *v)
{
    double worth;
    bool amount = o->amount != FACTS_NONE;
    if (h && h->told && h->worth != FACTS_NONE) {
        factor(v, "worth_told_pounds", (double)h->worth / 100, "answered by the treatment itself");
        return (double)h->worth;
    }
    if (amount)
        factor(v, "amount_pounds", (double)o->amount / 100, NULL);
    if (o->kind == WORTH_FIXED || (o->kind == WORTH_SERVICE && amount))
        return (double)o->amount;
    if (o->kind == WORTH_SELL && amount) {
        factor(v, "margin", o->margin, NULL);
        factor(v, "months", o->months, NULL);
        return (double)o->amount * o->margin * o->months;
    }
    worth = amount ? (double)o->amount : spend_of(o, c, v);
    if (o->kind == WORTH_SELL) {
        factor(v, "share_of_spend", UPSELL_SHARE, "the amount of the sale is not known");
        return worth * UPSELL_SHARE;
    }
    return worth * churn_of(c, v);
}

void value_of(const struct option *o, const struct value_customer *c, const struct value_history *history,
              struct value *ret)
{
    ret->n_factors = ret->matched = 0;
    ret->propensity = 0;
    ret->worth = ret->cost = ret->value = 0;
    if (option_is_ignore(o))
        return;
    ret->propensity = propensity_of(o, c, history, ret);
    ret->worth = llround(within(worth_of(o, c, history, ret), -WORTH_MOST, WORTH_MOST));
    ret->cost = o->cost;
    if (o->price > 0)
        factor(ret, "price_of_a_unit", (double)o->price / 100, "what one unit is worth since the last campaign");
    ret->value = llround(ret->propensity * (double)ret->worth) - ret->cost - o->price;
}

static json_t *rounded(double x)
{
    return json_real(round(x * 1e6) / 1e6);
}

json_t *value_json(const struct value *v)
{
    json_t *factors = json_object(), *notes = json_object();
    for (size_t i = 0; i < v->n_factors; i++) {
        json_object_set_new(factors, v->factors[i].name, rounded(v->factors[i].amount));
        if (v->factors[i].note)
            json_object_set_new(notes, v->factors[i].name, json_string(v->factors[i].note));
    }
    if (!json_object_size(notes)) {
        json_decref(notes);
        notes = NULL;
    }
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o*}", "value_pounds", rounded((double)v->value / 100), "propensity",
                     rounded(v->propensity), "worth_pounds", rounded((double)v->worth / 100), "cost_pounds",
                     rounded((double)v->cost / 100), "factors", factors, "notes", notes);
}

/* ---- eligibility ---- */

static bool same(const cvm_cell *cell, double number, const char *text)
{
    if (text)
        return cell->kind == CVM_CELL_TEXT && strcasecmp(cell->text, text) == 0;
    return facts_number(cell) == number;
}

static bool among(const cvm_cell *cell, const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *one = json_array_get(list, i);
        if (same(cell, json_is_number(one) ? json_number_value(one) : NAN, json_string_value(one)))
            return true;
    }
    return false;
}

bool option_rule_holds(const struct option_rule *r, const struct cvm_facts *facts)
{
    struct facts_value value = {.cell = {.kind = CVM_CELL_NULL}};
    if (r->column >= 0)
        value.cell = facts_at(facts, (enum facts_column)r->column);
    else
        facts_get(facts, r->fact, &value);
    bool known = value.cell.kind != CVM_CELL_NULL;
    double x = facts_number(&value.cell), y = r->number;
    if (r->text && r->op >= OP_LT && r->op <= OP_GE && value.cell.kind == CVM_CELL_TEXT) { /* days in order */
        x = strcmp(value.cell.text, r->text);
        y = 0;
    }
    switch (r->op) {
    case OP_EXISTS:
        return known;
    case OP_ABSENT:
        return !known;
    case OP_EQ:
        return known && same(&value.cell, r->number, r->text);
    case OP_NE:
        return !known || !same(&value.cell, r->number, r->text);
    case OP_IN:
        return known && among(&value.cell, r->in);
    case OP_LT:
        return x < y;
    case OP_LE:
        return x <= y;
    case OP_GT:
        return x > y;
    case OP_GE:
        return x >= y;
    }
    return false;
}

const struct option_rule *option_broken_rule(const struct option *o, const struct cvm_facts *facts)
{
    for (size_t i = 0; i < o->n_rules; i++)
        if (!option_rule_holds(&o->rules[i], facts))
            return &o->rules[i];
    return NULL;
}

bool option_suits_segment(const struct option *o, const struct cvm_facts *facts)
{
    cvm_cell cell = facts_at(facts, FACTS_segment);
    return !o->segments || among(&cell, o->segments);
}

/* The permission of a channel; NULL: it needs none. */
static const int64_t *permission_of(enum option_channel channel, const struct cvm_facts *f)
{
    switch (channel) {
    case CHANNEL_SMS:
        return &f->sms;
    case CHANNEL_EMAIL:
        return &f->email;
    case CHANNEL_CALL:
        return &f->call;
    case CHANNEL_APP:
        return &f->app;
    case CHANNEL_POST:
        return &f->post;
    case CHANNEL_NONE:
    case CHANNEL_NETWORK:
        break;
    }
    return NULL;
}

const char *option_missing_permission(const struct option *o, const struct cvm_facts *facts)
{
    const int64_t *permission = permission_of(o->channel, facts);
    if (!permission)
        return NULL;
    if (*permission <= 0)
        return channel_names[o->channel];
    return o->service || facts->marketing > 0 ? NULL : "marketing";
}
