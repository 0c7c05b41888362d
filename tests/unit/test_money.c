/* What surrounds a purchase: the customer's code, a human's word, payment providers, rules against fraud, low float,
 * services that are stopped, orders with several recipients. The plugins `transaction` and `airtime` turn by turn, with
 * providers that do what the test says. */
#include "../../plugins/service/airtime/airtime.h"
#include "../../plugins/service/common/seal.h"
#include "../../plugins/service/transaction/calendar.h"
#include "../../plugins/service/transaction/transaction.h"

#include <check.h>
#include <cvm/harness.h>
#include <stdlib.h>

#define START INT64_C(1795000000000)
#define SALES "service.airtime_sales"
#define ADA "CUST-ADA"
#define ADA_PHONE "08031234567"
#define NAIRA INT64_C(100)
#define KEY "a key of sixteen letters"
#define FIRST "provider.payment.paystack"
#define SECOND "provider.payment.flutterwave"

extern const cvm_plugin_descriptor transaction_plugin, airtime_plugin;

/* ---- those who do what they are told ---- */

static struct {
    int outcome; /* of a delivery; -1: it never answers */
    const char *code, *status;
    int vends;
    char reference[64];
    bool slow; /* checks are answered by the test */
    cvm_id check, delivery;
    char checked[64];
} net;

static int claimed, resolved;

static struct bank {
    int outcome; /* of charge and link; -1: no answer */
    const char *status, *verified, *refunded;
    bool technical;
    int charges, verifies, refunds, links;
    int64_t paid_kobo; /* as verify tells it; 0: the sum that was asked for */
    int64_t asked_kobo;
    char reference[64];
} banks[2];

static struct {
    int sent;
    char template[40], text[400], sealed[16], challenge[32];
    int64_t number;
} phone;

static int seller_deliver(cvm_turn *t, const cvm_msg *m)
{
    net.vends++;
    net.delivery = m->id;
    snprintf(net.reference, sizeof net.reference, "%s", cvm_json_str(m->data, "transaction_id", ""));
    const char *fail = cvm_json_str(json_object_get(m->data, "delivery"), "fail", "");
    if (*fail)
        return cvm_refuse_with(t, json_pack("{s:s, s:s}", "error_code", fail, "message", "no"));
    switch (net.outcome) {
    case CVM_REPLIED:
        return cvm_reply(t, m, json_pack("{s:s, s:s}", "transaction_id", "N-1", "reference", "MTN-1"));
    case CVM_REFUSED:
        return cvm_refuse_with(t, json_pack("{s:s, s:s}", "error_code", net.code, "message", "no"));
    case CVM_UNKNOWN:
        return cvm_settle(t, m->id, CVM_UNKNOWN, json_pack("{s:s}", "error_code", "TIMEOUT"), NULL);
    default:
        return CVM_PENDING;
    }
}

static int seller_check(cvm_turn *t, const cvm_msg *m)
{
    snprintf(net.checked, sizeof net.checked, "%s", cvm_json_str(m->data, "transaction_id", ""));
    net.check = m->id;
    if (net.slow)
        return CVM_PENDING;
    return cvm_reply(t, m, json_pack("{s:s}", "result", net.status ? net.status : "unknown"));
}

static struct bank *bank_of(const cvm_msg *m)
{
    return &banks[strcmp(m->recipient, SECOND) == 0];
}

static int bank_pay(cvm_turn *t, const cvm_msg *m)
{
    struct bank *b = bank_of(m);
    bool link = strcmp(m->type, "link") == 0;
    *(link ? &b->links : &b->charges) += 1;
    snprintf(b->reference, sizeof b->reference, "%s", cvm_json_str(m->data, "reference", ""));
    b->asked_kobo = cvm_json_int(m->data, "amount_kobo", 0);
    if (b->outcome < 0)
        return CVM_PENDING;
    if (b->outcome != CVM_REPLIED)
        return cvm_settle(t, m->id, b->outcome, json_pack("{s:s}", "code", "X"), NULL);
    if (link)
        return cvm_reply(t, m, json_pack("{s:s, s:s}", "url", "https://pay.example/1", "reference", b->reference));
    return cvm_reply(
        t, m, json_pack("{s:s, s:s, s:b}", "status", b->status, "reference", b->reference, "technical", b->technical));
}

static int bank_verify(cvm_turn *t, const cvm_msg *m)
{
    struct bank *b = bank_of(m);
    b->verifies++;
    return cvm_reply(t, m,
                     json_pack("{s:s, s:s, s:I}", "status", b->verified ? b->verified : "unknown", "reference",
                               cvm_json_str(m->data, "reference", ""), "amount_kobo",
                               (json_int_t)(b->paid_kobo ? b->paid_kobo : b->asked_kobo)));
}

static int bank_refund(cvm_turn *t, const cvm_msg *m)
{
    struct bank *b = bank_of(m);
    b->refunds++;
    if (b->refunded && strcmp(b->refunded, "refused") == 0)
        return cvm_refuse(t, "CONFIGURATION", NULL, "no key");
    return cvm_reply(t, m, json_pack("{s:s}", "status", b->refunded ? b->refunded : "unknown"));
}

static int phone_notify(cvm_turn *t, const cvm_msg *m)
{
    (void)t;
    phone.sent++;
    snprintf(phone.template, sizeof phone.template, "%s", cvm_json_str(m->data, "template", ""));
    snprintf(phone.text, sizeof phone.text, "%s", cvm_json_str(m->data, "text", ""));
    snprintf(phone.sealed, sizeof phone.sealed, "%s", cvm_json_str(m->data, "sealed_code", ""));
    snprintf(phone.challenge, sizeof phone.challenge, "%s", cvm_json_str(m->data, "challenge_id", ""));
    phone.number = cvm_json_int(m->data, "number", 0);
    return CVM_OK;
}

/* Opens the code in a turn, as the component that sends it would. */
static char opened[SEAL_CODE_SIZE];
static int phone_open(cvm_turn *t, const cvm_msg *m)
{
    int e = seal_open(t, KEY, phone.challenge, phone.number, phone.sealed, opened);
    return e < 0 ? e : cvm_reply(t, m, NULL);
}

/* The books of a network, as the test writes them. */
static json_t *statement;
static int net_statement(cvm_turn *t, const cvm_msg *m)
{
    size_t n = json_array_size(statement), i = (size_t)cvm_json_int(m->data, "after", 0), end = i + 3;
    json_t *page = json_array(), *body;
    for (; i < n && i < end; i++)
        json_array_append_new(page, json_deep_copy(json_array_get(statement, i)));
    body = json_pack("{s:o, s:[s]}", "entries", page, "covers", "MTN");
    if (i < n)
        json_object_set_new(body, "after", json_integer((json_int_t)i));
    return cvm_reply(t, m, body);
}

static int net_vend(cvm_turn *t, const cvm_msg *m)
{
    net.vends++;
    const char *reference = cvm_json_str(m->data, "reference", "");
    snprintf(net.reference, sizeof net.reference, "%s", reference);
    if (net.outcome != CVM_REPLIED)
        return cvm_refuse_with(t, json_pack("{s:s, s:s}", "error_code", "INVALID_PHONE", "message", "no"));
    json_array_append_new(statement, json_pack("{s:s, s:s, s:I}", "reference", reference, "status", "delivered",
                                               "amount_kobo", (json_int_t)cvm_json_int(m->data, "amount_kobo", 0)));
    return cvm_reply(t, m, json_pack("{s:s, s:s}", "transaction_id", "N-1", "reference", "MTN-1"));
}

static const cvm_component test_components[] = {{.id = "test.network", .state_version = 1},
                                                {.id = "test.seller", .state_version = 1},
                                                {.id = FIRST, .state_version = 1},
                                                {.id = SECOND, .state_version = 1},
                                                {.id = TELL_COMPONENT, .state_version = 1},
                                                {.id = "service.escalation", .state_version = 1},
                                                {0}};

static int handoff(cvm_turn *t, const cvm_msg *m)
{
    return cvm_reply(t, m, json_pack("{s:s}", "handoff_id", "HND-1"));
}

static int handoff_claim(cvm_turn *t, const cvm_msg *m)
{
    claimed++;
    return cvm_reply(t, m, NULL);
}

