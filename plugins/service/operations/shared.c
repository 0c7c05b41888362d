/* Small things that all components of the plugin use. Loop thread; owns nothing. */
#include "operations.h"

#include <inttypes.h>
#include <time.h>

#define COOKIE_HI UINT64_C(0x4f5053) /* "OPS" */

const char *ops_time(int64_t at_ms, char ret_text[TIME_SIZE])
{
    time_t seconds = (time_t)(at_ms / 1000);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    size_t n = strftime(ret_text, TIME_SIZE, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(ret_text + n, TIME_SIZE - n, ".%03dZ", (int)(at_ms % 1000));
    return ret_text;
}

static bool names(const json_t *list, const char *name)
{
    const json_t *one;
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)list, i,
                       one) if (json_is_string(one) && !strcmp(json_string_value(one), name)) return true;
    return false;
}

bool ops_has_role(cvm_turn *t, const char *role)
{
    const json_t *components = cvm_registry(t, "components"), *c;
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)components, i, c) if (names(json_object_get(c, "roles"), role)) return true;
    return false;
}

bool ops_loaded(cvm_turn *t, const char *id)
{
    const json_t *components = cvm_registry(t, "components"), *c;
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)components, i, c) if (!strcmp(cvm_json_str(c, "id", ""), id)) return true;
    return false;
}

cvm_id ops_cookie(const char *short_id)
{
    cvm_id id = {COOKIE_HI, 0};
    const char *dash = strchr(short_id, '-');
    if (!dash || strlen(dash + 1) != 12 || sscanf(dash + 1, "%12" SCNx64, &id.lo) != 1)
        return (cvm_id){0, 0};
    return id;
}

void ops_short_id(const char *prefix, cvm_id cookie, char ret_id[CVM_SHORT_ID_SIZE])
{
    *ret_id = 0;
    if (cookie.hi == COOKIE_HI)
        snprintf(ret_id, CVM_SHORT_ID_SIZE, "%s-%012" PRIx64, prefix, cookie.lo);
}

int ops_step(cvm_turn *t, const cvm_msg *m, const char *next)
{
    const json_t *message = json_object_get(m->data, "message"), *given = json_object_get(message, "structured_data");
    return cvm_reply(t, m,
                     json_pack("{s:s, s:o, s:s?, s:b}", "content", cvm_json_str(message, "content", ""),
                               "structured_data", given ? cvm_json_share(given) : json_object(), "next", next, "end",
                               next == NULL));
}

int ops_pass(cvm_turn *t, const cvm_msg *m)
{
    int e = cvm_settle(t, m->on_behalf, m->outcome, cvm_json_share(m->data), NULL);
    return e == CVM_ENOENT ? CVM_OK : e;
}
