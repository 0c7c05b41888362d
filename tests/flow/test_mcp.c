/* A knowledge base behind a server of the Model Context Protocol, on the real host: against a server in this process
 * that is as odd as real ones are, and against one from npm, where that can be had. */
#include "flow.h"
#include "stub.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- the server ---- */

/* How it is, set by a test before the first question; and what came, under `lock`. */
static struct {
    const char *version;   /* that it answers with */
    const char *tool;      /* NULL: "search_docs" */
    const char *schema;    /* of the tool; NULL: takes a text "query" and whatever else */
    const char *result;    /* of tools/call; NULL: two documents */
    const char *error;     /* JSON-RPC error of tools/call */
    int initialize_status; /* of HTTP, where it is none of 200 */
    int call_status;       /* the same of tools/call */
    int lost_status;       /* of an unknown session: 404, or 400 with -32000 */
    int forget;            /* so many times a session is unknown when tools/call comes in it */
    int pages;             /* of tools/list; the tool is on the last */
    int gather;            /* so many calls are answered together */
    int delay_ms;          /* before a call is answered */
    bool stream, no_tools, no_session, stateless, endless_pages;

    pthread_mutex_t lock;
    pthread_cond_t came;
    int port;
    int initialized, told, listed, called, waiting;
    char session[32];
    json_t *arguments;
    char authorization[64], protocol[32], method[64], name[64];
} server = {.lock = PTHREAD_MUTEX_INITIALIZER, .came = PTHREAD_COND_INITIALIZER};

#define RESULTS                                                                                                        \
    "{\"content\": [{\"type\": \"text\", \"text\": \"two\"}], \"structuredContent\": {\"results\": ["                  \
    "{\"document_id\": \"doc-1\", \"source\": \"guide.md\", \"relevance\": 0.9, \"text\": \"Set the port.\"},"         \
    "{\"document_id\": 7, \"relevance\": 1.7, \"text\": \"Restart it.\"}]}}"

static void send_all(int fd, const char *text, size_t len)
{
    while (len) {
        ssize_t n = send(fd, text, len, MSG_NOSIGNAL);
        if (n <= 0)
            return;
        text += n;
        len -= (size_t)n;
    }
}

/* Takes `message`; NULL: no body. */
static void answer(int fd, int status, const char *headers, json_t *message, bool stream)
{
    char head[512];
    char *text = message ? json_dumps(message, JSON_COMPACT) : NULL, *body = NULL;
    if (stream && text) { /* comments, fields, what the server asks and tells, lines of all ends; the message in two */
        char *comma = strchr(text, ',');
        ck_assert_int_ge(
            asprintf(&body,
                     ": hello\r\nretry: 100\n\nevent: message\ndata: {\"jsonrpc\": \"2.0\", \"id\": 99, "
                     "\"method\": \"ping\"}\n\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\","
                     "\"params\":{\"result\":1}}\r\n\r\nid: 4\ndata: %.*s\ndata: %s\n",
                     (int)(comma - text + 1), text, comma + 1),
            0);
    }
    const char *all = body ? body : text ? text : "";
    snprintf(head, sizeof head,
             "HTTP/1.1 %d X\r\nContent-Type: %s\r\nContent-Length: %zu\r\nConnection: close\r\n%s\r\n", status,
             body ? "text/event-stream" : "application/json", strlen(all), headers);
    send_all(fd, head, strlen(head));
    send_all(fd, all, strlen(all));
    free(body);
    free(text);
    json_decref(message);
}

static json_t *message_of(const json_t *id, const char *member, const char *value)
{
    json_t *v = json_loads(value, JSON_DECODE_ANY, NULL);
    ck_assert_msg(v, "%s", value);
    return json_pack("{s:s, s:O, s:o}", "jsonrpc", "2.0", "id", id, member, v);
}

static json_t *tools_page(const json_t *id, int page)
{
    bool last = page + 1 >= server.pages && !server.endless_pages;
    json_t *tool = last ? json_pack("{s:s, s:o}", "name", server.tool ? server.tool : "search_docs", "inputSchema",
                                    json_loads(server.schema ? server.schema
                                                             : "{\"type\": \"object\", \"required\": [\"query\"], "
                                                               "\"properties\": {\"query\": {\"type\": \"string\"}, "
                                                               "\"limit\": {\"type\": \"integer\"}, "
                                                               "\"system\": {\"type\": \"string\"}}}",
                                               0, NULL))
                        : json_pack("{s:o}", "name", json_sprintf("other_%d", page));
    json_t *result = json_pack("{s:[o]}", "tools", tool);
    if (!last)
        json_object_set_new(result, "nextCursor", json_sprintf("page %d", page + 1));
    return json_pack("{s:s, s:O, s:o}", "jsonrpc", "2.0", "id", id, "result", result);
}

