/* Effects under the virtual clock, the outside played by the test: what becomes of a call whose outcome is unknown, for
 * each thing a manifest may say about it; what a restart makes of it; what may leave at all. */
#include "core/reload.h"
#include "virtual.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#define OUTSIDE "test.outside"
#define STEP_MS 50
#define REQUESTS_MAX 64

static const char *const PLUGINS[] = {"outside", NULL};

/* ---- the outside ------------------------------------------------------------------------------------------------- */

enum { SILENT = -1, NOT_TAKEN = -2 }; /* no answer at all; the client refuses the request */

struct reply {
    int fate, status;
    const char *body;
};

static const struct reply good = {HTTP_ANSWERED, 200, "{\"done\": true}"}, broken = {HTTP_BROKEN, 0, ""},
                          timed_out = {HTTP_TIMED_OUT, 0, ""}, not_sent = {HTTP_NOT_SENT, 0, ""},
                          silent = {SILENT, 0, ""}, not_taken = {NOT_TAKEN, 0, ""},
                          server_error = {HTTP_ANSWERED, 503, "{\"sorry\": 1}"},
                          nonsense = {HTTP_ANSWERED, 200, "<html>"}, refused = {HTTP_ANSWERED, 422, "{\"no\": 1}"},
                          found = {HTTP_ANSWERED, 200, "{\"found\": true, \"result\": {\"done\": \"before\"}}"},
                          absent = {HTTP_ANSWERED, 200, "{\"found\": false}"},
                          pending = {HTTP_ANSWERED, 200, "{\"pending\": true}"};

struct sent {
    char *method, *url, *body;
    json_t *headers;
    int64_t at_ms;
    int64_t durable_effects; /* rows of open effects when it left */
};

struct waiting {
    http_done done;
    void *arg;
    struct reply reply;
};

static struct {
    struct virtual *v;
    struct reply calls[8], states[8]; /* the last one goes on */
    int n_calls, n_states;
    struct sent sent[REQUESTS_MAX], asked[REQUESTS_MAX]; /* calls; questions about them */
    int n_sent, n_asked;
    struct waiting waiting[REQUESTS_MAX];
    int n_waiting;
} world;

static void record(struct sent *s, const struct http_request *request)
{
    *s = (struct sent){.method = strdup(request->method),
                       .url = strdup(request->url),
                       .body = request->body ? strdup(request->body) : NULL,
                       .headers = json_deep_copy(request->headers),
                       .at_ms = core_now_ms(world.v->core),
                       .durable_effects =
                           virtual_count(world.v, "SELECT count(*) AS n FROM open_items WHERE kind = 'effect'")};
}

static int world_send(void *arg, const struct http_request *request, http_done done, void *done_arg,
                      uint64_t *ret_handle)
{
    bool question = strstr(request->url, "/state") != NULL;
    int n = question ? world.n_asked++ : world.n_sent++, last = (question ? world.n_states : world.n_calls) - 1;
    ck_assert_int_lt(n, REQUESTS_MAX);
    ck_assert_int_ge(last, 0);
    struct reply reply = question ? world.states[n < last ? n : last] : world.calls[n < last ? n : last];
    (void)arg;
    record(question ? &world.asked[n] : &world.sent[n], request);
    *ret_handle = (uint64_t)n + 1;
    if (reply.fate == NOT_TAKEN)
        return CVM_EBUSY;
    if (reply.fate != SILENT)
        world.waiting[world.n_waiting++] = (struct waiting){done, done_arg, reply};
    return 0;
}

static bool answer_one(void)
{
    if (!world.n_waiting)
        return false;
    struct waiting w = world.waiting[0];
    json_t *headers = json_object();
    memmove(world.waiting, world.waiting + 1, (size_t)--world.n_waiting * sizeof w);
    struct http_result result = {.fate = (enum http_fate)w.reply.fate,
                                 .status = w.reply.status,
                                 .headers = headers,
                                 .body = w.reply.body,
                                 .body_len = strlen(w.reply.body),
                                 .text = "it went wrong"};
    w.done(w.arg, &result);
    json_decref(headers);
    return true;
}

/* `ms` of time pass; what is asked of the outside is answered as it comes. */
static void pass(int64_t ms)
{
    for (int64_t until = core_now_ms(world.v->core) + ms; core_now_ms(world.v->core) < until;) {
        core_step(world.v->core, core_now_ms(world.v->core));
        while (answer_one())
            core_step(world.v->core, core_now_ms(world.v->core));
        core_step(world.v->core, core_now_ms(world.v->core) + STEP_MS);
    }
}

#define CALLS(...)                                                                                                     \
    script((const struct reply[]){__VA_ARGS__}, sizeof((const struct reply[]){__VA_ARGS__}) / sizeof(struct reply),    \
           world.calls, &world.n_calls)
#define STATES(...)                                                                                                    \
    script((const struct reply[]){__VA_ARGS__}, sizeof((const struct reply[]){__VA_ARGS__}) / sizeof(struct reply),    \
           world.states, &world.n_states)

static void script(const struct reply *from, size_t n, struct reply *to, int *ret_n)
{
    memcpy(to, from, n * sizeof *from);
    *ret_n = (int)n;
}

static void forget(void)
{
    for (int i = 0; i < REQUESTS_MAX; i++) {
        struct sent *both[] = {&world.sent[i], &world.asked[i]};
        for (int k = 0; k < 2; k++) {
            free(both[k]->method);
            free(both[k]->url);
            free(both[k]->body);
            json_decref(both[k]->headers);
            *both[k] = (struct sent){0};
        }
    }
    world.n_sent = world.n_asked = world.n_waiting = 0;
}

/* ---- one call ---------------------------------------------------------------------------------------------------- */

static struct answer_seen seen;

