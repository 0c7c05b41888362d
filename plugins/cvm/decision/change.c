/* See change.h. Of a treatment's own figures the value is linear in each, so that the break-even is known at once;
 * facts are stepped away from what they are, then halved in. Each is tried before it counts. */
#include "change.h"

#include <math.h>
#include <stdio.h>

#define STEPS (sizeof steps / sizeof *steps)
#define HALVINGS 12

static const double steps[] = {0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1, 2, 5, 10};

struct search {
    struct decide_problem *p;
    const struct decide_result *decided;
    struct change best; /* .relative: the bound that a better one is below */
};

/* ---- applying ---- */

static int64_t *permission_at(struct cvm_facts *f, const char *name)
{
    int64_t *all[] = {&f->sms, &f->email, &f->call, &f->app, &f->post, &f->marketing};
    static const char *const names[] = {"sms", "email", "call", "app", "post", "marketing"};
    for (size_t i = 0; i < 6; i++)
        if (strcmp(names[i], name) == 0)
            return all[i];
    return NULL;
}

static void set_fact(struct cvm_facts *f, const char *name, double value)
{
    switch (facts_column_find(name)) {
#define INT_FACT(x)                                                                                                    \
    case FACTS_##x:                                                                                                    \
        f->x = (int64_t)llround(value);                                                                                \
        break;
#define REAL_FACT(x)                                                                                                   \
    case FACTS_##x:                                                                                                    \
        f->x = value;                                                                                                  \
        break;
        INT_FACT(age)
        INT_FACT(tenure_months)
        INT_FACT(monthly_spend)
        INT_FACT(last_charged)
        REAL_FACT(spend_change_pct)
        REAL_FACT(on_time_share)
        INT_FACT(late_payments_12m)
        INT_FACT(dispute_open)
        INT_FACT(months_seen)
        REAL_FACT(data_gb)
        REAL_FACT(voice_minutes)
        REAL_FACT(usage_change_pct)
        REAL_FACT(roaming_days_60)
        REAL_FACT(dropped_call_rate)
        REAL_FACT(signal_dbm)
        REAL_FACT(download_mbps)
        INT_FACT(outages_30d)
        REAL_FACT(churn_score)
        REAL_FACT(upsell_score)
        INT_FACT(contacts_90d)
    default:
        break;
    }
}

static bool told_propensity(const struct decide_option *d)
{
    return d->history.told && !isnan(d->history.propensity);
}

static bool told_worth(const struct decide_option *d)
{
    return d->history.told && d->history.worth != FACTS_NONE;
}

void change_set(struct decide_problem *p, const struct change *c, double value)
{
    struct decide_option *d = c->option != DECIDE_NONE ? &p->options[c->option] : NULL;
    int64_t *permission;
    switch (c->kind) {
    case CHANGE_NONE:
        break;
    case CHANGE_FACT:
        set_fact(&p->facts, c->name,
                 strcmp(c->name, "monthly_spend") == 0 || strcmp(c->name, "last_charged") == 0 ? value * 100 : value);
        break;
    case CHANGE_PERMISSION:
        if ((permission = permission_at(&p->facts, c->name)))
            *permission = value > 0;
        break;
    case CHANGE_TRIGGER:
        p->word_signals =
            (p->word_signals & ~(1U << signal_find(c->name))) | (value > 0 ? 1U << signal_find(c->name) : 0);
        break;
    case CHANGE_COST:
        d->o.cost = llround(value * 100);
        break;
    case CHANGE_PROPENSITY:
        *(told_propensity(d) ? &d->history.propensity : &d->o.propensity) = value;
        break;
    case CHANGE_AMOUNT:
        *(told_worth(d) ? &d->history.worth : &d->o.amount) = llround(value * 100);
        break;
    case CHANGE_LIMIT:
        d->remaining = llround(value);
        break;
    case CHANGE_ENABLED:
        d->o.enabled = value > 0;
        break;
    case CHANGE_RULES:
        d->rules_waived = value > 0;
        break;
    }
}

/* ---- trying ---- */

