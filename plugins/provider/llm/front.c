/* provider.llm: takes a chat, asks one provider after another until one has answered well, repairs an answer that does
 * not fit its schema once, and hands over to the rules where nobody has. Owns the open chats ("job/<request>"):
 *   data       the request; its messages grow where an answer is repaired
 *   order      providers to ask; first: the one of them that was asked first; provider: who is asked now
 *   tried      those that failed; reason: how the last of them did
 *   began_ms, until_ms, attempt_began_ms; repaired, waited: done once each
 * Loop thread. */
#include "check.h"
#include "llm.h"
#include "price.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define TIMEOUT_MS 60000
#define MARGIN_MS 1500     /* a provider tells of its timeout before we stop waiting for it */
#define RETRY_WAIT_MS 2000 /* the longest that a chat waits for a provider that asked for patience */
#define ATTEMPT_MIN_MS 250 /* with less left nobody is asked any more */

static void job_key(cvm_id request, char key[64])
{
    snprintf(key, 64, "job/%016" PRIx64 "%016" PRIx64, request.hi, request.lo);
}

static int forget(cvm_turn *t, cvm_id request)
{
    char key[64];
    job_key(request, key);
    return cvm_state_del(t, key);
}

/* A copy of the open chat, to be changed; CVM_ENOENT: it is over. */
static int take(cvm_turn *t, cvm_id request, json_t **ret_job)
{
    char key[64];
    const json_t *kept = NULL;
    job_key(request, key);
    CVM_TRY(cvm_state_get(t, key, &kept));
    *ret_job = json_copy((json_t *)(uintptr_t)kept);
    return *ret_job ? CVM_OK : CVM_ENOMEM;
}

static int keep(cvm_turn *t, cvm_id request, json_t *job) /* takes */
{
    char key[64];
    job_key(request, key);
    return cvm_state_put(t, key, job);
}

static void set(json_t *job, const char *member, json_t *value)
{
    json_object_set_new(job, member, value);
}

/* Nobody has answered: the rules do. Takes the job. */
static int give_up(cvm_turn *t, cvm_id request, json_t *job)
{
    const char *reason = cvm_json_str(job, "reason", "");
    int e = cvm_metric(t, "llm_fallbacks_total", cvm_json_str(job, "agent", ""), 1);
    json_t *data = json_pack("{s:s, s:I, s:O}", "reason", *reason ? reason : FAIL_CONFIGURATION, "elapsed_ms",
                             (json_int_t)(cvm_now_ms(t) - cvm_json_int(job, "began_ms", cvm_now_ms(t))), "messages",
                             json_object_get(json_object_get(job, "data"), "messages"));
    json_decref(job);
    if (e >= 0)
        e = forget(t, request);
    if (e < 0) {
        json_decref(data);
        return e;
    }
    e = cvm_forward(t, request, LLM_RULES, "chat", data);
    return e == CVM_ENOENT ? CVM_OK : e < 0 ? e : CVM_PENDING;
}

static bool was_tried(const json_t *job, const char *provider)
{
    const json_t *tried = json_object_get(job, "tried");
    for (size_t i = 0; i < json_array_size(tried); i++)
        if (!strcmp(json_string_value(json_array_get(tried, i)), provider))
            return true;
    return false;
}

/* The next to ask, borrowed from the job; NULL: none. *ret_wait_ms: one of those that are held may be asked then. */
static int choose(cvm_turn *t, const json_t *job, const char **ret_provider, int64_t *ret_wait_ms)
{
    const json_t *order = json_object_get(job, "order");
    *ret_provider = NULL;
    *ret_wait_ms = INT64_MAX;
    for (size_t i = 0; i < json_array_size(order); i++) {
        const char *id = json_string_value(json_array_get(order, i));
        int64_t wait = INT64_MAX;
        bool may = false;
        if (was_tried(job, id) || !strcmp(id, LLM_RULES))
            continue;
        CVM_TRY(health_admit(t, id, &may, &wait));
        if (may) {
            *ret_provider = id;
            return CVM_OK;
        }
        *ret_wait_ms = wait < *ret_wait_ms ? wait : *ret_wait_ms;
    }
    return CVM_OK;
}

