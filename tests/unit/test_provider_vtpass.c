/* The aggregator's interface: what every code of it means, what its answers look like, and how an order lives through
 * them. */
#include "provider.h"

#include "../../plugins/provider/vtpass/vtpass.h"

#include <stdlib.h>

#define NOW INT64_C(1795250040000) /* 2026-11-21 08:34 UTC, 09:34 in Lagos */
#define REFERENCE "TXN-8f2c01ab77d0"
#define ID "202611210934TXN8f2c01ab77d0"

static void begin(const char *component)
{
    json_error_t where;
    json_t *manifest = json_load_file(MANIFESTS "/vtpass.json", 0, &where), *c, *with = NULL;
    size_t i;
    json_array_foreach(json_object_get(manifest, "components"), i, c) if (!strcmp(cvm_json_str(c, "id", ""), component))
        with = json_deep_copy(json_object_get(c, "settings"));
    ck_assert_ptr_nonnull(with);
    json_object_set_new(with, "base_url", json_string("http://127.0.0.1:1/api"));
    json_object_set_new(with, "contact_phone", json_string("08030000001"));
    json_decref(manifest);
    provider_begin(component, NULL, with);
    exact = true;
    now = NOW;
}

static void setup(void)
{
    begin(VT_NETWORK);
}

static void setup_power(void)
{
    begin(VT_POWER);
}

static json_t *order(int64_t kobo, const char *bundle)
{
    return json_pack("{s:s, s:s, s:I, s:s, s:s*}", "network", "MTN", "phone", "+2348031234567", "amount_kobo",
                     (json_int_t)kobo, "reference", REFERENCE, "bundle_code", bundle);
}

static int buy(void)
{
    return turn("vend", 0, asker, order(50000, NULL), NOW + 300000);
}

static json_t *token_order(const char *type)
{
    return json_pack("{s:s, s:s, s:s, s:I, s:s}", "disco", "IKEDC", "meter_number", "45012345678", "meter_type", type,
                     "amount_kobo", (json_int_t)500000, "reference", REFERENCE);
}

static bool is_open(void)
{
    return json_object_get(state, "rid/" ID) != NULL;
}

/* ---- the table ---- */

/* Every row of the vendor's table, for a payment and for a status query. */
/* clang-format off */
static const struct {
    const char *code, *status;
    enum vt_action of_pay, of_requery;
    const char *error_code;
} rows[] = {
    {"000", "delivered", VT_DONE, VT_DONE, ""},
    {"000", "initiated", VT_ASK_LATER, VT_ASK_LATER, "UNKNOWN"},
    {"000", "pending", VT_ASK_LATER, VT_ASK_LATER, "UNKNOWN"},
    {"000", "failed", VT_FAILED, VT_FAILED, "NETWORK_ERROR"},
    {"000", "reversed", VT_FAILED, VT_FAILED, "NETWORK_ERROR"},
    {"000", "DELIVERED", VT_DONE, VT_DONE, ""},
    {"000", "", VT_ASK_LATER, VT_ASK_LATER, "UNKNOWN"},
    {"000", "delivered-soon", VT_ASK_LATER, VT_ASK_LATER, "UNKNOWN"},
    {"001", "delivered", VT_DONE, VT_DONE, ""},
    {"001", "failed", VT_FAILED, VT_FAILED, "NETWORK_ERROR"},
    {"001", "pending", VT_ASK_LATER, VT_ASK_LATER, "UNKNOWN"},
    {"099", "", VT_ASK_LATER, VT_ASK_LATER, "UNKNOWN"},
    {"099", "failed", VT_ASK_LATER, VT_ASK_LATER, "UNKNOWN"}, /* the code rules, not what is beside it */
    {"089", "", VT_ASK_LATER, VT_ASK_LATER, "UNKNOWN"},
    {"044", "", VT_MANUAL, VT_MANUAL, "MANUAL"},
    {"091", "", VT_FAILED, VT_FAILED, "NETWORK_ERROR"},
    {"016", "", VT_FAILED, VT_FAILED, "NETWORK_ERROR"},
    {"040", "", VT_FAILED, VT_FAILED, "NETWORK_ERROR"},
    {"010", "", VT_FAILED, VT_ASK_LATER, "INVALID_BUNDLE"},
    {"011", "", VT_FAILED, VT_ASK_LATER, "UNKNOWN"},
    {"012", "", VT_FAILED, VT_ASK_LATER, "UNKNOWN"},
    {"013", "", VT_FAILED, VT_ASK_LATER, "INVALID_AMOUNT"},
    {"017", "", VT_FAILED, VT_ASK_LATER, "INVALID_AMOUNT"},
    {"031", "", VT_FAILED, VT_ASK_LATER, "INVALID_AMOUNT"},
    {"032", "", VT_FAILED, VT_ASK_LATER, "INVALID_AMOUNT"},
    {"014", "", VT_ASK_NOW, VT_ASK_LATER, "DUPLICATE"},
    {"015", "", VT_ASK_LATER, VT_RESEND, "CONNECTION_ERROR"},
    {"018", "", VT_LOW, VT_ASK_LATER, "INSUFFICIENT_BALANCE"},
    {"019", "", VT_WAIT, VT_ASK_LATER, "DUPLICATE"},
    {"020", "", VT_ASK_LATER, VT_ASK_LATER, "UNKNOWN"},
    {"021", "", VT_FAULT, VT_ASK_LATER, "CONNECTION_ERROR"},
    {"022", "", VT_FAULT, VT_ASK_LATER, "CONNECTION_ERROR"},
    {"023", "", VT_FAULT, VT_ASK_LATER, "CONNECTION_ERROR"},
    {"024", "", VT_FAULT, VT_ASK_LATER, "CONNECTION_ERROR"},
    {"026", "", VT_FAULT, VT_ASK_LATER, "CONNECTION_ERROR"},
    {"027", "", VT_FAULT, VT_ASK_LATER, "CONNECTION_ERROR"},
    {"028", "", VT_FAULT, VT_ASK_LATER, "CONNECTION_ERROR"},
    {"085", "", VT_FAULT, VT_ASK_LATER, "CONNECTION_ERROR"},
    {"087", "", VT_FAULT, VT_ASK_LATER, "CONNECTION_ERROR"},
    {"025", "", VT_FAILED, VT_ASK_LATER, "UNKNOWN"},
    {"030", "", VT_UNREACHABLE, VT_ASK_LATER, "NETWORK_ERROR"},
    {"034", "", VT_SERVICE_OFF, VT_ASK_LATER, "NETWORK_ERROR"},
    {"035", "", VT_SERVICE_OFF, VT_ASK_LATER, "NETWORK_ERROR"},
    {"083", "", VT_ASK_LATER, VT_ASK_LATER, "UNKNOWN"},
    {"777", "", VT_ASK_LATER, VT_ASK_LATER, "UNKNOWN"},
    {"", "", VT_ASK_LATER, VT_ASK_LATER, "UNKNOWN"},
    {"", "delivered", VT_ASK_LATER, VT_ASK_LATER, "UNKNOWN"},
    {"16", "", VT_ASK_LATER, VT_ASK_LATER, "UNKNOWN"},
};
/* clang-format on */

