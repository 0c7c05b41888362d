/* VoucherTreatment: an action of the lifecycle, SEND_VOUCHER. Shows all that an action needs: `describe` says what it
 * is called and what it usually does to a customer's score, `check` who may have it, `apply` gives it, to one customer
 * or to many at once, and how many vouchers there are is kept as state. Dropped into a home it is offered from the next
 * day on. */
#include <cvm/cvm.h>
#include <cvm/json.h>

/* Operation "describe": asked anew each day. */
static int describe(cvm_turn *t, const cvm_msg *m)
{
    const json_t *settings = cvm_settings(t);
    return cvm_reply(t, m,
                     json_pack("{s:[{s:s, s:s, s:s, s:s, s:s, s:O}]}", "treatments", "id", "treatment.send_voucher",
                               "area", "lifecycle", "action", "SEND_VOUCHER", "name", "Voucher", "description",
                               "A voucher by post", "expected", json_object_get(settings, "expected")));
}

static int left(cvm_turn *t, int64_t *ret_left)
{
    int64_t given;
    CVM_TRY(cvm_state_int(t, "given", &given));
    *ret_left = cvm_json_int(cvm_settings(t), "vouchers", 0) - given;
    return CVM_OK;
}

/* Operation "check": as long as there are vouchers, anybody. */
static int check(cvm_turn *t, const cvm_msg *m)
{
    const json_t *customers = json_object_get(m->data, "customers");
    int64_t vouchers;
    CVM_TRY(left(t, &vouchers));
    json_t *verdicts = json_array();
    for (size_t i = 0; i < json_array_size(customers); i++)
        json_array_append_new(verdicts, json_pack("{s:s, s:b}", "customer_id",
                                                  cvm_json_str(json_array_get(customers, i), "customer_id", ""),
                                                  "eligible", (int64_t)i < vouchers));
    return cvm_reply(t, m, json_pack("{s:o}", "verdicts", verdicts));
}

/* Operation "apply": all of them or none. */
static int apply(cvm_turn *t, const cvm_msg *m)
{
    const json_t *customers = json_object_get(m->data, "customers");
    int64_t n = customers ? (int64_t)json_array_size(customers) : 1, vouchers;
    CVM_TRY(left(t, &vouchers));
    if (n > vouchers)
        return cvm_refuse(t, "NO_VOUCHERS", NULL, "There are not enough vouchers left.");
    CVM_TRY(cvm_state_put_int(t, "given", cvm_json_int(cvm_settings(t), "vouchers", 0) - vouchers + n));
    return cvm_reply(t, m, json_pack("{s:s, s:I}", "status", "simulated", "applied", (json_int_t)n));
}

static const cvm_component components[] = {{.id = "treatment.send_voucher", .state_version = 1}, {0}};
static const cvm_route routes[] = {{"treatment.send_voucher", "describe", describe},
                                   {"treatment.send_voucher", "check", check},
                                   {"treatment.send_voucher", "apply", apply},
                                   {0}};
CVM_PLUGIN(.name = "voucher", .version = "1.0.0", .components = components, .routes = routes);
