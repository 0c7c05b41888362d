/* The named stores, turn by turn. */
#include "../../plugins/support/stores/stores.h"

#include <check.h>
#include <cvm/harness.h>
#include <stdlib.h>

#define CUSTOMERS "support.customer_state"

static struct harness *started(void)
{
    struct harness *h = harness_new(0);
    harness_add(h, &cvm_plugin, STORES_MANIFEST);
    harness_run(h, 0);
    return h;
}

static int64_t put(struct harness *h, const char *key, json_t *value)
{
    const json_t *r;
    ck_assert_int_eq(harness_ask(h, CUSTOMERS, "put", json_pack("{s:s, s:o}", "key", key, "value", value), &r),
                     CVM_REPLIED);
    return cvm_json_int(r, "version", -1);
}

static void refused(struct harness *h, const char *type, json_t *data, const char *code)
{
    const json_t *r;
    ck_assert_int_eq(harness_ask(h, CUSTOMERS, type, data, &r), CVM_REFUSED);
    ck_assert_str_eq(cvm_json_str(r, "code", ""), code);
    ck_assert(*cvm_json_str(r, "message", ""));
}

START_TEST(keeps_versions)
{
    struct harness *h = started();
    const json_t *r;
    ck_assert_int_eq(put(h, "K", json_integer(1)), 1);
    ck_assert_int_eq(put(h, "K", json_pack("{s:i}", "a", 2)), 2);
    ck_assert_int_eq(
        harness_ask(h, CUSTOMERS, "get", json_pack("{s:s, s:s}", "store", "customer-state", "key", "K"), &r),
        CVM_REPLIED);
    ck_assert_int_eq(cvm_json_int(r, "version", 0), 2);
    ck_assert_int_eq(cvm_json_int(json_object_get(r, "value"), "a", 0), 2);
    ck_assert_str_eq(cvm_json_str(r, "store", ""), "customer-state");
    ck_assert_str_eq(cvm_json_str(r, "updated_at", ""), "2026-01-01T00:00:00.000Z");
    refused(h, "put", json_pack("{s:s, s:i, s:i}", "key", "K", "value", 3, "if_version", 1), "CONFLICT");
    refused(h, "put", json_pack("{s:s, s:i, s:i}", "key", "K", "value", 3, "if_version", 0), "CONFLICT");
    refused(h, "put", json_pack("{s:s, s:i, s:i}", "key", "NEW", "value", 3, "if_version", 1), "CONFLICT");
    refused(h, "delete", json_pack("{s:s, s:i}", "key", "K", "if_version", 1), "CONFLICT");
    ck_assert_int_eq(
        harness_ask(h, CUSTOMERS, "put", json_pack("{s:s, s:i, s:i}", "key", "K", "value", 3, "if_version", 2), &r),
        CVM_REPLIED);
    ck_assert_int_eq(harness_ask(h, CUSTOMERS, "delete", json_pack("{s:s, s:i}", "key", "K", "if_version", 3), &r),
                     CVM_REPLIED);
    refused(h, "get", json_pack("{s:s}", "key", "K"), "NOT_FOUND");
    refused(h, "delete", json_pack("{s:s}", "key", "K"), "NOT_FOUND");
    ck_assert_int_eq(put(h, "K", json_null()), 4); /* no version stands for two values */
    harness_free(h);
}
END_TEST

START_TEST(knows_its_limits)
{
    struct harness *h = started();
    const json_t *r;
    char *text = malloc(70000), key[200] = "";
    memset(text, 'x', 70000);
    text[CVM_STATE_VALUE_MAX_BYTES - 2] = '\0'; /* two quotation marks belong to it */
    ck_assert_int_eq(put(h, "LARGE", json_string(text)), 1);
    ck_assert_int_eq(harness_ask(h, CUSTOMERS, "get", json_pack("{s:s}", "key", "LARGE"), &r), CVM_REPLIED);
    ck_assert_uint_eq(json_string_length(json_object_get(r, "value")), CVM_STATE_VALUE_MAX_BYTES - 2);
    text[CVM_STATE_VALUE_MAX_BYTES - 2] = 'x';
    text[CVM_STATE_VALUE_MAX_BYTES - 1] = '\0';
    refused(h, "put", json_pack("{s:s, s:s}", "key", "LARGE", "value", text), "TOO_LARGE");
    free(text);
    for (int i = 0; i < 64; i++)
        strncat(key, "é", 3); /* 64 characters, 128 bytes */
    refused(h, "put", json_pack("{s:s, s:i}", "key", key, "value", 1), "TOO_LARGE");
    key[126] = '\0';
    ck_assert_int_eq(put(h, key, json_true()), 1);
    refused(h, "get", json_pack("{s:s, s:s}", "store", "system-state", "key", "K"), "WRONG_STORE");
    harness_free(h);
}
END_TEST

static json_t *wanted(const char *store, const char *key)
{
    return json_pack("{s:s, s:s}", "store", store, "key", key);
}

