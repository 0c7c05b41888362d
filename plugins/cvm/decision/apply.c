/* A unit is had: whoever is of the control group gives it back; else the treatment's component applies it, the
 * application is written down, and the result goes out. Where applying failed the unit goes back. Owns the tables
 * cvm_applications and cvm_choices. Loop thread. */
#include "moment.h"
#include "process.h"

#include <stdio.h>

#define APPLICATION_CONTROL "control" /* the status of one that was withheld */
#define ASSIGN_TIMEOUT_MS 30000

static int apply(cvm_turn *t, cvm_id request, json_t *work)
{
    char id[CVM_SHORT_ID_SIZE];
    const json_t *answer = json_object_get(work, "answer"), *record = json_object_get(answer, "treatment");
    const char *treatment = cvm_json_str(answer, "selected_treatment", "");
    const char *component = cvm_json_str(record, "component", TREATMENTS);
    const char *text = cvm_json_str(work, "text", NULL);
    int e = cvm_new_id(t, "APP", id);
    if (e < 0) {
        json_decref(work);
        return e;
    }
    json_object_set_new(work, "application_id", json_string(id));
    return process_ask(t, request, work, component, "apply",
                       json_pack("{s:s, s:s, s:s, s:s*, s:s*}", "treatment_id", treatment, "customer_id",
                                 cvm_json_str(work, "customer_id", ""), "application_id", id, "text", text,
                                 "allocation_id", cvm_json_str(work, "allocation_id", NULL)));
}

static int put_application(cvm_turn *t, const json_t *work, const char *status)
{
    char at[MOMENT_SIZE];
    const json_t *answer = json_object_get(work, "answer");
    const json_t *limits = json_object_get(json_object_get(answer, "treatment"), "constraints");
    bool control = strcmp(status, APPLICATION_CONTROL) == 0;
    return cvm_row_put(t, APPLICATIONS,
                       json_pack("{s:s, s:s, s:s, s:s, s:s, s:f, s:s}", "application_id",
                                 cvm_json_str(work, "application_id", ""), "customer_id",
                                 cvm_json_str(work, "customer_id", ""), "treatment_id",
                                 cvm_json_str(answer, "selected_treatment", ""), "at", moment_text(cvm_now_ms(t), at),
                                 "status", status, "cost_pounds",
                                 control ? 0 : json_number_value(json_object_get(limits, "cost_per_contact_pounds")),
                                 "by", cvm_json_str(answer, "method", "rules")));
}

static int give_back(cvm_turn *t, cvm_id request, json_t *work, const char *reason)
{
    return process_ask(t, request, work, ALLOCATION, "release_resource",
                       json_pack("{s:s, s:s, s:s, s:s, s:s*}", "treatment_key",
                                 cvm_json_str(json_object_get(work, "answer"), "selected_treatment", ""), "customer_id",
                                 cvm_json_str(work, "customer_id", ""), "requested_by", ORCHESTRATOR, "reason", reason,
                                 "allocation_id", cvm_json_str(work, "allocation_id", NULL)));
}

int process_applied(cvm_turn *t, const cvm_msg *m)
{
    json_t *work = NULL;
    int e = process_take(t, m, &work);
    if (e < 0)
        return e == CVM_ENOENT ? CVM_OK : e;
    /* No answer in time: it may have reached the customer, so the unit stays with him. */
    bool unknown = m->outcome == CVM_TIMEOUT || m->outcome == CVM_UNKNOWN;
    const char *status = m->outcome == CVM_REPLIED ? cvm_json_str(m->data, "status", "sent")
                         : unknown                 ? "unknown"
                                                   : "failed";
    if ((e = put_application(t, work, status)) < 0) {
        json_decref(work);
        return e;
    }
    if (strcmp(status, "failed") != 0)
        return process_finish(t, m->on_behalf, work, status);
    json_object_set_new(work, "trouble", json_string(process_trouble(m, "The treatment could not be applied.")));
    return give_back(t, m->on_behalf, work, "not applied");
}

/* ---- the control group ---- */

/* The unit is his: the next one of the batch may ask for one. */
static int treat(cvm_turn *t, cvm_id request, json_t *work)
{
    const json_t *batch = json_object_get(work, "batch");
    int e = gate_pass(t, cvm_json_str(batch, "id", ""), cvm_json_int(batch, "rank", 0));
    if (e < 0) {
        json_decref(work);
        return e;
    }
    return apply(t, request, work);
}

int process_unit(cvm_turn *t, cvm_id request, json_t *work)
{
    const char *campaign = cvm_json_str(json_object_get(work, "batch"), "campaign", NULL);
    const char *customer = cvm_json_str(work, "customer_id", "");
    if (!campaign)
        return treat(t, request, work);
    int e = cvm_request(
        t, EVALUATION, "assign",
        json_pack("{s:s, s:s, s:s}", "customer_id", customer, "campaign", campaign, "treatment_id",
                  cvm_json_str(json_object_get(work, "answer"), "selected_treatment", "")),
        &(cvm_request_opts){.on_behalf = request, .customer_id = customer, .timeout_ms = ASSIGN_TIMEOUT_MS});
    if (e == CVM_ENOENT) /* nobody evaluates: nobody is left without */
        return treat(t, request, work);
    if (e < 0) {
        json_decref(work);
        return e;
    }
    return process_keep(t, request, work);
}

int process_assigned(cvm_turn *t, const cvm_msg *m)
{
    json_t *work = NULL;
    int e = process_take(t, m, &work);
    if (e < 0)
        return e == CVM_ENOENT ? CVM_OK : e;
    if (m->outcome != CVM_REPLIED || strcmp(cvm_json_str(m->data, "group", ""), "control") != 0)
        return treat(t, m->on_behalf, work);
    json_object_set_new(work, "control", json_true());
    return give_back(t, m->on_behalf, work, "control group");
}

