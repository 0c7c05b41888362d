/* One customer: data, journey, permissions, recommendation, allocation, application, in this order; where no unit can
 * be had, another treatment. A machine of steps, each a message sent and its answer; what it waits with is kept under
 * the request. `given` in it: the treatment was named by who asks, so that nothing is recommended. Loop thread. */
#include "process.h"
#include "value.h"
#include "words.h"

#include <stdio.h>
#include <stdlib.h>

#define STEP_TIMEOUT_MS 30000
#define RECOMMEND_TIMEOUT_MS 200000 /* a model may be asked twice */

json_t *failure_body(const char *customer_id, const char *code, const char *message)
{
    return json_pack("{s:s, s:n, s:s, s:s, s:s, s:s}", "customer_id", customer_id, "selected_treatment", "explanation",
                     message, "status", "error", "code", code, "message", message);
}

static bool fits(const json_t *work)
{
    return json_dumpb(work, NULL, 0, JSON_COMPACT) <= CVM_STATE_VALUE_MAX_BYTES;
}

/* Where very many treatments were considered, or a customer has very many attributes, what is not needed any more
 * goes. */
int process_keep(cvm_turn *t, cvm_id request, json_t *work)
{
    static const char *const spare[] = {"considered", "attributes", "insights"};
    for (size_t i = 0; i < sizeof spare / sizeof *spare && !fits(work); i++) {
        const char *in = i == 0 ? "answer" : "journey";
        json_t *part = json_copy(json_object_get(work, in)), *facts;
        if (i == 1) { /* of the facts */
            facts = json_copy(json_object_get(part, "facts"));
            json_object_del(facts, spare[i]);
            json_object_set_new(part, "facts", facts);
        } else {
            json_object_del(part, spare[i]);
        }
        json_object_set_new(work, in, part);
    }
    if (!fits(work))
        return process_fail(t, request, work, "LIMIT", "What is known of this customer is more than can be kept.");
    return pending_put(t, request, work);
}

int process_work(cvm_turn *t, cvm_id request, json_t **ret_work)
{
    json_t *kept = NULL;
    CVM_TRY(pending_take(t, request, &kept));
    *ret_work = json_copy(kept); /* what is kept is frozen */
    json_decref(kept);
    return *ret_work ? CVM_OK : CVM_ENOMEM;
}

int process_take(cvm_turn *t, const cvm_msg *m, json_t **ret_work)
{
    return process_work(t, m->on_behalf, ret_work);
}

int process_ask(cvm_turn *t, cvm_id request, json_t *work, const char *to, const char *type, json_t *data)
{
    bool model = strcmp(to, TREATMENT) == 0;
    int e = cvm_request(t, to, type, data,
                        &(cvm_request_opts){.on_behalf = request,
                                            .customer_id = cvm_json_str(work, "customer_id", ""),
                                            .timeout_ms = model ? RECOMMEND_TIMEOUT_MS : STEP_TIMEOUT_MS});
    if (e < 0) {
        json_decref(work);
        return e;
    }
    return process_keep(t, request, work);
}

/* Ends with a failure that is the customer's result. Takes `work`. */
int process_fail(cvm_turn *t, cvm_id request, json_t *work, const char *code, const char *message)
{
    json_t *body = failure_body(cvm_json_str(work, "customer_id", ""), code, message);
    const char *given = cvm_json_str(work, "given", NULL);
    if (body && given)
        json_object_set_new(body, "treatment_id", json_string(given));
    int64_t started = cvm_json_int(work, "started_ms", cvm_now_ms(t));
    bool own = json_object_get(work, "batch") != NULL;
    json_decref(work);
    if (!body)
        return CVM_ENOMEM;
    json_object_set_new(body, "allocated", json_false());
    json_object_set_new(body, "duration_ms", json_integer((json_int_t)(cvm_now_ms(t) - started)));
    int e = cvm_settle(t, request, CVM_REFUSED, body, NULL);
    if (e < 0 && e != CVM_ENOENT) /* ENOENT: its deadline has passed */
        return e;
    return own ? cvm_end(t) : CVM_OK; /* a customer of a batch has a conversation of his own */
}

/* The sentence of an answer that is none. */
const char *process_trouble(const cvm_msg *m, const char *otherwise)
{
    const char *said = cvm_json_str(m->data, "message", NULL);
    if (said && *said)
        return said;
    return m->outcome == CVM_TIMEOUT ? "There was no answer in time."
           : m->outcome == CVM_BUSY  ? "The component is busy or not loaded."
                                     : otherwise;
}

