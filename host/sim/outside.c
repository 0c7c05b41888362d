/* The outside as calls find it: it loses requests and answers, answers late, twice applied, with errors after it has
 * done what was asked, or not at all. It keeps books by reference, against which the invariants are held. What it is
 * asked by plugins that it does not know, it answers with anything. */
#include "sim/parts.h"

#include <cvm/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WAITING_MAX 2048

struct waiting {
    int64_t at_ms;
    bool arrives; /* a request that is still on its way; else an answer */
    char *path, *body_in, *key;
    enum http_fate fate;
    int status;
    char *body;
    http_done done;
    void *arg;
};

struct outside_world {
    struct waiting waiting[WAITING_MAX];
    size_t n;
    uint64_t handle;
    json_t *books; /* ref -> {"charged", "delivered", "refunded"} */
    json_t *done;  /* "path key" -> status that was given: the same key, the same answer */
    json_t *times; /* "path key" -> how often it took effect */
};

int world_new(struct sim *s)
{
    struct outside_world *w = s->world = calloc(1, sizeof *w);
    if (!w)
        return CVM_ENOMEM;
    w->books = json_object();
    w->done = json_object();
    w->times = json_object();
    return 0;
}

static void waiting_free(struct waiting *a)
{
    free(a->path);
    free(a->body_in);
    free(a->key);
    free(a->body);
}

void world_free(struct sim *s)
{
    struct outside_world *w = s->world;
    if (!w)
        return;
    while (w->n)
        waiting_free(&w->waiting[--w->n]);
    json_decref(w->books);
    json_decref(w->done);
    json_decref(w->times);
    free(w);
    s->world = NULL;
}

void world_crashed(struct sim *s)
{
    struct outside_world *w = s->world;
    size_t n = 0;
    for (size_t i = 0; i < w->n; i++) {
        if (w->waiting[i].arrives)
            w->waiting[n++] = w->waiting[i];
        else
            waiting_free(&w->waiting[i]);
    }
    w->n = n;
}

/* ---- what is done there --------------------------------------------------------------------------------------------
 */

static json_int_t count(json_t *object, const char *name)
{
    json_int_t n = json_integer_value(json_object_get(object, name)) + 1;
    json_object_set_new(object, name, json_integer(n));
    return n;
}

static json_t *account(struct outside_world *w, const char *ref)
{
    json_t *a = json_object_get(w->books, ref);
    if (!a)
        json_object_set_new(w->books, ref, a = json_object());
    return a;
}

/* It says no to some, always to the same. */
static bool refuses(const struct sim *s, const char *path, const char *key, unsigned percent)
{
    return gen_hash(key, strlen(key), gen_hash(path, strlen(path), s->seed)) % 100 < percent;
}

static int charge(struct sim *s, const char *ref, const char *key)
{
    if (refuses(s, "charge", key, 10))
        return 402;
    if (count(account(s->world, ref), "charged") > 1)
        sim_fail(s, INV_CHARGED, "%s was charged twice, the second time with the key %s", ref, key);
    return 200;
}

/* It knows no keys: who asks twice gets it twice. */
static int deliver(struct sim *s, const char *ref, const char *key)
{
    json_t *a = account(s->world, ref);
    if (refuses(s, "deliver", key, 15))
        return 409;
    if (!json_object_get(a, "charged"))
        sim_fail(s, INV_CHARGED, "%s was delivered and not charged", ref);
    if (count(a, "delivered") > 1)
        sim_fail(s, INV_CHARGED, "%s was delivered twice", ref);
    return 200;
}

static int refund(struct sim *s, const char *ref)
{
    json_t *a = account(s->world, ref);
    if (!json_object_get(a, "charged") || json_object_get(a, "delivered"))
        sim_fail(s, INV_CHARGED, "%s was refunded, which was %s", ref,
                 json_object_get(a, "charged") ? "delivered" : "not charged");
    if (count(a, "refunded") > 1)
        sim_fail(s, INV_CHARGED, "%s was refunded twice", ref);
    return 200;
}

