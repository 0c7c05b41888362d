/* vtpass_sim: plays the aggregator VTpass for tests and demonstrations. Owns what is particular to it: addresses, keys,
 * request ids, codes, the shapes of answers with their changing types, and which numbers make trouble. */
#include "../disco_sim/meter.h"
#include "catalogue.h"
#include "hooks.h"
#include "simulator.h"

#include <cvm/json.h>
#include <cvm/money.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LAGOS_S 3600
#define AIRTIME_LEAST_KOBO 5000
#define AIRTIME_MOST_KOBO 5000000
#define POWER_LEAST_KOBO 50000
#define POWER_MOST_KOBO 50000000

static const char usage[] = "Usage: vtpass_sim [OPTIONS]\n"
                            "Plays the interface of the aggregator VTpass (airtime, data, electricity) on 127.0.0.1.\n"
                            "\n" SIMULATOR_OPTIONS("SERVICE") SIMULATOR_WEBHOOK_OPTIONS
    "Addresses; \"/api\" before them may be left out:\n"
    "  GET  /balance, /service-categories, /services?identifier=, /service-variations?serviceID=\n"
    "  POST /merchant-verify {\"billersCode\", \"serviceID\", \"type\"}\n"
    "  POST /pay {\"request_id\", \"serviceID\", \"amount\", \"phone\"}; data: \"billersCode\", \"variation_code\" "
    "too;\n"
    "      electricity: \"billersCode\" is the meter, \"variation_code\" prepaid or postpaid\n"
    "  POST /requery {\"request_id\"}\n"
    "  GET /ledger[?service=SERVICE], /statement[?since_ms=&until_ms=&after=], /health, without a key\n"
    "GET takes the headers api-key and public-key, POST api-key and secret-key; all of them are --key. A request id\n"
    "begins with today's YYYYMMDDHHmm in Lagos. The webhook (--webhooks URL) goes to URL/vtpass, unsigned, up to five\n"
    "times, until it is answered {\"response\":\"success\"}. Tokens begin with " TOKEN_PREFIX
    " and load nobody's meter.\n"
    "\n"
    "With --strict only the vendor's own sandbox numbers do well: phone 08011111111; meters 1111111111111 (prepaid),\n"
    "1010101010101 (postpaid). 201000000000 is pending, 500000000000 an unexpected answer, 400000000000 none,\n"
    "300000000000 a late one. A meter that begins with 6 is POSTPAID; one that ends in 0007 does not exist; one in "
    "0021\n"
    "has two more tokens to be keyed in first. Numbers that end in these digits make trouble when something is sold:\n";

/* clang-format off */
#define CODE(number, meaning) {"9" number, OUT_NONE, REFUSES, .status = 200, .code = number, .text = meaning, .help = "code " number ": " meaning}

