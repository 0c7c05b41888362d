/* What a manifest declares once is a command with help and completion, a route in the description, a permission, rows
 * of metrics: from the moment its plugin is dropped into a running host, and no longer than that. */
#include "flow.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOKEN "caller-caller-caller"
static const char *const bearer[] = {"Authorization: Bearer " TOKEN, NULL};
static const char *const reader[] = {"Authorization: Bearer reader-reader-reader", NULL};

/* A host with another plugin and three tokens: one holds the permission "shout", one another, one cannot be sent. */
static struct flow *started(void)
{
    struct flow *f = flow_new();
    flow_plugin(f, "faulty");
    flow_env(f, "CALLER_TOKEN", TOKEN);
    flow_config(f, "access",
                json_pack("{s:[{s:s,s:s,s:[s]},{s:s,s:s,s:[s]},{s:s,s:s,s:[s]}]}", "tokens", "name", "caller", "secret",
                          "CALLER_TOKEN", "permissions", "shout", "name", "reader", "sha256",
                          "97125f517be38fa84a31c94bff092c67f53f24aee96da4b8594641ea8be7e3cf", "permissions", "read",
                          "name", "nobody", "secret", "NOT_SET_TOKEN", "permissions", "*"));
    flow_start(f);
    return f;
}

/* The plugin echo, with more in its manifest than it has in the sources: "shout" asks for a permission, has words and a
 * route of its own. */
static void drop_in(struct flow *f, const char *route)
{
    flow_plugin(f, "echo");
    char *text = flow_read(f, "manifests/echo.json");
    json_t *manifest = json_loads(text, 0, NULL);
    json_t *component = json_array_get(json_object_get(manifest, "components"), 0);
    json_t *shout = json_array_get(json_object_get(component, "operations"), 1);
    ck_assert_str_eq(json_string_value(json_object_get(shout, "type")), "shout");
    json_object_set_new(shout, "expose",
                        json_pack("{s:s, s:s, s:s, s:s}", "cli", "echo shout", "help", "Shouts it out", "rest", route,
                                  "permission", "shout"));
    json_object_set_new(
        shout, "request",
        json_loads("{\"type\": \"object\", \"properties\": {\"how\": {\"enum\": [\"loudly\", \"softly\"], "
                   "\"description\": \"in which way\"}}}",
                   0, NULL));
    free(text);
    text = json_dumps(manifest, JSON_INDENT(2));
    flow_write(f, "manifests/echo.json", text);
    free(text);
    json_decref(manifest);
}

/* Whether a command's output has a text. Its exit status must be `status`. */
static bool says(struct flow *f, int status, const char *text, const char *const *words)
{
    struct flow_answer a;
    int got = flow_run(f, &a, words);
    ck_assert_msg(got == status, "%s %s: exit status %d: %s%s", words[0], words[1] ? words[1] : "", got, a.text,
                  a.errors);
    bool found = strstr(a.text, text) || strstr(a.errors, text);
    flow_answer_free(&a);
    return found;
}
#define SAYS(f, status, text, ...) says(f, status, text, (const char *const[]){__VA_ARGS__, NULL})

static void http(struct flow *f, int status, const char *path, const char *body, const char *const *headers,
                 const char *text)
{
    struct flow_answer a;
    int got = flow_http(f, "POST", path, body, headers, &a);
    ck_assert_msg(got == status, "%s: %d: %s", path, got, a.text);
    ck_assert_msg(strstr(a.text, text) || strstr(a.headers, text), "%s: no \"%s\" in %s%s", path, text, a.headers,
                  a.text);
    flow_answer_free(&a);
}

/* The description of the routes; its ETag in `ret_etag`. */
static json_t *description(struct flow *f, char ret_etag[64])
{
    struct flow_answer a;
    ck_assert_int_eq(flow_http(f, "GET", "/api/v1/openapi.json", NULL, NULL, &a), 200);
    const char *etag = strstr(a.headers, "ETag: ");
    if (!etag)
        etag = strstr(a.headers, "etag: ");
    ck_assert_ptr_nonnull(etag);
    snprintf(ret_etag, 64, "%.*s", (int)strcspn(etag + 6, "\r\n"), etag + 6);
    json_t *document = json_incref(a.json);
    flow_answer_free(&a);
    return document;
}