static int apply(struct sim *s, const char *path, const char *body, const char *key)
{
    struct outside_world *w = s->world;
    json_t *in = json_loads(body ? body : "{}", 0, NULL);
    char ref[64], name[400];
    snprintf(ref, sizeof ref, "%.60s", cvm_json_str(in, "ref", ""));
    json_decref(in);
    snprintf(name, sizeof name, "%s %.300s", path, key);
    bool once = strcmp(path, "/charge") == 0 || strcmp(path, "/refund") == 0;
    const json_t *before = once ? json_object_get(w->done, name) : NULL;
    if (before)
        return (int)json_integer_value(before);
    json_int_t times = count(w->times, name);
    int status = 200;
    if (strcmp(path, "/charge") == 0)
        status = charge(s, ref, key);
    else if (strcmp(path, "/refund") == 0)
        status = refund(s, ref);
    else if (strcmp(path, "/deliver") == 0)
        status = deliver(s, ref, key);
    else if (times > 1 && (strcmp(path, "/tell") == 0 || strcmp(path, "/post") == 0))
        sim_fail(s, INV_CHARGED, "%s was called twice with the key %s, though it is to report what is not known", path,
                 key);
    if (once)
        json_object_set_new(w->done, name, json_integer(status));
    sim_event(s, "outside: %s %s -> %d", path, key, status);
    return status;
}

static int look(const struct sim *s, const char *url)
{
    const char *key = strstr(url, "key=");
    const json_t *a = key ? json_object_get(s->world->books, key + 4) : NULL;
    return json_object_get(a, "delivered") ? 200 : 404;
}

/* ---- what comes back -----------------------------------------------------------------------------------------------
 */

static void wait_for(struct outside_world *w, struct waiting a)
{
    if (w->n == WAITING_MAX)
        abort();
    w->waiting[w->n++] = a;
}

static char *body_of(struct sim *s, const struct http_request *request, int status, bool garbage)
{
    static const char *const bad[] = {"<html>Bad gateway</html>", "{\"status\": \"succ", "", "\xff\xfe"};
    char text[64];
    if (garbage)
        return strdup(bad[gen_below(&s->gen, sizeof bad / sizeof *bad)]);
    if (!s->plugins->own) {
        struct gen g = {.state = gen_next(&s->gen), .words = s->plugins->words};
        json_t *value = gen_any(&g, 0), *in = request->body ? json_loads(request->body, 0, NULL) : NULL;
        if (json_is_object(in) && gen_chance(&g, 60)) {
            json_decref(value);
            value = json_incref(in);
        }
        char *body = json_dumps(value, JSON_ENCODE_ANY);
        json_decref(value);
        json_decref(in);
        return body ? body : strdup("{}");
    }
    snprintf(text, sizeof text, "{\"status\": %d}", status);
    return strdup(text);
}

static bool is_mail(const struct http_request *request)
{
    return strcmp(request->method, CVM_MAIL_METHOD) == 0;
}

/* How the exchange ends, when it has or has not had its effect. */
static struct waiting draw_end(struct sim *s, const struct http_request *request, int status)
{
    struct gen *g = &s->gen;
    struct waiting a = {.at_ms = sim_now(s), .fate = HTTP_ANSWERED, .status = status};
    unsigned kind = (unsigned)gen_below(g, 100);
    bool trouble = !s->calm && gen_chance(g, s->temper.outside), garbage = false;
    if (!s->calm && gen_chance(g, s->temper.late))
        a.at_ms += (int64_t)gen_below(g, gen_chance(g, 20) ? (uint64_t)request->timeout_ms : 3000);
    if (trouble && kind < 40)
        a.fate = HTTP_TIMED_OUT, a.at_ms = sim_now(s) + request->timeout_ms;
    else if (trouble && kind < 60)
        a.fate = HTTP_BROKEN;
    else if (trouble && kind < 80)
        a.status = 500 + (int)(kind % 5);
    else if (trouble)
        garbage = true;
    a.body = a.fate == HTTP_ANSWERED ? body_of(s, request, a.status, garbage) : strdup("");
    return a;
}

