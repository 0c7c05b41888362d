/* The day's books: our ledger, the wallets and what each provider says it delivered or took, compared line by line to
 * the kobo. Works in batches, a turn each, so that purchases go on beside it; what it has found so far stands in the
 * state key books/run. Owns that and the table `reconciliations`. Loop thread. */
#include "calendar.h"
#include "transaction.h"
#include <inttypes.h>

#define BATCH 200
#define PAGE_MAX 1000 /* entries of a provider that are looked at in a turn */
#define LINES_MAX 200 /* differences that a report names; the others are counted */
#define STATEMENT_TIMEOUT_MS 30000
#define STALE_MS INT64_C(900000)
#define RUN_KEY "books/run"

/* Members of a line of our books; see record.c. */
enum {
    LINE_ID,
    LINE_KEY,
    LINE_RECIPIENT,
    LINE_STATUS,
    LINE_SERVICE,
    LINE_LANE,
    LINE_AMOUNT,
    LINE_TOTAL,
    LINE_BEGUN,
    LINE_FOUND
};

static void add_to(json_t *run, const char *key, int64_t by)
{
    json_object_set_new(run, key, json_integer(record_int(run, key) + by));
}

static void differs(json_t *run, const char *kind, const char *provider, const char *id, int64_t ours, int64_t theirs)
{
    add_to(run, "differences", 1);
    json_t *lines = record_list(run, "lines");
    if (json_array_size(lines) < LINES_MAX)
        json_array_append_new(lines,
                              json_pack("{s:s, s:s, s:s, s:o, s:o, s:o}", "kind", kind, "provider", provider,
                                        "transaction_id", id, "ours", cvm_money_to_json(ours), "theirs",
                                        cvm_money_to_json(theirs), "difference", cvm_money_to_json(theirs - ours)));
    json_object_set_new(run, "lines", lines);
}

/* ---- what providers say ---- */

static bool has_role(const json_t *component, const char *role)
{
    const json_t *roles = json_object_get(component, "roles");
    for (size_t i = 0; i < json_array_size(roles); i++)
        if (strcmp(json_string_value(json_array_get(roles, i)), role) == 0)
            return true;
    return false;
}

/* Those that may have a statement: [[id, whether it takes payments], ..]. Gives. */
static json_t *providers(cvm_turn *t)
{
    const json_t *components = cvm_registry(t, "components");
    json_t *list = json_array();
    for (size_t i = 0; i < json_array_size(components); i++) {
        const json_t *c = json_array_get(components, i);
        if (has_role(c, "statement"))
            json_array_append_new(list, json_pack("[s, b]", cvm_json_str(c, "id", ""), has_role(c, "payment")));
    }
    return list;
}

static const char *provider(const json_t *run)
{
    const json_t *pair = json_array_get(json_object_get(run, "providers"), (size_t)record_int(run, "provider"));
    return pair ? json_string_value(json_array_get(pair, 0)) : NULL;
}

static bool takes_payments(const json_t *run)
{
    const json_t *pair = json_array_get(json_object_get(run, "providers"), (size_t)record_int(run, "provider"));
    return json_is_true(json_array_get(pair, 1));
}

/* The line of a final transaction is marked with the day on which it was found. True: it was marked before. */
static int mark(cvm_turn *t, const json_t *run, const json_t *record, bool *ret_again)
{
    char at[CVM_STATE_KEY_MAX + 1];
    const json_t *line = NULL;
    snprintf(at, sizeof at, "purge/%015" PRId64 "/%s", record_int(record, "completed_ms"),
             record_str(record, "transaction_id"));
    int e = cvm_state_get(t, at, &line);
    if (e < 0)
        return e == CVM_ENOENT ? CVM_OK : e;
    const char *found = json_string_value(json_array_get(line, LINE_FOUND));
    *ret_again = found && strcmp(found, record_str(run, "mark")) == 0;
    json_t *marked = json_copy((json_t *)(uintptr_t)line);
    if (found)
        json_array_remove(marked, LINE_FOUND);
    json_array_append_new(marked, json_string(record_str(run, "mark")));
    return cvm_state_put(t, at, marked);
}

