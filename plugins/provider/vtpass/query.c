/* Questions that change nothing: what became of a reference, our balance, meters and bills. Meters that were found are
 * remembered for an hour by ../common/meter_cache.c. Owns the state keys look/<request>, try/<request>. Loop thread. */
#include "vtpass.h"

#include "../common/meter_cache.h"

#include <stdio.h>

#define QUERY_TIMEOUT_MS 15000

static void request_key(const char *kind, cvm_id id, char key[64])
{
    snprintf(key, 64, "%s/%016" PRIx64 "%016" PRIx64, kind, id.hi, id.lo);
}

static int take(cvm_turn *t, const char *key, const json_t **ret_value)
{
    *ret_value = NULL;
    int e = cvm_state_get(t, key, ret_value);
    if (e < 0)
        return e == CVM_ENOENT ? CVM_OK : e;
    return cvm_state_del(t, key);
}

/* ---- a reference ---- */

int vt_verify(cvm_turn *t, const cvm_msg *m)
{
    char key[64];
    const json_t *entry;
    const char *reference = cvm_json_str(m->data, "reference", "");
    CVM_TRY(vt_check_setup(t, m));
    CVM_TRY(vt_book_find(t, reference, &entry));
    if (!entry) /* another provider may have vended it: "not found" would be too much said */
        return cvm_refuse_with(t, vt_failure("UNKNOWN", "This reference was not vended through VTpass"));
    request_key("look", m->id, key);
    CVM_TRY(cvm_state_put(
        t, key, json_pack("{s:s, s:O}", "reference", reference, "request_id", json_object_get(entry, "request_id"))));
    CVM_TRY(vt_requery(t, "status", cvm_json_str(entry, "request_id", ""), m->id));
    return CVM_PENDING;
}

static const char *status_word(enum vt_action action, bool is_open)
{
    switch (action) {
    case VT_DONE:
        return "delivered";
    case VT_FAILED:
        return "failed";
    case VT_RESEND:
        return is_open ? "pending" : "not_found"; /* it may be on its way yet */
    default:
        return "pending";
    }
}

int vt_status_told(cvm_turn *t, const cvm_msg *m)
{
    char key[64];
    int64_t http_status, kobo;
    cvm_id request;
    const json_t *look, *order, *body = vt_body(m, &http_status);
    const struct vt_decision d = vt_read(VT_REQUERY, http_status, body);
    request_key("look", m->on_behalf, key);
    CVM_TRY(take(t, key, &look));
    if (!look)
        return CVM_OK;
    if (!body || http_status >= 500)
        return vt_settle_unanswered(t, m->on_behalf);
    CVM_TRY(vt_book_by_id(t, cvm_json_str(look, "request_id", ""), &request, &order));
    json_t *reply = json_pack("{s:s, s:O}", "status", status_word(d.action, order != NULL), "reference",
                              json_object_get(look, "reference"));
    if (!reply)
        return CVM_ENOMEM;
    if (d.action == VT_DONE)
        vt_copy(body, reply);
    if (*d.error_code && d.action != VT_DONE) {
        json_object_set_new(reply, "error_code", json_string(d.error_code));
        json_object_set_new(reply, "message", json_string(d.message));
    }
    if (naira_read(json_object_get(body, "amount"), &kobo) == CVM_OK)
        json_object_set_new(reply, "amount_kobo", json_integer(kobo));
    return vt_settle(t, m->on_behalf, CVM_REPLIED, reply);
}

/* ---- our account ---- */

int vt_balance(cvm_turn *t, const cvm_msg *m)
{
    char key[64];
    const char *member = strcmp(m->recipient, VT_POWER) == 0 ? "disco" : "network";
    CVM_TRY(vt_check_setup(t, m));
    request_key("look", m->id, key);
    CVM_TRY(cvm_state_put(t, key, json_pack("{s:s}", member, cvm_json_str(m->data, member, ""))));
    CVM_TRY(vt_ask(t, "balance", "/balance", NULL, NULL, m->id, QUERY_TIMEOUT_MS));
    return CVM_PENDING;
}

