/* Importing customers with their histories: JSON lines, a customer each, with transcripts and figures of usage, billing
 * and network (docs/reference/customers.md). Lines that are about something else are counted and passed over. Labels of
 * a history are no figures and are left out. The job's thread. */
#include "../common/value.h"
#include "jobs.h"
#include "json_text.h"
#include <cvm/json.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define DAY_MS INT64_C(86400000)
#define TRANSCRIPTS_MAX 1000 /* of one customer and kind */

static const char *const transcript_columns[] = {"row_id",           "customer_id", "kind", "ref",    "started_at",
                                                 "duration_seconds", "channel",     "text", "origin", NULL};

struct histories {
    struct importing *i;
    cvm_loader *customers, *transcripts;
    int64_t as_of_ms;
    unsigned permissions;
    char fault[200];
    struct json_text attributes;
    char contract_end[VALUE_DATE_SIZE], status[33];
    char *text; /* SOURCE_TEXT_MAX_BYTES + 1 */
};

/* ---- figures ----------------------------------------------------------------------------------------------------- */

__attribute__((format(printf, 2, 3))) static int wrong(struct histories *h, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(h->fault, sizeof h->fault, format, args);
    va_end(args);
    return CVM_EINVAL;
}

/* A number of a section ("usage"), NAN where it has none. */
static int number(struct histories *h, const json_t *record, const char *section, const char *name, double *ret_value)
{
    const json_t *v = json_object_get(json_object_get(record, section), name);
    *ret_value = NAN;
    if (json_is_boolean(v))
        *ret_value = json_is_true(v);
    else if (json_is_number(v) && fabs(json_number_value(v)) < 1e12)
        *ret_value = json_number_value(v);
    else if (v && !json_is_null(v))
        return wrong(h, "%s.%s: is no number", section, name);
    return 0;
}

static int64_t whole(double value)
{
    return isnan(value) ? FACTS_NONE : (int64_t)llround(value);
}

static int read_figures(struct histories *h, const json_t *record, struct cvm_facts *f)
{
    struct {
        const char *section, *name;
        double *real;
        int64_t *integer;
        double scale;
    } figures[] = {
        {"usage", "avg_monthly_data_gb", &f->data_gb, NULL, 1},
        {"usage", "avg_monthly_voice_minutes", &f->voice_minutes, NULL, 1},
        {"usage", "usage_change_3m_pct", &f->usage_change_pct, NULL, 1},
        {"usage", "days_abroad_90d", &f->roaming_days_60, NULL, 1},
        {"billing", "avg_monthly_spend", NULL, &f->monthly_spend, 100},
        {"billing", "last_month_charged", NULL, &f->last_charged, 100},
        {"billing", "late_payments_12m", NULL, &f->late_payments_12m, 1},
        {"billing", "tenure_months", NULL, &f->tenure_months, 1},
        {"billing", "dispute_open", NULL, &f->dispute_open, 1},
        {"billing", "on_time_share", &f->on_time_share, NULL, 1},
        {"network", "dropped_call_rate_pct", &f->dropped_call_rate, NULL, 1},
        {"network", "avg_signal_dbm", &f->signal_dbm, NULL, 1},
        {"network", "avg_download_mbps", &f->download_mbps, NULL, 1},
        {"network", "cell_outages_30d", NULL, &f->outages_30d, 1},
        {"profile", "age", NULL, &f->age, 1},
        {"profile", "churn_score", &f->churn_score, NULL, 1},
    };
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++) {
        double value;
        CVM_TRY(number(h, record, figures[i].section, figures[i].name, &value));
        if (figures[i].real)
            *figures[i].real = value;
        else
            *figures[i].integer = whole(value * figures[i].scale);
    }
    if (f->monthly_spend > 0 && f->last_charged != FACTS_NONE)
        f->spend_change_pct = ((double)f->last_charged / (double)f->monthly_spend - 1) * 100;
    return 0;
}

static int read_words(struct histories *h, const json_t *record, struct cvm_facts *f)
{
    const json_t *billing = json_object_get(record, "billing"), *profile = json_object_get(record, "profile");
    const char *status = cvm_json_str(billing, "payment_status", NULL), *plan = cvm_json_str(billing, "plan", NULL);
    f->currency = cvm_json_str(billing, "currency", NULL);
    f->name = cvm_json_str(profile, "name", NULL);
    f->segment = cvm_json_str(profile, "segment", NULL);
    const char *ends = cvm_json_str(billing, "contract_end", NULL);
    if (f->currency && strlen(f->currency) > 3)
        return wrong(h, "billing.currency: is too long");
    if (status && strlen(status) >= sizeof h->status)
        return wrong(h, "billing.payment_status: is too long");
    if ((f->name && strlen(f->name) > 120) || (f->segment && strlen(f->segment) > 64))
        return wrong(h, "profile: a text is too long");
    if (ends && !value_date(ends, strlen(ends), h->contract_end))
        return wrong(h, "billing.contract_end: is no date");
    f->contract_end = ends ? h->contract_end : NULL;
    for (size_t n = 0; status && n <= strlen(status); n++)
        h->status[n] = status[n] >= 'A' && status[n] <= 'Z' ? (char)(status[n] | 32) : status[n];
    f->payment_status = status ? h->status : NULL;
    json_text_begin(&h->attributes);
    if (plan)
        json_text_string(&h->attributes, "\"plan\":", plan, strlen(plan));
    if (!json_text_end(&h->attributes))
        return wrong(h, "billing.plan: is too long");
    f->attributes = h->attributes.text;
    return 0;
}

