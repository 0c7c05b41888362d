/* Data bundles: the vendor's list of variations of a network, kept for `catalogue_h` hours, and which of them a bundle
 * code of ours is. That is said by the setting `variations`, or the code is the vendor's own; the price must be the
 * vendor's. Owns the state keys bundles/<service> and waits/<request>. Loop thread. */
#include "vtpass.h"

#include <stdio.h>

#define LIST_TIMEOUT_MS 15000
#define HOUR_MS INT64_C(3600000)

static void key_of(const char *kind, cvm_id id, char key[64])
{
    snprintf(key, 64, "%s/%016" PRIx64 "%016" PRIx64, kind, id.hi, id.lo);
}

/* The list that is kept, borrowed; NULL: none. *ret_fresh: not too old. */
static int kept(cvm_turn *t, const char *service, const json_t **ret_list, bool *ret_fresh)
{
    char key[CVM_STATE_KEY_MAX + 1];
    const json_t *entry = NULL;
    const int64_t hours = cvm_json_int(cvm_settings(t), "catalogue_h", 24);
    snprintf(key, sizeof key, "bundles/%.64s", service);
    int e = cvm_state_get(t, key, &entry);
    if (e < 0 && e != CVM_ENOENT)
        return e;
    *ret_list = json_object_get(entry, "list");
    *ret_fresh = entry && cvm_json_int(entry, "at_ms", 0) + hours * HOUR_MS > cvm_now_ms(t);
    return CVM_OK;
}

/* Takes `list`. */
static int keep(cvm_turn *t, const char *service, json_t *list)
{
    char key[CVM_STATE_KEY_MAX + 1];
    snprintf(key, sizeof key, "bundles/%.64s", service);
    return cvm_state_put(t, key, json_pack("{s:I, s:o}", "at_ms", (json_int_t)cvm_now_ms(t), "list", list));
}

static int ask_list(cvm_turn *t, const char *call, const char *service, cvm_id on_behalf)
{
    return vt_ask(t, call, "/service-variations", NULL, json_pack("{s:s}", "serviceID", service), on_behalf,
                  LIST_TIMEOUT_MS);
}

/* ---- a vend ---- */

/* Takes `order`. */
static int send(cvm_turn *t, cvm_id request, int64_t deadline_ms, const char *code, const json_t *list, json_t *order)
{
    const json_t *variation = json_object_get(list, code);
    const char *wrong = !variation ? "VTpass has no such bundle"
                        : json_integer_value(json_array_get(variation, 0)) != cvm_json_int(order, "amount_kobo", 0)
                            ? "VTpass has another price for this bundle"
                            : NULL;
    if (wrong) {
        json_decref(order);
        return vt_settle(t, request, CVM_REFUSED, vt_failure("INVALID_BUNDLE", wrong));
    }
    json_object_set_new(json_object_get(order, "body"), "variation_code", json_string(code));
    return vt_send_order(t, request, deadline_ms, order);
}

int vt_bundle_order(cvm_turn *t, const cvm_msg *m, const char *bundle_code, json_t *order)
{
    char key[64];
    bool fresh = false;
    const json_t *list;
    const json_t *map =
        json_object_get(json_object_get(cvm_settings(t), "variations"), cvm_json_str(m->data, "network", ""));
    const char *code = cvm_json_str(map, bundle_code, bundle_code), *service = cvm_json_str(order, "service", "");
    int e = order ? kept(t, service, &list, &fresh) : CVM_ENOMEM;
    if (e >= 0 && fresh)
        return send(t, m->id, m->deadline_ms, code, list, order);
    if (e >= 0)
        e = ask_list(t, "variations", service, m->id);
    if (e < 0) {
        json_decref(order);
        return e;
    }
    key_of("waits", m->id, key);
    CVM_TRY(cvm_state_put(
        t, key, json_pack("{s:s, s:I, s:o}", "code", code, "deadline_ms", (json_int_t)m->deadline_ms, "order", order)));
    return CVM_PENDING;
}