static int handoff_resolve(cvm_turn *t, const cvm_msg *m)
{
    resolved++;
    return cvm_reply(t, m, NULL);
}

#define BANK(id)                                                                                                       \
    {id, "charge", bank_pay}, {id, "link", bank_pay}, {id, "verify", bank_verify},                                     \
    {                                                                                                                  \
        id, "refund", bank_refund                                                                                      \
    }
static const cvm_route test_routes[] = {{"test.network", "vend", net_vend},
                                        {"test.network", "statement", net_statement},
                                        {"test.seller", "deliver", seller_deliver},
                                        {"test.seller", "check_delivery", seller_check},
                                        BANK(FIRST),
                                        BANK(SECOND),
                                        {TELL_COMPONENT, "notify", phone_notify},
                                        {TELL_COMPONENT, "open", phone_open},
                                        {"service.escalation", "create_handoff", handoff},
                                        {"service.escalation", "claim_handoff", handoff_claim},
                                        {"service.escalation", "resolve_handoff", handoff_resolve},
                                        {0}};
#define cvm_plugin test_plugin
CVM_PLUGIN(.name = "test", .version = "1.0.0", .components = test_components, .routes = test_routes);
#undef cvm_plugin

#define BANK_OPS                                                                                                       \
    "\"roles\": [\"payment\"], \"operations\": [{\"type\": \"charge\"}, {\"type\": \"link\"}, {\"type\": "             \
    "\"verify\"}, "                                                                                                    \
    "{\"type\": \"refund\"}]}"
static const char test_manifest[] =
    "{\"components\": ["
    "{\"id\": \"test.network\", \"roles\": [\"network\", \"statement\"], \"serves\": {\"network\": [\"MTN\"]},"
    " \"operations\": [{\"type\": \"vend\"}, {\"type\": \"statement\"}]},"
    "{\"id\": \"test.seller\", \"alias\": \"S\", \"roles\": [\"desk.seller\"],"
    " \"operations\": [{\"type\": \"deliver\"}, {\"type\": \"check_delivery\"}]},"
    "{\"id\": \"" FIRST "\", " BANK_OPS ", {\"id\": \"" SECOND "\", " BANK_OPS ","
    "{\"id\": \"service.escalation\", \"operations\": [{\"type\": \"create_handoff\"}, {\"type\": \"claim_handoff\"},"
    " {\"type\": \"resolve_handoff\"}]},"
    "{\"id\": \"" TELL_COMPONENT "\", \"operations\": [{\"type\": \"notify\"}, {\"type\": \"open\"}]}]}";
/* A seller and a provider that offer nothing any more. */
static const char gone_manifest[] =
    "{\"components\": ["
    "{\"id\": \"test.network\", \"roles\": [\"network\", \"statement\"], \"serves\": {\"network\": [\"MTN\"]},"
    " \"operations\": [{\"type\": \"vend\"}, {\"type\": \"statement\"}]},"
    "{\"id\": \"test.seller\", \"alias\": \"S\", \"roles\": [\"desk.seller\"],"
    " \"operations\": []},"
    "{\"id\": \"" FIRST "\", \"roles\": [\"payment\"], \"operations\": []},"
    " {\"id\": \"" SECOND "\", " BANK_OPS ","
    "{\"id\": \"service.escalation\", \"operations\": [{\"type\": \"create_handoff\"}, {\"type\": \"claim_handoff\"},"
    " {\"type\": \"resolve_handoff\"}]},"
    "{\"id\": \"" TELL_COMPONENT "\", \"operations\": [{\"type\": \"notify\"}, {\"type\": \"open\"}]}]}";

/* ---- the stage ---- */

static struct harness *f;

static void open_wallet(const char *customer, const char *number, int64_t naira)
{
    harness_ask(f, TXN_SELF, "open_account",
                json_pack("{s:s, s:s, s:I}", "customer_id", customer, "phone", number, "balance_kobo",
                          (json_int_t)(naira * NAIRA)),
                NULL);
}

static void setup(void)
{
    memset(&net, 0, sizeof net);
    memset(banks, 0, sizeof banks);
    memset(&phone, 0, sizeof phone);
    claimed = resolved = 0;
    statement = json_array();
    net.outcome = banks[0].outcome = banks[1].outcome = CVM_REPLIED;
    banks[0].status = banks[1].status = "succeeded";
    f = harness_new(START);
    harness_secret(f, "OTP_KEY", KEY);
    harness_add(f, &test_plugin, test_manifest);
    harness_add(f, &transaction_plugin, MANIFESTS "/transaction.json");
    harness_add(f, &airtime_plugin, MANIFESTS "/airtime.json");
    open_wallet(ADA, ADA_PHONE, 400000);
}

static void setup_gateway(void)
{
    setup();
    json_object_set_new(harness_settings(f, TXN_SELF), "gateway_payments", json_true());
    open_wallet("POOR", "08030000000", 0);
}

static void teardown(void)
{
    harness_free(f);
    json_decref(statement);
}

static const char *text(const json_t *object, const char *key)
{
    return cvm_json_str(object, key, "");
}

static int64_t figure(const char *customer, const char *name)
{
    char key[128];
    snprintf(key, sizeof key, "account/%s", customer);
    return cvm_json_int(json_object_get(harness_state(f, TXN_SELF), key), name, 0);
}

static json_t *order(const char *customer, const char *recipient, int64_t naira)
{
    return json_pack("{s:s, s:s, s:s, s:I, s:s, s:s, s:{s:i}}", "service_type", "POWER", "network_or_disco", "EKEDC",
                     "recipient", recipient, "amount_kobo", (json_int_t)(naira * NAIRA), "customer_id", customer,
                     "summary", "electricity", "delivery", "x", 1);
}

static cvm_id purchase(json_t *body)
{
    static int n;
    char lane[32];
    snprintf(lane, sizeof lane, "buy-%d", ++n);
    cvm_id id = harness_request(f, "test.seller", TXN_SELF, "purchase", lane, body);
    harness_run(f, 0);
    return id;
}

static int buy(const char *customer, const char *recipient, int64_t naira, const json_t **ret_data)
{
    return harness_result(f, purchase(order(customer, recipient, naira)), ret_data);
}

static const json_t *row(const char *table, const char *key)
{
    return json_object_get(harness_rows(f, table), key);
}

static size_t rows(const char *table)
{
    return json_object_size(harness_rows(f, table));
}

static int ask_id(const char *type, const char *id, const char *key, const char *value, const json_t **ret_data)
{
    return harness_ask(f, TXN_SELF, type,
                       json_pack("{s:s, s:s*}", "transaction_id", id, *key ? key : "customer", value), ret_data);
}

static const char *code_sent(void)
{
    ck_assert_str_eq(phone.template, "confirmation_code");
    ck_assert_int_eq(harness_ask(f, TELL_COMPONENT, "open", NULL, NULL), CVM_REPLIED);
    return opened;
}

/* No text that the host keeps has the code in it. */
static void never_written(const char *code)
{
    const json_t *kept[] = {harness_state(f, TXN_SELF), harness_rows(f, "otp_challenges"), harness_sent(f),
                            harness_notes(f), harness_logs(f)};
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) {
        char *dump = json_dumps(kept[i], JSON_ENCODE_ANY);
        char quoted[16];
        snprintf(quoted, sizeof quoted, "\"%s\"", code);
        ck_assert_msg(!strstr(dump, quoted), "the code stands in %zu: %s", i, dump);
        free(dump);
    }
}

/* ---- the customer's code ---- */

