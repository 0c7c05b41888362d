/* An order for several numbers: read from lines of NUMBER,AMOUNT[,NETWORK], each checked as a purchase of its own, the
 * discount by the sum of all and shared among them to the kobo. The saga does the rest. Loop thread. */
#include "airtime.h"
#include <stdlib.h>

#define BULK_RECIPIENTS_MAX 100
#define BULK_LINE_SIZE 96

/* The next line that is not empty; false at the end. `line` gets it without blanks around it; *ret_cut: it is longer
 * than a line may be. */
static bool next_line(const char **text, char line[BULK_LINE_SIZE], bool *ret_cut)
{
    while (**text) {
        size_t n = strcspn(*text, "\r\n"), from = strspn(*text, " \t");
        const char *start = *text;
        *text += n;
        *text += strspn(*text, "\r\n");
        if (from >= n || start[from] == '#')
            continue;
        *ret_cut = n - from >= BULK_LINE_SIZE;
        snprintf(line, BULK_LINE_SIZE, "%.*s", (int)(n - from), start + from);
        for (size_t len = strlen(line); len && (line[len - 1] == ' ' || line[len - 1] == '\t');)
            line[--len] = '\0';
        return true;
    }
    return false;
}

static char *field(char **rest)
{
    char *at = *rest, *comma = strchr(at, ',');
    *rest = comma ? comma + 1 : at + strlen(at);
    if (comma)
        *comma = '\0';
    at += strspn(at, " \t\"");
    for (size_t n = strlen(at); n && strchr(" \t\"", at[n - 1]);)
        at[--n] = '\0';
    return at;
}

/* One line as an order; the network is that of the line, of the request, or of the number's prefix. */
static int read_line(const struct airtime_rules *rules, char *line, const char *network, struct airtime_order *o,
                     struct sale_failure *f)
{
    char prefix[NETWORK_SIZE] = "", e164[PHONE_SIZE];
    char *rest = line, *phone = field(&rest), *amount = field(&rest), *named = field(&rest);
    if (!*named && !*network && phone_normalise(phone, e164) == CVM_OK)
        network_of_prefix(&rules->networks, e164, prefix);
    json_t *value = json_string(amount);
    int e = airtime_check(rules, *named ? named : *network ? network : prefix, phone, value, o, f);
    json_decref(value);
    return e;
}

/* Each gets its share by its amount, rounded down; the kobo that are left go to the first ones. */
static void share_discount(json_t *items, int64_t discount, int64_t sum)
{
    int64_t left = discount;
    size_t n = json_array_size(items), i;
    json_t *item;
    json_array_foreach(items, i, item)
    {
        int64_t share = (int64_t)((__int128)discount * cvm_json_int(item, "amount_kobo", 0) / sum);
        json_object_set_new(item, "discount_kobo", json_integer(share));
        left -= share;
    }
    for (i = 0; left > 0; i = (i + 1) % n, left--) {
        item = json_array_get(items, i);
        json_object_set_new(item, "discount_kobo", json_integer(cvm_json_int(item, "discount_kobo", 0) + 1));
    }
}

static json_t *item_of(const struct airtime_rules *rules, const struct airtime_order *o)
{
    static const char *const order_wide[] = {"service_type", "credit_timeout_s", "context_path", "remark"};
    json_t *item = airtime_purchase_body(rules, o);
    for (size_t i = 0; item && i < sizeof order_wide / sizeof order_wide[0]; i++)
        json_object_del(item, order_wide[i]);
    return item;
}

