/* See judge.h: from readings and figures to features and verdicts. */
#include "explain.h"
#include "logit.h"
#include <cvm/cvm.h>
#include <cvm/json.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FOLDS 5
#define EXAMPLES_MAX 4000
#define FOLD_ROWS 10 /* written together, and so judged by a model that has seen none of them */
#define L2 1.0

const char *const trigger_names[TRIGGERS] = {"network_issues", "billing_disputes", "churn_risk", "high_value",
                                             "roaming_issues"};
static const enum trigger trigger_of[TOPICS] = {NETWORK_ISSUES, BILLING_DISPUTES, CHURN_RISK, ROAMING_ISSUES};

struct example {
    struct textrow text;
    double row[JUDGE_FEATURES_MAX];
    bool whole; /* with figures: it teaches the weights too, not only the words */
};

struct judge {
    struct reader *reader;
    struct textmodel *text;
    bool learnt;
    size_t n, room, k;
    struct example *examples;
    double beta[TOPICS][JUDGE_FEATURES_MAX];
};

void thresholds_default(struct thresholds *t)
{
    *t = (struct thresholds){.dropped_pct = 5,
                             .signal_dbm = -105,
                             .download_mbps = 2,
                             .outages = 5,
                             .bad_figures = 3,
                             .churn_score = .7,
                             .usage_fall_pct = 30,
                             .contract_days = 30,
                             .on_time_min = .95,
                             .tenure_min = 3,
                             .confidence_min = .4};
}

int judge_new(const json_t *lexicon, struct judge **ret_judge, char *ret_error, size_t error_size)
{
    struct judge *j = calloc(1, sizeof *j);
    if (!j)
        return CVM_ENOMEM;
    int e = reader_new(lexicon, &j->reader, ret_error, error_size);
    if (e < 0) {
        free(j);
        return e;
    }
    *ret_judge = j;
    return 0;
}

void judge_free(struct judge *j)
{
    if (!j)
        return;
    for (size_t i = 0; i < j->n; i++)
        textrow_fini(&j->examples[i].text);
    free(j->examples);
    textmodel_free(j->text);
    reader_free(j->reader);
    free(j);
}

const struct reader *judge_reader(const struct judge *j)
{
    return j->reader;
}

size_t judge_examples(const struct judge *j)
{
    return j->n;
}

/* ---- figures ---- */

static double known(int64_t v)
{
    return v == FACTS_NONE ? NAN : (double)v;
}

/* How many of a line's four figures are bad. */
static int bad_figures(const struct thresholds *t, const struct cvm_facts *f)
{
    return (f->dropped_call_rate >= t->dropped_pct) + (f->signal_dbm <= t->signal_dbm) +
           (f->download_mbps <= t->download_mbps) + (known(f->outages_30d) >= t->outages);
}

static bool network_plain(const struct thresholds *t, const struct cvm_facts *f)
{
    return bad_figures(t, f) >= t->bad_figures;
}

double days_until(const char *date, int64_t now_ms)
{
    int y, m, d;
    if (!date || sscanf(date, "%4d-%2d-%2d", &y, &m, &d) != 3)
        return NAN;
    y -= m <= 2; /* days from civil: Hinnant */
    int era = y / 400, yoe = y - era * 400, doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    int64_t days = (int64_t)era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
    return (double)days - (double)(now_ms / 86400000);
}

static bool churn_plain(const struct thresholds *t, const struct case_file *c)
{
    double left = days_until(c->facts->contract_end, c->now_ms);
    return c->facts->churn_score >= t->churn_score || c->churn_chance >= t->churn_score ||
           (left >= 0 && left <= t->contract_days && c->facts->usage_change_pct <= -t->usage_fall_pct);
}

static bool value_high(const struct thresholds *t, const struct case_file *c)
{
    const struct cvm_facts *f = c->facts;
    double tenure = known(f->tenure_months), spend = known(f->monthly_spend);
    return spend >= c->high_spend && spend > 0 && !(f->on_time_share < t->on_time_min) && !(tenure < t->tenure_min);
}

