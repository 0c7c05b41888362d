/* See decide.h. */
#include "decide.h"

#include <stdio.h>

unsigned decide_signals(const struct decide_problem *p)
{
    return p->word_signals | value_signals(&p->facts);
}

static bool rejected(char *rule, const char **ret_why, const char *name, const char *detail, const char *why)
{
    if (rule)
        snprintf(rule, DECIDE_RULE_SIZE, "%s%s%.70s", name, detail && *detail ? ":" : "", detail ? detail : "");
    if (ret_why)
        *ret_why = why;
    return false;
}

bool decide_candidate(const struct decide_problem *p, size_t i, char *rule, const char **ret_why)
{
    const struct decide_option *d = &p->options[i];
    if (rule)
        *rule = 0;
    if (ret_why)
        *ret_why = NULL;
    if (option_is_ignore(&d->o))
        return d->excluded ? rejected(rule, ret_why, "excluded", NULL, "It was excluded by who asked.") : true;
    if (!d->o.enabled)
        return rejected(rule, ret_why, "disabled", NULL, "The treatment is disabled.");
    const char *missing = option_missing_permission(&d->o, &p->facts);
    if (missing)
        return rejected(rule, ret_why, "permission", missing, "The customer does not permit it.");
    if (d->taken)
        return rejected(rule, ret_why, "exhausted", NULL, d->taken);
    if (d->excluded)
        return rejected(rule, ret_why, "excluded", NULL, "It was excluded by who asked.");
    if (!option_suits_segment(&d->o, &p->facts))
        return rejected(rule, ret_why, "segment", NULL, "It is for other segments.");
    const struct option_rule *broken = d->rules_waived ? NULL : option_broken_rule(&d->o, &p->facts);
    if (broken)
        return rejected(rule, ret_why, "eligibility", broken->id,
                        *broken->why ? broken->why : "A rule of the treatment does not hold.");
    if (d->refused)
        return rejected(rule, ret_why, "check", d->refusal, "The treatment itself said no.");
    if (d->remaining <= 0)
        return rejected(rule, ret_why, "exhausted", NULL, "No unit is left today.");
    return true;
}

/* What ranking goes by. */
struct rank {
    size_t at;
    int64_t value, priority, cost;
    size_t matched;
    const char *id;
};

static bool before_by_rules(const struct rank *a, const struct rank *b)
{
    if (a->matched != b->matched)
        return a->matched > b->matched;
    if (a->priority != b->priority)
        return a->priority < b->priority;
    if (a->cost != b->cost)
        return a->cost < b->cost;
    return strcmp(a->id, b->id) < 0;
}

static bool before_by_value(const struct rank *a, const struct rank *b)
{
    return a->value != b->value ? a->value > b->value : before_by_rules(a, b);
}

struct best {
    struct rank valued, scored; /* .at DECIDE_NONE: nobody */
    size_t ignore;              /* where it stands; DECIDE_NONE: nowhere */
};

static void consider(struct best *best, const struct option *o, size_t at, const struct value *v)
{
    struct rank r = {at, v->value, o->priority, o->cost, v->matched, o->id};
    if (option_is_ignore(o))
        best->ignore = at;
    else if (o->kind != WORTH_ASSUMED && (best->valued.at == DECIDE_NONE || before_by_value(&r, &best->valued)))
        best->valued = r;
    else if (o->kind == WORTH_ASSUMED && r.matched &&
             (best->scored.at == DECIDE_NONE || before_by_rules(&r, &best->scored)))
        best->scored = r;
}

static size_t chosen(const struct best *b, bool below_zero)
{
    bool valued = b->valued.at != DECIDE_NONE && (b->valued.value > 0 || below_zero),
         scored = b->scored.at != DECIDE_NONE;
    if (valued && scored)
        return b->valued.value >= b->scored.value ? b->valued.at : b->scored.at;
    return valued ? b->valued.at : scored ? b->scored.at : b->ignore;
}

static const struct best nobody = {{.at = DECIDE_NONE}, {.at = DECIDE_NONE}, DECIDE_NONE};

void decide(const struct decide_problem *p, struct decide_result *result)
{
    struct value_customer c = {&p->facts, decide_signals(p), p->triggers};
    struct best first = nobody, second = nobody;
    for (size_t i = 0; i < p->n; i++) {
        struct decide_verdict *v = &result->verdicts[i];
        value_of(&p->options[i].o, &c, &p->options[i].history, &v->value);
        if (decide_candidate(p, i, v->rule, &v->why))
            consider(&first, &p->options[i].o, i, &v->value);
    }
    result->winner = chosen(&first, false);
    for (size_t i = 0; i < p->n; i++)
        if (i != result->winner && !*result->verdicts[i].rule)
            consider(&second, &p->options[i].o, i, &result->verdicts[i].value);
    /* Behind `ignore` comes what was not worth its cost. */
    result->runner_up =
        chosen(&second, result->winner != DECIDE_NONE && option_is_ignore(&p->options[result->winner].o));
}

size_t decide_winner(const struct decide_problem *p)
{
    struct value_customer c = {&p->facts, decide_signals(p), p->triggers};
    struct best best = nobody;
    struct value v;
    for (size_t i = 0; i < p->n; i++) {
        if (!decide_candidate(p, i, NULL, NULL))
            continue;
        value_of(&p->options[i].o, &c, &p->options[i].history, &v);
        consider(&best, &p->options[i].o, i, &v);
    }
    return chosen(&best, false);
}
