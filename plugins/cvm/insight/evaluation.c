/* cvm.evaluation: takes outcomes, says who is left without treatment, starts the job that compares. Owns the tables
 * cvm_outcomes and cvm_groups; state known/<treatment> and campaign/<campaign> (the share of its control group, which
 * does not change while it runs). Loop thread. */
#include "insight.h"

#include "../../common/pending.h"
#include "../common/assign.h"

#include <stdio.h>

#define OUTCOMES "cvm_outcomes"
#define GROUPS "cvm_groups"

static int settle(cvm_turn *t, cvm_id request, int outcome, json_t *data)
{
    int e = cvm_settle(t, request, outcome, data, NULL);
    return e == CVM_ENOENT ? CVM_OK : e;
}

/* ---- outcomes ---- */

static int record(cvm_turn *t, cvm_id request, const json_t *what)
{
    const char *customer = cvm_json_str(what, "customer_id", ""), *treatment = cvm_json_str(what, "treatment_id", "");
    const char *outcome = cvm_json_str(what, "outcome", ""), *application = cvm_json_str(what, "application_id", "");
    double value = json_number_value(json_object_get(what, "value_pounds"));
    char key[INSIGHT_KEY_SIZE], at[INSIGHT_TIME_SIZE];
    int64_t ms;
    if (!insight_key(key, customer, treatment, outcome, application))
        return settle(t, request, CVM_REFUSED,
                      json_pack("{s:s, s:s, s:s}", "code", "INVALID", "field", "customer_id", "message",
                                "the ids are too long together"));
    if (!insight_time_of(what, "at", cvm_now_ms(t), &ms))
        return settle(t, request, CVM_REFUSED,
                      json_pack("{s:s, s:s, s:s}", "code", "INVALID", "field", "at", "message",
                                "must be a point in time such as 2026-11-21T12:00:00Z"));
    insight_time(ms, at);
    json_t *row =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:f, s:s}", "outcome_id", key, "customer_id", customer, "treatment_id",
                  treatment, "application_id", application, "outcome", outcome, "value_pounds", value, "at", at);
    CVM_TRY(row ? cvm_row_put(t, OUTCOMES, row) : CVM_ENOMEM);
    return settle(t, request, CVM_REPLIED,
                  json_pack("{s:s, s:s, s:s, s:s, s:f, s:s}", "status", "success", "customer_id", customer,
                            "treatment_id", treatment, "outcome", outcome, "value_pounds", value, "at", at));
}

static void known_key(const json_t *what, char ret_key[CVM_STATE_KEY_MAX])
{
    snprintf(ret_key, CVM_STATE_KEY_MAX, "known/%.80s", cvm_json_str(what, "treatment_id", ""));
}

/* Nobody offers it; it may have been removed after it was applied. */
static int look_for_applications(cvm_turn *t, cvm_id request, const json_t *what)
{
    CVM_TRY(pending_put(t, request, cvm_json_share(what)));
    json_t *input = json_pack("{s:s}", "treatment_id", cvm_json_str(what, "treatment_id", ""));
    return input ? cvm_job_start(t, "applied", input, request, 0) : CVM_ENOMEM;
}

static bool is_outcome(const char *outcome)
{
    static const char *const outcomes[] = {"no_response", "responded", "converted", "complained", "churned"};
    for (size_t i = 0; i < sizeof outcomes / sizeof *outcomes; i++)
        if (strcmp(outcomes[i], outcome) == 0)
            return true;
    return false;
}

int evaluation_on_record(cvm_turn *t, const cvm_msg *m)
{
    char key[CVM_STATE_KEY_MAX];
    const json_t *known, *application = json_object_get(m->data, "application_id");
    CVM_TRY(insight_need(t, m, "customer_id", ID_MAX));
    CVM_TRY(insight_need(t, m, "treatment_id", TREATMENT_MAX));
    if (application)
        CVM_TRY(insight_need(t, m, "application_id", 32));
    if (!is_outcome(cvm_json_str(m->data, "outcome", "")))
        return cvm_refuse(t, "INVALID", "outcome",
                          "outcome must be no_response, responded, converted, complained or churned");
    known_key(m->data, key);
    if (cvm_state_get(t, key, &known) == CVM_OK)
        return record(t, m->id, m->data);
    cvm_request_opts opts = {.on_behalf = m->id};
    json_t *data = json_pack("{s:s}", "id", cvm_json_str(m->data, "treatment_id", ""));
    int e = data ? cvm_request(t, TREATMENTS, "get", data, &opts) : CVM_ENOMEM;
    if (e == CVM_OK)
        e = pending_put(t, m->id, cvm_json_share(m->data));
    else if (e == CVM_ENOENT) /* not loaded */
        e = look_for_applications(t, m->id, m->data);
    return e < 0 ? e : CVM_PENDING;
}

static int heard_of_treatment(cvm_turn *t, const cvm_msg *m, const json_t *what)
{
    char key[CVM_STATE_KEY_MAX];
    if (m->outcome != CVM_REPLIED)
        return look_for_applications(t, m->on_behalf, what);
    known_key(what, key);
    CVM_TRY(cvm_state_put(t, key, json_true()));
    return record(t, m->on_behalf, what);
}

int evaluation_on_treatment(cvm_turn *t, const cvm_msg *m)
{
    return pending_resume(t, m, heard_of_treatment);
}

