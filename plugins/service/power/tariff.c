/* Tariffs: class, service band, rate. What a company says of its own meter goes before the table of the settings. Pure;
 * any thread. */
#include "power.h"

#define SPOKEN_MAX 5 /* rates that a text lists */

static json_t *tariff(const struct power_rules *rules, const char *tariff_class, const char *band, int64_t rate_kobo)
{
    int64_t with_vat = rate_kobo + (rate_kobo * rules->vat_basis_points + 5000) / 10000;
    return json_pack("{s:s, s:s, s:I, s:o, s:o}", "tariff_class", tariff_class, "service_band", band, "hours_per_day",
                     (json_int_t)cvm_json_int(rules->band_hours, band, 0), "rate", cvm_money_to_json(rate_kobo),
                     "rate_with_vat", cvm_money_to_json(with_vat));
}

static void line(const json_t *one, bool with_class, char *text, size_t size)
{
    char rate[40], with_vat[40];
    int64_t kobo = 0, vat_kobo = 0;
    if (cvm_money_from_json(json_object_get(one, "rate"), &kobo) < 0 ||
        cvm_money_from_json(json_object_get(one, "rate_with_vat"), &vat_kobo) < 0)
        kobo = vat_kobo = 0;
    const char *tariff_class = with_class ? cvm_json_str(one, "tariff_class", "") : "";
    const char *band = cvm_json_str(one, "service_band", "");
    snprintf(text, size, "%.*s%sband %.*s, at least %lld hours a day: %s a unit (kWh), %s with VAT",
             clip(tariff_class, 20), tariff_class, with_class ? ", " : "", clip(band, 10), band,
             (long long)cvm_json_int(one, "hours_per_day", 0), sale_naira(kobo, rate), sale_naira(vat_kobo, with_vat));
}

/* Takes `list`. */
static json_t *answer(const struct power_rules *rules, json_t *list, const char *opening, bool with_class)
{
    char text[POWER_LONG_SIZE], one[200];
    size_t at = (size_t)snprintf(text, sizeof text, "%s", opening), n = json_array_size(list);
    if (n > SPOKEN_MAX)
        at += (size_t)snprintf(text + at, sizeof text - at, " name a class, or a service band from A to E");
    for (size_t i = 0; i < n && n <= SPOKEN_MAX && at + sizeof one < sizeof text; i++) {
        line(json_array_get(list, i), with_class, one, sizeof one);
        at += (size_t)snprintf(text + at, sizeof text - at, "%s%s", i ? "; " : " ", one);
    }
    snprintf(text + at, sizeof text - at, ".");
    return json_pack("{s:o, s:o, s:s, s:s}", "tariffs", list, "vat_percent", cvm_money_to_json(rules->vat_basis_points),
                     "currency", "NGN", "text", text);
}

json_t *tariff_table(const struct power_rules *rules, const char *tariff_class, const char *band)
{
    json_t *list = json_array(), *bands, *rate;
    const char *known_class, *known_band;
    json_object_foreach((json_t *)(uintptr_t)rules->tariffs, known_class, bands)
    {
        if (*tariff_class && strcasecmp(known_class, tariff_class) != 0)
            continue;
        json_object_foreach(bands, known_band, rate)
        {
            int64_t kobo;
            if ((!*band || strcasecmp(known_band, band) == 0) && cvm_money_from_json(rate, &kobo) == CVM_OK)
                json_array_append_new(list, tariff(rules, known_class, known_band, kobo));
        }
    }
    if (!json_array_size(list)) {
        json_decref(list);
        return NULL;
    }
    char opening[160];
    snprintf(opening, sizeof opening, "Rates by tariff class (R2, R3 residential; C1, C2 commercial):");
    if (*tariff_class)
        snprintf(opening, sizeof opening, "Rates of class %.*s:", clip(tariff_class, 20), tariff_class);
    return answer(rules, list, opening, !*tariff_class);
}

json_t *tariff_of_meter(const struct power_rules *rules, const json_t *meter)
{
    const char *tariff_class = cvm_json_str(meter, "tariff_class", ""), *band = cvm_json_str(meter, "service_band", "");
    int64_t kobo = cvm_json_int(meter, "rate_kobo", 0);
    if (kobo <= 0 || !*band)
        return tariff_table(rules, tariff_class, band);
    char opening[80];
    snprintf(opening, sizeof opening, "This meter is of class %.*s:", clip(tariff_class, 20), tariff_class);
    json_t *list = json_array();
    json_array_append_new(list, tariff(rules, tariff_class, band, kobo));
    return answer(rules, list, opening, false);
}

void tariff_named(const char *words, char ret_class[4], char ret_band[2])
{
    static const char *const classes[][2] = {{"r2", "R2"}, {"r3", "R3"}, {"c1", "C1"}, {"c2", "C2"}};
    ret_class[0] = ret_band[0] = '\0';
    for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++)
        if (words_have(words, classes[i][0]))
            snprintf(ret_class, 4, "%s", classes[i][1]);
    for (char band = 'a'; band <= 'e'; band++) {
        char phrase[8];
        snprintf(phrase, sizeof phrase, "band %c", band);
        if (words_have(words, phrase))
            snprintf(ret_band, 2, "%c", band - 32);
    }
}