START_TEST(code_confirms_a_large_purchase)
{
    const json_t *d;
    char id[32], code[8];
    ck_assert_int_eq(buy(ADA, "45012345678", 60000, &d), CVM_UNKNOWN);
    ck_assert_str_eq(text(d, "waits_for"), "code");
    ck_assert_str_eq(text(d, "challenge_id"), phone.challenge);
    snprintf(id, sizeof id, "%s", text(d, "transaction_id"));
    snprintf(code, sizeof code, "%s", code_sent());
    never_written(code);
    ck_assert_int_eq(net.vends, 0);
    ck_assert_int_eq(figure(ADA, "held_kobo"), 0);
    ck_assert_str_eq(text(row("otp_challenges", phone.challenge), "status"), "sent");
    ck_assert_int_eq(ask_id("confirm_transaction", id, "code", strcmp(code, "000000") ? "000000" : "000001", &d),
                     CVM_REFUSED);
    ck_assert_int_eq(cvm_json_int(d, "tries_left", 0), 2);
    ck_assert_int_eq(ask_id("confirm_transaction", id, "code", code, &d), CVM_REPLIED);
    ck_assert(cvm_json_bool(d, "success", false));
    ck_assert_str_eq(text(d, "reference"), "MTN-1");
    ck_assert_int_eq(net.vends, 1);
    ck_assert_int_eq(figure(ADA, "balance_kobo"), 340000 * NAIRA);
    ck_assert_str_eq(text(row("otp_challenges", phone.challenge), "status"), "confirmed");
    ck_assert_int_eq(ask_id("confirm_transaction", id, "code", code, &d), CVM_REFUSED); /* not twice */
    harness_run(f, 3600000);
    ck_assert_int_eq(net.vends, 1);
}
END_TEST

START_TEST(code_is_wrong_too_often)
{
    const json_t *d;
    char id[32];
    buy(ADA, "45012345678", 60000, &d);
    snprintf(id, sizeof id, "%s", text(d, "transaction_id"));
    const char *bad = strcmp(code_sent(), "111111") ? "111111" : "222222";
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(ask_id("confirm_transaction", id, "code", bad, &d), CVM_REFUSED);
    ck_assert_str_eq(text(d, "status"), "FAILED");
    ck_assert_str_eq(text(row("transactions", id), "rule"), "CODE_WRONG");
    ck_assert_int_eq(ask_id("confirm_transaction", id, "code", opened, NULL), CVM_REFUSED);
    ck_assert_int_eq(net.vends, 0);
    ck_assert_int_eq(figure(ADA, "balance_kobo"), 400000 * NAIRA);
}
END_TEST

START_TEST(code_expires_and_is_sent_again)
{
    const json_t *d;
    char id[32], first[8];
    buy(ADA, "45012345678", 60000, &d);
    snprintf(id, sizeof id, "%s", text(d, "transaction_id"));
    snprintf(first, sizeof first, "%s", code_sent());
    ck_assert_int_eq(ask_id("resend_code", id, "", NULL, &d), CVM_REFUSED);
    ck_assert_str_eq(text(d, "code"), "RESEND_TOO_SOON");
    for (int i = 0; i < 3; i++) {
        harness_run(f, 61000);
        ck_assert_int_eq(ask_id("resend_code", id, "", NULL, &d), CVM_REPLIED);
    }
    harness_run(f, 61000);
    ck_assert_int_eq(ask_id("resend_code", id, "", NULL, &d), CVM_REFUSED);
    ck_assert_str_eq(text(d, "code"), "RESEND_LIMIT");
    ck_assert_int_eq(phone.sent, 4);
    if (strcmp(first, code_sent()) != 0)
        ck_assert_int_eq(ask_id("confirm_transaction", id, "code", first, NULL), CVM_REFUSED);
    harness_run(f, 300000);
    ck_assert_int_eq(ask_id("confirm_transaction", id, "code", opened, NULL), CVM_REFUSED);
    ck_assert_str_eq(text(row("transactions", id), "rule"), "CODE_EXPIRED");
    ck_assert_str_eq(text(row("transactions", id), "status"), "FAILED");
}
END_TEST

/* ---- a human's word ---- */

START_TEST(high_stakes_wait_for_a_human)
{
    const json_t *d;
    char id[32];
    ck_assert_int_eq(buy(ADA, "45012345678", 150000, &d), CVM_UNKNOWN);
    snprintf(id, sizeof id, "%s", text(d, "transaction_id"));
    ck_assert_str_eq(text(d, "waits_for"), "code");
    ck_assert_int_eq(ask_id("confirm_transaction", id, "code", code_sent(), &d), CVM_UNKNOWN);
    ck_assert_str_eq(text(d, "waits_for"), "human");
    ck_assert_str_eq(text(json_object_get(row("transactions", id), "metadata"), "handoff_id"), "HND-1");
    ck_assert_int_eq(net.vends, 0);
    ck_assert_int_eq(ask_id("approve_transaction", id, "by", "Bola", &d), CVM_REPLIED);
    ck_assert_str_eq(text(d, "status"), "SUCCESS");
    ck_assert_int_eq(net.vends, 1);
    ck_assert_str_eq(text(json_object_get(row("transactions", id), "metadata"), "decided_by"), "Bola");
    ck_assert_int_eq(ask_id("reject_transaction", id, "by", "Bola", NULL), CVM_REFUSED);

    buy(ADA, "45012345678", 120000, &d);
    snprintf(id, sizeof id, "%s", text(d, "transaction_id"));
    ask_id("confirm_transaction", id, "code", code_sent(), NULL);
    ck_assert_int_eq(ask_id("reject_transaction", id, "by", "Bola", &d), CVM_REPLIED);
    ck_assert_str_eq(text(d, "status"), "FAILED");
    ck_assert_str_eq(phone.template, "purchase_cancelled");
    ck_assert_int_eq(figure(ADA, "balance_kobo"), 250000 * NAIRA);
    ck_assert_int_eq(net.vends, 1);

    buy(ADA, "45012345678", 110000, &d);
    snprintf(id, sizeof id, "%s", text(d, "transaction_id"));
    ask_id("confirm_transaction", id, "code", code_sent(), NULL);
    harness_run(f, 86400000 + 1000);
    ck_assert_str_eq(text(row("transactions", id), "rule"), "NOT_APPROVED");
    ck_assert_int_eq(claimed, 3); /* the cases are over with the decisions */
    ck_assert_int_eq(resolved, 3);
}
END_TEST

START_TEST(guesses_of_codes_are_few)
{
    const json_t *d;
    char id[32];
    buy(ADA, "45012345678", 60000, &d);
    snprintf(id, sizeof id, "%s", text(d, "transaction_id"));
    for (int i = 0; i < 3; i++) { /* a new code is no new chance */
        const char *guess = strcmp(code_sent(), "000000") == 0 ? "000001" : "000000";
        ck_assert_int_eq(ask_id("confirm_transaction", id, "code", guess, NULL), CVM_REFUSED);
        harness_run(f, 61000);
        ck_assert_int_eq(ask_id("resend_code", id, "", NULL, &d), i < 2 ? CVM_REPLIED : CVM_REFUSED);
    }
    ck_assert_str_eq(text(row("transactions", id), "rule"), "CODE_WRONG");
    for (int n = 0; n < 2; n++) {
        buy(ADA, "45012345678", 60001 + n, &d);
        snprintf(id, sizeof id, "%s", text(d, "transaction_id"));
        const char *guess = strcmp(code_sent(), "000000") == 0 ? "000001" : "000000";
        for (int i = 0; i < 3; i++)
            ask_id("confirm_transaction", id, "code", guess, NULL);
        harness_run(f, 61000);
    }
    buy(ADA, "45012345678", 60005, &d); /* somebody may be guessing: the right code alone is not enough */
    snprintf(id, sizeof id, "%s", text(d, "transaction_id"));
    ck_assert_int_eq(ask_id("confirm_transaction", id, "code", code_sent(), &d), CVM_UNKNOWN);
    ck_assert_str_eq(text(d, "waits_for"), "human");
    ck_assert_int_eq(net.vends, 0);
    harness_run(f, 2 * TXN_DAY_MS);
    buy(ADA, "45012345678", 60006, &d);
    snprintf(id, sizeof id, "%s", text(d, "transaction_id"));
    ck_assert_int_eq(ask_id("confirm_transaction", id, "code", code_sent(), &d), CVM_REPLIED);
}
END_TEST

/* ---- payment providers ---- */

static void authorize(const char *provider)
{
    ck_assert_int_eq(
        harness_ask(f, TXN_SELF, "store_authorization",
                    json_pack("{s:s, s:s, s:s}", "customer", "POOR", "provider", provider, "authorization", "AUTH_1"),
                    NULL),
        CVM_REPLIED);
}

