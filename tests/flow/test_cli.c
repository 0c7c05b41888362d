/* The command line against a real host: what people and programs get for what they type, and what it exits with. */
#include "flow.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static struct flow *started(void)
{
    struct flow *f = flow_new();
    flow_plugin(f, "faulty");
    flow_plugin(f, "echo");
    flow_start(f);
    return f;
}

START_TEST(helps_without_a_host)
{
    struct flow *f = flow_new();
    flow_plugin(f, "faulty");
    EXPECT(f, 0, "faulty ok", "help");
    EXPECT(f, 0, "faulty ok", "--help");
    EXPECT(f, 0, "usage: cvmhost faulty ok [TEXT] [OPTIONS]", "faulty", "ok", "--help");
    EXPECT(f, 0, "--number", "help", "faulty", "ok");
    EXPECT(f, 0, "faulty count", "faulty", "--help");
    EXPECT(f, 0, "usage: cvmhost why ID", "why", "--help");
    EXPECT(f, 0, "cvmhost ", "version");
    EXPECT(f, 1, "no host is running in", "ps", "--no-start");
    EXPECT(f, 1, "start it with: cvmhost serve --home", "faulty", "ok", "--no-start");
    EXPECT(f, 1, "no host is running in", "--no-start", "faulty", "ok", "--file", "/dev/null");
    EXPECT(f, 0, "\"port\"", "config", "show", "http", "--output", "json");
    EXPECT(f, 0, "--no-supervise", "help", "serve");
    EXPECT(f, 1, "there is no home at /nonexistent", "ps", "--home", "/nonexistent");
    EXPECT(f, 2, "--home needs a value", "ps", "--home", "");
    flow_remove(f, "manifests/faulty.json");
    EXPECT(f, 2, "its manifests/ names no command: start the host, or name another home", "faulty", "ok");
    flow_free(f);
}
END_TEST