/* Of one store and of several, found or not, in the order in which they were asked for. */
START_TEST(gives_several)
{
    struct harness *h = started();
    const json_t *r, *found;
    put(h, "K", json_pack("{s:i}", "a", 2));
    ck_assert_int_eq(harness_ask(h, CUSTOMERS, "get_several", wanted("customer-state", "K"), &r), CVM_REPLIED);
    ck_assert_uint_eq(json_array_size(json_object_get(r, "found")), 1);
    json_t *ask = wanted("customer-state", "K");
    json_object_set_new(ask, "then",
                        json_pack("[o, o, o]", wanted("system-state", "K"), wanted("customer-state", "NONE"),
                                  wanted("customer-state", "K")));
    ck_assert_int_eq(harness_ask(h, CUSTOMERS, "get_several", ask, &r), CVM_REPLIED);
    found = json_object_get(r, "found");
    ck_assert_uint_eq(json_array_size(found), 4);
    for (size_t i = 0; i < 4; i += 3) {
        const json_t *one = json_array_get(found, i);
        ck_assert_int_eq(cvm_json_int(json_object_get(one, "value"), "a", 0), 2);
        ck_assert_int_eq(cvm_json_int(one, "version", 0), 1);
        ck_assert_str_eq(cvm_json_str(one, "updated_at", ""), "2026-01-01T00:00:00.000Z");
    }
    ck_assert_str_eq(cvm_json_str(json_array_get(found, 1), "store", ""), "system-state");
    ck_assert_str_eq(cvm_json_str(json_array_get(found, 1), "code", ""), "NOT_FOUND");
    ck_assert_str_eq(cvm_json_str(json_array_get(found, 2), "key", ""), "NONE");
    ck_assert_ptr_null(json_object_get(json_array_get(found, 2), "value"));
    ask = wanted("customer-state", "K");
    json_object_set_new(ask, "then", json_pack("[o]", wanted("no-such-store", "K")));
    refused(h, "get_several", ask, "NOT_AVAILABLE");
    harness_free(h);
}
END_TEST

START_TEST(lists_in_pages)
{
    struct harness *h = started();
    const json_t *r, *items;
    static const char *const keys[] = {"b/3", "a/1", "b/1", "c", "b/2"};
    for (size_t i = 0; i < 5; i++)
        put(h, keys[i], json_integer((json_int_t)i));
    ck_assert_int_eq(harness_ask(h, CUSTOMERS, "list", json_pack("{s:s, s:i}", "prefix", "b/", "limit", 2), &r),
                     CVM_REPLIED);
    items = json_object_get(r, "items");
    ck_assert_uint_eq(json_array_size(items), 2);
    ck_assert_str_eq(cvm_json_str(json_array_get(items, 1), "key", ""), "b/2");
    ck_assert(cvm_json_bool(r, "more", false));
    ck_assert_int_eq(harness_ask(h, CUSTOMERS, "list", json_pack("{s:s, s:s}", "prefix", "b/", "after", "b/2"), &r),
                     CVM_REPLIED);
    items = json_object_get(r, "items");
    ck_assert_uint_eq(json_array_size(items), 1);
    ck_assert_int_eq(cvm_json_int(json_array_get(items, 0), "version", 0), 1);
    ck_assert(!cvm_json_bool(r, "more", true));
    ck_assert_int_eq(harness_ask(h, "support.system_state", "list", NULL, &r), CVM_REPLIED); /* each its own */
    ck_assert_uint_eq(json_array_size(json_object_get(r, "items")), 0);
    harness_free(h);
}
END_TEST

START_TEST(the_registry_follows_the_manifests)
{
    struct harness *h = started();
    const json_t *r, *value;
    harness_state_put(h, REGISTRY, "v/gone.agent", 1, json_object());
    harness_state_put(h, REGISTRY, "m/gone.agent", 1, json_pack("{s:i, s:i}", "version", 7, "at_ms", 0));
    harness_send(h, REGISTRY, "host.registry", "topic", NULL);
    harness_run(h, 0);
    ck_assert_int_eq(harness_ask(h, REGISTRY, "list", NULL, &r), CVM_REPLIED);
    ck_assert_uint_eq(json_array_size(json_object_get(r, "items")), 6);
    ck_assert_int_eq(harness_ask(h, REGISTRY, "get", json_pack("{s:s}", "key", CUSTOMERS), &r), CVM_REPLIED);
    ck_assert_int_eq(cvm_json_int(r, "version", 0), 1); /* nothing has changed */
    value = json_object_get(r, "value");
    ck_assert_str_eq(cvm_json_str(value, "alias", ""), "customer-state");
    ck_assert_str_eq(cvm_json_str(value, "version", ""), "1.0.0");
    ck_assert_uint_eq(json_array_size(json_object_get(value, "operations")), 5);
    ck_assert_int_eq(harness_ask(h, REGISTRY, "put", json_pack("{s:s, s:i}", "key", "x", "value", 1), &r), CVM_REFUSED);
    ck_assert_str_eq(cvm_json_str(r, "code", ""), "READ_ONLY");
    harness_free(h);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("stores");
    TCase *c = tcase_create("stores");
    tcase_add_test(c, keeps_versions);
    tcase_add_test(c, knows_its_limits);
    tcase_add_test(c, gives_several);
    tcase_add_test(c, lists_in_pages);
    tcase_add_test(c, the_registry_follows_the_manifests);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