START_TEST(every_row_of_the_table)
{
    struct vt_decision of_pay = vt_decide(VT_PAY, rows[_i].code, rows[_i].status);
    struct vt_decision of_requery = vt_decide(VT_REQUERY, rows[_i].code, rows[_i].status);
    ck_assert_msg(of_pay.action == rows[_i].of_pay, "%s %s", rows[_i].code, rows[_i].status);
    ck_assert_msg(of_requery.action == rows[_i].of_requery, "%s %s of a query", rows[_i].code, rows[_i].status);
    ck_assert_str_eq(of_pay.error_code, rows[_i].error_code);
    ck_assert(of_pay.action == VT_DONE || *of_pay.message);
}
END_TEST

/* ---- members, whose types change ---- */

static json_t *json(const char *text)
{
    json_t *v = cvm_json_exact(text, strlen(text));
    ck_assert_msg(v, "%s", text);
    return v;
}

static const struct {
    const char *amount;
    int64_t kobo; /* -1: it is none */
} sums[] = {
    {"5000", 500000},
    {"\"5000\"", 500000},
    {"5000.00", 500000},
    {"\"5000.00\"", 500000},
    {"5000.5", 500050},
    {"\"5000.50\"", 500050},
    {"5000.000", 500000},
    {"5000.001", -1},
    {"0.01", 1},
    {"0.1", 10},
    {"0.29", 29},
    {"4.35", 435},
    {"1.15", 115},
    {"999999999999.99", 99999999999999},
    {"1e3", -1},
    {"null", -1},
    {"\"\"", -1},
    {"\"N/A\"", -1},
    {"\"5,000\"", -1},
    {"true", -1},
    {"[]", -1},
    {"{}", -1},
    {"-75", -7500},
    {"\"-75.25\"", -7525},
    {"\".5\"", -1},
    {"\"5.\"", -1},
    {"\"1.2.3\"", -1},
    {"\" 5\"", -1},
    {"99999999999999999999999", -1},
};

START_TEST(money_is_read_as_text)
{
    char text[160];
    int64_t kobo = -1;
    snprintf(text, sizeof text, "[%s]", sums[_i].amount);
    json_t *v = cvm_json_exact(text, strlen(text));
    int e = naira_read(json_array_get(v, 0), &kobo);
    ck_assert_msg((e == CVM_OK ? kobo : -1) == sums[_i].kobo, "%s: %lld", sums[_i].amount, (long long)kobo);
    json_decref(v);
}
END_TEST

/* Of a member: what is read. */
static const char *const texts[][2] = {
    {"{\"x\":\"a\"}", "a"},  {"{\"x\":7}", "7"},   {"{\"x\":7.50}", "7.50"},
    {"{\"x\":null}", ""},    {"{}", ""},           {"{\"x\":\"N/A\"}", ""},
    {"{\"x\":\"n/a\"}", ""}, {"{\"x\":[1]}", ""},  {"{\"x\":{}}", ""},
    {"{\"x\":true}", ""},    {"{\"x\":\"\"}", ""},
};

START_TEST(texts_come_as_anything)
{
    char buf[VT_TEXT_SIZE];
    json_t *v = json(texts[_i][0]);
    ck_assert_str_eq(vt_text(v, "x", buf), texts[_i][1]);
    json_decref(v);
}
END_TEST

static const char *const tokens[][2] = {
    {"\"Token : 26362054405982757802\"", "26362054405982757802"},
    {"\"2636 2054 4059 8275 7802\"", "26362054405982757802"},
    {"\"2636-2054-4059-8275-7802\"", "26362054405982757802"},
    {"\"Token: 2636205440598275780\"", ""},   /* nineteen */
    {"\"Token: 263620544059827578022\"", ""}, /* twenty-one */
    {"null", ""},
    {"\"\"", ""},
    {"26362054405982757802", ""}, /* as a number it has lost digits */
};

START_TEST(tokens_are_twenty_digits)
{
    char text[160], token[VT_TOKEN_SIZE] = "";
    snprintf(text, sizeof text, "{\"token\":%s}", tokens[_i][0]);
    json_t *v = cvm_json_exact(text, strlen(text));
    vt_token(v, "token", token);
    ck_assert_str_eq(token, tokens[_i][1]);
    json_decref(v);
}
END_TEST

