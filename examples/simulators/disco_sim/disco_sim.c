/* disco_sim: plays the interfaces of the eleven electricity distribution companies for tests and demonstrations. Owns
 * what is particular to them: addresses, keys, meters, tokens, bills, and which meters make trouble. */
#include "meter.h"
#include "simulator.h"

#include <cvm/json.h>

#include <stdio.h>
#include <string.h>

static const char *const names[] = {"AEDC", "BEDC",   "EKEDC", "EEDC",  "IBEDC", "IKEDC",
                                    "JED",  "KAEDCO", "KEDCO", "PHEDC", "YEDC"};

static const char usage[] =
    "Usage: disco_sim [OPTIONS]\n"
    "Plays the interfaces of AEDC, BEDC, EKEDC, EEDC, IBEDC, IKEDC, JED, KAEDCO, KEDCO, PHEDC and YEDC on 127.0.0.1.\n"
    "\n" SIMULATOR_OPTIONS(
        "DISCO") "\n"
                 "Addresses, with DISCO one of the codes above in any case; \"/v1\" after it may be left out:\n"
                 "  POST /DISCO/prepaid/validate {\"meter_number\"}\n"
                 "      -> 200 {\"customer_name\", \"address\", \"tariff_class\", \"meter_type\", \"service_band\", "
                 "\"rate\"}\n"
                 "  POST /DISCO/prepaid/vend {\"meter_number\", \"amount\", \"reference\"}; Idempotency-Key may stand "
                 "for the "
                 "reference\n"
                 "      -> 200 {\"status\", \"transaction_id\", \"reference\", \"meter_number\", \"amount\"} and, for "
                 "a PREPAID "
                 "meter,\n"
                 "      {\"token\", \"units\"}. The same reference gives the same token and vends once; with another "
                 "order it is\n"
                 "      409 DUPLICATE. On a POSTPAID meter it pays the bill.\n"
                 "  GET /DISCO/prepaid/verify?reference= (or POST {\"reference\"})\n"
                 "      -> 200, as above, with status delivered, pending or failed; or {\"status\": \"not_found\", "
                 "\"reference\"}\n"
                 "  POST /DISCO/postpaid/bill {\"meter_number\"} -> 200 {\"amount_due\", \"period\", \"due_date\", "
                 "\"lines\", ..}\n"
                 "  GET /DISCO/merchant/balance -> 200 {\"balance\", \"currency\"}\n"
                 "  GET /ledger[?disco=DISCO] -> every entry and the totals, without a key\n"
                 "  GET /health\n"
                 "The key goes into Authorization, bare or as Bearer. Amounts are naira, a number or a decimal string; "
                 "the ledger "
                 "holds\n"
                 "kobo. Refusals are {\"error_code\", \"message\"} with 4xx. Tokens begin with " TOKEN_PREFIX
                 " and load nobody's "
                 "meter.\n"
                 "\n"
                 "Any 11 to 13 digits are a meter, of whom the digits say more: one that begins with 6 is POSTPAID, "
                 "the second "
                 "digit is\n"
                 "the class (R2, R3, C1, C2, from 0), the third the band (A to E, from 0). Those that end in 0007 do "
                 "not exist, "
                 "those in\n"
                 "0017 and 0018 cannot be validated (no answer; 503). Those that end in these digits make trouble when "
                 "something is "
                 "vended:\n";