/* Left without, and marked so: the result is that of a customer who is left alone. Takes `work`. */
static int leave(cvm_turn *t, cvm_id request, json_t *work)
{
    char id[CVM_SHORT_ID_SIZE];
    json_t *answer = json_copy(json_object_get(work, "answer"));
    int e = cvm_new_id(t, "APP", id);
    if (e >= 0) {
        json_object_set_new(work, "application_id", json_string(id));
        e = put_application(t, work, APPLICATION_CONTROL);
    }
    if (e < 0) {
        json_decref(answer);
        json_decref(work);
        return e;
    }
    json_object_set_new(answer, "selected_treatment", json_string(OPTION_IGNORE));
    json_object_set_new(answer, "treatment_name", json_string("No treatment"));
    json_object_set_new(answer, "explanation",
                        json_string("The customer is of the control group, which is left without this treatment to "
                                    "tell what it does."));
    json_object_set_new(work, "answer", answer);
    return process_finish(t, request, work, APPLICATION_CONTROL);
}

/* ---- the end ---- */

int process_released(cvm_turn *t, const cvm_msg *m)
{
    json_t *work = NULL;
    char text[400];
    int e = process_take(t, m, &work);
    if (e < 0)
        return e == CVM_ENOENT ? CVM_OK : e;
    if (cvm_json_bool(work, "control", false))
        return leave(t, m->on_behalf, work);
    snprintf(text, sizeof text, "Applying failed: %.300s", cvm_json_str(work, "trouble", ""));
    if (json_object_get(work, "given"))
        return process_fail(t, m->on_behalf, work, "NOT_APPLIED", text);
    return process_another(t, m->on_behalf, work, text);
}

static int put_choice(cvm_turn *t, const json_t *work, const char *conversation)
{
    char id[CVM_SHORT_ID_SIZE], at[MOMENT_SIZE];
    const json_t *answer = json_object_get(work, "answer"), *change = json_object_get(answer, "change");
    const json_t *value = json_object_get(answer, "value_pounds"), *considered = json_object_get(answer, "considered");
    CVM_TRY(cvm_new_id(t, "CHO", id));
    return cvm_row_put(
        t, CHOICES,
        json_pack("{s:s, s:s, s:s, s:s, s:I, s:s, s:s, s:s*, s:O*, s:O, s:O*, s:O, s:O, s:s, s:s*}", "choice_id", id,
                  "customer_id", cvm_json_str(work, "customer_id", ""), "treatment_id",
                  cvm_json_str(answer, "selected_treatment", ""), "at", moment_text(cvm_now_ms(t), at), "at_ms",
                  (json_int_t)cvm_now_ms(t), "explanation", cvm_json_str(answer, "explanation", ""), "method",
                  cvm_json_str(answer, "method", "rules"), "runner_up", cvm_json_str(answer, "runner_up", NULL),
                  "value_pounds", value, "considered", considered ? considered : json_object_get(work, "tried"),
                  "change", json_is_object(change) ? change : NULL, "alternatives_tried",
                  json_object_get(work, "tried"), "unavailable", json_object_get(work, "unavailable"), "conversation",
                  conversation, "model", cvm_json_str(answer, "model", NULL)));
}

/* The result as people and programs get it: what the field list of process_customer has, then the rest. */
static json_t *result_of(cvm_turn *t, const json_t *work, const char *applied)
{
    const json_t *answer = json_object_get(work, "answer");
    static const char *const passed[] = {"treatment_name", "confidence", "value_pounds",       "method",
                                         "model",          "runner_up",  "permissions_applied"};
    json_t *r = json_pack("{s:s, s:s, s:s, s:s, s:b, s:O}", "customer_id", cvm_json_str(work, "customer_id", ""),
                          "selected_treatment", cvm_json_str(answer, "selected_treatment", ""), "explanation",
                          cvm_json_str(answer, "explanation", ""), "status", "success", "allocated",
                          applied && strcmp(applied, APPLICATION_CONTROL) != 0, "alternatives_tried",
                          json_object_get(work, "tried"));
    for (size_t i = 0; r && i < sizeof passed / sizeof *passed; i++)
        if (json_object_get(answer, passed[i]))
            json_object_set(r, passed[i], json_object_get(answer, passed[i]));
    if (!r)
        return NULL;
    if (json_object_get(work, "given"))
        json_object_set(r, "treatment_id", json_object_get(work, "given"));
    if (json_object_get(work, "data_warnings"))
        json_object_set(r, "data_warnings", json_object_get(work, "data_warnings"));
    if (applied) {
        json_object_set_new(r, "application", json_string(applied));
        json_object_set(r, "application_id", json_object_get(work, "application_id"));
    }
    json_object_set_new(r, "duration_ms",
                        json_integer((json_int_t)(cvm_now_ms(t) - cvm_json_int(work, "started_ms", cvm_now_ms(t)))));
    return r;
}

int process_finish(cvm_turn *t, cvm_id request, json_t *work, const char *applied)
{
    json_t *result = NULL;
    int e = 0;
    if (!json_object_get(work, "given"))
        e = put_choice(t, work, cvm_json_str(work, "conversation", ""));
    if (e >= 0 && (result = result_of(t, work, applied)))
        e = cvm_settle(t, request, CVM_REPLIED, result, NULL);
    else if (e >= 0)
        e = CVM_ENOMEM;
    if (e == CVM_ENOENT) /* its deadline has passed: what was done is done */
        e = CVM_OK;
    if (e >= 0 && json_object_get(work, "batch")) /* a customer of a batch has a conversation of his own */
        e = cvm_end(t);
    json_decref(work);
    return e;
}
