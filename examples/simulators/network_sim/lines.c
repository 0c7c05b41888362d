/* See lines.h. Everything follows from the number and the books, so the same question gets the same answer. */
#include "lines.h"

#include <cvm/json.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DAY_MS INT64_C(86400000)
#define DAYS 7
#define BUNDLES_MAX 50

/* What the bundles hold that the networks sell; any other code is a gigabyte for 30 days. */
static const struct bundle {
    const char *code;
    int mb, days;
} bundles[] = {
    {"*312*1#", 100, 1},       {"*312*16#", 1024, 7},      {"*312*20#", 2048, 30},    {"*312*21#", 10240, 30},
    {"*312*90#", 153600, 365}, {"*141*100#", 100, 1},      {"*141*500#", 1024, 7},    {"*141*1#", 1536, 30},
    {"*141*2000#", 3072, 30},  {"*141*3000#", 8192, 30},   {"*141*5000#", 13312, 30}, {"*141*45000#", 122880, 365},
    {"*312*201#", 150, 1},     {"*312*202#", 1280, 7},     {"*312*203#", 2560, 30},   {"*312*204#", 5939, 30},
    {"*312*205#", 18432, 30},  {"*312*206#", 128000, 365}, {"*312*301#", 100, 1},     {"*312*302#", 750, 7},
    {"*312*303#", 1536, 30},   {"*312*304#", 4096, 30},    {"*312*305#", 11264, 30},  {"*312*306#", 102400, 365},
};

static const struct bundle *bundle_of(const char *code)
{
    static const struct bundle other = {"", 1024, 30};
    for (size_t i = 0; i < sizeof bundles / sizeof bundles[0]; i++)
        if (strcmp(bundles[i].code, code) == 0)
            return &bundles[i];
    return &other;
}

static bool ends_in(const char *phone, const char *digits)
{
    return strcmp(phone + strlen(phone) - strlen(digits), digits) == 0;
}

static int daily_mb(const char *phone)
{
    return ends_in(phone, "0021") ? 1500 : 50 + 50 * (phone[strlen(phone) - 1] - '0');
}

static void day_text(int64_t at_ms, char buf[24])
{
    time_t s = (time_t)(at_ms / 1000);
    struct tm tm;
    gmtime_r(&s, &tm);
    strftime(buf, 24, "%Y-%m-%d", &tm);
}

/* Reads the line that is asked about; false: `a` holds the refusal. */
static bool line_of(const struct asked *q, char ret_phone[SUBJECT_SIZE], struct answer *a)
{
    if (!q->subject || !phone_read(q->subject, ret_phone))
        error_answer(a, 400, "INVALID_PHONE", "phone_number: must be like 08012345678 or +2348012345678");
    else if (ends_in(ret_phone, "0022"))
        error_answer(a, 404, "INVALID_PHONE", "the number is not one of this network");
    else if (ends_in(ret_phone, "0023"))
        error_answer(a, 503, "UNAVAILABLE", "try again later");
    return a->status == 0;
}

/* A query string gives '+' as a blank. */
static void plus_kept(const struct asked *q, struct asked *ret_q, char buf[SUBJECT_SIZE])
{
    *ret_q = *q;
    if (!q->subject || *q->subject != ' ' || strlen(q->subject) >= SUBJECT_SIZE)
        return;
    memcpy(buf, q->subject, strlen(q->subject) + 1);
    *buf = '+';
    ret_q->subject = buf;
}

void bundle_vend_answer(struct vending *v, const struct asked *q, int64_t now_ms, struct answer *a)
{
    json_t *body = json_loadb(q->body, q->body_len, JSON_REJECT_DUPLICATES, NULL);
    bool named = *cvm_json_str(body, "bundle_code", "");
    json_decref(body);
    if (named)
        vend_answer(v, q, now_ms, a);
    else
        error_answer(a, 400, "INVALID_BUNDLE", "bundle_code: is missing");
}

/* What is left of a bundle: it is used evenly, at the line's pace. A line that ends in 0021 has used up all. */
static int left_mb(const struct bundle *b, const char *phone, int64_t age_ms)
{
    int64_t used = age_ms * daily_mb(phone) / DAY_MS;
    if (ends_in(phone, "0021") || age_ms >= b->days * DAY_MS || used >= b->mb)
        return 0;
    return b->mb - (int)used;
}

