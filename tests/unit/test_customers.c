/* What of customer data needs no host: records of CSV files, values, rows of sources, mappings, figures. */
#include "../../plugins/cvm/common/csv.h"
#include "../../plugins/cvm/common/value.h"
#include "../../plugins/cvm/customers/items.h"
#include "../../plugins/cvm/customers/json_text.h"
#include "../../plugins/cvm/customers/mapping.h"
#include "../../plugins/cvm/customers/merge.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- CSV ---- */

struct lines {
    const char *at;
};

static int next_line(void *arg, const char **ret_line, size_t *ret_len)
{
    struct lines *lines = arg;
    if (!*lines->at)
        return 0;
    *ret_line = lines->at;
    *ret_len = strcspn(lines->at, "\n");
    lines->at += *ret_len + (lines->at[*ret_len] == '\n');
    return 1;
}

/* Fields joined by |, records by newlines; a faulty one is its line and "!". */
static void reads_as(const char *text, const char *expected)
{
    struct lines lines = {text};
    struct csv *csv;
    char got[4096];
    size_t at = 0;
    int e;
    ck_assert_int_eq(csv_new(next_line, &lines, ',', &csv), 0);
    got[0] = 0;
    while ((e = csv_next(csv)) > 0) {
        if (csv->fault)
            at += (size_t)snprintf(got + at, sizeof got - at, "%d!", (int)csv->line);
        for (size_t i = 0; !csv->fault && i < csv->n; i++)
            at += (size_t)snprintf(got + at, sizeof got - at, "%s%.*s", i ? "|" : "", (int)csv->fields[i].len,
                                   csv->fields[i].text);
        at += (size_t)snprintf(got + at, sizeof got - at, "\n");
    }
    ck_assert_int_eq(e, 0);
    csv_free(csv);
    ck_assert_str_eq(got, expected);
}

START_TEST(csv_records)
{
    reads_as("", "");
    reads_as("a,b\n1,2\n", "a|b\n1|2\n");
    reads_as("\xef\xbb\xbf"
             "a,b\r\n1,2\r\n",
             "a|b\n1|2\n");
    reads_as("a,,c\n,,\n\n\r\nx", "a||c\n||\nx\n");
    reads_as("\"a,b\",\"c\"\"d\",\"\"\n", "a,b|c\"d|\n");
    reads_as("\"two\nlines\",b\nc,d\n", "two\nlines|b\nc|d\n");
    reads_as("\"crlf\r\nin\",b\r\nc,d", "crlf\r\nin|b\nc|d\n");
    reads_as("a\"b,c\nd,e\n", "1!\nd|e\n");
    reads_as("\"a\"b,c\nd,e\n", "1!\nd|e\n");
    reads_as("ok\n\"never\nends,", "ok\n2!\n");
    reads_as("a,\xff\nb,c\n", "1!\nb|c\n");
    reads_as("\"\xc3\x28\"\nb\n", "1!\nb\n");
    reads_as("a,\x01\nb\n", "1!\nb\n");
}
END_TEST

START_TEST(csv_limits)
{
    size_t size = 3 * CSV_RECORD_MAX_BYTES;
    char *text = malloc(size + 1);
    struct lines lines = {text};
    struct csv *csv;
    memset(text, 'x', size);
    text[0] = '"';
    text[size - 6] = '"';
    memcpy(text + size - 5, "\na,b\n", 6);
    ck_assert_int_eq(csv_new(next_line, &lines, ',', &csv), 0);
    ck_assert_int_eq(csv_next(csv), 1);
    ck_assert_str_eq(csv->fault, "is longer than 256 KiB");
    ck_assert_int_eq(csv_next(csv), 1);
    ck_assert_ptr_null(csv->fault);
    ck_assert_int_eq(csv->line, 2);
    memset(text, ',', CSV_FIELDS_MAX + 10);
    memcpy(text + CSV_FIELDS_MAX, "\na", 3);
    lines.at = text;
    ck_assert_int_eq(csv_next(csv), 1);
    ck_assert_ptr_nonnull(csv->fault);
    ck_assert_int_eq(csv_next(csv), 1);
    ck_assert_uint_eq(csv->n, 1);
    csv_free(csv);
    free(text);
}
END_TEST

/* ---- values ---- */

