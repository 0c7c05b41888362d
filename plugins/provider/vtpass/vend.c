/* The turns of an order: it is sent once under an id of its own, asked about until its state is certain or its time is
 * over, and sent again only when the vendor says that it never arrived. Keeps no money. Loop thread. */
#include "vtpass.h"

#include <stdio.h>
#include <strings.h>

#define MARGIN_MS 2000          /* the call ends this long before the request, so that its end can still be told */
#define OPEN_MS INT64_C(300000) /* of a request without a deadline */
#define LAST_MS 1000            /* the last query leaves so long before the end */
#define STEPS_MAX 100           /* queries about one order by its own timers */
#define HINTS_MAX 10            /* and by the vendor's word */

/* ---- the state of an order ---- */

static json_t *copy_of(const json_t *order)
{
    return json_copy((json_t *)(uintptr_t)order); /* a new object: the stored one is frozen */
}

static int finish(cvm_turn *t, cvm_id request, const json_t *order, int outcome, json_t *data)
{
    CVM_TRY(vt_settle(t, request, outcome, data));
    return vt_book_close(t, request, order);
}

static int finish_failure(cvm_turn *t, cvm_id request, const json_t *order, int outcome, const char *code,
                          const char *message)
{
    return finish(t, request, order, outcome, vt_failure(code, message));
}

static int finish_vended(cvm_turn *t, cvm_id request, const json_t *order, const json_t *body)
{
    json_t *reply = json_pack("{s:O}", "reference", json_object_get(order, "reference"));
    vt_copy(body, reply);
    if (reply && !json_object_get(reply, "transaction_id")) /* some billers give none: the id is what finds it again */
        json_object_set(reply, "transaction_id", json_object_get(order, "request_id"));
    CVM_TRY(vt_circuit_good(t, cvm_json_str(order, "service", "")));
    return finish(t, request, order, CVM_REPLIED, reply);
}

/* ---- sending ---- */

static int send(cvm_turn *t, cvm_id request, const json_t *order)
{
    int64_t left = cvm_json_int(order, "deadline_ms", 0) - cvm_now_ms(t);
    int64_t timeout = cvm_json_int(cvm_settings(t), "timeout_ms", 45000);
    return cvm_http_call(t,
                         &(cvm_call){.size = sizeof(cvm_call),
                                     .name = "vend",
                                     .path = "/pay",
                                     .headers = json_pack("{s:s, s:s}", "api-key", "${VTPASS_API_KEY}", "secret-key",
                                                          "${VTPASS_SECRET_KEY}"),
                                     .body = cvm_json_share(json_object_get(order, "body")),
                                     .key = cvm_json_str(order, "request_id", ""),
                                     .on_behalf = request,
                                     /* half of the time for the attempt, half to find out what became of it */
                                     .timeout_ms = timeout < left / 2 ? timeout
                                                   : left / 2 > 0     ? left / 2
                                                                      : 1,
                                     .deadline_ms = cvm_json_int(order, "deadline_ms", 0)},
                         NULL);
}

int vt_send_order(cvm_turn *t, cvm_id request, int64_t deadline_ms, json_t *order)
{
    const int64_t now = cvm_now_ms(t), left = deadline_ms ? deadline_ms - now : OPEN_MS + MARGIN_MS;
    if (!order)
        return CVM_ENOMEM;
    json_object_set_new(order, "deadline_ms", json_integer(now + left - (left > 4 * MARGIN_MS ? MARGIN_MS : left / 4)));
    json_t *kept = json_incref(order);
    int e = vt_book_put(t, request, order);
    if (e >= 0)
        e = send(t, request, kept);
    json_decref(kept);
    return e < 0 ? e : CVM_PENDING;
}

/* An order without what its kind of service needs. Gives; `subject` is the number served. */
static json_t *order_new(const cvm_msg *m, const char *request_id, const char *service, const char *subject)
{
    const int64_t kobo = cvm_json_int(m->data, "amount_kobo", 0);
    const size_t len = strlen(subject);
    json_t *body =
        json_pack("{s:s, s:s, s:o}", "request_id", request_id, "serviceID", service, "amount", naira_write(kobo));
    return json_pack("{s:s, s:s, s:I, s:s, s:s, s:o}", "reference", cvm_json_str(m->data, "reference", ""),
                     "request_id", request_id, "amount_kobo", (json_int_t)kobo, "service", service, "end",
                     subject + (len > 4 ? len - 4 : 0), "body", body);
}

