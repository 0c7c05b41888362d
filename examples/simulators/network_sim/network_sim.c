/* network_sim: plays the vending interfaces of four mobile networks for tests, demonstrations and benchmarks. Owns what
 * is particular to them: addresses, keys, phone numbers, and which numbers make trouble. */
#include "lines.h"

#include <stdio.h>
#include <string.h>

enum network { MTN, AIRTEL, GLO, NINEMOBILE, NETWORKS };

static const char *const names[NETWORKS] = {"MTN", "AIRTEL", "GLO", "9MOBILE"};

static const char usage[] =
    "Usage: network_sim [OPTIONS]\n"
    "Plays the vending interfaces of MTN, AIRTEL, GLO and 9MOBILE on 127.0.0.1.\n"
    "\n" SIMULATOR_OPTIONS(
        "NET") "\n"
               "Addresses, with NET one of mtn, airtel, glo, 9mobile; \"/v1\" after it may be left out:\n"
               "  POST /NET/v1/airtime/vend (or /airtime/purchase)\n"
               "      {\"phone_number\", \"amount\", \"network\", \"reference\"}; the key Idempotency-Key may stand "
               "for the "
               "reference\n"
               "      -> 200 {\"status\", \"transaction_id\", \"reference\", \"phone_number\", \"network\", "
               "\"amount\"}\n"
               "      The same reference gives the same result and vends once; with another order it is 409 "
               "DUPLICATE.\n"
               "  GET /NET/v1/airtime/verify?reference= (or /airtime/status; or POST {\"reference\"})\n"
               "      -> 200, as above, with status delivered, pending or failed; or {\"status\": \"not_found\", "
               "\"reference\"}\n"
               "  POST /NET/v1/data/vend\n"
               "      the same with \"bundle_code\": a data bundle; verified as airtime is\n"
               "  GET /NET/v1/data/balance?phone_number= -> 200 {\"phone_number\", \"data_mb\", \"bundles\"}\n"
               "  GET /NET/v1/data/usage?phone_number= -> 200 {\"phone_number\", \"days\", \"by_app\"} of the last 7 "
               "days\n"
               "  GET /NET/v1/network/status?phone_number= -> 200 {\"status\": ok, degraded or outage, \"message\"}\n"
               "      A line uses 50 MB a day, and 50 more for each unit of its number's last digit. One that ends in "
               "0021 "
               "has\n"
               "      nothing left; 0022: no such line; 0023: 503; 0024: a degraded network; 0025: an outage.\n"
               "  GET /NET/v1/merchant/balance -> 200 {\"balance\", \"currency\"}\n"
               "  GET /ledger[?network=NET] -> every entry and the totals, without a key\n"
               "  GET /health\n"
               "The key goes into X-MTN-API-Key (MTN) or Authorization, bare or as Bearer (the others). Amounts are "
               "naira, a "
               "number\n"
               "or a decimal string; the ledger holds kobo. Refusals are {\"error_code\", \"message\"} with 4xx.\n"
               "\n"
               "Phone numbers that end in these digits make trouble when something is vended to them:\n";

/* clang-format off */
static const struct behaviour triggers[] = {
    {"0001", OUT_NONE, REFUSES, .status = 402, .code = "INSUFFICIENT_BALANCE", .text = "the merchant's balance is too low",
     .help = "refused: 402 INSUFFICIENT_BALANCE"},
    {"0002", OUT_NONE, REFUSES, .status = 400, .code = "INVALID_PHONE", .text = "the number is not active",
     .help = "refused: 400 INVALID_PHONE"},
    {"0003", OUT_PENDING, HANGS, .help = "accepted, never answered (cut after --hang-ms); verify: pending, for ever"},
    {"0004", OUT_NONE, REFUSES, .status = 409, .code = "DUPLICATE", .text = "the same order was served a moment ago",
     .help = "refused: 409 DUPLICATE; verify: not_found"},
    {"0005", OUT_NONE, REFUSES, .status = 424, .code = "NETWORK_ERROR", .text = "the network has trouble; nothing was vended",
     .help = "refused: 424 NETWORK_ERROR"},
    {"0006", OUT_NONE, CUTS, .help = "connection closed, nothing done; verify: not_found"},
    {"0007", OUT_DELIVERED, HANGS, .settles = true,
     .help = "accepted, not answered; verify: pending for --settle-ms, then delivered"},
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
    {"0015", OUT_DELIVERED, REFUSES, .status = 502, .code = "BAD_GATEWAY", .text = "no answer from the network",
     .help = "vended, answered 502; verify: delivered"},
    {"0016", OUT_DELIVERED, REFUSES, .status = 409, .code = "DUPLICATE", .text = "this reference was served already",
     .help = "vended, answered 409 DUPLICATE, as when the request came twice; verify: delivered"},
    {0}
};
/* clang-format on */

bool phone_read(const char *text, char ret_phone[SUBJECT_SIZE])
{
    const char *digits = strncmp(text, "+234", 4) == 0  ? text + 4
                         : strncmp(text, "234", 3) == 0 ? text + 3
                         : text[0] == '0'               ? text + 1
                                                        : "";
    if (strlen(digits) != 10 || strspn(digits, "0123456789") != 10 || digits[0] < '7')
        return false;
    snprintf(ret_phone, SUBJECT_SIZE, "+234%s", digits);
    return true;
}

static const char *key_header(int network)
{
    return network == MTN ? "X-MTN-API-Key" : "Authorization";
}

static const struct place places[] = {{"/airtime/vend", vend_answer, .post = true},
                                      {"/airtime/purchase", vend_answer, .post = true},
                                      {"/airtime/verify", verify_answer, .get = true, .post = true},
                                      {"/airtime/status", verify_answer, .get = true, .post = true},
                                      {"/data/vend", bundle_vend_answer, .post = true},
                                      {"/data/balance", line_balance_answer, .get = true},
                                      {"/data/usage", line_usage_answer, .get = true},
                                      {"/network/status", network_status_answer, .get = true},
                                      {"/merchant/balance", balance_answer, .get = true},
                                      {0}};

int main(int argc, char **argv)
{
    static const struct trade trade = {.program = "network_sim",
                                       .usage = usage,
                                       .form = {.vendors = names,
                                                .n_vendors = NETWORKS,
                                                .vendor_member = "network",
                                                .subject_member = "phone_number",
                                                .item_member = "bundle_code"},
                                       .vendor_list = "MTN, AIRTEL, GLO or 9MOBILE",
                                       .wrong_vendor_code = "INVALID_NETWORK",
                                       .wrong_subject_code = "INVALID_PHONE",
                                       .wrong_subject = "phone_number: must be like 08012345678 or +2348012345678",
                                       .vendor_in_order = true,
                                       .subject_read = phone_read,
                                       .key_header = key_header,
                                       .triggers = triggers,
                                       .places = places};
    return simulator_main(&trade, argc, argv);
}