static struct virtual *begin(void)
{
    setenv("OUTSIDE_KEY", "hush-hush", 1);
    world.v = virtual_new(PLUGINS, NULL);
    world.v->send = world_send;
    virtual_open(world.v);
    CALLS(good);
    STATES(found);
    return world.v;
}

static void end(void)
{
    virtual_conserved(world.v);
    forget();
    json_decref(seen.data);
    seen = (struct answer_seen){0};
    virtual_free(world.v);
    world.v = NULL;
}

/* The host ends with everything in flight, and starts again. */
static void restart(void)
{
    world.n_waiting = 0;
    virtual_close(world.v);
    virtual_open(world.v);
}

static void go_with(json_t *data)
{
    forget();
    json_decref(seen.data);
    seen = (struct answer_seen){0};
    virtual_submit(world.v, OUTSIDE, "go", data, &seen);
}

static void go(const char *call)
{
    go_with(json_pack("{s:s, s:s, s:{s:i}}", "call", call, "key", "REF-1", "body", "n", 1));
}

static const char *outcome(void)
{
    ck_assert_msg(seen.n == 1, "%d answers", seen.n);
    const char *text = json_string_value(json_object_get(seen.data, "outcome"));
    return text ? text : "none";
}

static const char *code(void)
{
    const char *text = json_string_value(json_object_get(json_object_get(seen.data, "data"), "code"));
    return text ? text : "";
}

static json_t *data(const char *key)
{
    return json_object_get(json_object_get(seen.data, "data"), key);
}

static int error(void)
{
    ck_assert_int_eq(seen.n, 1);
    return (int)json_integer_value(json_object_get(seen.data, "error"));
}

static const char *header(const struct sent *s, const char *name)
{
    const char *text = json_string_value(json_object_get(s->headers, name));
    return text ? text : "";
}

static int64_t answers(void)
{
    return virtual_count(world.v, "SELECT CAST(value AS INTEGER) AS n FROM state WHERE key = 'answers'");
}

/* ---- what leaves ------------------------------------------------------------------------------------------------- */

START_TEST(leaves_when_its_turn_is_durable)
{
    begin();
    go("once");
    ck_assert_int_eq(world.n_sent, 0);
    pass(STEP_MS);
    ck_assert_int_eq(world.n_sent, 1);
    ck_assert_int_eq(world.sent[0].durable_effects, 1);
    ck_assert_str_eq(world.sent[0].method, "POST");
    ck_assert_str_eq(world.sent[0].url, "http://outside.example/v1/once");
    ck_assert_str_eq(world.sent[0].body, "{\"n\":1}");
    ck_assert_str_eq(header(&world.sent[0], "Idempotency-Key"), "REF-1");
    ck_assert_str_eq(header(&world.sent[0], "Content-Type"), "application/json");
    ck_assert_str_eq(outcome(), "REPLIED");
    ck_assert_int_eq(json_integer_value(data("status")), 200);
    ck_assert(json_is_true(json_object_get(data("body"), "done")));
    end();
}
END_TEST

START_TEST(address_is_made_of_parts)
{
    begin();
    go_with(json_pack("{s:s, s:s, s:{s:s, s:i, s:[i, i]}, s:{s:s}}", "call", "read", "path", "/7", "query", "colour",
                      "red & blue", "size", 3, "of", 1, 2, "headers", "Accept", "text/plain"));
    pass(STEP_MS);
    ck_assert_str_eq(world.sent[0].method, "GET");
    ck_assert_str_eq(world.sent[0].url,
                     "http://outside.example/v1/things/7?colour=red%20%26%20blue&size=3&of=%5B1%2C2%5D");
    ck_assert_str_eq(header(&world.sent[0], "Accept"), "text/plain");
    ck_assert_ptr_null(world.sent[0].body);
    go("fixed");
    pass(STEP_MS);
    ck_assert_str_eq(world.sent[0].url, "https://fixed.example/api");
    end();
}
END_TEST

/* Without a business key the id of the call is the key, and stays it. */
START_TEST(key_of_its_own)
{
    begin();
    CALLS(broken, good);
    go_with(json_pack("{s:s}", "call", "again"));
    pass(3000);
    ck_assert_int_eq(world.n_sent, 2);
    ck_assert_int_eq(strncmp(header(&world.sent[0], "Idempotency-Key"), "MSG-", 4), 0);
    ck_assert_str_eq(header(&world.sent[0], "Idempotency-Key"), header(&world.sent[1], "Idempotency-Key"));
    end();
}
END_TEST

START_TEST(what_may_not_leave)
{
    begin();
    go("undeclared");
    pass(STEP_MS);
    ck_assert_int_eq(error(), CVM_EACCES);
    go("nowhere"); /* its setting is empty */
    pass(STEP_MS);
    ck_assert_int_eq(error(), CVM_ENOENT);
    go_with(json_pack("{s:s, s:{s:s}}", "call", "read", "headers", "X-A", "a\r\nX-B: b"));
    pass(STEP_MS);
    ck_assert_int_eq(error(), CVM_EINVAL);
    go_with(json_pack("{s:s, s:{s:s}}", "call", "read", "headers", "X-A: x\r\n", "a"));
    pass(STEP_MS);
    ck_assert_int_eq(error(), CVM_EINVAL);
    ck_assert_int_eq(world.n_sent, 0);
    end();
}
END_TEST

/* A turn that keeps nothing may read outside, and do nothing there. */
START_TEST(ephemeral_turn_may_only_read)
{
    begin();
    int64_t turns = virtual_count(world.v, "SELECT count(*) AS n FROM turns");
    virtual_submit(world.v, OUTSIDE, "look", json_pack("{s:s}", "call", "read"), &seen);
    pass(STEP_MS);
    ck_assert_str_eq(outcome(), "REPLIED");
    json_decref(seen.data);
    seen = (struct answer_seen){0};
    virtual_submit(world.v, OUTSIDE, "look", json_pack("{s:s}", "call", "once"), &seen);
    pass(STEP_MS);
    ck_assert_int_eq(error(), CVM_ESTATE);
    ck_assert_int_eq(world.n_sent, 1);
    ck_assert_int_eq(virtual_count(world.v, "SELECT count(*) AS n FROM turns"), turns);
    end();
}
END_TEST