static bool describes(struct flow *f, const char *path)
{
    char etag[64];
    json_t *document = description(f, etag);
    bool found = json_object_get(json_object_get(document, "paths"), path) != NULL;
    json_decref(document);
    return found;
}

static const char row[] =
    "cvmhost_operation_requests_total{component=\"test.echo_a\",operation=\"shout\",result=\"done\"}";

static void is_there(struct flow *f, const char *path)
{
    ck_assert(SAYS(f, 0, "echo shout                   Shouts it out", "help"));
    ck_assert(SAYS(f, 0, "--how                      in which way (loudly|softly)", "echo", "shout", "--help"));
    ck_assert(SAYS(f, 0, path, "echo", "shout", "--help"));
    ck_assert(SAYS(f, 0, "echo publish", "echo", "--help"));
    ck_assert(SAYS(f, 0, "shout\tShouts it out", "complete", "--", "echo", "s"));
    ck_assert(SAYS(f, 0, "softly", "complete", "--", "echo", "shout", "--how", "s"));
    ck_assert(SAYS(f, 0, "test.echo_a", "complete", "--", "agent", "call", "test.e"));
    ck_assert(SAYS(f, 0, "echo", "complete", "--", "rollback", "e"));
    ck_assert(SAYS(f, 0, "", "echo", "shout", "--how", "loudly"));
    http(f, 200, path, "{}", bearer, "");
    http(f, 401, path, "{}", NULL, "UNAUTHORIZED");
    http(f, 403, path, "{}", reader, "does not hold the permission \\\"shout\\\"");
    ck_assert(describes(f, path));
    ck_assert(SAYS(f, 0, path, "openapi"));
    ck_assert(SAYS(f, 0, "test.echo_a shout", "permission", "list"));
    ck_assert(SAYS(f, 0, row, "metrics"));
    ck_assert(!SAYS(f, 0, "operation=\"heard\"", "metrics")); /* only on the bus */
    ck_assert(SAYS(f, 0, "cvmhost_component_turns_total{component=\"test.echo_a\"}", "metrics"));
}

static void is_not_there(struct flow *f, const char *path)
{
    ck_assert(!SAYS(f, 0, "echo shout", "help"));
    ck_assert(SAYS(f, 2, "there is no command \"echo shout\"", "echo", "shout"));
    ck_assert(SAYS(f, 2, "there is no command \"echo shout\"", "echo", "shout", "--help"));
    ck_assert(SAYS(f, 4, "no component \"test.echo_a\" is loaded", "agent", "call", "test.echo_a", "shout"));
    ck_assert(!SAYS(f, 0, "shout", "complete", "--", "echo", "s"));
    ck_assert(!SAYS(f, 0, "echo", "complete", "--", "agent", "call", "test.e"));
    http(f, 404, path, "{}", bearer, "NOT_FOUND");
    http(f, 404, path, "{}", NULL, "NOT_FOUND");
    ck_assert(!describes(f, path));
    ck_assert(!SAYS(f, 0, path, "openapi"));
    ck_assert(!SAYS(f, 0, "test.echo_a", "permission", "list"));
    ck_assert(SAYS(f, 0, "caller", "permission", "list")); /* the token stays, and what it holds */
    ck_assert(!SAYS(f, 0, "test.echo_a", "metrics"));
}

START_TEST(appears_and_vanishes_while_the_host_runs)
{
    struct flow *f = started();
    is_not_there(f, "/test/shout");
    drop_in(f, "POST /test/shout");
    is_not_there(f, "/test/shout"); /* nobody has asked for it yet */
    ck_assert_int_eq(FLOW_RUN(f, NULL, "reload"), 0);
    is_there(f, "/test/shout");
    ck_assert_int_eq(FLOW_RUN(f, NULL, "plugin", "disable", "echo", "--now"), 0);
    is_not_there(f, "/test/shout");
    ck_assert_int_eq(FLOW_RUN(f, NULL, "plugin", "enable", "echo"), 0);
    is_there(f, "/test/shout");
    ck_assert_int_eq(FLOW_RUN(f, NULL, "plugin", "remove", "echo", "--now"), 0);
    is_not_there(f, "/test/shout");
    drop_in(f, "POST /test/shout");
    ck_assert_int_eq(FLOW_RUN(f, NULL, "reload"), 0);
    is_there(f, "/test/shout");
    flow_end(f);
}
END_TEST