START_TEST(stored_authorisation_pays)
{
    const json_t *d;
    authorize(FIRST);
    ck_assert_int_eq(buy("POOR", "45012345678", 1000, &d), CVM_REPLIED);
    ck_assert_int_eq(banks[0].charges, 1);
    ck_assert_int_eq(banks[0].asked_kobo, 1000 * NAIRA);
    ck_assert_int_eq(figure("POOR", "credited_kobo"), 1000 * NAIRA);
    ck_assert_int_eq(figure("POOR", "settled_kobo"), 1000 * NAIRA);
    ck_assert_int_eq(figure("POOR", "balance_kobo"), 0);
    /* a failed delivery comes back to the wallet */
    net.outcome = CVM_REFUSED;
    net.code = "INVALID_PHONE";
    ck_assert_int_eq(buy("POOR", "45012345678", 700, &d), CVM_REFUSED);
    ck_assert_int_eq(figure("POOR", "balance_kobo"), 700 * NAIRA);
    ck_assert_uint_eq(rows("refunds"), 1);
}
END_TEST

START_TEST(second_provider_only_when_the_first_surely_took_nothing)
{
    static const struct {
        int outcome;
        const char *status;
        bool technical;
        int second; /* charges there */
        int result;
    } cases[] = {
        {CVM_REPLIED, "failed", true, 1, CVM_REPLIED},
        {CVM_REFUSED, "", false, 1, CVM_REPLIED},
        {CVM_BUSY, "", false, 1, CVM_REPLIED},
        {CVM_REPLIED, "failed", false, 0, CVM_REFUSED},
        {CVM_UNKNOWN, "", false, 0, -1},
        {CVM_ERROR, "", false, 0, -1},
        {CVM_REPLIED, "pending", false, 0, -1},
        {CVM_REPLIED, "nonsense", false, 0, -1},
    };
    authorize(FIRST);
    authorize(SECOND);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char recipient[16];
        snprintf(recipient, sizeof recipient, "4501234567%zu", i);
        banks[0].outcome = cases[i].outcome;
        banks[0].status = cases[i].status;
        banks[0].technical = cases[i].technical;
        banks[1].charges = 0;
        cvm_id id = purchase(order("POOR", recipient, 1000));
        ck_assert_msg(banks[1].charges == cases[i].second, "case %zu: %d charges there", i, banks[1].charges);
        ck_assert_msg(harness_result(f, id, NULL) == cases[i].result, "case %zu: %d", i, harness_result(f, id, NULL));
        harness_run(f, 61000);
        ck_assert_int_eq(banks[1].charges, cases[i].second);
        if (cases[i].result == -1) { /* told that it is not known, and taken when it is found */
            ck_assert_int_eq(harness_result(f, id, NULL), CVM_UNKNOWN);
            int64_t settled = figure("POOR", "settled_kobo");
            banks[0].verified = "succeeded";
            harness_run(f, 60000);
            ck_assert_int_eq(figure("POOR", "settled_kobo"), settled + 1000 * NAIRA);
            banks[0].verified = NULL;
        }
    }
    ck_assert_int_eq(figure("POOR", "balance_kobo"), 0);
    ck_assert_int_eq(figure("POOR", "held_kobo"), 0);
}
END_TEST

static void event(const char *reference, const char *status)
{
    harness_request(f, FIRST, TXN_SELF, "payment_event", "hook",
                    json_pack("{s:s, s:s, s:s}", "provider", FIRST, "reference", reference, "status", status));
    harness_run(f, 0);
}

START_TEST(link_is_paid_or_expires)
{
    const json_t *d;
    char reference[64];
    ck_assert_int_eq(buy("POOR", "45012345678", 1000, &d), CVM_UNKNOWN);
    ck_assert_str_eq(text(d, "payment_url"), "https://pay.example/1");
    ck_assert_str_eq(text(d, "waits_for"), "payment");
    ck_assert_str_eq(phone.template, "payment_link");
    snprintf(reference, sizeof reference, "%s", banks[0].reference);
    event(reference, "succeeded"); /* a webhook alone is not believed */
    ck_assert_int_eq(net.vends, 0);
    banks[0].verified = "succeeded";
    event(reference, "succeeded");
    ck_assert_int_eq(net.vends, 1);
    for (int i = 0; i < 3; i++) /* told again and again */
        event(reference, "succeeded");
    harness_run(f, 7200000);
    ck_assert_int_eq(net.vends, 1);
    ck_assert_int_eq(figure("POOR", "credited_kobo"), 1000 * NAIRA);
    ck_assert_str_eq(phone.template, "purchase_delivered");

    banks[0].verified = "pending"; /* not paid in time, then paid after all */
    ck_assert_int_eq(buy("POOR", "45012345679", 1000, &d), CVM_UNKNOWN);
    char id[32];
    snprintf(id, sizeof id, "%s", text(d, "transaction_id"));
    snprintf(reference, sizeof reference, "%s", banks[0].reference);
    harness_run(f, 1900000);
    ck_assert_str_eq(text(row("transactions", id), "rule"), "PAYMENT_EXPIRED");
    banks[0].verified = "succeeded";
    event(reference, "succeeded");
    event(reference, "succeeded");
    ck_assert_int_eq(figure("POOR", "balance_kobo"), 1000 * NAIRA);
    ck_assert_int_eq(net.vends, 1);
    ck_assert_uint_eq(rows("fraud_flags"), 1);
}
END_TEST

START_TEST(other_sums_than_asked_for)
{
    const json_t *d;
    ck_assert_int_eq(buy("POOR", "45012345678", 1000, &d), CVM_UNKNOWN);
    banks[0].verified = "succeeded";
    banks[0].paid_kobo = 999 * NAIRA;
    event(banks[0].reference, "succeeded");
    ck_assert_int_eq(net.vends, 0);
    ck_assert_int_eq(figure("POOR", "balance_kobo"), 999 * NAIRA);
    ck_assert_str_eq(text(row("transactions", text(d, "transaction_id")), "rule"), "UNDERPAID");
    ck_assert_int_eq(buy("POOR", "45012345678", 2000, &d), CVM_UNKNOWN);
    banks[0].paid_kobo = 2500 * NAIRA;
    event(banks[0].reference, "succeeded");
    ck_assert_int_eq(net.vends, 1);
    ck_assert_int_eq(figure("POOR", "balance_kobo"), 1499 * NAIRA);
}
END_TEST

START_TEST(refund_to_where_it_came_from)
{
    const json_t *d;
    authorize(FIRST);
    json_object_set_new(harness_settings(f, TXN_SELF), "refund_to", json_string("source"));
    net.outcome = CVM_REFUSED;
    net.code = "INVALID_PHONE";
    ck_assert_int_eq(buy("POOR", "45012345678", 1000, &d), CVM_REFUSED);
    char id[32];
    snprintf(id, sizeof id, "%s", text(d, "transaction_id"));
    ck_assert_str_eq(text(row("transactions", id), "status"), "FAILED");
    ck_assert_int_eq(figure("POOR", "held_kobo"), 1000 * NAIRA);
    harness_run(f, 20000);
    banks[0].refunded = "succeeded";
    harness_run(f, 60000);
    int asked = banks[0].refunds;
    ck_assert_int_ge(asked, 2);
    ck_assert_str_eq(text(row("transactions", id), "status"), "REFUNDED");
    ck_assert_int_eq(figure("POOR", "held_kobo") + figure("POOR", "balance_kobo"), 0);
    ck_assert_int_eq(figure("POOR", "returned_kobo"), 1000 * NAIRA);
    harness_run(f, 86400000);
    ck_assert_int_eq(banks[0].refunds, asked);

    banks[0].refunded = "failed"; /* then the wallet takes it */
    ck_assert_int_eq(buy("POOR", "45012345678", 500, &d), CVM_REFUSED);
    harness_run(f, 0);
    ck_assert_int_eq(figure("POOR", "balance_kobo"), 500 * NAIRA);
    ck_assert_uint_eq(rows("refunds"), 2);
}
END_TEST

static size_t flags(const char *kind)
{
    size_t n = 0;
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)harness_rows(f, "fraud_flags"), key, value) n +=
        !strcmp(text(value, "kind"), kind);
    return n;
}