unsigned judge_figures(const struct thresholds *t, const struct case_file *c)
{
    return (network_plain(t, c->facts) ? 1u << NETWORK_ISSUES : 0) |
           (c->facts->dispute_open == 1 ? 1u << BILLING_DISPUTES : 0) | (churn_plain(t, c) ? 1u << CHURN_RISK : 0) |
           (value_high(t, c) ? 1u << HIGH_VALUE : 0);
}

/* ---- features ---- */

static double cap(double v, double most)
{
    return (v < most ? v : most) / most;
}

static double clip(double v, double low, double high)
{
    return isnan(v) ? 0 : v < low ? low : v > high ? high : v;
}

static size_t topic_features(const struct reading *x, double *row, size_t k)
{
    for (size_t t = 0; t < TOPICS; t++) {
        unsigned idle = x->count[t][IF_ONLY] + x->count[t][PASSED] + x->count[t][ANOTHERS] + x->count[t][DENIED];
        bool any = x->count[t][STANDS] != 0, over = any && x->solved_at[t] > x->last[t];
        row[k++] = any;
        row[k++] = cap(x->count[t][STANDS], 3);
        row[k++] = cap(x->count[t][STANDS_WEAK], 3);
        row[k++] = any && !over;
        row[k++] = x->in_last[t] != 0;
        row[k++] = cap(idle, 2);
        row[k++] = over;
        row[k++] = cap(x->agent[t], 3);
    }
    return k;
}

static size_t context_features(const struct reading *x, double *row, size_t k)
{
    bool late = x->n_sentences && x->unsolved_last + 3 > x->n_sentences;
    row[k++] = cap(x->unsolved, 3);
    row[k++] = late && x->unsolved;
    row[k++] = cap(x->solved, 2);
    row[k++] = cap(x->cleared, 2);
    row[k++] = cap(x->stays, 2);
    row[k++] = cap(x->praise, 2);
    row[k++] = cap(x->sarcasm, 2);
    row[k++] = cap(x->asks, 2);
    row[k++] = cap(x->supposed, 2);
    row[k++] = cap(x->another, 2);
    row[k++] = cap(x->past, 2);
    row[k++] = x->abroad != 0;
    row[k++] = x->international != 0;
    row[k++] = x->abroad_with[TOPIC_NET] != 0;
    row[k++] = x->abroad_with[TOPIC_BILL] != 0;
    row[k++] = x->abroad_with[TOPIC_ROAM] != 0;
    row[k++] = x->home_net != 0;
    row[k++] = x->agent_fixed;
    row[k++] = x->agent_open;
    row[k++] = x->ends_well;
    row[k++] = x->not_trouble != 0;
    row[k++] = cap(x->n_sentences, 20);
    return k;
}

static size_t figure_features(const struct cvm_facts *f, const struct reading *x, double *row, size_t k)
{
    double spend = known(f->monthly_spend), last = known(f->last_charged), away = clip(f->roaming_days_60, 0, 10) / 10;
    double jump = spend > 0 && last > 0 ? log(last / spend) : 0, change = clip(f->usage_change_pct, -100, 100) / 100;
    bool owes = f->payment_status && strcmp(f->payment_status, "current") && *f->payment_status;
    row[k++] = clip(f->dropped_call_rate - 2, -2, 10) / 10;
    row[k++] = clip(-90 - f->signal_dbm, -15, 25) / 20;
    row[k++] = clip(5 - f->download_mbps, -15, 5) / 10;
    row[k++] = clip(known(f->outages_30d) - 2, -2, 8) / 6;
    row[k++] = change < 0 ? -change : 0;
    row[k++] = change < -.35;
    row[k++] = clip(jump, 0, 1.5);
    row[k++] = clip(-jump, 0, 1.5);
    row[k++] = owes;
    row[k++] = clip(known(f->late_payments_12m), 0, 3) / 3;
    row[k++] = f->dispute_open == 1;
    row[k++] = away;
    row[k++] = away > 0;
    row[k++] = away > 0 && (x->count[TOPIC_NET][STANDS] || x->count[TOPIC_BILL][STANDS]);
    row[k++] = away > 0 && x->abroad;
    row[k++] = change < -.15 && x->count[TOPIC_CHURN][STANDS];
    row[k++] = (jump > .2 || owes) && x->count[TOPIC_BILL][STANDS];
    return k;
}

