/* Ratings and what else changes an enquiry after its answer: a customer's rating, taken once; a colleague's answer.
 * Both are done in the enquiry's own conversation, whose context says everything of it. A customer who was asked may
 * reply with a number. Loop thread. */
#include "../common/clip.h"
#include "service.h"

#define WANTED "rating_reply"
#define REPLY_MAX 300 /* bytes of a reply that may be a rating */

/* ---- in the enquiry's conversation ----------------------------------------------------------------------------------
 */

/* Hands a request on to where the enquiry is. CVM_PENDING; CVM_OK: it is there. */
static int go_to(cvm_turn *t, const cvm_msg *m, const char *type)
{
    const char *enquiry = cvm_json_str(m->data, "enquiry_id", "");
    if (!*enquiry || !strcmp(m->conversation, enquiry))
        return CVM_OK;
    cvm_out out = {.size = sizeof out,
                   .kind = CVM_OUT_FORWARD,
                   .to = SERVICE_DESK,
                   .type = type,
                   .data = cvm_json_share(m->data),
                   .conversation = enquiry,
                   .request = m->id,
                   .priority = -1};
    CVM_TRY(t->host->emit(t, &out, NULL));
    return CVM_PENDING;
}

/* Whether whoever rates is the customer, as far as the request says who that is. */
static bool own(cvm_turn *t, const cvm_msg *m)
{
    const char *phone = cvm_json_str(m->data, "customer_phone", ""),
               *customer = cvm_json_str(m->data, "customer_id", "");
    char e164[PHONE_SIZE];
    if (*customer && strcmp(customer, service_context_str(t, "customer_id")) != 0)
        return false;
    return !*phone ||
           (phone_normalise(phone, e164) == CVM_OK && !strcmp(e164, service_context_str(t, "customer_phone")));
}

int rating_take(cvm_turn *t, const cvm_msg *m)
{
    const char *text = cvm_json_str(m->data, "feedback_text", ""),
               *status = service_context_str(t, "resolution_status");
    int64_t rating = cvm_json_int(m->data, "rating", 0);
    int e = go_to(t, m, "rate_enquiry");
    if (e != CVM_OK)
        return e;
    if (!json_object_get(cvm_context(t), "enquiry_id") || !own(t, m)) /* another's is none for who asks */
        return cvm_refuse(t, "NOT_FOUND", "enquiry_id", "There is no enquiry of yours with this id.");
    if (!json_object_get(cvm_context(t), "closed"))
        return cvm_refuse(t, "NOT_ANSWERED", "enquiry_id", "The enquiry is not answered yet.");
    if (json_object_get(cvm_context(t), "rating"))
        return cvm_refuse(t, "RATED", "enquiry_id", "The enquiry has been rated; it is rated once.");
    if (rating < 1 || rating > 5)
        return cvm_refuse(t, "INVALID", "rating", "The rating must be a whole number from 1 to 5.");
    char at[SERVICE_TIME_SIZE], feeling[24] = "";
    json_t *reading = *text ? classifier_read(t, text, service_context_str(t, "channel")) : NULL;
    snprintf(feeling, sizeof feeling, "%s", cvm_json_str(reading, "sentiment", ""));
    json_decref(reading);
    if (!*feeling)
        snprintf(feeling, sizeof feeling, "%s", rating >= 4 ? "POSITIVE" : rating == 3 ? "NEUTRAL" : "NEGATIVE");
    json_t *kept = json_pack("{s:I, s:s*, s:s, s:s}", "rating", (json_int_t)rating, "text", *text ? text : NULL,
                             "sentiment", feeling, "at", service_time(cvm_now_ms(t), at));
    CVM_TRY(kept ? cvm_context_set(t, "/rating", kept) : CVM_ENOMEM);
    CVM_TRY(desk_write_row(t, m, *status ? status : "RESOLVED"));
    CVM_TRY(cvm_reply(t, m,
                      json_pack("{s:s, s:I, s:s}", "enquiry_id", service_context_str(t, "enquiry_id"), "rating",
                                (json_int_t)rating, "sentiment", feeling)));
    return cvm_end(t);
}

/* A colleague has settled the case: it is not with us any more. */
int rating_settle(cvm_turn *t, const cvm_msg *m)
{
    int e = go_to(t, m, "settle_enquiry");
    if (e != CVM_OK)
        return e;
    if (!json_object_get(cvm_context(t), "closed"))
        return cvm_reply(t, m, json_pack("{s:b}", "settled", 0));
    CVM_TRY(cvm_context_set(t, "/resolution_status", json_string("RESOLVED")));
    CVM_TRY(desk_write_row(t, m, "RESOLVED"));
    CVM_TRY(cvm_reply(t, m, json_pack("{s:b}", "settled", 1)));
    return cvm_end(t);
}