static size_t winner_with(struct search *s, const struct change *c, double to)
{
    int64_t remaining = c->kind == CHANGE_LIMIT ? s->p->options[c->option].remaining : 0; /* may be "no limit" */
    change_set(s->p, c, to);
    size_t winner = decide_winner(s->p);
    change_set(s->p, c, c->from);
    if (c->kind == CHANGE_LIMIT)
        s->p->options[c->option].remaining = remaining;
    return winner;
}

/* Takes the change if it is the smallest so far and does alter the winner. */
static bool try(struct search *s, struct change c, double to, double scale)
{
    c.to = to;
    c.relative = fabs(to - c.from) / scale;
    if (to == c.from || !(c.relative < s->best.relative))
        return false;
    c.then = winner_with(s, &c, to);
    if (c.then == s->decided->winner)
        return false;
    s->best = c;
    return true;
}

static void try_flip(struct search *s, struct change c)
{
    c.to = !c.from;
    try(s, c, c.to, 1);
}

/* ---- facts ---- */

struct dial {
    const char *name;
    double least, most, unit, scale; /* unit: how it is stated; scale: the least that a share is taken of */
};

static const struct dial dials[] = {{"churn_score", 0, 1, 0.0001, 0.05},
                                    {"upsell_score", 0, 1, 0.0001, 0.05},
                                    {"monthly_spend", 0, 100000, 0.01, 1},
                                    {"tenure_months", 0, 1200, 1, 1},
                                    {"age", 0, 130, 1, 1},
                                    {"on_time_share", 0, 1, 0.0001, 0.05},
                                    {"late_payments_12m", 0, 12, 1, 1},
                                    {"dispute_open", 0, 1, 1, 1},
                                    {"spend_change_pct", -100, 1000, 0.01, 1},
                                    {"usage_change_pct", -100, 1000, 0.01, 1},
                                    {"roaming_days_60", 0, 60, 1, 1},
                                    {"dropped_call_rate", 0, 100, 0.01, 0.1},
                                    {"download_mbps", 0, 10000, 0.01, 0.1},
                                    {"signal_dbm", -140, 0, 1, 1},
                                    {"outages_30d", 0, 1000, 1, 1},
                                    {"contacts_90d", 0, 1000, 1, 1},
                                    {"last_charged", 0, 100000, 0.01, 1},
                                    {"months_seen", 0, 1200, 1, 1},
                                    {"data_gb", 0, 100000, 0.01, 0.1},
                                    {"voice_minutes", 0, 100000, 1, 1}};

/* To the unit in which it is stated, away from `from`, so that rounding never takes back what was found. */
static double stated(const struct dial *d, double from, double to)
{
    double n = to / d->unit, whole = round(n);
    if (fabs(n - whole) > 1e-6)
        whole = to > from ? ceil(n) : floor(n);
    double value = whole / round(1 / d->unit); /* the double nearest to the decimal that is shown */
    return value < d->least ? d->least : value > d->most ? d->most : value;
}

static void try_step(struct search *s, const struct change *c, const struct dial *d, double scale, int sign)
{
    double near = c->from;
    for (size_t i = 0; i < STEPS; i++) {
        double share = steps[i] < s->best.relative ? steps[i] : s->best.relative * 0.999;
        double far = stated(d, c->from, c->from + sign * share * scale);
        if (far == near)
            continue;
        if (winner_with(s, c, far) == s->decided->winner) {
            near = far;
            if (share < steps[i])
                return;
            continue;
        }
        for (int k = 0; k < HALVINGS && fabs(far - near) > d->unit * 1.5; k++) {
            double middle = stated(d, c->from, (near + far) / 2);
            if (middle == near || middle == far)
                break;
            *(winner_with(s, c, middle) == s->decided->winner ? &near : &far) = middle;
        }
        try(s, *c, far, scale);
        return;
    }
}

static bool used_by_rules(const struct decide_problem *p, int column)
{
    for (size_t i = 0; i < p->n; i++)
        for (size_t r = 0; r < p->options[i].o.n_rules; r++)
            if (p->options[i].o.rules[r].column == column)
                return true;
    return false;
}