START_TEST(follows_a_changed_manifest)
{
    struct flow *f = started();
    char before[64], same[64], after[64];
    drop_in(f, "POST /test/shout");
    ck_assert_int_eq(FLOW_RUN(f, NULL, "reload"), 0);
    json_decref(description(f, before));
    json_decref(description(f, same));
    ck_assert_str_eq(before, same);
    drop_in(f, "POST /test/cry/aloud");
    ck_assert_int_eq(FLOW_RUN(f, NULL, "reload", "echo"), 0);
    is_there(f, "/test/cry/aloud");
    http(f, 404, "/test/shout", "{}", bearer, "NOT_FOUND");
    ck_assert(!describes(f, "/test/shout"));
    json_decref(description(f, after));
    ck_assert_str_ne(before, after);
    ck_assert_int_eq(FLOW_RUN(f, NULL, "rollback", "echo"), 0);
    is_there(f, "/test/shout");
    ck_assert(!describes(f, "/test/cry/aloud"));
    flow_end(f);
}
END_TEST

START_TEST(is_the_same_without_a_host)
{
    struct flow *f = started();
    struct flow_answer running, files;
    drop_in(f, "POST /test/shout");
    ck_assert_int_eq(FLOW_RUN(f, NULL, "reload"), 0);
    ck_assert_int_eq(FLOW_RUN(f, &running, "openapi"), 0);
    ck_assert_int_eq(flow_stop(f), 0);
    ck_assert_int_eq(FLOW_RUN(f, &files, "openapi"), 0);
    ck_assert(json_equal(running.json, files.json));
    flow_answer_free(&running);
    flow_answer_free(&files);
    ck_assert(SAYS(f, 0, "Shouts it out", "echo", "shout", "--help"));
    ck_assert(SAYS(f, 0, "shout\tShouts it out", "complete", "--", "echo", "s"));
    flow_free(f);
}
END_TEST

START_TEST(counts_and_names_who_asked)
{
    struct flow *f = started();
    char wanted[160];
    drop_in(f, "POST /test/shout");
    ck_assert_int_eq(FLOW_RUN(f, NULL, "reload"), 0);
    snprintf(wanted, sizeof wanted, "%s 0\n", row);
    ck_assert(SAYS(f, 0, wanted, "metrics")); /* before anybody has asked */
    http(f, 200, "/test/shout", "{}", bearer, "");
    ck_assert_int_eq(FLOW_RUN(f, NULL, "echo", "shout"), 0);
    http(f, 401, "/test/shout", "{}", NULL, "WWW-Authenticate: Bearer");
    http(f, 400, "/test/shout", "{\"how\": \"never\"}", bearer, "INVALID_REQUEST");
    snprintf(wanted, sizeof wanted, "%s 2\n", row);
    ck_assert(SAYS(f, 0, wanted, "metrics"));
    flow_wait_log(f, "caller: shout of test.echo_a, message MSG-");
    http(f, 403, "/test/shout", "{}", reader, "FORBIDDEN");
    flow_wait_log(f, "reader: refused shout of test.echo_a: no permission");
    ck_assert(!flow_logged(f, TOKEN));
    ck_assert(flow_logged(f, "nobody: the secret NOT_SET_TOKEN is not set"));
    http(f, 401, "/test/shout", "{}", (const char *const[]){"Authorization: Bearer NOT_SET_TOKEN", NULL}, "not known");
    ck_assert_int_eq(flow_http(f, "GET", "/health", NULL, NULL, NULL), 200);
    http(f, 200, "/test/ok", "{}", NULL, ""); /* asks for no permission */
    flow_end(f);
}
END_TEST

START_TEST(completes_what_the_host_holds)
{
    struct flow *f = started();
    ck_assert(!SAYS(f, 0, "crash", "complete", "--", "dlq", "show", ""));
    ck_assert(SAYS(f, 1, "crashed the host", "agent", "call", "test.faulty", "crash", "--key", "k"));
    ck_assert(SAYS(f, 0, "1\ttest.faulty crash: ", "complete", "--", "dlq", "show", ""));
    ck_assert(SAYS(f, 0, "1\ttest.faulty crash: ", "complete", "--", "dlq", "redrive", ""));
    ck_assert(SAYS(f, 0, "faulty\t", "complete", "--", "plugin", "disable", ""));
    ck_assert_int_eq(FLOW_RUN(f, NULL, "plugin", "disable", "faulty", "--now"), 0);
    ck_assert(!SAYS(f, 0, "test.faulty", "complete", "--", "agent", "call", ""));
    ck_assert(SAYS(f, 0, "faulty\t", "complete", "--", "plugin", "enable", ""));
    flow_end(f);
}
END_TEST