/* ret_text: what the text model knows of it, may be NULL. */
static int features_of(const struct judge *j, const struct cvm_facts *f, const struct conversation *c, size_t n,
                       struct reading *x, double *row, size_t *ret_k, struct textrow *ret_text)
{
    const char *home = f->currency && !strcmp(f->currency, "GBP") ? "GB" : "NG";
    struct features *collected = ret_text ? malloc(sizeof *collected) : NULL;
    if (ret_text && !collected)
        return CVM_ENOMEM;
    if (collected)
        textmodel_open(collected, reader_phrases(j->reader));
    int e = reader_read(j->reader, c, n, home, collected ? textmodel_note : NULL, collected, x);
    if (e == 0 && collected)
        e = textrow_take(collected, ret_text);
    free(collected);
    size_t k = 0;
    row[k++] = 1;
    k = topic_features(x, row, k);
    k = context_features(x, row, k);
    k = figure_features(f, x, row, k);
    *ret_k = k; /* the text model's scores follow */
    return e;
}

static size_t with_scores(double *row, size_t k, const double scores[TOPICS])
{
    for (size_t t = 0; t < TOPICS; t++)
        row[k++] = clip(scores[t], -2, 2);
    return k;
}

/* ---- learning ---- */

int judge_example(struct judge *j, const json_t *history, char *ret_error, size_t error_size)
{
    const json_t *labels = json_object_get(history, "labels"), *label;
    struct conversations c;
    struct cvm_facts f;
    struct reading x;
    size_t i;
    if (!json_is_array(labels)) {
        snprintf(ret_error, error_size, "an example needs \"labels\", an array");
        return CVM_EINVAL;
    }
    if (j->n == EXAMPLES_MAX)
        return CVM_ELIMIT;
    if (j->n == j->room) {
        size_t room = j->room ? j->room * 2 : 512;
        struct example *grown = realloc(j->examples, room * sizeof *grown);
        if (!grown)
            return CVM_ENOMEM;
        j->examples = grown;
        j->room = room;
    }
    struct example *x0 = &j->examples[j->n];
    memset(x0, 0, sizeof *x0);
    history_facts(history, &f);
    CVM_TRY(conversations_read(history, &c));
    int e = features_of(j, &f, c.item, c.n, &x, x0->row, &j->k, &x0->text);
    conversations_fini(&c);
    if (e < 0)
        return e;
    json_array_foreach(labels, i, label) for (size_t t = 0; t < TOPICS; t++) x0->text.label[t] |=
        !strcmp(json_string_value(label) ? json_string_value(label) : "", trigger_names[trigger_of[t]]);
    x0->whole = json_object_get(history, "billing") != NULL;
    x0->text.fold = (uint8_t)(j->n / FOLD_ROWS % FOLDS);
    j->n++;
    return 0;
}

/* Scores of the text model for each example by a model that has not seen it. */
static int score_unseen(struct judge *j, struct textrow *rows, double (*scores)[TOPICS])
{
    for (uint8_t fold = 0; fold < FOLDS; fold++) {
        struct textmodel *m;
        CVM_TRY(textmodel_train(rows, j->n, fold, &m));
        for (size_t i = 0; i < j->n; i++)
            if (rows[i].fold == fold)
                textmodel_scores(m, &rows[i], scores[i]);
        textmodel_free(m);
    }
    return 0;
}

