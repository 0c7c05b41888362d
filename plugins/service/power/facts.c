/* What PowerSalesAgent knows by itself: limits, charge, companies, loading, meters, bills, saving. Tariffs are in
 * tariff.c. Pure; any thread. */
#include "power.h"

enum topic {
    T_LIMITS,
    T_CHARGE,
    T_VALIDITY,
    T_TARIFF,
    T_UNITS,
    T_DISCOS,
    T_LOAD,
    T_DELAY,
    T_REFUND,
    T_ESTIMATED,
    T_OUTAGE,
    T_METER,
    T_REGISTER,
    T_SAVING,
    T_HOW
};

/* clang-format off */
static const struct {
    enum topic topic;
    const char *const words[18];
} cues[] = {
    { T_LIMITS,    { "minimum", "maximum", "limit", "limits", "least", "smallest", "largest", "biggest", "highest", "lowest", "at most", "at least", NULL } },
    { T_CHARGE,    { "charge", "charges", "fee", "fees", "commission", "convenience", "extra", "service charge", NULL } },
    { T_VALIDITY,  { "valid", "validity", "expire", "expires", "expired", "expiry", "old token", "how long can i keep", NULL } },
    { T_TARIFF,    { "tariff", "tariffs", "rate", "rates", "band", "bands", "per unit", "per kwh", "cost of a unit", "price of a unit", "price per", "cost per", "hours of supply", NULL } },
    { T_UNITS,     { "how many units", "how much units", "units will i get", "units for", "calculate units", NULL } },
    { T_DISCOS,    { "which disco", "which discos", "which companies", "what companies", "supported", "do you sell", "do you serve", "do you cover", NULL } },
    { T_LOAD,      { "load", "loading", "enter the token", "key in", "input the token", "punch", "keypad", NULL } },
    { T_DELAY,     { "how long", "how fast", "how soon", "when will", "instant", "immediately", NULL } },
    { T_REFUND,    { "refund", "refunds", "refunded", "money back", "reversal", NULL } },
    { T_ESTIMATED, { "estimated", "estimate", "estimation", "crazy bill", "bulk bill", NULL } },
    { T_OUTAGE,    { "report an outage", "report outage", "report a fault", "where do i report", "how do i report", "outage", NULL } },
    { T_METER,     { "new meter", "smart meter", "change meter", "change my meter", "replace", "replacement", "upgrade", "apply for a meter", "get a meter", "prepaid meter", "to prepaid", NULL } },
    { T_REGISTER,  { "register", "registration", "new connection", "postpaid account", "sign up", NULL } },
    { T_SAVING,    { "save energy", "save light", "save electricity", "save units", "saving", "reduce my", "reduce consumption", "consume less", "last longer", "energy efficient", NULL } },
    { T_HOW,       { "how do i buy", "how can i buy", "how to buy", "how do i recharge", "how to recharge", "how can i recharge", "how do i pay", "how can i pay", "how to pay", "can i buy", NULL } },
};
/* clang-format on */

static void tariff_fact(const struct power_rules *r, const char *question, char *buf, size_t size)
{
    char tariff_class[4], band[2];
    tariff_named(question, tariff_class, band);
    json_t *table = tariff_table(r, *tariff_class || *band ? tariff_class : "R2", band);
    snprintf(buf, size,
             "%s The band says how many hours of supply a day you are to get; tell me your meter number and "
             "company for your own.",
             cvm_json_str(table, "text", ""));
    json_decref(table);
}

static void fact(const struct power_rules *r, enum topic topic, const char *question, char *buf, size_t size)
{
    char a[40], b[40], list[160];
    switch (topic) {
    case T_LIMITS:
        snprintf(buf, size, "One electricity purchase can be from %s to %s; above %s a colleague approves it first.",
                 sale_naira(r->min_kobo, a), sale_naira(r->max_kobo, b), sale_naira(r->approval_above_kobo, list));
        break;
    case T_CHARGE:
        snprintf(buf, size, "Each purchase has a service charge of %s on top of the amount.",
                 sale_naira(r->charge_kobo, a));
        break;
    case T_VALIDITY:
        snprintf(buf, size, "A token is valid for %lld days; load it within that time.", (long long)r->validity_days);
        break;
    case T_TARIFF:
        tariff_fact(r, question, buf, size);
        break;
    case T_UNITS:
        snprintf(
            buf, size,
            "The units are the amount divided by the rate of your class and band with %g %% VAT. Tell me your meter "
            "number and company for your rate.",
            (double)r->vat_basis_points / 100);
        break;
    case T_DISCOS:
        snprintf(buf, size, "We serve all of these distribution companies: %s.",
                 power_places_text(r, list, sizeof list));
        break;
    case T_LOAD:
        token_help_text(question, buf, size);
        break;
    case T_DELAY:
        snprintf(buf, size, "The token usually comes within a minute, at the latest within %lld minutes.",
                 (long long)((r->credit_timeout_s + 59) / 60));
        break;
    case T_REFUND:
        snprintf(buf, size,
                 "If a token cannot be issued, the money returns to your wallet by itself, within %lld minutes. A "
                 "failed purchase can be claimed within %lld hours.",
                 (long long)((r->credit_timeout_s + 59) / 60), (long long)r->refund_window_hours);
        break;
    case T_ESTIMATED:
        snprintf(buf, size,
                 "An estimated bill is made without a reading. Write that you dispute it, with your company, meter or "
                 "account number and the figures on the meter; I open a case for a correction. A prepaid meter ends "
                 "estimates.");
        break;
    case T_OUTAGE:
        snprintf(buf, size,
                 "To report an outage write NO LIGHT with your company, meter number and street; you get a case "
                 "reference. Stay away from fallen wires and poles.");
        break;
    case T_METER:
        snprintf(
            buf, size,
            "For a new, smart or prepaid meter, or to replace one, send me your company and meter or account number "
            "and write that you request it; I open a case, and the company comes for an inspection first.");
        break;
    case T_REGISTER:
        snprintf(
            buf, size,
            "To register for postpaid send me your company, name and address and write REGISTER; I open a case and "
            "the company calls you.");
        break;
    case T_SAVING:
        snprintf(
            buf, size,
            "To save energy: LED bulbs, the fan before the air conditioner, the conditioner at 25 degrees, iron many "
            "clothes at once, switch off the water heater and everything on standby.");
        break;
    case T_HOW:
        snprintf(
            buf, size,
            "Tell me the amount, your company and your meter number, for example: 5000 naira token for EKEDC meter "
            "45012345678.");
        break;
    }
}

size_t power_facts(const struct power_rules *rules, const char *question, char *ret_text, size_t size)
{
    size_t found = 0, at = 0;
    ret_text[0] = '\0';
    for (size_t i = 0; i < sizeof cues / sizeof cues[0]; i++) {
        if (!words_have_any(question, cues[i].words))
            continue;
        char text[POWER_LONG_SIZE];
        fact(rules, cues[i].topic, question, text, sizeof text);
        if (at + strlen(text) + 2 > size)
            break;
        found++;
        at += (size_t)snprintf(ret_text + at, size - at, "%s%s", at ? " " : "", text);
    }
    return found;
}
