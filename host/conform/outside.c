/* The outside as the plugin's calls find it: every kind of answer there is. Which one comes depends on the seed and on
 * what was asked, so that a repeated run hears the same. In a child. */
#include "conform/parts.h"

#include "core/json_text.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WAITING_MAX 4096

struct waiting {
    int64_t at_ms;
    enum http_fate fate;
    int status;
    char *body;
    http_done done;
    void *arg;
};

struct outside {
    struct waiting waiting[WAITING_MAX];
    size_t n;
    json_t *asked; /* what was asked -> how often */
};

int outside_new(struct world *w)
{
    w->outside = calloc(1, sizeof *w->outside);
    if (!w->outside || !(w->outside->asked = json_object()))
        return CVM_ENOMEM;
    return 0;
}

void outside_free(struct world *w)
{
    if (!w->outside)
        return;
    while (w->outside->n)
        free(w->outside->waiting[--w->outside->n].body);
    json_decref(w->outside->asked);
    free(w->outside);
    w->outside = NULL;
}

/* An object with names the plugin knows, and with what was asked in it: much of it will be what is looked for. */
static json_t *sensible(struct gen *g, const struct http_request *request)
{
    json_t *body = request->body ? json_loadb(request->body, request->body_len, 0, NULL) : NULL;
    json_t *answer = gen_chance(g, 50) && json_is_object(body) ? json_incref(body) : json_object();
    json_t *data = gen_chance(g, 30) ? json_object() : answer;
    for (uint64_t n = 3 + gen_below(g, 12); n; n--) {
        const char *name = json_string_value(json_array_get(g->words, gen_below(g, json_array_size(g->words))));
        if (name)
            json_object_set_new(data, name, gen_any(g, 2));
    }
    if (data != answer)
        json_object_set_new(answer, "data", data);
    json_decref(body);
    return answer;
}

static char *body_of(struct gen *g, const struct http_request *request, bool wild)
{
    static const char *const garbage[] = {"<html><body>Bad gateway</body></html>",
                                          "",
                                          "{\"status\": \"succ",
                                          "null",
                                          "[]",
                                          "42",
                                          "\"done\"",
                                          "\xff\xfe\x00",
                                          "{\"a\":{\"a\":{\"a\":[[[[]]]]}}}"};
    if (wild && gen_chance(g, 15))
        return strdup(garbage[gen_below(g, sizeof garbage / sizeof *garbage)]);
    json_t *value = wild && gen_chance(g, 20) ? gen_any(g, 0) : sensible(g, request);
    struct text text;
    text_init(&text, 512 * 1024);
    text_json(&text, value);
    if (!text.failed)
        text_char(&text, 0);
    char *body = text.failed ? strdup("{}") : strdup(text.at);
    text_free(&text);
    json_decref(value);
    return body;
}

/* A mail server's word for it. */
static int as_mail(int status)
{
    return status < 300 ? 250 : status == 429 || status == 503 ? 451 : 550;
}

int outside_send(void *arg, const struct http_request *request, http_done done, void *done_arg, uint64_t *ret_handle)
{
    static const int bad[] = {400, 401, 404, 409, 422, 429};
    struct world *w = arg;
    struct outside *o = w->outside;
    char key[40];
    uint64_t asked = gen_hash(request->url, strlen(request->url), w->c->options.seed);
    if (request->body)
        asked = gen_hash(request->body, request->body_len, asked);
    snprintf(key, sizeof key, "%016llx", (unsigned long long)asked);
    json_int_t before = json_integer_value(json_object_get(o->asked, key));
    json_object_set_new(o->asked, key, json_integer(before + 1));
    bool wild = w->mode == WORLD_WILD;
    struct gen g = {.state = gen_mix(asked, wild ? (uint64_t)before : 0), .words = w->c->words};
    uint64_t kind = gen_below(&g, 100);
    if (o->n == WAITING_MAX || (wild && kind >= 97))
        return CVM_EBUSY;
    struct waiting a = {
        .at_ms = core_now_ms(w->core), .fate = HTTP_ANSWERED, .status = 200, .done = done, .arg = done_arg};
    if (wild && kind >= 92)
        a.fate = HTTP_NOT_SENT;
    else if (wild && kind >= 87)
        a.fate = HTTP_BROKEN;
    else if (wild && kind >= 82)
        a.fate = HTTP_TIMED_OUT, a.at_ms += request->timeout_ms;
    else if (wild && kind >= 74)
        a.status = 500 + (int)gen_below(&g, 4);
    else if (kind >= 60)
        a.status = bad[gen_below(&g, sizeof bad / sizeof *bad)];
    else if (kind >= 50)
        a.status = 201;
    if (strcmp(request->method, CVM_MAIL_METHOD) == 0)
        a.status = as_mail(a.status);
    if (wild && a.fate == HTTP_ANSWERED && gen_chance(&g, 30))
        a.at_ms += (int64_t)gen_below(&g, 5000);
    if (!(a.body = a.fate == HTTP_ANSWERED ? body_of(&g, request, wild) : strdup("")))
        return CVM_ENOMEM;
    o->waiting[o->n++] = a;
    *ret_handle = asked | 1;
    return 0;
}

static size_t first(const struct outside *o)
{
    size_t best = 0;
    for (size_t i = 1; i < o->n; i++)
        if (o->waiting[i].at_ms < o->waiting[best].at_ms)
            best = i;
    return best;
}

int64_t outside_next(const struct world *w)
{
    return w->outside->n ? w->outside->waiting[first(w->outside)].at_ms : INT64_MAX;
}

bool outside_answer(struct world *w)
{
    struct outside *o = w->outside;
    size_t i = first(o);
    if (!o->n || o->waiting[i].at_ms > core_now_ms(w->core))
        return false;
    struct waiting a = o->waiting[i];
    memmove(&o->waiting[i], &o->waiting[i + 1], (--o->n - i) * sizeof a);
    json_t *headers = json_pack("{s:s}", "content-type", "application/json");
    struct http_result result = {.fate = a.fate,
                                 .status = a.status,
                                 .headers = headers,
                                 .body = a.body,
                                 .body_len = strlen(a.body),
                                 .text = a.fate == HTTP_ANSWERED ? "" : "as the check wants it"};
    a.done(a.arg, &result);
    json_decref(headers);
    free(a.body);
    return true;
}
