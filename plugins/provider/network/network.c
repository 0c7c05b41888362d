/* The mobile networks' vending interfaces: one provider component a network, the same code for all, told apart by their
 * settings. Sells to nobody and keeps no money: it carries one order to one network and says what became of it. Loop
 * thread. */
#include "network.h"

#include <stdio.h>

#define HEADER_MAX 256

static json_t *headers(cvm_turn *t)
{
    char value[HEADER_MAX];
    snprintf(value, sizeof value, "%s${%s}", vendor_setting(t, "key_prefix"), vendor_setting(t, "secret"));
    return json_pack("{s:s}", vendor_setting(t, "key_header"), value);
}

static json_t *order(const cvm_msg *m)
{
    return order_new(cvm_json_str(m->data, "reference", ""), cvm_json_str(m->data, "phone", ""),
                     cvm_json_int(m->data, "amount_kobo", 0));
}

static json_t *vend_body(cvm_turn *t, const cvm_msg *m)
{
    return json_pack("{s:s, s:o, s:s, s:s, s:s*}", "phone_number", cvm_json_str(m->data, "phone", ""), "amount",
                     vendor_naira(cvm_json_int(m->data, "amount_kobo", 0)), "network", vendor_setting(t, "network"),
                     "reference", cvm_json_str(m->data, "reference", ""), "bundle_code",
                     cvm_json_str(m->data, "bundle_code", NULL));
}

static const char *vend_path(const cvm_msg *m)
{
    return json_object_get(m->data, "bundle_code") ? "bundle_path" : "vend_path";
}

static void vend_copy(const json_t *body, json_t *into)
{
    copy_text(body, "transaction_id", into);
}

const struct vendor vendor = {
    .self = "network",
    .number = "phone_number",
    .number_end = "phone_end",
    .timeout_ms = 30000,
    .other_code = "INVALID_NETWORK",
    .say = {.other = "The order is for another network",
            .refused = "The network did not accept the order",
            .late = "The network timed out; try again in a few moments",
            .unsent = "Service temporarily unavailable, try later",
            .duplicate = "The network has processed such an order already",
            .undecided = "The network has not decided the order yet",
            .no_answer = "The network did not answer; try again later"},
    .headers = headers,
    .order = order,
    .vend_body = vend_body,
    .vend_path = vend_path,
    .copy = vend_copy,
};

/* clang-format off */
#define LINE_ROUTES(id)                                                                                                \
    {id, "line_balance", line_balance}, {id, "line.reply", line_balance_told}, {id, "usage", line_usage},              \
    {id, "usage.reply", line_usage_told}, {id, "network_status", line_network},                                        \
    {id, "health.reply", line_network_told}
#define ROUTES(id) VENDOR_ROUTES(id), LINE_ROUTES(id)

static const cvm_component components[] = {
    {.id = "provider.network.mtn", .state_version = 1}, {.id = "provider.network.airtel", .state_version = 1},
    {.id = "provider.network.glo", .state_version = 1}, {.id = "provider.network.9mobile", .state_version = 1}, {0}};

static const cvm_route routes[] = {ROUTES("provider.network.mtn"), ROUTES("provider.network.airtel"),
                                   ROUTES("provider.network.glo"), ROUTES("provider.network.9mobile"), {0}};
/* clang-format on */

CVM_PLUGIN(.name = "network", .version = "1.0.0", .components = components, .routes = routes);