int judge_learn(struct judge *j)
{
    size_t k = j->k + TOPICS, n = j->n;
    struct textrow *rows = calloc(n ? n : 1, sizeof *rows);
    double(*scores)[TOPICS] = calloc(n ? n : 1, sizeof *scores);
    double *x = calloc((n ? n : 1) * k, sizeof *x), *y = calloc(n ? n : 1, sizeof *y);
    size_t *which = calloc(n ? n : 1, sizeof *which);
    int e = rows && scores && x && y && which ? 0 : CVM_ENOMEM;
    for (size_t i = 0; e == 0 && i < n; i++)
        rows[i] = j->examples[i].text;
    if (e == 0)
        e = score_unseen(j, rows, scores);
    if (e == 0) {
        textmodel_free(j->text);
        j->text = NULL;
        e = textmodel_train(rows, n, 255, &j->text);
    }
    size_t used = 0;
    for (size_t i = 0; e == 0 && i < n; i++) {
        if (!j->examples[i].whole)
            continue;
        memcpy(x + used * k, j->examples[i].row, j->k * sizeof *x);
        with_scores(x + used * k, j->k, scores[i]);
        which[used++] = i;
    }
    for (size_t t = 0; e == 0 && t < TOPICS; t++) {
        for (size_t i = 0; i < used; i++)
            y[i] = rows[which[i]].label[t];
        e = logit_fit(x, y, NULL, used, k, L2, j->beta[t]);
    }
    j->learnt = e == 0;
    free(rows);
    free(scores);
    free(which);
    free(x);
    free(y);
    return e;
}

/* ---- verdicts ---- */

/* What the rules say of a topic, without what was learnt. */
static bool topic_stands(const struct reading *x, enum topic t)
{
    bool over = x->solved_at[t] > x->last[t];
    switch (t) {
    case TOPIC_ROAM:
        return x->abroad && ((x->abroad_with[TOPIC_ROAM] && !over) ||
                             (x->abroad_with[TOPIC_NET] && x->solved_at[TOPIC_NET] <= x->last[TOPIC_NET]) ||
                             (x->abroad_with[TOPIC_BILL] && x->solved_at[TOPIC_BILL] <= x->last[TOPIC_BILL]));
    case TOPIC_NET:
        return x->home_net && !over;
    default:
        return x->count[t][STANDS] && !over;
    }
}

int judge_case(const struct judge *j, const struct thresholds *th, const struct case_file *c, unsigned wanted,
               struct verdict ret_verdicts[TRIGGERS])
{
    unsigned plain = judge_figures(th, c);
    double row[JUDGE_FEATURES_MAX], scores[TOPICS];
    struct textrow text = {0};
    struct reading *x = NULL;
    size_t k = 0;
    int e = 0;
    for (size_t i = 0; i < TRIGGERS; i++) {
        ret_verdicts[i].matches = ret_verdicts[i].rules = (plain & 1u << i) != 0;
        ret_verdicts[i].confidence = plain & 1u << i ? .9 : .05;
        ret_verdicts[i].n_evidence = 0;
        ret_verdicts[i].reasoning[0] = 0;
    }
    if (c->n_conversations && wanted & ~(1u << HIGH_VALUE)) {
        if (!(x = malloc(sizeof *x)))
            return CVM_ENOMEM;
        e = features_of(j, c->facts, c->conversations, c->n_conversations, x, row, &k, j->learnt ? &text : NULL);
        if (e == 0 && j->learnt) {
            textmodel_scores(j->text, &text, scores);
            k = with_scores(row, k, scores);
        }
        for (size_t t = 0; e == 0 && t < TOPICS; t++) {
            struct verdict *v = &ret_verdicts[trigger_of[t]];
            v->rules |= topic_stands(x, t);
            double chance = j->learnt ? logit_chance(logit_score(j->beta[t], row, k)) : v->rules ? .75 : .1;
            if (!(plain & 1u << trigger_of[t])) {
                v->confidence = chance;
                v->matches = chance >= th->confidence_min;
            }
        }
    }
    for (size_t i = 0; e == 0 && i < TRIGGERS; i++)
        if (wanted & 1u << i && (ret_verdicts[i].matches || ret_verdicts[i].rules))
            explain(th, c, x, (enum trigger)i, (plain & 1u << i) != 0, &ret_verdicts[i]);
    textrow_fini(&text);
    free(x);
    return e;
}