static int match_delivery(cvm_turn *t, json_t *run, const json_t *entry, const json_t *record, const char *id)
{
    bool delivered = strcmp(cvm_json_str(entry, "status", ""), "delivered") == 0, again = false;
    int64_t theirs = cvm_json_int(entry, "amount_kobo", 0), ours = record_int(record, "amount_kobo");
    if (!delivered) {
        if (record && strcmp(cvm_json_str(entry, "status", ""), "failed") == 0 && record_state(record) == TXN_SUCCESS &&
            strcmp(cvm_json_str(entry, "reference", ""),
                   *record_str(record, "vend_reference") ? record_str(record, "vend_reference") : id) == 0)
            differs(run, "PAID_NOT_DELIVERED", provider(run), id, ours, 0);
        return CVM_OK;
    }
    add_to(run, "delivered", 1);
    add_to(run, "delivered_kobo", theirs);
    if (!record) {
        differs(run, "UNKNOWN_TO_US", provider(run), id, 0, theirs);
        return CVM_OK;
    }
    if (!txn_is_final(record_state(record)))
        return CVM_OK; /* under way */
    CVM_TRY(mark(t, run, record, &again));
    if (again)
        differs(run, "DELIVERED_TWICE", provider(run), id, ours, theirs);
    else if (record_state(record) != TXN_SUCCESS)
        differs(run, "DELIVERED_AND_REFUNDED", provider(run), id, 0, theirs);
    else if (theirs != ours)
        differs(run, "AMOUNT", provider(run), id, ours, theirs);
    return CVM_OK;
}

static void match_payment(json_t *run, const json_t *entry, const json_t *record, const char *id)
{
    const char *reference = cvm_json_str(entry, "reference", "");
    const json_t *payments = json_object_get(record, "payments"), *one;
    int64_t theirs = cvm_json_int(entry, "amount_kobo", 0), ours = 0;
    size_t i;
    if (strcmp(cvm_json_str(entry, "kind", "payment"), "payment") != 0 ||
        strcmp(cvm_json_str(entry, "status", ""), "succeeded") != 0)
        return;
    add_to(run, "paid", 1);
    add_to(run, "paid_kobo", theirs);
    json_array_foreach((json_t *)(uintptr_t)payments, i,
                       one) if (strcmp(cvm_json_str(one, "reference", ""), reference) == 0) ours =
        cvm_json_int(one, "amount_kobo", 0);
    if (ours != theirs)
        differs(run, record ? "PAYMENT_NOT_BOOKED" : "UNKNOWN_TO_US", provider(run), id, ours, theirs);
}

static int match(cvm_turn *t, json_t *run, const json_t *entry)
{
    char id[CVM_SHORT_ID_SIZE];
    json_t *record = NULL;
    snprintf(id, sizeof id, "%.16s", cvm_json_str(entry, "reference", ""));
    int e = record_load(t, id, &record);
    if (e < 0 && e != CVM_ENOENT)
        return e;
    e = CVM_OK;
    if (takes_payments(run))
        match_payment(run, entry, record, id);
    else
        e = match_delivery(t, run, entry, record, id);
    json_decref(record);
    return e;
}

static int save(cvm_turn *t, json_t *run)
{
    return cvm_state_put(t, RUN_KEY, run);
}

static int next_step(cvm_turn *t, json_t *run, const char *step)
{
    json_object_set_new(run, "step", json_string(step));
    json_object_del(run, "after");
    CVM_TRY(save(t, json_incref(run)));
    return cvm_timer(t, "books_go_on", 1, NULL, (cvm_id){0, 0}, NULL);
}