static const struct behaviour triggers[] = {
    {"0001", OUT_NONE, REFUSES, .status = 200, .code = "018", .text = "LOW WALLET BALANCE", .help = "code 018: LOW WALLET BALANCE"},
    {"0002", OUT_NONE, REFUSES, .status = 200, .code = "012", .text = "PRODUCT DOES NOT EXIST", .help = "code 012: PRODUCT DOES NOT EXIST"},
    {"0003", OUT_PENDING, HANGS, .help = "accepted, never answered (cut after --hang-ms); requery: pending, for ever"},
    {"0004", OUT_NONE, REFUSES, .status = 200, .code = "019", .text = "LIKELY DUPLICATE TRANSACTION", .first_only = true,
     .help = "first attempt: code 019; requery: 015; a repeat is delivered"},
    {"0005", OUT_NONE, REFUSES, .status = 200, .code = "016", .text = "TRANSACTION FAILED", .help = "code 016: TRANSACTION FAILED"},
    {"0006", OUT_NONE, CUTS, .help = "connection closed, nothing done; requery: 015"},
    {"0008", OUT_DELIVERED, CUTS, .help = "delivered, connection closed instead of an answer"},
    {"0009", OUT_DELIVERED, IS_LATE, .help = "delivered, answered only after --slow-ms"},
    {"0010", OUT_DELIVERED, BABBLES, .help = "delivered, answered 200 with a page of HTML"},
    {"0011", OUT_NONE, REFUSES, .status = 503, .code = "", .text = "", .help = "503, nothing done; requery: 015"},
    {"0012", OUT_FAILED, ANSWERS, .settles = true, .help = "pending for --settle-ms, then failed"},
    {"0013", OUT_DELIVERED, CUTS, .verify_fails = true, .help = "delivered, connection closed; requery: 503, for ever"},
    {"0014", OUT_NONE, CUTS, .first_only = true, .help = "first attempt: connection closed, nothing done; a repeat is delivered"},
    {"0015", OUT_DELIVERED, REFUSES, .status = 502, .code = "", .text = "", .help = "delivered, answered 502"},
    {"0016", OUT_DELIVERED, REFUSES, .status = 200, .code = "014", .text = "REQUEST ID ALREADY EXIST", .help = "delivered, answered 014"},
    {"0018", OUT_DELIVERED, HALVES, .help = "delivered, half an answer"},
    {"0019", OUT_DELIVERED, ANSWERS, .settles = true, .help = "pending for --settle-ms, then delivered"},
    {"0022", OUT_PENDING, ANSWERS, .help = "pending, for ever"},
    {"0023", OUT_FAILED, ANSWERS, .code = "reversed", .help = "code 000, reversed"},
    {"0024", OUT_FAILED, ANSWERS, .help = "code 000, failed"},
    {"0025", OUT_DELIVERED, ANSWERS, .settles = true, .code = "initiated", .help = "initiated for --settle-ms, then delivered"},
    {"0026", OUT_DELIVERED, ANSWERS, .settles = true, .code = "099", .help = "code 099 for --settle-ms, then delivered"},
    {"0027", OUT_DELIVERED, ANSWERS, .settles = true, .code = "089", .help = "code 089 for --settle-ms, then delivered"},
    {"0028", OUT_DELIVERED, ANSWERS, .settles = true, .code = "083", .help = "code 083 for --settle-ms, then delivered"},
    {"0029", OUT_DELIVERED, ANSWERS, .settles = true, .code = "777", .help = "an unlisted code for --settle-ms, then delivered"},
    CODE("010", "VARIATION CODE DOES NOT EXIST"), CODE("011", "INVALID ARGUMENTS"), CODE("012", "PRODUCT DOES NOT EXIST"),
    CODE("013", "BELOW MINIMUM AMOUNT ALLOWED"), CODE("016", "TRANSACTION FAILED"), CODE("017", "ABOVE MAXIMUM AMOUNT ALLOWED"),
    CODE("018", "LOW WALLET BALANCE"), CODE("021", "ACCOUNT LOCKED"), CODE("022", "ACCOUNT SUSPENDED"),
    CODE("023", "API ACCESS NOT ENABLED FOR USER"), CODE("024", "ACCOUNT INACTIVE"), CODE("025", "RECIPIENT BANK INVALID"),
    CODE("026", "RECIPIENT ACCOUNT COULD NOT BE VERIFIED"), CODE("027", "IP NOT WHITELISTED"), CODE("028", "PRODUCT IS NOT WHITELISTED ON YOUR ACCOUNT"),
    CODE("030", "BILLER NOT REACHABLE AT THIS POINT"), CODE("031", "BELOW MINIMUM QUANTITY ALLOWED"), CODE("032", "ABOVE MAXIMUM QUANTITY ALLOWED"),
    CODE("034", "SERVICE SUSPENDED"), CODE("035", "SERVICE INACTIVE"), CODE("040", "TRANSACTION REVERSAL"), CODE("044", "TRANSACTION RESOLVED"),
    CODE("085", "IMPROPER REQUEST ID"), CODE("087", "INVALID CREDENTIALS"), CODE("091", "TRANSACTION NOT PROCESSED"),
    {0}
};
/* clang-format on */

