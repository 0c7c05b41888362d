/* The start of a purchase: who sells, who pays, which rule forbids it, whether the same key came before; then the gates
 * (gate.c), or the money is held and the seller asked to deliver, in one turn. What follows is in saga.c. Loop thread.
 */
#include "transaction.h"

#define HELD_BACK_MAX 10 /* purchases of a customer that wait for a human */

struct sums {
    int64_t amount, discount, charge, total;
};

int64_t saga_setting_kobo(cvm_turn *t, const char *name, int64_t otherwise)
{
    int64_t kobo;
    return cvm_money_from_json(json_object_get(cvm_settings(t), name), &kobo) < 0 ? otherwise : kobo;
}

int64_t saga_setting_ms(cvm_turn *t, const char *name, int64_t otherwise)
{
    int64_t ms = cvm_json_int(cvm_settings(t), name, otherwise);
    return ms > 0 ? ms : otherwise;
}

int64_t saga_look_after_ms(cvm_turn *t, int64_t n)
{
    int64_t times = cvm_json_int(cvm_settings(t), "reconcile_times", 7);
    return n < times && n < TXN_LOOKS_MAX ? saga_setting_ms(t, "reconcile_after_s", 600) * 1000 << n : 0;
}

const char *saga_seller(cvm_turn *t, const char *id_or_alias)
{
    const json_t *components = cvm_registry(t, "components");
    for (size_t i = 0; i < json_array_size(components); i++) {
        const json_t *c = json_array_get(components, i), *roles = json_object_get(c, "roles");
        if (strcmp(cvm_json_str(c, "id", ""), id_or_alias) != 0 &&
            strcmp(cvm_json_str(c, "alias", ""), id_or_alias) != 0)
            continue;
        for (size_t r = 0; r < json_array_size(roles); r++) {
            const char *role = json_string_value(json_array_get(roles, r));
            if (role && strcmp(role, "desk.seller") == 0)
                return cvm_json_str(c, "id", NULL);
        }
    }
    return NULL;
}

bool component_loaded(cvm_turn *t, const char *id)
{
    const json_t *components = cvm_registry(t, "components");
    for (size_t i = 0; i < json_array_size(components); i++)
        if (strcmp(cvm_json_str(json_array_get(components, i), "id", ""), id) == 0)
            return true;
    return false;
}

/* ---- the start of a purchase ---- */

static bool kobo_member(const json_t *body, const char *key, int64_t *ret_kobo)
{
    *ret_kobo = cvm_json_int(body, key, 0);
    return *ret_kobo >= 0 && *ret_kobo <= CVM_MONEY_MAX_MINOR;
}

static const char *order_check(const struct order *o, struct sums *ret_sums)
{
    struct sums s;
    if (!o->items && !json_is_object(json_object_get(o->body, "delivery")))
        return "The order does not say what is to be delivered.";
    if (!*cvm_json_str(o->body, "service_type", ""))
        return "The order names no service.";
    if (strlen(o->idempotency_key) > TXN_IDEMPOTENCY_MAX)
        return "The idempotency key is longer than 128 bytes.";
    if (!kobo_member(o->body, "amount_kobo", &s.amount) || !kobo_member(o->body, "discount_kobo", &s.discount) ||
        !kobo_member(o->body, "service_charge_kobo", &s.charge) || s.amount == 0 || s.discount > s.amount)
        return "The order's sums do not make sense.";
    s.total = s.amount - s.discount + s.charge;
    if (s.total <= 0)
        return "The order's sums do not make sense.";
    *ret_sums = s;
    return NULL;
}

static int begin_refused(cvm_turn *t, const cvm_msg *m, const struct order *o, json_t *account, const char *rule,
                         const char *message, bool handoff)
{
    int64_t failures = 0;
    if (account) {
        failures = account_count_failure(account, m->session_id);
        CVM_TRY(account_save(t, json_incref(account)));
    }
    CVM_TRY(cvm_note(t, "rule",
                     json_pack("{s:s, s:s, s:s, s:b}", "rule", rule, "because", message, "service_type",
                               cvm_json_str(o->body, "service_type", ""), "handoff", handoff)));
    return answer_asker(t, o->asker, m->id, CVM_REFUSED, answer_refusal(o->body, rule, message, handoff), failures);
}

static const char *const compared[] = {"service_type", "network_or_disco",    "recipient",     "amount_kobo",
                                       "delivery",     "service_charge_kobo", "discount_kobo", "items"};

