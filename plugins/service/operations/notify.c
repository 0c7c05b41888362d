/* NotificationAgent: what customers are told beside the answer to their enquiry. Finds out how the customer is reached,
 * then deliver.c carries it. Owns the state keys ask/<id> -> a message whose customer's address is being asked for.
 * Loop thread. */
#include "operations.h"

static const char *const channels[] = {"SMS", "WHATSAPP", "EMAIL"};

/* ---- making one ---------------------------------------------------------------------------------------------------
 */

/* A channel that messages go to later: of the others nobody is there any more. */
static const char *lasting(const char *channel)
{
    for (size_t i = 0; i < sizeof channels / sizeof *channels; i++)
        if (!strcmp(channels[i], channel))
            return channels[i];
    return "SMS";
}

static void add_way(json_t *ways, const char *channel, const char *phone, const char *email)
{
    const char *to = strcmp(channel, "EMAIL") ? phone : email;
    const json_t *one;
    size_t i;
    json_array_foreach(ways, i, one) if (!strcmp(cvm_json_str(one, "channel", ""), channel)) return;
    if (*to)
        json_array_append_new(ways, json_pack("{s:s, s:s}", "channel", channel, "recipient", to));
}

/* The wanted channel first, then the others by which the customer can be reached. */
static json_t *ways_of(const char *wanted, const char *phone, const char *email)
{
    json_t *ways = json_array();
    add_way(ways, lasting(wanted), phone, email);
    for (size_t i = 0; i < sizeof channels / sizeof *channels; i++)
        add_way(ways, channels[i], phone, email);
    return ways;
}

/* Data of a message: {"customer_id", "phone", "email", "channel", "template", "text", ..}. Gives the id. */
static int begin(cvm_turn *t, const cvm_msg *m, const json_t *data, const char *phone, const char *email,
                 char ret_id[CVM_SHORT_ID_SIZE])
{
    static const char *const copied[] = {"enquiry_id", "transaction_id", "sealed_code", "challenge_id", "number"};
    char at[TIME_SIZE], to[PHONE_SIZE] = "";
    const char *text = cvm_json_str(data, "text", "");
    if (*phone && phone_normalise(phone, to) < 0)
        *to = 0;
    json_t *ways = ways_of(cvm_json_str(data, "channel", "SMS"), to, email);
    CVM_TRY(cvm_new_id(t, "NTF", ret_id));
    json_t *record = json_pack("{s:s, s:s, s:s, s:s%, s:s, s:s, s:s, s:o, s:i, s:i, s:i}", "notification_id", ret_id,
                               "customer_id", cvm_json_str(data, "customer_id", m->customer_id), "template",
                               cvm_json_str(data, "template", "message"), "text", text, (size_t)clip(text, MESSAGE_MAX),
                               "subject", cvm_json_str(data, "subject", ""), "created_at", ops_time(cvm_now_ms(t), at),
                               "conversation", m->conversation, "ways", ways, "way", 0, "tries", 0, "attempts", 0);
    if (!record)
        return CVM_ENOMEM;
    for (size_t i = 0; i < sizeof copied / sizeof *copied; i++)
        if (json_object_get(data, copied[i]))
            json_object_set(record, copied[i], json_object_get(data, copied[i]));
    if (*m->enquiry_id && !json_object_get(record, "enquiry_id"))
        json_object_set_new(record, "enquiry_id", json_string(m->enquiry_id));
    return deliver_begin(t, record);
}

static int told(cvm_turn *t, const cvm_msg *m, const char *id)
{
    if (!m->requires_response)
        return CVM_OK;
    return cvm_reply(t, m, json_pack("{s:s, s:s}", "notification_id", id, "status", "accepted"));
}

/* ---- operations ---------------------------------------------------------------------------------------------------
 */

