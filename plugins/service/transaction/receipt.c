/* The receipt of a successful transaction: as text, as HTML for a page, and as HTML that prints on one sheet. Reads
 * what `show` gives, changes nothing. Loop thread. */
#include "transaction.h"

#define RECEIPT_MAX 8192
#define FIELDS_MAX 32

struct field {
    const char *label;
    char value[208];
};

struct receipt {
    struct field fields[FIELDS_MAX];
    size_t n;
};

/* The reply says only for whom it is, so each format asks under a type of its own. */
int receipt_asked(cvm_turn *t, const cvm_msg *m)
{
    const char *customer = cvm_json_str(m->data, "customer", NULL), *format = cvm_json_str(m->data, "format", "text");
    const char *id = cvm_json_str(m->data, "transaction_id", "");
    const char *type = strcmp(format, "html") == 0    ? "find_for_html"
                       : strcmp(format, "print") == 0 ? "find_for_print"
                                                      : "show_transaction";
    CVM_TRY(cvm_request(t, TXN_SELF, type, json_pack("{s:s, s:s*}", "transaction_id", id, "customer", customer),
                        &(cvm_request_opts){.on_behalf = m->id}));
    return CVM_PENDING;
}

__attribute__((format(printf, 3, 4))) static void put(struct receipt *r, const char *label, const char *format, ...)
{
    va_list args;
    if (r->n == FIELDS_MAX)
        return;
    va_start(args, format);
    vsnprintf(r->fields[r->n].value, sizeof r->fields[r->n].value, format, args);
    va_end(args);
    r->fields[r->n++].label = label;
}

static void put_sum(struct receipt *r, const char *label, const json_t *row, const char *key)
{
    char text[32];
    int64_t kobo = 0;
    if (cvm_money_from_json(json_object_get(row, key), &kobo) < 0)
        kobo = 0;
    put(r, label, "NGN %s", cvm_money_text(kobo, text, sizeof text));
}

static void number_of(const char *transaction_id, char ret_number[32])
{
    snprintf(ret_number, 32, "RCP-%.20s", strlen(transaction_id) > 4 ? transaction_id + 4 : "");
}

static void read_row(const json_t *row, struct receipt *r)
{
    char number[32];
    const char *label;
    json_t *value;
    const char *id = cvm_json_str(row, "transaction_id", "");
    number_of(id, number);
    put(r, "Receipt", "%s", number);
    put(r, "Date", "%s", cvm_json_str(row, "completed_at", ""));
    put(r, "Customer", "%s", cvm_json_str(row, "customer_id", ""));
    put(r, "Service", "%s %s", cvm_json_str(row, "service_type", ""), cvm_json_str(row, "network_or_disco", ""));
    put(r, "Recipient", "%s", cvm_json_str(row, "recipient", ""));
    put_sum(r, "Amount", row, "amount");
    put_sum(r, "Discount", row, "discount");
    put_sum(r, "Charge", row, "service_charge");
    put_sum(r, "Total", row, "total_amount");
    put(r, "Reference", "%s", cvm_json_str(row, "external_reference", ""));
    put(r, "Transaction", "%s", id);
    /* What the seller wants on the receipt, such as a token. */
    json_object_foreach(json_object_get(json_object_get(row, "metadata"), "receipt"), label,
                        value) if (json_is_string(value)) put(r, label, "%s", json_string_value(value));
}

static void escape(const char *text, char *out, size_t size)
{
    static const char *const names[][2] = {{"&", "&amp;"}, {"<", "&lt;"}, {">", "&gt;"}, {"\"", "&quot;"}};
    size_t at = 0;
    for (; *text && at + 8 < size; text++) {
        const char *name = NULL;
        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
            if (*names[i][0] == *text)
                name = names[i][1];
        at += name ? (size_t)snprintf(out + at, size - at, "%s", name) : 1;
        if (!name)
            out[at - 1] = *text;
    }
    out[at] = '\0';
}