/* ---- data, journey, permissions ---- */

static int begin(cvm_turn *t, const cvm_msg *m, const char *treatment)
{
    json_t *work =
        json_pack("{s:s, s:s, s:s*, s:I, s:[], s:{}, s:o}", "conversation", m->conversation, "customer_id",
                  cvm_json_str(m->data, "customer_id", ""), "given", treatment, "started_ms", (json_int_t)cvm_now_ms(t),
                  "tried", "unavailable", "text",
                  json_object_get(m->data, "text") ? cvm_json_share(json_object_get(m->data, "text")) : json_null());
    json_t *data = json_pack("{s:s}", "customer_id", cvm_json_str(m->data, "customer_id", ""));
    if (work && json_object_get(m->data, "batch") && strcmp(m->sender, ORCHESTRATOR) == 0) /* nobody else has one */
        json_object_set_new(work, "batch", cvm_json_share(json_object_get(m->data, "batch")));
    if (!work || !data) {
        json_decref(work);
        json_decref(data);
        return CVM_ENOMEM;
    }
    CVM_TRY(process_ask(t, m->id, work, DATA, "get_customer_data", data));
    return CVM_PENDING;
}

int process_customer(cvm_turn *t, const cvm_msg *m)
{
    return begin(t, m, cvm_json_str(m->data, "treatment_id", NULL));
}

int process_with_treatment(cvm_turn *t, const cvm_msg *m)
{
    return begin(t, m, cvm_json_str(m->data, "treatment_id", ""));
}

int process_data(cvm_turn *t, const cvm_msg *m)
{
    json_t *work = NULL;
    int e = process_take(t, m, &work);
    if (e < 0)
        return e == CVM_ENOENT ? CVM_OK : e;
    const json_t *data = json_object_get(m->data, "customer_data"), *warnings = json_object_get(m->data, "warnings");
    if (m->outcome != CVM_REPLIED || !json_is_object(data)) {
        const char *code = cvm_json_str(m->data, "code", "DATA");
        return process_fail(t, m->on_behalf, work, code, process_trouble(m, "The customer's data could not be read."));
    }
    if (json_array_size(warnings))
        json_object_set_new(work, "data_warnings", cvm_json_share(warnings));
    return process_ask(
        t, m->on_behalf, work, JOURNEY, "build_journey",
        json_pack("{s:s, s:O}", "customer_id", cvm_json_str(work, "customer_id", ""), "customer_data", data));
}

int process_journey(cvm_turn *t, const cvm_msg *m)
{
    json_t *work = NULL;
    int e = process_take(t, m, &work);
    if (e < 0)
        return e == CVM_ENOENT ? CVM_OK : e;
    const json_t *journey = json_object_get(m->data, "journey");
    if (m->outcome != CVM_REPLIED || !json_is_object(journey))
        return process_fail(t, m->on_behalf, work, "JOURNEY", process_trouble(m, "The journey could not be built."));
    json_object_set_new(work, "journey", work_journey(journey));
    return process_ask(t, m->on_behalf, work, PERMISSIONS, "get_records",
                       json_pack("{s:s}", "customer_id", cvm_json_str(work, "customer_id", "")));
}

/* {"records": [{..}]} or the permissions themselves; those of the data where the source does not answer. */
static const json_t *permissions_of(const cvm_msg *m, const json_t *work)
{
    const json_t *journey = json_object_get(work, "journey"), *records = json_object_get(m->data, "records");
    const json_t *one = json_is_array(records) ? json_array_get(records, 0) : records;
    if (m->outcome == CVM_REPLIED && json_is_object(one))
        return one;
    return m->outcome == CVM_REPLIED && json_is_array(records) ? NULL : json_object_get(journey, "permissions");
}

int process_permitted(cvm_turn *t, const cvm_msg *m)
{
    json_t *work = NULL;
    int e = process_take(t, m, &work);
    if (e < 0)
        return e == CVM_ENOENT ? CVM_OK : e;
    const json_t *permissions = permissions_of(m, work);
    json_object_set_new(work, "permissions", permissions ? cvm_json_share(permissions) : json_object());
    return process_ask(t, m->on_behalf, work, TREATMENTS, "list", NULL);
}

/* ---- recommendation ---- */

/* The record of a treatment in the answer to `list`. */
static const json_t *record_of(const json_t *list, const char *id)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (strcmp(cvm_json_str(json_array_get(list, i), "id", ""), id) == 0)
            return json_array_get(list, i);
    return NULL;
}