/* Asks the present provider for its next page; past the last one the lines of our books are next. */
static int ask_statement(cvm_turn *t, json_t *run)
{
    for (; provider(run); add_to(run, "provider", 1)) {
        int e =
            cvm_request(t, provider(run), "statement",
                        json_pack("{s:s, s:I, s:I, s:i, s:O*}", "day", record_str(run, "day"), "from_ms",
                                  (json_int_t)record_int(run, "from_ms"), "to_ms", (json_int_t)record_int(run, "to_ms"),
                                  "limit", BATCH, "after", json_object_get(run, "after")),
                        &(cvm_request_opts){.timeout_ms = STATEMENT_TIMEOUT_MS});
        if (e != CVM_ENOENT && e != CVM_EACCES)
            return e < 0 ? e : save(t, json_incref(run));
    }
    return next_step(t, run, "lines");
}

static int load(cvm_turn *t, json_t **ret_run)
{
    const json_t *stored = NULL;
    CVM_TRY(cvm_state_get(t, RUN_KEY, &stored));
    *ret_run = json_copy((json_t *)(uintptr_t)stored);
    return *ret_run ? CVM_OK : CVM_ENOMEM;
}

/* What the provider answers for, so that what is missing there can be told from what another one delivered. */
static void covers(json_t *run, const json_t *told)
{
    json_t *lanes = json_copy(json_object_get(run, "covered"));
    const json_t *list = json_object_get(told, "covers"), *one;
    size_t i;
    if (!lanes)
        lanes = json_object();
    json_array_foreach((json_t *)(uintptr_t)list, i, one) if (json_is_string(one))
        json_object_set_new(lanes, json_string_value(one), json_true());
    json_object_set_new(run, "covered", lanes);
}

int books_statement(cvm_turn *t, const cvm_msg *m)
{
    json_t *run = NULL;
    int e = load(t, &run);
    if (e < 0)
        return e == CVM_ENOENT ? CVM_OK : e;
    if (strcmp(record_str(run, "step"), "statements") != 0)
        goto out;
    const json_t *entries = json_object_get(m->data, "entries");
    if (m->outcome == CVM_REFUSED) { /* it offers none */
        json_object_del(run, "after");
    } else if (m->outcome != CVM_REPLIED) {
        json_t *silent = record_list(run, "silent");
        json_array_append_new(silent, json_string(provider(run)));
        json_object_set_new(run, "silent", silent);
    } else {
        covers(run, m->data);
    }
    for (size_t i = 0; i < json_array_size(entries) && i < PAGE_MAX && e >= 0; i++)
        e = match(t, run, json_array_get(entries, i));
    const json_t *after = json_object_get(m->data, "after");
    if (e >= 0 && m->outcome == CVM_REPLIED && after && !json_is_null(after)) {
        json_object_set(run, "after", (json_t *)(uintptr_t)after);
    } else if (e >= 0) {
        json_object_del(run, "after");
        add_to(run, "provider", 1);
    }
    if (e >= 0)
        e = ask_statement(t, run);
out:
    json_decref(run);
    return e;
}

/* ---- our own lines ---- */

/* Nobody's statement tells what was delivered there: that is not "balanced". */
static void not_compared(json_t *run, const char *lane, int64_t amount)
{
    json_t *lanes = json_copy(json_object_get(run, "not_compared"));
    if (!lanes)
        lanes = json_object();
    json_object_set_new(lanes, lane, json_true());
    json_object_set_new(run, "not_compared", lanes);
    add_to(run, "not_compared_kobo", amount);
}