/* Asks the job's provider. Takes the job. */
static int ask(cvm_turn *t, cvm_id request, json_t *job)
{
    char provider[CVM_NAME_MAX + 1];
    int64_t budget, left = cvm_json_int(job, "until_ms", 0) - cvm_now_ms(t);
    int e = budget_left(t, cvm_json_str(job, "agent", ""), cvm_json_str(job, "enquiry_id", ""), &budget);
    json_t *data = e < 0 ? NULL : json_copy(json_object_get(job, "data"));
    if (!data) {
        json_decref(job);
        return e < 0 ? e : CVM_ENOMEM;
    }
    snprintf(provider, sizeof provider, "%s", cvm_json_str(job, "provider", ""));
    json_object_set_new(data, "budget_micro", json_integer(budget));
    json_object_set_new(data, "attempt_ms", json_integer(left));
    set(job, "attempt_began_ms", json_integer(cvm_now_ms(t)));
    e = keep(t, request, job);
    if (e < 0) {
        json_decref(data);
        return e;
    }
    CVM_TRY(cvm_request(t, provider, "complete", data,
                        &(cvm_request_opts){.on_behalf = request, .timeout_ms = left + MARGIN_MS}));
    return CVM_PENDING;
}

/* Goes on with the next provider, after a short wait where one asked for it, or with the rules. Takes the job. */
static int advance(cvm_turn *t, cvm_id request, json_t *job)
{
    const char *provider;
    int64_t wait, left = cvm_json_int(job, "until_ms", 0) - cvm_now_ms(t);
    int e = choose(t, job, &provider, &wait);
    if (e < 0) {
        json_decref(job);
        return e;
    }
    if (provider && left >= ATTEMPT_MIN_MS) {
        if (!json_object_get(job, "first"))
            set(job, "first", json_string(provider));
        set(job, "provider", json_string(provider));
        return ask(t, request, job);
    }
    if (!provider && wait <= RETRY_WAIT_MS && wait + ATTEMPT_MIN_MS <= left && !cvm_json_bool(job, "waited", false)) {
        set(job, "waited", json_true());
        CVM_TRY(keep(t, request, job));
        CVM_TRY(cvm_timer(t, "again", wait, NULL, request, NULL));
        return CVM_PENDING;
    }
    return give_up(t, request, job);
}

int front_again(cvm_turn *t, const cvm_msg *m)
{
    json_t *job = NULL;
    int e = take(t, m->on_behalf, &job);
    if (e < 0)
        return e == CVM_ENOENT ? CVM_OK : e;
    e = advance(t, m->on_behalf, job);
    return e < 0 ? e : CVM_OK;
}

int front_chat(cvm_turn *t, const cvm_msg *m)
{
    const char *agent = cvm_json_str(m->data, "agent", m->sender);
    const char *enquiry = *m->enquiry_id ? m->enquiry_id : cvm_json_str(m->data, "enquiry_id", "");
    int64_t now = cvm_now_ms(t), timeout = cvm_json_int(m->data, "timeout_ms", TIMEOUT_MS);
    if (json_dumpb(m->data, NULL, 0, JSON_COMPACT) > LLM_STATE_MAX_BYTES / 2)
        return cvm_refuse(t, "TOO_LARGE", "messages", "The messages are too long for one request.");
    if (m->deadline_ms && m->deadline_ms - now - 2 * MARGIN_MS < timeout)
        timeout = m->deadline_ms - now - 2 * MARGIN_MS;
    json_t *job = json_pack("{s:O, s:o, s:[], s:s, s:s, s:I, s:I}", "data", m->data, "order",
                            order_of(t, m->data, agent), "tried", "agent", agent, "enquiry_id", enquiry, "began_ms",
                            (json_int_t)now, "until_ms", (json_int_t)(now + timeout));
    return job ? advance(t, m->id, job) : CVM_ENOMEM;
}

/* ---- what came back ---- */

/* How a completion failed, "" where it did not; `ret_text` says what of the answer does not fit. */
static const char *failure_of(const cvm_msg *m, const json_t *job, char ret_text[CHECK_TEXT_SIZE])
{
    const json_t *schema = json_object_get(json_object_get(job, "data"), "schema"),
                 *data = json_object_get(m->data, "data"), *calls = json_object_get(m->data, "tool_calls");
    ret_text[0] = 0;
    if (m->outcome != CVM_REPLIED)
        return m->outcome == CVM_TIMEOUT ? FAIL_TIMEOUT : FAIL_DOWN;
    if (!cvm_json_bool(m->data, "ok", false))
        return *cvm_json_str(m->data, "code", "") ? cvm_json_str(m->data, "code", "") : FAIL_DOWN;
    if (!schema || json_array_size(calls))
        return "";
    if (!data) {
        snprintf(ret_text, CHECK_TEXT_SIZE, "the answer: is no JSON");
        return FAIL_SCHEMA;
    }
    return check_value(schema, data, ret_text) ? "" : FAIL_SCHEMA;
}