/* The named treatment: it must exist, be enabled and permitted; nothing bypasses a permission. Takes `work`. */
static int use_given(cvm_turn *t, cvm_id request, json_t *work, const json_t *list)
{
    const char *id = cvm_json_str(work, "given", "");
    json_t *only = json_array();
    const json_t *record = record_of(list, id);
    struct problem *p = NULL;
    char why[256], name[121], rule[DECIDE_RULE_SIZE];
    const char *said = NULL;
    if (!record) {
        json_decref(only);
        words_cut(id, name, sizeof name);
        snprintf(why, sizeof why, "There is no treatment %s.", name);
        return process_fail(t, request, work, "NOT_FOUND", why);
    }
    json_array_append(only, (json_t *)(uintptr_t)record);
    struct problem_given given = {.journey = json_object_get(work, "journey"),
                                  .treatments = only,
                                  .permissions = json_object_get(work, "permissions")};
    int e = problem_make(&given, &p, why, sizeof why);
    json_decref(only);
    if (e < 0)
        return process_fail(t, request, work, "INVALID", why);
    size_t at = problem_find(p, id);
    p->p.options[at].rules_waived = true; /* the operator has chosen; rules are for recommendations */
    p->p.options[at].o.segments = NULL;
    p->p.options[at].remaining = OPTION_UNLIMITED; /* the allocation says what is left */
    bool may = decide_candidate(&p->p, at, rule, &said);
    if (!may)
        snprintf(why, sizeof why, "%.80s cannot be applied to this customer: %s (%s)", id,
                 said ? said : "a rule forbids it.", rule);
    problem_free(p);
    if (!may)
        return process_fail(t, request, work, strcmp(rule, "disabled") == 0 ? "DISABLED" : "NOT_PERMITTED", why);
    words_cut(cvm_json_str(record, "display_name", id), name, sizeof name);
    snprintf(why, sizeof why, "%s was named by who asked; it is enabled and the customer permits it.", name);
    json_object_set_new(work, "answer",
                        json_pack("{s:s, s:s, s:O, s:s}", "selected_treatment", id, "explanation", why, "treatment",
                                  record, "method", "given"));
    return process_take_unit(t, request, work);
}

int process_listed(cvm_turn *t, const cvm_msg *m)
{
    json_t *work = NULL;
    int e = process_take(t, m, &work);
    if (e < 0)
        return e == CVM_ENOENT ? CVM_OK : e;
    const json_t *list = json_object_get(m->data, "treatments");
    if (m->outcome != CVM_REPLIED || !list)
        return process_fail(t, m->on_behalf, work, "TREATMENTS",
                            process_trouble(m, "The treatments could not be listed."));
    if (json_object_get(work, "given"))
        return use_given(t, m->on_behalf, work, list);
    /* They go along by reference in one message; kept they need not be: an alternative looks at them afresh. */
    json_t *tried = json_object_get(work, "tried");
    size_t n = json_array_size(tried);
    json_t *data = json_pack("{s:O, s:O, s:O, s:O}", "journey", json_object_get(work, "journey"), "treatments", list,
                             "permissions", json_object_get(work, "permissions"), "unavailable",
                             json_object_get(work, "unavailable"));
    if (data && n) {
        json_object_set(data, "excluded_treatments", tried);
        json_object_set(data, "excluded_treatment", json_array_get(tried, n - 1));
    }
    return process_ask(t, m->on_behalf, work, TREATMENT, n ? "find_alternative_treatment" : "recommend_treatment",
                       data);
}

/* Everything suitable was used up: left alone, and the reason said. Takes `work`. */
static int give_up(cvm_turn *t, cvm_id request, json_t *work)
{
    char text[EXPLANATION_SIZE];
    const json_t *tried = json_object_get(work, "tried");
    int n = snprintf(text, sizeof text, "Every suitable treatment was used up (");
    for (size_t i = 0; i < json_array_size(tried) && (size_t)n + 90 < sizeof text; i++)
        n += snprintf(text + n, sizeof text - (size_t)n, "%s%.80s", i ? ", " : "",
                      json_string_value(json_array_get(tried, i)));
    snprintf(text + n, sizeof text - (size_t)n, "), so the customer is left alone today.");
    json_t *answer = json_copy(json_object_get(work, "answer"));
    json_object_set_new(answer, "selected_treatment", json_string(OPTION_IGNORE));
    json_object_set_new(answer, "treatment_name", json_string("No treatment"));
    json_object_set_new(answer, "explanation", json_string(text));
    json_object_del(answer, "treatment");
    json_object_del(answer, "change");
    json_object_set_new(work, "answer", answer);
    return process_finish(t, request, work, NULL);
}

