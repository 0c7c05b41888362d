/* See problem.h. */
#include "problem.h"
#include "journey.h"
#include "words.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- making ---- */

static void read_history(const json_t *journey, struct decide_option *d)
{
    const json_t *events = json_object_get(journey, "events");
    for (size_t i = 0; i < json_array_size(events); i++) {
        const json_t *e = json_array_get(events, i);
        const char *outcome = cvm_json_str(e, "outcome", "");
        if (strcmp(cvm_json_str(e, "kind", ""), "campaign") != 0 ||
            strcmp(cvm_json_str(e, "treatment_id", ""), d->o.id) != 0)
            continue;
        d->history.contacts++;
        d->history.successes += strcmp(outcome, "converted") == 0;
        d->history.complaints += strcmp(outcome, "complained") == 0;
    }
}

static bool listed(const json_t *list, const char *id)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *one = json_string_value(json_array_get(list, i));
        if (one && strcmp(one, id) == 0)
            return true;
    }
    return false;
}

static void read_verdict(const json_t *verdict, struct decide_option *d)
{
    const json_t *propensity = json_object_get(verdict, "propensity"),
                 *worth = json_object_get(verdict, "value_pounds");
    if (!json_is_object(verdict))
        return;
    d->history.told = true;
    d->history.propensity = json_is_number(propensity) ? json_number_value(propensity) : NAN;
    d->history.worth = json_is_number(worth) ? llround(json_number_value(worth) * 100) : FACTS_NONE;
    d->refused = !cvm_json_bool(verdict, "eligible", true);
    d->refusal = cvm_json_str(verdict, "rule", "");
}

static void read_limits(const json_t *limits, struct decide_option *d)
{
    const json_t *cost = json_object_get(limits, "cost_per_contact_pounds"),
                 *priority = json_object_get(limits, "priority");
    const json_t *remaining = json_object_get(limits, "remaining"), *most = json_object_get(limits, "max_per_day");
    if (!json_is_integer(remaining)) /* who gives limits alone means that nothing is used */
        remaining = most;
    d->remaining = json_is_number(remaining) ? (int64_t)json_number_value(remaining) -
                                                   (remaining == most ? cvm_json_int(limits, "used_today", 0) : 0)
                                             : OPTION_UNLIMITED;
    if (json_is_number(cost) && json_number_value(cost) >= 0 && json_number_value(cost) < 1e12)
        d->o.cost = llround(json_number_value(cost) * 100);
    const json_t *price = json_object_get(limits, "price_pounds");
    if (json_is_number(price) && json_number_value(price) >= 0 && json_number_value(price) < 1e12)
        d->o.price = llround(json_number_value(price) * 100);
    if (json_is_integer(priority))
        d->o.priority = (int64_t)json_integer_value(priority);
}

static int add_option(struct problem *p, const struct problem_given *g, const json_t *record, const char *id,
                      char *ret_why, size_t size)
{
    struct decide_option *d = &p->p.options[p->p.n];
    if (!json_is_object(record)) {
        snprintf(ret_why, size, "%s: the record of a treatment is an object", id ? id : "treatments");
        return CVM_EINVAL;
    }
    if (!option_read_as(record, id ? id : cvm_json_str(record, "treatment_id", ""), &d->o, ret_why, size))
        return CVM_EINVAL;
    const json_t *limits = json_object_get(g->constraints, d->o.id);
    read_limits(limits ? limits : json_object_get(record, "constraints"), d);
    d->excluded = listed(g->excluded, d->o.id) || (g->excluded_one && strcmp(g->excluded_one, d->o.id) == 0);
    d->taken = cvm_json_str(g->unavailable, d->o.id, NULL);
    d->history.propensity = NAN;
    d->history.worth = FACTS_NONE;
    read_history(g->journey, d);
    read_verdict(json_object_get(g->verdicts, d->o.id), d);
    p->p.n++;
    return 0;
}

