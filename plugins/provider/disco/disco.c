/* The electricity distribution companies' interfaces: one provider component a company, the same code for all, told
 * apart by their settings. Sells to nobody and keeps no money: it carries one order to one company and says what became
 * of it, and asks about meters and bills. Meters that were found are remembered for an hour; see
 * ../common/meter_cache.c. Loop thread.
 */
#include "disco.h"

#include <stdio.h>

#define VALIDATE_TIMEOUT_MS 15000 /* of a validation or bill query */
#define HEADER_MAX 256

static json_t *headers(cvm_turn *t)
{
    char value[HEADER_MAX];
    snprintf(value, sizeof value, "Bearer ${%s}", vendor_setting(t, "secret"));
    return json_pack("{s:s}", "Authorization", value);
}

/* ---- vends ---- */

static const char *meter_type(const cvm_msg *m)
{
    return cvm_json_str(m->data, "meter_type", "PREPAID");
}

static json_t *order(const cvm_msg *m)
{
    json_t *order = order_new(cvm_json_str(m->data, "reference", ""), cvm_json_str(m->data, "meter_number", ""),
                              cvm_json_int(m->data, "amount_kobo", 0));
    json_object_set_new(order, "postpaid", json_boolean(strcmp(meter_type(m), "POSTPAID") == 0));
    return order;
}

static json_t *vend_body(cvm_turn *t, const cvm_msg *m)
{
    (void)t;
    return json_pack("{s:s, s:o, s:s, s:s}", "meter_number", cvm_json_str(m->data, "meter_number", ""), "amount",
                     vendor_naira(cvm_json_int(m->data, "amount_kobo", 0)), "meter_type", meter_type(m), "reference",
                     cvm_json_str(m->data, "reference", ""));
}

const struct vendor vendor = {
    .self = "disco",
    .number = "meter_number",
    .number_end = "meter_end",
    .timeout_ms = 45000,
    .other_code = "INVALID_DISCO",
    .say = {.other = "The request is for another distribution company",
            .refused = "The distribution company did not accept the order",
            .late = "The distribution company did not answer in time",
            .unsent = "The token service is not available at the moment",
            .duplicate = "The distribution company has processed such an order already",
            .undecided = "The distribution company has not decided the order yet",
            .no_answer = "The distribution company did not answer; try again later"},
    .headers = headers,
    .order = order,
    .vend_body = vend_body,
    .whole = vend_whole,
    .copy = vend_copy,
};

/* ---- meters and bills ---- */

static json_t *meter_body(const cvm_msg *m)
{
    return json_pack("{s:s}", "meter_number", cvm_json_str(m->data, "meter_number", ""));
}

static int validate(cvm_turn *t, const cvm_msg *m)
{
    const json_t *known = NULL;
    const char *meter = cvm_json_str(m->data, "meter_number", "");
    CVM_TRY(vendor_check_setup(t, m, "validate_path"));
    CVM_TRY(cache_find(t, meter, &known));
    if (known)
        return cvm_reply(t, m, cvm_json_share(known));
    CVM_TRY(cache_expect(t, m->id, meter));
    CVM_TRY(vendor_ask(t, "validate", "validate_path", meter_body(m), NULL, m->id,
                       cvm_json_int(cvm_settings(t), "validate_timeout_ms", VALIDATE_TIMEOUT_MS)));
    return CVM_PENDING;
}

static int validate_reply(cvm_turn *t, const cvm_msg *m)
{
    json_t *meter = meter_answer_read(m);
    CVM_TRY(cache_arrived(t, m->on_behalf, meter));
    if (meter)
        return vendor_settle(t, m->on_behalf, CVM_REPLIED, meter);
    if (meter_missing(m))
        return vendor_settle_failure(t, m->on_behalf, CVM_REFUSED, "UNKNOWN_METER",
                                     "The distribution company does not know this meter");
    return vendor_settle_unanswered(t, m->on_behalf);
}

static int bill(cvm_turn *t, const cvm_msg *m)
{
    CVM_TRY(vendor_check_setup(t, m, "bill_path"));
    CVM_TRY(vendor_ask(t, "bill", "bill_path", meter_body(m), NULL, m->id,
                       cvm_json_int(cvm_settings(t), "validate_timeout_ms", VALIDATE_TIMEOUT_MS)));
    return CVM_PENDING;
}

static int bill_reply(cvm_turn *t, const cvm_msg *m)
{
    json_t *found = bill_answer_read(m);
    if (found)
        return vendor_settle(t, m->on_behalf, CVM_REPLIED, found);
    if (meter_missing(m)) {
        struct answer a = refusal_read(json_object_get(m->data, "body"));
        return vendor_settle_failure(t, m->on_behalf, CVM_REFUSED, a.code, a.message);
    }
    return vendor_settle_unanswered(t, m->on_behalf);
}

/* clang-format off */
#define DISCOS(X) X("aedc") X("bedc") X("ekedc") X("eedc") X("ibedc") X("ikedc") X("jed") X("kaedco") X("kedco") X("phedc") X("yedc")

#define COMPONENT(code) {.id = "provider.disco." code, .state_version = 1},

#define ROUTES(code) VENDOR_ROUTES("provider.disco." code), \
    {"provider.disco." code, "validate_meter", validate}, {"provider.disco." code, "validate.reply", validate_reply}, \
    {"provider.disco." code, "bill", bill}, {"provider.disco." code, "bill.reply", bill_reply},

static const cvm_component components[] = {DISCOS(COMPONENT) {0}};

static const cvm_route routes[] = {DISCOS(ROUTES) {0}};
/* clang-format on */

CVM_PLUGIN(.name = "disco", .version = "1.0.0", .components = components, .routes = routes);