static void count_line(json_t *run, const json_t *line)
{
    const char *status = json_string_value(json_array_get(line, LINE_STATUS));
    const char *lane = json_string_value(json_array_get(line, LINE_LANE));
    const char *found = json_string_value(json_array_get(line, LINE_FOUND));
    int64_t amount = json_integer_value(json_array_get(line, LINE_AMOUNT));
    int64_t total = json_integer_value(json_array_get(line, LINE_TOTAL));
    if (!status || strcmp(status, "ORDER") == 0)
        return;
    add_to(run, "transactions", 1);
    if (strcmp(status, "SUCCESS") == 0) {
        add_to(run, "succeeded", 1);
        add_to(run, "sold_kobo", amount);
        add_to(run, "taken_kobo", total);
        bool covered = lane && json_object_get(json_object_get(run, "covered"), lane);
        bool today = json_integer_value(json_array_get(line, LINE_BEGUN)) >= record_int(run, "from_ms");
        if (!covered)
            not_compared(run, lane ? lane : "", amount);
        if (covered && today && (!found || strcmp(found, record_str(run, "mark")) != 0))
            differs(run, "MISSING_AT_PROVIDER", lane, json_string_value(json_array_get(line, LINE_ID)), amount, 0);
    } else if (strcmp(status, "REFUNDED") == 0) {
        add_to(run, "refunded", 1);
        add_to(run, "refunded_kobo", total);
    } else {
        add_to(run, "failed", 1);
    }
}

static int go_on_lines(cvm_turn *t, json_t *run)
{
    char first[CVM_STATE_KEY_MAX + 1], end[CVM_STATE_KEY_MAX + 1];
    json_t *pairs = NULL;
    snprintf(first, sizeof first, "purge/%015" PRId64, record_int(run, "from_ms"));
    snprintf(end, sizeof end, "purge/%015" PRId64, record_int(run, "to_ms"));
    const char *after = record_str(run, "after");
    CVM_TRY(cvm_state_scan(t, "purge/", *after ? after : first, BATCH, &pairs));
    size_t n = json_array_size(pairs), i;
    bool over = n < BATCH;
    for (i = 0; i < n; i++) {
        const char *key = json_string_value(json_array_get(json_array_get(pairs, i), 0));
        if (strcmp(key, end) >= 0) {
            over = true;
            break;
        }
        count_line(run, json_array_get(json_array_get(pairs, i), 1));
        json_object_set_new(run, "after", json_string(key));
    }
    json_decref(pairs);
    if (over)
        return next_step(t, run, "wallets");
    CVM_TRY(save(t, json_incref(run)));
    return cvm_timer(t, "books_go_on", 1, NULL, (cvm_id){0, 0}, NULL);
}

/* ---- wallets ---- */

static void count_wallet(json_t *run, const json_t *account)
{
    struct figures f;
    account_figures(account, &f);
    add_to(run, "wallets", 1);
    add_to(run, "balance_kobo", f.balance);
    add_to(run, "held_kobo", f.held);
    int64_t should = f.opening + f.credited - f.settled - f.returned - f.held;
    if (should != f.balance)
        differs(run, "WALLET", "wallets", cvm_json_str(account, "customer_id", ""), should, f.balance);
}

static int go_on_wallets(cvm_turn *t, json_t *run)
{
    json_t *pairs = NULL;
    const char *after = record_str(run, "after");
    CVM_TRY(cvm_state_scan(t, "account/", *after ? after : NULL, BATCH, &pairs));
    size_t n = json_array_size(pairs);
    for (size_t i = 0; i < n; i++) {
        count_wallet(run, json_array_get(json_array_get(pairs, i), 1));
        json_object_set_new(run, "after", json_string(json_string_value(json_array_get(json_array_get(pairs, i), 0))));
    }
    json_decref(pairs);
    if (n < BATCH)
        return next_step(t, run, "end");
    CVM_TRY(save(t, json_incref(run)));
    return cvm_timer(t, "books_go_on", 1, NULL, (cvm_id){0, 0}, NULL);
}

/* ---- the report ---- */

