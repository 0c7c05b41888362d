/* Owns the rules of the simulated networks: order checks, idempotency, triggers by phone number, random faults. */
#include "vend.h"

#include <cvm/json.h>
#include <cvm/money.h>

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ORDER_MAX_KOBO INT64_C(100000000) /* 1,000,000 naira in one vend */
#define DELAY_MAX_MEANS 10                /* a jittered delay is at most this many means */

/* ---- behaviours ---- */

enum manner {
    ANSWERS, /* as it should */
    REFUSES, /* with status, code and text; nothing is vended */
    CUTS,    /* closes the connection */
    HANGS,   /* gives no answer while the vend is pending */
    IS_LATE, /* answers after slow_ms */
    BABBLES, /* 200 with a page of HTML */
};

struct behaviour {
    const char *digits; /* at the end of the phone number; NULL: only as a random fault */
    enum outcome books; /* what is written to the ledger; OUT_NONE: nothing */
    enum manner manner;
    bool settles;      /* pending at first, `books` after settle_ms */
    bool first_only;   /* the second attempt with the same reference is served normally */
    bool verify_fails; /* verify answers 503, for ever */
    int status;
    const char *code, *text;
    const char *help;
};

/* clang-format off */
static const struct behaviour normal = {.books = OUT_DELIVERED, .manner = ANSWERS, .help = "normal"};

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
};
/* clang-format on */

/* Random faults: cut before, cut after, 503 before, 502 after, DUPLICATE after; the sixth is a late answer. */
static const char *const fault_digits[] = {"0006", "0008", "0011", "0015", "0016"};
#define FAULT_KINDS (sizeof fault_digits / sizeof fault_digits[0] + 1)

void vend_print_triggers(FILE *out)
{
    for (size_t i = 0; i < sizeof triggers / sizeof triggers[0]; i++)
        fprintf(out, "  %s  %s\n", triggers[i].digits, triggers[i].help);
}

static const struct behaviour *trigger_of(const char *phone)
{
    const char *end = phone + strlen(phone) - 4;
    for (size_t i = 0; i < sizeof triggers / sizeof triggers[0]; i++)
        if (strcmp(triggers[i].digits, end) == 0)
            return &triggers[i];
    return &normal;
}

/* ---- chance: the same seed, reference and attempt give the same, in whatever order requests come ---- */

static uint64_t draw(const struct vending *v, const char *what, const struct entry *e, uint32_t attempt)
{
    uint64_t h = v->options.seed ^ UINT64_C(0x9e3779b97f4a7c15) * (attempt + 1);
    for (const char *s = what; *s; s++)
        h = (h ^ (unsigned char)*s) * UINT64_C(0x100000001b3);
    for (const char *s = e ? e->reference : ""; *s; s++)
        h = (h ^ (unsigned char)*s) * UINT64_C(0x100000001b3);
    h = (h ^ h >> 30) * UINT64_C(0xbf58476d1ce4e5b9); /* splitmix64's finish */
    h = (h ^ h >> 27) * UINT64_C(0x94d049bb133111eb);
    return h ^ h >> 31;
}

static double unit(uint64_t bits) /* in [0, 1) */
{
    return (double)(bits >> 11) * 0x1p-53;
}

static int64_t jitter(const struct vending *v, const char *what, const struct entry *e, uint32_t attempt)
{
    if (v->options.delay_ms == 0)
        return 0;
    double means = -log(1 - unit(draw(v, what, e, attempt)));
    return (int64_t)(fmin(means, DELAY_MAX_MEANS) * (double)v->options.delay_ms);
}

static const struct behaviour *vend_behaviour(struct vending *v, const struct entry *e, struct answer *a)
{
    const struct behaviour *b = trigger_of(e->phone);
    if (b->first_only && e->attempts > 1)
        b = &normal;
    if (b != &normal || unit(draw(v, "fault", e, e->attempts)) >= v->options.faults)
        return b;
    v->counts[e->network].disturbed++;
    size_t kind = draw(v, "kind", e, e->attempts) % FAULT_KINDS;
    if (kind < FAULT_KINDS - 1)
        return trigger_of(fault_digits[kind]);
    a->delay_ms += v->options.settle_ms;
    return &normal;
}

