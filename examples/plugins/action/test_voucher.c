/* VoucherTreatment without a host: what it says of itself, and that no more vouchers are given than there are. */
#include <cvm/harness.h>

#define VOUCHER "treatment.send_voucher"

int main(void)
{
    struct harness *h = harness_new(0);
    const json_t *answer = NULL;
    harness_add(h, &cvm_plugin, "voucher.json");
    json_object_set_new(harness_settings(h, VOUCHER), "vouchers", json_integer(2));

    HARNESS_CHECK(harness_ask(h, VOUCHER, "describe", NULL, &answer) == CVM_REPLIED);
    const json_t *one = json_array_get(json_object_get(answer, "treatments"), 0);
    HARNESS_CHECK(strcmp(cvm_json_str(one, "action", ""), "SEND_VOUCHER") == 0);
    HARNESS_CHECK(json_is_object(json_object_get(one, "expected")));

    HARNESS_CHECK(harness_ask(h, VOUCHER, "check", json_pack("{s:[{s:s}]}", "customers", "customer_id", "A"),
                              &answer) == CVM_REPLIED);
    HARNESS_CHECK(cvm_json_bool(json_array_get(json_object_get(answer, "verdicts"), 0), "eligible", false));

    HARNESS_CHECK(harness_ask(h, VOUCHER, "apply",
                              json_pack("{s:[{s:s}, {s:s}]}", "customers", "customer_id", "A", "customer_id", "B"),
                              &answer) == CVM_REPLIED);
    HARNESS_CHECK(cvm_json_int(answer, "applied", 0) == 2);
    int ended = harness_ask(h, VOUCHER, "apply", json_pack("{s:s}", "customer_id", "C"), &answer);
    HARNESS_CHECK(ended == CVM_REFUSED && strcmp(cvm_json_str(answer, "code", ""), "NO_VOUCHERS") == 0);

    harness_free(h);
    return harness_finish();
}