/* A refund that may have been made goes to the wallet only when the provider says that it was not. */
START_TEST(refund_in_doubt_is_not_made_twice)
{
    authorize(FIRST);
    json_object_set_new(harness_settings(f, TXN_SELF), "refund_to", json_string("source"));
    net.outcome = CVM_REFUSED;
    net.code = "INVALID_PHONE";
    buy("POOR", "45012345678", 1000, NULL);
    ck_assert_int_eq(banks[0].refunds, 1); /* not known what became of it */
    banks[0].refunded = "refused";
    harness_run(f, 60000);
    ck_assert_int_ge(banks[0].refunds, 2);
    ck_assert_int_eq(figure("POOR", "held_kobo"), 1000 * NAIRA);
    ck_assert_int_eq(figure("POOR", "balance_kobo"), 0);
    harness_replace(f, &test_plugin, gone_manifest); /* nobody to ask for a while */
    harness_run(f, 7200000);
    ck_assert_int_eq(figure("POOR", "held_kobo"), 1000 * NAIRA);
    harness_replace(f, &test_plugin, test_manifest);
    banks[0].refunded = "succeeded";
    harness_run(f, 7200000);
    ck_assert_int_eq(figure("POOR", "held_kobo") + figure("POOR", "balance_kobo"), 0);
    ck_assert_int_eq(figure("POOR", "returned_kobo"), 1000 * NAIRA);

    banks[0].refunded = "refused"; /* at once: nothing was sent, so the wallet takes it */
    buy("POOR", "45012345678", 500, NULL);
    harness_run(f, 0);
    ck_assert_int_eq(figure("POOR", "balance_kobo"), 500 * NAIRA);
}
END_TEST

/* What the provider never confirms, a human settles from the provider's books, once. */
START_TEST(refund_in_doubt_is_settled_by_hand)
{
    static const char *const to[] = {"source", "wallet"};
    authorize(FIRST);
    json_object_set_new(harness_settings(f, TXN_SELF), "refund_to", json_string("source"));
    net.outcome = CVM_REFUSED;
    net.code = "INVALID_PHONE";
    for (int i = 0; i < 2; i++) {
        const json_t *d;
        char id[32];
        int64_t wallet = figure("POOR", "balance_kobo");
        banks[0].refunded = NULL;
        buy("POOR", "45012345678", 1000, &d);
        snprintf(id, sizeof id, "%s", text(d, "transaction_id"));
        json_t *settling = json_pack("{s:s, s:s, s:s}", "transaction_id", id, "went_to", to[i], "by", "ada");
        ck_assert_int_eq(harness_ask(f, TXN_SELF, "settle_refund", json_incref(settling), NULL), CVM_REPLIED);
        ck_assert_str_eq(text(row("transactions", id), "status"), "REFUNDED");
        ck_assert_int_eq(figure("POOR", "held_kobo"), 0);
        ck_assert_int_eq(figure("POOR", "balance_kobo") - wallet, i ? 1000 * NAIRA : 0);
        int asked = banks[0].refunds;
        banks[0].refunded = "succeeded";
        harness_run(f, 86400000);
        ck_assert_int_eq(banks[0].refunds, asked);
        ck_assert_int_eq(harness_ask(f, TXN_SELF, "settle_refund", settling, &d), CVM_REFUSED);
        ck_assert_str_eq(text(d, "code"), "NOT_WAITING");
    }
}
END_TEST

START_TEST(provider_goes_away_while_it_is_paid)
{
    const json_t *d;
    char id[32];
    ck_assert_int_eq(buy("POOR", "45012345678", 1000, &d), CVM_UNKNOWN);
    snprintf(id, sizeof id, "%s", text(d, "transaction_id"));
    harness_replace(f, &test_plugin, gone_manifest);
    harness_run(f, 1900000);
    ck_assert_str_eq(text(row("transactions", id), "rule"), "PAYMENT_EXPIRED");
    harness_run(f, 700000); /* a first look finds nobody */
    harness_replace(f, &test_plugin, test_manifest);
    banks[0].verified = "unknown";
    harness_run(f, 3600000);
    banks[0].verified = "succeeded"; /* it was paid, and no webhook ever said so */
    harness_run(f, 36000000);
    ck_assert_int_eq(figure("POOR", "balance_kobo"), 1000 * NAIRA);
    ck_assert_uint_eq(flags("LATE_PAYMENT"), 1);
    harness_run(f, 2 * TXN_DAY_MS);
    ck_assert_int_eq(figure("POOR", "balance_kobo"), 1000 * NAIRA);
}
END_TEST

/* ---- fraud ---- */

START_TEST(rules_against_fraud)
{
    open_wallet("B", "08030000002", 10000);
    open_wallet("C", "08030000003", 10000);
    buy(ADA, "08139999999", 100, NULL);
    buy(ADA, "08139999999", 200, NULL);
    buy("B", "08139999999", 100, NULL);
    ck_assert_uint_eq(flags("SAME_RECIPIENT"), 0);
    buy("C", "08139999999", 100, NULL);
    ck_assert_uint_eq(flags("SAME_RECIPIENT"), 1);
    harness_run(f, 61000);
    net.outcome = CVM_REFUSED;
    net.code = "INVALID_PHONE";
    for (int i = 0; i < 3; i++)
        buy("B", "08130000001", 100 + i, NULL);
    net.outcome = CVM_REPLIED;
    ck_assert_uint_eq(flags("FAILURES_THEN_SUCCESS"), 0);
    buy("B", "08130000001", 110, NULL);
    ck_assert_uint_eq(flags("FAILURES_THEN_SUCCESS"), 1);
    for (int i = 0; i < 5; i++) {
        buy("C", "08130000002", 100 + i, NULL);
        harness_run(f, 61000);
    }
    buy("C", "08130000002", 1000, NULL);
    ck_assert_uint_eq(flags("UNUSUAL_AMOUNT"), 0);
    json_object_set_new(json_object_get(harness_settings(f, TXN_SELF), "fraud_rules"), "UNUSUAL_AMOUNT",
                        json_string("hold"));
    const json_t *d;
    ck_assert_int_eq(buy("C", "08130000002", 5000, &d), CVM_UNKNOWN);
    ck_assert_str_eq(text(d, "waits_for"), "human");
    ck_assert_uint_eq(flags("UNUSUAL_AMOUNT"), 1);
}
END_TEST

START_TEST(the_same_twice_is_asked_about)
{
    const json_t *d;
    ck_assert_int_eq(buy(ADA, "45012345678", 1000, NULL), CVM_REPLIED);
    ck_assert_int_eq(buy(ADA, "45012345678", 1000, &d), CVM_REFUSED);
    ck_assert_str_eq(text(d, "rule"), "DUPLICATE_SUSPECTED");
    ck_assert_int_eq(buy(ADA, "45012345678", 1001, NULL), CVM_REPLIED);
    json_t *keyed = order(ADA, "45012345678", 1000);
    json_object_set_new(keyed, "idempotency_key", json_string("yes, again"));
    ck_assert_int_eq(harness_result(f, purchase(keyed), NULL), CVM_REPLIED);
    harness_run(f, 61000);
    ck_assert_int_eq(buy(ADA, "45012345678", 1000, NULL), CVM_REPLIED);
    net.outcome = CVM_REFUSED; /* what failed may be tried again at once */
    net.code = "INVALID_PHONE";
    buy(ADA, "45012345678", 2000, NULL);
    net.outcome = CVM_REPLIED;
    ck_assert_int_eq(buy(ADA, "45012345678", 2000, NULL), CVM_REPLIED);
}
END_TEST

/* ---- low float, stopped services ---- */

START_TEST(low_float_is_waited_for)
{
    const json_t *d;
    net.outcome = CVM_REFUSED;
    net.code = "INSUFFICIENT_BALANCE";
    ck_assert_int_eq(buy(ADA, "45012345678", 1000, &d), CVM_UNKNOWN);
    ck_assert_str_eq(text(d, "waits_for"), "float");
    ck_assert_str_eq(text(row("sales_stops", "POWER/EKEDC"), "status"), "low_float");
    harness_run(f, 31000);
    ck_assert_int_eq(net.vends, 2);
    net.outcome = CVM_REPLIED;
    harness_run(f, 31000);
    ck_assert_int_eq(net.vends, 3);
    ck_assert_str_eq(text(row("transactions", text(d, "transaction_id")), "status"), "SUCCESS");
    ck_assert_str_eq(text(row("sales_stops", "POWER/EKEDC"), "status"), "selling");
    ck_assert_int_eq(figure(ADA, "settled_kobo"), 1000 * NAIRA);

    net.outcome = CVM_REFUSED;
    buy(ADA, "45012345679", 500, &d);
    harness_run(f, 299000);
    ck_assert_str_eq(text(row("transactions", text(d, "transaction_id")), "status"), "PENDING");
    harness_run(f, 2000);
    ck_assert_str_eq(text(row("transactions", text(d, "transaction_id")), "status"), "REFUNDED");
    ck_assert_int_eq(figure(ADA, "held_kobo"), 0);
    ck_assert_int_eq(figure(ADA, "settled_kobo"), 1000 * NAIRA);
}
END_TEST