/* ---- answers ---- */

static void say(struct answer *a, const char *code, const char *text)
{
    snprintf(a->note, sizeof a->note, "%s", code);
    json_answer(
        a, 200,
        json_pack("{s:s, s:{s:s}, s:s}", "code", code, "content", "errors", text, "response_description", text));
}

/* The vendor's types change from one answer to the next. */
static json_t *changing(const struct entry *e, int64_t kobo)
{
    char text[32];
    if (e->n % 3 == 0 && kobo % 100 == 0)
        return json_integer(kobo / 100);
    if (e->n % 3 == 1 && kobo % 100 == 0)
        snprintf(text, sizeof text, "%lld", (long long)(kobo / 100));
    else
        snprintf(text, sizeof text, "%lld.%02d", (long long)(kobo / 100), (int)(kobo % 100));
    return json_string(text);
}

static void add_power(const struct entry *e, json_t *body)
{
    struct meter m;
    char token[TOKEN_SIZE], text[48], units[32];
    meter_read(e->subject, &m);
    json_object_set_new(body, "exchangeReference", json_integer((json_int_t)e->time_ms));
    json_object_set_new(body, "customerName", json_string(m.customer));
    json_object_set_new(body, "meterNumber", json_string("N/A"));
    if (m.postpaid || strcmp(e->subject, "1010101010101") == 0) {
        json_object_set_new(body, "utilityName", json_string(service_ids[e->vendor]));
        json_object_set_new(body, "balance", json_null());
        return;
    }
    token_make(e->n, token);
    snprintf(text, sizeof text, "Token : %s", token);
    json_object_set_new(body, "purchased_code", json_string(text));
    if (e->n % 2) /* some billers fill in one name, some both */
        json_object_set_new(body, "token", json_string(text));
    int64_t tenths = meter_units10(&m, e->amount_kobo);
    snprintf(units, sizeof units, "%lld.%lld%s", (long long)(tenths / 10), (long long)(tenths % 10),
             e->n % 3 ? " kWh" : "");
    json_object_set_new(body, "units", json_string(units));
    json_object_set_new(body, "resetToken", json_null());
    for (int i = 1; i <= 2; i++) {
        snprintf(text, sizeof text, "kct%d", i);
        bool first = strcmp(e->subject + strlen(e->subject) - 4, "0021") == 0;
        token_make(e->n + i * 1000000, token);
        json_object_set_new(body, text, first ? json_string(token) : json_null());
    }
}

static const struct behaviour *trigger(const char *subject)
{
    static const struct behaviour none = {0};
    for (const struct behaviour *b = triggers; b->digits; b++)
        if (strcmp(b->digits, subject + strlen(subject) - 4) == 0)
            return b;
    return &none;
}

/* What pay and requery answer about an entry. Gives. */
static json_t *envelope(const struct vending *v, const struct entry *e, int64_t now_ms)
{
    char id[32], amount[32];
    const struct behaviour *b = trigger(e->subject);
    const char *word = ledger_status(e, now_ms), *code = "000";
    const bool open = strcmp(word, "pending") == 0;
    if (open && b->code && strspn(b->code, "0123456789") == 3)
        code = b->code;
    else if (open && b->code)
        word = b->code;
    else if (b->code && strcmp(word, "failed") == 0 && strspn(b->code, "0123456789") == 0)
        word = b->code;
    ledger_transaction_id(v->ledger, e, id, sizeof id);
    snprintf(amount, sizeof amount, "%lld.%02d", (long long)(e->amount_kobo / 100), (int)(e->amount_kobo % 100));
    json_t *body = json_pack("{s:s, s:{s:{s:s, s:s, s:s, s:o, s:i, s:n, s:s, s:o, s:s, s:n, s:o, s:s}}, s:s, s:s, s:s}",
                             "code", code, "content", "transactions", "status", word, "product_name",
                             services[e->vendor].name, "unique_element", e->subject, "unit_price",
                             changing(e, e->amount_kobo), "quantity", 1, "service_verification", "channel", "api",
                             "commission", json_real(0.1 * (double)(e->amount_kobo / 100)), "type",
                             services[e->vendor].kind == POWER ? "Electricity Bill" : "Airtime Recharge", "name",
                             "amount", changing(e, e->amount_kobo), "transactionId", id, "response_description",
                             strcmp(code, "000") ? "TRANSACTION PROCESSING" : "TRANSACTION SUCCESSFUL", "requestId",
                             e->reference, "amount", amount);
    if (services[e->vendor].kind == POWER && strcmp(word, "delivered") == 0)
        add_power(e, body);
    return body;
}