START_TEST(further_tokens_are_kept)
{
    json_t *into = json_object(),
           *v = json("{\"content\":{\"transactions\":{\"transactionId\":17636}},"
                     "\"purchased_code\":\"Token : 26362054405982757802\",\"token\":null,"
                     "\"kct1\":\"1111 1111 1111 1111 1111\",\"kct2\":\"2222 2222 2222 2222 2222\","
                     "\"units\":\"79.9 kWh\"}");
    vt_copy(v, into);
    ck_assert_str_eq(cvm_json_str(into, "transaction_id", ""), "17636");
    ck_assert_str_eq(cvm_json_str(into, "token", ""), "26362054405982757802");
    ck_assert_str_eq(cvm_json_str(into, "kct1", ""), "11111111111111111111");
    ck_assert_str_eq(cvm_json_str(into, "kct2", ""), "22222222222222222222");
    ck_assert_double_eq(json_real_value(json_object_get(into, "units")), 79.9);
    json_decref(into);
    json_decref(v);
}
END_TEST

/* ---- request ids ---- */

START_TEST(ids_have_the_minute_in_lagos)
{
    char id[VT_REQUEST_ID_SIZE], other[VT_REQUEST_ID_SIZE];
    vt_request_id(NOW, REFERENCE, id);
    ck_assert_str_eq(id, ID);
    vt_request_id(INT64_C(1795302000000) - 1, REFERENCE, id); /* 22:59:59.999 UTC */
    ck_assert_int_eq(strncmp(id, "202611212359", 12), 0);
    ck_assert(vt_is_of_today(INT64_C(1795302000000) - 1, id));
    ck_assert(!vt_is_of_today(INT64_C(1795302000000), id)); /* 23:00 UTC is tomorrow in Lagos */
    vt_request_id(INT64_C(1795302000000), REFERENCE, id);
    ck_assert_int_eq(strncmp(id, "202611220000", 12), 0);
    vt_request_id(INT64_C(1798757999000), REFERENCE, id); /* and the year */
    ck_assert_int_eq(strncmp(id, "202612312359", 12), 0);
    vt_request_id(NOW, "a b", id);
    vt_request_id(NOW, "ab", other);
    ck_assert_str_ne(id, other);
    vt_request_id(NOW, "a-reference-that-is-longer-than-the-vendor-would-take-1", id);
    vt_request_id(NOW, "a-reference-that-is-longer-than-the-vendor-would-take-2", other);
    ck_assert_str_ne(id, other);
    ck_assert(strspn(id, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") == strlen(id));
}
END_TEST

START_TEST(a_retry_keeps_the_id)
{
    ck_assert_int_eq(buy(), CVM_PENDING);
    now += 86400000;
    ck_assert_int_eq(buy(), CVM_PENDING);
    ck_assert_str_eq(cvm_json_str(json_object_get(called, "body"), "request_id", ""), ID);
}
END_TEST

/* ---- orders ---- */

static void sent(const char *member, const char *value)
{
    const json_t *v = json_object_get(json_object_get(called, "body"), member);
    char *text = json_dumps(v, JSON_ENCODE_ANY);
    ck_assert_msg(text && !strcmp(text, value), "%s: %s, not %s", member, text, value);
    free(text);
}

START_TEST(airtime_order)
{
    ck_assert_int_eq(buy(), CVM_PENDING);
    ck_assert_str_eq(call_name, "vend");
    ck_assert_str_eq(call_path, "/pay");
    ck_assert_str_eq(call_key, ID);
    ck_assert_str_eq(cvm_json_str(json_object_get(called, "headers"), "api-key", ""), "${VTPASS_API_KEY}");
    ck_assert_str_eq(cvm_json_str(json_object_get(called, "headers"), "secret-key", ""), "${VTPASS_SECRET_KEY}");
    ck_assert_int_eq(call_timeout_ms, 30000);
    sent("request_id", "\"" ID "\"");
    sent("serviceID", "\"mtn\"");
    sent("amount", "500");
    sent("phone", "\"08031234567\"");
    ck_assert_uint_eq(json_object_size(json_object_get(called, "body")), 4);
}
END_TEST

START_TEST(power_order)
{
    ck_assert_int_eq(turn("vend", 0, asker, token_order("PREPAID"), NOW + 300000), CVM_PENDING);
    ck_assert_int_eq(call_timeout_ms, 45000);
    sent("serviceID", "\"ikeja-electric\"");
    sent("billersCode", "\"45012345678\"");
    sent("variation_code", "\"prepaid\"");
    sent("amount", "5000");
    sent("phone", "\"08030000001\"");
    ck_assert_int_eq(turn("vend", 0, asker, token_order("POSTPAID"), NOW + 300000), CVM_PENDING);
    sent("variation_code", "\"postpaid\"");
}
END_TEST

#define VARIATIONS                                                                                                     \
    "{\"response_description\":\"000\",\"content\":{\"variations\":[{\"variation_code\":\"mtn-10mb-100\",\"name\":"    \
    "\"100MB\","                                                                                                       \
    "\"variation_amount\":\"100.00\",\"fixedPrice\":\"Yes\"},{\"variation_code\":\"mtn-50mb-200\",\"name\":\"200MB\"," \
    "\"variation_amount\":200}]}}"

START_TEST(data_order)
{
    ck_assert_int_eq(turn("vend", 0, asker, order(10000, "*312*1#"), NOW + 300000), CVM_PENDING);
    ck_assert_str_eq(call_name, "variations");
    ck_assert_str_eq(cvm_json_str(json_object_get(called, "query"), "serviceID", ""), "mtn-data");
    call_answered("variations.reply", CVM_REPLIED, 200, VARIATIONS);
    ck_assert_str_eq(call_name, "vend");
    sent("serviceID", "\"mtn-data\"");
    sent("variation_code", "\"mtn-10mb-100\""); /* by the setting */
    sent("billersCode", "\"08031234567\"");
    sent("phone", "\"08031234567\"");
    /* The list is known now; a code of the vendor's own needs no setting. */
    ck_assert_int_eq(turn("vend", 0, asker, order(20000, "mtn-50mb-200"), NOW + 300000), CVM_PENDING);
    ck_assert_str_eq(call_name, "vend");
    sent("variation_code", "\"mtn-50mb-200\"");
    /* Another price, and a bundle that is none, are not sent. */
    ck_assert_int_eq(turn("vend", 0, asker, order(20000, "*312*1#"), NOW + 300000), CVM_OK);
    ck_assert_int_eq(settled_outcome, CVM_REFUSED);
    ck_assert_str_eq(word("error_code"), "INVALID_BUNDLE");
    ck_assert_int_eq(turn("vend", 0, asker, order(20000, "*999#"), NOW + 300000), CVM_OK);
    ck_assert_str_eq(call_name, "");
    ck_assert_str_eq(word("error_code"), "INVALID_BUNDLE");
    /* A day later, or when the vendor says so, it is asked for again; then an old one is better than none. */
    ck_assert_int_eq(turn("variations_update", 0, asker, json_pack("{s:s}", "service", "mtn-data"), 0), CVM_OK);
    ck_assert_int_eq(turn("vend", 0, asker, order(10000, "*312*1#"), NOW + 300000), CVM_PENDING);
    ck_assert_str_eq(call_name, "variations");
    call_answered("variations.reply", CVM_REPLIED, 503, "{}");
    ck_assert_str_eq(call_name, "vend");
}
END_TEST

START_TEST(no_list_no_bundle)
{
    ck_assert_int_eq(turn("vend", 0, asker, order(10000, "*312*1#"), NOW + 300000), CVM_PENDING);
    call_answered("variations.reply", CVM_TIMEOUT, 0, "");
    ck_assert_int_eq(settled_outcome, CVM_REFUSED);
    ck_assert_str_eq(word("error_code"), "CONNECTION_ERROR");
}
END_TEST

/* ---- what answers lead to ---- */

#define OF(code, status, amount)                                                                                       \
    "{\"code\":\"" code "\",\"content\":{\"transactions\":{\"status\":\"" status                                       \
    "\",\"unique_element\":\"08031234567\","                                                                           \
    "\"amount\":" amount ",\"transactionId\":\"1763\"}},\"requestId\":\"" ID "\",\"amount\":\"500.00\"}"

/* clang-format off */
static const struct {
    int outcome, status;
    const char *body;
    int settles;        /* -1: not yet */
    const char *code;   /* of the settlement */
    int64_t timer;      /* until it asks; -1: none; 0: it asks at once */
    bool alerts;
} pays[] = {
    {CVM_REPLIED, 200, OF("000", "delivered", "500"), CVM_REPLIED, "", -1, false},
    {CVM_REPLIED, 200, OF("000", "delivered", "\"500\""), CVM_REPLIED, "", -1, false},
    {CVM_REPLIED, 200, OF("000", "delivered", "null"), CVM_REPLIED, "", -1, false},
    {CVM_REPLIED, 200, OF("000", "pending", "500"), -1, "", 5000, false},
    {CVM_REPLIED, 200, OF("000", "failed", "500"), CVM_REFUSED, "NETWORK_ERROR", -1, false},
    {CVM_REPLIED, 200, OF("000", "reversed", "500"), CVM_REFUSED, "NETWORK_ERROR", -1, false},
    {CVM_REPLIED, 200, "{\"code\":99}", -1, "", 5000, false},
    {CVM_REPLIED, 200, "{\"code\":16}", CVM_REFUSED, "NETWORK_ERROR", -1, false},
    {CVM_REPLIED, 200, "{\"code\":\"044\"}", CVM_UNKNOWN, "MANUAL", -1, true},
    {CVM_REPLIED, 200, "{\"code\":\"014\"}", -1, "", 0, false},
    {CVM_REPLIED, 200, "{\"code\":\"015\"}", -1, "", 5000, false},
    {CVM_REPLIED, 200, "{\"code\":\"018\"}", CVM_REFUSED, "INSUFFICIENT_BALANCE", -1, true},
    {CVM_REPLIED, 200, "{\"code\":\"019\"}", -1, "", 30000, false},
    {CVM_REPLIED, 200, "{\"code\":\"027\"}", CVM_REFUSED, "CONNECTION_ERROR", -1, true},
    {CVM_REPLIED, 200, "{\"code\":\"028\"}", CVM_REFUSED, "CONNECTION_ERROR", -1, true},
    {CVM_REPLIED, 200, "{\"code\":\"030\"}", CVM_REFUSED, "NETWORK_ERROR", -1, false},
    {CVM_REPLIED, 200, "{\"code\":\"034\"}", CVM_REFUSED, "NETWORK_ERROR", -1, true},
    {CVM_REPLIED, 401, "no json", CVM_REFUSED, "CONNECTION_ERROR", -1, true},
    {CVM_REPLIED, 429, "slow down", -1, "", 5000, false},
    /* What does not fit the order, or is no answer at all, is asked about. */
    {CVM_REPLIED, 200, "{\"code\":\"000\",\"content\":{\"transactions\":{\"status\":\"delivered\"}},\"requestId\":\"202611210934OTHER\"}", -1, "", 5000, false},
    {CVM_REPLIED, 200, "{\"code\":\"000\",\"content\":{\"transactions\":{\"status\":\"delivered\"}},\"amount\":\"501\"}", -1, "", 5000, false},
    {CVM_REPLIED, 200, "{\"code\":\"000\",\"content\":{\"transactions\":{\"status\":\"delivered\",\"unique_element\":\"08039999999\"}}}", -1, "", 5000, false},
    {CVM_REPLIED, 200, "[]", -1, "", 5000, false},
    {CVM_REPLIED, 200, "\"delivered\"", -1, "", 5000, false},
    {CVM_REPLIED, 200, "{\"code\":null,\"content\":[],\"amount\":{}}", -1, "", 5000, false},
    {CVM_REPLIED, 200, "{\"code\":{\"000\":1},\"content\":{\"transactions\":[]}}", -1, "", 5000, false},
    {CVM_REPLIED, 200, "{\"code\":\"000\",\"content\":{\"transactions\":{\"status\":[\"delivered\"]}}}", -1, "", 5000, false},
    {CVM_TIMEOUT, 0, "", CVM_UNKNOWN, "TIMEOUT", -1, false},
    {CVM_UNKNOWN, 0, "", CVM_UNKNOWN, "TIMEOUT", -1, false},
    {CVM_ERROR, 0, "", CVM_REFUSED, "CONNECTION_ERROR", -1, false},
    {CVM_BUSY, 0, "", CVM_REFUSED, "CONNECTION_ERROR", -1, false},
};
/* clang-format on */

START_TEST(answer_of_a_payment)
{
    ck_assert_int_eq(buy(), CVM_PENDING);
    call_answered("vend.reply", pays[_i].outcome, pays[_i].status, pays[_i].body);
    ck_assert_msg(settled_outcome == pays[_i].settles, "%s: settled with %d", pays[_i].body, settled_outcome);
    ck_assert_str_eq(word("error_code"), pays[_i].code);
    ck_assert_str_eq(call_name, pays[_i].timer == 0 ? "requery" : "");
    if (pays[_i].timer)
        ck_assert_int_eq(timer_ms, pays[_i].timer);
    ck_assert(is_open() == (pays[_i].settles < 0));
    ck_assert_str_eq(emitted_type, pays[_i].alerts ? "provider.alert" : "");
    if (pays[_i].settles == CVM_REPLIED) {
        ck_assert_str_eq(word("transaction_id"), "1763");
        ck_assert_str_eq(word("reference"), REFERENCE);
    }
}
END_TEST

/* The states of a query, after a payment that is pending. */
static const struct {
    const char *body;
    int settles;
    const char *code, *call;
} queries[] = {
    {OF("000", "delivered", "500"), CVM_REPLIED, "", ""},
    {OF("001", "delivered", "500"), CVM_REPLIED, "", ""},
    {OF("000", "failed", "500"), CVM_REFUSED, "NETWORK_ERROR", ""},
    {"{\"code\":\"040\"}", CVM_REFUSED, "NETWORK_ERROR", ""},
    {"{\"code\":\"015\"}", -1, "", "vend"},
    {"{\"code\":\"018\"}", -1, "", ""},
    {"{\"code\":\"011\"}", -1, "", ""},
    {"{\"code\":\"087\"}", -1, "", ""},
    {"{\"code\":\"099\"}", -1, "", ""},
    {"half an ans", -1, "", ""},
    {"{\"code\":\"044\"}", CVM_UNKNOWN, "MANUAL", ""},
};

START_TEST(answer_of_a_query)
{
    ck_assert_int_eq(buy(), CVM_PENDING);
    call_answered("vend.reply", CVM_REPLIED, 200, "{\"code\":\"099\"}");
    ck_assert_int_eq(turn("requery_due", 0, asker, json_object(), 0), CVM_OK);
    ck_assert_str_eq(call_name, "requery");
    sent("request_id", "\"" ID "\"");
    call_answered("requery.reply", CVM_REPLIED, 200, queries[_i].body);
    ck_assert_int_eq(settled_outcome, queries[_i].settles);
    ck_assert_str_eq(word("error_code"), queries[_i].code);
    ck_assert_str_eq(call_name, queries[_i].call);
    if (*queries[_i].call)
        sent("request_id", "\"" ID "\"");
    else if (queries[_i].settles < 0)
        ck_assert_int_eq(timer_ms, 15000);
}
END_TEST

START_TEST(queries_come_slower_and_end)
{
    static const int64_t delays[] = {5000, 15000, 60000, 217000}; /* the last one is not in 5 minutes */
    ck_assert_int_eq(buy(), CVM_PENDING);
    call_answered("vend.reply", CVM_REPLIED, 200, "{\"code\":\"099\"}");
    for (size_t i = 0; i < 4; i++) {
        ck_assert_int_eq(timer_ms, delays[i]);
        now += timer_ms;
        ck_assert_int_eq(turn("requery_due", 0, asker, json_object(), 0), CVM_OK);
        call_answered("requery.reply", i == 1 ? CVM_TIMEOUT : CVM_REPLIED, 200, "{\"code\":\"099\"}");
    }
    ck_assert_int_eq(settled_outcome, CVM_UNKNOWN);
    ck_assert_str_eq(word("error_code"), "TIMEOUT");
    ck_assert(!is_open());
}
END_TEST

START_TEST(the_same_id_is_sent_again_once)
{
    ck_assert_int_eq(buy(), CVM_PENDING);
    call_answered("vend.reply", CVM_REPLIED, 200, "{\"code\":\"019\"}");
    ck_assert_int_eq(turn("requery_due", 0, asker, json_object(), 0), CVM_OK);
    call_answered("requery.reply", CVM_REPLIED, 200, "{\"code\":\"015\"}");
    ck_assert_str_eq(call_name, "vend");
    sent("request_id", "\"" ID "\"");
    call_answered("vend.reply", CVM_REPLIED, 200, "{\"code\":\"083\"}");
    ck_assert_int_eq(turn("requery_due", 0, asker, json_object(), 0), CVM_OK);
    call_answered("requery.reply", CVM_REPLIED, 200, "{\"code\":\"015\"}");
    ck_assert_int_eq(settled_outcome, CVM_REFUSED);
    ck_assert_str_eq(call_name, "");
}
END_TEST

/* Of a call whose outcome the host does not know: what the component finds out, once for each answer. */
static json_t *looked_up(const char *body)
{
    ck_assert_int_eq(turn("verify_vend", 0, asker,
                          json_pack("{s:s, s:s, s:{s:s}}", "call", "vend", "key", ID, "request", "request_id", ID), 0),
                     CVM_PENDING);
    ck_assert_str_eq(call_name, "outcome");
    call_answered("outcome.reply", body ? CVM_REPLIED : CVM_TIMEOUT, 200, body ? body : "");
    ck_assert_int_eq(settled_outcome, CVM_REPLIED);
    return settled;
}

START_TEST(a_lost_call_is_looked_up)
{
    ck_assert_int_eq(buy(), CVM_PENDING);
    ck_assert(cvm_json_bool(looked_up(NULL), "pending", false));
    ck_assert(cvm_json_bool(looked_up("{\"code\":\"099\"}"), "pending", false));
    ck_assert(cvm_json_bool(looked_up("{\"code\":\"087\"}"), "pending", false));
    ck_assert(!cvm_json_bool(looked_up("{\"code\":\"015\"}"), "found", true)); /* sent again */
    ck_assert(cvm_json_bool(looked_up("{\"code\":\"015\"}"), "found", false)); /* but once */
    ck_assert(cvm_json_bool(looked_up(OF("000", "delivered", "500")), "found", false));
    json_t *found = json_pack("{s:i, s:b, s:o}", "status", 200, "verified", 1, "body", json("{\"code\":\"015\"}"));
    ck_assert_int_eq(turn("vend.reply", CVM_REPLIED, asker, found, 0), CVM_OK);
    ck_assert_int_eq(settled_outcome, CVM_REFUSED);
    /* Once it is settled nothing is sent again, whatever the vendor says. */
    ck_assert_int_eq(turn("verify_vend", 0, asker,
                          json_pack("{s:s, s:s, s:{s:s}}", "call", "vend", "key", ID, "request", "request_id", ID), 0),
                     CVM_OK);
    ck_assert_str_eq(call_name, "");
    ck_assert(json_is_true(json_object_get(settled, "found")));
}
END_TEST

START_TEST(an_id_of_yesterday_is_no_fault)
{
    ck_assert_int_eq(buy(), CVM_PENDING);
    call_answered("vend.reply", CVM_REPLIED, 200, "{\"code\":\"085\"}");
    ck_assert_str_eq(emitted_type, "provider.alert");
    json_object_clear(state);
    ck_assert_int_eq(buy(), CVM_PENDING);
    now += 86400000;
    call_answered("vend.reply", CVM_REPLIED, 200, "{\"code\":\"085\"}");
    ck_assert_int_eq(settled_outcome, CVM_REFUSED);
    ck_assert_str_eq(emitted_type, "");
}
END_TEST

START_TEST(a_token_is_part_of_the_delivery)
{
    ck_assert_int_eq(turn("vend", 0, asker, token_order("PREPAID"), NOW + 300000), CVM_PENDING);
    call_answered("vend.reply", CVM_REPLIED, 200,
                  "{\"code\":\"000\",\"content\":{\"transactions\":{\"status\":\"delivered\"}}}");
    ck_assert_int_eq(settled_outcome, -1);
    ck_assert_int_eq(timer_ms, 5000);
    ck_assert_int_eq(turn("requery_due", 0, asker, json_object(), 0), CVM_OK);
    call_answered("requery.reply", CVM_REPLIED, 200,
                  "{\"code\":\"000\",\"content\":{\"transactions\":{\"status\":\"delivered\"}},"
                  "\"purchased_code\":\"Token : 26362054405982757802\",\"kct1\":\"1111 1111 1111 1111 1111\"}");
    ck_assert_int_eq(settled_outcome, CVM_REPLIED);
    ck_assert_str_eq(word("token"), "26362054405982757802");
    ck_assert_str_eq(word("kct1"), "11111111111111111111");
    ck_assert_str_eq(word("transaction_id"), ID);
    ck_assert_int_eq(turn("vend", 0, asker, token_order("POSTPAID"), NOW + 300000), CVM_PENDING);
    call_answered("vend.reply", CVM_REPLIED, 200,
                  "{\"code\":\"000\",\"content\":{\"transactions\":{\"status\":\"delivered\"}}}");
    ck_assert_int_eq(settled_outcome, CVM_REPLIED);
}
END_TEST

/* ---- circuits ---- */

START_TEST(a_fault_stops_all_for_a_while)
{
    ck_assert_int_eq(buy(), CVM_PENDING);
    call_answered("vend.reply", CVM_REPLIED, 200, "{\"code\":\"087\"}");
    ck_assert_int_eq(buy(), CVM_EREFUSED);
    ck_assert_str_eq(word("error_code"), "CONNECTION_ERROR");
    ck_assert_str_eq(call_name, "");
    now += 60000;
    ck_assert_int_eq(buy(), CVM_PENDING);
}
END_TEST

START_TEST(an_empty_account_burns_no_attempts)
{
    ck_assert_int_eq(buy(), CVM_PENDING);
    call_answered("vend.reply", CVM_REPLIED, 200, "{\"code\":\"018\"}");
    ck_assert_str_eq(cvm_json_str(emitted, "scope", ""), "float_low");
    ck_assert_int_eq(buy(), CVM_EREFUSED);
    ck_assert_str_eq(word("error_code"), "INSUFFICIENT_BALANCE");
    now += 30000;
    ck_assert_int_eq(buy(), CVM_PENDING);
}
END_TEST

START_TEST(a_biller_that_is_away_stops_its_service)
{
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(buy(), CVM_PENDING);
        call_answered("vend.reply", CVM_REPLIED, 200, "{\"code\":\"030\"}");
        ck_assert_int_eq(n_emitted, i == 2);
    }
    ck_assert_int_eq(buy(), CVM_EREFUSED);
    json_t *other = order(50000, NULL);
    json_object_set_new(other, "network", json_string("GLO"));
    ck_assert_int_eq(turn("vend", 0, asker, other, NOW + 300000), CVM_PENDING);
}
END_TEST

/* ---- questions ---- */

START_TEST(a_reference_is_asked_about)
{
    ck_assert_int_eq(turn("verify", 0, asker, json_pack("{s:s, s:s}", "network", "MTN", "reference", REFERENCE), 0),
                     CVM_EREFUSED); /* not vended here: nothing can be said */
    ck_assert_int_eq(buy(), CVM_PENDING);
    static const char *const said[][2] = {{OF("000", "delivered", "500"), "delivered"},
                                          {"{\"code\":\"040\"}", "failed"},
                                          {"{\"code\":\"099\"}", "pending"},
                                          {"{\"code\":\"015\"}", "pending"}}; /* the vend is open */
    for (size_t i = 0; i < 4; i++) {
        ck_assert_int_eq(turn("verify", 0, asker, json_pack("{s:s, s:s}", "network", "MTN", "reference", REFERENCE), 0),
                         CVM_PENDING);
        call_answered("status.reply", CVM_REPLIED, 200, said[i][0]);
        ck_assert_str_eq(word("status"), said[i][1]);
    }
    call_answered("vend.reply", CVM_UNKNOWN, 0, "");
    ck_assert_int_eq(turn("verify", 0, asker, json_pack("{s:s, s:s}", "network", "MTN", "reference", REFERENCE), 0),
                     CVM_PENDING);
    call_answered("status.reply", CVM_REPLIED, 200, "{\"code\":\"015\"}");
    ck_assert_str_eq(word("status"), "not_found");
}
END_TEST

START_TEST(balance_is_read)
{
    static const char *const said[] = {"125000.5", "\"125000.50\"", "\"125000.5\""};
    for (size_t i = 0; i < 3; i++) {
        char body[96];
        snprintf(body, sizeof body, "{\"code\":1,\"contents\":{\"balance\":%s}}", said[i]);
        ck_assert_int_eq(turn("balance", 0, asker, json_pack("{s:s}", "network", "MTN"), 0), CVM_PENDING);
        ck_assert_str_eq(cvm_json_str(json_object_get(called, "headers"), "public-key", ""), "${VTPASS_PUBLIC_KEY}");
        call_answered("balance.reply", CVM_REPLIED, 200, body);
        ck_assert_int_eq(cvm_json_int(settled, "balance_kobo", 0), 12500050);
    }
}
END_TEST

#define WRONG "{\"code\":\"000\",\"content\":{\"WrongBillersCode\":true}}"
#define FOUND                                                                                                          \
    "{\"code\":\"000\",\"content\":{\"Customer_Name\":\"ADA OBI\",\"Address\":\"4 PALM "                               \
    "RD\",\"Customer_Arrears\":\"120.50\","                                                                            \
    "\"Customer_Account_Type\":\"NMD\",\"WrongBillersCode\":false}}"

static int ask_meter(const char *type)
{
    return turn(type, 0, asker, json_pack("{s:s, s:s}", "disco", "IKEDC", "meter_number", "45012345678"), 0);
}

START_TEST(a_meter_is_of_one_of_two_types)
{
    ck_assert_int_eq(ask_meter("validate_meter"), CVM_PENDING);
    sent("type", "\"prepaid\"");
    ck_assert_int_eq(call_timeout_ms, 15000);
    call_answered("validate.reply", CVM_REPLIED, 200, WRONG);
    ck_assert_str_eq(call_name, "validate");
    sent("type", "\"postpaid\"");
    sent("serviceID", "\"ikeja-electric\"");
    call_answered("validate.reply", CVM_REPLIED, 200, FOUND);
    ck_assert_str_eq(word("meter_type"), "POSTPAID");
    ck_assert_str_eq(word("customer_name"), "ADA OBI");
    ck_assert_str_eq(word("tariff_class"), "NMD");
    ck_assert_int_eq(ask_meter("validate_meter"), CVM_OK); /* known for an hour */
    ck_assert_str_eq(word("customer_name"), "ADA OBI");
    ck_assert_int_eq(ask_meter("bill"), CVM_PENDING);
    call_answered("bill.reply", CVM_REPLIED, 200, FOUND);
    ck_assert_int_eq(cvm_json_int(settled, "amount_due_kobo", 0), 12050);
}
END_TEST

static const struct {
    int status;
    const char *body;
    int settles;
} meters[] = {
    {200, WRONG, CVM_REFUSED},
    {200, "{\"code\":\"000\",\"content\":{\"error\":\"no such meter\"}}", CVM_REFUSED},
    {200, "{\"code\":\"030\",\"content\":{\"errors\":\"BILLER NOT REACHABLE\"}}", CVM_ERROR},
    {200, "{\"code\":\"000\",\"content\":{\"WrongBillersCode\":false}}", CVM_ERROR},
    {503, "{}", CVM_ERROR},
    {200, "nonsense", CVM_ERROR},
};

START_TEST(a_meter_is_not_found_or_not_answered_for)
{
    ck_assert_int_eq(ask_meter("validate_meter"), CVM_PENDING);
    call_answered("validate.reply", CVM_REPLIED, meters[_i].status, meters[_i].body);
    if (settled_outcome < 0)
        call_answered("validate.reply", CVM_REPLIED, meters[_i].status, meters[_i].body);
    ck_assert_int_eq(settled_outcome, meters[_i].settles);
}
END_TEST

/* ---- the vendor's own word ---- */

static int hook(const char *body64)
{
    return turn_of(VT_WEBHOOK, asker, "webhook", 0, asker, json_pack("{s:s}", "body", body64), 0);
}

START_TEST(a_webhook_is_a_hint)
{
    ck_assert_int_eq(buy(), CVM_PENDING);
    call_answered("vend.reply", CVM_REPLIED, 200, "{\"code\":\"099\"}");
    /* {"type":"transaction-update","data":{"requestId":"202611210934TXN8f2c01ab77d0"}} */
    ck_assert_int_eq(
        hook("eyJ0eXBlIjoidHJhbnNhY3Rpb24tdXBkYXRlIiwiZGF0YSI6eyJyZXF1ZXN0SWQiOiIyMDI2MTEyMTA5MzRUWE44ZjJjMDFhYjc3"
             "ZDAifX0="),
        CVM_OK);
    ck_assert_int_eq(n_emitted, 2);
    ck_assert_str_eq(cvm_json_str(emitted, "request_id", ""), ID);
    ck_assert_str_eq(word("body"), "{\"response\":\"success\"}");
    ck_assert_int_eq(turn("transaction_update", 0, asker, json_pack("{s:s}", "request_id", ID), 0), CVM_OK);
    ck_assert_str_eq(call_name, "hint");
    call_answered("hint.reply", CVM_REPLIED, 200, "{\"code\":\"099\"}");
    ck_assert_int_eq(settled_outcome, -1);
    ck_assert_int_eq(timer_ms, -1); /* its own timer is armed already */
    call_answered("hint.reply", CVM_REPLIED, 200, OF("000", "delivered", "500"));
    ck_assert_int_eq(settled_outcome, CVM_REPLIED);
    ck_assert_int_eq(turn("transaction_update", 0, asker, json_pack("{s:s}", "request_id", ID), 0), CVM_OK);
    ck_assert_str_eq(call_name, ""); /* again: no effect */
    ck_assert_int_eq(turn("transaction_update", 0, asker, json_pack("{s:s}", "request_id", "X"), 0), CVM_OK);
    ck_assert_str_eq(call_name, "");
}
END_TEST

START_TEST(nonsense_is_no_webhook)
{
    static const char *const bodies[] = {"", "!!!!", "e30=", "bm9uc2Vuc2U=", "e30", "====", "W10="};
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        ck_assert_int_eq(hook(bodies[i]), CVM_OK);
        ck_assert_int_eq(n_emitted, 0);
        ck_assert_int_eq(cvm_json_int(settled, "status", 0), 400);
    }
}
END_TEST

