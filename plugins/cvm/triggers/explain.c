/* Why a customer matches: the sentences and figures behind a verdict, and one line in plain words. Pure; any thread. */
#include "explain.h"
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void say(struct verdict *v, const char *format, ...)
{
    size_t at = strlen(v->reasoning);
    va_list args;
    if (at)
        at += (size_t)snprintf(v->reasoning + at, sizeof v->reasoning - at, "; ");
    if (at >= sizeof v->reasoning)
        return;
    va_start(args, format);
    vsnprintf(v->reasoning + at, sizeof v->reasoning - at, format, args);
    va_end(args);
}

static void figure(struct verdict *v, const char *source, const char *format, ...)
{
    va_list args;
    if (v->n_evidence == READER_EVIDENCE_MAX)
        return;
    v->evidence[v->n_evidence].source = source;
    v->evidence[v->n_evidence].ref[0] = v->evidence[v->n_evidence].timestamp[0] = 0;
    va_start(args, format);
    vsnprintf(v->evidence[v->n_evidence].excerpt, EXCERPT_BYTES_MAX + 1, format, args);
    va_end(args);
    v->n_evidence++;
}

/* A passage as evidence; cut at 240 bytes, never inside a letter. */
void explain_passage(struct verdict *v, const struct conversation *c, size_t from, size_t to)
{
    size_t n = to - from;
    if (v->n_evidence == READER_EVIDENCE_MAX)
        return;
    if (n > EXCERPT_BYTES_MAX)
        for (n = EXCERPT_BYTES_MAX; n && ((unsigned char)c->text[from + n] & 0xc0) == 0x80;)
            n--;
    for (size_t i = 0; i < v->n_evidence; i++)
        if (strlen(v->evidence[i].excerpt) == n && !memcmp(v->evidence[i].excerpt, c->text + from, n))
            return;
    v->evidence[v->n_evidence].source = c->web ? "web_transcripts" : "call_transcripts";
    memcpy(v->evidence[v->n_evidence].ref, c->ref, sizeof c->ref);
    memcpy(v->evidence[v->n_evidence].timestamp, c->date, sizeof c->date);
    memcpy(v->evidence[v->n_evidence].excerpt, c->text + from, n);
    v->evidence[v->n_evidence++].excerpt[n] = 0;
}

static void network_figures(const struct thresholds *th, const struct cvm_facts *f, struct verdict *v)
{
    if (f->dropped_call_rate >= th->dropped_pct)
        figure(v, "network", "dropped calls %.1f %%", f->dropped_call_rate);
    if (f->signal_dbm <= th->signal_dbm)
        figure(v, "network", "signal %.0f dBm", f->signal_dbm);
    if (f->download_mbps <= th->download_mbps)
        figure(v, "network", "download %.1f Mbit/s", f->download_mbps);
    if (f->outages_30d != FACTS_NONE && (double)f->outages_30d >= th->outages)
        figure(v, "network", "%lld outages in 30 days", (long long)f->outages_30d);
    say(v, "the line's figures are plainly bad");
}

static void value_figures(const struct case_file *c, struct verdict *v)
{
    const struct cvm_facts *f = c->facts;
    const char *currency = f->currency ? f->currency : "";
    say(v, "spends %.2f %s a month on average, high among all customers (from %.2f)", (double)f->monthly_spend / 100,
        currency, c->high_spend / 100);
    figure(v, "usage", "mean monthly spend %.2f %s", (double)f->monthly_spend / 100, currency);
    if (!isnan(f->on_time_share)) {
        say(v, "pays on time");
        figure(v, "usage", "%.0f %% of payments on time", f->on_time_share * 100);
    }
}