static bool same_order(const json_t *record, const struct order *o)
{
    if (strcmp(record_str(record, "seller"), o->seller) != 0)
        return false;
    for (size_t i = 0; i < sizeof compared / sizeof compared[0]; i++) {
        const json_t *a = json_object_get(record, compared[i]), *b = json_object_get(o->body, compared[i]);
        if (json_is_integer(a) && !b ? json_integer_value(a) != 0 : (a || b) && !json_equal(a, b))
            return false;
    }
    return true;
}

int saga_wait(json_t *record, const cvm_msg *m, enum asker_kind kind, bool replayed)
{
    char id[33];
    id_to_text(m->id, id);
    json_t *waiters = json_copy(json_object_get(record, "waiters"));
    if (!waiters)
        waiters = json_array();
    int e = json_array_append_new(waiters,
                                  json_pack("{s:s, s:i, s:b}", "request", id, "kind", (int)kind, "replayed", replayed));
    return json_object_set_new(record, "waiters", waiters) || e ? CVM_ENOMEM : CVM_OK;
}

/* The same key came again: the first result counts, and while there is none this asker waits for it too. */
static int begin_again(cvm_turn *t, const cvm_msg *m, const struct order *o, json_t *record)
{
    if (!same_order(record, o))
        return begin_refused(t, m, o, NULL, "DUPLICATE_KEY", "This idempotency key was used for another purchase.",
                             false);
    CVM_TRY(cvm_note(t, "decision",
                     json_pack("{s:s, s:s, s:s}", "chose", "first result", "because", "idempotency key seen before",
                               "transaction_id", record_str(record, "transaction_id"))));
    const json_t *waiters = json_object_get(record, "waiters");
    if (waiters && json_array_size(waiters) < TXN_WAITERS_MAX) {
        CVM_TRY(saga_wait(record, m, o->asker, true));
        CVM_TRY(record_save(t, json_incref(record)));
        return CVM_PENDING;
    }
    enum cvm_outcome outcome = CVM_UNKNOWN;
    json_t *body = answer_body(record, true, &outcome);
    return answer_asker(t, o->asker, m->id, outcome, body, 0);
}

/* The rule that forbids the purchase, with its text; NULL if none does. */
static const char *rule_against(cvm_turn *t, const json_t *account, const struct sums *s, char *text, size_t size)
{
    char limit[32], have[32];
    struct figures f;
    account_figures(account, &f);
    int64_t most = saga_setting_kobo(t, "max_amount", 50000000);
    int64_t two_factor = saga_setting_kobo(t, "two_factor_above", 5000000);
    int64_t approve = saga_setting_kobo(t, "approve_above", 10000000);
    if (s->amount > most) { /* without charges; what needs a second look goes by the total */
        snprintf(text, size, "The largest purchase is \xe2\x82\xa6%s.", cvm_money_text(most, limit, sizeof limit));
        return "LIMIT";
    }
    if (s->total > two_factor && s->total <= approve && !otp_possible(t)) { /* above, a human looks at it anyway */
        snprintf(text, size, "A purchase above \xe2\x82\xa6%s needs a second confirmation.",
                 cvm_money_text(two_factor, limit, sizeof limit));
        return "TWO_FACTOR";
    }
    if (f.balance < s->total && !pay_by_provider(t)) {
        snprintf(text, size, "The wallet holds \xe2\x82\xa6%s; the purchase costs \xe2\x82\xa6%s.",
                 cvm_money_text(f.balance, have, sizeof have), cvm_money_text(s->total, limit, sizeof limit));
        return "INSUFFICIENT_FUNDS";
    }
    return NULL;
}

/* The service is not sold for the moment, or the same was bought a moment ago and may be a mistake. */
static const char *rule_of_the_moment(cvm_turn *t, const struct order *o, json_t *account, char *text, size_t size)
{
    char at[TXN_TIME_SIZE];
    int64_t since = 0, seconds;
    const char *network = cvm_json_str(o->body, "network_or_disco", "");
    /* An order for several has no network of its own: those of one that is stopped are refunded one by one. */
    if (!o->items && lane_stopped(t, cvm_json_str(o->body, "service_type", ""), network, &since) < 0)
        return NULL;
    if (since) {
        time_text(since + 3600000, at); /* Lagos */
        snprintf(text, size, "%s has had trouble since %.5s, so we do not sell it at the moment.", network, at + 11);
        return "OUTAGE";
    }
    seconds = *o->idempotency_key && o->asker == ASKER_PURCHASE ? -1 : fraud_duplicate(t, account, o->body);
    if (seconds < 0)
        return NULL;
    if (seconds < 2)
        snprintf(text, size, "You bought exactly this a moment ago.");
    else
        snprintf(text, size, "You bought exactly this %lld seconds ago.", (long long)seconds);
    return "DUPLICATE_SUSPECTED";
}