START_TEST(numbers)
{
    int64_t n;
    double r;
    bool yes;
#define INT(text) value_int(text, strlen(text), &n)
#define REAL(text) value_real(text, strlen(text), &r)
#define SCALED(text) value_scaled(text, strlen(text), 100, &n)
#define BOOL(text) value_bool(text, strlen(text), &yes)
    ck_assert(INT(" 42 ") && n == 42);
    ck_assert(INT("-7") && n == -7);
    ck_assert(INT("12.0") && n == 12);
    ck_assert(INT("1e3") && n == 1000);
    ck_assert(!INT("") && !INT("12.5") && !INT("x") && !INT("1 2") && !INT("nan") && !INT("99999999999999999999"));
    ck_assert(REAL("3.25") && r == 3.25);
    ck_assert(REAL("0.1") && r == 0.1);
    ck_assert(REAL("-.5") && r == -.5);
    ck_assert(REAL("6.02e23") && r == 6.02e23);
    ck_assert(!REAL("inf") && !REAL("nan") && !REAL("0x10") && !REAL("1,5") && !REAL(".") && !REAL("-") &&
              !REAL("1e999"));
    ck_assert(SCALED("29.85") && n == 2985);
    ck_assert(SCALED("0.29") && n == 29);
    ck_assert(SCALED("1.005") && n == 101);
    ck_assert(SCALED("-1.005") && n == -101);
    ck_assert(SCALED("19") && n == 1900);
    ck_assert(!SCALED("$19"));
    ck_assert(BOOL("Yes") && yes);
    ck_assert(BOOL("0") && !yes);
    ck_assert(!BOOL("maybe") && !BOOL(""));
}
END_TEST

START_TEST(dates)
{
    char date[VALUE_DATE_SIZE], month[8], time[VALUE_TIME_SIZE];
    int64_t ms;
#define DATE(text) value_date(text, strlen(text), date)
#define TIME(text) value_time(text, strlen(text), time, &ms)
    ck_assert(DATE("2026-02-28"));
    ck_assert_str_eq(date, "2026-02-28");
    ck_assert(DATE("21/11/2026"));
    ck_assert_str_eq(date, "2026-11-21");
    ck_assert(DATE("2024/02/29") && !DATE("2026-02-29") && !DATE("2026-13-01") && !DATE("2026-1-1") && !DATE("soon") &&
              !DATE("") && !DATE("2026-11-21x"));
    ck_assert(value_month("2026-10", 7, month));
    ck_assert_str_eq(month, "2026-10");
    ck_assert(!value_month("2026-14", 7, month));
    ck_assert(TIME("2026-11-21T00:30:00+01:00"));
    ck_assert_str_eq(time, "2026-11-20T23:30:00Z");
    ck_assert(TIME("1970-01-02 00:00:01.5Z") && ms == 86401000);
    ck_assert(TIME("2026-11-21") && TIME("2026-11-21T10:15"));
    ck_assert(!TIME("2026-11-21T25:00:00Z") && !TIME("2026-11-21T10:15:00X") && !TIME("2026-11-21T10"));
    ck_assert(value_ms("2026-10") == value_ms("2026-10-01"));
    ck_assert(value_ms("x") == INT64_MIN && value_ms(NULL) == INT64_MIN);
    value_date_of(-1, date);
    ck_assert_str_eq(date, "1969-12-31");
}
END_TEST

START_TEST(ids)
{
    char text[80];
    memset(text, 'a', sizeof text);
    ck_assert(value_is_id("U124", 4) && value_is_id("7590-VHVEG", 10) && value_is_id(text, 64));
    ck_assert(!value_is_id("", 0) && !value_is_id("U 1", 3) && !value_is_id("U\n1", 3) && !value_is_id(text, 65) &&
              !value_is_id("\xff", 1));
}
END_TEST