static void read_permissions(const json_t *permissions, struct cvm_facts *f)
{
    int64_t *all[] = {&f->sms, &f->email, &f->call, &f->app, &f->post, &f->marketing};
    static const char *const names[] = {"sms", "email", "call", "app", "post", "marketing"};
    for (size_t i = 0; json_is_object(permissions) && i < 6; i++) {
        const json_t *v = json_object_get(permissions, names[i]);
        *all[i] = json_is_true(v) || (json_is_integer(v) && json_integer_value(v) > 0);
    }
}

/* A journey that was made elsewhere may lack facts; its profile and metrics are what there is. */
static void read_facts(const json_t *journey, struct cvm_facts *f)
{
    const json_t *metrics = json_object_get(journey, "metrics"), *profile = json_object_get(journey, "profile"), *v;
    if (json_is_object(json_object_get(journey, "facts"))) {
        facts_from_json(journey, f);
        return;
    }
    facts_clear(f);
    f->customer_id = cvm_json_str(journey, "customer_id", NULL);
    f->segment = cvm_json_str(profile, "segment", NULL);
    if (json_is_number(v = json_object_get(profile, "tenure_months")))
        f->tenure_months = llround(json_number_value(v));
    if (json_is_number(v = json_object_get(profile, "age")))
        f->age = llround(json_number_value(v));
    if (json_is_number(v = json_object_get(metrics, "churn_probability")))
        f->churn_score = json_number_value(v);
    if (json_is_number(v = json_object_get(metrics, "dropped_call_rate_percent")))
        f->dropped_call_rate = json_number_value(v);
    if (json_is_number(v = json_object_get(metrics, "contacts_90d")))
        f->contacts_90d = llround(json_number_value(v));
    if (json_is_number(v = json_object_get(metrics, "monthly_spend_pounds")))
        f->monthly_spend = llround(json_number_value(v) * 100);
    else if (json_is_number(v = json_object_get(metrics, "spend_pounds_3m")))
        f->monthly_spend = llround(json_number_value(v) * 100 / 3);
}

static void append_all(json_t *to, const json_t *from)
{
    for (size_t i = 0; i < json_array_size(from); i++)
        if (json_is_string(json_array_get(from, i)))
            json_array_append(to, json_array_get(from, i));
}

/* Triggers by name and by what patterns and insights speak of. */
static void read_triggers(struct problem *p, const json_t *journey)
{
    json_t *made = json_object_get(journey, "signals") ? NULL : journey_analyse(journey);
    const json_t *signals = json_object_get(made ? made : journey, "signals"),
                 *patterns = json_object_get(journey, "patterns");
    const json_t *insights = json_object_get(journey, "insights");
    p->triggers = json_array();
    append_all(p->triggers, signals);
    append_all(p->triggers, patterns);
    for (size_t i = 0; made && i < json_array_size(patterns) + json_array_size(insights); i++) {
        size_t n = json_array_size(patterns);
        const json_t *one = i < n ? json_array_get(patterns, i) : json_array_get(insights, i - n);
        struct reading r;
        words_read(json_is_string(one) ? json_string_value(one) : "", &r);
        for (int topic = 0; topic < TOPIC_OTHER; topic++)
            if (r.about[topic])
                p->p.word_signals |= 1U << signal_find(topic_triggers[topic]);
    }
    for (size_t i = 0; i < json_array_size(p->triggers); i++) {
        int signal = signal_find(json_string_value(json_array_get(p->triggers, i)));
        p->p.word_signals |= signal >= 0 ? 1U << signal : 0;
    }
    for (size_t i = json_array_size(p->triggers); i-- > 0;) /* the rest is known by its bit */
        if (signal_find(json_string_value(json_array_get(p->triggers, i))) >= 0)
            json_array_remove(p->triggers, i);
    p->p.word_signals &= ~value_signals(&p->p.facts); /* what the facts say goes with the facts */
    p->p.triggers = p->triggers;
    p->insights = json_array();
    append_all(p->insights, insights ? insights : json_object_get(made, "insights"));
    json_decref(made);
}