static void called(int fd, const json_t *id, const json_t *params)
{
    server.called++;
    json_decref(server.arguments);
    server.arguments = json_deep_copy(json_object_get(params, "arguments"));
    server.waiting++;
    pthread_cond_broadcast(&server.came);
    while (server.gather && server.waiting < server.gather)
        pthread_cond_wait(&server.came, &server.lock);
    pthread_mutex_unlock(&server.lock);
    flow_sleep_ms(server.delay_ms);
    if (server.call_status)
        answer(fd, server.call_status, "Retry-After: 1\r\n", NULL, false);
    else if (server.error)
        answer(fd, 200, "", message_of(id, "error", server.error), server.stream);
    else
        answer(fd, 200, "", message_of(id, "result", server.result ? server.result : RESULTS), server.stream);
    pthread_mutex_lock(&server.lock);
}

static void initialize(int fd, const json_t *id)
{
    char headers[64] = "", result[256];
    server.initialized++;
    snprintf(server.session, sizeof server.session, "session-%d", server.initialized);
    if (!server.no_session)
        snprintf(headers, sizeof headers, "MCP-Session-ID: %s\r\n", server.session);
    snprintf(result, sizeof result,
             "{\"protocolVersion\": \"%s\", \"capabilities\": {%s}, \"serverInfo\": {\"name\": \"stand-in\", "
             "\"version\": \"3\"}}",
             server.version ? server.version : "2025-11-25", server.no_tools ? "" : "\"tools\": {}");
    if (server.stateless)
        answer(fd, 400, "",
               message_of(id, "error",
                          "{\"code\": -32022, \"message\": \"unsupported\", \"data\": {\"supported\": "
                          "[\"2026-07-28\"]}}"),
               false);
    else if (server.initialize_status)
        answer(fd, server.initialize_status, "", NULL, false);
    else
        answer(fd, 200, headers, message_of(id, "result", result), server.stream);
}

static void handle(int fd, const char *session, const json_t *m)
{
    const char *method = json_string_value(json_object_get(m, "method"));
    const json_t *id = json_object_get(m, "id"), *params = json_object_get(m, "params");
    const char *cursor = json_string_value(json_object_get(params, "cursor"));
    snprintf(server.method, sizeof server.method, "%s", method ? method : "");
    if (!strcmp(server.method, "initialize")) {
        initialize(fd, id);
        return;
    }
    if (!strcmp(server.method, "tools/call") && server.forget > 0) {
        server.forget--;
        *server.session = 0;
    }
    if (!server.no_session && !server.stateless && strcmp(session, server.session)) {
        json_t *said = server.lost_status == 400
                           ? json_loads("{\"jsonrpc\": \"2.0\", \"error\": {\"code\": -32000, \"message\": \"no valid "
                                        "session\"}}",
                                        0, NULL)
                           : NULL;
        answer(fd, said ? 400 : 404, "", said, false);
    } else if (!id) {
        server.told++;
        answer(fd, 202, "", NULL, false);
    } else if (!strcmp(server.method, "tools/list")) {
        server.listed++;
        answer(fd, 200, "", tools_page(id, cursor ? (int)strtol(cursor + 5, NULL, 10) : 0), server.stream);
    } else {
        called(fd, id, params);
    }
}

static void answer_one(int fd, const char *text, const char *body)
{
    char session[64];
    json_t *m = json_loads(body, 0, NULL);
    pthread_mutex_lock(&server.lock);
    stub_header(text, "\r\nmcp-session-id: ", session, sizeof session);
    stub_header(text, "\r\nauthorization: ", server.authorization, sizeof server.authorization);
    stub_header(text, "\r\nmcp-protocol-version: ", server.protocol, sizeof server.protocol);
    stub_header(text, "\r\nmcp-name: ", server.name, sizeof server.name);
    if (m && strcasestr(text, "accept: application/json, text/event-stream"))
        handle(fd, session, m);
    else
        answer(fd, 406, "", NULL, false);
    pthread_mutex_unlock(&server.lock);
    json_decref(m);
}

