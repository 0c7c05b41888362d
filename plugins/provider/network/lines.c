/* See network.h. What a network answers is checked member by member: nothing else of it goes on. */
#include "network.h"

#define QUERY_TIMEOUT_MS 10000
#define ITEMS_MAX 50
#define MB_MAX INT64_C(100000000)

static int ask(cvm_turn *t, const cvm_msg *m, const char *call, const char *path_setting)
{
    CVM_TRY(vendor_check_setup(t, m, path_setting));
    CVM_TRY(vendor_ask(t, call, path_setting, NULL,
                       json_pack("{s:s*}", "phone_number", cvm_json_str(m->data, "phone", NULL)), m->id,
                       QUERY_TIMEOUT_MS));
    return CVM_PENDING;
}

/* The body of a good answer, borrowed; NULL: the request was settled, *ret_error says how. */
static const json_t *body_of(cvm_turn *t, const cvm_msg *m, int *ret_error)
{
    const json_t *body = json_object_get(m->data, "body");
    int64_t status = cvm_json_int(m->data, "status", 0);
    *ret_error = CVM_OK;
    if (m->outcome == CVM_REPLIED && status == 200 && json_is_object(body))
        return body;
    if (m->outcome == CVM_REPLIED && (status == 400 || status == 404) && json_is_object(body)) {
        struct answer a = refusal_read(body);
        *ret_error = vendor_settle_failure(t, m->on_behalf, CVM_REFUSED, a.code, a.message);
    } else {
        *ret_error = vendor_settle_unanswered(t, m->on_behalf);
    }
    return NULL;
}

static int64_t mb_of(const json_t *object, const char *member)
{
    int64_t mb = cvm_json_int(object, member, -1);
    return mb < 0 || mb > MB_MAX ? -1 : mb;
}

/* ---- data ---- */

int line_balance(cvm_turn *t, const cvm_msg *m)
{
    return ask(t, m, "line", "line_path");
}

int line_balance_told(cvm_turn *t, const cvm_msg *m)
{
    int e;
    const json_t *body = body_of(t, m, &e), *given = json_object_get(body, "bundles");
    if (!body)
        return e;
    int64_t left = mb_of(body, "data_mb");
    if (left < 0)
        return vendor_settle_unanswered(t, m->on_behalf);
    json_t *bundles = json_array();
    for (size_t i = 0; i < json_array_size(given) && i < ITEMS_MAX; i++) {
        const json_t *one = json_array_get(given, i);
        json_t *copy = json_object();
        copy_text(one, "bundle_code", copy);
        copy_text(one, "activated_at", copy);
        copy_text(one, "expires_at", copy);
        json_object_set_new(copy, "size_mb", json_integer(mb_of(one, "size_mb")));
        json_object_set_new(copy, "left_mb", json_integer(mb_of(one, "left_mb")));
        json_array_append_new(bundles, copy);
    }
    return vendor_settle(t, m->on_behalf, CVM_REPLIED,
                         json_pack("{s:s, s:I, s:o}", "network", vendor_setting(t, "network"), "data_mb",
                                   (json_int_t)left, "bundles", bundles));
}

/* ---- usage ---- */

/* [{text, "used_mb"}] of an answer's list. Gives; *ret_sum is what was used in all. */
static json_t *used(const json_t *given, const char *text, int64_t *ret_sum)
{
    json_t *list = json_array();
    int64_t sum = 0;
    for (size_t i = 0; i < json_array_size(given) && i < ITEMS_MAX; i++) {
        const json_t *one = json_array_get(given, i);
        int64_t mb = mb_of(one, "used_mb");
        if (mb < 0 || !has_text(one, text))
            continue;
        json_t *copy = json_pack("{s:I}", "used_mb", (json_int_t)mb);
        copy_text(one, text, copy);
        json_array_append_new(list, copy);
        sum += mb;
    }
    *ret_sum = sum;
    return list;
}

int line_usage(cvm_turn *t, const cvm_msg *m)
{
    return ask(t, m, "usage", "usage_path");
}

int line_usage_told(cvm_turn *t, const cvm_msg *m)
{
    int e;
    int64_t sum, ignored;
    const json_t *body = body_of(t, m, &e);
    if (!body)
        return e;
    json_t *days = used(json_object_get(body, "days"), "date", &sum);
    size_t n = json_array_size(days);
    if (n == 0) {
        json_decref(days);
        return vendor_settle_unanswered(t, m->on_behalf);
    }
    json_t *apps = used(json_object_get(body, "by_app"), "app", &ignored);
    return vendor_settle(t, m->on_behalf, CVM_REPLIED,
                         json_pack("{s:s, s:o, s:o, s:I}", "network", vendor_setting(t, "network"), "days", days,
                                   "by_app", apps, "average_mb", (json_int_t)((sum + (int64_t)n / 2) / (int64_t)n)));
}

/* ---- the network itself ---- */

int line_network(cvm_turn *t, const cvm_msg *m)
{
    return ask(t, m, "health", "status_path");
}

int line_network_told(cvm_turn *t, const cvm_msg *m)
{
    static const char *const known[] = {"ok", "degraded", "outage"};
    int e;
    const json_t *body = body_of(t, m, &e);
    if (!body)
        return e;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strcmp(cvm_json_str(body, "status", ""), known[i]) != 0)
            continue;
        json_t *reply = json_pack("{s:s, s:s}", "network", vendor_setting(t, "network"), "status", known[i]);
        copy_text(body, "message", reply);
        return vendor_settle(t, m->on_behalf, CVM_REPLIED, reply);
    }
    return vendor_settle_unanswered(t, m->on_behalf);
}