int vt_balance_told(cvm_turn *t, const cvm_msg *m)
{
    char key[64];
    int64_t http_status, kobo;
    const json_t *look, *body = vt_body(m, &http_status);
    request_key("look", m->on_behalf, key);
    CVM_TRY(take(t, key, &look));
    const json_t *contents = json_object_get(body, "contents");
    if (!contents)
        contents = json_object_get(body, "content");
    if (!look || http_status != 200 || naira_read(json_object_get(contents, "balance"), &kobo) < 0)
        return vt_settle_unanswered(t, m->on_behalf);
    json_t *reply = json_copy((json_t *)(uintptr_t)look);
    if (!reply)
        return CVM_ENOMEM;
    json_object_set_new(reply, "balance_kobo", json_integer(kobo));
    json_object_set_new(reply, "currency", json_string("NGN"));
    return vt_settle(t, m->on_behalf, CVM_REPLIED, reply);
}

/* What only a network itself knows. The answer is that of a network whose interface has no such part. */
int vt_not_offered(cvm_turn *t, const cvm_msg *m)
{
    (void)m;
    json_t *body = vt_failure("CONFIGURATION", "VTpass does not offer this");
    json_object_set_new(body, "code", json_string("CONFIGURATION"));
    return cvm_refuse_with(t, body);
}

/* ---- meters ---- */

static int ask_meter(cvm_turn *t, const char *call, const json_t *who, const char *type, cvm_id on_behalf)
{
    return vt_ask(t, call, "/merchant-verify",
                  json_pack("{s:O, s:s, s:s}", "billersCode", json_object_get(who, "meter_number"), "serviceID",
                            vt_service(t, cvm_json_str(who, "disco", ""), NULL), "type", type),
                  NULL, on_behalf, cvm_json_int(cvm_settings(t), "validate_timeout_ms", QUERY_TIMEOUT_MS));
}

/* The vendor wants to be told of what type a meter is: PREPAID is tried first, then POSTPAID. */
int vt_validate(cvm_turn *t, const cvm_msg *m)
{
    char key[64];
    const json_t *known = NULL;
    const char *meter = cvm_json_str(m->data, "meter_number", "");
    CVM_TRY(vt_check_setup(t, m));
    CVM_TRY(cache_find(t, meter, &known));
    if (known)
        return cvm_reply(t, m, cvm_json_share(known));
    CVM_TRY(cache_expect(t, m->id, meter));
    request_key("try", m->id, key);
    CVM_TRY(cvm_state_put(t, key,
                          json_pack("{s:s, s:s, s:s}", "meter_number", meter, "disco",
                                    cvm_json_str(m->data, "disco", ""), "type", "prepaid")));
    CVM_TRY(ask_meter(t, "validate", m->data, "prepaid", m->id));
    return CVM_PENDING;
}

int vt_meter_told(cvm_turn *t, const cvm_msg *m)
{
    char key[64];
    bool missing = false;
    int64_t http_status;
    const json_t *asked, *body = vt_body(m, &http_status);
    request_key("try", m->on_behalf, key);
    CVM_TRY(take(t, key, &asked));
    if (!asked)
        return CVM_OK;
    const char *type = cvm_json_str(asked, "type", "prepaid");
    const bool first = strcmp(type, "prepaid") == 0;
    json_t *meter = vt_meter(http_status, body, type, &missing);
    if (missing && first) {
        json_t *next = json_copy((json_t *)(uintptr_t)asked);
        if (!next)
            return CVM_ENOMEM;
        json_object_set_new(next, "type", json_string("postpaid"));
        CVM_TRY(ask_meter(t, "validate", asked, "postpaid", m->on_behalf));
        return cvm_state_put(t, key, next);
    }
    CVM_TRY(cache_arrived(t, m->on_behalf, meter));
    if (meter)
        return vt_settle(t, m->on_behalf, CVM_REPLIED, meter);
    if (missing)
        return vt_settle(t, m->on_behalf, CVM_REFUSED,
                         vt_failure("UNKNOWN_METER", "The distribution company does not know this meter"));
    return vt_settle_unanswered(t, m->on_behalf);
}

int vt_bill_asked(cvm_turn *t, const cvm_msg *m)
{
    CVM_TRY(vt_check_setup(t, m));
    CVM_TRY(ask_meter(t, "bill", m->data, "postpaid", m->id));
    return CVM_PENDING;
}

int vt_bill_told(cvm_turn *t, const cvm_msg *m)
{
    bool missing = false;
    int64_t http_status;
    const json_t *body = vt_body(m, &http_status);
    json_t *bill = vt_bill(http_status, body, &missing);
    if (bill)
        return vt_settle(t, m->on_behalf, CVM_REPLIED, bill);
    if (missing)
        return vt_settle(t, m->on_behalf, CVM_REFUSED,
                         vt_failure("NOT_POSTPAID", "The distribution company knows no such POSTPAID meter"));
    return vt_settle_unanswered(t, m->on_behalf);
}