/* clang-format off */
static const struct behaviour triggers[] = {
    {"0001", OUT_NONE, REFUSES, .status = 402, .code = "INSUFFICIENT_BALANCE", .text = "the merchant's balance is too low",
     .help = "refused: 402 INSUFFICIENT_BALANCE"},
    {"0002", OUT_NONE, REFUSES, .status = 400, .code = "INVALID_METER", .text = "the meter is blocked",
     .help = "refused: 400 INVALID_METER"},
    {"0003", OUT_PENDING, HANGS, .help = "accepted, never answered (cut after --hang-ms); verify: pending, for ever"},
    {"0004", OUT_NONE, REFUSES, .status = 409, .code = "DUPLICATE", .text = "the same order was served a moment ago",
     .help = "refused: 409 DUPLICATE; verify: not_found"},
    {"0005", OUT_NONE, REFUSES, .status = 424, .code = "NETWORK_ERROR", .text = "the vending system has trouble; nothing was vended",
     .help = "refused: 424 NETWORK_ERROR"},
    {"0006", OUT_NONE, CUTS, .help = "connection closed, nothing done; verify: not_found"},
    {"0008", OUT_DELIVERED, CUTS, .help = "vended, connection closed instead of an answer; verify: delivered"},
    {"0009", OUT_DELIVERED, IS_LATE, .help = "vended, answered only after --slow-ms"},
    {"0010", OUT_DELIVERED, BABBLES, .help = "vended, answered 200 with a page of HTML"},
    {"0011", OUT_NONE, REFUSES, .status = 503, .code = "UNAVAILABLE", .text = "try again later",
     .help = "503, nothing done; verify: not_found"},
    {"0012", OUT_FAILED, HANGS, .settles = true,
     .help = "accepted, not answered; verify: pending for --settle-ms, then failed"},
    {"0013", OUT_DELIVERED, CUTS, .verify_fails = true, .help = "vended, connection closed; verify: 503, for ever"},
    {"0014", OUT_NONE, CUTS, .first_only = true,
     .help = "first attempt: connection closed, nothing done; a repeat is vended"},
    {"0015", OUT_DELIVERED, REFUSES, .status = 502, .code = "BAD_GATEWAY", .text = "no answer from the vending system",
     .help = "vended, answered 502; verify: delivered"},
    {"0016", OUT_DELIVERED, REFUSES, .status = 409, .code = "DUPLICATE", .text = "this reference was served already",
     .help = "vended, answered 409 DUPLICATE, as when the request came twice; verify: delivered"},
    {"0019", OUT_DELIVERED, HANGS, .settles = true,
     .help = "accepted, not answered; verify: pending for --settle-ms, then delivered"},
    {0}
};
/* clang-format on */

static bool digits_read(const char *text, char ret_meter[SUBJECT_SIZE])
{
    size_t n = strlen(text);
    if (n < 11 || n > 13 || strspn(text, "0123456789") != n)
        return false;
    snprintf(ret_meter, SUBJECT_SIZE, "%s", text);
    return true;
}

static bool ends_with(const char *meter, const char *digits)
{
    return strcmp(meter + strlen(meter) - 4, digits) == 0;
}

static json_t *units_json(int64_t tenths)
{
    return json_real((double)tenths / 10);
}

static void describe(const struct entry *e, json_t *into)
{
    struct meter m;
    char token[TOKEN_SIZE];
    meter_read(e->subject, &m);
    json_object_set_new(into, "meter_type", json_string(m.postpaid ? "POSTPAID" : "PREPAID"));
    if (m.postpaid)
        return;
    token_make(e->n, token);
    json_object_set_new(into, "token", json_string(token));
    json_object_set_new(into, "units", units_json(meter_units10(&m, e->amount_kobo)));
}

/* ---- validation and bills ---- */

/* The meter that a request names; false: `a` holds the refusal. */
static bool asked_meter(const struct asked *q, char meter[SUBJECT_SIZE], struct meter *ret_meter, struct answer *a)
{
    json_t *body = json_loadb(q->body, q->body_len, JSON_REJECT_DUPLICATES, NULL);
    bool good = digits_read(cvm_json_str(body, "meter_number", ""), meter);
    json_decref(body);
    if (!good) {
        error_answer(a, 400, "INVALID_METER", "meter_number: must be 11 to 13 digits");
        return false;
    }
    if (ends_with(meter, "0007")) {
        error_answer(a, 404, "UNKNOWN_METER", "there is no such meter");
        return false;
    }
    meter_read(meter, ret_meter);
    return true;
}