/* ---- answers ---- */

void answer_clear(struct answer *a)
{
    free(a->text);
    free(a->line);
    *a = (struct answer){0};
}

static void put(struct answer *a, int status, json_t *body) /* takes body */
{
    assert(body);
    free(a->text);
    a->status = status;
    a->text = json_dumps(body, JSON_COMPACT);
    assert(a->text);
    json_decref(body);
}

void error_answer(struct answer *a, int status, const char *code, const char *message)
{
    snprintf(a->note, sizeof a->note, "%s", code);
    put(a, status, json_pack("{s:s, s:s}", "error_code", code, "message", message));
}

/* Whole naira as a number, else a decimal string: never a float. */
static json_t *naira(int64_t kobo)
{
    char text[32];
    if (kobo % 100 == 0)
        return json_integer(kobo / 100);
    snprintf(text, sizeof text, "%" PRId64 ".%02d", kobo / 100, (int)(kobo % 100));
    return json_string(text);
}

static void put_entry(struct answer *a, const struct entry *e, int64_t now_ms)
{
    char id[32];
    ledger_transaction_id(e, id, sizeof id);
    snprintf(a->note, sizeof a->note, "%s%s", ledger_status(e, now_ms), a->replayed ? " (replayed)" : "");
    put(a, 200,
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:o}", "status", ledger_status(e, now_ms), "transaction_id", id,
                  "reference", e->reference, "phone_number", e->phone, "network", network_name(e->network), "amount",
                  naira(e->amount_kobo)));
}

/* ---- vend ---- */

struct order {
    char phone[PHONE_SIZE];
    char reference[REFERENCE_MAX + 1];
    int64_t amount_kobo;
};

/* 0803..., 234803... and +234803... are one number: +234 and ten digits, the first of them 7, 8 or 9. */
static bool phone_read(const char *text, char ret_phone[PHONE_SIZE])
{
    const char *digits = strncmp(text, "+234", 4) == 0  ? text + 4
                         : strncmp(text, "234", 3) == 0 ? text + 3
                         : text[0] == '0'               ? text + 1
                                                        : "";
    if (strlen(digits) != 10 || strspn(digits, "0123456789") != 10 || digits[0] < '7')
        return false;
    snprintf(ret_phone, PHONE_SIZE, "+234%s", digits);
    return true;
}

static bool reference_read(const char *text, char ret_reference[REFERENCE_MAX + 1])
{
    size_t len = strlen(text);
    if (len >= 2 && text[0] == '"' && text[len - 1] == '"') { /* the header's form is a quoted string */
        text++;
        len -= 2;
    }
    if (len == 0 || len > REFERENCE_MAX)
        return false;
    for (size_t i = 0; i < len; i++)
        if (text[i] <= ' ' || text[i] > '~')
            return false;
    memcpy(ret_reference, text, len);
    ret_reference[len] = '\0';
    return true;
}

/* A client that names no reference gets one, and no protection against vending twice. */
static void reference_make(struct vending *v, enum network network, struct order *o)
{
    for (int64_t n = ledger_size(v->ledger) + 1;; n++) {
        snprintf(o->reference, sizeof o->reference, "SIM-%" PRId64, n);
        if (!ledger_find(v->ledger, network, o->reference))
            return;
    }
}

static bool order_reference(struct vending *v, const struct asked *q, const json_t *body, struct order *o)
{
    const json_t *given = json_object_get(body, "reference");
    char header[REFERENCE_MAX + 1];
    if (q->key && !reference_read(q->key, header))
        return false;
    if (json_is_string(given)) {
        if (!reference_read(json_string_value(given), o->reference))
            return false;
        return !q->key || strcmp(header, o->reference) == 0;
    }
    if (given && !json_is_null(given))
        return false;
    if (q->key)
        memcpy(o->reference, header, sizeof header);
    else
        reference_make(v, q->network, o);
    return true;
}