/* "https://bank.sim/charge?x" -> "/charge"; "": not one that we know. */
static void path_of(const struct sim *s, const char *url, char ret_path[64])
{
    static const char *const known[] = {"https://bank.sim/", "https://post.sim/", "https://beacon.sim/"};
    ret_path[0] = 0;
    for (size_t i = 0; i < sizeof known / sizeof *known && s->plugins->own; i++) {
        size_t n = strlen(known[i]) - 1;
        if (strncmp(url, known[i], n + 1) == 0)
            snprintf(ret_path, 64, "%.*s", (int)strcspn(url + n, "?"), url + n);
    }
}

static void check_reach(struct sim *s, const struct http_request *request, const char *path)
{
    const char *name;
    json_t *value;
    bool bank = strncmp(request->url, "https://bank.sim/", 17) == 0;
    if (!s->plugins->own)
        return;
    if (!*path)
        sim_fail(s, INV_REACH, "a call went to %s, which no manifest names", request->url);
    json_object_foreach((json_t *)(uintptr_t)request->headers, name, value)
    {
        if (!bank && json_is_string(value) && strstr(json_string_value(value), SIM_CANARY))
            sim_fail(s, INV_REACH, "a secret of another plugin went to %s in the header %s", request->url, name);
    }
    if (request->body && strstr(request->body, SIM_CANARY))
        sim_fail(s, INV_REACH, "a secret went to %s in the body", request->url);
}

/* The reference stands in the body; the key must be that of the call as it was journalled. */
static void check_cause(struct sim *s, const struct http_request *request, const char *path, const char *key)
{
    json_t *in = request->body ? json_loads(request->body, 0, NULL) : NULL;
    const char *ref = cvm_json_str(in, "ref", NULL);
    char expected[80];
    if (ref && s->plugins->own && *path) {
        snprintf(expected, sizeof expected, "%.60s%s", ref, strcmp(path, "/refund") == 0 ? "/r" : "");
        if (strcmp(expected, key) != 0)
            sim_fail(s, INV_CHARGED, "%s of %s was sent with the key %s: it is not known again", path, ref, key);
    }
    json_decref(in);
    auditor_read(s);
    if (!s->failed && !auditor_calls(s, key))
        sim_fail(s, INV_DURABLE, "a call %s with the key %s left before its turn was committed", request->url, key);
    if (!s->failed && disk_unsynced(s->disk))
        sim_fail(s, INV_DURABLE, "a call %s left while the log was not synced", request->url);
}

static const char *key_of(const struct http_request *request)
{
    return cvm_json_str(request->headers, is_mail(request) ? CVM_MAIL_KEY_HEADER : "Idempotency-Key", NULL);
}