json_t *record_new(const cvm_msg *m, const char *seller, const json_t *body, const char *id, const char *customer_id,
                   int64_t now)
{
    int64_t amount = cvm_json_int(body, "amount_kobo", 0), discount = cvm_json_int(body, "discount_kobo", 0);
    int64_t charge = cvm_json_int(body, "service_charge_kobo", 0);
    json_t *r =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I}", "transaction_id", id, "state",
                  txn_state_name(TXN_RECEIVED), "seller", seller, "customer_id", customer_id, "enquiry_id",
                  m->enquiry_id, "session_id", m->session_id, "conversation", m->conversation, "amount_kobo",
                  (json_int_t)amount, "discount_kobo", (json_int_t)discount, "service_charge_kobo", (json_int_t)charge,
                  "total_kobo", (json_int_t)(amount - discount + charge), "initiated_ms", (json_int_t)now);
    static const char *const kept[] = {"service_type",     "network_or_disco", "recipient", "delivery",
                                       "summary",          "destination",      "remark",    "context_path",
                                       "credit_timeout_s", "answer_within_ms", "order_id"};
    static const char *const often_empty[] = {"enquiry_id", "session_id"};
    for (size_t i = 0; r && i < sizeof often_empty / sizeof often_empty[0]; i++)
        if (!*record_str(r, often_empty[i]))
            json_object_del(r, often_empty[i]);
    for (size_t i = 0; r && i < sizeof kept / sizeof kept[0]; i++) {
        const json_t *v = json_object_get(body, kept[i]);
        if (v)
            json_object_set_new(r, kept[i], cvm_json_share(v));
    }
    return r;
}

int saga_disarm(cvm_turn *t, const cvm_msg *m, json_t *record)
{
    cvm_id timer = id_from_text(record_str(record, "timer"));
    json_object_del(record, "timer");
    if (cvm_id_is_none(timer) || cvm_id_eq(timer, m->id))
        return CVM_OK;
    int e = cvm_timer_cancel(t, timer);
    return e == CVM_ENOENT ? CVM_OK : e;
}

int saga_arm(cvm_turn *t, const cvm_msg *m, json_t *record, const char *type, int64_t delay_ms)
{
    cvm_id timer;
    char text[33];
    CVM_TRY(saga_disarm(t, m, record));
    CVM_TRY(cvm_timer(t, type, delay_ms, NULL, record_cookie(record_str(record, "transaction_id")), &timer));
    id_to_text(timer, text);
    return json_object_set_new(record, "timer", json_string(text)) ? CVM_ENOMEM : CVM_OK;
}

int saga_ask_delivery(cvm_turn *t, const cvm_msg *m, json_t *record)
{
    const char *id = record_str(record, "transaction_id"), *home = record_str(record, "conversation");
    const char *reference = record_str(record, "vend_reference");
    int64_t left = record_int(record, "deadline_ms") - cvm_now_ms(t);
    cvm_request_opts opts = {.on_behalf = record_cookie_n(id, record_int(record, "vends")),
                             .timeout_ms = left + saga_setting_ms(t, "late_watch_s", 900) * 1000};
    if (strcmp(home, m->conversation) != 0)
        opts.conversation = home;
    /* The seller is told the deadline, after which nothing may be vended; the request itself lives longer, so that the
     * answer of a slow delivery still finds its way here. */
    return cvm_request(t, record_str(record, "seller"), "deliver",
                       json_pack("{s:s, s:I, s:O}", "transaction_id", *reference ? reference : id, "deadline_ms",
                                 (json_int_t)record_int(record, "deadline_ms"), "delivery",
                                 json_object_get(record, "delivery")),
                       &opts);
}

int saga_hold(cvm_turn *t, const cvm_msg *m, json_t *account, json_t *record)
{
    const char *id = record_str(record, "transaction_id");
    int64_t credit_ms = record_int(record, "credit_timeout_s") * 1000, total = record_int(record, "total_kobo");
    int64_t answer_ms = record_int(record, "answer_within_ms"); /* a slow delivery names its own patience */
    if (json_object_get(record, "items"))
        return bulk_spread(t, m, account, record);
    if (credit_ms <= 0)
        credit_ms = saga_setting_ms(t, "credit_timeout_s", 300) * 1000;
    if (answer_ms <= 0)
        answer_ms = saga_setting_ms(t, "answer_within_ms", 32000);
    json_object_set_new(record, "held_ms", json_integer(cvm_now_ms(t)));
    json_object_set_new(record, "deadline_ms", json_integer(cvm_now_ms(t) + credit_ms));
    CVM_TRY(account_book(t, m, account, ENTRY_HOLD, total, id));
    CVM_TRY(account_save(t, json_incref(account)));
    record_move(record, TXN_HELD);
    CVM_TRY(record_row(t, record));
    CVM_TRY(saga_arm(t, m, record, "answer_due", answer_ms < credit_ms ? answer_ms : credit_ms));
    CVM_TRY(saga_ask_delivery(t, m, record));
    record_move(record, TXN_DELIVERING);
    CVM_TRY(cvm_note(t, "decision",
                     json_pack("{s:s, s:s, s:I, s:s}", "chose", "hold and deliver", "transaction_id", id, "total_kobo",
                               (json_int_t)total, "seller", record_str(record, "seller"))));
    return record_save(t, json_incref(record));
}