int problem_make(const struct problem_given *g, struct problem **ret, char *ret_why, size_t size)
{
    struct problem *p = calloc(1, sizeof *p);
    size_t n = json_is_object(g->treatments) ? json_object_size(g->treatments) : json_array_size(g->treatments), i;
    int e = CVM_ENOMEM;
    const char *id;
    json_t *record;
    snprintf(ret_why, size, "out of memory");
    if (!p)
        return CVM_ENOMEM;
    if (n > DECIDE_OPTIONS_MAX) {
        snprintf(ret_why, size, "there are %zu treatments, at most %d can be considered", n, DECIDE_OPTIONS_MAX);
        e = CVM_ELIMIT;
        goto fail;
    }
    if (!(p->p.options = calloc(n + 1, sizeof *p->p.options)) || !(p->verdicts = calloc(n + 1, sizeof *p->verdicts)))
        goto fail;
    p->r.verdicts = p->verdicts;
    p->journey = g->journey;
    read_facts(g->journey, &p->p.facts);
    read_permissions(g->permissions ? g->permissions : json_object_get(g->journey, "permissions"), &p->p.facts);
    read_triggers(p, g->journey);
    if (json_is_object(g->treatments))
        json_object_foreach((json_t *)(uintptr_t)g->treatments, id, record)
        {
            if ((e = add_option(p, g, record, id, ret_why, size)) < 0)
                goto fail;
        }
    json_array_foreach(json_is_array(g->treatments) ? (json_t *)(uintptr_t)g->treatments : NULL, i, record)
    {
        if ((e = add_option(p, g, record, NULL, ret_why, size)) < 0)
            goto fail;
    }
    if (problem_find(p, OPTION_IGNORE) == DECIDE_NONE) {
        p->ignore = option_ignore_record();
        if ((e = add_option(p, g, p->ignore, NULL, ret_why, size)) < 0)
            goto fail;
    }
    *ret = p;
    return 0;
fail:
    problem_free(p);
    return e;
}

void problem_free(struct problem *p)
{
    if (!p)
        return;
    json_decref(p->triggers);
    json_decref(p->insights);
    json_decref(p->ignore);
    free(p->p.options);
    free(p->verdicts);
    free(p);
}

void problem_decide(struct problem *p)
{
    decide(&p->p, &p->r);
}

size_t problem_find(const struct problem *p, const char *id)
{
    for (size_t i = 0; id && i < p->p.n; i++)
        if (strcmp(p->p.options[i].o.id, id) == 0)
            return i;
    return DECIDE_NONE;
}

size_t problem_candidate(const struct problem *p, const char *id)
{
    size_t i = problem_find(p, id);
    return i != DECIDE_NONE && !*p->verdicts[i].rule ? i : DECIDE_NONE;
}

/* ---- answering ---- */

double problem_confidence(const struct problem *p, size_t chosen)
{
    size_t next = chosen == p->r.winner ? p->r.runner_up : p->r.winner;
    double a = chosen == DECIDE_NONE ? 0 : (double)p->verdicts[chosen].value.value;
    double b = next == DECIDE_NONE ? 0 : (double)p->verdicts[next].value.value, sum = fabs(a) + fabs(b);
    double distance = sum > 0 ? (a - b) / sum : 0;
    if (chosen != DECIDE_NONE && p->p.options[chosen].o.kind == WORTH_ASSUMED &&
        !option_is_ignore(&p->p.options[chosen].o))
        distance = (double)p->verdicts[chosen].value.matched / (1 + (double)p->verdicts[chosen].value.matched) /
                   2; /* by triggers */
    return round((0.5 + 0.5 * fmin(1, fmax(-1, distance))) * 1000) / 1000;
}

#define WHY_SIZE 160