static void put_envelope(const struct vending *v, const struct entry *e, int64_t now_ms, struct answer *a)
{
    snprintf(a->note, sizeof a->note, "%s", ledger_status(e, now_ms));
    json_answer(a, 200, envelope(v, e, now_ms));
}

/* ---- telling by itself ---- */

static void tell(struct vending *v, const struct entry *e, int64_t now_ms)
{
    char url[512];
    const int64_t decided = e->settles_ms > now_ms ? e->settles_ms : now_ms;
    int64_t due = decided + v->options.webhook_ms;
    if (!v->hooks || e->outcome == OUT_PENDING)
        return;
    json_t *body = json_pack("{s:s, s:o}", "type", "transaction-update", "data", envelope(v, e, decided));
    char *text = json_dumps(body, JSON_COMPACT | JSON_REAL_PRECISION(15));
    snprintf(url, sizeof url, "%s/vtpass", v->options.webhooks);
    if (vend_chance(v, "webhook", e, 0, v->options.webhook_faults)) {
        hooks_add(v->hooks, due, url, NULL, text, "\"success\"");
        hooks_add(v->hooks, due + 20, url, NULL, "{\"type\":\"transaction-update\",\"data\":{\"requestId\":7}}", NULL);
        due += v->options.webhook_ms;
    }
    hooks_add(v->hooks, due, url, NULL, text, "\"success\"");
    free(text);
    json_decref(body);
}

/* ---- pay ---- */

struct order {
    int service;
    char subject[SUBJECT_SIZE];
    const char *request_id; /* borrowed from the body */
    int64_t amount_kobo;
};

static struct entry *find(const struct vending *v, const char *request_id)
{
    for (int i = 0; i < SERVICES; i++) {
        struct entry *e = ledger_find(v->ledger, i, request_id);
        if (e)
            return e;
    }
    return NULL;
}