START_TEST(attributes_text)
{
    static struct json_text o;
    char *name = json_text_name("a\"b", 3);
    json_error_t error;
    json_text_begin(&o);
    json_text_scalar(&o, name, "12.5", 4);
    json_text_scalar(&o, "\"zip\":", "007", 3);
    json_text_scalar(&o, "\"n\":", "-3", 2);
    json_text_string(&o, "\"t\":", "line\nand \"quote\" \\", 18);
    ck_assert(json_text_end(&o));
    json_t *json = json_loads(o.text, 0, &error);
    ck_assert_msg(json, "%s: %s", error.text, o.text);
    ck_assert_double_eq(json_real_value(json_object_get(json, "a\"b")), 12.5);
    ck_assert_str_eq(json_string_value(json_object_get(json, "zip")), "007");
    ck_assert_int_eq(json_integer_value(json_object_get(json, "n")), -3);
    ck_assert_str_eq(json_string_value(json_object_get(json, "t")), "line\nand \"quote\" \\");
    json_decref(json);
    free(name);
    json_text_begin(&o);
    for (int i = 0; i < 2000; i++)
        json_text_string(&o, "\"t\":", "0123456789", 10);
    ck_assert(!json_text_end(&o));
}
END_TEST

/* Elements joined by |, with their lines; what ends too early ends in "!". */
static void elements(const char *text, const char *expected)
{
    struct items it;
    struct item item;
    char got[400] = "";
    size_t at = 0;
    int e = items_begin(&it, text, strlen(text)) ? 1 : CVM_EINVAL;
    while (e > 0 && (e = items_next(&it, &item)) > 0)
        at += (size_t)snprintf(got + at, sizeof got - at, "%d%.*s=%.*s|", (int)item.line, (int)item.name_len,
                               item.name ? item.name : "", (int)item.len, item.text);
    snprintf(got + at, sizeof got - at, "%s", e == 0 ? "" : e == CVM_EDATA ? "!" : "none");
    ck_assert_str_eq(got, expected);
}

START_TEST(json_elements)
{
    elements("[]", "");
    elements("[{\"a\":\"],\\\"\"},\n2]", "1={\"a\":\"],\\\"\"}|2=2|");
    elements("{\"a\":[1,2],\n\"b\":{}}", "1\"a\"=[1,2]|2\"b\"={}|");
    elements("[{\"a\":},{}]", "1={\"a\":}|1={}|"); /* damaged, and the next is there */
    elements("[1,2", "1=1|!");
    elements("[1 \"x]", "!");
    elements("{\"a\" 1}", "!");
    elements("{a:1}", "!");
    elements("", "none");
    elements("1", "none");
}
END_TEST

/* ---- rows of sources ---- */

static int read_row(const struct source *s, const char *line, struct source_row *row, char fault[160])
{
    struct csv_field values[SOURCE_FIELDS_MAX] = {{0}};
    size_t n = source_n_fields(s);
    for (size_t i = 0; i < n; i++) {
        size_t len = strcspn(line, ",");
        values[i] = (struct csv_field){line, len};
        line += len + (line[len] == ',');
    }
    return source_read(s, values, "file", row, fault, 160);
}

START_TEST(source_rows)
{
    static struct source_row row;
    const char *columns[SOURCE_COLUMNS_MAX + 1];
    const struct source *usage = source_find("usage");
    char fault[160];
    ck_assert_int_eq(read_row(usage, "U124,2026-10,332,99,10.49,0,0,58.17,1", &row, fault), 0);
    ck_assert_uint_eq(source_columns(usage, columns), row.n);
    ck_assert_str_eq(columns[0], "row_id");
    ck_assert_str_eq(row.cells[0].text, "U124 2026-10");
    ck_assert_double_eq(row.cells[8].r, 58.17);
    ck_assert_str_eq(columns[8], "spend_pounds");
    ck_assert_str_eq(row.cells[row.n - 1].text, "file");
    ck_assert_int_eq(read_row(usage, "U124,2026-10,,,,,,,", &row, fault), 0);
    ck_assert_int_eq(row.cells[8].kind, CVM_CELL_NULL);
    ck_assert_int_eq(read_row(usage, "U124,2026-10,abc,,,,,,", &row, fault), CVM_EINVAL);
    ck_assert_str_eq(fault, "voice_minutes: is no number");
    ck_assert_int_eq(read_row(usage, ",2026-10,1,,,,,,", &row, fault), CVM_EINVAL);
    ck_assert_str_eq(fault, "customer_id: is missing");
    ck_assert_int_eq(read_row(usage, "U124,2026-10,-1,,,,,,", &row, fault), CVM_EINVAL);
    ck_assert_str_eq(fault, "voice_minutes: is too small");
    ck_assert_int_eq(read_row(usage, "U124,2026-10,1,,,,,,often", &row, fault), CVM_EINVAL);
    ck_assert_str_eq(fault, "paid_on_time: is neither yes nor no");

    json_t *object = json_pack("{s:s, s:s, s:s, s:i, s:s}", "customer_id", "U1", "call_id", "C-1", "started_at",
                               "2026-11-01T10:00:00+01:00", "duration_seconds", 60, "text", "customer: hello");
    struct csv_field values[SOURCE_FIELDS_MAX];
    const struct source *calls = source_find("call_transcripts");
    json_t *holder = source_values(calls, NULL, object, values);
    ck_assert_int_eq(source_read(calls, values, "file", &row, fault, sizeof fault), 0);
    ck_assert_str_eq(row.cells[0].text, "U1 2026-11-01T09:00:00Z C-1");
    ck_assert_str_eq(row.cells[row.n - 2].text, "call");
    json_decref(holder);
    json_decref(object);
    ck_assert_ptr_null(source_values(calls, NULL, NULL, values));
}
END_TEST