/* "08031234567" of "+2348031234567"; what is no such number goes as it is. */
static json_t *local_number(const char *phone)
{
    char text[32];
    if (strncmp(phone, "+234", 4) != 0)
        return json_string(phone);
    snprintf(text, sizeof text, "0%.20s", phone + 4);
    return json_string(text);
}

int vt_vend_network(cvm_turn *t, const cvm_msg *m)
{
    char id[VT_REQUEST_ID_SIZE];
    const char *phone = cvm_json_str(m->data, "phone", ""), *bundle = cvm_json_str(m->data, "bundle_code", "");
    CVM_TRY(vt_check_setup(t, m));
    const char *service = vt_service(t, cvm_json_str(m->data, "network", ""), *bundle ? "data" : "airtime");
    if (!*service)
        return cvm_refuse_with(t, vt_failure("INVALID_NETWORK", "VTpass does not sell this for the network"));
    CVM_TRY(vt_circuit_check(t, m, service));
    CVM_TRY(vt_book_id(t, cvm_json_str(m->data, "reference", ""), id));
    json_t *order = order_new(m, id, service, phone), *body = json_object_get(order, "body");
    json_object_set_new(body, "phone", local_number(phone));
    if (!*bundle)
        return vt_send_order(t, m->id, m->deadline_ms, order);
    json_object_set_new(body, "billersCode", local_number(phone));
    return vt_bundle_order(t, m, bundle, order);
}

int vt_vend_power(cvm_turn *t, const cvm_msg *m)
{
    char id[VT_REQUEST_ID_SIZE];
    const char *meter = cvm_json_str(m->data, "meter_number", ""), *contact = vt_setting(t, "contact_phone");
    const bool postpaid = strcmp(cvm_json_str(m->data, "meter_type", "PREPAID"), "POSTPAID") == 0;
    CVM_TRY(vt_check_setup(t, m));
    const char *service = vt_service(t, cvm_json_str(m->data, "disco", ""), NULL);
    contact = cvm_json_str(m->data, "phone", contact);
    if (!*contact)
        return cvm_refuse_with(t, vt_failure("CONFIGURATION", "VTpass is not configured: set contact_phone"));
    CVM_TRY(vt_circuit_check(t, m, service));
    CVM_TRY(vt_book_id(t, cvm_json_str(m->data, "reference", ""), id));
    json_t *order = order_new(m, id, service, meter), *body = json_object_get(order, "body");
    json_object_set_new(body, "billersCode", json_string(meter));
    json_object_set_new(body, "variation_code", json_string(postpaid ? "postpaid" : "prepaid"));
    json_object_set_new(body, "phone", local_number(contact));
    json_object_set_new(order, "token", json_boolean(!postpaid));
    return vt_send_order(t, m->id, m->deadline_ms, order);
}

/* ---- what an answer leads to ---- */

/* The next query, after 5 s, 15 s, 60 s, then every 5 minutes, or at once for `delay_ms` 0; or, when there is no time
 * left for one, the end. -1: by the table. */
static int plan(cvm_turn *t, cvm_id request, const json_t *order, int64_t delay_ms)
{
    const json_t *delays = json_object_get(cvm_settings(t), "requery_after_ms");
    const int64_t step = cvm_json_int(order, "step", 0), n = (int64_t)json_array_size(delays);
    json_t *next = copy_of(order);
    if (delay_ms < 0)
        delay_ms = n ? json_integer_value(json_array_get(delays, (size_t)(step < n ? step : n - 1))) : 5000;
    if (!next)
        return CVM_ENOMEM;
    json_object_set_new(next, "step", json_integer(step + 1));
    const int64_t left = cvm_json_int(order, "deadline_ms", 0) - cvm_now_ms(t);
    if (delay_ms > left - LAST_MS) /* the last question is one before the end */
        delay_ms = left - LAST_MS;
    if (step >= STEPS_MAX || delay_ms < 0 || (delay_ms == 0 && left <= LAST_MS)) {
        json_decref(next);
        return finish_failure(t, request, order, CVM_UNKNOWN, "TIMEOUT", "VTpass has not decided the order yet");
    }
    CVM_TRY(vt_book_put(t, request, next));
    if (delay_ms == 0)
        return vt_requery(t, "requery", cvm_json_str(order, "request_id", ""), request);
    return cvm_timer(t, "requery_due", delay_ms, NULL, request, NULL);
}