/* ---- transcripts ------------------------------------------------------------------------------------------------- */

/* One transcript's text: the turns, a line each ("customer: ..."), or "text" as it is. */
static int read_text(struct histories *h, const json_t *transcript, size_t *ret_len)
{
    const json_t *turns = json_object_get(transcript, "turns"), *turn;
    const char *whole_text = cvm_json_str(transcript, "text", NULL);
    size_t at = 0, n;
    if (!whole_text && !json_is_array(turns))
        return wrong(h, "transcripts: expected \"turns\" or \"text\"");
    if (whole_text) {
        at = strlen(whole_text);
        if (at <= SOURCE_TEXT_MAX_BYTES)
            memcpy(h->text, whole_text, at + 1);
    }
    json_array_foreach(turns, n, turn)
    {
        const char *speaker = cvm_json_str(turn, "speaker", NULL), *text = cvm_json_str(turn, "text", NULL);
        if (!speaker || !text)
            return wrong(h, "transcripts: a turn has \"speaker\" and \"text\"");
        size_t room = at < SOURCE_TEXT_MAX_BYTES ? SOURCE_TEXT_MAX_BYTES - at + 1 : 0;
        if (strlen(speaker) + strlen(text) + 3 >= room)
            at = SOURCE_TEXT_MAX_BYTES + 1;
        else
            at += (size_t)snprintf(h->text + at, room, "%s%s: %s", at ? "\n" : "", speaker, text);
    }
    if (at > SOURCE_TEXT_MAX_BYTES)
        return wrong(h, "transcripts: a text is longer than 64 KiB");
    *ret_len = at;
    return 0;
}

static cvm_cell text_cell(const char *text)
{
    return text ? (cvm_cell){.kind = CVM_CELL_TEXT, .text = text, .len = strlen(text)}
                : (cvm_cell){.kind = CVM_CELL_NULL};
}

/* One transcript; it is put only where `put`, so that a customer is taken as a whole. */
static int take_transcript(struct histories *h, const json_t *transcript, const char *kind, size_t n, bool put,
                           struct cvm_facts *f)
{
    const char *when = cvm_json_str(transcript, "started_at", cvm_json_str(transcript, "date", ""));
    const char *ref = cvm_json_str(transcript, *kind == 'c' ? "call_id" : "session_id", NULL);
    char time[VALUE_TIME_SIZE], made[40], key[SOURCE_KEY_MAX + 1];
    cvm_cell cells[9] = {0};
    int64_t ms;
    size_t len = 0;
    if (!value_time(when, strlen(when), time, &ms))
        return wrong(h, "transcripts: \"date\" is no date");
    if (ref && (strlen(ref) > 64 || !*ref))
        return wrong(h, "transcripts: the id must be 1 to 64 bytes");
    CVM_TRY(read_text(h, transcript, &len));
    if (!put) {
        f->contacts_90d += ms <= h->as_of_ms && ms > h->as_of_ms - 90 * DAY_MS;
        f->last_contact_ms = ms > f->last_contact_ms ? ms : f->last_contact_ms;
        return 0;
    }
    snprintf(made, sizeof made, "%s-%.10s-%zu", *kind == 'c' ? "C" : "W", time, n + 1);
    ref = ref ? ref : made;
    snprintf(key, sizeof key, "%s %s %s", f->customer_id, time, ref);
    cells[0] = text_cell(key);
    cells[1] = text_cell(f->customer_id);
    cells[2] = text_cell(kind);
    cells[3] = text_cell(ref);
    cells[4] = text_cell(time);
    cells[7] = (cvm_cell){.kind = CVM_CELL_TEXT, .text = h->text, .len = len};
    cells[8] = text_cell("import");
    h->i->transcripts++;
    return cvm_loader_put(h->transcripts, cells);
}

static int take_transcripts(struct histories *h, const json_t *record, bool put, struct cvm_facts *f)
{
    static const char *const members[] = {"call_transcripts", "web_transcripts"}, *const kinds[] = {"call", "web"};
    for (size_t k = 0; k < 2; k++) {
        const json_t *list = json_object_get(record, members[k]), *one;
        size_t n;
        if (json_array_size(list) > TRANSCRIPTS_MAX)
            return wrong(h, "%s: are more than %d", members[k], TRANSCRIPTS_MAX);
        json_array_foreach(list, n, one) CVM_TRY(take_transcript(h, one, kinds[k], n, put, f));
    }
    return 0;
}

/* ---- records ----------------------------------------------------------------------------------------------------- */