static void validate_answer(struct vending *v, const struct asked *q, int64_t now_ms, struct answer *a)
{
    char meter[SUBJECT_SIZE], address[96];
    struct meter m;
    if (!asked_meter(q, meter, &m, a))
        return;
    if (ends_with(meter, "0017")) {
        a->cut = true;
        a->delay_ms = v->options.hang_ms;
        return;
    }
    if (ends_with(meter, "0018")) {
        error_answer(a, 503, "UNAVAILABLE", "try again later");
        return;
    }
    snprintf(address, sizeof address, "%d %s", m.house, m.street);
    snprintf(a->note, sizeof a->note, "valid");
    json_answer(a, 200,
                json_pack("{s:s, s:s, s:s, s:s, s:s, s:s%, s:o}", "meter_number", meter, "customer_name", m.customer,
                          "address", address, "tariff_class", m.tariff_class, "meter_type",
                          m.postpaid ? "POSTPAID" : "PREPAID", "service_band", &m.band, (size_t)1, "rate",
                          naira_json(m.rate_kobo)));
}

static int64_t paid_kobo(const struct vending *v, int disco, const char *meter, int64_t now_ms)
{
    int64_t sum = 0;
    for (int64_t n = 1; n <= ledger_size(v->ledger); n++) {
        const struct entry *e = ledger_at(v->ledger, n);
        if (e->vendor == disco && strcmp(e->subject, meter) == 0 && strcmp(ledger_status(e, now_ms), "delivered") == 0)
            sum += e->amount_kobo;
    }
    return sum;
}

static void bill_answer(struct vending *v, const struct asked *q, int64_t now_ms, struct answer *a)
{
    char meter[SUBJECT_SIZE], energy[64];
    struct meter m;
    if (!asked_meter(q, meter, &m, a))
        return;
    if (!m.postpaid) {
        error_answer(a, 409, "NOT_POSTPAID", "a prepaid meter has no bill");
        return;
    }
    int64_t net = m.kwh10 * m.rate_kobo / 10, paid = paid_kobo(v, q->vendor, meter, now_ms);
    snprintf(energy, sizeof energy, "Energy, %.1f kWh", (double)m.kwh10 / 10);
    json_t *lines = json_pack("[{s:s, s:o}, {s:s, s:o}]", "item", energy, "amount", naira_json(net), "item",
                              "VAT 7.5 %", "amount", naira_json(m.bill_kobo - net));
    if (paid)
        json_array_append_new(lines, json_pack("{s:s, s:o}", "item", "Paid since", "amount", naira_json(-paid)));
    json_answer(a, 200,
                json_pack("{s:s, s:s, s:s, s:s, s:o, s:s, s:s, s:o}", "meter_number", meter, "customer_name",
                          m.customer, "period", "2026-10", "due_date", "2026-11-30", "amount_due",
                          naira_json(m.bill_kobo > paid ? m.bill_kobo - paid : 0), "tariff_class", m.tariff_class,
                          "reading", ends_with(meter, "0020") ? "ESTIMATED" : "METERED", "lines", lines));
}

static const char *key_header(int disco)
{
    return "Authorization";
}

static const struct place places[] = {{"/prepaid/validate", validate_answer, .post = true},
                                      {"/validate", validate_answer, .post = true},
                                      {"/prepaid/vend", vend_answer, .post = true},
                                      {"/vend", vend_answer, .post = true},
                                      {"/prepaid/verify", verify_answer, .get = true, .post = true},
                                      {"/verify", verify_answer, .get = true, .post = true},
                                      {"/postpaid/bill", bill_answer, .post = true},
                                      {"/bill", bill_answer, .post = true},
                                      {"/merchant/balance", balance_answer, .get = true},
                                      {0}};

int main(int argc, char **argv)
{
    static const struct trade trade = {.program = "disco_sim",
                                       .usage = usage,
                                       .form = {.vendors = names,
                                                .n_vendors = sizeof names / sizeof names[0],
                                                .vendor_member = "disco",
                                                .subject_member = "meter_number",
                                                .describe = describe},
                                       .vendor_list =
                                           "AEDC, BEDC, EKEDC, EEDC, IBEDC, IKEDC, JED, KAEDCO, KEDCO, PHEDC or YEDC",
                                       .wrong_vendor_code = "INVALID_DISCO",
                                       .wrong_subject_code = "INVALID_METER",
                                       .wrong_subject = "meter_number: must be 11 to 13 digits",
                                       .subject_read = digits_read,
                                       .key_header = key_header,
                                       .triggers = triggers,
                                       .places = places};
    return simulator_main(&trade, argc, argv);
}