/* The edges of rules and triggers on this fact, and one step to either side. */
static void try_edges(struct search *s, const struct change *c, const struct dial *d, double scale, int column)
{
    static const struct {
        const char *name;
        double edge;
    } of_triggers[] = {{"churn_score", 0.70}, {"dropped_call_rate", 2}, {"download_mbps", 2}, {"outages_30d", 3}};
    bool money = strcmp(d->name, "monthly_spend") == 0 || strcmp(d->name, "last_charged") == 0;
    for (size_t i = 0; i < sizeof of_triggers / sizeof *of_triggers; i++)
        if (strcmp(of_triggers[i].name, d->name) == 0)
            for (int k = -1; k <= 1; k++)
                try(s, *c, stated(d, c->from, of_triggers[i].edge + k * d->unit), scale);
    for (size_t i = 0; i < s->p->n; i++)
        for (size_t r = 0; r < s->p->options[i].o.n_rules; r++) {
            const struct option_rule *rule = &s->p->options[i].o.rules[r];
            if (rule->column == column && !isnan(rule->number))
                for (int k = -1; k <= 1; k++)
                    try(s, *c, stated(d, c->from, (money ? rule->number / 100 : rule->number) + k * d->unit), scale);
        }
}

static void try_facts(struct search *s)
{
    for (size_t i = 0; i < sizeof dials / sizeof *dials; i++) {
        const struct dial *d = &dials[i];
        int column = facts_column_find(d->name);
        cvm_cell cell = facts_at(&s->p->facts, (enum facts_column)column);
        bool money = column == FACTS_monthly_spend || column == FACTS_last_charged;
        bool in_value = i < 3, in_trigger = column == FACTS_dropped_call_rate || column == FACTS_download_mbps ||
                                            column == FACTS_outages_30d || column == FACTS_dispute_open;
        struct change c = {.kind = CHANGE_FACT, .name = d->name, .option = DECIDE_NONE};
        if (cell.kind == CVM_CELL_NULL || !(in_value || in_trigger || used_by_rules(s->p, column)))
            continue;
        c.from = facts_number(&cell) / (money ? 100 : 1);
        double scale = fmax(fabs(c.from), d->scale);
        try_edges(s, &c, d, scale, column);
        for (int sign = -1; in_value && sign <= 1; sign += 2)
            try_step(s, &c, d, scale, sign);
    }
}

/* ---- treatments ---- */

/* What the option's value must pass: upwards to win, downwards to lose. false: it is not in the race. */
static bool goal_of(const struct search *s, size_t i, double *ret_goal)
{
    const struct decide_result *r = s->decided;
    const struct option *winner = r->winner != DECIDE_NONE ? &s->p->options[r->winner].o : NULL;
    if (*r->verdicts[i].rule || option_is_ignore(&s->p->options[i].o) || !winner)
        return false;
    double of_winner = option_is_ignore(winner) ? 0 : (double)r->verdicts[r->winner].value.value;
    double of_next = r->runner_up == DECIDE_NONE ? 0 : (double)r->verdicts[r->runner_up].value.value;
    *ret_goal = i == r->winner ? fmax(of_next, 0) : of_winner;
    return true;
}

/* One figure of an option: tried at the break-even and a unit or two beyond, as ties go by other things. */
static void try_figure(struct search *s, struct change c, double even, double unit, double least, double scale)
{
    double sign = even > c.from ? 1 : even < c.from ? -1 : 0;
    for (int way = -1; way <= 1; way += 2)
        for (int k = 0; k <= 3; k++) {
            double direction = sign != 0 ? sign : way;
            double n = direction > 0 ? ceil(even / unit - 1e-9) : floor(even / unit + 1e-9);
            double to = (n + direction * k) / round(1 / unit);
            if (to >= least && (try(s, c, to, scale) || (sign != 0 && way > -1)))
                break;
        }
}