/* Reads and checks the order; false: `a` holds the refusal. */
static bool order_read(struct vending *v, const struct asked *q, struct order *o, struct answer *a)
{
    enum network named;
    json_error_t where;
    json_t *body = json_loadb(q->body, q->body_len, JSON_REJECT_DUPLICATES, &where);
    const char *name = cvm_json_str(body, "network", "");
    const char *code = NULL, *message = "";
    if (!json_is_object(body)) {
        code = "INVALID_JSON", message = "the body must be a JSON object";
    } else if (!network_from_name(name, strlen(name), &named) || named != q->network) {
        code = "INVALID_NETWORK", message = "network: must be the network of this address";
    } else if (!phone_read(cvm_json_str(body, "phone_number", ""), o->phone)) {
        code = "INVALID_PHONE", message = "phone_number: must be like 08012345678 or +2348012345678";
    } else if (cvm_money_from_json(json_object_get(body, "amount"), &o->amount_kobo) < 0 || o->amount_kobo <= 0 ||
               o->amount_kobo > ORDER_MAX_KOBO) {
        code = "INVALID_AMOUNT",
        message = "amount: must be naira, above 0 and at most 1000000, with two decimals at most";
    } else if (!order_reference(v, q, body, o)) {
        code = "INVALID_REFERENCE",
        message = "reference: must be 1 to 128 printable characters, equal to Idempotency-Key";
    }
    if (code)
        error_answer(a, 400, code, message);
    json_decref(body);
    return !code;
}

static void book(struct vending *v, struct entry *e, const struct order *o, const struct behaviour *b, int64_t now_ms,
                 struct answer *a)
{
    e->amount_kobo = o->amount_kobo; /* an attempt that vended nothing binds nobody */
    memcpy(e->phone, o->phone, sizeof o->phone);
    ledger_vend(v->ledger, e, b->books, now_ms, b->settles ? now_ms + v->options.settle_ms : 0);
    a->line = ledger_line(e);
}

static void behave(const struct vending *v, const struct entry *e, const struct behaviour *b, int64_t now_ms,
                   struct answer *a)
{
    const char *status = ledger_status(e, now_ms);
    switch (b->manner) {
    case HANGS:
        if (strcmp(status, "pending") == 0) {
            a->cut = true;
            a->delay_ms = v->options.hang_ms;
            snprintf(a->note, sizeof a->note, "accepted, no answer");
            return;
        }
        break;
    case CUTS:
        a->cut = true;
        snprintf(a->note, sizeof a->note, "%s, connection closed", status);
        return;
    case REFUSES:
        error_answer(a, b->status, b->code, b->text);
        return;
    case BABBLES:
        a->html = true;
        a->status = 200;
        a->text = strdup("<html><body><h1>It works!</h1></body></html>\n");
        snprintf(a->note, sizeof a->note, "%s, answered nonsense", status);
        return;
    case IS_LATE:
        a->delay_ms = v->options.slow_ms;
        break;
    case ANSWERS:
        break;
    }
    if (strcmp(status, "failed") == 0)
        error_answer(a, 424, "NETWORK_ERROR", "the vend failed; nothing was delivered");
    else
        put_entry(a, e, now_ms);
}

void vend_answer(struct vending *v, const struct asked *q, int64_t now_ms, struct answer *a)
{
    struct order o;
    v->counts[q->network].requests++;
    if (!order_read(v, q, &o, a))
        goto counted;
    struct entry *e = ledger_find(v->ledger, q->network, o.reference);
    a->replayed = e && e->outcome != OUT_NONE;
    if (a->replayed && (e->amount_kobo != o.amount_kobo || strcmp(e->phone, o.phone) != 0)) {
        a->replayed = false;
        v->counts[q->network].conflicts++;
        error_answer(a, 409, "DUPLICATE", "this reference was used for another order");
        goto counted;
    }
    if (!e)
        e = ledger_see(v->ledger, q->network, o.reference, o.phone, o.amount_kobo);
    if (!e) {
        error_answer(a, 503, "LEDGER_FULL", "the simulator holds no more references");
        goto counted;
    }
    if (!a->replayed) {
        e->amount_kobo = o.amount_kobo;
        memcpy(e->phone, o.phone, sizeof o.phone);
    }
    a->entry = e;
    e->attempts++;
    v->counts[q->network].replayed += a->replayed;
    const struct behaviour *b = vend_behaviour(v, e, a);
    if (!a->replayed && b->books != OUT_NONE) {
        if (ledger_spent_kobo(v->ledger, q->network) + o.amount_kobo > v->options.float_kobo) {
            error_answer(a, 402, "INSUFFICIENT_BALANCE", "the merchant's balance is too low");
            goto counted;
        }
        book(v, e, &o, b, now_ms, a);
    }
    behave(v, e, b, now_ms, a);
    a->delay_ms += jitter(v, "delay", e, e->attempts);
counted:
    v->counts[q->network].refused += a->status >= 400;
}