/* Gives the items; NULL: *ret_failure says what is wrong, and in which line. */
static json_t *read_items(const struct airtime_rules *rules, const char *text, const char *network,
                          struct sale_failure *ret_failure)
{
    char line[BULK_LINE_SIZE];
    bool cut = false;
    int64_t sum = 0;
    int n = 0;
    json_t *items = json_array();
    struct sale_failure f = {.rule = "RECIPIENTS"};
    *f.error = '\0';
    while (next_line(&text, line, &cut)) {
        struct airtime_order o;
        n++;
        if (n > BULK_RECIPIENTS_MAX)
            snprintf(f.error, sizeof f.error, "An order is for at most %d recipients.", BULK_RECIPIENTS_MAX);
        else if (cut)
            snprintf(f.error, sizeof f.error, "Line %d is too long.", n);
        else if (read_line(rules, line, network, &o, &f) < 0)
            snprintf(ret_failure->error, sizeof ret_failure->error, "Line %d: %.400s", n, f.error);
        if (*f.error)
            break;
        sum += o.amount_kobo;
        json_array_append_new(items, item_of(rules, &o));
    }
    if (!n)
        snprintf(f.error, sizeof f.error, "No recipient is named.");
    if (*f.error) {
        if (!*ret_failure->error)
            memcpy(ret_failure->error, f.error, sizeof f.error);
        json_decref(items);
        return NULL;
    }
    share_discount(items, airtime_discount(rules, sum), sum);
    return items;
}

int airtime_bulk(cvm_turn *t, const cvm_msg *m, const struct airtime_rules *rules)
{
    static const char *const passed[] = {"customer_id", "idempotency_key"};
    char phone[PHONE_SIZE];
    struct sale_failure f = {.rule = "RECIPIENTS", .error = "", .recommendation = ""};
    const char *payer = cvm_json_str(m->data, "payer_phone", "");
    json_t *items =
        read_items(rules, cvm_json_str(m->data, "recipients", ""), cvm_json_str(m->data, "network", ""), &f);
    if (!items) {
        snprintf(f.recommendation, sizeof f.recommendation,
                 "Write one recipient a line, such as 08031234567,500 or 08031234567,500,MTN. Nothing was sold.");
        return sale_refuse(t, m->id, &f, AIRTIME_ALIAS);
    }
    json_t *body = json_pack("{s:s, s:o, s:I, s:s}", "service_type", "AIRTIME", "items", items, "credit_timeout_s",
                             (json_int_t)rules->credit_timeout_s, "context_path", "/airtime_context");
    for (size_t i = 0; body && i < sizeof passed / sizeof passed[0]; i++)
        if (*cvm_json_str(m->data, passed[i], ""))
            json_object_set_new(body, passed[i], json_string(cvm_json_str(m->data, passed[i], "")));
    if (body && phone_normalise(payer, phone) == CVM_OK)
        json_object_set_new(body, "phone", json_string(phone));
    if (!body)
        return CVM_ENOMEM;
    CVM_TRY(cvm_note(t, "decision",
                     json_pack("{s:s, s:i}", "chose", "sell to several", "recipients",
                               (int)json_array_size(json_object_get(body, "items")))));
    CVM_TRY(cvm_request(t, SALE_TRANSACTION, "purchase_bulk", body,
                        &(cvm_request_opts){.on_behalf = m->id, .timeout_ms = SALE_PURCHASE_TIMEOUT_MS}));
    return CVM_PENDING;
}

int airtime_bulk_sold(cvm_turn *t, const cvm_msg *m)
{
    char text[SALE_TEXT_SIZE], paid[40];
    enum cvm_outcome outcome = CVM_ERROR;
    const json_t *order = json_object_get(m->data, "order");
    json_t *body = airtime_sold_body(m, &outcome);
    if (body && json_is_object(order)) {
        int64_t kobo = 0;
        if (cvm_money_from_json(json_object_get(order, "paid"), &kobo) < 0)
            kobo = 0;
        snprintf(text, sizeof text, "%lld of %lld recipients got it; you paid %s.",
                 (long long)cvm_json_int(order, "delivered", 0), (long long)cvm_json_int(order, "recipients", 0),
                 sale_naira_exact(kobo, paid));
        json_object_set_new(body, "order", cvm_json_share(order));
        if (outcome == CVM_REPLIED) {
            json_object_set_new(body, "message", json_string(text));
            json_object_set_new(body, "final_amount", cvm_money_to_json(kobo));
        }
    }
    return step_settle(t, m->on_behalf, outcome, body);
}
