/* How a telephone is set up for the networks' data. The figures are the setting `apn`. Pure; any thread. */
#include "data.h"

static const char android[] = "Android: Settings > Network & internet (Connections) > SIMs or Mobile networks > Access "
                              "Point Names > Add; enter the values, save, select it, and switch mobile data off and on";
static const char ios[] = "iPhone: Settings > Mobile Service (Cellular) > Mobile Data Network; enter the values under "
                          "Mobile Data, then restart the phone";

const char *apn_device(const char *words)
{
    static const char *const apple[] = {"iphone", "ios", "ipad", "apple", NULL};
    static const char *const other[] = {"android", "samsung", "tecno",  "infinix", "itel",  "xiaomi",
                                        "redmi",   "oppo",    "huawei", "nokia",   "pixel", NULL};
    return words_have_any(words, apple) ? "iOS" : words_have_any(words, other) ? "Android" : "";
}

json_t *apn_settings(const json_t *settings, const char *network, const char *device)
{
    const json_t *apn = json_object_get(json_object_get(settings, "apn"), network);
    char text[DATA_LONG_SIZE];
    bool apple = strcasecmp(device, "ios") == 0 || strcasecmp(device, "iphone") == 0;
    bool other = strcasecmp(device, "android") == 0;
    const char *name = cvm_json_str(apn, "apn", ""), *user = cvm_json_str(apn, "username", "");
    const char *password = cvm_json_str(apn, "password", "");
    if (!*name)
        return NULL;
    size_t at =
        (size_t)snprintf(text, sizeof text,
                         "Internet settings for %s: APN %.60s, username %.60s, password %.60s; leave proxy and port "
                         "empty, type default. ",
                         network, name, *user ? user : "(empty)", *password ? password : "(empty)");
    snprintf(text + at, sizeof text - at, "%s%s%s.", apple ? "" : android, apple || other ? "" : ". ",
             other ? "" : ios);
    json_t *steps = json_array();
    if (!apple)
        json_array_append_new(steps, json_string(android));
    if (!other)
        json_array_append_new(steps, json_string(ios));
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:o, s:s}", "network", network, "device",
                     apple   ? "iOS"
                     : other ? "Android"
                             : "",
                     "apn", name, "username", user, "password", password, "steps", steps, "text", text);
}
