/* What AirtimeSalesAgent knows by itself: prices, limits, discounts, codes, times. Pure; any thread. */
#include "airtime.h"

enum topic {
    T_DISCOUNT,
    T_LIMITS,
    T_FEE,
    T_BALANCE,
    T_BORROW,
    T_SHARE,
    T_LOAD,
    T_CODES,
    T_DELAY,
    T_REFUND,
    T_NETWORKS,
    T_HOW
};

/* clang-format off */
static const struct {
    enum topic topic;
    const char *const words[16];
} cues[] = {
    { T_DISCOUNT, { "discount", "discounts", "bulk", "cheaper", "percent", "wholesale", NULL } },
    { T_LIMITS,   { "minimum", "maximum", "limit", "limits", "least", "smallest", "largest", "biggest", "highest", "lowest", "at most", "at least", "ceiling", NULL } },
    { T_FEE,      { "fee", "fees", "charge", "charges", "price", "prices", "cost", "costs", "how much is", "how much does", "how much do", "how much for", "nawa", "rate", "rates", NULL } },
    { T_BALANCE,  { "balance", "bal", "airtime left", "airtime remaining", "remain", "remaining", "how much airtime do i have", "how much airtime i have", NULL } },
    { T_BORROW,   { "borrow", "borrowing", "lend", "loan", "advance", NULL } },
    { T_SHARE,    { "share", "transfer", "send airtime", NULL } },
    { T_LOAD,     { "load a card", "load card", "load a voucher", "load the card", "load my card", "load recharge card", "recharge pin", "how do i load", "how to load", NULL } },
    { T_CODES,    { "code", "codes", "ussd", "dial", "short code", NULL } },
    { T_DELAY,    { "how long", "how fast", "how soon", "when will", "instant", "immediately", NULL } },
    { T_REFUND,   { "refund", "refunds", "refunded", "money back", "reversal", "reversed", NULL } },
    { T_NETWORKS, { "which network", "which networks", "what networks", "all networks", "supported", "do you sell", "do you have", "una dey sell", NULL } },
    { T_HOW,      { "how do i buy", "how can i buy", "how to buy", "how do i recharge", "how to recharge", "how do i top up", "how can i recharge", NULL } },
};
/* clang-format on */

static void fact(const struct airtime_rules *r, enum topic topic, char *buf, size_t size)
{
    char a[40], b[40], list[160];
    switch (topic) {
    case T_DISCOUNT:
        snprintf(buf, size, "From %s in one purchase you pay %g %% less; the number still receives the full amount.",
                 sale_naira(r->bulk_from_kobo, a), (double)r->bulk_basis_points / 100);
        break;
    case T_LIMITS:
        snprintf(buf, size, "One airtime purchase can be from %s to %s.", sale_naira(r->min_kobo, a),
                 sale_naira(r->max_kobo, b));
        break;
    case T_FEE:
        if (r->fee_kobo == 0)
            snprintf(buf, size, "Airtime costs its face value; there is no fee. From %s there is a %g %% discount.",
                     sale_naira(r->bulk_from_kobo, a), (double)r->bulk_basis_points / 100);
        else
            snprintf(buf, size, "Airtime costs its face value and a fee of %s.", sale_naira(r->fee_kobo, a));
        break;
    case T_BALANCE:
        snprintf(buf, size, "Dial *310# on the line to see its airtime balance; it works on all networks.");
        break;
    case T_BORROW:
        snprintf(buf, size, "Dial *303# to borrow airtime on any network.");
        break;
    case T_SHARE:
        snprintf(buf, size,
                 "Dial *321# to share airtime from your line, or tell me a number and an amount to send to.");
        break;
    case T_LOAD:
        snprintf(buf, size, "Dial *311*PIN# with the digits of the card to load it.");
        break;
    case T_CODES:
        snprintf(buf, size,
                 "On all networks: *310# balance, *311*PIN# recharge, *303# borrow, *321# share, *312# data "
                 "plans, *323# data balance, *305# stop a service, 300 help desk, *301# all codes.");
        break;
    case T_DELAY:
        snprintf(buf, size, "Airtime usually arrives within seconds, at the latest within %lld minutes.",
                 (long long)((r->credit_timeout_s + 59) / 60));
        break;
    case T_REFUND:
        snprintf(buf, size,
                 "If a purchase fails, the money returns to your wallet by itself, within %lld minutes. A "
                 "failed one can be claimed within %lld hours.",
                 (long long)((r->credit_timeout_s + 59) / 60), (long long)r->refund_window_hours);
        break;
    case T_NETWORKS:
        snprintf(buf, size, "We sell airtime for %s.", networks_text(&r->networks, list, sizeof list));
        break;
    case T_HOW:
        snprintf(buf, size,
                 "Tell me the amount, the network and the number, for example: 500 MTN airtime to "
                 "my line.");
        break;
    }
}

size_t airtime_facts(const struct airtime_rules *rules, const char *question, char *ret_text, size_t size)
{
    size_t found = 0, at = 0;
    bool discount = false;
    ret_text[0] = '\0';
    for (size_t i = 0; i < sizeof cues / sizeof cues[0]; i++) {
        if (!words_have_any(question, cues[i].words))
            continue;
        char text[400];
        found++;
        if (cues[i].topic == T_FEE && discount && rules->fee_kobo == 0)
            snprintf(text, sizeof text, "Otherwise airtime costs its face value, without a fee.");
        else
            fact(rules, cues[i].topic, text, sizeof text);
        discount = discount || cues[i].topic == T_DISCOUNT;
        if (at + strlen(text) + 2 > size)
            break;
        at += (size_t)snprintf(ret_text + at, size - at, "%s%s", at ? " " : "", text);
    }
    return found;
}
