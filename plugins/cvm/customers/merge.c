/* See merge.h. */
#include "merge.h"

#include <math.h>

#define DAY_MS INT64_C(86400000)

/* ---- reading cells ----------------------------------------------------------------------------------------------- */

static const char *keep(struct merge *m, const cvm_cell *cell)
{
    if (cell->kind != CVM_CELL_TEXT || cell->len == 0 || m->n_texts == sizeof m->texts / sizeof *m->texts)
        return NULL;
    char *to = m->texts[m->n_texts];
    size_t len = cell->len < sizeof *m->texts - 1 ? cell->len : sizeof *m->texts - 1;
    memcpy(to, cell->text, len);
    to[len] = 0;
    m->n_texts++;
    return to;
}

static int64_t whole(const cvm_cell *cell)
{
    return cell->kind == CVM_CELL_INT ? cell->i : cell->kind == CVM_CELL_REAL ? (int64_t)llround(cell->r) : FACTS_NONE;
}

static double real(const cvm_cell *cell)
{
    return facts_number(cell);
}

static int64_t minor(double units)
{
    return isnan(units) ? FACTS_NONE : (int64_t)llround(units * 100);
}

static void count(struct merge_mean *mean, const cvm_cell *cell)
{
    double value = real(cell);
    if (!isnan(value)) {
        mean->sum += value;
        mean->n++;
    }
}

static double mean_of(const struct merge_mean *mean)
{
    return mean->n ? mean->sum / (double)mean->n : NAN;
}

static void note_text(struct merge *m, const char *quoted_name, const cvm_cell *cell)
{
    if (cell->kind == CVM_CELL_TEXT && cell->len)
        json_text_string(&m->attributes, quoted_name, cell->text, cell->len);
}

/* ---- a row of each source ---------------------------------------------------------------------------------------- */

static void add_usage(struct merge *m, const cvm_cell *c)
{
    int64_t begins = c[1].kind == CVM_CELL_TEXT ? value_ms(c[1].text) : INT64_MIN;
    double minutes = real(&c[5]), data = real(&c[6]);
    if (begins == INT64_MIN)
        return;
    m->months_seen++;
    size_t at = m->n_months;
    while (at && m->months[at - 1].begins_ms > begins)
        at--;
    if (m->n_months == MERGE_MONTHS_MAX && at == 0)
        return;
    if (m->n_months == MERGE_MONTHS_MAX)
        memmove(m->months, m->months + 1, --at * sizeof *m->months);
    else
        memmove(m->months + at + 1, m->months + at, (m->n_months++ - at) * sizeof *m->months);
    m->months[at] = (struct merge_month){
        .begins_ms = begins,
        .voice = real(&c[2]),
        .data = real(&c[4]),
        .spend = real(&c[7]),
        .roaming = (isnan(minutes) && isnan(data)) ? NAN : (isnan(minutes) ? 0 : minutes) + (isnan(data) ? 0 : data),
        .paid = whole(&c[8]),
    };
}

/* The newest day's score, of one day the best. */
static void add_score(double *score, char newest[VALUE_DATE_SIZE], const cvm_cell *c)
{
    char day[VALUE_DATE_SIZE] = "";
    double value = real(&c[3]);
    if (c[4].kind == CVM_CELL_TEXT && c[4].len == VALUE_DATE_SIZE - 1)
        memcpy(day, c[4].text, VALUE_DATE_SIZE - 1);
    int order = strcmp(day, newest);
    if (isnan(*score) || order > 0 || (order == 0 && value > *score)) {
        *score = value;
        memcpy(newest, day, sizeof day);
    }
}

static void add_recommender(struct merge *m, const cvm_cell *c)
{
    if (c[1].kind != CVM_CELL_TEXT)
        return;
    if (strcmp(c[1].text, "churn") == 0)
        add_score(&m->facts.churn_score, m->newest_churn, c);
    else if (strcmp(c[1].text, "upsell") == 0)
        add_score(&m->facts.upsell_score, m->newest_upsell, c);
}

static void add_contact(struct merge *m, int64_t ms)
{
    if (ms != INT64_MIN && ms <= m->as_of_ms && ms > m->facts.last_contact_ms)
        m->facts.last_contact_ms = ms; /* FACTS_NONE is the least there is */
}

static void add_campaign(struct merge *m, const cvm_cell *c)
{
    if (c[4].kind == CVM_CELL_TEXT)
        add_contact(m, value_ms(c[4].text));
}