/* ---- verify, balance, ledger ---- */

void verify_answer(struct vending *v, const struct asked *q, int64_t now_ms, struct answer *a)
{
    char reference[REFERENCE_MAX + 1];
    json_t *body = q->reference ? NULL : json_loadb(q->body, q->body_len, JSON_REJECT_DUPLICATES, NULL);
    bool good = reference_read(q->reference ? q->reference : cvm_json_str(body, "reference", ""), reference);
    json_decref(body);
    if (!good) {
        error_answer(a, 400, "INVALID_REFERENCE", "reference: must be 1 to 128 printable characters");
        return;
    }
    struct entry *e = ledger_find(v->ledger, q->network, reference);
    uint32_t attempt = e ? ++e->verifies : 0;
    a->entry = e;
    a->delay_ms = jitter(v, "verify delay", e, attempt);
    bool disturbed = e && unit(draw(v, "verify fault", e, attempt)) < v->options.faults;
    v->counts[q->network].disturbed += disturbed;
    if (disturbed && draw(v, "verify kind", e, attempt) % 2) {
        a->cut = true;
        snprintf(a->note, sizeof a->note, "connection closed");
    } else if (disturbed || (e && trigger_of(e->phone)->verify_fails)) {
        error_answer(a, 503, "UNAVAILABLE", "try again later");
    } else if (e && e->outcome != OUT_NONE) {
        put_entry(a, e, now_ms);
    } else {
        snprintf(a->note, sizeof a->note, "not_found");
        put(a, 200, json_pack("{s:s, s:s}", "status", "not_found", "reference", reference));
    }
}

void balance_answer(struct vending *v, enum network network, struct answer *a)
{
    int64_t left = v->options.float_kobo - ledger_spent_kobo(v->ledger, network);
    a->delay_ms = jitter(v, "balance delay", NULL, 0);
    put(a, 200, json_pack("{s:o, s:s}", "balance", naira(left), "currency", "NGN"));
}

static json_t *totals(const struct vending *v, enum network network, const int64_t by_status[4])
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "delivered", (json_int_t)by_status[OUT_DELIVERED],
                     "pending", (json_int_t)by_status[OUT_PENDING], "failed", (json_int_t)by_status[OUT_FAILED],
                     "spent_kobo", (json_int_t)ledger_spent_kobo(v->ledger, network), "requests",
                     (json_int_t)v->counts[network].requests, "refused", (json_int_t)v->counts[network].refused,
                     "replayed", (json_int_t)v->counts[network].replayed, "conflicts",
                     (json_int_t)v->counts[network].conflicts, "disturbed", (json_int_t)v->counts[network].disturbed);
}

void ledger_answer(struct vending *v, const char *name, int64_t now_ms, struct answer *a)
{
    enum network only = NET_COUNT;
    int64_t by_status[NET_COUNT][4] = {0};
    if (name && !network_from_name(name, strlen(name), &only)) {
        error_answer(a, 400, "INVALID_NETWORK", "network: must be MTN, AIRTEL, GLO or 9MOBILE");
        return;
    }
    json_t *entries = json_array(), *sums = json_object();
    for (int64_t n = 1; n <= ledger_size(v->ledger); n++) {
        const struct entry *e = ledger_at(v->ledger, n);
        if (name && e->network != only)
            continue;
        by_status[e->network][e->settles_ms > now_ms ? OUT_PENDING : e->outcome]++;
        json_array_append_new(entries, ledger_entry_json(e, now_ms));
    }
    for (int i = 0; i < NET_COUNT; i++)
        if (!name || i == (int)only)
            json_object_set_new(sums, network_name((enum network)i), totals(v, (enum network)i, by_status[i]));
    put(a, 200,
        json_pack("{s:I, s:o, s:o}", "count", (json_int_t)json_array_size(entries), "totals", sums, "entries",
                  entries));
}