START_TEST(secrets_go_into_headers_only)
{
    begin();
    go_with(json_pack("{s:s, s:{s:s}, s:{s:s}}", "call", "once", "headers", "Authorization", "Bearer ${OUTSIDE_KEY}!",
                      "body", "text", "${OUTSIDE_KEY}"));
    pass(STEP_MS);
    ck_assert_str_eq(header(&world.sent[0], "Authorization"), "Bearer hush-hush!");
    ck_assert_str_eq(world.sent[0].body, "{\"text\":\"${OUTSIDE_KEY}\"}");
    ck_assert_int_eq(virtual_count(world.v, "SELECT count(*) AS n FROM turns WHERE record LIKE '%hush-hush%'"), 0);
    go_with(json_pack("{s:s, s:{s:s}}", "call", "once", "headers", "Authorization", "${OUTSIDE_UNSET}"));
    pass(STEP_MS);
    ck_assert_str_eq(outcome(), "ERROR");
    ck_assert_str_eq(code(), "NOT_SENT");
    ck_assert_ptr_nonnull(strstr(json_string_value(data("message")), "OUTSIDE_UNSET"));
    go_with(json_pack("{s:s, s:{s:s}}", "call", "once", "headers", "Authorization", "${HOME}"));
    pass(STEP_MS);
    ck_assert_str_eq(code(), "NOT_SENT");
    ck_assert_int_eq(world.n_sent, 0);
    end();
}
END_TEST

START_TEST(address_that_is_a_secret)
{
    setenv("OUTSIDE_HOOK", "https://hooks.example/T0/sesame", 1);
    begin();
    go("hook");
    pass(STEP_MS);
    ck_assert_str_eq(outcome(), "REPLIED");
    ck_assert_str_eq(world.sent[0].url, "https://hooks.example/T0/sesame");
    ck_assert_int_eq(virtual_count(world.v, "SELECT count(*) AS n FROM turns WHERE record LIKE '%sesame%'"), 0);
    end();
    unsetenv("OUTSIDE_HOOK");
    begin();
    go("hook");
    pass(STEP_MS);
    ck_assert_str_eq(code(), "NOT_SENT");
    ck_assert_ptr_nonnull(strstr(json_string_value(data("message")), "OUTSIDE_HOOK"));
    ck_assert_int_eq(world.n_sent, 0);
    end();
}
END_TEST

/* ---- what a complete answer says --------------------------------------------------------------------------------- */

/* For each policy: what is told to the component, after how many attempts and questions. */
START_TEST(answers_by_policy)
{
    static const struct {
        const char *call;
        const struct reply *first;
        const char *outcome, *code;
        int sent, asked;
    } cases[] = {
        {"read", &good, "REPLIED", "", 1, 0},
        {"read", &server_error, "REPLIED", "", 1, 0},
        {"read", &nonsense, "REPLIED", "", 1, 0},
        {"read", &refused, "REPLIED", "", 1, 0},
        {"read", &timed_out, "TIMEOUT", "TIMEOUT", 1, 0},
        {"read", &broken, "ERROR", "BROKEN", 1, 0},
        {"read", &not_sent, "ERROR", "NOT_SENT", 1, 0},
        {"read", &not_taken, "ERROR", "NOT_SENT", 1, 0},
        {"again", &good, "REPLIED", "", 1, 0},
        {"again", &server_error, "REPLIED", "", 2, 0},
        {"again", &nonsense, "REPLIED", "", 2, 0},
        {"again", &refused, "REPLIED", "", 1, 0},
        {"again", &timed_out, "REPLIED", "", 2, 0},
        {"again", &broken, "REPLIED", "", 2, 0},
        {"again", &not_sent, "ERROR", "NOT_SENT", 1, 0},
        {"again", &not_taken, "ERROR", "NOT_SENT", 1, 0},
        {"checked", &good, "REPLIED", "", 1, 0},
        {"checked", &server_error, "REPLIED", "", 1, 1},
        {"checked", &nonsense, "REPLIED", "", 1, 1},
        {"checked", &refused, "REPLIED", "", 1, 0},
        {"checked", &timed_out, "REPLIED", "", 1, 1},
        {"checked", &broken, "REPLIED", "", 1, 1},
        {"checked", &not_sent, "ERROR", "NOT_SENT", 1, 0},
        {"checked", &not_taken, "ERROR", "NOT_SENT", 1, 0},
        {"once", &good, "REPLIED", "", 1, 0},
        {"once", &server_error, "UNKNOWN", "UNKNOWN", 1, 0},
        {"once", &nonsense, "UNKNOWN", "UNKNOWN", 1, 0},
        {"once", &refused, "REPLIED", "", 1, 0},
        {"once", &timed_out, "UNKNOWN", "UNKNOWN", 1, 0},
        {"once", &broken, "UNKNOWN", "UNKNOWN", 1, 0},
        {"once", &not_sent, "ERROR", "NOT_SENT", 1, 0},
        {"once", &not_taken, "ERROR", "NOT_SENT", 1, 0},
    };
    begin();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CALLS(*cases[i].first, good);
        go(cases[i].call);
        pass(10000);
        ck_assert_msg(strcmp(outcome(), cases[i].outcome) == 0 && strcmp(code(), cases[i].code) == 0, "%zu: %s: %s %s",
                      i, cases[i].call, outcome(), code());
        ck_assert_msg(world.n_sent == cases[i].sent && world.n_asked == cases[i].asked, "%zu: %s: %d sent, %d asked", i,
                      cases[i].call, world.n_sent, world.n_asked);
        ck_assert_int_eq(answers(), (int64_t)i + 1);
    }
    end();
}
END_TEST