START_TEST(source_by_header)
{
    struct lines lines = {"customer_id,day,dropped_call_rate_percent,signal_dbm,download_mbps,upload_mbps,latency_ms,"
                          "outages\na,b,c\n"};
    struct csv *csv;
    ck_assert_int_eq(csv_new(next_line, &lines, ',', &csv), 0);
    ck_assert_int_eq(csv_next(csv), 1);
    ck_assert_ptr_eq(source_of_header(csv), source_find("network"));
    ck_assert_int_eq(csv_next(csv), 1);
    ck_assert_ptr_null(source_of_header(csv));
    csv_free(csv);
}
END_TEST

/* ---- mappings ---- */

static json_t *parse(const char *text)
{
    json_error_t error;
    json_t *json = json_loads(text, 0, &error);
    ck_assert_msg(json, "%s", error.text);
    return json;
}

static size_t column(const struct mapping *m, const char *name)
{
    size_t i = 0;
    while (mapping_columns(m)[i] && strcmp(mapping_columns(m)[i], name) != 0)
        i++;
    ck_assert_msg(mapping_columns(m)[i], "no column %s", name);
    return i;
}

START_TEST(mapping_of_a_file)
{
    struct lines lines = {"Id,Months,Charge,Plan,Left,Note\nA1,5,29.85,One \"year,No,x\n"};
    json_t *doc = parse("{\"columns\": {\"Id\": \"customer_id\", \"Months\": {\"field\": \"tenure_months\"},"
                        " \"Charge\": \"monthly_spend\", \"Left\": {\"field\": \"attributes.Churn\","
                        " \"values\": {\"No\": 0, \"Yes\": 1}}}, \"constants\": {\"currency\": \"USD\", \"sms\": true},"
                        " \"attributes\": [\"Plan\"], \"missing\": [\"-\"], \"recognise\": [\"id\", \"LEFT\"]}");
    struct csv *csv;
    struct mapping *m;
    const cvm_cell *cells;
    struct cvm_facts f;
    struct facts_value v;
    char fault[200];
    ck_assert_int_eq(csv_new(next_line, &lines, ',', &csv), 0);
    ck_assert_int_eq(csv_next(csv), 1);
    ck_assert(mapping_recognises(doc, csv));
    ck_assert_int_eq(mapping_new(doc, csv, &m, fault, sizeof fault), 0);
    lines.at = "A1,5,29.85,One year,No,x\nA2,-,,,-,\nA3,five,1,,,\nA4,1\n,1,1,,,\n";
    ck_assert_int_eq(csv_next(csv), 1);
    ck_assert_int_eq(mapping_row(m, csv, &cells, fault, sizeof fault), 0);
    ck_assert_str_eq(mapping_columns(m)[0], "customer_id");
    ck_assert_int_eq(cells[column(m, "monthly_spend")].i, 2985);
    ck_assert_int_eq(cells[column(m, "tenure_months")].i, 5);
    ck_assert_int_eq(cells[column(m, "sms")].i, 1);
    facts_clear(&f);
    f.attributes = cells[column(m, "attributes")].text;
    ck_assert(facts_attribute(&f, "Churn", &v) && v.cell.kind == CVM_CELL_INT && v.cell.i == 0);
    ck_assert(facts_attribute(&f, "Plan", &v));
    ck_assert_str_eq(v.cell.text, "One year");
    ck_assert(!facts_attribute(&f, "Note", &v));
    ck_assert_int_eq(csv_next(csv), 1);
    ck_assert_int_eq(mapping_row(m, csv, &cells, fault, sizeof fault), 0);
    ck_assert_int_eq(cells[column(m, "tenure_months")].kind, CVM_CELL_NULL);
    ck_assert_int_eq(cells[column(m, "monthly_spend")].kind, CVM_CELL_NULL);
    ck_assert_int_eq(csv_next(csv), 1);
    ck_assert_int_eq(mapping_row(m, csv, &cells, fault, sizeof fault), CVM_EINVAL);
    ck_assert_str_eq(fault, "Months: is no number");
    ck_assert_int_eq(csv_next(csv), 1);
    ck_assert_int_eq(mapping_row(m, csv, &cells, fault, sizeof fault), CVM_EINVAL);
    ck_assert_str_eq(fault, "has 2 fields, the header has 6");
    ck_assert_int_eq(csv_next(csv), 1);
    ck_assert_int_eq(mapping_row(m, csv, &cells, fault, sizeof fault), CVM_EINVAL);
    ck_assert_str_eq(fault, "Id: is missing");
    mapping_free(m);
    csv_free(csv);
    json_decref(doc);
}
END_TEST

