/* Which bundle suits a need. Pure; any thread. */
#include "data.h"

static bool covers(const struct bundle *b, int64_t mb, int64_t days)
{
    return b->mb >= mb && b->days >= days;
}

/* The better of two for what is needed: one that covers it; of those the cheapest, else the one with the most. */
static bool better(const struct bundle *a, const struct bundle *b, int64_t mb, int64_t days)
{
    bool ca = covers(a, mb, days), cb = covers(b, mb, days);
    if (ca != cb)
        return ca;
    if (ca)
        return a->kobo < b->kobo || (a->kobo == b->kobo && a->mb > b->mb);
    bool da = a->days >= days, db = b->days >= days; /* a day's bundle for a month is none, however large */
    if (da != db)
        return da;
    return a->mb > b->mb || (a->mb == b->mb && a->kobo < b->kobo);
}

bool recommend_larger(const struct data_rules *rules, const char *network, const struct bundle *than,
                      struct bundle *ret_bundle)
{
    struct bundle all[DATA_BUNDLES_MAX], next = {.mb = 0};
    size_t n = catalogue_of(rules, network, all);
    for (size_t i = 0; i < n; i++)
        if (all[i].mb > than->mb && all[i].days >= than->days && (!next.mb || all[i].mb < next.mb))
            next = all[i];
    if (next.mb)
        *ret_bundle = next;
    return next.mb > 0;
}

static int64_t per_gb(const struct bundle *b)
{
    return (b->kobo * 1024 + b->mb / 2) / b->mb;
}

static json_t *priced(const char *network, const struct bundle *b)
{
    json_t *o = bundle_json(network, b);
    if (o)
        json_object_set_new(o, "price_per_gb", cvm_money_to_json(per_gb(b)));
    return o;
}

static void say(const char *network, const struct need *need, const struct bundle *b, const struct bundle *up,
                int64_t need_mb, int64_t spare, char *reason, size_t reason_size, char *text, size_t size)
{
    char one[96], other[96], each[40], daily[24], all[24];
    data_size_text(need->daily_mb, daily);
    data_size_text(need_mb, all);
    if (covers(b, need_mb, need->days))
        snprintf(reason, reason_size,
                 "%s a day for %lld days is %s with %lld %% spare; it is the cheapest that covers it", daily,
                 (long long)need->days, all, (long long)spare);
    else if (b->days >= need->days)
        snprintf(reason, reason_size,
                 "%s a day for %lld days is %s with %lld %% spare; nothing %s covers that, this is the most", daily,
                 (long long)need->days, all, (long long)spare, need->budget_kobo ? "within the budget" : "on sale");
    else
        snprintf(reason, reason_size, "nothing %s lasts %lld days, this comes nearest",
                 need->budget_kobo ? "within the budget" : "on sale", (long long)need->days);
    size_t at = (size_t)snprintf(text, size, "On %s I recommend %s: %s (%s a GB).", network, bundle_text(b, one),
                                 reason, sale_naira(per_gb(b) / 100 * 100, each));
    if (up && at < size)
        snprintf(text + at, size - at, " The next larger one is %s.", bundle_text(up, other));
}

json_t *recommend(const struct data_rules *rules, const char *network, const struct need *need)
{
    struct bundle all[DATA_BUNDLES_MAX];
    const struct bundle *best = NULL;
    struct bundle larger;
    char reason[240], text[DATA_LONG_SIZE];
    size_t n = catalogue_of(rules, network, all);
    int64_t need_mb = (need->daily_mb * need->days * (100 + rules->spare_percent) + 99) / 100;
    for (size_t i = 0; i < n; i++)
        if ((!need->budget_kobo || all[i].kobo <= need->budget_kobo) &&
            (!best || better(&all[i], best, need_mb, need->days)))
            best = &all[i];
    if (!best)
        return NULL;
    const struct bundle *up = rules->upgrades && recommend_larger(rules, network, best, &larger) ? &larger : NULL;
    say(network, need, best, up, need_mb, rules->spare_percent, reason, sizeof reason, text, sizeof text);
    return json_pack("{s:s, s:I, s:I, s:I, s:b, s:o, s:o, s:s, s:s}", "network", network, "daily_mb",
                     (json_int_t)need->daily_mb, "days", (json_int_t)need->days, "need_mb", (json_int_t)need_mb,
                     "covers", covers(best, need_mb, need->days), "recommended", priced(network, best), "upgrade",
                     up ? priced(network, up) : json_null(), "reason", reason, "text", text);
}