/* What is no JSON comes as text. */
START_TEST(text_of_an_answer)
{
    begin();
    CALLS(nonsense);
    go("read");
    pass(STEP_MS);
    ck_assert(json_is_null(data("body")));
    ck_assert_str_eq(json_string_value(data("text")), "<html>");
    end();
}
END_TEST

/* ---- repeat ------------------------------------------------------------------------------------------------------ */

START_TEST(repeats_with_the_same_key)
{
    begin();
    CALLS(broken, timed_out, not_sent, server_error, good); /* after the first attempt, "not sent" says nothing */
    go("again");
    pass(60000);
    ck_assert_str_eq(outcome(), "REPLIED");
    ck_assert_int_eq(world.n_sent, 5);
    for (int i = 0; i < 5; i++)
        ck_assert_str_eq(header(&world.sent[i], "Idempotency-Key"), "REF-1");
    for (int i = 2; i < 5; i++) /* further and further apart */
        ck_assert_int_gt(world.sent[i].at_ms - world.sent[i - 1].at_ms,
                         world.sent[i - 1].at_ms - world.sent[i - 2].at_ms);
    end();
}
END_TEST

START_TEST(repeats_until_the_deadline)
{
    begin();
    CALLS(broken);
    int64_t until = core_now_ms(world.v->core) + 20000;
    go_with(json_pack("{s:s, s:I}", "call", "again", "deadline_ms", (json_int_t)until));
    pass(60000);
    ck_assert_str_eq(outcome(), "UNKNOWN");
    ck_assert_int_gt(world.n_sent, 2);
    ck_assert_int_lt(world.sent[world.n_sent - 1].at_ms, until);
    end();
}
END_TEST

/* ---- verify ------------------------------------------------------------------------------------------------------ */

START_TEST(found_is_the_result)
{
    begin();
    CALLS(broken);
    STATES(pending, found);
    go("checked");
    pass(20000);
    ck_assert_str_eq(outcome(), "REPLIED");
    ck_assert_str_eq(json_string_value(json_object_get(data("body"), "done")), "before");
    ck_assert(json_is_true(data("verified")));
    ck_assert_int_eq(world.n_sent, 1);
    ck_assert_int_eq(world.n_asked, 2);
    ck_assert_str_eq(world.asked[0].url, "http://outside.example/v1/state?key=REF-1");
    ck_assert_str_eq(header(&world.sent[0], "X-Reference"), "REF-1");
    end();
}
END_TEST

START_TEST(absent_is_sent_again)
{
    begin();
    CALLS(broken, good);
    STATES(absent);
    go("checked");
    pass(20000);
    ck_assert_str_eq(outcome(), "REPLIED");
    ck_assert(json_is_true(json_object_get(data("body"), "done")));
    ck_assert_int_eq(world.n_sent, 2);
    ck_assert_int_eq(world.n_asked, 1);
    ck_assert_str_eq(header(&world.sent[1], "X-Reference"), "REF-1");
    ck_assert_str_eq(world.sent[1].body, world.sent[0].body);
    end();
}
END_TEST

/* Lost again and again: each time the question goes first. */
START_TEST(asks_before_each_attempt)
{
    begin();
    CALLS(broken, timed_out, not_sent, good);
    STATES(absent);
    go("checked");
    pass(60000);
    ck_assert_str_eq(outcome(), "REPLIED");
    ck_assert_int_eq(world.n_sent, 4);
    ck_assert_int_eq(world.n_asked, 3);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_ge(world.asked[i].at_ms, world.sent[i].at_ms);
        ck_assert_int_ge(world.sent[i + 1].at_ms, world.asked[i].at_ms);
    }
    end();
}
END_TEST

START_TEST(pending_ends_with_the_deadline)
{
    begin();
    CALLS(broken);
    STATES(pending);
    int64_t until = core_now_ms(world.v->core) + 30000;
    go_with(json_pack("{s:s, s:s, s:I}", "call", "checked", "key", "REF-1", "deadline_ms", (json_int_t)until));
    pass(120000);
    ck_assert_str_eq(outcome(), "UNKNOWN");
    ck_assert_int_eq(world.n_sent, 1);
    ck_assert_int_gt(world.n_asked, 3);
    ck_assert_int_lt(world.n_asked, 10);
    ck_assert_int_lt(world.asked[world.n_asked - 1].at_ms, until);
    for (int i = 2; i < world.n_asked; i++)
        ck_assert_int_gt(world.asked[i].at_ms - world.asked[i - 1].at_ms,
                         world.asked[i - 1].at_ms - world.asked[i - 2].at_ms);
    end();
}
END_TEST

/* A question that fails, or is not answered, says nothing: the call is not sent again. */
START_TEST(failed_question_is_asked_again)
{
    begin();
    CALLS(broken);
    STATES(server_error, nonsense, timed_out, broken, silent, found);
    go("checked");
    pass(120000);
    ck_assert_str_eq(outcome(), "REPLIED");
    ck_assert_int_eq(world.n_sent, 1);
    ck_assert_int_eq(world.n_asked, 6);
    world.n_waiting = 0;
    pass(600000); /* the question that nobody answered ends with its request */
    restart();
    pass(STEP_MS);
    end();
}
END_TEST

/* ---- restart ----------------------------------------------------------------------------------------------------- */