/* A command in a shell with its results led elsewhere; what it says on standard error, in `said`. */
static int led(struct flow *f, const char *command, char said[300])
{
    char line[1000];
    snprintf(line, sizeof line, "cd '%s' && { '%s' %s; } 2>said", f->home, flow_build("host/cvmhost"), command);
    int status = -1;
    pid_t pid = fork();
    if (pid == 0) {
        execl("/bin/sh", "sh", "-c", line, (char *)NULL);
        _exit(127);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    char *text = flow_read(f, "said");
    snprintf(said, 300, "%s", text ? text : "");
    free(text);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

START_TEST(tells_results_that_cannot_be_written)
{
    static const char full[] = "cvmhost: standard output: No space left on device\n";
    static const char *const commands[] = {"version >/dev/full",          "help >/dev/full",
                                           "serve --help >/dev/full",     "ps >/dev/full",
                                           "ps --output json >/dev/full", "faulty ok x --output csv >/dev/full"};
    struct flow *f = started();
    char said[300];
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        ck_assert_int_eq(led(f, commands[i], said), 1);
        ck_assert_str_eq(said, full);
    }
    EXPECT(f, 1, "cvmhost: /dev/full: No space left on device", "faulty", "ok", "--output-file", "/dev/full");
    ck_assert_int_eq(led(f, "help | head -1 >/dev/null", said), 0); /* a reader that has gone */
    ck_assert_str_eq(said, "");
    ck_assert_int_eq(led(f, "ps --output json | true", said), 0);
    ck_assert_str_eq(said, "");
    flow_end(f);
}
END_TEST

START_TEST(writes_all_of_an_answer_as_csv)
{
    struct flow *f = started();
    EXPECT(f, 0, "", "state", "put", "test.faulty", "k", "{\"a\":[1,\"x\"]}");
    EXPECT(f, 0, ",\"{\"\"a\"\":[1,\"\"x\"\"]}\"", "state", "get", "test.faulty", "k", "--output", "csv");
    EXPECT(f, 0, "true,\"{\"\"text\"\":\"\"x\\ny\"\"}\"", "faulty", "ok", "x\ny", "--output", "csv");
    flow_end(f);
}
END_TEST

START_TEST(exits_with_what_happened)
{
    struct flow *f = started();
    EXPECT(f, 0, "text: hello", "faulty", "ok", "hello", "--number", "5");
    EXPECT(f, 0, "\"number\":5", "faulty", "ok", "--number=5", "--output", "json");
    EXPECT(f, 2, "--number: expected integer, got \"x\"", "faulty", "ok", "--number", "x");
    EXPECT(f, 2, "one argument too many", "faulty", "ok", "a", "b");
    EXPECT(f, 2, "did you mean --number?", "faulty", "ok", "--numbr", "1");
    EXPECT(f, 2, "did you mean \"faulty ok\"", "fualty", "ok");
    EXPECT(f, 2, "did you mean \"plugin list\"", "plugin", "lsit");
    EXPECT(f, 2, "faulty count", "faulty");
    EXPECT(f, 2, "--output: expected table, json or csv", "ps", "--output", "xml");
    EXPECT(f, 5, "refused: ", "faulty", "refuse");
    EXPECT(f, 1, "no operation \"nonsense\"", "agent", "call", "test.faulty", "nonsense");
    EXPECT(f, 4, "no component \"test.none\"", "agent", "call", "test.none", "nonsense");
    EXPECT(f, 1, "failed: ", "agent", "call", "test.faulty", "error");
    EXPECT(f, 1, "timeout: ", "agent", "call", "test.faulty", "never", "--timeout", "0.3");
    EXPECT(f, 1, "order: A-17", "agent", "call", "test.faulty", "unsure");
    EXPECT(f, 1, "unknown: nobody knows yet", "agent", "call", "test.faulty", "unsure");
    EXPECT(f, 1, "\"data\":{\"order\":\"A-17\"", "agent", "call", "test.faulty", "unsure", "--output", "json");
    EXPECT(f, 2, "--data: ", "agent", "call", "test.faulty", "ok", "--data", "{");
    EXPECT(f, 2, "colour", "agent", "call", "test.faulty", "ok", "--data", "{\"colour\":1}");
    EXPECT(f, 4, "there is no setting http.prot", "config", "show", "http.prot");
    EXPECT(f, 4, "nothing is stored about ENQ-none", "why", "ENQ-none");
    EXPECT(f, 4, "there is no such key", "state", "get", "test.faulty", "none");
    EXPECT(f, 4, "there is no plugin or component", "plugin", "info", "none");
    EXPECT(f, 4, "there is no such dead letter", "dlq", "show", "99");
    EXPECT(f, 4, "no component of this name keeps state here", "state", "list", "none");
    EXPECT(f, 0, "COMPONENT", "dlq", "list"); /* an empty list is seen to be one */
    EXPECT(f, 2, "KEY is missing", "state", "get", "test.faulty");
    EXPECT(f, 2, "TYPE is missing", "agent", "call", "test.faulty");
    EXPECT(f, 2, "there is no option -x here", "ps", "-x");
    EXPECT(f, 2, "argument 1 is not UTF-8 text", "why", "\xff");
    EXPECT(f, 2, "--file: /nonexistent: No such file", "faulty", "ok", "--file", "/nonexistent");
    EXPECT(f, 1, "Is a directory", "faulty", "ok", "--file", "/");
    flow_end(f);
}
END_TEST

START_TEST(shows_what_is_loaded)
{
    struct flow *f = started();
    EXPECT(f, 0, "faulty  1.0.0", "plugin", "list");
    EXPECT(f, 0, "hammer, tongs", "agent", "list");
    EXPECT(f, 0, "mood: bad", "plugin", "info", "FaultyAgent");
    EXPECT(f, 0, "test.echo_a", "plugin", "list", "--kind", "provider");
    EXPECT(f, 2, "--kind: expected", "plugin", "list", "--kind", "fruit");
    EXPECT(f, 0, "cvmhost_up 1", "metrics");
    struct flow_answer a;
    ck_assert_int_eq(FLOW_RUN(f, &a, "ps", "--output", "json"), 0);
    ck_assert(json_is_array(json_object_get(a.json, "components")));
    ck_assert_ptr_null(strchr(a.text, '\033'));
    flow_answer_free(&a);
    flow_end(f);
}
END_TEST

/* ---- envelopes ---- */

static const char envelope[] =
    "{\"sender\":\"me\",\"recipient\":\"test.faulty\",\"message_type\":\"request\",\"type\":"
    "\"ok\",\"content\":\"\",\"enquiry_id\":\"\",\"customer_id\":\"\",\"session_id\":\"SES-1\"}";

static const struct {
    const char *member, *value; /* NULL: the member is missing */
} faults[] = {{"sender", NULL},
              {"recipient", NULL},
              {"message_type", NULL},
              {"type", NULL},
              {"content", NULL},
              {"enquiry_id", NULL},
              {"customer_id", NULL},
              {"session_id", NULL},
              {"message_type", "\"query\""},
              {"priority", "\"URGENT\""},
              {"confidence", "1.5"},
              {"confidence", "-0.5"},
              {"tags", "[1]"},
              {"timestamp", "\"today\""},
              {"structured_data", "1"},
              {"schema_version", "9"},
              {"message_id", "\"MSG-1\""}};

START_TEST(refuses_envelopes_by_field)
{
    struct flow *f = started();
    flow_write(f, "good.json", envelope);
    char path[128];
    snprintf(path, sizeof path, "%s/good.json", f->home);
    EXPECT(f, 0, "", "agent", "call", "test.faulty", "ok", "--envelope", path);
    EXPECT(f, 2, "type", "agent", "call", "test.faulty", "count", "--envelope", path);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        json_t *bad = json_loads(envelope, 0, NULL);
        if (faults[i].value)
            json_object_set_new(bad, faults[i].member, json_loads(faults[i].value, JSON_DECODE_ANY, NULL));
        else
            json_object_del(bad, faults[i].member);
        char *text = json_dumps(bad, JSON_COMPACT), field[64];
        flow_write(f, "bad.json", text);
        snprintf(path, sizeof path, "%s/bad.json", f->home);
        snprintf(field, sizeof field, "cvmhost: %s", faults[i].member);
        EXPECT(f, 2, field, "agent", "call", "--envelope", path);
        free(text);
        json_decref(bad);
    }
    flow_end(f);
}
END_TEST