static int put_customer(struct histories *h, struct cvm_facts *f)
{
    int64_t *const permissions[PERMISSIONS] = {&f->sms, &f->email, &f->call, &f->app, &f->post, &f->marketing};
    cvm_cell cells[FACTS_COLUMNS + 1];
    for (size_t p = 0; p < PERMISSIONS; p++)
        *permissions[p] = h->permissions >> p & 1;
    for (int c = 0; c < FACTS_COLUMNS; c++)
        cells[c] = facts_at(f, (enum facts_column)c);
    cells[FACTS_COLUMNS] = text_cell("import");
    CVM_TRY(import_begin(h->i));
    return cvm_loader_put(h->customers, cells);
}

/* CVM_EINVAL: a fault of the record. */
static int take_record(struct histories *h, const json_t *record)
{
    struct cvm_facts f;
    facts_clear(&f);
    f.customer_id = cvm_json_str(record, "customer_id", "");
    f.as_of_ms = h->as_of_ms;
    f.contacts_90d = 0;
    if (!value_is_id(f.customer_id, strlen(f.customer_id)))
        return wrong(h, "customer_id: must be 1 to 64 characters without blanks");
    CVM_TRY(read_figures(h, record, &f));
    CVM_TRY(read_words(h, record, &f));
    CVM_TRY(take_transcripts(h, record, false, &f));
    int e = put_customer(h, &f);
    if (!e)
        e = take_transcripts(h, record, true, &f);
    return e == CVM_EINVAL ? CVM_EDATA : e; /* it was whole: this is ours */
}

static int take_line(struct histories *h, const char *line, size_t len)
{
    struct importing *i = h->i;
    json_t *record = json_loadb(line, len, 0, NULL);
    const char *kind = cvm_json_str(record, "record", "customer");
    int e = 0;
    if (record && strcmp(kind, "customer") != 0) {
        i->others++;
        json_decref(record);
        return 0;
    }
    i->rows++;
    if (!json_is_object(record))
        faults_row(&i->faults, i->lines.lines, "is no JSON object");
    else if ((e = take_record(h, record)) == CVM_EINVAL) {
        faults_row(&i->faults, i->lines.lines, h->fault);
        e = 0;
    } else
        i->imported += e == 0;
    json_decref(record);
    return e;
}

/* The newest day of any transcript, which is where stretches of time end. */
static int newest_day(struct importing *i, int64_t *ret_ms)
{
    struct job_lines lines = {.job = i->job};
    const char *line;
    size_t len;
    int64_t newest = INT64_MIN, now = cvm_job_now_ms(i->job);
    int e;
    CVM_TRY(cvm_job_file(i->job, cvm_json_str(i->input, "file", ""), &lines.file));
    while ((e = job_next_line(&lines, &line, &len)) > 0)
        for (const char *at = line; (at = strchr(at, '"')); at++) {
            char date[VALUE_DATE_SIZE];
            int64_t ms;
            if (strncmp(at, "\"date\"", 6) != 0 && strncmp(at, "\"started_at\"", 12) != 0)
                continue;
            at = strchr(at, ':');
            at = at ? strchr(at, '"') : NULL;
            if (!at)
                break;
            if (strnlen(at, 12) == 12 && value_date(at + 1, 10, date) && (ms = value_ms(date) + DAY_MS - 1) > newest &&
                ms <= now + DAY_MS)
                newest = ms;
        }
    cvm_file_close(lines.file);
    *ret_ms = newest == INT64_MIN ? now : newest;
    return e;
}

static int run(struct histories *h)
{
    static const char *columns[FACTS_COLUMNS + 2];
    const char *line;
    size_t len;
    int e;
    memcpy(columns, facts_columns, FACTS_COLUMNS * sizeof *columns);
    columns[FACTS_COLUMNS] = "origin";
    CVM_TRY(newest_day(h->i, &h->as_of_ms));
    CVM_TRY(cvm_job_loader(h->i->job, "cvm_customers", columns, &h->customers));
    CVM_TRY(cvm_job_loader(h->i->job, "cvm_transcripts", transcript_columns, &h->transcripts));
    while ((e = job_next_line(&h->i->lines, &line, &len)) > 0)
        if (len && strspn(line, " \t\r") < len)
            CVM_TRY(take_line(h, line, len));
    return e;
}

int import_histories(struct importing *i)
{
    struct histories *h = calloc(1, sizeof *h);
    int e = CVM_ENOMEM;
    if (!h || !(h->text = malloc(SOURCE_TEXT_MAX_BYTES + 1)))
        goto out;
    h->i = i;
    i->form = "jsonl";
    i->mapping = "histories";
    permissions_read(cvm_json_str(i->input, "permissions", ""), &h->permissions); /* was read before */
    e = run(h);
    int closed = cvm_loader_close(h->customers), closed_too = cvm_loader_close(h->transcripts);
    e = e ? e : closed ? closed : closed_too;
out:
    if (h)
        free(h->text);
    free(h);
    return e;
}