static const char *cut_why(const char *why, char text[WHY_SIZE])
{
    words_cut(why, text, WHY_SIZE);
    return text;
}

static json_t *considered_json(const struct problem *p, size_t i, bool whole)
{
    const struct decide_option *d = &p->p.options[i];
    const struct decide_verdict *v = &p->verdicts[i];
    char text[WHY_SIZE];
    json_t *one = whole ? value_json(&v->value) : json_pack("{s:f}", "value_pounds", (double)v->value.value / 100);
    json_object_set_new(one, "treatment_id", json_string(d->o.id));
    json_object_set_new(one, "candidate", json_boolean(!*v->rule));
    if (*v->rule) {
        json_object_set_new(one, "rule", json_string(v->rule));
        if (v->why)
            json_object_set_new(one, "why", json_string(cut_why(v->why, text)));
    }
    if (v->value.matched)
        json_object_set_new(one, "triggers_matched", json_integer((json_int_t)v->value.matched));
    if (d->o.kind == WORTH_ASSUMED && !option_is_ignore(&d->o))
        json_object_set_new(one, "figures", json_string("assumed"));
    return one;
}

static json_t *permissions_json(const struct cvm_facts *f)
{
    const int64_t all[] = {f->sms, f->email, f->call, f->app, f->post, f->marketing};
    static const char *const names[] = {"sms", "email", "call", "app", "post", "marketing"};
    json_t *list = json_array();
    for (size_t i = 0; i < 6; i++)
        if (all[i] > 0)
            json_array_append_new(list, json_string(names[i]));
    return list;
}

#define WHOLE_MAX 40   /* treatments whose factors are told; beyond them the value and the rule alone */
#define LISTED_MAX 150 /* that are told of; the chosen one and the next always are */

json_t *problem_answer(struct problem *p, size_t chosen, bool with_change)
{
    json_t *considered = json_array(), *change = NULL;
    size_t next = chosen == p->r.winner ? p->r.runner_up : p->r.winner;
    if (with_change) {
        struct change c;
        struct decide_result r = p->r;
        r.winner = chosen;
        r.runner_up = next;
        change_find(&p->p, chosen == p->r.winner ? &p->r : &r, &c);
        change = chosen == p->r.winner ? change_json(&p->p, &c) : json_null(); /* a model's choice has no break-even */
    }
    for (size_t i = 0; i < p->p.n; i++)
        if (i < LISTED_MAX || i == chosen || i == next)
            json_array_append_new(considered, considered_json(p, i, i < WHOLE_MAX || i == chosen || i == next));
    return json_pack("{s:s, s:s, s:f, s:f, s:o, s:s*, s:o*, s:o, s:O}", "selected_treatment", p->p.options[chosen].o.id,
                     "treatment_name", p->p.options[chosen].o.name, "confidence", problem_confidence(p, chosen),
                     "value_pounds", (double)p->verdicts[chosen].value.value / 100, "considered", considered,
                     "runner_up", next == DECIDE_NONE ? NULL : p->p.options[next].o.id, "change", change,
                     "permissions_applied", permissions_json(&p->p.facts), "treatment",
                     (json_t *)(uintptr_t)p->p.options[chosen].o.record);
}

/* ---- explaining ---- */

static void add(char *text, const char *sentence)
{
    size_t n = strlen(text);
    if (n + strlen(sentence) + 2 < EXPLANATION_SIZE)
        snprintf(text + n, EXPLANATION_SIZE - n, "%s%s", n ? " " : "", sentence);
}

/* How much an insight has to do with the option: its topic is one of the option's triggers. */
static int bearing(const struct option *o, const char *insight)
{
    struct reading r;
    words_read(insight, &r);
    for (size_t i = 0; i < o->n_tags; i++)
        for (int topic = 0; topic < TOPIC_OTHER; topic++)
            if (r.about[topic] && strcmp(topic_triggers[topic], o->tags[i].name) == 0)
                return 2;
    bool churn = strstr(insight, "churn") || strstr(insight, "leaving") || strstr(insight, "contract ends");
    for (size_t i = 0; churn && i < o->n_tags; i++)
        if (o->tags[i].signal == SIGNAL_CHURN)
            return 2;
    return strncmp(insight, "There are too few", 17) == 0 || strncmp(insight, "Nothing in", 10) == 0 ? 0 : 1;
}