START_TEST(tails_whole_envelopes)
{
    struct flow *f = started();
    char program[512];
    snprintf(program, sizeof program, "%s", flow_build("host/cvmhost"));
    flow_spawn(f, "tail", (const char *const[]){program, "bus", "tail", "--home", f->home, NULL});
    flow_spawn(f, "topic",
               (const char *const[]){program, "bus", "tail", "--topic", "test.news", "--home", f->home, NULL});
    static const char ours[] = "\"session_id\":\"SES-"; /* not what the host tells itself meanwhile */
    char *text = NULL, *topic = NULL;
    FLOW_UNTIL(FLOW_RUN(f, NULL, "faulty", "count") == 0 && (free(text), text = flow_read(f, "tail.txt")) &&
               strstr(text, ours) && strchr(strstr(text, ours), '\n'));
    FLOW_UNTIL(FLOW_RUN(f, NULL, "echo", "publish") == 0 && (free(topic), topic = flow_read(f, "topic.txt")) && *topic);
    char *begin = strstr(text, ours);
    while (begin > text && begin[-1] != '\n')
        begin--;
    memmove(text, begin, strlen(begin) + 1);
    text[strcspn(text, "\n")] = 0;
    topic[strcspn(topic, "\n")] = 0;
    json_t *whole = json_loads(text, 0, NULL), *news = json_loads(topic, 0, NULL);
    static const char *const members[] = {
        "message_id", "timestamp",   "sender",      "recipient",     "message_type",      "content", "structured_data",
        "enquiry_id", "customer_id", "session_id",  "priority",      "requires_response", "tags",    "confidence",
        "type",       "in_reply_to", "deadline_ms", "schema_version"};
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        ck_assert_msg(json_object_get(whole, members[i]) != NULL, "no %s in %s", members[i], text);
    const char *session = json_string_value(json_object_get(whole, "session_id"));
    ck_assert_msg(session && strncmp(session, "SES-", 4) == 0 && strlen(session) == 16, "session %s", session);
    ck_assert_str_eq(json_string_value(json_object_get(news, "type")), "test.news");
    /* What was watched can be sent again as it stands. */
    flow_write(f, "again.json", text);
    snprintf(program, sizeof program, "%s/again.json", f->home);
    EXPECT(f, 0, "", "agent", "call", "--envelope", program);
    /* The conversation of any envelope can be explained. */
    EXPECT(f, 0, "test.faulty  count  OK", "why", json_string_value(json_object_get(whole, "conversation")));
    EXPECT(f, 0, "<- this message", "why", json_string_value(json_object_get(whole, "message_id")));
    json_decref(whole);
    json_decref(news);
    free(text);
    free(topic);
    flow_end(f);
}
END_TEST

