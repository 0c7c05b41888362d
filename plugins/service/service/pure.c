/* Small things that need no host: time as text, looking through lists of components. Owns an index of the list that was
 * looked through last. Loop thread. */
#include "service.h"
#include <time.h>

#define DAY_MS 86400000

static struct {
    const json_t *components; /* held, so that its address cannot be another list's */
    json_t *by_name, *after;
    size_t n; /* of them, when it was made */
} known;

static void two_digits(char *at, int n)
{
    at[0] = (char)('0' + n / 10);
    at[1] = (char)('0' + n % 10);
}

/* Some of these are written for each message, nearly always of one day: the library is asked once for it. */
const char *service_time(int64_t at_ms, char ret_text[SERVICE_TIME_SIZE])
{
    static char date[SERVICE_TIME_SIZE];
    static int64_t date_day = INT64_MIN;
    int64_t day = at_ms / DAY_MS;
    int ms = (int)(at_ms % DAY_MS);
    if (ms < 0) {
        ms += DAY_MS;
        day--;
    }
    if (day != date_day) {
        time_t seconds = (time_t)(day * (DAY_MS / 1000));
        struct tm tm;
        gmtime_r(&seconds, &tm);
        strftime(date, sizeof date, "%Y-%m-%dT00:00:00.000Z", &tm);
        date_day = day;
    }
    memcpy(ret_text, date, sizeof date);
    char *clock = strchr(ret_text, 'T') + 1;
    two_digits(clock, ms / 3600000);
    two_digits(clock + 3, ms / 60000 % 60);
    two_digits(clock + 6, ms / 1000 % 60);
    clock[9] = (char)('0' + ms / 100 % 10);
    two_digits(clock + 10, ms % 100);
    return ret_text;
}

/* A number of so many digits at `*at`, which goes past them and the character after them; -1: it is none. */
static int digits(const char **at, int n)
{
    int value = 0;
    for (; n > 0; n--, (*at)++) {
        if (**at < '0' || **at > '9')
            return -1;
        value = value * 10 + (**at - '0');
    }
    *at += **at != 0;
    return value;
}

int64_t service_time_ms(const char *text)
{
    struct tm tm = {0};
    tm.tm_year = digits(&text, 4);
    tm.tm_mon = digits(&text, 2);
    tm.tm_mday = digits(&text, 2);
    tm.tm_hour = digits(&text, 2);
    tm.tm_min = digits(&text, 2);
    tm.tm_sec = digits(&text, 2);
    int ms = digits(&text, 3);
    if (tm.tm_year < 0 || tm.tm_mon < 0 || tm.tm_mday < 0 || tm.tm_hour < 0 || tm.tm_min < 0 || tm.tm_sec < 0 || ms < 0)
        return 0;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    return (int64_t)timegm(&tm) * 1000 + ms;
}

/* Whether a component works for the desk: other areas have agents of the same alias. */
static bool of_desk(const json_t *component)
{
    return !strncmp(cvm_json_str(component, "id", ""), "service.", 8) || service_has_role(component, "desk.domain");
}

void service_forget_components(void)
{
    json_decref(known.by_name);
    json_decref((json_t *)(uintptr_t)known.components);
    json_decref(known.after);
    known.by_name = known.after = NULL;
    known.components = NULL;
}

/* Whether a component does something about enquiries that are over: has the role desk.after or one of the narrower. */
static bool comes_after(const json_t *component)
{
    const json_t *roles = json_object_get(component, "roles");
    for (size_t i = 0; i < json_array_size(roles); i++) {
        const char *name = json_string_value(json_array_get(roles, i));
        if (name && !strncmp(name, "desk.after", 10))
            return true;
    }
    return false;
}

/* Of several with a name the first is known by it. */
static void learn(const json_t *components)
{
    service_forget_components();
    known.by_name = json_object();
    known.after = json_array();
    known.components = cvm_json_share(components);
    known.n = json_array_size(components);
    for (size_t i = 0; i < json_array_size(components); i++) {
        json_t *c = json_array_get(components, i);
        const char *const names[] = {cvm_json_str(c, "id", ""), of_desk(c) ? cvm_json_str(c, "alias", "") : ""};
        if (comes_after(c))
            json_array_append(known.after, c);
        for (size_t n = 0; n < 2; n++)
            if (*names[n] && !json_object_get(known.by_name, names[n]))
                json_object_set(known.by_name, names[n], c);
    }
}

/* False: there are none. */
static bool know(const json_t *components)
{
    if (components && (known.components != components || known.n != json_array_size(components)))
        learn(components);
    return components != NULL;
}

const json_t *service_component(const json_t *components, const char *id_or_alias)
{
    return know(components) ? json_object_get(known.by_name, id_or_alias) : NULL;
}

const json_t *service_after(const json_t *components)
{
    return know(components) ? known.after : NULL;
}

bool service_has_role(const json_t *component, const char *role)
{
    const json_t *roles = json_object_get(component, "roles");
    for (size_t i = 0; i < json_array_size(roles); i++) {
        const char *name = json_string_value(json_array_get(roles, i));
        if (name && !strcmp(name, role))
            return true;
    }
    return false;
}

bool triage_email_form(const char *text)
{
    const char *at = strchr(text, '@'), *dot;
    if (!at || at == text || strchr(at + 1, '@') || strlen(text) > 254 || at - text > 64)
        return false;
    for (const char *s = text; *s; s++)
        if ((unsigned char)*s <= ' ' || (unsigned char)*s == 0x7F || strchr("<>()[]\\,;:\"", *s))
            return false;
    dot = strrchr(at, '.');
    return dot && dot > at + 1 && strlen(dot + 1) >= 2 && at[1] != '.' && !strstr(at, "..");
}