int process_recommended(cvm_turn *t, const cvm_msg *m)
{
    json_t *work = NULL;
    int e = process_take(t, m, &work);
    if (e < 0)
        return e == CVM_ENOENT ? CVM_OK : e;
    const char *id = cvm_json_str(m->data, "selected_treatment", NULL);
    if (m->outcome != CVM_REPLIED || !id) {
        if (json_array_size(json_object_get(work, "tried")))
            return give_up(t, m->on_behalf, work);
        return process_fail(t, m->on_behalf, work, "RECOMMENDATION",
                            process_trouble(m, "No treatment could be recommended."));
    }
    if (strcmp(id, OPTION_IGNORE) == 0 && json_array_size(json_object_get(work, "tried")))
        return give_up(t, m->on_behalf, work);
    json_object_set_new(work, "answer", cvm_json_share(m->data));
    if (strcmp(id, OPTION_IGNORE) == 0)
        return process_finish(t, m->on_behalf, work, NULL);
    return process_take_unit(t, m->on_behalf, work);
}

/* ---- allocation ---- */

int process_allocate(cvm_turn *t, cvm_id request, json_t *work, const char *conversation)
{
    const json_t *answer = json_object_get(work, "answer"),
                 *facts = json_object_get(json_object_get(work, "journey"), "facts");
    const char *customer = cvm_json_str(work, "customer_id", "");
    json_t *asked = json_pack("{s:s, s:s, s:s}", "treatment_key", cvm_json_str(answer, "selected_treatment", ""),
                              "customer_id", customer, "requested_by", ORCHESTRATOR);
    if (json_is_number(json_object_get(facts, "monthly_spend"))) /* an unknown one counts against nobody */
        json_object_set_new(asked, "customer_value", json_real((double)cvm_json_int(facts, "monthly_spend", 0) / 100));
    int e = cvm_request(t, ALLOCATION, "allocate_resource", asked,
                        &(cvm_request_opts){.on_behalf = request,
                                            .conversation = conversation,
                                            .customer_id = customer,
                                            .timeout_ms = STEP_TIMEOUT_MS});
    if (e < 0) {
        json_decref(work);
        return e;
    }
    return process_keep(t, request, work);
}

int process_take_unit(cvm_turn *t, cvm_id request, json_t *work)
{
    bool open = true;
    if (strcmp(cvm_json_str(json_object_get(work, "answer"), "selected_treatment", ""), OPTION_IGNORE) == 0)
        return process_finish(t, request, work, NULL);
    int e = gate_enter(t, request, work, &open);
    if (e < 0) {
        json_decref(work);
        return e;
    }
    return open ? process_allocate(t, request, work, NULL) : process_keep(t, request, work);
}

int process_another(cvm_turn *t, cvm_id request, json_t *work, const char *message)
{
    const char *id = cvm_json_str(json_object_get(work, "answer"), "selected_treatment", "");
    if (json_object_get(work, "given"))
        return process_fail(t, request, work, "NOT_AVAILABLE", message);
    json_t *tried = json_copy(json_object_get(work, "tried")),
           *unavailable = json_copy(json_object_get(work, "unavailable"));
    json_array_append_new(tried, json_string(id));
    json_object_set_new(unavailable, id, json_string(message));
    json_object_set_new(work, "tried", tried);
    json_object_set_new(work, "unavailable", unavailable);
    if ((int64_t)json_array_size(tried) > cvm_json_int(cvm_settings(t), "max_alternatives", 3))
        return give_up(t, request, work);
    return process_ask(t, request, work, TREATMENTS, "list", NULL);
}

int process_allocated(cvm_turn *t, const cvm_msg *m)
{
    json_t *work = NULL;
    int e = process_take(t, m, &work);
    if (e < 0)
        return e == CVM_ENOENT ? CVM_OK : e;
    if (m->outcome != CVM_REPLIED || !cvm_json_bool(m->data, "allocated", false))
        return process_another(t, m->on_behalf, work, process_trouble(m, "No unit is left today."));
    const json_t *unit = json_object_get(m->data, "allocation_id");
    json_object_set_new(work, "allocation_id", unit ? cvm_json_share(unit) : json_null());
    return process_unit(t, m->on_behalf, work);
}