static void churn_figures(const struct thresholds *th, const struct case_file *c, struct verdict *v)
{
    const struct cvm_facts *f = c->facts;
    if (f->churn_score >= th->churn_score && !(fabs(f->churn_score - c->churn_chance) <= 1e-4)) {
        say(v, "the churn score is %.2f", f->churn_score);
        figure(v, "recommender", "churn score %.2f", f->churn_score);
    }
    if (c->churn_chance >= th->churn_score) {
        say(v, "the churn model gives %.0f %%%s%s", c->churn_chance * 100, c->churn_factors ? ": " : "",
            c->churn_factors ? c->churn_factors : "");
        figure(v, "churn_model", "%.0f %%%s%s", c->churn_chance * 100, c->churn_factors ? ": " : "",
               c->churn_factors ? c->churn_factors : "");
    }
    double left = days_until(f->contract_end, c->now_ms);
    if (left >= 0 && left <= th->contract_days && f->usage_change_pct <= -th->usage_fall_pct) {
        say(v, "the contract ends in %.0f days and usage fell by %.0f %%", left, -f->usage_change_pct);
        figure(v, "demographics", "contract ends %s, usage %+.0f %%", f->contract_end, f->usage_change_pct);
    }
}

static int topic_of(enum trigger i)
{
    return i == NETWORK_ISSUES     ? TOPIC_NET
           : i == BILLING_DISPUTES ? TOPIC_BILL
           : i == CHURN_RISK       ? TOPIC_CHURN
                                   : TOPIC_ROAM;
}

/* Newest first: what stands, then what hints. Of roaming also what was said of network and bill abroad. */
static size_t passages(const struct reading *x, enum trigger i, struct verdict *v)
{
    size_t n = 0, topic = (size_t)topic_of(i);
    for (int standing = STANDS; standing <= STANDS_WEAK; standing++) {
        for (size_t k = x->n_remarks; k-- > 0;) {
            const struct remark *r = &x->remarks[k];
            bool fits = r->topic == topic || (i == ROAMING_ISSUES && x->abroad && r->topic <= TOPIC_BILL);
            if (!fits || r->standing != standing || (standing == STANDS_WEAK && n))
                continue;
            explain_passage(v, &x->conversations[r->conversation], r->start, r->end);
            n++;
        }
    }
    return n;
}

/* Where no phrase was found, the model went by the words as a whole: the customer's last words are shown. */
static void last_words(const struct reading *x, struct verdict *v)
{
    const struct conversation *c = &x->conversations[x->n_conversations - 1];
    size_t from = 0, end, found_from = 0, found_to = 0;
    bool agent;
    for (size_t at = 0; (end = reader_turn(c->text, c->len, at, &agent, &from)); at = end)
        if (!agent) {
            found_from = from;
            found_to = end;
        }
    while (found_from < found_to && c->text[found_from] == ' ')
        found_from++;
    if (found_to > found_from)
        explain_passage(v, c, found_from, found_to);
}

void explain(const struct thresholds *th, const struct case_file *c, const struct reading *x, enum trigger i,
             bool plain, struct verdict *v)
{
    static const char *const what[TRIGGERS] = {"has trouble with the network", "contests a charge",
                                               "says or shows that they are leaving", "is of high value",
                                               "had trouble with service or charges abroad"};
    if (x && i != HIGH_VALUE && (!plain || x->count[topic_of(i)][STANDS])) {
        size_t n = passages(x, i, v);
        if (n)
            say(v, "the customer %s, in %zu remark%s%s", what[i], n, n == 1 ? "" : "s",
                x->unsolved ? ", and says it is not settled" : "");
        else if (!plain) {
            last_words(x, v);
            say(v, "the words as a whole read as of one who %s", what[i]);
        }
    }
    if (i == NETWORK_ISSUES && plain)
        network_figures(th, c->facts, v);
    else if (i == HIGH_VALUE && plain)
        value_figures(c, v);
    else if (i == CHURN_RISK && plain)
        churn_figures(th, c, v);
    else if (i == BILLING_DISPUTES && plain) {
        say(v, "a dispute is open");
        figure(v, "billing", "dispute open");
    }
    if (i == ROAMING_ISSUES && c->facts->roaming_days_60 > 0)
        figure(v, "usage", "%.0f days abroad of late", c->facts->roaming_days_60);
}
