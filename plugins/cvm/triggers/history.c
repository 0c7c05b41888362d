/* Conversations and figures out of JSON: of customer_data, and of labelled histories. Pure; any thread. */
#include "judge.h"
#include <cvm/cvm.h>
#include <cvm/json.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *first_of(const json_t *o, const char *const names[])
{
    for (size_t i = 0; names[i]; i++)
        if (*cvm_json_str(o, names[i], ""))
            return cvm_json_str(o, names[i], "");
    return "";
}

/* {"turns": [{"speaker", "text"}]} as text; or {"text"}. Gives; NULL: out of memory. */
static char *text_of(const json_t *conversation)
{
    const json_t *turns = json_object_get(conversation, "turns"), *turn;
    size_t i, len = 1, at = 0;
    if (!json_is_array(turns))
        return strdup(cvm_json_str(conversation, "text", ""));
    json_array_foreach(turns, i, turn) len +=
        strlen(cvm_json_str(turn, "speaker", "customer")) + strlen(cvm_json_str(turn, "text", "")) + 3;
    char *text = malloc(len);
    if (!text)
        return NULL;
    text[0] = 0;
    json_array_foreach(turns, i, turn)
    {
        const char *parts[] = {cvm_json_str(turn, "speaker", "customer"), ": ", cvm_json_str(turn, "text", ""), "\n"};
        for (size_t p = 0; p < 4; p++) {
            size_t n = strlen(parts[p]);
            memcpy(text + at, parts[p], n);
            for (size_t k = 0; p == 2 && k < n; k++)
                if (text[at + k] == '\n')
                    text[at + k] = ' ';
            at += n;
        }
    }
    text[at] = 0;
    return text;
}

static void copy(char *to, size_t size, const char *from)
{
    size_t n = strlen(from);
    n = n < size ? n : size - 1;
    memcpy(to, from, n);
    to[n] = 0;
}

static int add(struct conversations *c, const json_t *item, bool web)
{
    static const char *const refs[] = {"call_id", "session_id", "id", "ref", NULL};
    static const char *const dates[] = {"started_at", "date", "timestamp", NULL};
    if (c->n == READER_CONVERSATIONS_MAX)
        return 0;
    struct conversation *x = &c->item[c->n];
    char *text = text_of(item);
    if (!text)
        return CVM_ENOMEM;
    c->texts[c->n++] = text;
    x->web = web;
    x->text = text;
    x->len = strlen(text);
    copy(x->ref, sizeof x->ref, first_of(item, refs));
    copy(x->date, sizeof x->date, first_of(item, dates));
    return 0;
}

int conversations_read(const json_t *customer, struct conversations *ret_conversations)
{
    static const char *const members[2] = {"call_transcripts", "web_transcripts"};
    memset(ret_conversations, 0, sizeof *ret_conversations);
    const json_t *item;
    size_t i;
    int e = 0;
    for (size_t m = 0; m < 2 && e == 0; m++)
        json_array_foreach(json_object_get(customer, members[m]), i, item) if (e == 0) e =
            add(ret_conversations, item, m == 1);
    if (e == 0 && json_object_get(customer, "text"))
        e = add(ret_conversations, customer, true);
    if (e < 0) {
        conversations_fini(ret_conversations);
        return e;
    }
    for (size_t a = 1; a < ret_conversations->n; a++) /* sorted with their texts; few */
        for (size_t b = a; b && strcmp(ret_conversations->item[b - 1].date, ret_conversations->item[b].date) > 0; b--) {
            struct conversation t = ret_conversations->item[b];
            ret_conversations->item[b] = ret_conversations->item[b - 1];
            ret_conversations->item[b - 1] = t;
        }
    return 0;
}

void conversations_fini(struct conversations *c)
{
    for (size_t i = 0; i < c->n; i++)
        free(c->texts[i]);
    c->n = 0;
}

static double number(const json_t *o, const char *group, const char *name)
{
    const json_t *v = json_object_get(json_object_get(o, group), name);
    return json_is_number(v) ? json_number_value(v) : NAN;
}

static int64_t integer(double v, double scale)
{
    return isnan(v) ? FACTS_NONE : llround(v * scale);
}

void history_facts(const json_t *h, struct cvm_facts *f)
{
    const json_t *billing = json_object_get(h, "billing");
    facts_clear(f);
    f->customer_id = cvm_json_str(h, "customer_id", "");
    f->currency = cvm_json_str(billing, "currency", NULL);
    f->payment_status = cvm_json_str(billing, "payment_status", NULL);
    f->monthly_spend = integer(number(h, "billing", "avg_monthly_spend"), 100);
    f->last_charged = integer(number(h, "billing", "last_month_charged"), 100);
    f->late_payments_12m = integer(number(h, "billing", "late_payments_12m"), 1);
    f->tenure_months = integer(number(h, "billing", "tenure_months"), 1);
    f->data_gb = number(h, "usage", "avg_monthly_data_gb");
    f->voice_minutes = number(h, "usage", "avg_monthly_voice_minutes");
    f->usage_change_pct = number(h, "usage", "usage_change_3m_pct");
    f->roaming_days_60 = number(h, "usage", "days_abroad_90d");
    f->dropped_call_rate = number(h, "network", "dropped_call_rate_pct");
    f->signal_dbm = number(h, "network", "avg_signal_dbm");
    f->download_mbps = number(h, "network", "avg_download_mbps");
    f->outages_30d = integer(number(h, "network", "cell_outages_30d"), 1);
}