static json_t *report(cvm_turn *t, const json_t *run)
{
    char at[TXN_TIME_SIZE];
    static const char *const counts[] = {"transactions", "succeeded", "refunded", "failed",
                                         "delivered",    "paid",      "wallets",  "differences"};
    static const char *const sums[][2] = {{"sold", "sold_kobo"},
                                          {"taken", "taken_kobo"},
                                          {"refunded_sum", "refunded_kobo"},
                                          {"delivered_sum", "delivered_kobo"},
                                          {"paid_sum", "paid_kobo"},
                                          {"balance", "balance_kobo"},
                                          {"held", "held_kobo"}};
    int64_t n = record_int(run, "transactions");
    const char *status = record_int(run, "differences")         ? "differences"
                         : json_object_get(run, "not_compared") ? "not_compared"
                                                                : "balanced";
    json_t *r =
        json_pack("{s:s, s:s, s:s, s:o, s:o}", "day", record_str(run, "day"), "run_at", time_text(cvm_now_ms(t), at),
                  "status", status, "lines", record_list(run, "lines"), "silent_providers", record_list(run, "silent"));
    for (size_t i = 0; r && i < sizeof counts / sizeof counts[0]; i++)
        json_object_set_new(r, counts[i], json_integer(record_int(run, counts[i])));
    for (size_t i = 0; r && i < sizeof sums / sizeof sums[0]; i++)
        json_object_set_new(r, sums[i][0], cvm_money_to_json(record_int(run, sums[i][1])));
    if (r && n)
        json_object_set_new(r, "success_percent", json_real((double)(record_int(run, "succeeded") * 10000 / n) / 100));
    return r;
}

/* The figures as lines of their own, so that a table or a CSV has them too. What no statement covers is not set against
 * one. */
static void add_summary(json_t *r, const json_t *run)
{
    static const char *const figures[][2] = {{"sold", "delivered_sum"},
                                             {"taken", "taken"},
                                             {"refunded_sum", "refunded_sum"},
                                             {"balance", "balance"},
                                             {"held", "held"}};
    json_t *lines = json_array();
    for (size_t i = 0; i < sizeof figures / sizeof figures[0]; i++) {
        json_t *ours = json_incref(json_object_get(r, figures[i][0])), *theirs = json_object_get(r, figures[i][1]);
        if (i == 0) {
            json_decref(ours);
            ours = cvm_money_to_json(record_int(run, "sold_kobo") - record_int(run, "not_compared_kobo"));
        }
        json_array_append_new(lines, json_pack("{s:s, s:s, s:s, s:o, s:O, s:f}", "kind", figures[i][0], "provider",
                                               "all", "transaction_id", "", "ours", ours, "theirs", theirs,
                                               "difference", json_number_value(theirs) - json_number_value(ours)));
    }
    json_array_extend(lines, json_object_get(r, "lines"));
    json_object_set_new(r, "lines", lines);
}

static int end(cvm_turn *t, json_t *run)
{
    json_t *r = report(t, run);
    if (!r)
        return CVM_ENOMEM;
    json_t *row = json_copy(r);
    int64_t n = record_int(run, "differences");
    cvm_log(t, n ? CVM_LOG_ERROR : CVM_LOG_INFO, "the books of %s: %lld transactions, %lld differences",
            record_str(run, "day"), (long long)record_int(run, "transactions"), (long long)n);
    int e = cvm_row_put(t, "reconciliations", row);
    if (e >= 0)
        e = cvm_state_del(t, RUN_KEY);
    if (e < 0) {
        json_decref(r);
        return e;
    }
    json_t *answer = json_copy(r);
    json_decref(r);
    add_summary(answer, run);
    json_t *lanes = json_array();
    const char *lane;
    json_t *unused;
    json_object_foreach(json_object_get(run, "not_compared"), lane, unused)
        json_array_append_new(lanes, json_string(lane));
    json_object_set_new(answer, "not_compared", lanes);
    cvm_id request = id_from_text(record_str(run, "request"));
    if (cvm_id_is_none(request)) {
        json_decref(answer);
        return CVM_OK;
    }
    e = cvm_settle(t, request, CVM_REPLIED, answer, NULL);
    return e == CVM_ENOENT ? CVM_OK : e;
}