int notify_any(cvm_turn *t, const cvm_msg *m)
{
    const char *phone = cvm_json_str(m->data, "phone", ""), *email = cvm_json_str(m->data, "email", "");
    const char *customer = cvm_json_str(m->data, "customer_id", "");
    char id[CVM_SHORT_ID_SIZE], key[48];
    if (!*phone && !*email && *customer && ops_loaded(t, DESK)) {
        CVM_TRY(cvm_new_id(t, "ASK", id));
        snprintf(key, sizeof key, "ask/%s", id);
        CVM_TRY(cvm_state_put(t, key, cvm_json_share(m->data)));
        CVM_TRY(cvm_request(t, DESK, "contact", json_pack("{s:s}", "customer_id", customer),
                            &(cvm_request_opts){.on_behalf = ops_cookie(id)}));
        return told(t, m, id);
    }
    CVM_TRY(begin(t, m, m->data, phone, email, id));
    return told(t, m, id);
}

int notify_contact(cvm_turn *t, const cvm_msg *m)
{
    char asked[CVM_SHORT_ID_SIZE], key[48], id[CVM_SHORT_ID_SIZE];
    const json_t *kept = NULL;
    ops_short_id("ASK", m->on_behalf, asked);
    snprintf(key, sizeof key, "ask/%s", asked);
    int e = cvm_state_get(t, key, &kept);
    if (e < 0)
        return e == CVM_ENOENT ? CVM_OK : e;
    json_t *data = json_copy((json_t *)(uintptr_t)kept);
    e = cvm_state_del(t, key);
    if (e >= 0 && m->outcome == CVM_REPLIED && !json_object_get(data, "channel"))
        json_object_set(data, "channel", json_object_get(m->data, "channel"));
    if (e >= 0)
        e = begin(t, m, data, m->outcome == CVM_REPLIED ? cvm_json_str(m->data, "phone", "") : "",
                  m->outcome == CVM_REPLIED ? cvm_json_str(m->data, "email", "") : "", id);
    json_decref(data);
    return e;
}

static int tool(cvm_turn *t, const cvm_msg *m, const char *channel)
{
    const char *to = cvm_json_str(m->data, "to", "");
    bool mail = !strcmp(channel, "EMAIL");
    char id[CVM_SHORT_ID_SIZE], phone[PHONE_SIZE];
    if (mail ? !strchr(to, '@') : phone_normalise(to, phone) < 0)
        return cvm_refuse(t, "INVALID", "to",
                          mail ? "The e-mail address is invalid. Write it like name@example.com."
                               : "The phone number is invalid. Write it like 08012345678 or +2348012345678.");
    json_t *data = json_copy((json_t *)(uintptr_t)m->data);
    json_object_set_new(data, "channel", json_string(channel));
    int e = begin(t, m, data, mail ? "" : to, mail ? to : "", id);
    json_decref(data);
    return e < 0 ? e : told(t, m, id);
}

int notify_sms(cvm_turn *t, const cvm_msg *m)
{
    return tool(t, m, "SMS");
}

int notify_email(cvm_turn *t, const cvm_msg *m)
{
    return tool(t, m, "EMAIL");
}

int notify_whatsapp(cvm_turn *t, const cvm_msg *m)
{
    return tool(t, m, "WHATSAPP");
}

int notify_handle(cvm_turn *t, const cvm_msg *m)
{
    return ops_step(t, m, ANALYTICS);
}

/* ---- after an enquiry ---------------------------------------------------------------------------------------------
 */

static const char *naira(const json_t *amount, char *buf, size_t size)
{
    char text[40];
    cvm_money_text((int64_t)(json_number_value(amount) * 100 + 0.5), text, sizeof text);
    snprintf(buf, size, "NGN %s", text);
    return buf;
}

/* "500 MTN airtime for 0803..": what the conversation's context says was bought in a domain. */
static void bought(const json_t *context, const char *domain, char *text, size_t size)
{
    const json_t *c = json_object_get(context, domain);
    char sum[48];
    *text = 0;
    if (!json_is_object(c))
        return;
    if (!strcmp(domain, "airtime_context"))
        snprintf(text, size, "%s of %s airtime for %s", naira(json_object_get(c, "amount"), sum, sizeof sum),
                 cvm_json_str(c, "network", ""), cvm_json_str(c, "recipient_phone", ""));
    else if (!strcmp(domain, "power_context"))
        snprintf(text, size, "%s of electricity, %s meter %s%s%s", naira(json_object_get(c, "amount"), sum, sizeof sum),
                 cvm_json_str(c, "disco", ""), cvm_json_str(c, "meter_number", ""),
                 *cvm_json_str(c, "token", "") ? ", token " : "", cvm_json_str(c, "token", ""));
    else if (!strcmp(domain, "data_context"))
        snprintf(text, size, "%s %s data (%s) for %s, %s", cvm_json_str(c, "network", ""), cvm_json_str(c, "size", ""),
                 cvm_json_str(c, "validity", ""), cvm_json_str(c, "recipient_phone", ""),
                 naira(json_object_get(c, "price"), sum, sizeof sum));
}

