/* See contact.h. */
#include "contact.h"

#include <stdio.h>

#define DAY_MS INT64_C(86400000)

bool contact_needs_consent(const char *channel)
{
    return *channel && strcmp(channel, "network") != 0 && strcmp(channel, "none") != 0;
}

static bool granted(const json_t *permissions, const char *name)
{
    const json_t *v = json_object_get(permissions, name);
    return json_is_true(v) || (json_is_integer(v) && json_integer_value(v) != 0);
}

/* Keeps the strictest of those that said no. */
__attribute__((format(printf, 4, 5))) static void forbid(struct contact_verdict *v, const char *rule, int64_t until_ms,
                                                         const char *format, ...)
{
    va_list args;
    v->said_no++;
    if (!v->allowed && until_ms <= v->until_ms)
        return;
    v->allowed = false;
    v->until_ms = until_ms;
    snprintf(v->rule, sizeof v->rule, "%s", rule);
    va_start(args, format);
    vsnprintf(v->why, sizeof v->why, format, args);
    va_end(args);
}

void contact_consent(const json_t *permissions, const struct contact *wanted, struct contact_verdict *ret)
{
    *ret = (struct contact_verdict){.allowed = true};
    if (!contact_needs_consent(wanted->channel))
        return;
    if (!granted(permissions, wanted->channel))
        forbid(ret, "consent", CONTACT_NEVER, "The customer does not permit contact by %.20s.", wanted->channel);
    else if (!wanted->service && !granted(permissions, "marketing"))
        forbid(ret, "marketing", CONTACT_NEVER, "The customer does not permit marketing.");
}

/* ---- caps ---- */

static bool counts(const json_t *cap, const struct contact *wanted, const struct contact *c)
{
    const char *per = cvm_json_str(cap, "per", "customer");
    if (c->service || !contact_needs_consent(c->channel))
        return false;
    if (!strcmp(per, "channel"))
        return !strcmp(c->channel, cvm_json_str(cap, "channel", wanted->channel));
    if (!strcmp(per, "category"))
        return *c->category && !strcmp(c->category, cvm_json_str(cap, "category", wanted->category));
    return true;
}

static int64_t window_of(const json_t *cap)
{
    int64_t days = cvm_json_int(cap, "days", 7);
    return (days < 0 ? 0 : days > CONTACT_DAYS_MAX ? CONTACT_DAYS_MAX : days) * DAY_MS;
}

static void check_cap(const json_t *cap, const struct contact *wanted, const struct contact *past, size_t n,
                      struct contact_verdict *v)
{
    int64_t max = cvm_json_int(cap, "max", -1), window = window_of(cap), counted = 0;
    const char *per = cvm_json_str(cap, "per", "customer");
    char name[CONTACT_RULE_SIZE];
    if (max < 0 || !counts(cap, wanted, wanted))
        return;
    snprintf(name, sizeof name, "%.20s_cap", per);
    if (max == 0) {
        forbid(v, cvm_json_str(cap, "rule", name), CONTACT_NEVER, "No contact is allowed per %.20s.", per);
        return;
    }
    for (size_t i = n; i-- > 0;) {
        if (past[i].at_ms <= wanted->at_ms - window || !counts(cap, wanted, &past[i]))
            continue;
        if (++counted < max)
            continue;
        forbid(v, cvm_json_str(cap, "rule", name), past[i].at_ms + window,
               "At most %lld contacts in %lld days per %.20s; there were that many.", (long long)max,
               (long long)(window / DAY_MS), per);
        return;
    }
}

/* ---- quiet hours ---- */

static bool names(const json_t *list, const char *name)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *one = json_string_value(json_array_get(list, i));
        if (one && !strcmp(one, name))
            return true;
    }
    return false;
}

static void check_hours(const json_t *hours, const struct zone *z, const struct contact *wanted,
                        struct contact_verdict *v)
{
    int from = zone_clock(cvm_json_str(hours, "from", "")), to = zone_clock(cvm_json_str(hours, "to", ""));
    int now = zone_minute(z, wanted->at_ms);
    const json_t *channels = json_object_get(hours, "channels");
    if (from < 0 || to < 0 || from == to || (channels && !names(channels, wanted->channel)))
        return;
    if (from < to ? now >= from && now < to : now >= from || now < to)
        forbid(v, cvm_json_str(hours, "rule", "quiet_hours"), zone_next(z, wanted->at_ms, to % 1440),
               "Nobody is contacted by %.20s from %.5s to %.5s.", wanted->channel, cvm_json_str(hours, "from", ""),
               cvm_json_str(hours, "to", ""));
}

/* ---- all of it ---- */

void contact_check(const json_t *policy, const struct zone *z, const json_t *permissions, const struct contact *wanted,
                   const struct contact *past, size_t n, struct contact_verdict *ret)
{
    const json_t *caps = json_object_get(policy, "caps"), *hours = json_object_get(policy, "quiet_hours");
    *ret = (struct contact_verdict){.allowed = true};
    if (!contact_needs_consent(wanted->channel))
        return;
    if (permissions)
        contact_consent(permissions, wanted, ret);
    for (size_t i = 0; i < json_array_size(caps) && i < CONTACT_CAPS_MAX; i++)
        check_cap(json_array_get(caps, i), wanted, past, n, ret);
    for (size_t i = 0; i < json_array_size(hours) && i < CONTACT_CAPS_MAX; i++)
        check_hours(json_array_get(hours, i), z, wanted, ret);
}

int64_t contact_window_ms(const json_t *policy)
{
    const json_t *caps = json_object_get(policy, "caps");
    int64_t longest = 2 * DAY_MS;
    for (size_t i = 0; i < json_array_size(caps) && i < CONTACT_CAPS_MAX; i++)
        if (window_of(json_array_get(caps, i)) > longest)
            longest = window_of(json_array_get(caps, i));
    return longest;
}