/* The answer to a question about an attempt that is over ends nothing of the next. */
START_TEST(late_answer_of_an_earlier_attempt)
{
    const json_t *d;
    char id[32];
    net.outcome = -1;
    net.slow = true;
    cvm_id asked = purchase(order(ADA, "45012345678", 1000));
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)harness_rows(f, "transactions"), key, value)
        snprintf(id, sizeof id, "%s", key);
    harness_request(f, "", TXN_SELF, "verify_transaction", "v", json_pack("{s:s}", "transaction_id", id));
    harness_run(f, 0);
    cvm_id check = net.check;
    ck_assert(harness_answer(f, net.delivery, CVM_REFUSED,
                             json_pack("{s:s, s:s}", "error_code", "INSUFFICIENT_BALANCE", "message", "low")));
    harness_run(f, 31000);
    ck_assert_int_eq(net.vends, 2); /* under way with a reference of its own */
    ck_assert(harness_answer(f, check, CVM_REPLIED, json_pack("{s:s}", "result", "failed")));
    harness_run(f, 0);
    ck_assert_int_eq(figure(ADA, "held_kobo"), 1000 * NAIRA);
    ck_assert_str_eq(text(row("transactions", id), "status"), "PENDING");
    ck_assert(harness_answer(f, net.delivery, CVM_REPLIED, json_pack("{s:s}", "reference", "R")));
    harness_run(f, 0);
    ck_assert_str_eq(text(row("transactions", id), "status"), "SUCCESS");
    ck_assert_int_eq(figure(ADA, "settled_kobo"), 1000 * NAIRA);
    ck_assert_int_ne(harness_result(f, asked, &d), -1);
}
END_TEST

/* A probe of a stopped service asks about the last attempt, and decides no purchase. */
START_TEST(probe_decides_no_purchase)
{
    json_object_set_new(harness_settings(f, TXN_SELF), "stop_after_s", json_integer(1));
    json_object_set_new(harness_settings(f, TXN_SELF), "stop_after_failures", json_integer(1));
    json_object_set_new(harness_settings(f, TXN_SELF), "probe_every_s", json_integer(20));
    net.outcome = CVM_UNKNOWN;
    buy(ADA, "45012345677", 500, NULL);
    harness_run(f, 2000);
    net.outcome = CVM_REFUSED;
    net.code = "INSUFFICIENT_BALANCE";
    const json_t *d;
    buy(ADA, "45012345678", 1000, &d);
    char second[64];
    net.outcome = CVM_UNKNOWN;
    net.slow = true;
    harness_run(f, 31000);
    ck_assert_str_eq(text(row("sales_stops", "POWER/EKEDC"), "status"), "stopped");
    snprintf(second, sizeof second, "%s-2", text(d, "transaction_id"));
    ck_assert_str_eq(net.reference, second);
    harness_run(f, 21000);
    ck_assert_str_eq(net.checked, second);
}
END_TEST

START_TEST(seller_goes_away_while_it_waits_for_float)
{
    const json_t *d;
    net.outcome = CVM_REFUSED;
    net.code = "INSUFFICIENT_BALANCE";
    ck_assert_int_eq(buy(ADA, "45012345678", 1000, &d), CVM_UNKNOWN);
    harness_replace(f, &test_plugin, gone_manifest);
    harness_run(f, 400000);
    ck_assert_int_eq(figure(ADA, "held_kobo"), 0);
    ck_assert_int_eq(figure(ADA, "balance_kobo"), 400000 * NAIRA);
    ck_assert_str_eq(text(row("transactions", text(d, "transaction_id")), "status"), "REFUNDED");
}
END_TEST

START_TEST(outage_stops_the_sale)
{
    const json_t *d;
    net.outcome = CVM_REFUSED;
    net.code = "NETWORK_ERROR";
    for (int i = 0; i < 12; i++) {
        buy(ADA, "45012345678", 100, NULL);
        harness_run(f, 59000);
    }
    ck_assert_int_eq(buy(ADA, "45012345678", 100, &d), CVM_REFUSED);
    ck_assert_str_eq(text(d, "rule"), "OUTAGE");
    int vends = net.vends;
    ck_assert_int_le(vends, 12);
    harness_run(f, 130000); /* probes find nothing */
    ck_assert_int_eq(buy(ADA, "45012345678", 100, &d), CVM_REFUSED);
    ck_assert_str_eq(text(d, "rule"), "OUTAGE");
    ck_assert_int_eq(net.vends, vends);
    net.status = "failed"; /* it answers again */
    net.outcome = CVM_REPLIED;
    harness_run(f, 61000);
    ck_assert_str_eq(text(row("sales_stops", "POWER/EKEDC"), "status"), "selling");
    ck_assert_int_eq(buy(ADA, "45012345678", 100, NULL), CVM_REPLIED);
    net.outcome = CVM_REFUSED;
    net.code = "INVALID_PHONE"; /* a customer's fault stops nothing */
    for (int i = 0; i < 15; i++) {
        buy(ADA, "45012345678", 100, &d);
        harness_run(f, 59000);
    }
    ck_assert_str_ne(text(d, "rule"), "OUTAGE");
}
END_TEST

/* ---- several recipients ---- */

START_TEST(order_for_several)
{
    const json_t *d;
    json_t *items = json_array();
    for (int i = 0; i < 30; i++)
        json_array_append_new(items, json_pack("{s:s, s:s, s:I, s:I, s:{s:s}}", "network_or_disco", "MTN", "recipient",
                                               ADA_PHONE, "amount_kobo", (json_int_t)(1000 * NAIRA), "discount_kobo",
                                               (json_int_t)(50 * NAIRA + i % 2), "delivery", "fail",
                                               i % 10 == 3 ? "INVALID_PHONE" : ""));
    json_t *body = json_pack("{s:s, s:s, s:s, s:o}", "service_type", "AIRTIME", "customer_id", ADA, "idempotency_key",
                             "o-1", "items", items);
    cvm_id id = harness_request(f, "test.seller", TXN_SELF, "purchase_bulk", "bulk", json_deep_copy(body));
    harness_run(f, 100);
    ck_assert_int_eq(harness_result(f, id, &d), CVM_REPLIED);
    const json_t *order_ = json_object_get(d, "order");
    ck_assert_int_eq(cvm_json_int(order_, "delivered", 0), 27);
    ck_assert_uint_eq(json_array_size(json_object_get(order_, "results")), 30);
    ck_assert_int_eq(figure(ADA, "held_kobo"), 0);
    ck_assert_int_eq(figure(ADA, "settled_kobo"), 27 * 950 * NAIRA - 12);
    ck_assert_int_eq(figure(ADA, "balance_kobo"), 400000 * NAIRA - 27 * 950 * NAIRA + 12);
    ck_assert_uint_eq(rows("transactions"), 30);
    ck_assert_int_eq(net.vends, 30);
    cvm_id again = harness_request(f, "test.seller", TXN_SELF, "purchase_bulk", "bulk-2", json_deep_copy(body));
    harness_run(f, 100);
    ck_assert_int_eq(harness_result(f, again, NULL), CVM_REPLIED);
    ck_assert_int_eq(net.vends, 30);
    json_t *item; /* its record has to hold what becomes of each */
    size_t i;
    json_array_foreach(json_object_get(body, "items"), i, item)
        json_object_set_new(json_object_get(item, "delivery"), "x", json_sprintf("%01500d", 1));
    again = harness_request(f, "test.seller", TXN_SELF, "purchase_bulk", "bulk-3", body);
    harness_run(f, 100);
    ck_assert_int_eq(harness_result(f, again, &d), CVM_REFUSED);
    ck_assert_str_eq(text(d, "code"), "ORDER");
}
END_TEST