static int answer(cvm_turn *t, const cvm_msg *m, json_t *job)
{
    static const char *const members[] = {"content", "data", "tool_calls", "usage"};
    const char *provider = cvm_json_str(job, "provider", "");
    json_t *reply =
        json_pack("{s:s, s:s, s:b, s:f, s:I}", "provider", provider, "model", cvm_json_str(m->data, "model", ""),
                  "fallback_used", strcmp(provider, cvm_json_str(job, "first", "")) != 0, "cost_usd",
                  (double)cvm_json_int(m->data, "cost_micro", 0) / (double)MICRO, "duration_ms",
                  (json_int_t)(cvm_now_ms(t) - cvm_json_int(job, "began_ms", 0)));
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        if (json_object_get(m->data, members[i]))
            json_object_set(reply, members[i], json_object_get(m->data, members[i]));
    json_decref(job);
    CVM_TRY(forget(t, m->on_behalf));
    int e = cvm_settle(t, m->on_behalf, CVM_REPLIED, reply, NULL);
    return e == CVM_ENOENT ? CVM_OK : e;
}

/* Shows the model what was wrong and asks once more. Takes the job. */
static int repair(cvm_turn *t, const cvm_msg *m, json_t *job, const char *text)
{
    json_t *data = json_copy(json_object_get(job, "data")), *given = json_object_get(m->data, "data");
    json_t *messages = json_copy(json_object_get(data, "messages"));
    char *dumped = given ? json_dumps(given, JSON_COMPACT) : NULL;
    json_array_append_new(messages, json_pack("{s:s, s:s}", "role", "assistant", "content",
                                              dumped ? dumped : cvm_json_str(m->data, "content", "")));
    json_array_append_new(messages, json_pack("{s:s, s:o}", "role", "user", "content",
                                              json_sprintf("That does not fit the schema. %s. Answer again, with the "
                                                           "JSON alone.",
                                                           text)));
    free(dumped);
    json_object_set_new(data, "messages", messages);
    set(job, "data", data);
    set(job, "repaired", json_true());
    if (json_dumpb(job, NULL, 0, JSON_COMPACT) > LLM_STATE_MAX_BYTES)
        return give_up(t, m->on_behalf, job);
    return ask(t, m->on_behalf, job);
}

/* The next provider; one that asked for patience may be asked again after a wait. Takes the job. */
static int next(cvm_turn *t, const cvm_msg *m, json_t *job, const char *failure)
{
    if (strcmp(failure, FAIL_RATE) != 0 || cvm_json_bool(job, "waited", false)) {
        json_t *tried = json_copy(json_object_get(job, "tried"));
        json_array_append_new(tried, json_string(cvm_json_str(job, "provider", "")));
        set(job, "tried", tried);
    }
    set(job, "reason", json_string(failure));
    return advance(t, m->on_behalf, job);
}

int front_completed(cvm_turn *t, const cvm_msg *m)
{
    char text[CHECK_TEXT_SIZE];
    json_t *job = NULL;
    int e = take(t, m->on_behalf, &job);
    if (e < 0)
        return e == CVM_ENOENT ? CVM_OK : e;
    const char *failure = failure_of(m, job, text), *provider = cvm_json_str(job, "provider", "");
    bool asked = strcmp(failure, FAIL_CONFIGURATION) != 0 && strcmp(failure, FAIL_BUDGET) != 0;
    if (asked)
        e = calls_record(t, m, job, m->data, *failure ? failure : "ok");
    if (asked && e >= 0)
        e = health_tell(t, provider, failure, cvm_json_int(m->data, "retry_ms", 0));
    if (e >= 0)
        e = health_set_up(t, provider,
                          strcmp(failure, FAIL_CONFIGURATION) ? NULL : cvm_json_str(m->data, "message", failure));
    if (e < 0) {
        json_decref(job);
        return e;
    }
    if (!*failure)
        return answer(t, m, job);
    bool once = !strcmp(failure, FAIL_SCHEMA) && !cvm_json_bool(job, "repaired", false) &&
                cvm_json_int(job, "until_ms", 0) - cvm_now_ms(t) >= ATTEMPT_MIN_MS;
    e = once ? repair(t, m, job, text) : next(t, m, job, failure);
    return e < 0 ? e : CVM_OK;
}