START_TEST(what_is_not_set_up_is_refused)
{
    secret_result = CVM_ENOENT;
    ck_assert_int_eq(buy(), CVM_EREFUSED);
    ck_assert_str_eq(word("error_code"), "CONFIGURATION");
    secret_result = CVM_OK;
    json_object_set_new(settings, "base_url", json_string(""));
    ck_assert_int_eq(buy(), CVM_EREFUSED);
    ck_assert_str_eq(word("error_code"), "CONFIGURATION");
    json_t *other = order(50000, NULL);
    json_object_set_new(other, "network", json_string("VODAFONE"));
    ck_assert_int_eq(turn("vend", 0, asker, other, 0), CVM_EREFUSED);
    ck_assert_str_eq(word("error_code"), "INVALID_NETWORK");
}
END_TEST

#define COUNT(a) ((int)(sizeof(a) / sizeof(a)[0]))

int main(void)
{
    Suite *s = suite_create("provider_vtpass");
    TCase *pure = tcase_create("pure"), *network = tcase_create("network"), *power = tcase_create("power");
    tcase_add_loop_test(pure, every_row_of_the_table, 0, COUNT(rows));
    tcase_add_loop_test(pure, money_is_read_as_text, 0, COUNT(sums));
    tcase_add_loop_test(pure, texts_come_as_anything, 0, COUNT(texts));
    tcase_add_loop_test(pure, tokens_are_twenty_digits, 0, COUNT(tokens));
    tcase_add_test(pure, further_tokens_are_kept);
    tcase_add_test(pure, ids_have_the_minute_in_lagos);
    tcase_add_checked_fixture(network, setup, provider_end);
    tcase_add_test(network, a_retry_keeps_the_id);
    tcase_add_test(network, airtime_order);
    tcase_add_test(network, data_order);
    tcase_add_test(network, no_list_no_bundle);
    tcase_add_loop_test(network, answer_of_a_payment, 0, COUNT(pays));
    tcase_add_loop_test(network, answer_of_a_query, 0, COUNT(queries));
    tcase_add_test(network, queries_come_slower_and_end);
    tcase_add_test(network, the_same_id_is_sent_again_once);
    tcase_add_test(network, a_lost_call_is_looked_up);
    tcase_add_test(network, an_id_of_yesterday_is_no_fault);
    tcase_add_test(network, a_fault_stops_all_for_a_while);
    tcase_add_test(network, an_empty_account_burns_no_attempts);
    tcase_add_test(network, a_biller_that_is_away_stops_its_service);
    tcase_add_test(network, a_reference_is_asked_about);
    tcase_add_test(network, balance_is_read);
    tcase_add_test(network, a_webhook_is_a_hint);
    tcase_add_test(network, nonsense_is_no_webhook);
    tcase_add_test(network, what_is_not_set_up_is_refused);
    tcase_add_checked_fixture(power, setup_power, provider_end);
    tcase_add_test(power, power_order);
    tcase_add_test(power, a_token_is_part_of_the_delivery);
    tcase_add_test(power, a_meter_is_of_one_of_two_types);
    tcase_add_loop_test(power, a_meter_is_not_found_or_not_answered_for, 0, COUNT(meters));
    suite_add_tcase(s, pure);
    suite_add_tcase(s, network);
    suite_add_tcase(s, power);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