/* What is asked of a purchase is asked of an order with one recipient too. */
START_TEST(order_for_several_is_no_way_around_the_rules)
{
    const json_t *d;
    open_wallet("B", "08030000002", 10000);
    open_wallet("C", "08030000003", 10000);
    static const char *const buyers[] = {ADA, "B", "C", "C"};
    for (int i = 0; i < 4; i++) {
        char lane[16];
        snprintf(lane, sizeof lane, "several-%d", i);
        cvm_id id =
            harness_request(f, "test.seller", TXN_SELF, "purchase_bulk", lane,
                            json_pack("{s:s, s:s, s:[{s:s, s:s, s:I, s:{s:i}}]}", "service_type", "AIRTIME",
                                      "customer_id", buyers[i], "items", "network_or_disco", "MTN", "recipient",
                                      "08139999999", "amount_kobo", (json_int_t)(100 * NAIRA), "delivery", "x", 1));
        harness_run(f, 100);
        ck_assert_int_eq(harness_result(f, id, &d), i < 3 ? CVM_REPLIED : CVM_REFUSED);
    }
    ck_assert_str_eq(text(d, "rule"), "DUPLICATE_SUSPECTED");
    ck_assert_uint_eq(flags("SAME_RECIPIENT"), 1);
    harness_run(f, 3 * TXN_DAY_MS);
    ck_assert_uint_eq(rows("transactions"), 3);
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)harness_state(f, TXN_SELF), key, value)
        ck_assert_msg(strncmp(key, "rcpt/", 5) != 0, "%s is kept for ever", key);
}
END_TEST

/* ---- looking ---- */

START_TEST(receipts_in_three_formats)
{
    const json_t *d;
    char id[32];
    json_t *body = order(ADA, "45012345678", 1000);
    json_object_set_new(body, "recipient", json_string("<b>"));
    harness_result(f, purchase(body), &d);
    snprintf(id, sizeof id, "%s", text(d, "transaction_id"));
    ck_assert_int_eq(ask_id("generate_receipt", id, "", NULL, &d), CVM_REPLIED);
    ck_assert_ptr_nonnull(strstr(text(d, "text"), "NGN 1,000.00"));
    ck_assert_int_eq(ask_id("generate_receipt", id, "format", "html", &d), CVM_REPLIED);
    ck_assert_ptr_nonnull(strstr(text(d, "html"), "&lt;b&gt;"));
    ck_assert_ptr_null(strstr(text(d, "html"), "@page"));
    ck_assert_int_eq(ask_id("generate_receipt", id, "format", "print", &d), CVM_REPLIED);
    ck_assert_ptr_nonnull(strstr(text(d, "html"), "@page"));
    open_wallet("B", "08030000002", 10); /* nobody sees another's */
    static const char *const types[] = {"generate_receipt", "show_transaction", "verify_transaction",
                                        "refund_transaction"};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        ck_assert_int_eq(ask_id(types[i], id, "customer", "B", &d), CVM_REFUSED);
        ck_assert_str_eq(text(d, "code"), "NOT_FOUND");
    }
    ck_assert_int_eq(ask_id("show_transaction", id, "customer", ADA, &d), CVM_REPLIED);
}
END_TEST

START_TEST(refund_has_a_window)
{
    const json_t *d;
    char id[32];
    buy(ADA, "45012345678", 1000, &d);
    snprintf(id, sizeof id, "%s", text(d, "transaction_id"));
    ck_assert_int_eq(ask_id("refund_transaction", id, "", NULL, &d), CVM_REFUSED);
    ck_assert_str_eq(text(d, "code"), "DELIVERED");
    harness_run(f, 25 * 3600000);
    ck_assert_int_eq(ask_id("refund_transaction", id, "", NULL, &d), CVM_REFUSED);
    ck_assert_str_eq(text(d, "code"), "REFUND_WINDOW");
    harness_run(f, 48 * 3600000);
    ck_assert_int_eq(ask_id("refund_transaction", id, "", NULL, &d), CVM_REFUSED);
    ck_assert_str_eq(text(d, "code"), "REFUND_WINDOW");
    ck_assert_int_eq(ask_id("refund_transaction", "TXN-000000000000", "", NULL, &d), CVM_REFUSED);
    ck_assert_str_eq(text(d, "code"), "NOT_FOUND");
}
END_TEST

/* ---- schedules ---- */

START_TEST(days_and_months)
{
    static const struct {
        enum period period;
        const char *anchor, *after, *next;
    } cases[] = {
        {PERIOD_DAILY, "2026-11-21", "2026-11-21", "2026-11-22"},
        {PERIOD_DAILY, "2026-11-30", "2026-11-21", "2026-11-30"},
        {PERIOD_DAILY, "2026-01-01", "2026-12-31", "2027-01-01"},
        {PERIOD_WEEKLY, "2026-11-21", "2026-11-21", "2026-11-28"},
        {PERIOD_WEEKLY, "2026-11-20", "2026-11-25", "2026-11-27"},
        {PERIOD_MONTHLY, "2026-01-31", "2026-01-31", "2026-02-28"},
        {PERIOD_MONTHLY, "2026-01-31", "2026-02-28", "2026-03-31"},
        {PERIOD_MONTHLY, "2027-12-31", "2028-01-31", "2028-02-29"},
        {PERIOD_MONTHLY, "2026-01-31", "2026-03-31", "2026-04-30"},
        {PERIOD_MONTHLY, "2026-06-15", "2026-12-15", "2027-01-15"},
    };
    struct date d, anchor;
    int minute;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char shown[16];
        ck_assert_int_eq(date_parse(cases[i].anchor, &anchor), CVM_OK);
        ck_assert_int_eq(date_parse(cases[i].after, &d), CVM_OK);
        d = date_of(period_next(cases[i].period, anchor, 480, date_at(d, 481)));
        snprintf(shown, sizeof shown, "%04d-%02d-%02d", d.year, d.month, d.day);
        ck_assert_msg(!strcmp(shown, cases[i].next), "%zu: %s", i, shown);
    }
    static const char *const bad[] = {"", "2026-02-29", "2026-13-01", "2026-1-01", "2026-01-01x", "abcd-ef-gh"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        ck_assert_int_eq(date_parse(bad[i], &d), CVM_EINVAL);
    ck_assert_int_eq(clock_parse("24:00", &minute), CVM_EINVAL);
    ck_assert_int_eq(clock_parse("23:59", &minute), CVM_OK);
    ck_assert_int_eq(date_parse("1970-01-01", &d), CVM_OK);
    ck_assert_int_eq(date_at(d, 60), 0);
}
END_TEST

static const json_t *schedule(const char *id)
{
    return row("schedules", id);
}

static void add_schedule(const char *every, const char *kind, char ret_id[32])
{
    const json_t *d;
    ck_assert_int_eq(harness_ask(f, TXN_SELF, "schedule_add",
                                 json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:i}", "service", "airtime", "customer",
                                           ADA_PHONE, "every", every, "kind", kind, "network", "MTN", "recipient_phone",
                                           "08139999999", "amount", 100),
                                 &d),
                     CVM_REPLIED);
    snprintf(ret_id, 32, "%s", text(d, "schedule_id"));
}

#define DAYS(n) ((int64_t)(n)*86400000)

START_TEST(schedule_buys_each_day)
{
    char id[32];
    add_schedule("daily", "top_up", id);
    ck_assert_int_eq(net.vends, 0);
    harness_run(f, DAYS(3));
    ck_assert_int_eq(net.vends, 3);
    ck_assert_int_eq(figure(ADA, "settled_kobo"), 300 * NAIRA);
    ck_assert_int_eq(cvm_json_int(schedule(id), "runs", 0), 3);
    ck_assert_str_eq(text(schedule(id), "last_status"), "SUCCESS");
    harness_replace(f, &transaction_plugin, MANIFESTS "/transaction.json"); /* a reload loses nothing */
    harness_run(f, DAYS(1));
    ck_assert_int_eq(net.vends, 4);
    net.outcome = CVM_REFUSED;
    harness_run(f, DAYS(6));
    ck_assert_int_eq(net.vends, 7);
    ck_assert_str_eq(text(schedule(id), "status"), "paused");
    ck_assert_str_eq(phone.template, "schedule_paused");
    ck_assert_int_eq(figure(ADA, "settled_kobo"), 400 * NAIRA);
    net.outcome = CVM_REPLIED;
    harness_ask(f, TXN_SELF, "schedule_resume", json_pack("{s:s}", "schedule_id", id), NULL);
    harness_run(f, DAYS(1));
    ck_assert_int_eq(net.vends, 8);
    const json_t *d;
    ck_assert_int_eq(
        harness_ask(f, TXN_SELF, "schedule_cancel", json_pack("{s:s, s:s}", "schedule_id", id, "customer", "B"), &d),
        CVM_REFUSED);
    harness_ask(f, TXN_SELF, "schedule_cancel", json_pack("{s:s}", "schedule_id", id), NULL);
    harness_run(f, DAYS(3));
    ck_assert_int_eq(net.vends, 8);
    ck_assert_str_eq(text(schedule(id), "status"), "cancelled");
    ck_assert_int_eq(harness_ask(f, TXN_SELF, "schedule_resume", json_pack("{s:s}", "schedule_id", id), NULL),
                     CVM_REFUSED);
}
END_TEST

