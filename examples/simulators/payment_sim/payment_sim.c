/* payment_sim: plays the payment providers Paystack and Flutterwave for tests and demonstrations. Owns what is
 * particular to them: addresses, keys, charges, links with a page to pay on, refunds, and which authorisations make
 * trouble. */
#include "payment_sim.h"

#include <cvm/json.h>
#include <cvm/money.h>

#include <stdio.h>
#include <stdlib.h>

#define AMOUNT_MOST_KOBO INT64_C(10000000000)

static const char *const names[PROVIDERS] = {"PAYSTACK", "FLUTTERWAVE"};

static const char usage[] = "Usage: payment_sim [OPTIONS]\n"
                            "Plays the payment providers Paystack and Flutterwave on 127.0.0.1.\n"
                            "\n" SIMULATOR_OPTIONS("PROVIDER") SIMULATOR_WEBHOOK_OPTIONS
    "Addresses of Paystack (sums are kobo):\n"
    "  POST /paystack/transaction/initialize {\"email\", \"amount\", \"reference\"} -> data.authorization_url\n"
    "  POST /paystack/transaction/charge_authorization {\"email\", \"amount\", \"authorization_code\", \"reference\"}\n"
    "  GET  /paystack/transaction/verify/REFERENCE\n"
    "  POST /paystack/refund {\"transaction\", \"amount\"}; GET /paystack/refund/ID\n"
    "Of Flutterwave (naira), \"/v3\" after the name may be left out:\n"
    "  POST /flutterwave/v3/payments {\"tx_ref\", \"amount\", \"redirect_url\", \"customer\"} -> data.link\n"
    "  POST /flutterwave/v3/tokenized-charges {\"token\", \"amount\", \"email\", \"tx_ref\"}\n"
    "  GET  /flutterwave/v3/transactions/verify_by_reference?tx_ref=, /flutterwave/v3/transactions/ID/verify\n"
    "  POST /flutterwave/v3/transactions/ID/refund {\"amount\"}\n"
    "Of nobody, without a key:\n"
    "  GET  /pay/PROVIDER/REFERENCE[?result=fail]: what a customer does with a link\n"
    "  GET  /ledger[?provider=PROVIDER], /statement[?since_ms=&until_ms=&after=], /health\n"
    "The key goes into Authorization as Bearer. Webhooks (--webhooks URL) go to URL/paystack, signed in\n"
    "x-paystack-signature, and URL/flutterwave, signed in flutterwave-signature and with the key itself in "
    "verif-hash.\n"
    "A refund is pending for --settle-ms. No money moves anywhere.\n"
    "\n"
    "Authorisations that end in these digits make trouble; others are charged:\n";

/* clang-format off */
static const struct behaviour triggers[] = {
    {"0001", OUT_FAILED, ANSWERS, .help = "declined: insufficient funds"},
    {"0002", OUT_NONE, REFUSES, .status = 400, .code = "invalid_authorization", .text = "validation_error", .help = "400 validation_error"},
    {"0003", OUT_PENDING, ANSWERS, .help = "pending, for ever"},
    {"0005", OUT_NONE, REFUSES, .status = 400, .code = "processor_unavailable", .text = "processor_error", .help = "400 processor_error, nothing charged"},
    {"0006", OUT_NONE, CUTS, .help = "connection closed, nothing done; verify: not found"},
    {"0008", OUT_DELIVERED, CUTS, .help = "charged, connection closed instead of an answer"},
    {"0009", OUT_DELIVERED, IS_LATE, .help = "charged, answered only after --slow-ms"},
    {"0010", OUT_DELIVERED, BABBLES, .help = "charged, answered 200 with a page of HTML"},
    {"0011", OUT_NONE, REFUSES, .status = 503, .code = "", .text = "", .help = "503, nothing done; verify: not found"},
    {"0012", OUT_FAILED, ANSWERS, .settles = true, .help = "pending for --settle-ms, then failed"},
    {"0013", OUT_DELIVERED, CUTS, .verify_fails = true, .help = "charged, connection closed; verify: 503, for ever"},
    {"0014", OUT_NONE, CUTS, .first_only = true, .help = "first attempt: connection closed, nothing done; a repeat is charged"},
    {"0015", OUT_DELIVERED, REFUSES, .status = 502, .code = "", .text = "", .help = "charged, answered 502"},
    {"0016", OUT_DELIVERED, REFUSES, .status = 400, .code = "duplicate_reference", .text = "validation_error", .help = "charged, answered duplicate_reference"},
    {"0018", OUT_DELIVERED, HALVES, .help = "charged, half an answer"},
    {"0019", OUT_DELIVERED, ANSWERS, .settles = true, .help = "pending for --settle-ms, then charged"},
    {"0030", OUT_DELIVERED, ANSWERS, .help = "charged one naira less than was asked for"},
    {"0031", OUT_DELIVERED, ANSWERS, .help = "charged in another currency"},
    {0}
};
/* clang-format on */

