/* The table `llm_calls`: a row for each completion that was asked for, and the figures of it. No text of a question or
 * an answer. Loop thread. */
#include "llm.h"
#include "price.h"

#include <stdio.h>
#include <time.h>

static json_t *time_json(int64_t at_ms)
{
    char text[40];
    time_t seconds = (time_t)(at_ms / 1000);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    size_t n = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(text + n, sizeof text - n, ".%03dZ", (int)(at_ms % 1000));
    return json_string(text);
}

static int publish(cvm_turn *t, const json_t *job, const json_t *reply, const char *outcome)
{
    const json_t *usage = json_object_get(reply, "usage"), *rate = json_object_get(cvm_settings(t), "ngn_per_usd");
    const char *provider = cvm_json_str(job, "provider", ""), *agent = cvm_json_str(job, "agent", "");
    int64_t took = cvm_now_ms(t) - cvm_json_int(job, "attempt_began_ms", cvm_now_ms(t));
    double usd = (double)cvm_json_int(reply, "cost_micro", 0) / (double)MICRO;
    CVM_TRY(cvm_metric(t, "llm_calls_total", provider, 1));
    if (strcmp(outcome, "ok") != 0)
        CVM_TRY(cvm_metric(t, "llm_failures_total", outcome, 1));
    CVM_TRY(cvm_metric(t, "llm_input_tokens_total", provider, (double)cvm_json_int(usage, "input_tokens", 0)));
    CVM_TRY(cvm_metric(t, "llm_output_tokens_total", provider, (double)cvm_json_int(usage, "output_tokens", 0)));
    CVM_TRY(cvm_metric(t, "llm_cost_usd_total", agent, usd));
    CVM_TRY(cvm_metric(t, "llm_cost_ngn_total", agent, json_is_number(rate) ? usd * json_number_value(rate) : 0));
    return cvm_metric(t, "llm_seconds", NULL, (double)took / 1000);
}

int calls_record(cvm_turn *t, const cvm_msg *m, const json_t *job, const json_t *reply, const char *outcome)
{
    const json_t *usage = json_object_get(reply, "usage"), *request = json_object_get(job, "data");
    int64_t begun = cvm_json_int(job, "attempt_began_ms", cvm_now_ms(t)), cost = cvm_json_int(reply, "cost_micro", 0);
    const char *provider = cvm_json_str(job, "provider", ""), *agent = cvm_json_str(job, "agent", "");
    char id[CVM_SHORT_ID_SIZE];
    CVM_TRY(cvm_new_id(t, "LLM", id));
    json_t *row =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:s, s:i, s:o}", "call_id", id,
                  "conversation", m->conversation, "provider", provider, "model",
                  cvm_json_str(reply, "model", cvm_json_str(request, "model", "")), "agent", agent, "purpose",
                  cvm_json_str(request, "purpose", ""), "enquiry_id", cvm_json_str(job, "enquiry_id", ""),
                  "customer_id", m->customer_id, "input_tokens", (json_int_t)cvm_json_int(usage, "input_tokens", 0),
                  "output_tokens", (json_int_t)cvm_json_int(usage, "output_tokens", 0), "cached_tokens",
                  (json_int_t)cvm_json_int(usage, "cached_tokens", 0), "cost_micro_usd", (json_int_t)cost,
                  "duration_ms", (json_int_t)(cvm_now_ms(t) - begun), "outcome", outcome, "fallback",
                  strcmp(provider, cvm_json_str(job, "first", provider)) != 0, "created_at", time_json(cvm_now_ms(t)));
    CVM_TRY(cvm_row_put(t, "llm_calls", row));
    CVM_TRY(publish(t, job, reply, outcome));
    return budget_spend(t, agent, cvm_json_str(job, "enquiry_id", ""), cost);
}

int calls_list(cvm_turn *t, const cvm_msg *m)
{
    static const char *const filters[] = {"enquiry_id", "agent", "provider", "outcome"};
    json_t *where = json_object();
    for (size_t i = 0; i < sizeof filters / sizeof *filters; i++)
        if (*cvm_json_str(m->data, filters[i], ""))
            json_object_set(where, filters[i], json_object_get(m->data, filters[i]));
    CVM_TRY(cvm_ask(t, &(cvm_query){.size = sizeof(cvm_query),
                                    .table = "llm_calls",
                                    .where = where,
                                    .order_by = "-created_at",
                                    .limit = cvm_json_int(m->data, "limit", 50),
                                    .on_behalf = m->id}));
    return CVM_PENDING;
}

int calls_listed(cvm_turn *t, const cvm_msg *m)
{
    const json_t *rows = json_object_get(m->data, "rows");
    json_t *list = json_array();
    for (size_t i = 0; i < json_array_size(rows); i++) {
        json_t *row = json_copy(json_array_get(rows, i));
        json_object_del(row, "key_id"); /* the store's own */
        json_object_set_new(row, "cost_usd", json_real((double)cvm_json_int(row, "cost_micro_usd", 0) / (double)MICRO));
        json_array_append_new(list, row);
    }
    int e = cvm_settle(t, m->on_behalf, CVM_REPLIED, json_pack("{s:o}", "calls", list), NULL);
    return e == CVM_ENOENT ? CVM_OK : e;
}

int calls_status(cvm_turn *t, const cvm_msg *m)
{
    json_t *status = NULL, *list = json_array(), *order = order_of(t, m->data, "");
    int e = budget_status(t, &status);
    if (e >= 0) {
        for (size_t i = 0; i < json_array_size(order); i++)
            json_array_append_new(list, health_status(t, json_string_value(json_array_get(order, i))));
        json_object_set_new(status, "providers", list);
        e = cvm_reply(t, m, status);
    } else {
        json_decref(list);
    }
    json_decref(order);
    return e;
}