/* ---- batches ---- */

START_TEST(answers_lines_in_order)
{
    struct flow *f = started();
    flow_write(
        f, "in.jsonl",
        "{\"id\":\"a\",\"text\":\"1\"}\n\n{\"text\":\"2\"}\n{\"id\":\"c\",\"txt\":\"3\"}\nhello\n{\"id\":5,\"number\":"
        "\"x\"}\n{\"id\":\"last\",\"number\":6}");
    char path[128];
    snprintf(path, sizeof path, "%s/in.jsonl", f->home);
    struct flow_answer a;
    ck_assert_int_eq(FLOW_RUN(f, &a, "faulty", "ok", "--file", path, "--parallel", "2"), 1);
    static const char *const expected[] = {"\"id\":\"a\",\"ok\":true,\"echo\":{\"text\":\"1\"}",
                                           "\"id\":3,\"ok\":true,\"echo\":{\"text\":\"2\"}",
                                           "\"id\":\"c\",\"error\":",
                                           "\"id\":5,\"error\":",
                                           "\"id\":5,\"error\":",
                                           "\"id\":\"last\",\"ok\":true,\"echo\":{\"number\":6}"};
    char *line = a.text;
    for (size_t i = 0; i < 6; i++) {
        char *next = strchr(line, '\n');
        ck_assert_ptr_nonnull(next);
        *next = 0;
        ck_assert_msg(strncmp(line + 1, expected[i], strlen(expected[i])) == 0, "line %zu: %s", i + 1, line);
        line = next + 1;
    }
    ck_assert_str_eq(line, "");
    ck_assert_ptr_nonnull(strstr(a.errors, "3 of 6 lines failed"));
    flow_answer_free(&a);
    flow_end(f);
}
END_TEST

START_TEST(does_each_line_once_through_crashes)
{
    enum { LINES = 3000 };
    struct flow *f = started();
    char *text = malloc(LINES * 24 + 1), path[128], program[512];
    size_t at = 0;
    for (int i = 0; i < LINES; i++)
        at += (size_t)snprintf(text + at, 24, "{\"id\":\"n%d\"}\n", i);
    flow_write(f, "in.jsonl", text);
    free(text);
    snprintf(path, sizeof path, "%s/in.jsonl", f->home);
    snprintf(program, sizeof program, "%s", flow_build("host/cvmhost"));
    flow_spawn(
        f, "batch",
        (const char *const[]){program, "faulty", "count", "--file", path, "--parallel", "4", "--home", f->home, NULL});
    int64_t lines = 0;
    for (int kills = 0; kills < 2; kills++) {
        int64_t wanted = lines + LINES / 5;
        FLOW_UNTIL((lines = flow_sql_int(f, "SELECT count(*) FROM turns WHERE type = 'count'")) >= wanted);
        flow_kill(f, SIGKILL);
        flow_wait_serving(f);
    }
    FLOW_UNTIL((text = flow_read(f, "batch.txt")) && (at = strlen(text)) > 0 && strstr(text, "\"n2999\"")
                   ? true
                   : (free(text), false));
    int shown = 0;
    for (char *p = text; (p = strchr(p, '\n')); p++)
        shown++;
    ck_assert_int_eq(shown, LINES);
    ck_assert_ptr_null(strstr(text, "error"));
    free(text);
    json_t *count = flow_call(f, "test.faulty", "counted", "{}", NULL);
    ck_assert_int_eq(json_integer_value(json_object_get(count, "count")), LINES);
    json_decref(count);
    flow_end(f);
}
END_TEST