int books_go_on(cvm_turn *t, const cvm_msg *m)
{
    json_t *run = NULL;
    (void)m;
    int e = load(t, &run);
    if (e < 0)
        return e == CVM_ENOENT ? CVM_OK : e;
    const char *step = record_str(run, "step");
    if (strcmp(step, "statements") == 0)
        e = ask_statement(t, run);
    else if (strcmp(step, "lines") == 0)
        e = go_on_lines(t, run);
    else if (strcmp(step, "wallets") == 0)
        e = go_on_wallets(t, run);
    else
        e = end(t, run);
    json_decref(run);
    return e;
}

/* ---- the beginning ---- */

static int begin(cvm_turn *t, struct date day, const char *request)
{
    char text[16], run_mark[48];
    int64_t from = date_at(day, 0), now = cvm_now_ms(t);
    snprintf(text, sizeof text, "%04d-%02d-%02d", day.year, day.month, day.day);
    snprintf(run_mark, sizeof run_mark, "%s/%" PRId64, text, now);
    json_t *run = json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:s, s:o, s:i}", "day", text, "mark", run_mark, "step",
                            "statements", "from_ms", (json_int_t)from, "to_ms", (json_int_t)(from + TXN_DAY_MS),
                            "begun_ms", (json_int_t)now, "request", request, "providers", providers(t), "provider", 0);
    if (!run)
        return CVM_ENOMEM;
    int e = ask_statement(t, run);
    json_decref(run);
    return e;
}

int books_reconcile(cvm_turn *t, const cvm_msg *m)
{
    char request[33];
    struct date day;
    json_t *run = NULL;
    const char *text = cvm_json_str(m->data, "day", "");
    int64_t now = cvm_now_ms(t);
    if (*text && date_parse(text, &day) < 0)
        return cvm_refuse(t, "DATE", "day", "the day must be one such as 2026-11-30");
    if (!*text)
        day = date_of(now);
    if (date_at(day, 0) > now || date_at(day, 24 * 60) < now - TXN_KEEP_MS + TXN_DAY_MS)
        return cvm_refuse(t, "DATE", "day",
                          "today and yesterday can be compared; earlier days: cvmhost transaction reports");
    int e = load(t, &run);
    bool busy = e == CVM_OK && record_int(run, "begun_ms") > now - STALE_MS;
    json_decref(run);
    if (e < 0 && e != CVM_ENOENT)
        return e;
    if (busy)
        return cvm_refuse(t, "BUSY", "day", "the books are being compared already; ask again in a minute");
    id_to_text(m->id, request);
    e = begin(t, day, request);
    return e < 0 ? e : CVM_PENDING;
}

int books_daily(cvm_turn *t, const cvm_msg *m)
{
    char text[16];
    const json_t *done = NULL;
    json_t *run = NULL;
    int64_t now = cvm_now_ms(t), from;
    struct date today = date_of(now), day;
    (void)m;
    from = date_at(today, 0);
    if (!cvm_json_bool(cvm_settings(t), "reconcile_daily", true) || now < from + 3600000)
        return CVM_OK;
    day = date_of(from - 1);
    snprintf(text, sizeof text, "%04d-%02d-%02d", day.year, day.month, day.day);
    int e = cvm_state_get(t, "books/done", &done);
    if (e < 0 && e != CVM_ENOENT)
        return e;
    if (done && strcmp(json_string_value(done), text) == 0)
        return CVM_OK;
    if (load(t, &run) == CVM_OK) {
        bool busy = record_int(run, "begun_ms") > now - STALE_MS;
        json_decref(run);
        if (busy)
            return CVM_OK;
    }
    CVM_TRY(cvm_state_put(t, "books/done", json_string(text)));
    return begin(t, day, "");
}

int books_list(cvm_turn *t, const cvm_msg *m)
{
    json_t *where = json_object();
    if (json_object_get(m->data, "day"))
        json_object_set(where, "day", json_object_get(m->data, "day"));
    return lookup_table(t, m, "reconciliations", where, "-day");
}