static int resend(cvm_turn *t, cvm_id request, const json_t *order, const struct vt_decision *d)
{
    if (cvm_json_bool(order, "resent", false))
        return finish_failure(t, request, order, CVM_REFUSED, d->error_code, d->message);
    json_t *again = copy_of(order);
    if (!again)
        return CVM_ENOMEM;
    json_object_set_new(again, "resent", json_true());
    json_incref(again);
    int e = vt_book_put(t, request, again);
    if (e >= 0)
        e = send(t, request, again);
    json_decref(again);
    return e;
}

/* Nothing was vended, and why is worth knowing for the orders to come. */
static int refuse_and_tell(cvm_turn *t, cvm_id request, const json_t *order, const struct vt_decision *d,
                           const char *code)
{
    const char *service = cvm_json_str(order, "service", "");
    const bool old_id =
        strcmp(code, "085") == 0 && !vt_is_of_today(cvm_now_ms(t), cvm_json_str(order, "request_id", ""));
    CVM_TRY(finish_failure(t, request, order, CVM_REFUSED, d->error_code, d->message));
    if (old_id) /* it was sent again after midnight: no fault of the set-up */
        return CVM_OK;
    switch (d->action) {
    case VT_LOW:
        return vt_circuit_open(t, VT_FLOAT, code, d->error_code, d->message);
    case VT_FAULT:
        return vt_circuit_open(t, strcmp(code, "028") == 0 ? service : VT_ALL, code, d->error_code, d->message);
    case VT_SERVICE_OFF:
        return vt_circuit_open(t, service, code, d->error_code, d->message);
    default:
        return vt_circuit_count(t, service, code);
    }
}

static int decide(cvm_turn *t, cvm_id request, const json_t *order, enum vt_asked asked, int64_t http_status,
                  const json_t *body)
{
    char code[VT_TEXT_SIZE];
    const int64_t pause = cvm_json_int(cvm_settings(t), "duplicate_wait_ms", 30000);
    const struct vt_decision d = vt_read(asked, http_status, body);
    vt_code(body, code);
    switch (d.action) {
    case VT_DONE:
        if (vt_matches(order, body) && vt_whole(order, body))
            return finish_vended(t, request, order, body);
        return plan(t, request, order, -1);
    case VT_FAILED:
        return finish_failure(t, request, order, CVM_REFUSED, d.error_code, d.message);
    case VT_ASK_LATER:
        return plan(t, request, order, -1);
    case VT_ASK_NOW:
        return plan(t, request, order, cvm_json_int(order, "step", 0) ? -1 : 0);
    case VT_WAIT:
        return plan(t, request, order, pause);
    case VT_RESEND:
        return resend(t, request, order, &d);
    case VT_MANUAL:
        CVM_TRY(vt_alert(t, code, cvm_json_str(order, "reference", ""), d.message));
        return finish_failure(t, request, order, CVM_UNKNOWN, d.error_code, d.message);
    case VT_LOW:
    case VT_FAULT:
    case VT_SERVICE_OFF:
    case VT_UNREACHABLE:
        break;
    }
    return refuse_and_tell(t, request, order, &d, code);
}

int vt_vended(cvm_turn *t, const cvm_msg *m)
{
    const json_t *order;
    int64_t http_status;
    const json_t *body = vt_body(m, &http_status);
    CVM_TRY(vt_book_order(t, m->on_behalf, &order));
    if (!order)
        return CVM_OK;
    if (m->outcome == CVM_TIMEOUT || m->outcome == CVM_UNKNOWN)
        return finish_failure(t, m->on_behalf, order, CVM_UNKNOWN, "TIMEOUT", "VTpass did not answer in time");
    if (m->outcome != CVM_REPLIED) /* it did not leave */
        return finish_failure(t, m->on_behalf, order, CVM_REFUSED, "CONNECTION_ERROR",
                              "VTpass cannot be reached at the moment");
    if (!body)
        http_status = cvm_json_int(m->data, "status", 0);
    return decide(t, m->on_behalf, order, cvm_json_bool(m->data, "verified", false) ? VT_REQUERY : VT_PAY, http_status,
                  body);
}

int vt_requery_due(cvm_turn *t, const cvm_msg *m)
{
    const json_t *order;
    CVM_TRY(vt_book_order(t, m->on_behalf, &order));
    return order ? vt_requery(t, "requery", cvm_json_str(order, "request_id", ""), m->on_behalf) : CVM_OK;
}

