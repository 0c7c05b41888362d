/* Which request id a reference has, and which request an id belongs to while its vend is open. Owns the state keys
 * ref/<reference> (kept for `keep_days`, so that a later question about the reference can be asked), ref-at/<time>/..,
 * by which old ones go a few at a time, vend/<request> and rid/<request id>. Loop thread. */
#include "vtpass.h"

#include <stdio.h>

#define PURGE_BATCH 4
#define DAY_MS INT64_C(86400000)

static void request_key(cvm_id request, char key[64])
{
    snprintf(key, 64, "vend/%016" PRIx64 "%016" PRIx64, request.hi, request.lo);
}

static int find(cvm_turn *t, const char *key, const json_t **ret_value)
{
    *ret_value = NULL;
    int e = cvm_state_get(t, key, ret_value);
    return e == CVM_ENOENT ? CVM_OK : e;
}

int vt_book_find(cvm_turn *t, const char *reference, const json_t **ret_entry)
{
    char key[CVM_STATE_KEY_MAX + 1];
    snprintf(key, sizeof key, "ref/%.96s", reference);
    return find(t, key, ret_entry);
}

static int purge(cvm_turn *t)
{
    json_t *pairs = NULL;
    const int64_t keep_ms = cvm_json_int(cvm_settings(t), "keep_days", 35) * DAY_MS;
    CVM_TRY(cvm_state_scan(t, "ref-at/", NULL, PURGE_BATCH, &pairs));
    int e = CVM_OK;
    for (size_t i = 0; i < json_array_size(pairs) && e >= 0; i++) {
        const char *at = json_string_value(json_array_get(json_array_get(pairs, i), 0));
        int64_t at_ms = 0;
        char reference[97] = "", key[CVM_STATE_KEY_MAX + 1];
        if (sscanf(at, "ref-at/%15" SCNd64 "/%96[!-~]", &at_ms, reference) != 2 || at_ms + keep_ms > cvm_now_ms(t))
            break;
        snprintf(key, sizeof key, "ref/%s", reference);
        e = cvm_state_del(t, key);
        if (e >= 0)
            e = cvm_state_del(t, at);
    }
    json_decref(pairs);
    return e;
}

int vt_book_id(cvm_turn *t, const char *reference, char ret_id[VT_REQUEST_ID_SIZE])
{
    char key[CVM_STATE_KEY_MAX + 1];
    const json_t *known = NULL;
    int64_t now = cvm_now_ms(t);
    CVM_TRY(vt_book_find(t, reference, &known));
    if (known) {
        snprintf(ret_id, VT_REQUEST_ID_SIZE, "%s", cvm_json_str(known, "request_id", ""));
        return CVM_OK;
    }
    CVM_TRY(purge(t));
    vt_request_id(now, reference, ret_id);
    snprintf(key, sizeof key, "ref/%.96s", reference);
    CVM_TRY(cvm_state_put(t, key, json_pack("{s:s, s:I}", "request_id", ret_id, "at_ms", (json_int_t)now)));
    snprintf(key, sizeof key, "ref-at/%015" PRId64 "/%.96s", now, reference);
    return cvm_state_put(t, key, json_true());
}

int vt_book_order(cvm_turn *t, cvm_id request, const json_t **ret_order)
{
    char key[64];
    request_key(request, key);
    return find(t, key, ret_order);
}

int vt_book_by_id(cvm_turn *t, const char *request_id, cvm_id *ret_request, const json_t **ret_order)
{
    char key[CVM_STATE_KEY_MAX + 1];
    const json_t *owner;
    *ret_order = NULL;
    snprintf(key, sizeof key, "rid/%.64s", request_id);
    CVM_TRY(find(t, key, &owner));
    if (!owner)
        return CVM_OK;
    *ret_request = (cvm_id){(uint64_t)cvm_json_int(owner, "hi", 0), (uint64_t)cvm_json_int(owner, "lo", 0)};
    return vt_book_order(t, *ret_request, ret_order);
}

int vt_book_put(cvm_turn *t, cvm_id request, json_t *order)
{
    char key[64], owner[CVM_STATE_KEY_MAX + 1];
    snprintf(owner, sizeof owner, "rid/%.64s", cvm_json_str(order, "request_id", ""));
    request_key(request, key);
    CVM_TRY(cvm_state_put(t, key, order));
    return cvm_state_put(t, owner, json_pack("{s:I, s:I}", "hi", (json_int_t)request.hi, "lo", (json_int_t)request.lo));
}

int vt_book_close(cvm_turn *t, cvm_id request, const json_t *order)
{
    char key[64], owner[CVM_STATE_KEY_MAX + 1];
    snprintf(owner, sizeof owner, "rid/%.64s", cvm_json_str(order, "request_id", ""));
    request_key(request, key);
    CVM_TRY(cvm_state_del(t, owner));
    return cvm_state_del(t, key);
}