static void try_option(struct search *s, size_t i)
{
    const struct decide_option *d = &s->p->options[i];
    const struct value *v = &s->decided->verdicts[i].value;
    struct change c = {.option = i};
    double goal;
    if (!goal_of(s, i, &goal))
        return;
    double gain = goal - (double)v->value; /* minor units */
    c.kind = CHANGE_COST;
    c.from = (double)d->o.cost / 100;
    try_figure(s, c, c.from - gain / 100, 0.01, 0, fmax(c.from, 1));
    double rate = told_propensity(d) ? d->history.propensity : d->o.propensity;
    if (v->worth > 0 && rate > 0 && v->propensity > 0) {
        /* The base rate counts by what it became: observed rates, scores and history scale it. */
        c.kind = CHANGE_PROPENSITY;
        c.from = rate;
        double slope = 1;
        struct change probe = c;
        probe.to = rate * 1.01;
        change_set(s->p, &probe, probe.to);
        struct value_customer who = {&s->p->facts, decide_signals(s->p), s->p->triggers};
        struct value moved;
        value_of(&s->p->options[i].o, &who, &s->p->options[i].history, &moved);
        change_set(s->p, &probe, probe.from);
        slope = (moved.propensity - v->propensity) / (rate * 0.01);
        double even = slope > 1e-9 ? rate + gain / (double)v->worth / slope : NAN;
        if (even >= 0 && even <= 1)
            try_figure(s, c, even, 0.0001, 0, fmax(c.from, 0.05));
    }
    bool told = told_worth(d);
    if ((told || d->o.amount != FACTS_NONE) && v->propensity > 0 && v->worth > 0) {
        c.kind = CHANGE_AMOUNT;
        c.from = (double)(told ? d->history.worth : d->o.amount) / 100;
        double even = c.from * ((double)v->worth + gain / v->propensity) / (double)v->worth;
        if (even >= 0 && even < 1e9)
            try_figure(s, c, even, 0.01, 0, fmax(c.from, 1));
    }
}

static void try_switches(struct search *s)
{
    static const char *const permissions[] = {"sms", "email", "call", "app", "post", "marketing"};
    for (size_t i = 0; i < 6; i++)
        try_flip(s, (struct change){.kind = CHANGE_PERMISSION,
                                    .name = permissions[i],
                                    .option = DECIDE_NONE,
                                    .from = *permission_at(&s->p->facts, permissions[i]) > 0});
    for (int i = 0; i < SIGNALS; i++)
        if (!(value_signals(&s->p->facts) >> i & 1)) /* else it is the fact that must change */
            try_flip(s, (struct change){.kind = CHANGE_TRIGGER,
                                        .name = signal_names[i],
                                        .option = DECIDE_NONE,
                                        .from = s->p->word_signals >> i & 1});
    for (size_t i = 0; i < s->p->n; i++) {
        const struct decide_option *d = &s->p->options[i];
        if (option_is_ignore(&d->o))
            continue;
        if (d->remaining <= 0)
            try(s, (struct change){.kind = CHANGE_LIMIT, .option = i, .from = 0}, 1, 1);
        else if (i == s->decided->winner && d->remaining != OPTION_UNLIMITED)
            try(s, (struct change){.kind = CHANGE_LIMIT, .option = i, .from = (double)d->remaining}, 0,
                (double)d->remaining);
        if (d->o.n_rules && !d->rules_waived)
            try_flip(s, (struct change){.kind = CHANGE_RULES, .option = i, .from = 0});
        try_flip(s, (struct change){.kind = CHANGE_ENABLED, .option = i, .from = d->o.enabled});
    }
}

/* What is worth nothing with this customer may be made worth something: the last that is tried. */
static void try_worth(struct search *s)
{
    for (size_t i = 0; s->best.kind == CHANGE_NONE && i < s->p->n; i++) {
        const struct decide_option *d = &s->p->options[i];
        struct change c = {.kind = CHANGE_AMOUNT, .option = i};
        if (option_is_ignore(&d->o) || *s->decided->verdicts[i].rule || d->o.kind == WORTH_ASSUMED)
            continue;
        c.kind = CHANGE_PROPENSITY;
        c.from = told_propensity(d) ? d->history.propensity : d->o.propensity;
        for (double to = 0.05; to <= 1.0001 && s->best.kind == CHANGE_NONE; to += 0.05)
            try(s, c, round(to * 100) / 100, fmax(c.from, 0.05));
    }
}

