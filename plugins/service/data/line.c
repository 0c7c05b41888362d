/* Whose line it is about, and asking its network. Loop thread. */
#include "data.h"

#define LINE_TIMEOUT_MS 15000

void line_of_step(cvm_turn *t, const struct networks *networks, struct line *ret_line)
{
    bool many = false;
    const json_t *entities = step_entities(t), *context = cvm_context(t);
    const json_t *phone = step_only(json_object_get(entities, "phone_numbers"), &many);
    const json_t *network = step_only(json_object_get(entities, "networks"), &many);
    struct line l = {.own = !json_is_string(phone)};
    const char *text = l.own ? cvm_json_str(context, "customer_phone", "") : json_string_value(phone);
    if (phone_normalise(text, l.phone) < 0)
        l.phone[0] = '\0';
    l.own = l.own || strcmp(l.phone, cvm_json_str(context, "customer_phone", "")) == 0;
    if (!json_is_string(network) || network_code(networks, json_string_value(network), l.network) < 0) {
        l.network[0] = '\0';
        if (*l.phone)
            network_of_prefix(networks, l.phone, l.network);
    }
    *ret_line = l;
}

int line_of_request(cvm_turn *t, const cvm_msg *m, const struct networks *networks, struct line *ret_line)
{
    struct line l = {.own = false};
    char known[160], text[260];
    const char *network = cvm_json_str(m->data, "network", ""), *phone = cvm_json_str(m->data, "phone", "");
    if (*phone && phone_normalise(phone, l.phone) < 0)
        return cvm_refuse(t, "PHONE", "phone", "the number must be like 08012345678 or +2348012345678");
    if (*network && network_code(networks, network, l.network) < 0) {
        snprintf(text, sizeof text, "not supported; supported networks: %s",
                 networks_text(networks, known, sizeof known));
        return cvm_refuse(t, "NETWORK", "network", text);
    }
    if (!*network && *phone)
        network_of_prefix(networks, l.phone, l.network);
    if (!*l.network)
        return cvm_refuse(t, "NETWORK", "network", "name the network: the number's prefix does not tell it");
    *ret_line = l;
    return CVM_OK;
}

int line_ask(cvm_turn *t, cvm_id request, const struct line *line, const char *type, json_t *what)
{
    char local[PHONE_SIZE];
    if (!what)
        return CVM_ENOMEM;
    int e = cvm_request(t, "role:network", type,
                        json_pack("{s:s, s:s*}", "network", line->network, "phone", *line->phone ? line->phone : NULL),
                        &(cvm_request_opts){.on_behalf = request, .timeout_ms = LINE_TIMEOUT_MS});
    if (e < 0) {
        json_decref(what);
        return e;
    }
    json_object_set_new(what, "network", json_string(line->network));
    json_object_set_new(what, "phone", json_string(phone_local(line->phone, local)));
    CVM_TRY(pending_put(t, request, what));
    return CVM_PENDING;
}

json_t *line_body(const cvm_msg *m, const json_t *what, const char *figure)
{
    static const char *const lists[] = {"bundles", "days", "by_app"};
    json_t *body = json_pack("{s:s, s:s, s:I}", "network", cvm_json_str(what, "network", ""), "phone",
                             cvm_json_str(what, "phone", ""), figure, (json_int_t)cvm_json_int(m->data, figure, 0));
    bool balance = strcmp(figure, "data_mb") == 0;
    for (size_t i = balance ? 0 : 1; body && i < (balance ? 1 : 3); i++) {
        const json_t *list = json_object_get(m->data, lists[i]);
        json_object_set_new(body, lists[i], json_is_array(list) ? cvm_json_share(list) : json_array());
    }
    return body;
}