START_TEST(restart_by_policy)
{
    static const struct {
        const char *call, *outcome;
        int sent, asked; /* after the restart */
    } cases[] = {
        {"read", "REPLIED", 1, 0}, {"again", "REPLIED", 1, 0}, {"checked", "REPLIED", 0, 1}, {"once", "UNKNOWN", 0, 0}};
    begin();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char key[16];
        CALLS(silent, good);
        snprintf(key, sizeof key, "REF-%zu", i);
        go_with(json_pack("{s:s, s:s}", "call", cases[i].call, "key", key));
        pass(1000);
        ck_assert_int_eq(world.n_sent, 1);
        ck_assert_int_eq(seen.n, 0);
        restart(); /* whoever asked has gone with the host */
        pass(10000);
        ck_assert_msg(world.n_sent == 1 + cases[i].sent && world.n_asked == cases[i].asked, "%s: %d sent, %d asked",
                      cases[i].call, world.n_sent, world.n_asked);
        if (cases[i].sent && strcmp(cases[i].call, "read") != 0)
            ck_assert_str_eq(header(&world.sent[1], "Idempotency-Key"), key);
        ck_assert_int_eq(answers(), (int64_t)i + 1);
        char sql[200];
        snprintf(sql, sizeof sql,
                 "SELECT count(*) AS n FROM turns WHERE record LIKE '%%\"outcome\":\"%s\"%%' AND seq = "
                 "(SELECT max(seq) FROM turns WHERE type = '%s.reply')",
                 cases[i].outcome, cases[i].call);
        ck_assert_int_eq(virtual_count(world.v, sql), 1);
        virtual_conserved(world.v);
    }
    end();
}
END_TEST

/* The client asks again with its key, and gets the one answer. */
START_TEST(restart_keeps_the_clients_key)
{
    struct edge_error failure;
    begin();
    CALLS(silent);
    STATES(silent, pending, found);
    for (int i = 0; i < 3; i++) { /* lost; lost while asked about; known */
        struct edge_in in = {.source = "test",
                             .key = "K",
                             .to = OUTSIDE,
                             .type = "go",
                             .priority = -1,
                             .data = json_pack("{s:s, s:s}", "call", "checked", "key", "REF-9")};
        ck_assert_int_eq(edge_submit(world.v->core, &in, virtual_seen, &seen, NULL, &failure), 0);
        pass(i == 2 ? 10000 : 400);
        if (i < 2) {
            ck_assert_int_eq(seen.n, 0);
            restart();
        }
    }
    ck_assert_str_eq(outcome(), "REPLIED");
    ck_assert_int_eq(world.n_sent, 1);
    ck_assert_int_eq(answers(), 1);
    end();
}
END_TEST

/* Ended after the answer came, before the turn that takes it: the row stands, and the answer comes again. */
START_TEST(restart_with_the_answer_in_hand)
{
    begin();
    CALLS(good);
    go("again");
    core_step(world.v->core, core_now_ms(world.v->core));
    ck_assert(answer_one());
    ck_assert_int_eq(virtual_count(world.v, "SELECT count(*) AS n FROM open_items WHERE kind = 'effect'"), 1);
    restart();
    pass(10000);
    ck_assert_int_eq(world.n_sent, 2);
    ck_assert_str_eq(header(&world.sent[1], "Idempotency-Key"), "REF-1");
    ck_assert_int_eq(answers(), 1);
    end();
}
END_TEST

/* The clock begins anew with each host, so the deadline is put just behind its beginning. */
START_TEST(restart_after_the_deadline)
{
    begin();
    CALLS(silent, good);
    static const char *const calls[] = {"again", "checked"};
    for (int i = 0; i < 2; i++) {
        restart();
        int64_t soon = core_now_ms(world.v->core) + 100;
        go_with(json_pack("{s:s, s:I}", "call", calls[i], "deadline_ms", (json_int_t)soon));
        core_step(world.v->core, core_now_ms(world.v->core));
        restart();
        pass(10000);
        ck_assert_int_eq(world.n_sent, 1);
        ck_assert_int_eq(world.n_asked, 0);
        ck_assert_int_eq(answers(), i + 1);
    }
    end();
}
END_TEST

/* ---- look-ups ---------------------------------------------------------------------------------------------------- */

static void have_looked(json_t *data)
{
    forget();
    json_decref(seen.data);
    seen = (struct answer_seen){0};
    virtual_submit(world.v, OUTSIDE, "have_looked", data, &seen);
}

#define TURNS_OF(type) virtual_count(world.v, "SELECT count(*) AS n FROM turns WHERE type = '" type "'")

/* Of the look-up nothing is kept but its reply, which names who gave it. */
START_TEST(look_up_leaves_its_reply)
{
    begin();
    have_looked(json_pack("{s:{s:s}}", "data", "call", "read"));
    pass(1000);
    ck_assert_str_eq(outcome(), "REPLIED");
    ck_assert_str_eq(json_string_value(json_object_get(data("data"), "body") ? data("outcome") : NULL), "REPLIED");
    ck_assert_int_eq(TURNS_OF("look"), 0);
    ck_assert_int_eq(TURNS_OF("read.reply"), 0);
    ck_assert_int_eq(TURNS_OF("look.reply"), 1);
    ck_assert_int_eq(virtual_count(world.v, "SELECT count(*) AS n FROM turns WHERE type = 'have_looked' AND "
                                            "record LIKE '%\"look\":{\"to\":\"test.outside\"%'"),
                     1);
    ck_assert_int_eq(virtual_count(world.v, "SELECT count(*) AS n FROM open_items WHERE kind = 'effect'"), 0);
    ck_assert_int_eq(virtual_replays(world.v).differ, 0);
    end();
}
END_TEST

/* To an operation that keeps something it is a request like any other. */
START_TEST(look_up_that_keeps_something_is_a_request)
{
    begin();
    have_looked(
        json_pack("{s:s, s:{s:s, s:s, s:i}}", "of", "note", "data", "note_id", "N1", "colour", "red", "size", 1));
    pass(1000);
    ck_assert_int_eq(TURNS_OF("note"), 1);
    ck_assert_str_eq(outcome(), "REPLIED");
    end();
}
END_TEST