static json_t *bundle_json(const char *code, const struct bundle *b, int left, int64_t since_ms)
{
    char from[24], until[24];
    day_text(since_ms, from);
    day_text(since_ms + b->days * DAY_MS, until);
    return json_pack("{s:s, s:i, s:i, s:s, s:s}", "bundle_code", code, "size_mb", b->mb, "left_mb", left,
                     "activated_at", from, "expires_at", until);
}

void line_balance_answer(struct vending *v, const struct asked *asked, int64_t now_ms, struct answer *a)
{
    char phone[SUBJECT_SIZE], kept[SUBJECT_SIZE];
    struct asked q;
    int sum = 0;
    plus_kept(asked, &q, kept);
    if (!line_of(&q, phone, a))
        return;
    json_t *list = json_array();
    for (int64_t n = ledger_size(v->ledger); n > 0 && json_array_size(list) < BUNDLES_MAX; n--) {
        const struct entry *e = ledger_at(v->ledger, n);
        const struct bundle *b = bundle_of(e->item);
        if (e->vendor != q.vendor || !*e->item || strcmp(e->subject, phone) != 0 ||
            strcmp(ledger_status(e, now_ms), "delivered") != 0 || now_ms - e->time_ms >= b->days * DAY_MS)
            continue;
        int left = left_mb(b, phone, now_ms - e->time_ms);
        sum += left;
        json_array_append_new(list, bundle_json(e->item, b, left, e->time_ms));
    }
    if (json_array_size(list) == 0) { /* every line bought something elsewhere, three days ago */
        const struct bundle *b = &bundles[2];
        sum = left_mb(b, phone, 3 * DAY_MS);
        json_array_append_new(list, bundle_json(b->code, b, sum, now_ms - 3 * DAY_MS));
    }
    json_answer(a, 200, json_pack("{s:s, s:i, s:o}", "phone_number", phone, "data_mb", sum, "bundles", list));
}

void line_usage_answer(struct vending *v, const struct asked *asked, int64_t now_ms, struct answer *a)
{
    static const struct {
        const char *app;
        int percent;
    } apps[] = {{"video", 55}, {"social media", 25}, {"updates in the background", 12}, {"other", 8}};
    char phone[SUBJECT_SIZE], kept[SUBJECT_SIZE], day[24];
    struct asked q;
    (void)v;
    plus_kept(asked, &q, kept);
    if (!line_of(&q, phone, a))
        return;
    int daily = daily_mb(phone), sum = 0;
    json_t *days = json_array(), *by_app = json_array();
    for (int i = DAYS; i > 0; i--) { /* swings by a tenth around the mean */
        int used = daily + (i % 2 ? 1 : -1) * (i == DAYS ? 0 : daily / 10);
        sum += used;
        day_text(now_ms - i * DAY_MS, day);
        json_array_append_new(days, json_pack("{s:s, s:i}", "date", day, "used_mb", used));
    }
    for (size_t i = 0; i < sizeof apps / sizeof apps[0]; i++)
        json_array_append_new(by_app,
                              json_pack("{s:s, s:i}", "app", apps[i].app, "used_mb", sum * apps[i].percent / 100));
    json_answer(a, 200, json_pack("{s:s, s:o, s:o}", "phone_number", phone, "days", days, "by_app", by_app));
}

void network_status_answer(struct vending *v, const struct asked *asked, int64_t now_ms, struct answer *a)
{
    char phone[SUBJECT_SIZE], kept[SUBJECT_SIZE];
    struct asked q;
    const char *status = "ok", *message = "The network works as it should.";
    (void)v;
    (void)now_ms;
    plus_kept(asked, &q, kept);
    if (q.subject && !line_of(&q, phone, a))
        return;
    if (q.subject && ends_in(phone, "0024"))
        status = "degraded", message = "Engineers work on a slow site near you; expected to be done within 4 hours.";
    else if (q.subject && ends_in(phone, "0025"))
        status = "outage", message = "A fibre cut; expected to be repaired within 8 hours.";
    json_answer(a, 200, json_pack("{s:s, s:s}", "status", status, "message", message));
}
