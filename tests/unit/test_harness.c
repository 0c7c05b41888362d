/* The harness itself: that it keeps and undoes as a host does, holds a plugin to its manifest, and tells a test that is
 * wrong so. */
#include <check.h>
#include <cvm/harness.h>
#include <signal.h>
#include <stdlib.h>

#define A "test.a"
#define B "test.b"

/* ---- a plugin of two components ---- */

static int add(cvm_turn *t, const cvm_msg *m) /* adds, then does what it is told */
{
    const char *then = cvm_json_str(m->data, "then", "");
    int64_t n;
    CVM_TRY(cvm_state_int(t, "n", &n));
    CVM_TRY(cvm_state_put_int(t, "n", n + 1));
    CVM_TRY(cvm_context_set(t, "/seen/last", json_integer(n + 1)));
    CVM_TRY(cvm_row_put(t, "things", json_pack("{s:s, s:I}", "id", "one", "n", (json_int_t)(n + 1))));
    CVM_TRY(cvm_send(t, B, "hear", NULL));
    CVM_TRY(cvm_timer(t, "tick", 1000, NULL, (cvm_id){0, 0}, NULL));
    if (!strcmp(then, "refuse"))
        return cvm_refuse(t, "NO", "then", "It was told to.");
    if (!strcmp(then, "fail"))
        return CVM_EIO;
    if (!strcmp(then, "nothing"))
        return CVM_OK;
    return cvm_reply(t, m, json_pack("{s:I}", "n", (json_int_t)(n + 1)));
}

static int tick(cvm_turn *t, const cvm_msg *m)
{
    (void)m;
    return cvm_publish(t, "test.ticked", NULL);
}

static int look(cvm_turn *t, const cvm_msg *m) /* ephemeral: may change nothing */
{
    int e = cvm_state_put_int(t, "n", 99);
    return cvm_reply(t, m, json_pack("{s:i}", "error", e));
}

static int hand_on(cvm_turn *t, const cvm_msg *m)
{
    CVM_TRY(cvm_forward(t, m->id, B, "answer", cvm_json_share(m->data)));
    return CVM_PENDING;
}

static int ask(cvm_turn *t, const cvm_msg *m)
{
    CVM_TRY(cvm_request(t, cvm_json_str(m->data, "to", ""), "quote", NULL, &(cvm_request_opts){.on_behalf = m->id}));
    return CVM_PENDING;
}

static int asked(cvm_turn *t, const cvm_msg *m)
{
    return cvm_settle(t, m->on_behalf, m->outcome, cvm_json_share(m->data), NULL);
}

static int call(cvm_turn *t, const cvm_msg *m)
{
    cvm_call c = {.size = sizeof c, .name = "fetch", .on_behalf = m->id};
    CVM_TRY(cvm_http_call(t, &c, NULL));
    return CVM_PENDING;
}

static int hear(cvm_turn *t, const cvm_msg *m)
{
    int64_t n;
    (void)m;
    CVM_TRY(cvm_state_int(t, "heard", &n));
    return cvm_state_put_int(t, "heard", n + 1);
}

static int answer(cvm_turn *t, const cvm_msg *m)
{
    return cvm_reply(t, m, json_pack("{s:s}", "by", m->recipient));
}

static int spoil(cvm_turn *t, const cvm_msg *m) /* changes what it has given away */
{
    json_t *value = json_object();
    const json_t *again;
    CVM_TRY(cvm_state_put(t, "spoilt", value));
    json_object_set_new(value, "more", json_true());
    CVM_TRY(cvm_state_get(t, "spoilt", &again));
    return cvm_reply(t, m, NULL);
}

static int upgrade(uint32_t from, const char *key, const json_t *value, json_t **ret_value)
{
    (void)key;
    *ret_value = json_integer(json_integer_value(value) * 10 + from);
    return CVM_OK;
}

/* ---- signatures ---- */