int world_send(void *arg, const struct http_request *request, http_done done, void *done_arg, uint64_t *ret_handle)
{
    struct sim *s = arg;
    struct outside_world *w = s->world;
    struct gen *g = &s->gen;
    const char *key = key_of(request);
    bool safe = strcmp(request->method, "GET") == 0;
    char path[64];
    path_of(s, request->url, path);
    check_reach(s, request, path);
    if (key && !safe)
        check_cause(s, request, path, key);
    bool trouble = !s->calm && gen_chance(g, s->temper.outside);
    unsigned kind = (unsigned)gen_below(g, 100);
    if ((trouble && kind < 5) || w->n + 4 > WAITING_MAX)
        return CVM_EBUSY;
    struct waiting end;
    bool late = (strcmp(path, "/charge") == 0 || strcmp(path, "/refund") == 0) && trouble;
    if (trouble && kind < 15) { /* it certainly did not leave */
        end = (struct waiting){.at_ms = sim_now(s), .fate = HTTP_NOT_SENT, .body = strdup("")};
    } else if (trouble && kind < 40) { /* it is lost on its way */
        end = (struct waiting){.at_ms = sim_now(s) + request->timeout_ms, .fate = HTTP_TIMED_OUT, .body = strdup("")};
    } else if (late && kind < 60) { /* it arrives when nobody waits any more */
        end = (struct waiting){.at_ms = sim_now(s) + request->timeout_ms, .fate = HTTP_TIMED_OUT, .body = strdup("")};
        wait_for(w, (struct waiting){.at_ms = sim_now(s) + (int64_t)gen_below(g, 120000),
                                     .arrives = true,
                                     .path = strdup(path),
                                     .body_in = request->body ? strdup(request->body) : NULL,
                                     .key = strdup(key ? key : "")});
    } else {
        int status = is_mail(request)   ? (gen_chance(g, 70)   ? 250
                                           : gen_chance(g, 50) ? 451
                                                               : 550)
                     : !s->plugins->own ? (gen_chance(g, 70) ? 200 : 404)
                     : safe             ? look(s, request->url)
                                        : apply(s, path, request->body, key ? key : "");
        if (late && kind < 75)
            apply(s, path, request->body, key ? key : ""); /* the network said it twice */
        end = draw_end(s, request, status);
    }
    static const char *const fates[] = {"answered", "not sent", "timed out", "broken"};
    end.done = done;
    end.arg = done_arg;
    sim_event(s, "call %s %.60s: %s %d after %lld ms", path, key ? key : request->url, fates[end.fate], end.status,
              (long long)(end.at_ms - sim_now(s)));
    wait_for(w, end);
    *ret_handle = ++w->handle;
    return 0;
}

static size_t first(const struct outside_world *w)
{
    size_t best = 0;
    for (size_t i = 1; i < w->n; i++)
        if (w->waiting[i].at_ms < w->waiting[best].at_ms)
            best = i;
    return best;
}

int64_t world_next(const struct sim *s)
{
    return s->world->n ? s->world->waiting[first(s->world)].at_ms : INT64_MAX;
}

bool world_deliver(struct sim *s)
{
    struct outside_world *w = s->world;
    if (!w->n || w->waiting[first(w)].at_ms > sim_now(s))
        return false;
    size_t i = first(w);
    struct waiting a = w->waiting[i];
    memmove(&w->waiting[i], &w->waiting[i + 1], (--w->n - i) * sizeof a);
    if (a.arrives) {
        apply(s, a.path, a.body_in, a.key);
    } else {
        json_t *headers = json_pack("{s:s}", "content-type", "application/json");
        struct http_result result = {.fate = a.fate,
                                     .status = a.status,
                                     .headers = headers,
                                     .body = a.body,
                                     .body_len = strlen(a.body),
                                     .text = a.fate == HTTP_ANSWERED ? "" : "as the seed says"};
        a.done(a.arg, &result);
        json_decref(headers);
    }
    waiting_free(&a);
    return true;
}

/* ---- the books -----------------------------------------------------------------------------------------------------
 */

void world_end(struct sim *s)
{
    const char *ref;
    json_t *a;
    json_object_foreach(s->world->books, ref, a)
    {
        bool charged = json_object_get(a, "charged"), delivered = json_object_get(a, "delivered"),
             refunded = json_object_get(a, "refunded");
        if (charged && !delivered && !refunded)
            sim_fail(s, INV_CHARGED, "%s was charged, and is neither delivered nor refunded long after its deadline",
                     ref);
    }
    char *text = json_dumps(s->world->books, JSON_COMPACT | JSON_SORT_KEYS);
    if (text)
        sim_hash(s, text, strlen(text));
    free(text);
}