static const char *text_of(const json_t *body, const char *key, char buf[64])
{
    const json_t *v = json_object_get(body, key);
    buf[0] = '\0';
    if (json_is_integer(v))
        snprintf(buf, 64, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
    else if (json_is_string(v))
        snprintf(buf, 64, "%s", json_string_value(v));
    return buf;
}

/* Twelve digits of today in Lagos, then letters and digits. */
static bool request_id_good(const char *id, int64_t now_ms)
{
    char today[9];
    struct tm tm;
    time_t seconds = (time_t)(now_ms / 1000) + LAGOS_S;
    gmtime_r(&seconds, &tm);
    strftime(today, sizeof today, "%Y%m%d", &tm);
    return strlen(id) >= 12 && strlen(id) <= 60 && strspn(id, "0123456789") >= 12 && strncmp(id, today, 8) == 0;
}

static bool digits_between(const char *text, size_t least, size_t most)
{
    size_t n = strlen(text);
    return n >= least && n <= most && strspn(text, "0123456789") == n;
}

/* The vendor's code for an order that is not taken; NULL: `o` is whole. */
static const char *order_read(const json_t *body, int64_t now_ms, struct order *o)
{
    char text[64], subject[64], variation[64];
    const char *service = cvm_json_str(body, "serviceID", "");
    o->request_id = cvm_json_str(body, "request_id", "");
    if (!request_id_good(o->request_id, now_ms))
        return "085";
    for (o->service = 0; o->service < SERVICES && strcmp(service_ids[o->service], service) != 0;)
        o->service++;
    if (o->service == SERVICES)
        return "012";
    const enum kind kind = services[o->service].kind;
    text_of(body, kind == AIRTIME ? "phone" : "billersCode", subject);
    text_of(body, "variation_code", variation);
    if (!digits_between(subject, 11, 13) || !digits_between(text_of(body, "phone", text), 10, 15))
        return "011";
    snprintf(o->subject, sizeof o->subject, "%.15s", subject);
    if (kind == DATA)
        return bundle_price(service, variation, &o->amount_kobo) ? NULL : "010";
    if (cvm_money_from_json(json_object_get(body, "amount"), &o->amount_kobo) < 0)
        return "011";
    if (kind == POWER && strcmp(variation, "prepaid") != 0 && strcmp(variation, "postpaid") != 0)
        return "010";
    if (o->amount_kobo < (kind == POWER ? POWER_LEAST_KOBO : AIRTIME_LEAST_KOBO))
        return "013";
    return o->amount_kobo > (kind == POWER ? POWER_MOST_KOBO : AIRTIME_MOST_KOBO) ? "017" : NULL;
}

/* The vendor's sandbox knows few numbers; the rest fail there. */
static const struct behaviour *sandbox(const char *subject)
{
    static const struct behaviour listed[] = {
        {"08011111111", OUT_DELIVERED, ANSWERS},   {"1111111111111", OUT_DELIVERED, ANSWERS},
        {"1010101010101", OUT_DELIVERED, ANSWERS}, {"201000000000", OUT_PENDING, ANSWERS},
        {"500000000000", OUT_NONE, BABBLES},       {"400000000000", OUT_PENDING, HANGS},
        {"300000000000", OUT_DELIVERED, IS_LATE},
    };
    static const struct behaviour fails = {.books = OUT_FAILED, .manner = ANSWERS};
    for (size_t i = 0; i < sizeof listed / sizeof listed[0]; i++)
        if (strcmp(listed[i].digits, subject) == 0)
            return &listed[i];
    return &fails;
}

static const struct behaviour *behaviour_of(struct vending *v, struct entry *e, struct answer *a)
{
    const struct behaviour *b = sandbox(e->subject);
    const bool other = strlen(e->subject) == 12 && b->digits; /* no phone number has twelve digits */
    return v->options.strict || other ? b : vend_behaviour(v, e, a);
}

static void refuse(const struct behaviour *b, struct answer *a)
{
    if (b->status == 200) {
        say(a, b->code, b->text);
        return;
    }
    a->html = true;
    a->status = b->status;
    a->text = strdup("<html><body>Bad gateway</body></html>");
    snprintf(a->note, sizeof a->note, "%d", b->status);
}

static void pay(struct vending *v, const json_t *body, int64_t now_ms, struct answer *a)
{
    struct order o = {0};
    const char *code = order_read(body, now_ms, &o);
    struct entry *e = code ? NULL : find(v, o.request_id);
    if (code) {
        say(a, code, "NOT ACCEPTED");
        return;
    }
    v->counts[o.service].requests++;
    if (e && (e->outcome != OUT_NONE || e->vendor != o.service)) {
        v->counts[o.service].replayed++;
        say(a, "014", "REQUEST ID ALREADY EXIST");
        return;
    }
    if (!e)
        e = ledger_see(v->ledger, o.service, o.request_id, o.subject, o.amount_kobo);
    if (!e) {
        say(a, "083", "SYSTEM ERROR");
        return;
    }
    a->entry = e;
    e->attempts++;
    e->amount_kobo = o.amount_kobo; /* an attempt that vended nothing binds nobody */
    memcpy(e->subject, o.subject, sizeof o.subject);
    const struct behaviour *b = behaviour_of(v, e, a);
    int64_t spent = 0;
    for (int i = 0; i < SERVICES; i++)
        spent += ledger_spent_kobo(v->ledger, i);
    if (b->books != OUT_NONE) {
        if (spent + o.amount_kobo > v->options.float_kobo) {
            say(a, "018", "LOW WALLET BALANCE");
            return;
        }
        ledger_vend(v->ledger, e, b->books, now_ms, b->settles ? now_ms + v->options.settle_ms : 0);
        a->line = ledger_line(v->ledger, e);
        tell(v, e, now_ms);
    }
    a->delay_ms += vend_jitter(v, "delay", e, e->attempts);
    if (vend_misbehaves(v, e, b, now_ms, a))
        return;
    if (b->manner == REFUSES)
        refuse(b, a);
    else
        put_envelope(v, e, now_ms, a);
}

static void requery(struct vending *v, const json_t *body, int64_t now_ms, struct answer *a)
{
    struct entry *e = find(v, cvm_json_str(body, "request_id", ""));
    uint32_t attempt = e ? ++e->verifies : 0;
    a->entry = e;
    a->delay_ms = vend_jitter(v, "requery delay", e, attempt);
    if (e && vend_chance(v, "requery fault", e, attempt, v->options.faults)) {
        v->counts[e->vendor].disturbed++;
        a->cut = attempt % 2;
        if (!a->cut)
            refuse(&(struct behaviour){.status = 503}, a);
    } else if (e && e->outcome != OUT_NONE && trigger(e->subject)->verify_fails) {
        refuse(&(struct behaviour){.status = 503}, a);
    } else if (!e || e->outcome == OUT_NONE) {
        say(a, "015", "INVALID REQUEST ID");
    } else {
        put_envelope(v, e, now_ms, a);
    }
}

/* ---- the rest ---- */

static void verify_meter(struct vending *v, const json_t *body, int64_t now_ms, struct answer *a)
{
    char number[64];
    struct meter m;
    const char *type = cvm_json_str(body, "type", "");
    (void)v;
    (void)now_ms;
    if (!digits_between(text_of(body, "billersCode", number), 11, 13)) {
        say(a, "011", "INVALID ARGUMENTS");
        return;
    }
    meter_read(number, &m);
    const bool postpaid = m.postpaid || strcmp(number, "1010101010101") == 0;
    if (strcmp(number + strlen(number) - 4, "0007") == 0 || postpaid != (strcmp(type, "postpaid") == 0)) {
        snprintf(a->note, sizeof a->note, "no such meter");
        json_answer(a, 200,
                    json_pack("{s:s, s:{s:b, s:s}}", "code", "000", "content", "WrongBillersCode", 1, "error",
                              "This meter is not correct or is not a valid meter"));
        return;
    }
    char arrears[32], address[96];
    snprintf(arrears, sizeof arrears, "%lld.00", (long long)(m.bill_kobo / 100));
    snprintf(address, sizeof address, "%d %s", m.house, m.street);
    json_answer(a, 200,
                json_pack("{s:s, s:{s:s, s:s, s:s, s:s, s:s, s:i, s:s, s:s, s:s, s:s, s:b}}", "code", "000", "content",
                          "Customer_Name", m.customer, "Address", address, "Meter_Number", number, "Customer_Arrears",
                          arrears, "Minimum_Amount", "", "Min_Purchase_Amount", POWER_LEAST_KOBO / 100, "Can_Vend",
                          "yes", "Business_Unit", "", "Customer_Account_Type", m.tariff_class[0] == 'C' ? "MD" : "NMD",
                          "Meter_Type", postpaid ? "POSTPAID" : "PREPAID", "WrongBillersCode", 0));
}

static void balance(struct vending *v, struct answer *a)
{
    int64_t left = v->options.float_kobo;
    for (int i = 0; i < SERVICES; i++)
        left -= ledger_spent_kobo(v->ledger, i);
    json_answer(a, 200, json_pack("{s:i, s:{s:o}}", "code", 1, "contents", "balance", json_real((double)left / 100)));
}

static void list_services(const char *identifier, struct answer *a)
{
    static const char *const kinds[] = {"airtime", "data", "electricity-bill"};
    json_t *list = json_array();
    for (int i = 0; i < SERVICES; i++)
        if (strcmp(kinds[services[i].kind], identifier) == 0)
            json_array_append_new(list, json_pack("{s:s, s:s, s:i, s:i, s:s, s:s}", "serviceID", services[i].id, "name",
                                                  services[i].name, "minimium_amount", 50, "maximum_amount", 500000,
                                                  "convinience_fee", "0 %", "product_type", "fix"));
    json_answer(a, 200, json_pack("{s:s, s:o}", "response_description", "000", "content", list));
}

static void list_variations(const char *service, struct answer *a)
{
    json_answer(a, 200,
                json_pack("{s:s, s:{s:s, s:s, s:s, s:o}}", "response_description", "000", "content", "ServiceName",
                          service, "serviceID", service, "convinience_fee", "N0", "variations", bundles_json(service)));
}

static bool key_is(const struct vending *v, const struct asked *q, const char *name)
{
    const char *given = q->header(q, name);
    return given && strcmp(given, v->keys[0]) == 0;
}

static void answer_get(struct vending *v, const struct asked *q, const char *path, struct answer *a)
{
    const char *service = q->argument(q, "serviceID"), *identifier = q->argument(q, "identifier");
    if (strcmp(path, "/balance") == 0)
        balance(v, a);
    else if (strcmp(path, "/service-categories") == 0)
        json_answer(a, 200,
                    json_pack("{s:s, s:[{s:s, s:s}, {s:s, s:s}, {s:s, s:s}]}", "response_description", "000", "content",
                              "identifier", "airtime", "name", "Airtime Recharge", "identifier", "data", "name",
                              "Data Services", "identifier", "electricity-bill", "name", "Electricity Bill"));
    else if (strcmp(path, "/services") == 0)
        list_services(identifier ? identifier : "", a);
    else if (strcmp(path, "/service-variations") == 0)
        list_variations(service ? service : "", a);
    else
        error_answer(a, 404, "NO_SUCH_ADDRESS", "no such address");
}

static void answer_post(struct vending *v, const struct asked *q, const char *path, int64_t now_ms, struct answer *a)
{
    json_t *body = json_loadb(q->body, q->body_len, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(body))
        say(a, "011", "INVALID ARGUMENTS");
    else if (strcmp(path, "/pay") == 0)
        pay(v, body, now_ms, a);
    else if (strcmp(path, "/requery") == 0)
        requery(v, body, now_ms, a);
    else if (strcmp(path, "/merchant-verify") == 0)
        verify_meter(v, body, now_ms, a);
    else
        error_answer(a, 404, "NO_SUCH_ADDRESS", "no such address");
    json_decref(body);
}

static void answer(struct vending *v, const struct asked *q, int64_t now_ms, struct answer *a)
{
    const char *path = strncmp(q->path, "/api/", 5) == 0 ? q->path + 4 : q->path;
    const bool get = strcmp(q->method, "GET") == 0;
    if (!get && strcmp(q->method, "POST") != 0)
        error_answer(a, 405, "METHOD_NOT_ALLOWED", "this address does not take that method");
    else if (!key_is(v, q, "api-key") || !key_is(v, q, get ? "public-key" : "secret-key"))
        say(a, "087", "INVALID CREDENTIALS");
    else if (get)
        answer_get(v, q, path, a);
    else
        answer_post(v, q, path, now_ms, a);
}

int main(int argc, char **argv)
{
    static const struct trade trade = {.program = "vtpass_sim",
                                       .usage = usage,
                                       .form = {.vendors = service_ids,
                                                .n_vendors = SERVICES,
                                                .vendor_member = "service",
                                                .subject_member = "subject"},
                                       .vendor_list = "a service id such as mtn",
                                       .wrong_vendor_code = "NO_SUCH_SERVICE",
                                       .triggers = triggers,
                                       .answer = answer};
    return simulator_main(&trade, argc, argv);
}