/* Topic handoff.resolved. */
int rating_resolved(cvm_turn *t, const cvm_msg *m)
{
    const char *enquiry = cvm_json_str(m->data, "enquiry_id", "");
    if (strncmp(enquiry, "ENQ-", 4) != 0 || strlen(enquiry) != 16)
        return CVM_OK;
    return cvm_request(t, SERVICE_DESK, "settle_enquiry", json_pack("{s:s}", "enquiry_id", enquiry), NULL);
}

int rating_settled(cvm_turn *t, const cvm_msg *m)
{
    (void)t;
    (void)m;
    return CVM_OK;
}

/* ---- a number as a message ------------------------------------------------------------------------------------------
 */

/* "4", "4/5", "rate 4 ..", "4, was quick": 1 to 5 and where the words begin; 0: it is something else. */
static int reply_of(const char *text, const char **ret_words)
{
    const char *s = text + strspn(text, " \t\r\n");
    bool named = !strncmp(s, "rate ", 5) || !strncmp(s, "Rate ", 5) || !strncmp(s, "RATE ", 5);
    s += named ? 5 + strspn(s + 5, " ") : 0;
    if (*s < '1' || *s > '5' || strlen(s) > REPLY_MAX)
        return 0;
    int n = *s++ - '0';
    if (!strncmp(s, "/5", 2))
        s += 2;
    const char *words = s + strspn(s, " \t\r\n");
    bool parted = *s && strchr(",.:;!-", *s);
    if (parted)
        words = s + 1 + strspn(s + 1, " \t\r\n");
    /* More figures are a message about something: "2 x 500 airtime". */
    bool plain = !*words || ((named || parted) && !strpbrk(words, "0123456789"));
    *ret_words = words;
    return plain && (named || !*words || parted) ? n : 0;
}

/* Whether the message may be a reply to our question; then the request waits for FeedbackAgent, who knows whether
 * there was one. CVM_PENDING: it waits; CVM_OK: it is none. */
int rating_reply(cvm_turn *t, const cvm_msg *m, const char *message, const char *channel, const char *customer,
                 json_t *enquiry)
{
    const char *words = "";
    int n = strcmp(channel, "USSD") ? reply_of(message, &words) : 0; /* there a number chooses from a menu */
    if (!n || !service_loaded(t, "service.feedback") || json_is_object(json_object_get(cvm_context(t), WANTED)))
        return CVM_OK;
    CVM_TRY(cvm_context_set(t, "/" WANTED, json_incref(enquiry)));
    CVM_TRY(cvm_request(t, "service.feedback", "rate_last",
                        json_pack("{s:s, s:i, s:s%}", "customer_id", customer, "rating", n, "feedback_text", words,
                                  (size_t)clip(words, REPLY_MAX)),
                        &(cvm_request_opts){.on_behalf = m->id}));
    return CVM_PENDING;
}

/* "rate_last.reply": thanks, or an ordinary message after all. */
int rating_replied(cvm_turn *t, const cvm_msg *m)
{
    json_t *enquiry = cvm_json_share(json_object_get(cvm_context(t), WANTED));
    const char *code = cvm_json_str(m->data, "code", "");
    CVM_TRY(cvm_context_set(t, "/" WANTED, NULL));
    if (m->outcome != CVM_REPLIED && strcmp(code, "RATED") != 0) {
        int e = desk_go_on(t, m->on_behalf, enquiry);
        return e < 0 ? e : CVM_OK;
    }
    bool pidgin = !strcmp(cvm_json_str(enquiry, "preferred_language", "en"), "pcm");
    const char *text = m->outcome != CVM_REPLIED ? "We have your rating already. Thank you."
                       : pidgin                  ? "Thank you well well, we don hear you."
                                                 : "Thank you for your rating.";
    json_t *body = json_pack("{s:s, s:s, s:s, s:f, s:[s], s:[], s:O?, s:s}", "enquiry_id",
                             cvm_json_str(m->data, "enquiry_id", ""), "status", "RESOLVED", "response_text", text,
                             "processing_time_seconds", 0.0, "agents_involved", "FeedbackAgent", "next_steps",
                             "customer_id", json_object_get(enquiry, "customer_id"), "reason", "rated");
    json_decref(enquiry);
    int e = cvm_settle(t, m->on_behalf, CVM_REPLIED, body, NULL);
    return e == CVM_ENOENT ? CVM_OK : e;
}