static void mapping_fails(const char *text, const char *why)
{
    struct lines lines = {"Id,Months\n"};
    json_t *doc = parse(text);
    struct csv *csv;
    struct mapping *m;
    char fault[200];
    ck_assert_int_eq(csv_new(next_line, &lines, ',', &csv), 0);
    ck_assert_int_eq(csv_next(csv), 1);
    ck_assert_int_eq(mapping_new(doc, csv, &m, fault, sizeof fault), CVM_EINVAL);
    ck_assert_msg(strstr(fault, why), "%s", fault);
    csv_free(csv);
    json_decref(doc);
}

START_TEST(mapping_faults)
{
    mapping_fails("{}", "\"columns\" is missing");
    mapping_fails("{\"columns\": {}}", "no column is \"customer_id\"");
    mapping_fails("{\"columns\": {\"Nr\": \"customer_id\"}}", "the file has no column \"Nr\"");
    mapping_fails("{\"columns\": {\"Id\": \"customerid\"}}", "there is no field \"customerid\"");
    mapping_fails("{\"columns\": {\"Id\": 4}}", "expected a field");
    mapping_fails("{\"columns\": {\"Id\": \"customer_id\", \"id\": \"name\"}}", "occurs twice");
    mapping_fails("{\"columns\": {\"Id\": \"customer_id\"}, \"constants\": {\"sms\": []}}", "constants.sms");
    mapping_fails("{\"columns\": {\"Id\": \"customer_id\"}, \"constants\": {\"nonsense\": 1}}",
                  "no field \"nonsense\"");
    mapping_fails("{\"columns\": {\"Id\": {\"field\": \"customer_id\", \"values\": {\"a\": []}}}}", "\"values\"");
}
END_TEST

/* ---- figures ---- */

static void add(struct merge *m, enum source_no source, const char *line)
{
    static struct source_row row;
    char fault[160] = "";
    ck_assert_msg(read_row(&sources[source], line, &row, fault) == 0, "%s", fault);
    merge_add(m, source, row.cells);
}