/* Which gates a purchase has to pass; what was chosen is in the record. */
static int set_gates(cvm_turn *t, const cvm_msg *m, json_t *account, json_t *record, const struct sums *s)
{
    const char *hold = "";
    CVM_TRY(fraud_check(t, m, account, record, &hold));
    if (s->total > saga_setting_kobo(t, "two_factor_above", 5000000) && otp_possible(t))
        json_object_set_new(record, "needs_code", json_true());
    if (json_object_get(record, "needs_code") && otp_guessed(t, account))
        hold = "CODE_WRONG";
    if (s->total > saga_setting_kobo(t, "approve_above", 10000000))
        hold = "APPROVAL";
    if (*hold)
        json_object_set_new(record, "held_for", json_string(hold));
    return CVM_OK;
}

static int begin_new(cvm_turn *t, const cvm_msg *m, const struct order *o, const struct sums *s, json_t *account)
{
    char text[200], id[CVM_SHORT_ID_SIZE];
    const char *customer_id = cvm_json_str(account, "customer_id", "");
    const char *rule = rule_against(t, account, s, text, sizeof text);
    if (!rule)
        rule = rule_of_the_moment(t, o, account, text, sizeof text);
    if (rule)
        return begin_refused(t, m, o, account, rule, text, strcmp(rule, "TWO_FACTOR") == 0);
    CVM_TRY(cvm_new_id(t, "TXN", id));
    json_t *record = record_new(m, o->seller, o->body, id, customer_id, cvm_now_ms(t));
    if (!record)
        return CVM_ENOMEM;
    if (*o->idempotency_key)
        json_object_set_new(record, "idempotency_key", json_string(o->idempotency_key));
    if (o->items)
        json_object_set_new(record, "items", cvm_json_share(o->items));
    int e = set_gates(t, m, account, record, s);
    if (e >= 0 && json_object_get(record, "held_for") && cvm_json_int(account, "held_back", 0) >= HELD_BACK_MAX) {
        e = begin_refused(t, m, o, account, record_str(record, "held_for"),
                          "Too many of your purchases wait for a colleague already.", true);
        json_decref(record);
        return e;
    }
    if (e >= 0 && *o->idempotency_key)
        e = record_remember_key(t, customer_id, o->idempotency_key, id);
    if (e >= 0 && (e = saga_wait(record, m, o->asker, false)) >= 0)
        e = gate_advance(t, m, account, record);
    json_decref(record);
    return e < 0 ? e : CVM_PENDING;
}

int saga_begin(cvm_turn *t, const cvm_msg *m, const struct order *o)
{
    struct sums s;
    json_t *account = NULL, *record = NULL;
    const char *bad = order_check(o, &s);
    if (bad)
        return begin_refused(t, m, o, NULL, "ORDER", bad, false);
    int e = account_find(t, cvm_json_str(o->body, "customer_id", ""), cvm_json_str(o->body, "phone", ""), &account);
    if (e == CVM_ENOENT)
        return begin_refused(t, m, o, NULL, "UNKNOWN_CUSTOMER", "There is no wallet for this customer.", false);
    if (e < 0)
        return e;
    if (*o->idempotency_key)
        e = record_of_key(t, cvm_json_str(account, "customer_id", ""), o->idempotency_key, &record);
    if (record)
        e = begin_again(t, m, o, record);
    else if (e == CVM_OK || e == CVM_ENOENT)
        e = begin_new(t, m, o, &s, account);
    json_decref(record);
    json_decref(account);
    return e;
}

int saga_purchase(cvm_turn *t, const cvm_msg *m)
{
    const char *seller = saga_seller(t, m->sender);
    if (!seller)
        return cvm_refuse(t, "NOT_A_SELLER", NULL, "only components with the role desk.seller may sell");
    struct order o = {.seller = seller,
                      .idempotency_key = cvm_json_str(m->data, "idempotency_key", ""),
                      .body = m->data,
                      .items = NULL,
                      .asker = ASKER_PURCHASE};
    return saga_begin(t, m, &o);
}