START_TEST(look_up_ends_with_its_time)
{
    begin();
    CALLS(silent);
    have_looked(json_pack("{s:i, s:{s:s}}", "within_ms", 2000, "data", "call", "read"));
    pass(1500);
    ck_assert_int_eq(seen.n, 0);
    pass(1000);
    ck_assert_str_eq(outcome(), "TIMEOUT");
    ck_assert_int_eq(answers(), 1);
    end();
}
END_TEST

/* A host that ends meanwhile asks once more; who answers twice is heard once. */
START_TEST(look_up_is_asked_again_after_a_restart)
{
    begin();
    CALLS(silent, good);
    have_looked(json_pack("{s:{s:s}}", "data", "call", "read"));
    pass(1000);
    ck_assert_int_eq(world.n_sent, 1);
    ck_assert_int_eq(virtual_count(world.v, "SELECT count(*) AS n FROM open_items WHERE kind = 'effect'"), 1);
    restart();
    pass(1000);
    ck_assert_int_eq(world.n_sent, 2);
    ck_assert_int_eq(answers(), 1);
    ck_assert_int_eq(TURNS_OF("look.reply"), 1);
    restart();
    pass(1000);
    ck_assert_int_eq(world.n_sent, 2);
    end();
}
END_TEST

static void is_disabled(void *arg, int error, json_t *report)
{
    *(int *)arg = error;
    json_decref(report);
}

/* A plugin that is to go serves what is open until it has ended, also what that looks up. */
START_TEST(look_up_at_one_that_is_leaving)
{
    int disabled = 1;
    begin();
    virtual_submit(world.v, OUTSIDE, "look_late", json_pack("{s:i, s:{s:s}}", "after_ms", 2000, "data", "call", "read"),
                   &seen);
    pass(1000);
    core_change(world.v->core, CHANGE_DISABLE, "outside", false, is_disabled, &disabled);
    pass(500);
    ck_assert_int_eq(disabled, 0); /* it was told so, and serves what is open */
    pass(2000);
    ck_assert_str_eq(outcome(), "REPLIED");
    ck_assert_int_eq(world.n_sent, 1);
    end();
}
END_TEST

static void told(void *arg, const struct edge_reply *reply)
{
    snprintf(arg, 32, "%s", reply->content ? reply->content : "");
}

START_TEST(look_up_brings_the_text)
{
    char text[32] = "?";
    struct edge_error fault;
    begin();
    struct edge_in in = {.source = "test",
                         .to = OUTSIDE,
                         .type = "have_looked",
                         .data = json_pack("{s:s, s:{s:s}}", "of", "tell", "data", "text", "good morning"),
                         .priority = -1};
    ck_assert_int_eq(edge_submit(world.v->core, &in, told, text, NULL, &fault), 0);
    pass(1000);
    ck_assert_str_eq(text, "good morning");
    end();
}
END_TEST

/* ---- nobody waits ------------------------------------------------------------------------------------------------ */

/* No route for the reply: the row goes all the same. The request that asked ends by its deadline. */
START_TEST(answer_nobody_takes)
{
    begin();
    CALLS(broken);
    go("unheard");
    pass(1000);
    ck_assert_int_eq(virtual_count(world.v, "SELECT count(*) AS n FROM open_items WHERE kind = 'effect'"), 0);
    pass(700000);
    ck_assert_int_eq(seen.outcome, CVM_TIMEOUT);
    end();
}
END_TEST

/* ---- questions to the tables ------------------------------------------------------------------------------------- */

static void list(const char *type, json_t *query)
{
    json_decref(seen.data);
    seen = (struct answer_seen){0};
    virtual_submit(world.v, OUTSIDE, type, query, &seen);
    pass(STEP_MS);
    ck_assert_int_eq(seen.n, 1);
}

static const char *row(size_t i)
{
    return json_string_value(json_object_get(json_array_get(data("rows"), i), "note_id"));
}

/* What a conversation tells by one channel leaves one at a time, in order; other components need not wait. */
START_TEST(channel_keeps_order)
{
    static const char *const bodies[] = {"{\"n\":0}", "{\"n\":1}", "{\"n\":2}"};
    begin();
    virtual_submit(world.v, "test.fetcher", "mail", NULL, &seen);
    core_step(world.v->core, core_now_ms(world.v->core));
    ck_assert_int_eq(world.n_sent, 3);
    pass(STEP_MS);
    forget();
    virtual_submit(world.v, "test.postman", "mail", NULL, &seen);
    for (int i = 0; i < 3; i++) {
        core_step(world.v->core, core_now_ms(world.v->core));
        ck_assert_int_eq(world.n_sent, i + 1);
        ck_assert_str_eq(world.sent[i].body, bodies[i]);
        ck_assert(answer_one());
    }
    core_step(world.v->core, core_now_ms(world.v->core));
    ck_assert_int_eq(world.n_sent, 3);
    end();
}
END_TEST