/* ---- orders ---- */

struct order {
    const char *reference, *authorization; /* borrowed from the body; authorization NULL: a link */
    int64_t kobo;
};

static bool reference_good(const char *text)
{
    size_t n = strspn(text, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz.=-");
    return n > 0 && n <= 100 && !text[n] && strncmp(text, REFUND_PREFIX, strlen(REFUND_PREFIX)) != 0;
}

static bool order_read(int provider, bool link, const json_t *body, struct order *o)
{
    const json_t *amount = json_object_get(body, "amount");
    const char *email = provider == FLUTTERWAVE && link ? cvm_json_str(json_object_get(body, "customer"), "email", "")
                                                        : cvm_json_str(body, "email", "");
    o->reference = cvm_json_str(body, provider == PAYSTACK ? "reference" : "tx_ref", "");
    o->authorization = link ? NULL : cvm_json_str(body, provider == PAYSTACK ? "authorization_code" : "token", "");
    if (cvm_money_from_json(amount, &o->kobo) < 0)
        return false;
    if (provider == PAYSTACK)
        o->kobo /= 100; /* it was kobo, read as naira */
    return o->kobo > 0 && o->kobo <= AMOUNT_MOST_KOBO && reference_good(o->reference) && strchr(email, '@') &&
           (!o->authorization || strlen(o->authorization) >= 4);
}

static const struct behaviour *trigger(const struct entry *e)
{
    static const struct behaviour none = {0};
    for (const struct behaviour *b = triggers; b->digits; b++)
        if (strcmp(b->digits, e->subject + strlen(e->subject) - 4) == 0)
            return b;
    return &none;
}

static void refuse(int provider, const struct behaviour *b, struct answer *a)
{
    if (b->status >= 500) {
        a->html = true;
        a->status = b->status;
        a->text = strdup("<html><body>Bad gateway</body></html>");
        return;
    }
    say_error(a, provider, b->status, b->text, b->code,
              strcmp(b->code, "duplicate_reference") == 0 ? "Duplicate Transaction Reference"
                                                          : "The charge was refused");
}

static void unwell(struct vending *v, int provider, struct answer *a)
{
    v->counts[provider].refused++;
    say_error(a, provider, 400, "validation_error", "invalid_params", "Invalid parameters");
}

static void charge(struct vending *v, int provider, const json_t *body, int64_t now_ms, struct answer *a)
{
    struct order o;
    v->counts[provider].requests++;
    if (!order_read(provider, false, body, &o)) {
        unwell(v, provider, a);
        return;
    }
    struct entry *e = ledger_find(v->ledger, provider, o.reference);
    if (e && e->outcome != OUT_NONE) {
        v->counts[provider].replayed++;
        say_error(a, provider, 400, "validation_error", "duplicate_reference", "Duplicate Transaction Reference");
        return;
    }
    const size_t len = strlen(o.authorization);
    const char *subject = o.authorization + (len > SUBJECT_SIZE - 1 ? len - (SUBJECT_SIZE - 1) : 0);
    if (!e)
        e = ledger_see(v->ledger, provider, o.reference, subject, o.kobo);
    if (!e) {
        refuse(provider, &(struct behaviour){.status = 503}, a);
        return;
    }
    a->entry = e;
    e->attempts++;
    e->amount_kobo = o.kobo;
    snprintf(e->subject, sizeof e->subject, "%s", subject);
    const struct behaviour *b = vend_behaviour(v, e, a);
    if (b->books != OUT_NONE) {
        ledger_vend(v->ledger, e, b->books, now_ms, b->settles ? now_ms + v->options.settle_ms : 0);
        a->line = ledger_line(v->ledger, e);
        notice(v, e, now_ms);
    }
    a->delay_ms += vend_jitter(v, "delay", e, e->attempts);
    if (vend_misbehaves(v, e, b, now_ms, a))
        return;
    if (b->manner == REFUSES)
        refuse(provider, b, a);
    else
        say_good(a, provider, "Charge attempted", payment_data(v, e, now_ms));
}

/* ---- links ---- */

static void make_link(struct vending *v, const struct asked *q, int provider, const json_t *body, struct answer *a)
{
    struct order o;
    char url[512];
    const char *host = q->header(q, "Host");
    v->counts[provider].requests++;
    if (!order_read(provider, true, body, &o)) {
        unwell(v, provider, a);
        return;
    }
    if (ledger_find(v->ledger, provider, o.reference)) {
        say_error(a, provider, 400, "validation_error", "duplicate_reference", "Duplicate Transaction Reference");
        return;
    }
    if (!ledger_see(v->ledger, provider, o.reference, "link-0000", o.kobo)) {
        refuse(provider, &(struct behaviour){.status = 503}, a);
        return;
    }
    snprintf(url, sizeof url, "http://%.200s/pay/%s/%.128s", host ? host : "127.0.0.1",
             provider == PAYSTACK ? "paystack" : "flutterwave", o.reference);
    if (provider == PAYSTACK)
        say_good(
            a, provider, "Authorization URL created",
            json_pack("{s:s, s:s, s:s}", "authorization_url", url, "access_code", "sim", "reference", o.reference));
    else
        say_good(a, provider, "Hosted Link", json_pack("{s:s}", "link", url));
}

/* A customer pays, or fails to. */
static void pay(struct vending *v, const struct asked *q, const char *rest, int64_t now_ms, struct answer *a)
{
    int provider;
    const char *slash = strchr(rest, '/'), *result = q->argument(q, "result");
    struct entry *e = slash && ledger_vendor(&v->trade->form, rest, (size_t)(slash - rest), &provider)
                          ? ledger_find(v->ledger, provider, slash + 1)
                          : NULL;
    a->html = true;
    a->status = e ? 200 : 404;
    if (e && e->outcome == OUT_NONE) {
        ledger_vend(v->ledger, e, result && strcmp(result, "fail") == 0 ? OUT_FAILED : OUT_DELIVERED, now_ms, 0);
        a->line = ledger_line(v->ledger, e);
        notice(v, e, now_ms);
    }
    a->entry = e;
    snprintf(a->note, sizeof a->note, "%s", e ? ledger_status(e, now_ms) : "no such link");
    a->text = strdup(!e                         ? "<html><body>There is no such payment.</body></html>"
                     : e->outcome == OUT_FAILED ? "<html><body>The payment failed.</body></html>"
                                                : "<html><body>Thank you, it is paid.</body></html>");
}

/* ---- queries and refunds ---- */

static void verify(struct vending *v, int provider, const char *reference, int64_t now_ms, struct answer *a)
{
    struct entry *e = reference ? ledger_find(v->ledger, provider, reference) : NULL;
    const uint32_t attempt = e ? ++e->verifies : 0;
    const bool known = e && (e->outcome != OUT_NONE || (provider == PAYSTACK && strcmp(e->subject, "link-0000") == 0));
    a->entry = e;
    a->delay_ms = vend_jitter(v, "verify delay", e, attempt);
    if (e && ((e->outcome != OUT_NONE && trigger(e)->verify_fails) ||
              vend_chance(v, "verify fault", e, attempt, v->options.faults)))
        refuse(provider, &(struct behaviour){.status = 503}, a);
    else if (known)
        say_good(a, provider, "Verification successful", payment_data(v, e, now_ms));
    else if (provider == PAYSTACK)
        say_error(a, provider, 400, "validation_error", "transaction_not_found", "Transaction reference not found.");
    else
        say_error(a, provider, 400, "", "", "No transaction was found for this id");
}

static struct entry *by_id(struct vending *v, int provider, const char *id)
{
    const int64_t n = strtoll(id, NULL, 10) - (provider == PAYSTACK ? 3000 : 900000);
    const struct entry *e = n >= 1 && n <= ledger_size(v->ledger) ? ledger_at(v->ledger, n) : NULL;
    return e && e->vendor == provider ? ledger_find(v->ledger, provider, e->reference) : NULL;
}

static void refund(struct vending *v, int provider, struct entry *e, int64_t kobo, int64_t now_ms, struct answer *a)
{
    char reference[REFERENCE_MAX + 1];
    if (!e || shown_of(v, e, now_ms) == SHOW_FAILED || e->outcome == OUT_NONE) {
        say_error(a, provider, 400, "validation_error", "transaction_not_found",
                  "No transaction was found for this id");
        return;
    }
    if (kobo <= 0 || kobo > kept_kobo(v, e)) {
        say_error(a, provider, 400, "validation_error", "refund_too_much",
                  "Refund amount cannot be more than what is left of the transaction");
        return;
    }
    snprintf(reference, sizeof reference, REFUND_PREFIX "%.100s", e->reference);
    struct entry *r = ledger_find(v->ledger, provider, reference);
    if (!r && !(r = ledger_see(v->ledger, provider, reference, e->subject, kobo))) {
        refuse(provider, &(struct behaviour){.status = 503}, a);
        return;
    }
    if (r->outcome != OUT_NONE) { /* these books have one refund for a payment */
        say_error(a, provider, 400, "validation_error", "refund_exists", "This transaction has been refunded");
        return;
    }
    ledger_vend(v->ledger, r, OUT_DELIVERED, now_ms, now_ms + v->options.settle_ms);
    a->line = ledger_line(v->ledger, r);
    a->entry = r;
    notice(v, r, now_ms);
    say_good(a, provider, "Refund has been queued for processing", refund_data(v, r, now_ms));
}

/* ---- addresses ---- */

static void paystack(struct vending *v, const struct asked *q, const char *path, const json_t *body, int64_t now_ms,
                     struct answer *a)
{
    int64_t kobo = 0;
    struct entry *e;
    const bool post = body != NULL;
    if (post && strcmp(path, "/transaction/initialize") == 0) {
        make_link(v, q, PAYSTACK, body, a);
    } else if (post && strcmp(path, "/transaction/charge_authorization") == 0) {
        charge(v, PAYSTACK, body, now_ms, a);
    } else if (!post && strncmp(path, "/transaction/verify/", 20) == 0) {
        verify(v, PAYSTACK, path + 20, now_ms, a);
    } else if (post && strcmp(path, "/refund") == 0) {
        const json_t *of = json_object_get(body, "transaction");
        e = json_is_string(of) ? ledger_find(v->ledger, PAYSTACK, json_string_value(of)) : NULL;
        kobo = cvm_json_int(body, "amount", e ? e->amount_kobo : 0);
        refund(v, PAYSTACK, e, kobo, now_ms, a);
    } else if (!post && strncmp(path, "/refund/", 8) == 0) {
        e = by_id(v, PAYSTACK, path + 8);
        if (e)
            say_good(a, PAYSTACK, "Refund retrieved", refund_data(v, e, now_ms));
        else
            say_error(a, PAYSTACK, 404, "validation_error", "refund_not_found", "Refund not found");
    } else {
        say_error(a, PAYSTACK, 404, "api_error", "not_found", "There is no such address");
    }
}

static void flutterwave(struct vending *v, const struct asked *q, const char *path, const json_t *body, int64_t now_ms,
                        struct answer *a)
{
    int64_t kobo = 0;
    char id[32] = "", what[32] = "";
    const bool post = body != NULL;
    if (post && strcmp(path, "/payments") == 0) {
        make_link(v, q, FLUTTERWAVE, body, a);
    } else if (post && strcmp(path, "/tokenized-charges") == 0) {
        charge(v, FLUTTERWAVE, body, now_ms, a);
    } else if (!post && strcmp(path, "/transactions/verify_by_reference") == 0) {
        verify(v, FLUTTERWAVE, q->argument(q, "tx_ref"), now_ms, a);
    } else if (sscanf(path, "/transactions/%31[0-9]/%31[a-z]", id, what) == 2) {
        struct entry *e = by_id(v, FLUTTERWAVE, id);
        if (post && strcmp(what, "refund") == 0) {
            if (cvm_money_from_json(json_object_get(body, "amount"), &kobo) < 0)
                kobo = e ? e->amount_kobo : 0;
            refund(v, FLUTTERWAVE, e, kobo, now_ms, a);
        } else {
            verify(v, FLUTTERWAVE, e ? e->reference : NULL, now_ms, a);
        }
    } else {
        say_error(a, FLUTTERWAVE, 404, "", "", "There is no such address");
    }
}

static bool key_is(const struct vending *v, const struct asked *q, int provider)
{
    const char *given = q->header(q, "Authorization");
    return given && strncmp(given, "Bearer ", 7) == 0 && strcmp(given + 7, v->keys[provider]) == 0;
}

static void answer(struct vending *v, const struct asked *q, int64_t now_ms, struct answer *a)
{
    int provider;
    const char *path = q->path, *rest = strchr(path + (*path == '/'), '/');
    if (strncmp(path, "/pay/", 5) == 0) {
        pay(v, q, path + 5, now_ms, a);
        return;
    }
    if (!rest || !ledger_vendor(&v->trade->form, path + 1, (size_t)(rest - path - 1), &provider)) {
        error_answer(a, 404, "NO_SUCH_ADDRESS", "no such address");
        return;
    }
    if (!key_is(v, q, provider)) {
        say_error(a, provider, 401, "validation_error", "invalid_key", "Invalid key");
        return;
    }
    const bool get = strcmp(q->method, "GET") == 0;
    json_t *body = get ? NULL : json_loadb(q->body, q->body_len, JSON_REJECT_DUPLICATES, NULL);
    if (provider == FLUTTERWAVE && strncmp(rest, "/v3/", 4) == 0)
        rest += 3;
    if (!get && !json_is_object(body))
        unwell(v, provider, a);
    else if (provider == PAYSTACK)
        paystack(v, q, rest, body, now_ms, a);
    else
        flutterwave(v, q, rest, body, now_ms, a);
    json_decref(body);
}

int main(int argc, char **argv)
{
    static const struct trade trade = {.program = "payment_sim",
                                       .usage = usage,
                                       .form = {.vendors = names,
                                                .n_vendors = PROVIDERS,
                                                .vendor_member = "provider",
                                                .subject_member = "authorization"},
                                       .vendor_list = "PAYSTACK or FLUTTERWAVE",
                                       .wrong_vendor_code = "NO_SUCH_PROVIDER",
                                       .triggers = triggers,
                                       .answer = answer};
    return simulator_main(&trade, argc, argv);
}
