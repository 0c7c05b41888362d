/* What the three components share; see insight.h. */
#include "insight.h"

#include "../common/value.h"

#include <math.h>
#include <stdio.h>
#include <time.h>

int insight_relay(cvm_turn *t, const cvm_msg *m)
{
    static const char *const persons[] = {"NOT_FOUND", "NO_CUSTOMERS", "SCORE", "TOO_MANY"};
    const char *code = cvm_json_str(m->data, "code", "");
    bool refused = false;
    for (size_t i = 0; m->outcome == CVM_ERROR && i < sizeof persons / sizeof *persons; i++)
        refused |= strcmp(code, persons[i]) == 0;
    json_t *data = refused ? json_pack("{s:s, s:s}", "code", code, "message", cvm_json_str(m->data, "text", ""))
                           : cvm_json_share(m->data);
    int e = cvm_settle(t, m->on_behalf, refused ? CVM_REFUSED : m->outcome, data, NULL);
    return e == CVM_ENOENT ? CVM_OK : e;
}

void insight_time(int64_t ms, char ret_text[INSIGHT_TIME_SIZE])
{
    time_t s = (time_t)(ms / 1000);
    struct tm tm;
    if (!gmtime_r(&s, &tm) || !strftime(ret_text, INSIGHT_TIME_SIZE, "%Y-%m-%dT%H:%M:%SZ", &tm))
        ret_text[0] = 0;
}

json_t *insight_number(double x, int digits)
{
    double scale = pow(10, digits);
    return isfinite(x) ? json_real(round(x * scale) / scale) : json_null();
}

void insight_set(json_t **object, const char *name, json_t *value)
{
    if (!*object) {
        json_decref(value);
    } else if (json_object_set_new(*object, name, value) < 0) {
        json_decref(*object);
        *object = NULL;
    }
}

void insight_append(json_t **list, json_t *value)
{
    if (!*list) {
        json_decref(value);
    } else if (json_array_append_new(*list, value) < 0) {
        json_decref(*list);
        *list = NULL;
    }
}

bool insight_key(char ret_key[INSIGHT_KEY_SIZE], const char *a, const char *b, const char *c, const char *d)
{
    const char *const parts[] = {a, b, c, d};
    size_t at = 0;
    ret_key[0] = 0;
    for (size_t i = 0; i < 4; i++) {
        if (!parts[i] || !*parts[i])
            continue;
        int n = snprintf(ret_key + at, INSIGHT_KEY_SIZE - at, "%s%s", at ? " " : "", parts[i]);
        if (n < 0 || (size_t)n >= INSIGHT_KEY_SIZE - at)
            return false;
        at += (size_t)n;
    }
    return true;
}

int insight_need(cvm_turn *t, const cvm_msg *m, const char *name, size_t most)
{
    char text[120];
    const json_t *value = json_object_get(m->data, name);
    if (json_is_string(value) && json_string_length(value) > 0 && json_string_length(value) <= most)
        return CVM_OK;
    snprintf(text, sizeof text, "%s must be a text of 1 to %zu bytes", name, most);
    return cvm_refuse(t, "INVALID", name, text);
}

int insight_ask(cvm_turn *t, const cvm_msg *m, const char *table, const char *column, const char *key, json_t *with)
{
    cvm_query q = {.size = sizeof q,
                   .table = table,
                   .where = json_pack("{s:s}", column, key),
                   .limit = 1,
                   .on_behalf = m->id,
                   .with = with};
    if (!q.where) { /* NULL would be all rows */
        json_decref(with);
        return CVM_ENOMEM;
    }
    CVM_TRY(cvm_ask(t, &q));
    return CVM_PENDING;
}

double insight_setting(const json_t *settings, const char *name, double otherwise)
{
    const json_t *v = json_object_get(settings, name);
    return json_is_number(v) ? json_number_value(v) : otherwise;
}

bool insight_time_of(const json_t *request, const char *name, int64_t otherwise, int64_t *ret_ms)
{
    const char *text = cvm_json_str(request, name, NULL);
    *ret_ms = text ? value_ms(text) : otherwise;
    return !text || *ret_ms != INT64_MIN;
}
