/* The catalogue of bundles: what the networks sell, by the setting `bundles`. A row that makes no sense is not for
 * sale. Pure; any thread. */
#include "data.h"

#include <time.h>

void data_rules_read(const json_t *settings, struct data_rules *ret_rules)
{
    *ret_rules = (struct data_rules){
        .bundles = json_object_get(settings, "bundles"),
        .rollover = json_object_get(settings, "rollover_enabled"),
        .min_kobo = sale_setting_kobo(settings, "min_purchase", 10000),
        .max_kobo = sale_setting_kobo(settings, "max_purchase", 5000000),
        .spare_percent = cvm_json_int(settings, "spare_percent", 10),
        .days = cvm_json_int(settings, "recommend_days", 30),
        .credit_timeout_s = cvm_json_int(settings, "credit_timeout_s", 300),
        .refund_window_hours = cvm_json_int(settings, "refund_window_hours", 24),
        .strict_ranges = cvm_json_bool(settings, "strict_phone_ranges", false),
        .gifting = cvm_json_bool(settings, "gifting_allowed", true),
        .auto_renewal = cvm_json_bool(settings, "auto_renewal_default", false),
        .upgrades = cvm_json_bool(settings, "can_suggest_upgrades", true),
    };
    networks_read(settings, &ret_rules->networks);
}

static bool read_row(const json_t *row, struct bundle *b)
{
    *b = (struct bundle){.code = cvm_json_str(row, "code", ""),
                         .size = cvm_json_str(row, "size", ""),
                         .validity = cvm_json_str(row, "validity", ""),
                         .type = cvm_json_str(row, "package_type", ""),
                         .mb = cvm_json_int(row, "size_mb", 0),
                         .days = cvm_json_int(row, "validity_days", 0)};
    return cvm_json_bool(row, "active", true) && *b->code && strlen(b->code) < DATA_CODE_SIZE && *b->size &&
           strlen(b->size) < 16 && *b->validity && strlen(b->validity) < 24 && wanted_days(b->type) > 0 && b->mb > 0 &&
           b->days > 0 && cvm_money_from_json(json_object_get(row, "price"), &b->kobo) == CVM_OK && b->kobo > 0;
}

size_t catalogue_of(const struct data_rules *rules, const char *network, struct bundle ret[DATA_BUNDLES_MAX])
{
    const json_t *rows = json_object_get(rules->bundles, network);
    size_t n = 0;
    for (size_t i = 0; i < json_array_size(rows) && n < DATA_BUNDLES_MAX; i++)
        n += read_row(json_array_get(rows, i), &ret[n]);
    return n;
}

int catalogue_find(const struct data_rules *rules, const char *network, const char *code, struct bundle *ret_bundle)
{
    struct bundle all[DATA_BUNDLES_MAX];
    size_t n = catalogue_of(rules, network, all);
    for (size_t i = 0; i < n; i++) {
        if (strcasecmp(all[i].code, code) == 0) {
            *ret_bundle = all[i];
            return CVM_OK;
        }
    }
    return CVM_ENOENT;
}

static bool is_wanted(const struct bundle *b, const struct wanted *w)
{
    /* A gigabyte is 1024 or 1000 megabytes, as people like it. */
    bool size = !w->mb || b->mb == w->mb || (w->mb >= 1000 && b->mb * 1000 / 1024 == w->mb);
    return size && (!w->kobo || b->kobo == w->kobo) && (!*w->type || strcmp(b->type, w->type) == 0) &&
           (!*w->code || strcasecmp(b->code, w->code) == 0);
}

size_t catalogue_pick(const struct data_rules *rules, const char *network, const struct wanted *wanted,
                      struct bundle ret[DATA_BUNDLES_MAX])
{
    size_t n = catalogue_of(rules, network, ret), kept = 0;
    for (size_t i = 0; i < n; i++)
        if (is_wanted(&ret[i], wanted))
            ret[kept++] = ret[i];
    return kept;
}

json_t *bundle_json(const char *network, const struct bundle *b)
{
    return json_pack("{s:s, s:s, s:s, s:o, s:s, s:s, s:I, s:I}", "network", network, "size", b->size, "validity",
                     b->validity, "price", cvm_money_to_json(b->kobo), "code", b->code, "package_type", b->type,
                     "size_mb", (json_int_t)b->mb, "validity_days", (json_int_t)b->days);
}

const char *bundle_text(const struct bundle *b, char buf[96])
{
    char price[40];
    snprintf(buf, 96, "%s (%s) %s", b->size, b->validity, sale_naira(b->kobo, price));
    return buf;
}

const char *bundles_text(const struct bundle *bundles, size_t n, char *buf, size_t size)
{
    char one[96];
    size_t at = 0;
    buf[0] = '\0';
    for (size_t i = 0; i < n; i++) {
        bundle_text(&bundles[i], one);
        if (at + strlen(one) + 3 > size)
            break;
        at += (size_t)snprintf(buf + at, size - at, "%s%s", i ? ", " : "", one);
    }
    return buf;
}

bool data_rolls_over(const struct data_rules *rules, const char *network)
{
    return cvm_json_bool(rules->rollover, network, false);
}

const char *data_size_text(int64_t mb, char buf[24])
{
    if (mb < 1024)
        snprintf(buf, 24, "%dMB", (int)mb);
    else if (mb % 1024 == 0)
        snprintf(buf, 24, "%lldGB", (long long)(mb / 1024));
    else
        snprintf(buf, 24, "%.1fGB", (double)mb / 1024);
    return buf;
}

const char *data_time(int64_t at_ms, char buf[DATA_TIME_SIZE])
{
    time_t s = (time_t)(at_ms / 1000);
    struct tm tm;
    gmtime_r(&s, &tm);
    strftime(buf, DATA_TIME_SIZE, "%Y-%m-%dT%H:%M:%SZ", &tm);
    return buf;
}