static void add_demographics(struct merge *m, const cvm_cell *c)
{
    m->facts.name = keep(m, &c[1]);
    m->facts.age = whole(&c[2]);
    note_text(m, "\"postcode_area\":", &c[3]);
    m->facts.segment = keep(m, &c[4]);
    m->facts.tenure_months = whole(&c[5]);
    m->facts.contract_end = keep(m, &c[6]);
    note_text(m, "\"device\":", &c[7]);
    if (whole(&c[8]) != FACTS_NONE)
        json_text_integer(&m->attributes, "\"household_size\":", whole(&c[8]));
}

static void add_network(struct merge *m, const cvm_cell *c)
{
    int64_t day = c[1].kind == CVM_CELL_TEXT ? value_ms(c[1].text) : INT64_MIN, outages = whole(&c[7]);
    if (day == INT64_MIN || day > m->as_of_ms || day <= m->as_of_ms - 30 * DAY_MS)
        return;
    count(&m->dropped, &c[2]);
    count(&m->signal, &c[3]);
    count(&m->download, &c[4]);
    if (outages != FACTS_NONE)
        m->facts.outages_30d = outages + (m->facts.outages_30d == FACTS_NONE ? 0 : m->facts.outages_30d);
}

static void add_transcript(struct merge *m, const cvm_cell *c)
{
    int64_t ms = c[2].kind == CVM_CELL_TEXT ? value_ms(c[2].text) : INT64_MIN;
    add_contact(m, ms);
    if (ms != INT64_MIN && ms <= m->as_of_ms && ms > m->as_of_ms - 90 * DAY_MS)
        m->facts.contacts_90d++;
}

static void add_permissions(struct merge *m, const cvm_cell *c)
{
    int64_t *to[] = {&m->facts.sms, &m->facts.email, &m->facts.call,
                     &m->facts.app, &m->facts.post,  &m->facts.marketing};
    for (size_t i = 0; i < 6; i++)
        *to[i] = whole(&c[1 + i]) == 1;
}

static void add_billing(struct merge *m, const cvm_cell *c)
{
    note_text(m, "\"plan\":", &c[1]);
    m->facts.currency = keep(m, &c[2]);
    m->facts.monthly_spend = minor(real(&c[3])); /* months of usage know better */
    m->facts.last_charged = minor(real(&c[4]));
    m->facts.payment_status = keep(m, &c[5]);
    m->facts.late_payments_12m = whole(&c[6]);
    m->facts.dispute_open = whole(&c[7]);
    if (m->facts.tenure_months == FACTS_NONE)
        m->facts.tenure_months = whole(&c[8]);
}

/* ---- a customer -------------------------------------------------------------------------------------------------- */

void merge_begin(struct merge *m, const char *customer_id)
{
    cvm_cell id = {.kind = CVM_CELL_TEXT, .text = customer_id, .len = strlen(customer_id)};
    m->n_texts = m->n_months = 0;
    m->months_seen = 0;
    m->dropped = m->signal = m->download = (struct merge_mean){0};
    m->newest_churn[0] = m->newest_upsell[0] = 0;
    facts_clear(&m->facts);
    json_text_begin(&m->attributes);
    m->facts.customer_id = keep(m, &id);
    m->facts.contacts_90d = 0;
    m->facts.as_of_ms = m->as_of_ms;
}

void merge_add(struct merge *m, enum source_no source, const cvm_cell *cells)
{
    static void (*const adders[SOURCES])(struct merge *, const cvm_cell *) = {
        [SOURCE_USAGE] = add_usage,        [SOURCE_RECOMMENDER] = add_recommender,
        [SOURCE_CAMPAIGNS] = add_campaign, [SOURCE_DEMOGRAPHICS] = add_demographics,
        [SOURCE_NETWORK] = add_network,    [SOURCE_CALLS] = add_transcript,
        [SOURCE_CHATS] = add_transcript,   [SOURCE_PERMISSIONS] = add_permissions,
        [SOURCE_BILLING] = add_billing,
    };
    if (adders[source])
        adders[source](m, cells + source_cell(&sources[source], 0));
}