/* RFC 4231, test cases 1 and 6, and what two vendors of webhooks would send. */
static const struct {
    enum cvm_digest digest;
    const char *key, *data, *mac;
} macs[] = {
    {CVM_SHA256, "\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b", "Hi There",
     "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
    {CVM_SHA512, "\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b", "Hi There",
     "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cdedaa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702"
     "e69"
     "6c203a126854"},
    {CVM_SHA256, NULL, "Test Using Larger Than Block-Size Key - Hash Key First",
     "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
    {CVM_SHA512, NULL, "Test Using Larger Than Block-Size Key - Hash Key First",
     "80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f3526b56d037e05f2598bd0fd2215d6a1e5295e64f73f63f0aec8"
     "b91"
     "5a985d786598"},
    {CVM_SHA512, "sk_test_cvmhost",
     "{\"event\":\"charge.success\",\"data\":{\"reference\":\"CVM-1\",\"amount\":500000,\"currency\":\"NGN\","
     "\"status\":"
     "\"success\"}}",
     "3d2cd1365110d6f46220457fb6f3beb70790ae77aee1c283a74491d98ac60037de83d9d1dfcbf188c03c8abacc94e5c44ff990c96ef4ba577"
     "ed0"
     "ef9beaa1aa8b"},
    {CVM_SHA256, "app-secret", "{\"object\":\"whatsapp_business_account\",\"entry\":[]}",
     "d3e4f9da0ce6c71ab3dba55929b8eeeee2455349e534924ead19f98d143e904f"},
};

static int sign(cvm_turn *t, const cvm_msg *m)
{
    char longest[131 + 1], hex[2 * CVM_MAC_MAX + 1] = "";
    uint8_t mac[CVM_MAC_MAX];
    size_t i = (size_t)cvm_json_int(m->data, "which", 0);
    memset(longest, 0xaa, 131);
    longest[131] = '\0';
    const char *key = macs[i].key ? macs[i].key : longest, *data = macs[i].data;
    int n = cvm_hmac(t, macs[i].digest, key, strlen(key), data, strlen(data), mac);
    for (int b = 0; b < n; b++)
        snprintf(hex + 2 * b, 3, "%02x", mac[b]);
    ck_assert_str_eq(hex, macs[i].mac);
    ck_assert_int_eq(cvm_hmac(t, (enum cvm_digest)7, key, 1, data, 1, mac), CVM_EINVAL);
    return cvm_reply(t, m, NULL);
}

static int classify(cvm_turn *t, const cvm_msg *m)
{
    json_t *labels = NULL;
    int e = cvm_classify(t, cvm_json_str(m->data, "model", ""), cvm_json_str(m->data, "text", ""), &labels);
    return cvm_reply(t, m, json_pack("{s:i, s:o*}", "error", e, "labels", labels));
}

/* clang-format off */
static const cvm_component components[] = {{.id = A, .state_version = 2, .upgrade = upgrade}, {.id = B, .state_version = 1}, {0}};
static const cvm_route routes[] = {
    {A, "add", add}, {A, "tick", tick}, {A, "look", look}, {A, "hand_on", hand_on}, {A, "ask", ask}, {A, "quote.reply", asked},
    {A, "call", call}, {A, "fetch.reply", asked}, {A, "spoil", spoil}, {A, "sign", sign}, {A, "classify", classify},
    {B, "hear", hear}, {B, "test.ticked", hear}, {B, "answer", answer}, {0}
};
/* clang-format on */
CVM_PLUGIN(.name = "test", .version = "1.0.0", .components = components, .routes = routes);

static const char manifest[] =
    "{\"name\": \"test\", \"version\": \"1.0.0\", \"components\": ["
    " {\"id\": \"test.a\", \"alias\": \"A\", \"may_send_to\": [\"test.b\", \"role:quotes\"], \"publishes\": "
    "[\"test.ticked\"],"
    "  \"operations\": ["
    "   {\"type\": \"add\", \"request\": {\"type\": \"object\", \"additionalProperties\": false,"
    "     \"properties\": {\"then\": {\"type\": \"string\", \"pattern\": \"^[a-z]+$\", \"title\": \"a small word\"}}}},"
    "   {\"type\": \"look\", \"durable\": false}, {\"type\": \"hand_on\"}, {\"type\": \"ask\"},"
    "   {\"type\": \"call\"}, {\"type\": \"spoil\"}, {\"type\": \"sign\"}, {\"type\": \"classify\"}]},"
    " {\"id\": \"test.b\", \"subscribes\": [\"test.ticked\"], \"operations\": [{\"type\": \"hear\"}, {\"type\": "
    "\"answer\"}]}],"
    " \"needs\": {\"models\": [\"topic\"], \"tables\": [{\"name\": \"things\", \"key\": \"id\", \"schema\": {\"type\": "
    "\"object\"}}],"
    "  \"hosts\": [{\"url\": \"http://outside.example\", \"calls\": [{\"name\": \"fetch\", \"method\": \"GET\", "
    "\"path\": \"/x\"}]}]}}";

static struct harness *h;

static void setup(void)
{
    h = harness_new(1000);
    harness_add(h, &cvm_plugin, manifest);
}

static void teardown(void)
{
    harness_free(h);
}

static int adds(const char *then, const json_t **ret_answer)
{
    return harness_ask(h, A, "add", then ? json_pack("{s:s}", "then", then) : NULL, ret_answer);
}

static int64_t state(const char *component, const char *key)
{
    return json_integer_value(json_object_get(harness_state(h, component), key));
}

/* ---- tests ---- */

START_TEST(a_turn_is_kept_whole)
{
    const json_t *data = NULL;
    ck_assert_int_eq(adds(NULL, &data), CVM_REPLIED);
    ck_assert_int_eq(cvm_json_int(data, "n", 0), 1);
    ck_assert_int_eq(state(A, "n"), 1);
    ck_assert_int_eq(state(B, "heard"), 1);
    ck_assert_int_eq(cvm_json_int(json_object_get(harness_context(h, "ask"), "seen"), "last", 0), 1);
    ck_assert_uint_eq(json_object_size(harness_rows(h, "things")), 1);
    ck_assert_uint_eq(json_array_size(harness_timers(h)), 1);
    harness_run(h, 999);
    ck_assert_int_eq(state(B, "heard"), 1);
    harness_run(h, 1);
    ck_assert_int_eq(state(B, "heard"), 2); /* by the topic */
    ck_assert_int_eq(harness_now(h), 2000);
}
END_TEST

START_TEST(a_turn_is_undone_whole)
{
    static const char *const hows[] = {"refuse", "fail"};
    const json_t *data = NULL;
    for (size_t i = 0; i < 2; i++) {
        ck_assert_int_eq(adds(hows[i], &data), i ? CVM_ERROR : CVM_REFUSED);
        ck_assert_str_eq(cvm_json_str(data, "code", ""), i ? "FAILED" : "NO");
        ck_assert_uint_eq(json_object_size(harness_state(h, A)), 0);
        ck_assert_uint_eq(json_object_size(harness_state(h, B)), 0);
        ck_assert_uint_eq(json_object_size(harness_context(h, "ask")), 0);
        ck_assert_ptr_null(harness_rows(h, "things"));
        ck_assert_uint_eq(json_array_size(harness_timers(h)), 0);
        ck_assert_uint_eq(json_array_size(harness_sent(h)), 0);
    }
    ck_assert_int_eq(adds("nothing", &data), CVM_ERROR);
    ck_assert_str_eq(cvm_json_str(data, "code", ""), "NO_REPLY");
    ck_assert_int_eq(state(A, "n"), 1);
}
END_TEST

START_TEST(the_edge_holds_to_the_schema)
{
    const json_t *data = NULL;
    ck_assert_int_eq(adds("NOT SMALL", &data), CVM_REFUSED);
    ck_assert_str_eq(cvm_json_str(data, "code", ""), "INVALID");
    ck_assert_str_eq(cvm_json_str(data, "field", ""), "then");
    ck_assert_int_eq(harness_ask(h, A, "add", json_pack("{s:i}", "other", 1), &data), CVM_REFUSED);
    ck_assert_uint_eq(json_object_size(harness_state(h, A)), 0);
}
END_TEST

START_TEST(a_look_changes_nothing)
{
    const json_t *data = NULL;
    ck_assert_int_eq(harness_ask(h, A, "look", NULL, &data), CVM_REPLIED);
    ck_assert_int_eq(cvm_json_int(data, "error", 0), CVM_ESTATE);
    ck_assert_uint_eq(json_array_size(harness_logs(h)), 1);
}
END_TEST

START_TEST(a_request_is_handed_on)
{
    const json_t *data = NULL;
    ck_assert_int_eq(harness_ask(h, A, "hand_on", NULL, &data), CVM_REPLIED);
    ck_assert_str_eq(cvm_json_str(data, "by", ""), B);
    ck_assert_uint_eq(harness_open_requests(h), 0);
}
END_TEST

START_TEST(stubs_answer)
{
    const json_t *data = NULL;
    ck_assert_int_eq(harness_ask(h, A, "ask", json_pack("{s:s}", "to", "role:quotes"), &data), CVM_ERROR); /* nobody */
    harness_stub(h, "role:quotes", "quote", CVM_REPLIED, json_pack("{s:i}", "price", 7));
    ck_assert_int_eq(harness_ask(h, A, "ask", json_pack("{s:s}", "to", "role:quotes"), &data), CVM_REPLIED);
    ck_assert_int_eq(cvm_json_int(data, "price", 0), 7);
    harness_stub(h, "role:quotes", "quote", -1, NULL);
    cvm_id id = harness_request(h, "", A, "ask", "c", json_pack("{s:s}", "to", "role:quotes"));
    harness_run(h, 0);
    ck_assert_int_eq(harness_result(h, id, NULL), -1);
    harness_run(h, 60000);
    ck_assert_int_eq(harness_result(h, id, NULL), CVM_TIMEOUT);
    harness_stub(h, "elsewhere.c", "quote", CVM_REPLIED, NULL);
    ck_assert_int_eq(harness_ask(h, A, "ask", json_pack("{s:s}", "to", "elsewhere.c"), NULL),
                     CVM_ERROR); /* not allowed */
}
END_TEST

START_TEST(calls_are_answered_by_the_test)
{
    const json_t *data = NULL;
    cvm_id call_id, id = harness_request(h, "", A, "call", "c", NULL);
    harness_run(h, 0);
    ck_assert_str_eq(cvm_json_str(harness_call(h, &call_id), "path", ""), "/x");
    ck_assert(harness_answer_http(h, call_id, 404, NULL));
    ck_assert(!harness_answer_http(h, call_id, 200, NULL)); /* once */
    harness_run(h, 0);
    ck_assert_int_eq(harness_result(h, id, &data), CVM_REPLIED);
    ck_assert_int_eq(cvm_json_int(data, "status", 0), 404);
    ck_assert_ptr_null(harness_call(h, NULL));
}
END_TEST

START_TEST(state_outlives_a_build)
{
    harness_state_put(h, A, "n", 1, json_integer(4));
    harness_replace(h, &cvm_plugin, manifest);
    ck_assert_int_eq(adds(NULL, NULL), CVM_REPLIED);
    ck_assert_int_eq(state(A, "n"), 42); /* 4 of version 1 is 41 today */
}
END_TEST

START_TEST(spoilt_values_end_the_test)
{
    harness_ask(h, A, "spoil", NULL, NULL);
}
END_TEST

START_TEST(unknown_components_end_the_test)
{
    harness_ask(h, "test.c", "add", NULL, NULL);
}
END_TEST

START_TEST(signatures_are_those_of_the_vendors)
{
    for (int i = 0; i < (int)(sizeof macs / sizeof macs[0]); i++)
        ck_assert_int_eq(harness_ask(h, A, "sign", json_pack("{s:i}", "which", i), NULL), CVM_REPLIED);
    ck_assert(cvm_same_secret("", "") && cvm_same_secret("abc", "abc"));
    ck_assert(!cvm_same_secret("abc", "abd") && !cvm_same_secret("abc", "ab") && !cvm_same_secret("", "a"));
}
END_TEST

static int classified(const char *model, const char *text, const char **ret_label)
{
    const json_t *data = NULL;
    ck_assert_int_eq(harness_ask(h, A, "classify", json_pack("{s:s, s:s}", "model", model, "text", text), &data),
                     CVM_REPLIED);
    const json_t *best = json_array_get(json_object_get(json_object_get(data, "labels"), "topic"), 0);
    *ret_label = json_string_value(json_array_get(best, 0));
    return (int)cvm_json_int(data, "error", 0);
}

START_TEST(models_say_what_they_are_told)
{
    const char *label;
    ck_assert_int_eq(classified("topic", "a", &label), CVM_ENOENT);
    ck_assert_int_eq(classified("other", "a", &label), CVM_EACCES);
    harness_model(h, "topic", "a", json_pack("{s:[[s, f]]}", "topic", "BILLS", 0.9));
    ck_assert_int_eq(classified("topic", "b", &label), CVM_ENOENT);
    harness_model(h, "topic", NULL, json_pack("{s:[[s, f]]}", "topic", "CARDS", 0.6));
    ck_assert_int_eq(classified("topic", "a", &label), CVM_OK);
    ck_assert_str_eq(label, "BILLS");
    ck_assert_int_eq(classified("topic", "b", &label), CVM_OK);
    ck_assert_str_eq(label, "CARDS");
}
END_TEST

/* Of each text: what is read, as JSON; NULL: nothing. */
static const char *const exact[][2] = {
    {"{\"a\":5000.10,\"b\":12,\"c\":-0.05,\"d\":[1e3,1E-2,0.1]}",
     "{\"a\":\"5000.10\",\"b\":12,\"c\":\"-0.05\",\"d\":[\"1e3\",\"1E-2\",\"0.1\"]}"},
    {"{\"1.5\":\"1.5 \\\" 2.5\",\"x\":\"\\\\\",\"y\":2.50}",
     "{\"1.5\":\"1.5 \\\" 2.5\",\"x\":\"\\\\\",\"y\":\"2.50\"}"},
    {"1.5", "\"1.5\""},
    {"[0.1000000000000000055511151231257827,99999999999999999.99]",
     "[\"0.1000000000000000055511151231257827\",\"99999999999999999.99\"]"},
    {"{\"a\":1.}", NULL},
    {"{\"a\":.5}", NULL},
    {"{\"a\":1.2.3}", NULL},
    {"{\"a\":01.5}", NULL},
    {"{\"a\":1e}", NULL},
    {"{\"a\":--1.5}", NULL},
    {"{\"a\":1.5", NULL},
    {"{\"a\":\"1.5", NULL},
    {"", NULL},
};

START_TEST(decimals_are_read_as_they_are_written)
{
    for (size_t i = 0; i < sizeof exact / sizeof exact[0]; i++) {
        json_t *value = cvm_json_exact(exact[i][0], strlen(exact[i][0]));
        char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
        ck_assert_msg(exact[i][1] ? text && !strcmp(text, exact[i][1]) : !value, "%s: %s", exact[i][0], text);
        free(text);
        json_decref(value);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("harness");
    TCase *c = tcase_create("turns");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, models_say_what_they_are_told);
    tcase_add_test(c, a_turn_is_kept_whole);
    tcase_add_test(c, a_turn_is_undone_whole);
    tcase_add_test(c, the_edge_holds_to_the_schema);
    tcase_add_test(c, a_look_changes_nothing);
    tcase_add_test(c, a_request_is_handed_on);
    tcase_add_test(c, stubs_answer);
    tcase_add_test(c, signatures_are_those_of_the_vendors);
    tcase_add_test(c, decimals_are_read_as_they_are_written);
    tcase_add_test(c, calls_are_answered_by_the_test);
    tcase_add_test(c, state_outlives_a_build);
    tcase_add_test_raise_signal(c, spoilt_values_end_the_test, SIGABRT);
    tcase_add_test_raise_signal(c, unknown_components_end_the_test, SIGABRT);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