/* ---- the host ---- */

/* A home with the plugin, its server being ours, with further settings as JSON. */
static struct flow *home(const char *settings)
{
    struct flow *f = flow_new();
    char url[64];
    server.port = stub_start(answer_one);
    flow_plugin(f, "mcp");
    flow_env(f, "MCP_TOKEN", "token-of-the-test");
    snprintf(url, sizeof url, "http://127.0.0.1:%d/mcp", server.port);
    json_t *all = json_pack("{s:s, s:s}", "url", url, "tool", "search_docs"), *more = json_loads(settings, 0, NULL);
    ck_assert_msg(more, "%s", settings);
    json_object_update_new(all, more);
    flow_config(f, "agents", json_pack("{s:{s:o}}", "provider.kb.mcp", "settings", all));
    return f;
}

static json_t *ask(struct flow *f, const char *data)
{
    int status = 0;
    json_t *a = flow_call(f, "provider.kb.mcp", "query", data, &status);
    if (!a)
        EXPECT(f, 0, "", "agent", "call", "provider.kb.mcp", "query", "--data", data); /* says why */
    ck_assert_msg(a, "query %s: exit status %d", data, status);
    return a;
}

#define PORT "{\"query\": \"which port\"}"

/* A question that must fail, with this text in what is said. */
static void ask_in_vain(struct flow *f, const char *text)
{
    EXPECT(f, 1, text, "agent", "call", "provider.kb.mcp", "query", "--data", PORT);
}

static const json_t *result_at(const json_t *a, size_t i)
{
    return json_array_get(json_object_get(a, "results"), i);
}

static const char *str(const json_t *o, const char *name)
{
    const char *s = json_string_value(json_object_get(o, name));
    return s ? s : "";
}

START_TEST(answers_as_the_local_one_does)
{
    struct flow *f =
        home("{\"arguments\": {\"query\": \"{query}\", \"system\": \"{system_info}; {issue_description} {x}\", "
             "\"limit\": 3}}");
    flow_start(f);
    json_t *a =
        ask(f, "{\"query\": \"which port\", \"issue_description\": \"No \\\"way\\\" {query}\", \"system_info\": "
               "\"linux\", \"with\": {\"n\": 5}, \"service_domain\": \"SUPPORT\"}");
    ck_assert_uint_eq(json_array_size(json_object_get(a, "results")), 2);
    ck_assert_str_eq(str(result_at(a, 0), "document_id"), "doc-1");
    ck_assert_str_eq(str(result_at(a, 0), "source"), "guide.md");
    ck_assert_str_eq(str(result_at(a, 0), "text"), "Set the port.");
    ck_assert_double_eq(json_number_value(json_object_get(result_at(a, 0), "relevance")), 0.9);
    ck_assert_str_eq(str(result_at(a, 1), "document_id"), "7");
    ck_assert_double_eq(json_number_value(json_object_get(result_at(a, 1), "relevance")), 1);
    ck_assert_int_eq(json_integer_value(json_object_get(json_object_get(a, "with"), "n")), 5);
    ck_assert_str_eq(str(server.arguments, "query"), "which port");
    ck_assert_str_eq(str(server.arguments, "system"), "linux; No \"way\" {query} {x}");
    ck_assert_int_eq(json_integer_value(json_object_get(server.arguments, "limit")), 3);
    ck_assert_str_eq(server.authorization, "Bearer token-of-the-test");
    ck_assert_str_eq(server.protocol, "2025-11-25");
    ck_assert_int_eq(server.told, 1);
    json_decref(a);
    a = ask(f, "{\"query\": \"which port\", \"top_k\": 1}");
    ck_assert_uint_eq(json_array_size(json_object_get(a, "results")), 1);
    ck_assert_int_eq(server.initialized, 1); /* the session stands */
    ck_assert_int_eq(server.listed, 1);
    EXPECT(f, 0, "open", "mcp", "status");
    EXPECT(f, 0, "stand-in", "mcp", "status");
    json_decref(a);
    char *log = flow_log(f);
    ck_assert_ptr_null(strstr(log, "token-of-the-test"));
    free(log);
    flow_stop(f); /* it stands longer than the host */
    flow_start(f);
    json_decref(ask(f, PORT));
    ck_assert_int_eq(server.initialized, 1);
    flow_end(f);
}
END_TEST

