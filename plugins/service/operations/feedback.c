/* FeedbackAgent: asks customers how it was, takes ratings, reads what they feel. Owns the state keys asked/<customer>
 * -> {at_ms, enquiry_id} of the last question. The rating itself stands with the enquiry, which the desk owns. Loop
 * thread. */
#include "operations.h"

static int64_t hours_ms(cvm_turn *t, const char *name, int64_t otherwise)
{
    return cvm_json_int(cvm_settings(t), name, otherwise) * 3600000;
}

static void asked_key(const char *customer, char ret_key[CVM_STATE_KEY_MAX + 1])
{
    snprintf(ret_key, CVM_STATE_KEY_MAX + 1, "asked/%.100s", customer);
}

/* ---- the question --------------------------------------------------------------------------------------------------
 */

static int ask(cvm_turn *t, const char *customer, const char *enquiry, const char *channel, const char *phone,
               const char *email)
{
    char key[CVM_STATE_KEY_MAX + 1], text[300];
    asked_key(customer, key);
    CVM_TRY(cvm_state_put(t, key, json_pack("{s:I, s:s}", "at_ms", (json_int_t)cvm_now_ms(t), "enquiry_id", enquiry)));
    snprintf(text, sizeof text,
             "How did we do with %s? Reply with a number from 1 (bad) to 5 (very good), and a word or two if you like.",
             enquiry);
    return cvm_send(t, NOTIFICATION, "notify",
                    json_pack("{s:s, s:s, s:s, s:s, s:s, s:s*, s:s*, s:s*}", "template", "rating_request", "subject",
                              "How did we do?", "text", text, "customer_id", customer, "enquiry_id", enquiry, "channel",
                              *channel ? channel : NULL, "phone", *phone ? phone : NULL, "email",
                              *email ? email : NULL));
}

int feedback_request(cvm_turn *t, const cvm_msg *m)
{
    CVM_TRY(ask(t, cvm_json_str(m->data, "customer_id", ""), cvm_json_str(m->data, "enquiry_id", ""),
                cvm_json_str(m->data, "channel", ""), "", ""));
    return cvm_reply(t, m, json_pack("{s:b, s:O?}", "asked", 1, "enquiry_id", json_object_get(m->data, "enquiry_id")));
}

static bool worth_asking(const json_t *closed)
{
    const char *reason = cvm_json_str(closed, "reason", "");
    return !strcmp(cvm_json_str(closed, "status", ""), "RESOLVED") &&
           (!strcmp(reason, "sold") || !strcmp(reason, "answered"));
}

/* A customer is asked once in a while, not after each message. */
int feedback_closed(cvm_turn *t, const cvm_msg *m)
{
    const json_t *context = cvm_context(t), *last = NULL;
    const char *customer = cvm_json_str(m->data, "customer_id", "");
    char key[CVM_STATE_KEY_MAX + 1];
    int64_t every_ms = hours_ms(t, "ask_every_hours", 24);
    if (!*customer || every_ms < 0 || !worth_asking(m->data))
        return heard(t, m);
    asked_key(customer, key);
    int e = cvm_state_get(t, key, &last);
    if (e < 0 && e != CVM_ENOENT)
        return e;
    if (e == CVM_OK && cvm_now_ms(t) - cvm_json_int(last, "at_ms", 0) < every_ms)
        return heard(t, m);
    CVM_TRY(ask(t, customer, cvm_json_str(m->data, "enquiry_id", ""), cvm_json_str(m->data, "channel", "SMS"),
                cvm_json_str(context, "customer_phone", ""), cvm_json_str(context, "customer_email", "")));
    return heard(t, m);
}

/* ---- the rating ----------------------------------------------------------------------------------------------------
 */

/* The desk writes it: only an enquiry of this customer, once. */
int feedback_record(cvm_turn *t, const cvm_msg *m)
{
    const json_t *rating = json_object_get(m->data, "rating");
    json_int_t n = json_integer_value(rating);
    if (!json_is_integer(rating) || n < 1 || n > 5)
        return cvm_refuse(t, "INVALID", "rating", "The rating must be a whole number from 1 to 5.");
    CVM_TRY(cvm_request(t, DESK, "rate_enquiry", cvm_json_share(m->data), &(cvm_request_opts){.on_behalf = m->id}));
    return CVM_PENDING;
}

/* A number that a customer sent: about the enquiry they were last asked of, if they were. */
int feedback_last(cvm_turn *t, const cvm_msg *m)
{
    const json_t *last = NULL;
    char key[CVM_STATE_KEY_MAX + 1];
    asked_key(cvm_json_str(m->data, "customer_id", ""), key);
    int e = cvm_state_get(t, key, &last);
    if (e < 0 && e != CVM_ENOENT)
        return e;
    if (!last || cvm_now_ms(t) - cvm_json_int(last, "at_ms", 0) > hours_ms(t, "answer_within_hours", 48))
        return cvm_refuse(t, "NOT_ASKED", "customer_id", "The customer was not asked.");
    json_t *data = json_copy((json_t *)(uintptr_t)m->data);
    json_object_set(data, "enquiry_id", json_object_get(last, "enquiry_id"));
    CVM_TRY(cvm_request(t, DESK, "rate_enquiry", data, &(cvm_request_opts){.on_behalf = m->id}));
    return CVM_PENDING;
}

int feedback_recorded(cvm_turn *t, const cvm_msg *m)
{
    const char *enquiry = cvm_json_str(m->data, "enquiry_id", ""), *feeling = cvm_json_str(m->data, "sentiment", "");
    int64_t rating = cvm_json_int(m->data, "rating", 0);
    char stars[24];
    if (m->outcome != CVM_REPLIED)
        return ops_pass(t, m);
    snprintf(stars, sizeof stars, "%lld", (long long)rating);
    json_t *body =
        json_pack("{s:s, s:I, s:s}", "enquiry_id", enquiry, "rating", (json_int_t)rating, "sentiment", feeling);
    CVM_TRY(cvm_metric(t, "ratings_total", stars, 1));
    CVM_TRY(cvm_publish(t, "enquiry.rated", json_copy(body)));
    int e = cvm_settle(t, m->on_behalf, CVM_REPLIED, body, NULL);
    return e == CVM_ENOENT ? CVM_OK : e;
}

int feedback_sentiment(cvm_turn *t, const cvm_msg *m)
{
    if (!ops_loaded(t, CLASSIFIER))
        return cvm_refuse(t, "NOT_AVAILABLE", NULL, "Nobody is loaded who reads what customers feel.");
    CVM_TRY(cvm_request(t, CLASSIFIER, "sentiment_analysis", cvm_json_share(m->data),
                        &(cvm_request_opts){.on_behalf = m->id}));
    return CVM_PENDING;
}

int feedback_read(cvm_turn *t, const cvm_msg *m)
{
    return ops_pass(t, m);
}

int feedback_handle(cvm_turn *t, const cvm_msg *m)
{
    return ops_step(t, m, ANALYTICS);
}