START_TEST(tables_answer)
{
    static const char *const colours[] = {"red", "blue", "red"};
    begin();
    for (int i = 0; i < 3; i++) {
        char id[8];
        snprintf(id, sizeof id, "N%d", i);
        list("note", json_pack("{s:s, s:s, s:i}", "note_id", id, "colour", colours[i], "size", 10 - i));
    }
    list("list", json_object());
    ck_assert_int_eq(json_array_size(data("rows")), 3);
    ck_assert_str_eq(row(0), "N0");
    ck_assert(json_is_false(data("more")));
    list("peek", json_pack("{s:{s:s}, s:s}", "where", "colour", "red", "order_by", "size"));
    ck_assert_int_eq(json_array_size(data("rows")), 2);
    ck_assert_str_eq(row(0), "N2");
    list("list", json_pack("{s:s, s:i}", "order_by", "-note_id", "limit", 2));
    ck_assert_int_eq(json_array_size(data("rows")), 2);
    ck_assert_str_eq(row(0), "N2");
    ck_assert(json_is_true(data("more")));
    list("list", json_pack("{s:{s:s}}", "where", "colour\" OR 1 --", "x"));
    ck_assert_int_eq(error(), CVM_EINVAL);
    list("list", json_pack("{s:s}", "order_by", "rowid"));
    ck_assert_int_eq(error(), CVM_EINVAL);
    list("list", json_pack("{s:i}", "limit", 1001));
    ck_assert_int_eq(error(), CVM_EINVAL);
    list("list", json_pack("{s:s}", "table", "turns"));
    ck_assert_int_eq(error(), CVM_EACCES);
    end();
}
END_TEST