/* ---- config check ---- */

#define TRUSTED "{\"plugins\":{\"inline\":[\"*\"]},"

START_TEST(checks_before_the_host_does)
{
    struct flow *f = flow_new();
    flow_plugin(f, "faulty");
    EXPECT(f, 0, "1 plugin with 2 components", "config", "check");
    flow_write(f, "config/cvmhost.json", "{\"http\":{\"prot\":1}}");
    EXPECT(f, 3, "http.prot", "config", "check");
    flow_write(f, "config/cvmhost.json", TRUSTED "\"http\":{\"host\":\"0.0.0.0\"}}");
    EXPECT(f, 3, "set http.public to true if that is meant", "config", "check");
    flow_write(f, "config/cvmhost.json", TRUSTED "\"http\":{\"port\":0}}");
    flow_write(f, "manifests/broken.json", "{\"manifest\":1,\"name\":\"broken\"}");
    EXPECT(f, 3, "broken.json", "config", "check");
    flow_write(f, "manifests/broken.json",
               "{\"manifest\":1,\"name\":\"broken\",\"version\":\"1.0.0\",\"abi\":\"1.0\",\"library\":\"x.so\","
               "\"description\":\"x\",\"components\":[{\"id\":\"test.faulty\",\"kind\":\"agent\",\"operations\":[]}]}");
    EXPECT(f, 3, "\"test.faulty\" belongs to plugin", "config", "check");
    EXPECT(f, 3, "there is no home at /nonexistent", "config", "check", "--home", "/nonexistent");
    flow_free(f);
}
END_TEST

/* What would start, and then surprise: the file, its text, and the sentence of the warning. */
static const struct {
    const char *file, *text, *says;
} surprises[] = {
    {"config/cvmhost.json", TRUSTED "\"agents\":{\"test.none\":{}}}", "agents.test.none: there is no component"},
    {"config/cvmhost.json", TRUSTED "\"agents\":{\"test.faulty\":{\"settings\":{\"colour\":1}}}}",
     "agents.test.faulty.settings.colour: the component has no such setting"},
    {"config/cvmhost.json", "{\"plugins\":{\"inline\":[\"*\",\"nobody\"]}}",
     "plugins.inline: there is no plugin nobody"},
    {"config/cvmhost.json", "{\"plugins\":{\"inline\":[\"*\"],\"disabled\":[\"nobody\"]}}",
     "plugins.disabled: there is no plugin nobody"},
    {"config/transitions.json", "{\"forbid\":[[\"test.faulty\",\"test.none\"]]}",
     "transitions.json: forbid: there is no component test.none"},
    {".env", "A=1\n", ".env can be read by others (mode "},
};

START_TEST(warns_of_what_would_surprise)
{
    struct flow *f = flow_new();
    flow_plugin(f, "faulty");
    flow_write(f, "config/cvmhost.json", "{\"plugins\":{\"inline\":[\"*\"]}}");
    flow_write(f, surprises[_i].file, surprises[_i].text);
    EXPECT(f, 0, surprises[_i].says, "config", "check");
    flow_write(f, "config/transitions.json", "{\"forbidden\":[]}");
    EXPECT(f, 3, "must be {\"forbid\": [[\"from\", \"to\"], ...]}", "config", "check");
    flow_free(f);
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("cli");
    tcase_set_timeout(c, 60);
    tcase_add_test(c, helps_without_a_host);
    tcase_add_test(c, tells_results_that_cannot_be_written);
    tcase_add_test(c, writes_all_of_an_answer_as_csv);
    tcase_add_test(c, exits_with_what_happened);
    tcase_add_test(c, shows_what_is_loaded);
    tcase_add_test(c, refuses_envelopes_by_field);
    tcase_add_test(c, tails_whole_envelopes);
    tcase_add_test(c, answers_lines_in_order);
    tcase_add_test(c, does_each_line_once_through_crashes);
    tcase_add_test(c, checks_before_the_host_does);
    tcase_add_loop_test(c, warns_of_what_would_surprise, 0, sizeof surprises / sizeof *surprises);
    return flow_main("cli", (TCase *[]){c, NULL});
}