static bool confirms(cvm_turn *t, const char *what)
{
    const json_t *list = json_object_get(cvm_settings(t), "confirm"), *one;
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)list, i,
                       one) if (json_is_string(one) && !strcmp(json_string_value(one), what)) return true;
    return false;
}

static int tell(cvm_turn *t, const cvm_msg *m, const char *template, const char *subject, const char *text,
                const char *transaction)
{
    const json_t *context = cvm_context(t);
    char id[CVM_SHORT_ID_SIZE];
    json_t *data = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "template", template, "subject", subject, "text", text,
                             "customer_id", cvm_json_str(context, "customer_id", ""), "channel",
                             cvm_json_str(context, "channel", "SMS"), "transaction_id", transaction);
    if (!data)
        return CVM_ENOMEM;
    int e =
        begin(t, m, data, cvm_json_str(context, "customer_phone", ""), cvm_json_str(context, "customer_email", ""), id);
    json_decref(data);
    return e;
}

/* Of one purchase: `domain` names the member of the context that says what it was. */
static int tell_purchase(cvm_turn *t, const cvm_msg *m, const char *id, const char *status, const char *domain)
{
    char what[400], text[600];
    if (*id && !strcmp(status, "SUCCESS") && confirms(t, "purchase")) {
        bought(cvm_context(t), domain, what, sizeof what);
        snprintf(text, sizeof text, "Receipt %s: %s. Thank you.", id, *what ? what : "your purchase is done");
        return tell(t, m, "purchase_receipt", "Your receipt", text, id);
    }
    if (*id && !strcmp(status, "REFUNDED") && confirms(t, "refund")) {
        snprintf(text, sizeof text, "Purchase %s did not go through. Your money is back in your wallet.", id);
        return tell(t, m, "purchase_refunded", "Your refund", text, id);
    }
    return CVM_OK;
}

int notify_closed(cvm_turn *t, const cvm_msg *m)
{
    const json_t *context = cvm_context(t), *purchases = json_object_get(context, "purchases"), *one;
    const char *transaction = cvm_json_str(context, "transaction_id", ""),
               *handoff = cvm_json_str(context, "handoff_id", ""), *domain;
    char text[600];
    json_object_foreach((json_t *)(uintptr_t)purchases, domain, one)
        CVM_TRY(tell_purchase(t, m, cvm_json_str(one, "transaction_id", ""), cvm_json_str(one, "status", ""), domain));
    if (!purchases)
        CVM_TRY(tell_purchase(t, m, transaction, cvm_json_str(context, "transaction_status", ""), ""));
    if (*handoff && confirms(t, "escalation")) {
        snprintf(text, sizeof text, "A colleague has your case. Your reference is %s. We will write to you here.",
                 handoff);
        CVM_TRY(tell(t, m, "case_opened", "Your case", text, transaction));
    }
    return heard(t, m);
}

/* A colleague has answered: the customer hears it where the enquiry came from. */
int notify_resolved(cvm_turn *t, const cvm_msg *m)
{
    const char *answer = cvm_json_str(m->data, "answer", ""), *customer = cvm_json_str(m->data, "customer_id", "");
    char text[MESSAGE_MAX];
    if (!*answer || !*customer || !confirms(t, "answer"))
        return CVM_OK;
    snprintf(text, sizeof text, "About your case %s: %.*s", cvm_json_str(m->data, "handoff_id", ""),
             clip(answer, MESSAGE_MAX - 200), answer);
    return cvm_send(t, NOTIFICATION, "notify",
                    json_pack("{s:s, s:s, s:s, s:s, s:s*, s:s}", "template", "case_answered", "subject", "Your case",
                              "text", text, "customer_id", customer, "channel", cvm_json_str(m->data, "channel", NULL),
                              "enquiry_id", cvm_json_str(m->data, "enquiry_id", "")));
}