/* Who asks goes by what comes back, also where nothing could be read. */
START_TEST(failed_question_tells_what_it_was)
{
    char path[128];
    sqlite3 *db = NULL;
    begin();
    list("list", json_pack("{s:{s:i}}", "with", "n", 7));
    ck_assert_int_eq(json_integer_value(json_object_get(data("with"), "n")), 7);
    snprintf(path, sizeof path, "%s/data/cvmhost.db", world.v->home);
    ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
    ck_assert_int_eq(sqlite3_exec(db, "ALTER TABLE outside_notes RENAME TO gone", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    list("list", json_pack("{s:{s:i}}", "with", "n", 7));
    ck_assert_str_eq(json_string_value(data("code")), "QUERY_FAILED");
    ck_assert_int_eq(json_integer_value(json_object_get(data("with"), "n")), 7);
    end();
}
END_TEST

/* A message that was open when a backup was made, not handled yet; `mark` is what `cvmhost restore` puts before it. */
static void open_in_backup(const char *call, const char *mark)
{
    char path[128], sql[1024], id[40];
    sqlite3 *db = NULL;
    virtual_close(world.v);
    id_text((cvm_id){(uint64_t)conversation_key("lost"), 7}, id);
    snprintf(path, sizeof path, "%s/data/cvmhost.db", world.v->home);
    snprintf(sql, sizeof sql,
             "INSERT INTO open_items VALUES(900, 'message', '{%s\"envelope\":{\"message_id\":\"%s\",\"sender\":\"%s\","
             "\"recipient\":\"%s\",\"type\":\"go\",\"message_type\":\"notification\",\"conversation\":\"lost\","
             "\"structured_data\":{\"call\":\"%s\",\"key\":\"REF-1\"}},\"timestamp_ms\":1,\"reply\":0,\"v\":1}')",
             mark, id, OUTSIDE, OUTSIDE, call);
    ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
    ck_assert_msg(sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK, "%s", sqlite3_errmsg(db));
    sqlite3_close(db);
    forget();
    virtual_open(world.v);
    pass(3000);
}

/* Between the backup and the loss the call may have been made: as after a crash it is asked for, or reported. */
START_TEST(restored_calls_may_have_been_made)
{
    unsetenv("CVMHOST_TEST_REPLAY"); /* the journal does not know what the test wrote itself */
    begin();
    open_in_backup("once", "");
    ck_assert_int_eq(world.n_sent, 1);
    open_in_backup("once", "\"restored\":1,");
    ck_assert_int_eq(world.n_sent, 0);
    ck_assert_int_eq(virtual_count(world.v, "SELECT count(*) AS n FROM turns WHERE record LIKE '%\"UNKNOWN\"%'"), 1);
    open_in_backup("checked", "\"restored\":1,");
    ck_assert_int_eq(world.n_asked, 1);
    ck_assert_int_eq(world.n_sent, 0);
    open_in_backup("again", "\"restored\":1,");
    ck_assert_int_eq(world.n_sent, 1);
    ck_assert_str_eq(header(&world.sent[0], "Idempotency-Key"), "REF-1");
    end();
}
END_TEST

/* ---- mail ---------------------------------------------------------------------------------------------------------
 */

static const struct reply taken = {HTTP_ANSWERED, 250, "2.0.0 queued"},
                          later = {HTTP_ANSWERED, 451, "4.7.1 greylisted"},
                          never = {HTTP_ANSWERED, 550, "5.1.1 nobody"};

static void write_to(json_t *letter)
{
    forget();
    json_decref(seen.data);
    seen = (struct answer_seen){0};
    virtual_submit(world.v, OUTSIDE, "write", letter, &seen);
}

static void write_letter(const char *call)
{
    write_to(json_pack("{s:s, s:s, s:s}", "call", call, "key", "REF-1", "subject", "Hello"));
}

START_TEST(letters_by_answer)
{
    static const struct {
        const char *call;
        const struct reply *first;
        const char *outcome, *code;
        int sent;
    } cases[] = {
        {"letter", &taken, "REPLIED", "", 1},
        {"letter", &never, "REFUSED", "MAIL_REFUSED", 1},
        {"letter", &later, "REPLIED", "", 2},
        {"letter", &not_sent, "REPLIED", "", 2},
        {"letter", &not_taken, "REPLIED", "", 2},
        {"letter", &broken, "UNKNOWN", "UNKNOWN", 1},
        {"letter", &timed_out, "UNKNOWN", "UNKNOWN", 1},
        {"letter_again", &taken, "REPLIED", "", 1},
        {"letter_again", &never, "REFUSED", "MAIL_REFUSED", 1},
        {"letter_again", &broken, "REPLIED", "", 2},
        {"letter_again", &timed_out, "REPLIED", "", 2},
    };
    begin();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CALLS(*cases[i].first, taken);
        write_letter(cases[i].call);
        pass(10000);
        ck_assert_msg(strcmp(outcome(), cases[i].outcome) == 0 && strcmp(code(), cases[i].code) == 0, "%zu: %s: %s %s",
                      i, cases[i].call, outcome(), code());
        ck_assert_msg(world.n_sent == cases[i].sent, "%zu: %d sent", i, world.n_sent);
        for (int k = 0; k < world.n_sent; k++) {
            ck_assert_str_eq(world.sent[k].method, "MAIL");
            ck_assert_str_eq(world.sent[k].url, "smtp://mx.example");
            ck_assert_str_eq(header(&world.sent[k], "Message-ID"), "REF-1");
            ck_assert_str_eq(header(&world.sent[k], "password"), "hush-hush");
            ck_assert_int_eq(world.sent[k].durable_effects, 1); /* never before its turn is */
        }
    }
    ck_assert_int_eq(virtual_count(world.v, "SELECT count(*) AS n FROM turns WHERE record LIKE '%hush-hush%'"), 0);
    CALLS(taken);
    write_letter("letter");
    pass(STEP_MS);
    ck_assert_int_eq(json_integer_value(data("status")), 250);
    ck_assert_str_eq(json_string_value(data("text")), "2.0.0 queued");
    end();
}
END_TEST

/* "Later" until the deadline is a mail that did not leave, unless an attempt before may have delivered it. */
START_TEST(letters_until_the_deadline)
{
    begin();
    for (int i = 0; i < 2; i++) {
        int64_t until = core_now_ms(world.v->core) + 30000;
        if (i)
            CALLS(broken, later);
        else
            CALLS(later);
        write_to(json_pack("{s:s, s:s, s:I}", "call", i ? "letter_again" : "letter", "subject", "x", "deadline_ms",
                           (json_int_t)until));
        pass(60000);
        ck_assert_str_eq(outcome(), i ? "UNKNOWN" : "ERROR");
        ck_assert_str_eq(code(), i ? "UNKNOWN" : "NOT_SENT");
        ck_assert(i || strstr(json_string_value(data("message")), "greylisted"));
        ck_assert_int_gt(world.n_sent, 3);
        ck_assert_int_lt(world.sent[world.n_sent - 1].at_ms, until);
    }
    end();
}
END_TEST

START_TEST(letters_after_a_restart)
{
    static const char *const calls[] = {"letter", "letter_again"};
    begin();
    for (int i = 0; i < 2; i++) {
        CALLS(silent, taken);
        write_letter(calls[i]);
        pass(1000);
        ck_assert_int_eq(world.n_sent, 1);
        restart();
        pass(10000);
        ck_assert_int_eq(world.n_sent, 1 + i);
        if (i)
            ck_assert_str_eq(header(&world.sent[1], "Message-ID"), "REF-1");
        virtual_conserved(world.v);
    }
    end();
}
END_TEST

START_TEST(letters_that_are_none)
{
    static const struct {
        const char *member, *value;
    } cases[] = {{"subject", "Hello\r\nBcc: eve@example.com"}, {"to", "ada@example.com\nDATA"}, {"to", "ada"}};
    begin();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_to(json_pack("{s:s, s:s}", "call", "letter", cases[i].member, cases[i].value));
        pass(STEP_MS);
        ck_assert_int_eq(json_integer_value(json_object_get(seen.data, "error")), CVM_EINVAL);
        ck_assert_int_eq(world.n_sent, 0);
    }
    write_to(json_pack("{s:s, s:s, s:s}", "call", "letter", "subject", "x", "password", "${OUTSIDE_UNSET}"));
    pass(STEP_MS);
    ck_assert_str_eq(code(), "NOT_SENT");
    ck_assert_ptr_nonnull(strstr(json_string_value(data("message")), "OUTSIDE_UNSET"));
    end();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("effect");
    TCase *c = tcase_create("effect");
    tcase_set_timeout(c, 60);
    tcase_add_test(c, leaves_when_its_turn_is_durable);
    tcase_add_test(c, address_is_made_of_parts);
    tcase_add_test(c, key_of_its_own);
    tcase_add_test(c, what_may_not_leave);
    tcase_add_test(c, ephemeral_turn_may_only_read);
    tcase_add_test(c, secrets_go_into_headers_only);
    tcase_add_test(c, address_that_is_a_secret);
    tcase_add_test(c, answers_by_policy);
    tcase_add_test(c, text_of_an_answer);
    tcase_add_test(c, repeats_with_the_same_key);
    tcase_add_test(c, repeats_until_the_deadline);
    tcase_add_test(c, found_is_the_result);
    tcase_add_test(c, absent_is_sent_again);
    tcase_add_test(c, asks_before_each_attempt);
    tcase_add_test(c, pending_ends_with_the_deadline);
    tcase_add_test(c, failed_question_is_asked_again);
    tcase_add_test(c, restart_by_policy);
    tcase_add_test(c, restart_keeps_the_clients_key);
    tcase_add_test(c, restart_with_the_answer_in_hand);
    tcase_add_test(c, restart_after_the_deadline);
    tcase_add_test(c, look_up_leaves_its_reply);
    tcase_add_test(c, look_up_that_keeps_something_is_a_request);
    tcase_add_test(c, look_up_ends_with_its_time);
    tcase_add_test(c, look_up_is_asked_again_after_a_restart);
    tcase_add_test(c, look_up_at_one_that_is_leaving);
    tcase_add_test(c, look_up_brings_the_text);
    tcase_add_test(c, answer_nobody_takes);
    tcase_add_test(c, channel_keeps_order);
    tcase_add_test(c, tables_answer);
    tcase_add_test(c, failed_question_tells_what_it_was);
    tcase_add_test(c, restored_calls_may_have_been_made);
    tcase_add_test(c, letters_by_answer);
    tcase_add_test(c, letters_until_the_deadline);
    tcase_add_test(c, letters_after_a_restart);
    tcase_add_test(c, letters_that_are_none);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