/* Of the last 12 months: spend, and how it was paid. */
static void end_spend(struct merge *m)
{
    struct merge_mean all = {0}, before = {0};
    int64_t paid = 0, late = 0;
    const struct merge_month *last = NULL;
    for (size_t i = 0; i < m->n_months; i++) {
        const struct merge_month *month = &m->months[i];
        if (month->begins_ms <= m->as_of_ms - 366 * DAY_MS)
            continue;
        paid += month->paid == 1;
        late += month->paid == 0;
        if (isnan(month->spend))
            continue;
        before = all;
        all.sum += month->spend;
        all.n++;
        last = month;
    }
    if (last) {
        m->facts.monthly_spend = minor(mean_of(&all));
        m->facts.last_charged = minor(last->spend);
    }
    if (last && before.n && mean_of(&before) > 0)
        m->facts.spend_change_pct = (last->spend / mean_of(&before) - 1) * 100;
    else if (!last && m->facts.monthly_spend > 0 && m->facts.last_charged != FACTS_NONE)
        m->facts.spend_change_pct = ((double)m->facts.last_charged / (double)m->facts.monthly_spend - 1) * 100;
    if (paid + late) {
        m->facts.on_time_share = (double)paid / (double)(paid + late);
        if (m->facts.late_payments_12m == FACTS_NONE)
            m->facts.late_payments_12m = late;
    }
}

/* The mean of up to three months, `back` months before the newest. */
static double mean_months(const struct merge *m, size_t back, size_t offset)
{
    struct merge_mean mean = {0};
    for (size_t i = back; i < back + 3 && i < m->n_months; i++) {
        double value = *(const double *)(const void *)((const char *)&m->months[m->n_months - 1 - i] + offset);
        if (!isnan(value)) {
            mean.sum += value;
            mean.n++;
        }
    }
    return mean_of(&mean);
}

static void end_usage(struct merge *m)
{
    double data = mean_months(m, 3, offsetof(struct merge_month, data));
    double voice = mean_months(m, 3, offsetof(struct merge_month, voice));
    bool any = false;
    int64_t roamed = 0;
    if (!m->n_months)
        return;
    m->facts.months_seen = m->months_seen;
    m->facts.data_gb = mean_months(m, 0, offsetof(struct merge_month, data));
    m->facts.voice_minutes = mean_months(m, 0, offsetof(struct merge_month, voice));
    if (data > 0 && !isnan(m->facts.data_gb))
        m->facts.usage_change_pct = (m->facts.data_gb / data - 1) * 100;
    else if (voice > 0 && !isnan(m->facts.voice_minutes))
        m->facts.usage_change_pct = (m->facts.voice_minutes / voice - 1) * 100;
    for (size_t i = 0; i < m->n_months; i++)
        if (m->months[i].begins_ms > m->as_of_ms - 91 * DAY_MS && !isnan(m->months[i].roaming)) {
            any = true; /* it ended within 60 days */
            roamed += m->months[i].roaming > 0;
        }
    if (any)
        m->facts.roaming_days_60 = (double)roamed;
}

/* Four places are as many as anybody reads. */
static void round_off(double *value)
{
    *value = round(*value * 1e4) / 1e4; /* NAN stays */
}

const struct cvm_facts *merge_end(struct merge *m)
{
    double *const rounded[] = {&m->facts.spend_change_pct,  &m->facts.on_time_share, &m->facts.data_gb,
                               &m->facts.voice_minutes,     &m->facts.signal_dbm,    &m->facts.usage_change_pct,
                               &m->facts.dropped_call_rate, &m->facts.download_mbps};
    end_spend(m);
    end_usage(m);
    m->facts.dropped_call_rate = mean_of(&m->dropped);
    m->facts.signal_dbm = mean_of(&m->signal);
    m->facts.download_mbps = mean_of(&m->download);
    for (size_t i = 0; i < sizeof rounded / sizeof *rounded; i++)
        round_off(rounded[i]);
    if (!m->facts.currency && m->facts.monthly_spend != FACTS_NONE)
        m->facts.currency = m->currency_other;
    m->facts.attributes = json_text_end(&m->attributes) ? m->attributes.text : "{}";
    return &m->facts;
}

int merge_when(enum source_no source)
{
    static const int fields[SOURCES] = {
        [SOURCE_USAGE] = 1,    [SOURCE_RECOMMENDER] = 4, [SOURCE_CAMPAIGNS] = 4, [SOURCE_DEMOGRAPHICS] = -1,
        [SOURCE_NETWORK] = 1,  [SOURCE_CALLS] = 2,       [SOURCE_CHATS] = 2,     [SOURCE_PERMISSIONS] = -1,
        [SOURCE_BILLING] = -1, [SOURCE_OFFERS] = -1,     [SOURCE_PRICES] = -1};
    return fields[source];
}

int64_t merge_moment(enum source_no source, const char *date)
{
    int64_t ms = value_ms(date);
    if (ms == INT64_MIN)
        return ms;
    if (source == SOURCE_USAGE) /* to the end of its month */
        return ms + 28 * DAY_MS;
    return strlen(date) == VALUE_DATE_SIZE - 1 ? ms + DAY_MS - 1 : ms; /* a day to its end */
}