int vt_variations_told(cvm_turn *t, const cvm_msg *m)
{
    char key[64];
    bool fresh;
    int64_t http_status;
    const json_t *waits = NULL, *list = NULL, *body = vt_body(m, &http_status);
    key_of("waits", m->on_behalf, key);
    int e = cvm_state_get(t, key, &waits);
    if (e < 0)
        return e == CVM_ENOENT ? CVM_OK : e;
    json_t *order = json_deep_copy(json_object_get(waits, "order")), *told = vt_variations(http_status, body);
    const char *service = cvm_json_str(order, "service", "");
    CVM_TRY(cvm_state_del(t, key));
    e = told ? keep(t, service, told) : CVM_OK;
    if (e >= 0)
        e = kept(t, service, &list, &fresh); /* an old list is better than none */
    if (e < 0 || !list) {
        json_decref(order);
        return e < 0 ? e
                     : vt_settle(t, m->on_behalf, CVM_REFUSED,
                                 vt_failure("CONNECTION_ERROR", "VTpass does not say what bundles there are"));
    }
    e = send(t, m->on_behalf, cvm_json_int(waits, "deadline_ms", 0), cvm_json_str(waits, "code", ""), list, order);
    return e < 0 ? e : CVM_OK;
}

/* The vendor says that a list has changed: the next vend asks for it. */
int vt_variations_update(cvm_turn *t, const cvm_msg *m)
{
    char key[CVM_STATE_KEY_MAX + 1];
    const json_t *entry = NULL;
    if (m->requires_response)
        CVM_TRY(vt_settle(t, m->id, CVM_REPLIED, NULL));
    snprintf(key, sizeof key, "bundles/%.64s", cvm_json_str(m->data, "service", ""));
    int e = cvm_state_get(t, key, &entry);
    if (e < 0)
        return e == CVM_ENOENT ? CVM_OK : e;
    json_t *old = json_copy((json_t *)(uintptr_t)entry);
    if (!old)
        return CVM_ENOMEM;
    json_object_set_new(old, "at_ms", json_integer(0));
    return cvm_state_put(t, key, old);
}

/* ---- for people ---- */

int vt_bundles(cvm_turn *t, const cvm_msg *m)
{
    char key[64];
    CVM_TRY(vt_check_setup(t, m));
    const char *service = vt_service(t, cvm_json_str(m->data, "network", ""), "data");
    if (!*service)
        return cvm_refuse_with(t, vt_failure("INVALID_NETWORK", "VTpass sells no bundles for the network"));
    key_of("waits", m->id, key);
    CVM_TRY(ask_list(t, "bundles", service, m->id));
    CVM_TRY(cvm_state_put(t, key, json_string(service)));
    return CVM_PENDING;
}

int vt_bundles_told(cvm_turn *t, const cvm_msg *m)
{
    char key[64];
    int64_t http_status;
    const char *code;
    json_t *entry;
    const json_t *service = NULL, *body = vt_body(m, &http_status);
    key_of("waits", m->on_behalf, key);
    int e = cvm_state_get(t, key, &service);
    if (e < 0)
        return e == CVM_ENOENT ? CVM_OK : e;
    json_t *list = vt_variations(http_status, body);
    CVM_TRY(cvm_state_del(t, key));
    if (!list)
        return vt_settle_unanswered(t, m->on_behalf);
    json_t *reply = json_pack("{s:O, s:[]}", "service", service, "bundles");
    json_object_foreach(list, code, entry)
        json_array_append_new(json_object_get(reply, "bundles"),
                              json_pack("{s:s, s:O, s:o}", "code", code, "name", json_array_get(entry, 1), "price",
                                        cvm_money_to_json(json_integer_value(json_array_get(entry, 0)))));
    e = keep(t, json_string_value(service), list);
    if (e < 0) {
        json_decref(reply);
        return e;
    }
    return vt_settle(t, m->on_behalf, CVM_REPLIED, reply);
}
