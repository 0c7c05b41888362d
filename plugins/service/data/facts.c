/* What DataSalesAgent knows by itself: limits, codes, rollover, night and social plans, sharing, borrowing, saving.
 * Prices are in the catalogue. Pure; any thread. */
#include "data.h"

enum topic {
    T_ROLLOVER,
    T_NIGHT,
    T_SOCIAL,
    T_BORROW,
    T_SHARE,
    T_RENEWAL,
    T_SAVING,
    T_BALANCE,
    T_LIMITS,
    T_VALIDITY,
    T_DELAY,
    T_REFUND,
    T_NETWORKS,
    T_CODES,
    T_HOW
};

/* clang-format off */
static const struct {
    enum topic topic;
    const char *const words[16];
} cues[] = {
    { T_ROLLOVER, { "rollover", "roll over", "carry over", "carried over", "carried forward", "unused data", "leftover", NULL } },
    { T_NIGHT,    { "night plan", "night data", "night browsing", "midnight", "12am", "at night", NULL } },
    { T_SOCIAL,   { "social bundle", "social media", "whatsapp plan", "whatsapp bundle", "facebook bundle", "instagram bundle", "tiktok bundle", "youtube bundle", NULL } },
    { T_BORROW,   { "borrow", "loan", "lend", "advance", NULL } },
    { T_SHARE,    { "share", "sharing", "family", "gift", "transfer", "group plan", "dependants", NULL } },
    { T_RENEWAL,  { "auto renew", "auto-renew", "autorenew", "auto renewal", "auto-renewal", "renew automatically", "renew by itself", NULL } },
    { T_SAVING,   { "save data", "saving", "reduce", "consume less", "last longer", "finish fast", "finishes fast", "manage my data", NULL } },
    { T_BALANCE,  { "balance", "remaining", "how much data", "left", NULL } },
    { T_LIMITS,   { "minimum", "maximum", "limit", "limits", "smallest", "largest", "biggest", NULL } },
    { T_VALIDITY, { "valid", "validity", "expire", "expires", "expiry", "how long does it last", NULL } },
    { T_DELAY,    { "how long", "how fast", "how soon", "instant", "immediately", NULL } },
    { T_REFUND,   { "refund", "refunds", "refunded", "money back", "reversal", NULL } },
    { T_NETWORKS, { "which network", "which networks", "what networks", "all networks", "supported", "do you sell", NULL } },
    { T_CODES,    { "code", "codes", "ussd", "dial", "short code", NULL } },
    { T_HOW,      { "how do i buy", "how can i buy", "how to buy", "how do i subscribe", "how to subscribe", "how can i subscribe", NULL } },
};
/* clang-format on */

const char data_borrow_text[] =
    "To borrow data, dial *303# on the line and choose data; it works on all networks. What "
    "was borrowed, and a fee of the network, is taken from your next recharge.";
const char data_share_text[] =
    "To share from your own data, dial *321# on your line, choose data, and enter the other "
    "number and the size; for a family plan choose a large bundle there and add the members. Or tell me a "
    "size, the network and their number, and I send a bundle to it as a gift.";

const char *data_rollover_text(const struct data_rules *rules, const char *network, char *buf, size_t size)
{
    const char *code;
    json_t *flag;
    size_t at = 0;
    if (*network && data_rolls_over(rules, network))
        snprintf(buf, size, "On %s unused data rolls over to your next plan when you renew before the old one expires.",
                 network);
    else if (*network)
        snprintf(buf, size, "On %s unused data does not roll over: it ends with the plan.", network);
    else {
        at = (size_t)snprintf(buf, size,
                              "Unused data moves to your next plan when you renew before the old one expires:");
        json_object_foreach((json_t *)(uintptr_t)rules->rollover, code, flag)
        {
            if (at < size)
                at += (size_t)snprintf(buf + at, size - at, " %s %s;", code, json_is_true(flag) ? "yes" : "no");
        }
        if (at && at < size)
            buf[at - 1] = '.';
    }
    return buf;
}

static void fact(const struct data_rules *r, enum topic topic, char *buf, size_t size)
{
    char a[40], b[40], list[160];
    switch (topic) {
    case T_ROLLOVER:
        data_rollover_text(r, "", buf, size);
        break;
    case T_NIGHT:
        snprintf(buf, size,
                 "Night plans work from 12am to 5am and cost less; dial *312# on the line and choose night plans.");
        break;
    case T_SOCIAL:
        snprintf(
            buf, size,
            "Social bundles cover WhatsApp, Facebook, Instagram and the like only; dial *312# on the line and choose "
            "social plans.");
        break;
    case T_BORROW:
        snprintf(buf, size, "%s", data_borrow_text);
        break;
    case T_SHARE:
        snprintf(buf, size, "%s", data_share_text);
        break;
    case T_RENEWAL:
        snprintf(
            buf, size,
            "Auto-renewal is %s unless you turn it on: write AUTO RENEW ON, and AUTO RENEW OFF to stop it. You are "
            "reminded a day before.",
            r->auto_renewal ? "on" : "off");
        break;
    case T_SAVING:
        snprintf(buf, size,
                 "To make data last: stop updates over mobile data, turn off autoplay of videos, use the data saver of "
                 "phone "
                 "and browser, lower the video quality, and download on Wi-Fi.");
        break;
    case T_BALANCE:
        snprintf(buf, size, "Dial *323# on the line to see its data balance, or write DATA BALANCE and I look it up.");
        break;
    case T_LIMITS:
        snprintf(buf, size, "One data purchase can be from %s to %s.", sale_naira(r->min_kobo, a),
                 sale_naira(r->max_kobo, b));
        break;
    case T_VALIDITY:
        snprintf(buf, size, "A daily plan lasts 1 day, a weekly one 7, a monthly one 30 and a yearly one 365 days.");
        break;
    case T_DELAY:
        snprintf(buf, size, "Data usually arrives within seconds, at the latest within %lld minutes.",
                 (long long)((r->credit_timeout_s + 59) / 60));
        break;
    case T_REFUND:
        snprintf(
            buf, size,
            "If a purchase fails, the money returns to your wallet by itself, within %lld minutes. A failed one can be "
            "claimed within %lld hours.",
            (long long)((r->credit_timeout_s + 59) / 60), (long long)r->refund_window_hours);
        break;
    case T_NETWORKS:
        snprintf(buf, size, "We sell data for %s.", networks_text(&r->networks, list, sizeof list));
        break;
    case T_CODES:
        snprintf(
            buf, size,
            "On all networks: *312# data plans, *323# data balance, *303# borrow, *321# share, *305# stop a service.");
        break;
    case T_HOW:
        snprintf(buf, size, "Tell me the size, the network and the number, for example: 2GB MTN data for my line.");
        break;
    }
}

size_t data_facts(const struct data_rules *rules, const char *question, char *ret_text, size_t size)
{
    size_t found = 0, at = 0;
    ret_text[0] = '\0';
    for (size_t i = 0; i < sizeof cues / sizeof cues[0]; i++) {
        char text[500];
        if (!words_have_any(question, cues[i].words))
            continue;
        found++;
        fact(rules, cues[i].topic, text, sizeof text);
        if (at + strlen(text) + 2 > size)
            break;
        at += (size_t)snprintf(ret_text + at, size - at, "%s%s", at ? " " : "", text);
    }
    return found;
}