START_TEST(renewal_is_announced)
{
    char id[32];
    add_schedule("weekly", "auto_renewal", id);
    harness_run(f, DAYS(5));
    ck_assert_int_eq(phone.sent, 0);
    harness_run(f, DAYS(1) + DAYS(1) / 2);
    ck_assert_str_eq(phone.template, "renewal_reminder");
    ck_assert_int_eq(net.vends, 0);
    harness_run(f, DAYS(1));
    ck_assert_int_eq(net.vends, 1);
}
END_TEST

/* ---- the books ---- */

/* A bundle that is bought again with the same wish is not renewed twice. */
START_TEST(renewal_is_one_schedule)
{
    char first[32], again[32];
    add_schedule("monthly", "auto_renewal", first);
    add_schedule("monthly", "auto_renewal", again);
    ck_assert_str_eq(first, again);
    ck_assert_uint_eq(rows("schedules"), 1);
    harness_ask(f, TXN_SELF, "schedule_pause", json_pack("{s:s}", "schedule_id", first), NULL);
    add_schedule("monthly", "auto_renewal", again);
    ck_assert_str_eq(first, again);
    ck_assert_str_eq(text(schedule(first), "status"), "active");
    harness_ask(f, TXN_SELF, "schedule_cancel", json_pack("{s:s}", "schedule_id", first), NULL);
    add_schedule("monthly", "auto_renewal", again);
    ck_assert_str_ne(first, again);
    add_schedule("daily", "top_up", first);
    add_schedule("daily", "top_up", again);
    ck_assert_str_ne(first, again);
}
END_TEST

static const json_t *reconcile(void)
{
    const json_t *d;
    cvm_id id = harness_request(f, "", TXN_SELF, "reconcile_day", "books", json_object());
    harness_run(f, 1000);
    ck_assert_int_eq(harness_result(f, id, &d), CVM_REPLIED);
    return d;
}

static const json_t *line(const json_t *report, const char *kind)
{
    const json_t *lines = json_object_get(report, "lines"), *one;
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)lines, i, one) if (!strcmp(text(one, "kind"), kind)) return one;
    return NULL;
}

START_TEST(books_are_compared_to_the_kobo)
{
    json_object_set_new(harness_settings(f, TXN_SELF), "max_per_minute", json_integer(1000));
    for (int i = 0; i < 10; i++)
        harness_ask(f, SALES, "process_purchase",
                    json_pack("{s:s, s:s, s:i, s:s}", "network", "MTN", "recipient_phone", "08139999999", "amount",
                              100 + i, "customer_id", ADA),
                    NULL);
    net.outcome = CVM_REFUSED;
    harness_ask(f, SALES, "process_purchase",
                json_pack("{s:s, s:s, s:i, s:s}", "network", "MTN", "recipient_phone", "08139999999", "amount", 500,
                          "customer_id", ADA),
                NULL);
    const json_t *d = reconcile();
    ck_assert_str_eq(text(d, "status"), "balanced");
    ck_assert_int_eq(cvm_json_int(d, "transactions", 0), 11);
    ck_assert_int_eq(cvm_json_int(d, "delivered", 0), 10);
    ck_assert_int_eq(cvm_json_int(d, "refunded", 0), 1);
    ck_assert(json_number_value(json_object_get(d, "sold")) == 1045);
    ck_assert(json_number_value(json_object_get(line(d, "sold"), "difference")) == 0);
    d = reconcile(); /* once more: the marks of the first run are not taken for this one's */
    ck_assert_str_eq(text(d, "status"), "balanced");

    json_t *one = json_array_get(statement, 3), *other = json_array_get(statement, 4);
    json_object_set_new(one, "amount_kobo", json_integer(cvm_json_int(one, "amount_kobo", 0) + 1));
    json_object_set_new(other, "reference", json_string("TXN-000000000000"));
    json_array_append_new(statement, json_deep_copy(json_array_get(statement, 0)));
    d = reconcile();
    ck_assert_str_eq(text(d, "status"), "differences");
    ck_assert_int_eq(cvm_json_int(d, "differences", 0), 4);
    ck_assert_uint_eq(json_array_size(json_object_get(d, "not_compared")), 0);
    ck_assert(json_number_value(json_object_get(line(d, "AMOUNT"), "difference")) == 0.01);
    ck_assert_ptr_nonnull(line(d, "UNKNOWN_TO_US"));
    ck_assert_ptr_nonnull(line(d, "MISSING_AT_PROVIDER"));
    ck_assert_ptr_nonnull(line(d, "DELIVERED_TWICE"));
    ck_assert_uint_eq(rows("reconciliations"), 1);
}
END_TEST

START_TEST(yesterday_is_compared_by_itself)
{
    harness_ask(f, SALES, "process_purchase",
                json_pack("{s:s, s:s, s:i, s:s}", "network", "MTN", "recipient_phone", "08139999999", "amount", 100,
                          "customer_id", ADA),
                NULL);
    harness_run(f, DAYS(2));
    ck_assert_uint_eq(rows("reconciliations"), 3); /* the day before the start too */
    const char *key;
    json_t *value;
    int64_t sold = 0;
    json_object_foreach((json_t *)(uintptr_t)harness_rows(f, "reconciliations"), key, value) sold +=
        cvm_json_int(value, "succeeded", 0);
    ck_assert_int_eq(sold, 1);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("money");
    TCase *c = tcase_create("wallet"), *g = tcase_create("gateway");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_checked_fixture(g, setup_gateway, teardown);
    tcase_add_test(c, code_confirms_a_large_purchase);
    tcase_add_test(c, code_is_wrong_too_often);
    tcase_add_test(c, code_expires_and_is_sent_again);
    tcase_add_test(c, high_stakes_wait_for_a_human);
    tcase_add_test(c, guesses_of_codes_are_few);
    tcase_add_test(c, rules_against_fraud);
    tcase_add_test(c, the_same_twice_is_asked_about);
    tcase_add_test(c, low_float_is_waited_for);
    tcase_add_test(c, late_answer_of_an_earlier_attempt);
    tcase_add_test(c, probe_decides_no_purchase);
    tcase_add_test(c, seller_goes_away_while_it_waits_for_float);
    tcase_add_test(c, outage_stops_the_sale);
    tcase_add_test(c, order_for_several);
    tcase_add_test(c, order_for_several_is_no_way_around_the_rules);
    tcase_add_test(c, receipts_in_three_formats);
    tcase_add_test(c, refund_has_a_window);
    tcase_add_test(c, days_and_months);
    tcase_add_test(c, schedule_buys_each_day);
    tcase_add_test(c, renewal_is_announced);
    tcase_add_test(c, renewal_is_one_schedule);
    tcase_add_test(c, books_are_compared_to_the_kobo);
    tcase_add_test(c, yesterday_is_compared_by_itself);
    tcase_add_test(g, stored_authorisation_pays);
    tcase_add_test(g, second_provider_only_when_the_first_surely_took_nothing);
    tcase_add_test(g, link_is_paid_or_expires);
    tcase_add_test(g, other_sums_than_asked_for);
    tcase_add_test(g, refund_to_where_it_came_from);
    tcase_add_test(g, refund_in_doubt_is_not_made_twice);
    tcase_add_test(g, refund_in_doubt_is_settled_by_hand);
    tcase_add_test(g, provider_goes_away_while_it_is_paid);
    suite_add_tcase(s, c);
    suite_add_tcase(s, g);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