int vt_requeried(cvm_turn *t, const cvm_msg *m)
{
    const json_t *order;
    int64_t http_status;
    const json_t *body = vt_body(m, &http_status);
    CVM_TRY(vt_book_order(t, m->on_behalf, &order));
    return order ? decide(t, m->on_behalf, order, VT_REQUERY, http_status, body) : CVM_OK;
}

/* ---- the host asks what became of a call ---- */

int vt_verify_vend(cvm_turn *t, const cvm_msg *m)
{
    const char *id = cvm_json_str(json_object_get(m->data, "request"), "request_id", cvm_json_str(m->data, "key", ""));
    const json_t *order;
    cvm_id request;
    CVM_TRY(vt_book_by_id(t, id, &request, &order));
    if (!order) /* settled meanwhile: the call is over, and nothing may be sent again */
        return cvm_reply(t, m, json_pack("{s:b, s:{}}", "found", 1, "result"));
    CVM_TRY(vt_requery(t, "outcome", id, m->id));
    char key[CVM_STATE_KEY_MAX + 1];
    snprintf(key, sizeof key, "outcome/%016" PRIx64 "%016" PRIx64, m->id.hi, m->id.lo);
    CVM_TRY(cvm_state_put(t, key, json_string(id)));
    return CVM_PENDING;
}

int vt_outcome(cvm_turn *t, const cvm_msg *m)
{
    char key[CVM_STATE_KEY_MAX + 1];
    int64_t http_status;
    cvm_id request;
    const json_t *body = vt_body(m, &http_status), *id = NULL, *order = NULL;
    const enum vt_action action = vt_read(VT_REQUERY, http_status, body).action;
    snprintf(key, sizeof key, "outcome/%016" PRIx64 "%016" PRIx64, m->on_behalf.hi, m->on_behalf.lo);
    int e = cvm_state_get(t, key, &id);
    if (e < 0)
        return e == CVM_ENOENT ? CVM_OK : e;
    CVM_TRY(vt_book_by_id(t, json_string_value(id), &request, &order));
    CVM_TRY(cvm_state_del(t, key));
    if (!order)
        return vt_settle(t, m->on_behalf, CVM_REPLIED, json_pack("{s:b, s:{}}", "found", 1, "result"));
    if (action == VT_RESEND && !cvm_json_bool(order, "resent", false)) {
        json_t *again = copy_of(order);
        if (!again)
            return CVM_ENOMEM;
        json_object_set_new(again, "resent", json_true());
        CVM_TRY(vt_book_put(t, request, again));
        return vt_settle(t, m->on_behalf, CVM_REPLIED, json_pack("{s:b}", "found", 0));
    }
    if (action == VT_DONE || action == VT_FAILED || action == VT_RESEND || action == VT_MANUAL)
        return vt_settle(t, m->on_behalf, CVM_REPLIED,
                         json_pack("{s:b, s:o}", "found", 1, "result", cvm_json_share(body)));
    return vt_settle(t, m->on_behalf, CVM_REPLIED, json_pack("{s:b}", "pending", 1));
}

/* ---- the vendor says that something became of an order: it is asked, not believed ---- */

int vt_hint(cvm_turn *t, const cvm_msg *m)
{
    const char *id = cvm_json_str(m->data, "request_id", "");
    const json_t *order;
    cvm_id request;
    CVM_TRY(vt_book_by_id(t, id, &request, &order));
    const int64_t hints = cvm_json_int(order, "hints", 0);
    if (m->requires_response)
        CVM_TRY(vt_settle(t, m->id, CVM_REPLIED, NULL));
    if (!order || hints >= HINTS_MAX)
        return CVM_OK;
    json_t *next = copy_of(order);
    if (!next)
        return CVM_ENOMEM;
    json_object_set_new(next, "hints", json_integer(hints + 1));
    CVM_TRY(vt_book_put(t, request, next));
    return vt_requery(t, "hint", id, request);
}

int vt_hinted(cvm_turn *t, const cvm_msg *m)
{
    const json_t *order;
    int64_t http_status;
    const json_t *body = vt_body(m, &http_status);
    const enum vt_action action = vt_read(VT_REQUERY, http_status, body).action;
    CVM_TRY(vt_book_order(t, m->on_behalf, &order));
    if (!order || (action != VT_DONE && action != VT_FAILED))
        return CVM_OK; /* its timers go on asking */
    if (action == VT_DONE && (!vt_matches(order, body) || !vt_whole(order, body)))
        return CVM_OK;
    return decide(t, m->on_behalf, order, VT_REQUERY, http_status, body);
}
