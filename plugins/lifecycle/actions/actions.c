/* The actions of the lifecycle, each a treatment of its own: treatment.send_discount, .. and treatment.no_action. What
 * an action is called, says and usually does stands in its settings. Acting is simulated: a message leaves only where
 * the request names a channel and the customer has an address there. Keeps nothing. Loop thread. */
#include <cvm/cvm.h>
#include <cvm/json.h>

#include <stdio.h>

#define REFERENCE_MAX 100

static int describe(cvm_turn *t, const cvm_msg *m)
{
    const json_t *s = cvm_settings(t);
    return cvm_reply(t, m,
                     json_pack("{s:[{s:s, s:s, s:s, s:s, s:s, s:O*}]}", "treatments", "id", m->recipient, "area",
                               "lifecycle", "action", cvm_json_str(s, "action", ""), "name",
                               cvm_json_str(s, "name", ""), "description", cvm_json_str(s, "description", ""),
                               "expected", json_object_get(s, "expected")));
}

/* Nobody is kept from any of them. */
static int check(cvm_turn *t, const cvm_msg *m)
{
    const json_t *customers = json_object_get(m->data, "customers");
    json_t *verdicts = json_array();
    for (size_t i = 0; i < json_array_size(customers); i++) {
        const json_t *one = json_array_get(customers, i), *facts = json_object_get(one, "facts");
        json_array_append_new(verdicts, json_pack("{s:s, s:b}", "customer_id",
                                                  cvm_json_str(facts ? facts : one, "customer_id", ""), "eligible", 1));
    }
    return cvm_reply(t, m, json_pack("{s:o}", "verdicts", verdicts));
}

/* What a channel takes: up to 100 visible characters, other ones by their hash (FNV-1a). */
static void make_reference(const char *application, const char *customer, char *ret_reference, size_t size)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    bool plain = snprintf(ret_reference, size, "%s:%s", application, customer) <= REFERENCE_MAX;
    for (const char *s = ret_reference; *s; s++) {
        plain = plain && *s > ' ' && *s <= '~';
        hash = (hash ^ (unsigned char)*s) * UINT64_C(0x100000001b3);
    }
    if (!plain)
        snprintf(ret_reference, size, "lifecycle:%016llx", (unsigned long long)hash);
}

/* 1: it is on its way to one customer; 0: it is simulated. */
static int deliver(cvm_turn *t, const cvm_msg *m, const json_t *customer)
{
    char reference[400];
    const char *channel = cvm_json_str(m->data, "channel", ""), *to = cvm_json_str(customer, "to", ""),
               *text = cvm_json_str(m->data, "text", cvm_json_str(cvm_settings(t), "text", ""));
    if (!*channel || !*to || !*text)
        return 0;
    make_reference(cvm_json_str(m->data, "application_id", m->conversation), cvm_json_str(customer, "customer_id", ""),
                   reference, sizeof reference);
    CVM_TRY(cvm_request(t, "role:channel", "deliver",
                        json_pack("{s:s, s:s, s:s, s:s, s:s}", "channel", channel, "to", to, "subject",
                                  cvm_json_str(cvm_settings(t), "name", ""), "text", text, "reference", reference),
                        NULL));
    return 1;
}

static int apply(cvm_turn *t, const cvm_msg *m)
{
    const json_t *customers = json_object_get(m->data, "customers");
    size_t n = customers ? json_array_size(customers) : 1;
    int64_t sent = 0;
    for (size_t i = 0; i < n; i++) {
        int e = deliver(t, m, customers ? json_array_get(customers, i) : m->data);
        CVM_TRY(e);
        sent += e;
    }
    return cvm_reply(t, m,
                     json_pack("{s:s, s:s, s:I, s:I}", "status", sent ? "sent" : "simulated", "action",
                               cvm_json_str(cvm_settings(t), "action", ""), "applied", (json_int_t)n, "sent",
                               (json_int_t)sent));
}

static int delivered(cvm_turn *t, const cvm_msg *m)
{
    if (m->outcome != CVM_REPLIED)
        cvm_log(t, CVM_LOG_WARNING, "a message was not delivered: %s", cvm_json_str(m->data, "code", "no answer"));
    return CVM_OK;
}

/* clang-format off */
#define ACTION(name) {.id = "treatment." name, .state_version = 1}
#define ROUTES(id) {"treatment." id, "describe", describe}, {"treatment." id, "check", check}, {"treatment." id, "apply", apply}
#define SENDS(id) ROUTES(id), {"treatment." id, "deliver.reply", delivered}
static const cvm_component components[] = {
    ACTION("send_discount"), ACTION("send_tutorial"), ACTION("send_reminder"), ACTION("grant_loyalty_points"), ACTION("offer_upgrade"),
    ACTION("schedule_call"), ACTION("send_survey"), ACTION("send_feature_highlight"), ACTION("no_action"), {0}};
static const cvm_route routes[] = {
    SENDS("send_discount"), SENDS("send_tutorial"), SENDS("send_reminder"), SENDS("grant_loyalty_points"), SENDS("offer_upgrade"),
    SENDS("schedule_call"), SENDS("send_survey"), SENDS("send_feature_highlight"), ROUTES("no_action"), {0}};
/* clang-format on */

CVM_PLUGIN(.name = "actions", .version = "1.0.0", .components = components, .routes = routes);