START_TEST(figures)
{
    static struct merge m = {.currency_other = "GBP"};
    struct facts_value v;
    m.as_of_ms = value_ms("2026-11-12");
    merge_begin(&m, "U1");
    add(&m, SOURCE_USAGE, "U1,2026-05,100,0,10,0,0,20,1");
    add(&m, SOURCE_USAGE, "U1,2026-06,100,0,10,0,0,20,1");
    add(&m, SOURCE_USAGE, "U1,2026-07,100,0,10,5,0,20,0");
    add(&m, SOURCE_USAGE, "U1,2026-08,50,0,5,0,0,20,1");
    add(&m, SOURCE_USAGE, "U1,2026-09,50,0,5,0,0,20,1");
    add(&m, SOURCE_USAGE, "U1,2026-10,50,0,5,7,0,26,1");
    add(&m, SOURCE_DEMOGRAPHICS, "U1,Ann Lee,44,LS,family,31,2027-01-31,Pebble,4");
    add(&m, SOURCE_NETWORK, "U1,2026-10-01,90,-120,0,0,0,9");
    add(&m, SOURCE_NETWORK, "U1,2026-11-01,1,-90,20,5,20,1");
    add(&m, SOURCE_NETWORK, "U1,2026-11-02,3,-100,10,5,20,2");
    add(&m, SOURCE_RECOMMENDER, "U1,churn,,0.9,2026-09-01");
    add(&m, SOURCE_RECOMMENDER, "U1,churn,,0.3,2026-11-01");
    add(&m, SOURCE_RECOMMENDER, "U1,upsell,OF-1,0.3,2026-11-01");
    add(&m, SOURCE_RECOMMENDER, "U1,upsell,OF-2,0.6,2026-11-01");
    add(&m, SOURCE_CALLS, "U1,C-1,2026-11-10T10:00:00Z,60,hello");
    add(&m, SOURCE_CALLS, "U1,C-0,2026-05-10T10:00:00Z,60,hello");
    add(&m, SOURCE_CAMPAIGNS, "U1,X,retention_call,call,2026-11-11,none");
    add(&m, SOURCE_PERMISSIONS, "U1,1,0,1,0,0,1");
    const struct cvm_facts *f = merge_end(&m);
    ck_assert_str_eq(f->customer_id, "U1");
    ck_assert_str_eq(f->segment, "family");
    ck_assert_str_eq(f->currency, "GBP");
    ck_assert_int_eq(f->monthly_spend, 2100);
    ck_assert_int_eq(f->last_charged, 2600);
    ck_assert_double_eq_tol(f->spend_change_pct, 30, 1e-9);
    ck_assert_double_eq_tol(f->on_time_share, 5.0 / 6, 1e-4);
    ck_assert_int_eq(f->late_payments_12m, 1);
    ck_assert_int_eq(f->months_seen, 6);
    ck_assert_double_eq(f->data_gb, 5);
    ck_assert_double_eq(f->usage_change_pct, -50);
    ck_assert_double_eq(f->roaming_days_60, 1);
    ck_assert_double_eq(f->dropped_call_rate, 2);
    ck_assert_double_eq(f->download_mbps, 15);
    ck_assert_int_eq(f->outages_30d, 3);
    ck_assert_double_eq(f->churn_score, 0.3);
    ck_assert_double_eq(f->upsell_score, 0.6);
    ck_assert_int_eq(f->contacts_90d, 1);
    ck_assert(f->last_contact_ms == value_ms("2026-11-11"));
    ck_assert(f->sms == 1 && f->email == 0 && f->call == 1 && f->marketing == 1);
    ck_assert(f->dispute_open == FACTS_NONE);
    ck_assert(facts_attribute(f, "device", &v));
    ck_assert_str_eq(v.cell.text, "Pebble");

    merge_begin(&m, "U2");
    add(&m, SOURCE_BILLING, "U2,Flex,NGN,100,150,Current,2,1,12");
    f = merge_end(&m);
    ck_assert_int_eq(f->monthly_spend, 10000);
    ck_assert_double_eq(f->spend_change_pct, 50);
    ck_assert_str_eq(f->currency, "NGN");
    ck_assert_str_eq(f->payment_status, "current");
    ck_assert(f->dispute_open == 1 && f->late_payments_12m == 2 && f->tenure_months == 12 && f->sms == 0);
    ck_assert(isnan(f->on_time_share) && isnan(f->roaming_days_60) && f->months_seen == FACTS_NONE &&
              f->age == FACTS_NONE);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("customers");
    TCase *pure = tcase_create("customers");
    tcase_add_test(pure, csv_records);
    tcase_add_test(pure, csv_limits);
    tcase_add_test(pure, numbers);
    tcase_add_test(pure, dates);
    tcase_add_test(pure, ids);
    tcase_add_test(pure, attributes_text);
    tcase_add_test(pure, json_elements);
    tcase_add_test(pure, source_rows);
    tcase_add_test(pure, source_by_header);
    tcase_add_test(pure, mapping_of_a_file);
    tcase_add_test(pure, mapping_faults);
    tcase_add_test(pure, figures);
    suite_add_tcase(suite, pure);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