/* The n-th best insight for the option; "" where there is none. */
static const char *insight_for(const struct problem *p, const struct option *o, size_t n)
{
    for (int level = 2; level >= 0; level--)
        for (size_t i = 0; i < json_array_size(p->insights); i++) {
            const char *insight = json_string_value(json_array_get(p->insights, i));
            if (bearing(o, insight) == level && n-- == 0)
                return level || option_is_ignore(o) ? insight : "";
        }
    return "";
}

static void first_sentence(const struct problem *p, const struct option *o, char *text)
{
    char sentence[512];
    const char *reason = insight_for(p, o, 0);
    size_t candidates = 0;
    for (size_t i = 0; i < p->p.n; i++)
        candidates += !*p->verdicts[i].rule;
    if (option_is_ignore(o))
        snprintf(sentence, sizeof sentence,
                 candidates > 1
                     ? "No treatment was chosen: none of the %zu that are allowed is worth its cost with this customer."
                     : "No treatment was chosen: none of the others is allowed or available for this customer now.",
                 candidates - 1);
    else if (*reason)
        snprintf(sentence, sizeof sentence, "%s was chosen because of this: %c%s", o->name,
                 reason[0] >= 'A' && reason[0] <= 'Z' && (reason[1] >= 'a' || reason[1] == ' ') ? reason[0] + 32
                                                                                                : reason[0],
                 reason + 1);
    else if (!isnan(p->p.facts.churn_score))
        snprintf(sentence, sizeof sentence, "%s was chosen with a churn probability of %.2f.", o->name,
                 p->p.facts.churn_score);
    else
        snprintf(sentence, sizeof sentence, "%s was chosen; the journey says little of this customer.", o->name);
    add(text, sentence);
}

void problem_explain(const struct problem *p, size_t chosen, char text[EXPLANATION_SIZE])
{
    char sentence[512];
    const struct option *o = &p->p.options[chosen].o;
    const struct value *v = &p->verdicts[chosen].value;
    size_t next = chosen == p->r.winner ? p->r.runner_up : p->r.winner;
    *text = 0;
    first_sentence(p, o, text);
    if (*insight_for(p, o, 1) || option_is_ignore(o))
        add(text, insight_for(p, o, option_is_ignore(o) ? 0 : 1));
    if (!option_is_ignore(o) && o->kind != WORTH_ASSUMED)
        snprintf(sentence, sizeof sentence,
                 "Its value is %.2f pounds: a propensity of %.3f times a worth of %.2f, less a cost of %.2f.",
                 (double)v->value / 100, v->propensity, (double)v->worth / 100, (double)v->cost / 100);
    if (!option_is_ignore(o) && o->kind != WORTH_ASSUMED && o->price > 0)
        snprintf(sentence + strlen(sentence) - 1, sizeof sentence - strlen(sentence),
                 " and a price of %.2f, as units are scarce.", (double)o->price / 100);
    else if (!option_is_ignore(o) && o->kind == WORTH_ASSUMED)
        snprintf(sentence, sizeof sentence, "It suits %zu of the customer's triggers.", v->matched);
    else if (option_is_ignore(o))
        *sentence = 0;
    add(text, sentence);
    if (next != DECIDE_NONE && !option_is_ignore(&p->p.options[next].o)) {
        snprintf(sentence, sizeof sentence, "Next came %s, with a value of %.2f pounds.", p->p.options[next].o.name,
                 (double)p->verdicts[next].value.value / 100);
        add(text, sentence);
    }
}