START_TEST(streams_of_events_are_read)
{
    server.stream = true;
    struct flow *f = home("{}");
    flow_start(f);
    json_t *a = ask(f, PORT);
    ck_assert_str_eq(str(result_at(a, 0), "document_id"), "doc-1");
    json_decref(a);
    flow_end(f);
}
END_TEST

/* Texts, JSON in texts, resources; and where in it the results are. */
START_TEST(answers_of_every_form_are_mapped)
{
    static const struct {
        const char *settings, *result, *id, *source, *text;
        size_t n;
    } forms[] = {
        {"{}",
         "{\"content\": [{\"type\": \"text\", \"text\": \"One.\"}, {\"type\": \"text\", \"text\": \"\"}, {\"type\": "
         "\"image\", \"data\": \"\"}, {\"type\": \"text\", \"text\": \"Two.\"}]}",
         "mcp-1", "", "One.", 2},
        {"{}",
         "{\"content\": [{\"type\": \"text\", \"text\": \" {\\\"results\\\": [{\\\"document_id\\\": \\\"a\\\", "
         "\\\"text\\\": \\\"A\\\"}]}\"}]}",
         "a", "a", "A", 1},
        {"{}", "{\"content\": [{\"type\": \"text\", \"text\": \"[\\\"x\\\", \\\"y\\\"]\"}]}", "mcp-1", "", "x", 2},
        {"{}",
         "{\"content\": [{\"type\": \"resource\", \"resource\": {\"uri\": \"file:///g.md\", \"text\": \"G\"}}, "
         "{\"type\": \"resource_link\", \"uri\": \"file:///h.md\", \"description\": \"H\"}]}",
         "file:///g.md", "file:///g.md", "G", 2},
        {"{\"result\": \"data.0.hits\", \"fields\": {\"document_id\": \"key\", \"source\": \"from\", \"text\": "
         "\"body\", "
         "\"relevance\": \"score\"}}",
         "{\"structuredContent\": {\"data\": [{\"hits\": [{\"key\": \"k\", \"from\": \"f\", \"body\": \"b\", "
         "\"score\": "
         "0.25}]}]}}",
         "k", "f", "b", 1},
        {"{}", "{\"content\": []}", "", "", "", 0},
        {"{}", "{\"content\": [], \"structuredContent\": {\"results\": []}}", "", "", "", 0},
    };
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        server.result = forms[i].result;
        struct flow *f = home(forms[i].settings);
        flow_start(f);
        json_t *a = ask(f, PORT);
        const json_t *results = json_object_get(a, "results");
        ck_assert_msg(json_array_size(results) == forms[i].n, "form %zu: %zu results", i, json_array_size(results));
        if (forms[i].n) {
            ck_assert_msg(!strcmp(str(result_at(a, 0), "document_id"), forms[i].id), "form %zu", i);
            ck_assert_msg(!strcmp(str(result_at(a, 0), "source"), forms[i].source), "form %zu", i);
            ck_assert_msg(!strcmp(str(result_at(a, 0), "text"), forms[i].text), "form %zu", i);
        }
        json_decref(a);
        flow_end(f);
    }
}
END_TEST

/* `n` texts of so many bytes each, as a tool's answer. */
static char *many_texts(int n, int bytes)
{
    json_t *content = json_array();
    char *text = calloc(1, (size_t)bytes + 1);
    memset(text, '"', (size_t)bytes); /* the longest as JSON */
    for (int i = 0; i < n; i++)
        json_array_append_new(content, json_pack("{s:s, s:s}", "type", "text", "text", text));
    json_t *result = json_pack("{s:o}", "content", content);
    free(text);
    text = json_dumps(result, 0);
    json_decref(result);
    return text;
}

START_TEST(large_answers_are_cut)
{
    char *much = many_texts(60, 8000), *too_much = many_texts(60, 16000);
    server.result = much;
    struct flow *f = home("{}");
    flow_start(f);
    json_t *a = ask(f, "{\"query\": \"which port\", \"top_k\": 50}");
    size_t n = json_array_size(json_object_get(a, "results"));
    ck_assert_msg(n >= 15 && n < 50, "%zu results", n);
    json_decref(a);
    server.result = too_much;
    ask_in_vain(f, "size exceeded");
    server.result = NULL;
    json_decref(ask(f, PORT));
    flow_end(f);
    free(much);
    free(too_much);
}
END_TEST