static int heard_of_applications(cvm_turn *t, const cvm_msg *m, const json_t *what)
{
    char text[200];
    if (m->outcome != CVM_REPLIED)
        return settle(t, m->on_behalf, m->outcome, cvm_json_share(m->data));
    if (cvm_json_bool(m->data, "applied", false))
        return record(t, m->on_behalf, what);
    snprintf(text, sizeof text, "there is no treatment \"%.80s\", and none of that id was ever applied",
             cvm_json_str(what, "treatment_id", ""));
    return settle(t, m->on_behalf, CVM_REFUSED,
                  json_pack("{s:s, s:s, s:s}", "code", "UNKNOWN_TREATMENT", "field", "treatment_id", "message", text));
}

int evaluation_on_applied(cvm_turn *t, const cvm_msg *m)
{
    return pending_resume(t, m, heard_of_applications);
}

/* ---- the control group ---- */

int evaluation_on_assign(cvm_turn *t, const cvm_msg *m)
{
    char key[INSIGHT_KEY_SIZE];
    CVM_TRY(insight_need(t, m, "customer_id", ID_MAX));
    CVM_TRY(insight_need(t, m, "campaign", TREATMENT_MAX));
    if (json_object_get(m->data, "treatment_id"))
        CVM_TRY(insight_need(t, m, "treatment_id", TREATMENT_MAX));
    if (!insight_key(key, cvm_json_str(m->data, "campaign", ""), cvm_json_str(m->data, "customer_id", ""), NULL, NULL))
        return cvm_refuse(t, "INVALID", "customer_id", "the ids are too long together");
    return insight_ask(t, m, GROUPS, "group_id", key, cvm_json_share(m->data));
}

/* The share of the campaign's control group in per cent: as it was when its first customer came. */
static int percent_of(cvm_turn *t, const char *campaign, double *ret_percent)
{
    char key[CVM_STATE_KEY_MAX];
    const json_t *kept;
    snprintf(key, sizeof key, "campaign/%.80s", campaign);
    int e = cvm_state_get(t, key, &kept);
    if (e == CVM_OK) {
        *ret_percent = json_number_value(kept);
        return CVM_OK;
    }
    if (e != CVM_ENOENT)
        return e;
    *ret_percent = insight_setting(cvm_settings(t), "control_percent", 5);
    return cvm_state_put(t, key, json_real(*ret_percent));
}

static json_t *group_answer(const char *customer, const char *campaign, const char *side)
{
    return json_pack("{s:s, s:s, s:s}", "customer_id", customer, "campaign", campaign, "group", side);
}

int evaluation_on_found(cvm_turn *t, const cvm_msg *m)
{
    const json_t *row = json_array_get(json_object_get(m->data, "rows"), 0), *with = json_object_get(m->data, "with");
    const char *customer = cvm_json_str(with, "customer_id", ""), *campaign = cvm_json_str(with, "campaign", "");
    char key[INSIGHT_KEY_SIZE], at[INSIGHT_TIME_SIZE];
    double percent = 0;
    if (m->outcome != CVM_REPLIED)
        return settle(t, m->on_behalf, m->outcome, cvm_json_share(m->data));
    if (row)
        return settle(t, m->on_behalf, CVM_REPLIED,
                      group_answer(customer, campaign, cvm_json_str(row, "side", "treated")));
    CVM_TRY(percent_of(t, campaign, &percent));
    const char *side = assign_place(campaign, customer) * 100 < percent ? "control" : "treated";
    if (!insight_key(key, campaign, customer, NULL, NULL))
        return CVM_EINVAL;
    insight_time(cvm_now_ms(t), at);
    json_t *put =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "group_id", key, "campaign", campaign, "customer_id", customer,
                  "treatment_id", cvm_json_str(with, "treatment_id", campaign), "side", side, "at", at);
    CVM_TRY(put ? cvm_row_put(t, GROUPS, put) : CVM_ENOMEM);
    return settle(t, m->on_behalf, CVM_REPLIED, group_answer(customer, campaign, side));
}

/* ---- reports ---- */

static int start_job(cvm_turn *t, const cvm_msg *m, const char *treatment, bool single)
{
    int64_t from, to;
    if (!insight_time_of(m->data, "from", INT64_MIN, &from))
        return cvm_refuse(t, "INVALID", "from", "from must be a date such as 2026-11-01");
    if (!insight_time_of(m->data, "to", INT64_MAX, &to))
        return cvm_refuse(t, "INVALID", "to", "to must be a date such as 2026-11-30");
    json_t *input = json_pack("{s:I, s:I, s:b, s:s?}", "from_ms", (json_int_t)from, "to_ms", (json_int_t)to, "single",
                              single, "treatment_id", treatment);
    CVM_TRY(input ? cvm_job_start(t, "evaluate", input, m->id, 0) : CVM_ENOMEM);
    return CVM_PENDING;
}

int evaluation_on_evaluate(cvm_turn *t, const cvm_msg *m)
{
    CVM_TRY(insight_need(t, m, "treatment_id", TREATMENT_MAX));
    return start_job(t, m, cvm_json_str(m->data, "treatment_id", ""), true);
}

int evaluation_on_report(cvm_turn *t, const cvm_msg *m)
{
    return start_job(t, m, cvm_json_str(m->data, "treatment", NULL), false);
}
