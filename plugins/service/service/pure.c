/* Small things that need no host: time as text, looking through lists of components. Owns an index of the list that was
 * looked through last. Loop thread. */
#include "service.h"
#include <time.h>

static struct {
    const json_t *components; /* held, so that its address cannot be another list's */
    json_t *by_name, *after;
    size_t n; /* of them, when it was made */
} known;

const char *service_time(int64_t at_ms, char ret_text[SERVICE_TIME_SIZE])
{
    time_t seconds = (time_t)(at_ms / 1000);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    size_t n = strftime(ret_text, SERVICE_TIME_SIZE, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(ret_text + n, SERVICE_TIME_SIZE - n, ".%03dZ", (int)(at_ms % 1000));
    return ret_text;
}

int64_t service_time_ms(const char *text)
{
    struct tm tm = {0};
    int ms = 0;
    if (sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d.%3dZ", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour, &tm.tm_min,
               &tm.tm_sec, &ms) != 7)
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