START_TEST(lost_session_is_opened_again_once)
{
    static const int statuses[] = {404, 400};
    for (size_t i = 0; i < 2; i++) {
        server.initialized = server.called = 0;
        server.lost_status = statuses[i];
        server.forget = 1;
        struct flow *f = home("{}");
        flow_start(f);
        json_decref(ask(f, PORT));
        ck_assert_int_eq(server.initialized, 2);
        ck_assert_int_eq(server.called, 1);
        server.forget = 1000; /* one that forgets each */
        ask_in_vain(f, "the server forgets each session at once");
        ck_assert_int_eq(server.initialized, 3);
        server.forget = 0;
        flow_end(f);
    }
}
END_TEST

START_TEST(wrong_settings_are_named)
{
    static const struct {
        const char *settings, *says, *setting;
    } wrong[] = {
        {"{\"url\": \"\"}", "it is not set", "url"},
        {"{\"tool\": \"\"}", "it is not set", "tool"},
        {"{\"url\": \"http://127.0.0.1:1/mcp\"}", "cannot be reached", "url"},
        {"{\"url\": \"nonsense\"}", "cannot be reached", "url"},
        {"{\"tool\": \"seek\"}", "has no tool \"seek\"; it has: search_docs", "tool"},
        {"{\"arguments\": {\"question\": \"{query}\"}}", "takes no \"question\"; it takes: query, limit, system",
         "arguments"},
        {"{\"arguments\": {\"limit\": 4}}", "cannot do without \"query\"", "arguments"},
        {"{\"arguments\": {\"query\": \"{query}\", \"limit\": \"4\"}}", "wants \"limit\" as integer", "arguments"},
        {"{\"result\": \"hits\"}", "has no \"hits\"; there it has: results", "result"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char where[96];
        snprintf(where, sizeof where, "look at agents.provider.kb.mcp.settings.%s", wrong[i].setting);
        struct flow *f = home(wrong[i].settings);
        flow_start(f);
        ask_in_vain(f, wrong[i].says);
        ask_in_vain(f, where);
        flow_end(f);
    }
}
END_TEST

static void fails_with(const char *settings, const char *text)
{
    struct flow *f = home(settings);
    flow_start(f);
    ask_in_vain(f, text);
    flow_end(f);
}

START_TEST(failures_are_said)
{
    server.result = "{\"isError\": true, \"content\": [{\"type\": \"text\", \"text\": \"index is being built\"}]}";
    fails_with("{}", "the tool failed: index is being built");
    server.result = NULL;
    server.error = "{\"code\": -32602, \"message\": \"query too short\"}";
    fails_with("{}", "settings.arguments: the server answers with an error: query too short (-32602)");
    server.error = NULL;
    server.call_status = 429;
    fails_with("{}", "the server is busy (HTTP 429)");
    server.call_status = 401;
    fails_with("{}", "the secret MCP_TOKEN is not set or not the right one");
    server.call_status = 200; /* and nothing in it */
    fails_with("{}", "neither JSON nor a stream of events");
    server.call_status = 0;
    server.initialize_status = 405;
    fails_with("{}", "no Model Context Protocol is spoken there: HTTP 405");
    server.initialize_status = 0;
    server.no_tools = true;
    fails_with("{}", "the server offers no tools");
    server.no_tools = false;
    server.version = "2024-11-05";
    fails_with("{}", "speaks version \"2024-11-05\" of the protocol");
    server.version = NULL;
    server.endless_pages = true;
    fails_with("{}", "has no tool \"search_docs\"; it has: other_0, other_1");
    ck_assert_int_le(server.listed, 40);
    server.endless_pages = false;
    server.delay_ms = 3000;
    fails_with("{\"timeout_ms\": 300}", "did not answer in time");
}
END_TEST

START_TEST(speaks_older_and_newer_versions)
{
    server.version = "2025-03-26";
    server.pages = 3;
    server.no_session = true;
    struct flow *f = home("{}");
    flow_start(f);
    json_decref(ask(f, PORT));
    ck_assert_str_eq(server.protocol, "2025-03-26");
    ck_assert_int_eq(server.listed, 3);
    flow_end(f);
    server.stateless = true;
    server.told = 0;
    f = home("{}");
    flow_start(f);
    json_decref(ask(f, PORT));
    ck_assert_str_eq(server.protocol, "2026-07-28");
    ck_assert_str_eq(server.name, "search_docs");
    ck_assert_int_eq(server.told, 0);
    flow_end(f);
}
END_TEST

/* A server that answers none before all have come. */
START_TEST(many_questions_share_a_session)
{
    server.gather = 12;
    struct flow *f = home("{}");
    char program[512], name[16];
    snprintf(program, sizeof program, "%s", flow_build("host/cvmhost"));
    flow_start(f);
    for (int i = 0; i < 12; i++) {
        snprintf(name, sizeof name, "ask%d", i);
        flow_spawn(f, name,
                   (const char *const[]){program, "agent", "call", "provider.kb.mcp", "query", "--data", PORT,
                                         "--output", "json", "--home", f->home, NULL});
    }
    for (int i = 0; i < 12; i++)
        ck_assert_int_eq(waitpid(f->spawned[i], NULL, 0), f->spawned[i]);
    for (int i = 0; i < 12; i++) {
        snprintf(name, sizeof name, "ask%d.txt", i);
        char *text = flow_read(f, name);
        ck_assert_msg(text && strstr(text, "doc-1"), "%d: %s", i, text);
        free(text);
    }
    f->n_spawned = 0;
    ck_assert_int_eq(server.initialized, 1);
    ck_assert_int_eq(server.called, 12);
    ck_assert_int_eq(
        flow_sql_int(f, "select count(*) from state where component = 'provider.kb.mcp' and key like 'ask/%'"), 0);
    flow_end(f);
}
END_TEST

/* What the operator writes: who is asked first. The server is asked for SUPPORT, the host's own for the rest. */
START_TEST(takes_the_place_of_the_local_one_for_support)
{
    struct flow *f = home("{}");
    flow_plugin(f, "knowledge");
    flow_start(f);
    EXPECT(f, 0, "", "kb", "add", "The blue box is reset by a long press.", "--domain", "SUPPORT");
    EXPECT(f, 0, "", "kb", "add", "The meter is read on Mondays.", "--domain", "POWER");
    flow_expect(
        f, 0, "blue box",
        (const char *const[]){"kb", "search", "how is the blue box reset", "--domain", "SUPPORT", "--answer", NULL});
    ck_assert_int_eq(server.called, 0);
    flow_stop(f);
    flow_config(f, "roles.kb", json_pack("[s]", "provider.kb.mcp"));
    flow_start(f);
    EXPECT(f, 0, "Set the port.", "kb", "search", "how is the blue box reset", "--domain", "SUPPORT", "--answer");
    EXPECT(f, 0, "Mondays", "kb", "search", "when is the meter read", "--domain", "POWER", "--answer");
    ck_assert_int_eq(server.called, 1);
    flow_end(f);
}
END_TEST

/* The one tool of the support desk's expert. */
START_TEST(expert_asks_it)
{
    struct flow *f = home("{\"arguments\": {\"query\": \"{issue_description}\", \"system\": \"{system_info}\"}}");
    flow_plugin(f, "knowledge");
    flow_plugin(f, "stores");
    flow_plugin(f, "support");
    flow_plugin(f, "support_agents");
    flow_config(f, "roles.kb", json_pack("[s]", "provider.kb.mcp"));
    flow_start(f);
    json_t *a =
        flow_call(f, "support.expert", "query_knowledge_base",
                  "{\"issue_description\": \"the sidecar finds no port\", \"system_info\": \"cluster 1.12\"}", NULL);
    ck_assert_ptr_nonnull(a);
    ck_assert_str_eq(str(result_at(a, 0), "document_id"), "doc-1");
    ck_assert_str_eq(str(result_at(a, 0), "text"), "Set the port.");
    ck_assert_str_eq(str(server.arguments, "query"), "the sidecar finds no port");
    ck_assert_str_eq(str(server.arguments, "system"), "cluster 1.12");
    ck_assert_int_eq(server.called, 1);
    json_decref(a);
    flow_end(f);
}
END_TEST

START_TEST(another_answers_where_it_cannot)
{
    server.call_status = 500;
    struct flow *f = home("{\"fallback\": \"provider.kb.local\"}");
    flow_plugin(f, "knowledge");
    flow_start(f);
    EXPECT(f, 0, "", "kb", "add", "The blue box is reset by a long press.", "--domain", "SUPPORT");
    json_t *a =
        ask(f, "{\"query\": \"how is the blue box reset\", \"service_domain\": \"SUPPORT\", \"with\": {\"n\": 1}}");
    ck_assert_str_eq(str(a, "answered_by"), "provider.kb.local");
    ck_assert_str_eq(str(json_object_get(a, "fallback"), "setting"), "url");
    ck_assert_uint_ge(json_array_size(json_object_get(a, "results")), 1);
    ck_assert_int_eq(json_integer_value(json_object_get(json_object_get(a, "with"), "n")), 1);
    json_decref(a);
    flow_end(f);
}
END_TEST

/* ---- a real one ---- */

#define PACKAGE "@modelcontextprotocol/server-everything"

static int shell(const char *dir, const char *command)
{
    pid_t pid = fork();
    if (pid == 0) {
        if (chdir(dir) == 0)
            execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    int status = -1;
    return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

START_TEST(real_server_answers)
{
    char dir[512], port[16], url[64], start[1024];
    snprintf(dir, sizeof dir, "%s", flow_build("tests/flow/mcp-server"));
    mkdir(dir, 0755);
    if (shell(dir, "command -v npm node >/dev/null 2>&1")) {
        printf("npm is not installed: no real server was asked\n");
        return;
    }
    if (shell(dir,
              "test -e node_modules/" PACKAGE " || { echo '{\"private\": true}' >package.json; timeout 120 npm install "
              "--no-audit --no-fund --loglevel=error " PACKAGE " >npm.log 2>&1; }")) {
        printf("the server cannot be fetched, so none was asked: see %s/npm.log\n", dir);
        return;
    }
    struct flow *f = flow_new();
    flow_plugin(f, "mcp");
    int number = flow_free_port();
    snprintf(port, sizeof port, "%d", number);
    snprintf(url, sizeof url, "http://127.0.0.1:%d/mcp", number);
    /* It would listen on all addresses. */
    flow_write(f, "loopback.cjs",
               "const net = require('net'), listen = net.Server.prototype.listen;\n"
               "net.Server.prototype.listen = function (port, ...rest) {\n"
               "  return listen.call(this, { port: Number(port), host: '127.0.0.1' }, ...rest); };\n");
    snprintf(start, sizeof start,
             "cd '%s' && PORT=%s exec node -r '%s/loopback.cjs' node_modules/" PACKAGE "/dist/index.js streamableHttp",
             dir, port, f->home);
    flow_spawn(f, "server", (const char *const[]){"/bin/sh", "-c", start, NULL});
    char *said = NULL;
    FLOW_UNTIL((free(said), said = flow_read(f, "server.txt")) && strstr(said, "listening on port"));
    free(said);
    flow_config(f, "agents",
                json_pack("{s:{s:{s:s, s:s, s:{s:s}}}}", "provider.kb.mcp", "settings", "url", url, "tool", "echo",
                          "arguments", "message", "{query}"));
    flow_start(f);
    json_t *a = ask(f, PORT);
    ck_assert_msg(strstr(str(result_at(a, 0), "text"), "which port"), "%s", str(result_at(a, 0), "text"));
    json_decref(a);
    EXPECT(f, 0, "open", "mcp", "status");
    flow_end(f);
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("mcp");
    tcase_set_timeout(c, 180);
    tcase_add_test(c, answers_as_the_local_one_does);
    tcase_add_test(c, streams_of_events_are_read);
    tcase_add_test(c, answers_of_every_form_are_mapped);
    tcase_add_test(c, large_answers_are_cut);
    tcase_add_test(c, lost_session_is_opened_again_once);
    tcase_add_test(c, wrong_settings_are_named);
    tcase_add_test(c, failures_are_said);
    tcase_add_test(c, speaks_older_and_newer_versions);
    tcase_add_test(c, many_questions_share_a_session);
    tcase_add_test(c, takes_the_place_of_the_local_one_for_support);
    tcase_add_test(c, expert_asks_it);
    tcase_add_test(c, another_answers_where_it_cannot);
    tcase_add_test(c, real_server_answers);
    return flow_main("mcp", (TCase *[]){c, NULL});
}