START_TEST(follows_changed_tokens)
{
    struct flow *f = started();
    drop_in(f, "POST /test/shout");
    ck_assert_int_eq(FLOW_RUN(f, NULL, "reload"), 0);
    http(f, 200, "/test/shout", "{}", bearer, "");
    json_t *tokens = json_object_get(json_object_get(f->config, "access"), "tokens");
    json_array_clear(json_object_get(json_array_get(tokens, 0), "permissions"));
    flow_write_config(f);
    http(f, 200, "/test/shout", "{}", bearer, ""); /* nobody has asked for it yet */
    ck_assert_int_eq(FLOW_RUN(f, NULL, "reload"), 0);
    http(f, 403, "/test/shout", "{}", bearer, "FORBIDDEN");
    json_array_append_new(json_object_get(json_array_get(tokens, 0), "permissions"), json_string("shout"));
    json_object_set_new(json_array_get(tokens, 1), "name", json_string("caller")); /* twice */
    flow_write_config(f);
    ck_assert_int_eq(FLOW_RUN(f, NULL, "reload"), 0);
    http(f, 403, "/test/shout", "{}", bearer, "FORBIDDEN");
    flow_wait_log(f, "the tokens of before stay in force");
    json_object_del(f->config, "access");
    flow_write_config(f);
    ck_assert_int_eq(FLOW_RUN(f, NULL, "reload"), 0);
    http(f, 200, "/test/shout", "{}", NULL, ""); /* nobody is asked */
    flow_end(f);
}
END_TEST

START_TEST(leaves_the_hosts_own_alone)
{
    struct flow *f = started();
    struct flow_answer a;
    drop_in(f, "GET /metrics");
    ck_assert_int_eq(FLOW_RUN(f, &a, "reload"), 3);
    ck_assert_msg(strstr(a.errors, "the route \"/metrics\" belongs to the host already"), "%s", a.errors);
    flow_answer_free(&a);
    ck_assert(SAYS(f, 3, "the route \"/metrics\" belongs to the host already", "config", "check"));
    is_not_there(f, "/test/shout");
    flow_end(f);
}
END_TEST

START_TEST(warns_of_a_listener_that_asks_nobody)
{
    struct flow *f = flow_new();
    flow_plugin(f, "faulty");
    flow_config(f, "http.host", json_string("0.0.0.0"));
    flow_config(f, "http.public", json_true());
    flow_start(f);
    ck_assert(flow_logged(f, "can be reached from other machines, and nobody is asked for a token"));
    ck_assert(SAYS(f, 0, "http.host: 0.0.0.0 can be reached from other machines, and nobody is asked for a token",
                   "config", "check"));
    ck_assert(SAYS(f, 0, "no tokens are configured (access.tokens)", "permission", "list"));
    flow_end(f);
    f = started();
    ck_assert(!flow_logged(f, "can be reached from other machines"));
    ck_assert(SAYS(f, 0, "caller: no operation asks for the permission shout", "config", "check"));
    ck_assert_int_eq(flow_stop(f), 0);
    flow_env(f, "CALLER_TOKEN", "too short");
    ck_assert_int_eq(flow_start_status(f, NULL), 3);
    ck_assert_ptr_nonnull(strstr(f->start_errors, "access.tokens: caller: the secret CALLER_TOKEN must be 16 to 512"));
    ck_assert(SAYS(f, 3, "access.tokens: caller: the secret CALLER_TOKEN must be 16 to 512", "config", "check"));
    flow_free(f);
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("declared");
    tcase_set_timeout(c, 120);
    tcase_add_test(c, appears_and_vanishes_while_the_host_runs);
    tcase_add_test(c, follows_a_changed_manifest);
    tcase_add_test(c, is_the_same_without_a_host);
    tcase_add_test(c, counts_and_names_who_asked);
    tcase_add_test(c, completes_what_the_host_holds);
    tcase_add_test(c, follows_changed_tokens);
    tcase_add_test(c, leaves_the_hosts_own_alone);
    tcase_add_test(c, warns_of_a_listener_that_asks_nobody);
    return flow_main("declared", (TCase *[]){c, NULL});
}