static const char style[] = "body{font:16px/1.5 system-ui,sans-serif;margin:2rem;color:#111}h1{font-size:1.25rem}"
                            "th{text-align:left;padding:.2rem 1.5rem .2rem 0;font-weight:600;color:#555}"
                            "td{font-variant-numeric:tabular-nums}";
static const char print_style[] = "@page{size:A5;margin:15mm}@media print{body{margin:0}}tr{break-inside:avoid}";

static void as_text(const struct receipt *r, char *out, size_t size)
{
    size_t at = 0;
    out[0] = '\0';
    for (size_t i = 0; i < r->n && at < size; i++)
        at += (size_t)snprintf(out + at, size - at, "%-12.40s %s\n", r->fields[i].label, r->fields[i].value);
}

static void as_html(const struct receipt *r, bool print, char *out, size_t size)
{
    char label[128], value[640];
    size_t at = (size_t)snprintf(out, size,
                                 "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>%s</title>"
                                 "<style>%s%s</style></head>\n<body><h1>Receipt</h1>\n<table>\n",
                                 r->fields[0].value, style, print ? print_style : "");
    for (size_t i = 0; i < r->n && at < size; i++) {
        escape(r->fields[i].label, label, sizeof label);
        escape(r->fields[i].value, value, sizeof value);
        at += (size_t)snprintf(out + at, size - at, "<tr><th scope=\"row\">%s</th><td>%s</td></tr>\n", label, value);
    }
    if (at < size)
        snprintf(out + at, size - at, "</table></body></html>\n");
}

static int made(cvm_turn *t, const cvm_msg *m, const char *format)
{
    char text[RECEIPT_MAX * 2], number[32];
    struct receipt r = {.n = 0};
    const json_t *row = m->data;
    const char *id = cvm_json_str(row, "transaction_id", "");
    if (m->outcome != CVM_REPLIED)
        return cvm_settle(t, m->on_behalf, m->outcome, cvm_json_share(m->data), NULL);
    if (strcmp(cvm_json_str(row, "status", ""), "SUCCESS") != 0)
        return cvm_settle(t, m->on_behalf, CVM_REFUSED,
                          json_pack("{s:s, s:s, s:s}", "code", "NOT_COMPLETED", "field", "transaction_id", "message",
                                    "only a successful transaction has a receipt"),
                          NULL);
    read_row(row, &r);
    if (strcmp(format, "text") == 0)
        as_text(&r, text, sizeof text);
    else
        as_html(&r, strcmp(format, "print") == 0, text, sizeof text);
    number_of(id, number);
    json_t *body = json_pack("{s:s, s:s, s:s, s:s, s:s}", "receipt_number", number, "transaction_id", id, "date",
                             cvm_json_str(row, "completed_at", ""), "format", format,
                             strcmp(format, "text") == 0 ? "text" : "html", text);
    static const char *const kept[][2] = {
        {"customer_id", "customer_id"}, {"service_type", "service_type"},     {"network_or_disco", "network_or_disco"},
        {"recipient", "recipient"},     {"external_reference", "reference"},  {"amount", "amount"},
        {"discount", "discount"},       {"service_charge", "service_charge"}, {"total_amount", "total_amount"}};
    for (size_t i = 0; body && i < sizeof kept / sizeof kept[0]; i++)
        if (json_object_get(row, kept[i][0]))
            json_object_set(body, kept[i][1], json_object_get(row, kept[i][0]));
    json_t *details = json_object_get(json_object_get(row, "metadata"), "receipt");
    if (body && details)
        json_object_set(body, "details", details);
    return cvm_settle(t, m->on_behalf, CVM_REPLIED, body, NULL);
}

int receipt_text(cvm_turn *t, const cvm_msg *m)
{
    return made(t, m, "text");
}

int receipt_html(cvm_turn *t, const cvm_msg *m)
{
    return made(t, m, "html");
}

int receipt_print(cvm_turn *t, const cvm_msg *m)
{
    return made(t, m, "print");
}
