/* Owns the rules of simulated vendors: order checks, idempotency, triggers by phone or meter number, random faults. */
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

static const struct behaviour normal = {.books = OUT_DELIVERED, .manner = ANSWERS, .help = "normal"};

/* Random faults: cut before, cut after, 503 before, 502 after, DUPLICATE after; the sixth is a late answer. */
static const char *const fault_digits[] = {"0006", "0008", "0011", "0015", "0016"};
#define FAULT_KINDS (sizeof fault_digits / sizeof fault_digits[0] + 1)

void vend_print_triggers(const struct trade *trade, FILE *out)
{
    for (const struct behaviour *b = trade->triggers; b->digits; b++)
        fprintf(out, "  %s  %s\n", b->digits, b->help);
}

static const struct behaviour *trigger_of(const struct vending *v, const char *subject)
{
    const char *end = subject + strlen(subject) - 4;
    for (const struct behaviour *b = v->trade->triggers; b->digits; b++)
        if (strcmp(b->digits, end) == 0)
            return b;
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

int64_t vend_jitter(const struct vending *v, const char *what, const struct entry *e, uint32_t attempt)
{
    if (v->options.delay_ms == 0)
        return 0;
    double means = -log(1 - unit(draw(v, what, e, attempt)));
    return (int64_t)(fmin(means, DELAY_MAX_MEANS) * (double)v->options.delay_ms);
}

bool vend_chance(const struct vending *v, const char *what, const struct entry *e, uint32_t attempt, double share)
{
    return unit(draw(v, what, e, attempt)) < share;
}

const struct behaviour *vend_behaviour(struct vending *v, const struct entry *e, struct answer *a)
{
    const struct behaviour *b = trigger_of(v, e->subject);
    if (b->first_only && e->attempts > 1)
        b = &normal;
    if (b != &normal || unit(draw(v, "fault", e, e->attempts)) >= v->options.faults)
        return b;
    v->counts[e->vendor].disturbed++;
    size_t kind = draw(v, "kind", e, e->attempts) % FAULT_KINDS;
    if (kind < FAULT_KINDS - 1)
        return trigger_of(v, fault_digits[kind]);
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

void json_answer(struct answer *a, int status, json_t *body)
{
    assert(body);
    free(a->text);
    a->status = status;
    a->text = json_dumps(body, JSON_COMPACT | JSON_REAL_PRECISION(15));
    assert(a->text);
    json_decref(body);
}

void error_answer(struct answer *a, int status, const char *code, const char *message)
{
    snprintf(a->note, sizeof a->note, "%s", code);
    json_answer(a, status, json_pack("{s:s, s:s}", "error_code", code, "message", message));
}

json_t *naira_json(int64_t kobo)
{
    char text[32];
    if (kobo % 100 == 0)
        return json_integer(kobo / 100);
    snprintf(text, sizeof text, "%" PRId64 ".%02d", kobo / 100, (int)(kobo % 100));
    return json_string(text);
}

static void put_entry(const struct vending *v, struct answer *a, const struct entry *e, int64_t now_ms)
{
    char id[32];
    const struct ledger_form *form = &v->trade->form;
    const char *status = ledger_status(e, now_ms);
    ledger_transaction_id(v->ledger, e, id, sizeof id);
    snprintf(a->note, sizeof a->note, "%s%s", status, a->replayed ? " (replayed)" : "");
    json_t *body = json_pack("{s:s, s:s, s:s, s:s, s:s, s:o}", "status", status, "transaction_id", id, "reference",
                             e->reference, form->subject_member, e->subject, form->vendor_member,
                             form->vendors[e->vendor], "amount", naira_json(e->amount_kobo));
    if (*e->item)
        json_object_set_new(body, form->item_member, json_string(e->item));
    if (form->describe && strcmp(status, "delivered") == 0)
        form->describe(e, body);
    json_answer(a, 200, body);
}

/* ---- vend ---- */

struct order {
    char subject[SUBJECT_SIZE], item[ITEM_SIZE];
    char reference[REFERENCE_MAX + 1];
    int64_t amount_kobo;
};

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
static void reference_make(struct vending *v, int vendor, struct order *o)
{
    for (int64_t n = ledger_size(v->ledger) + 1;; n++) {
        snprintf(o->reference, sizeof o->reference, "SIM-%" PRId64, n);
        if (!ledger_find(v->ledger, vendor, o->reference))
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
        reference_make(v, q->vendor, o);
    return true;
}

static bool vendor_right(const struct trade *trade, const struct asked *q, const json_t *body)
{
    int named;
    const json_t *given = json_object_get(body, trade->form.vendor_member);
    if (!given)
        return !trade->vendor_in_order;
    const char *name = json_is_string(given) ? json_string_value(given) : "";
    return ledger_vendor(&trade->form, name, strlen(name), &named) && named == q->vendor;
}

/* What is bought, where the trade tells things apart; an order may name none. */
static bool item_read(const struct trade *trade, const json_t *body, char ret_item[ITEM_SIZE])
{
    const json_t *given = trade->form.item_member ? json_object_get(body, trade->form.item_member) : NULL;
    const char *item = json_is_string(given) ? json_string_value(given) : "";
    snprintf(ret_item, ITEM_SIZE, "%s", item);
    return !given || (*item && strlen(item) < ITEM_SIZE);
}

/* Reads and checks the order; false: `a` holds the refusal. */
static bool order_read(struct vending *v, const struct asked *q, struct order *o, struct answer *a)
{
    json_error_t where;
    const struct trade *trade = v->trade;
    json_t *body = json_loadb(q->body, q->body_len, JSON_REJECT_DUPLICATES, &where);
    const char *code = NULL, *message = "";
    char text[128];
    if (!json_is_object(body)) {
        code = "INVALID_JSON", message = "the body must be a JSON object";
    } else if (!vendor_right(trade, q, body)) {
        code = trade->wrong_vendor_code, message = text;
        snprintf(text, sizeof text, "%s: must be that of this address", trade->form.vendor_member);
    } else if (!trade->subject_read(cvm_json_str(body, trade->form.subject_member, ""), o->subject)) {
        code = trade->wrong_subject_code, message = trade->wrong_subject;
    } else if (cvm_money_from_json(json_object_get(body, "amount"), &o->amount_kobo) < 0 || o->amount_kobo <= 0 ||
               o->amount_kobo > ORDER_MAX_KOBO) {
        code = "INVALID_AMOUNT",
        message = "amount: must be naira, above 0 and at most 1000000, with two decimals at most";
    } else if (!item_read(trade, body, o->item)) {
        code = "INVALID_ITEM", message = text;
        snprintf(text, sizeof text, "%s: must be a text of 1 to %d bytes", trade->form.item_member, ITEM_SIZE - 1);
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
    memcpy(e->subject, o->subject, sizeof o->subject);
    memcpy(e->item, o->item, sizeof o->item);
    ledger_vend(v->ledger, e, b->books, now_ms, b->settles ? now_ms + v->options.settle_ms : 0);
    a->line = ledger_line(v->ledger, e);
}

bool vend_misbehaves(const struct vending *v, const struct entry *e, const struct behaviour *b, int64_t now_ms,
                     struct answer *a)
{
    const char *status = ledger_status(e, now_ms);
    switch (b->manner) {
    case HANGS:
        if (strcmp(status, "pending") != 0)
            return false;
        a->cut = true;
        a->delay_ms = v->options.hang_ms;
        snprintf(a->note, sizeof a->note, "accepted, no answer");
        return true;
    case CUTS:
        a->cut = true;
        snprintf(a->note, sizeof a->note, "%s, connection closed", status);
        return true;
    case BABBLES:
        a->html = true;
        a->status = 200;
        a->text = strdup("<html><body><h1>It works!</h1></body></html>\n");
        snprintf(a->note, sizeof a->note, "%s, answered nonsense", status);
        return true;
    case HALVES:
        a->half = true;
        return false;
    case IS_LATE:
        a->delay_ms = v->options.slow_ms;
        return false;
    case REFUSES:
    case ANSWERS:
        break;
    }
    return false;
}

static void behave(const struct vending *v, const struct entry *e, const struct behaviour *b, int64_t now_ms,
                   struct answer *a)
{
    if (vend_misbehaves(v, e, b, now_ms, a))
        return;
    if (b->manner == REFUSES)
        error_answer(a, b->status, b->code, b->text);
    else if (strcmp(ledger_status(e, now_ms), "failed") == 0)
        error_answer(a, 424, "NETWORK_ERROR", "the vend failed; nothing was delivered");
    else
        put_entry(v, a, e, now_ms);
}

void vend_answer(struct vending *v, const struct asked *q, int64_t now_ms, struct answer *a)
{
    struct order o;
    v->counts[q->vendor].requests++;
    if (!order_read(v, q, &o, a))
        goto counted;
    struct entry *e = ledger_find(v->ledger, q->vendor, o.reference);
    a->replayed = e && e->outcome != OUT_NONE;
    if (a->replayed &&
        (e->amount_kobo != o.amount_kobo || strcmp(e->subject, o.subject) != 0 || strcmp(e->item, o.item) != 0)) {
        a->replayed = false;
        v->counts[q->vendor].conflicts++;
        error_answer(a, 409, "DUPLICATE", "this reference was used for another order");
        goto counted;
    }
    if (!e)
        e = ledger_see(v->ledger, q->vendor, o.reference, o.subject, o.amount_kobo);
    if (!e) {
        error_answer(a, 503, "LEDGER_FULL", "the simulator holds no more references");
        goto counted;
    }
    if (!a->replayed) {
        e->amount_kobo = o.amount_kobo;
        memcpy(e->subject, o.subject, sizeof o.subject);
    }
    a->entry = e;
    e->attempts++;
    v->counts[q->vendor].replayed += a->replayed;
    const struct behaviour *b = vend_behaviour(v, e, a);
    if (!a->replayed && b->books != OUT_NONE) {
        if (ledger_spent_kobo(v->ledger, q->vendor) + o.amount_kobo > v->options.float_kobo) {
            error_answer(a, 402, "INSUFFICIENT_BALANCE", "the merchant's balance is too low");
            goto counted;
        }
        book(v, e, &o, b, now_ms, a);
    }
    behave(v, e, b, now_ms, a);
    a->delay_ms += vend_jitter(v, "delay", e, e->attempts);
counted:
    v->counts[q->vendor].refused += a->status >= 400;
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
    struct entry *e = ledger_find(v->ledger, q->vendor, reference);
    uint32_t attempt = e ? ++e->verifies : 0;
    a->entry = e;
    a->delay_ms = vend_jitter(v, "verify delay", e, attempt);
    bool disturbed = e && unit(draw(v, "verify fault", e, attempt)) < v->options.faults;
    v->counts[q->vendor].disturbed += disturbed;
    if (disturbed && draw(v, "verify kind", e, attempt) % 2) {
        a->cut = true;
        snprintf(a->note, sizeof a->note, "connection closed");
    } else if (disturbed || (e && trigger_of(v, e->subject)->verify_fails)) {
        error_answer(a, 503, "UNAVAILABLE", "try again later");
    } else if (e && e->outcome != OUT_NONE) {
        put_entry(v, a, e, now_ms);
    } else {
        snprintf(a->note, sizeof a->note, "not_found");
        json_answer(a, 200, json_pack("{s:s, s:s}", "status", "not_found", "reference", reference));
    }
}

void balance_answer(struct vending *v, const struct asked *q, int64_t now_ms, struct answer *a)
{
    int64_t left = v->options.float_kobo - ledger_spent_kobo(v->ledger, q->vendor);
    a->delay_ms = vend_jitter(v, "balance delay", NULL, 0);
    json_answer(a, 200, json_pack("{s:o, s:s}", "balance", naira_json(left), "currency", "NGN"));
}

static json_t *totals(const struct vending *v, int vendor, const int64_t by_status[4])
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "delivered", (json_int_t)by_status[OUT_DELIVERED],
                     "pending", (json_int_t)by_status[OUT_PENDING], "failed", (json_int_t)by_status[OUT_FAILED],
                     "spent_kobo", (json_int_t)ledger_spent_kobo(v->ledger, vendor), "requests",
                     (json_int_t)v->counts[vendor].requests, "refused", (json_int_t)v->counts[vendor].refused,
                     "replayed", (json_int_t)v->counts[vendor].replayed, "conflicts",
                     (json_int_t)v->counts[vendor].conflicts, "disturbed", (json_int_t)v->counts[vendor].disturbed);
}

#define STATEMENT_MOST 1000

static int64_t time_argument(const struct asked *q, const char *name, int64_t otherwise)
{
    const char *text = q->argument(q, name);
    return text && *text && strspn(text, "0123456789") == strlen(text) ? (int64_t)strtoll(text, NULL, 10) : otherwise;
}

void statement_answer(struct vending *v, const struct asked *q, int64_t now_ms, struct answer *a)
{
    const int64_t since = time_argument(q, "since_ms", 0), until = time_argument(q, "until_ms", INT64_MAX);
    int64_t n = time_argument(q, "after", 0) + 1;
    json_t *entries = json_array();
    for (; n <= ledger_size(v->ledger) && json_array_size(entries) < STATEMENT_MOST; n++) {
        const struct entry *e = ledger_at(v->ledger, n);
        if (e->time_ms >= since && e->time_ms < until)
            json_array_append_new(entries, ledger_entry_json(v->ledger, e, now_ms));
    }
    json_t *body = json_pack("{s:o}", "entries", entries);
    if (n <= ledger_size(v->ledger))
        json_object_set_new(body, "after", json_integer(n - 1));
    json_answer(a, 200, body);
}

void ledger_answer(struct vending *v, const char *name, int64_t now_ms, struct answer *a)
{
    const struct ledger_form *form = &v->trade->form;
    int only = -1;
    int64_t by_status[VENDORS_MAX][4] = {0};
    if (name && !ledger_vendor(form, name, strlen(name), &only)) {
        char text[160];
        snprintf(text, sizeof text, "%s: must be %s", form->vendor_member, v->trade->vendor_list);
        error_answer(a, 400, v->trade->wrong_vendor_code, text);
        return;
    }
    json_t *entries = json_array(), *sums = json_object();
    for (int64_t n = 1; n <= ledger_size(v->ledger); n++) {
        const struct entry *e = ledger_at(v->ledger, n);
        if (name && e->vendor != only)
            continue;
        by_status[e->vendor][e->settles_ms > now_ms ? OUT_PENDING : e->outcome]++;
        json_array_append_new(entries, ledger_entry_json(v->ledger, e, now_ms));
    }
    for (int i = 0; i < form->n_vendors; i++)
        if (!name || i == only)
            json_object_set_new(sums, form->vendors[i], totals(v, i, by_status[i]));
    json_answer(a, 200,
                json_pack("{s:I, s:o, s:o}", "count", (json_int_t)json_array_size(entries), "totals", sums, "entries",
                          entries));
}