void change_find(struct decide_problem *p, const struct decide_result *decided, struct change *ret)
{
    struct search s = {
        .p = p, .decided = decided, .best = {.kind = CHANGE_NONE, .option = DECIDE_NONE, .relative = HUGE_VAL}};
    for (size_t i = 0; i < p->n; i++)
        try_option(&s, i);
    try_facts(&s);
    if (s.best.relative >= 1)
        try_switches(&s);
    try_worth(&s);
    *ret = s.best;
}

/* ---- saying ---- */

static const char *number_text(double x, char room[32])
{
    snprintf(room, 32, "%.4f", x);
    for (size_t n = strlen(room); n && strchr("0.", room[n - 1]) && strchr(room, '.');) {
        bool dot = room[n - 1] == '.';
        room[--n] = 0;
        if (dot)
            break;
    }
    return room;
}

static void sentence(const struct decide_problem *p, const struct change *c, char *text, size_t size)
{
    char from[32], to[32];
    const char *id = c->option != DECIDE_NONE ? p->options[c->option].o.id : "";
    const char *then = c->then != DECIDE_NONE ? p->options[c->then].o.id : "nothing";
    number_text(c->from, from);
    number_text(c->to, to);
    switch (c->kind) {
    case CHANGE_NONE:
        snprintf(text, size, "No single change was found that alters the decision.");
        break;
    case CHANGE_FACT:
        snprintf(text, size, "If %s were %s instead of %s, %s would be chosen.", c->name, to, from, then);
        break;
    case CHANGE_PERMISSION:
        snprintf(text, size, "If the permission %s were %s, %s would be chosen.", c->name,
                 c->to > 0 ? "given" : "withdrawn", then);
        break;
    case CHANGE_TRIGGER:
        snprintf(text, size, "If the customer did %smatch the trigger %s, %s would be chosen.", c->to > 0 ? "" : "not ",
                 c->name, then);
        break;
    case CHANGE_COST:
        snprintf(text, size, "If %s cost %s pounds a contact instead of %s, %s would be chosen.", id, to, from, then);
        break;
    case CHANGE_PROPENSITY:
        snprintf(text, size, "If the propensity of %s were %s instead of %s, %s would be chosen.", id, to, from, then);
        break;
    case CHANGE_AMOUNT:
        snprintf(text, size, "If the amount of %s were %s pounds instead of %s, %s would be chosen.", id, to, from,
                 then);
        break;
    case CHANGE_LIMIT:
        snprintf(text, size, "If %s had %s unit%s left today instead of %s, %s would be chosen.", id, to,
                 c->to == 1 ? "" : "s", from, then);
        break;
    case CHANGE_ENABLED:
        snprintf(text, size, "If %s were %s, %s would be chosen.", id, c->to > 0 ? "enabled" : "disabled", then);
        break;
    case CHANGE_RULES:
        snprintf(text, size, "If the rules of %s allowed this customer, %s would be chosen.", id, then);
        break;
    }
}

json_t *change_json(const struct decide_problem *p, const struct change *c)
{
    static const char *const kinds[] = {
        "none",       "fact",          "permission", "trigger", "cost_per_contact_pounds",
        "propensity", "amount_pounds", "units_left", "enabled", "rules"};
    char text[400];
    if (c->kind == CHANGE_NONE)
        return json_null();
    sentence(p, c, text, sizeof text);
    return json_pack("{s:s, s:s*, s:s*, s:f, s:f, s:f, s:s, s:s}", "kind", kinds[c->kind], "name", c->name, "treatment",
                     c->option != DECIDE_NONE ? p->options[c->option].o.id : NULL, "from", c->from, "to", c->to,
                     "relative", round(c->relative * 10000) / 10000, "then",
                     c->then != DECIDE_NONE ? p->options[c->then].o.id : "", "text", text);
}
