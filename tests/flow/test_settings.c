/* Configuration as people meet it: faulty files are named down to the setting, before a host is started and without
 * one; secrets come from .env and are never shown; the port. */
#include "flow.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- faulty files ---- */

static const struct {
    const char *text, *says;
} faults[] = {
    {"{\"http\": {\"prot\": 80}}", "http.prot: unknown setting; did you mean http.port?"},
    {"{\"http\": {\"port\": \"eighty\"}}", "http.port: "},
    {"{\"http\": {\"port\": 70000}}", "http.port: "},
    {"{\"htpp\": {}}", "htpp: unknown setting; did you mean http"},
    {"{\"host\": {\"log_level\": \"LOUD\"}}", "host.log_level: "},
    {"{\"journal\": {\"wal_max_mib\": 8, \"wal_checkpoint_mib\": 9}}", "journal.wal_max_mib: must be more than"},
    {"{\"admission\": {\"conversations\": 0}}", "admission.conversations: "},
    {"{\"plugins\": {\"inline\": \"all\"}}", "plugins.inline: "},
    {"{\"plugins\": {\"inline\": [7]}}", "plugins.inline[0]: "},
    {"{\"conversation\": {\"max_rounds\": 1.5}}", "conversation.max_rounds: "},
    {"{\"roles\": {\"seller\": \"test.a\"}}", "roles.seller: "},
    {"{\"agents\": {\"test.faulty\": {\"concurency\": 1}}}", "agents.test.faulty.concurency: unknown setting"},
    {"{\"agents\": {\"test.faulty\": {\"concurrency\": 0}}}", "agents.test.faulty.concurrency: "},
    {"{\"supervisor\": {\"restarts\": -1}}", "supervisor.restarts: "},
    {"{\"secrets\": {\"file\": \"/no/such/file\"}}",
     "/no/such/file: No such file or directory (named by secrets.file in"},
    {"{\"http\": {\"port\": 80}, \"http\": {}}", "duplicate"},
    {"{\"http\": ", "cvmhost.json: line 1, column"},
    {"[]", "cvmhost.json: "},
    {"", "cvmhost.json: "},
};

START_TEST(faulty_configuration_names_the_setting)
{
    struct flow *f = flow_new();
    flow_plugin(f, "faulty");
    flow_config_text(f, faults[_i].text);
    EXPECT(f, 3, faults[_i].says, "config", "check");
    EXPECT(f, 3, "cvmhost.json", "config", "check");
    int status = flow_start_status(f, NULL); /* and a host says the same */
    ck_assert_msg(status == 3 && strstr(f->start_errors, faults[_i].says), "%d %s", status, f->start_errors);
    flow_free(f);
}
END_TEST

static void sla_hours(struct flow *f, int hours)
{
    flow_config(f, "agents", json_pack("{s:{s:{s:i}}}", "support.workflow", "settings", "sla_hours", hours));
    flow_write_config(f);
}

/* What a plugin says of its settings holds at every door, and a reload that is refused changes nothing. */
START_TEST(a_setting_out_of_its_range_is_refused)
{
    static const char says[] = "agents.support.workflow.settings.sla_hours: must be at most 8760, got number 9000";
    static const char shown[] = "agents.support.workflow.settings.sla_hours";
    struct flow *f = flow_new();
    flow_plugin(f, "support");
    sla_hours(f, 9000);
    EXPECT(f, 3, says, "config", "check");
    int status = flow_start_status(f, NULL);
    ck_assert_msg(status == 3 && strstr(f->start_errors, says), "%d %s", status, f->start_errors);
    sla_hours(f, 9);
    flow_start(f);
    sla_hours(f, 9000);
    EXPECT(f, 3, says, "reload");
    EXPECT(f, 3, says, "reload", "support");
    EXPECT(f, 0, "9\n", "config", "show", shown, "--output", "json");
    flow_end(f);
}
END_TEST

/* What the reference rules out, the check does too. */
static const struct {
    const char *text, *says;
} outside[] = {
    {"{\"lifecycle\": {\"provider\": \"xyz\"}}", "lifecycle.provider: must be"},
    {"{\"lifecycle\": {\"noise\": 51}}", "lifecycle.noise: must be at most 50"},
    {"{\"lifecycle\": {\"churn_score\": 101}}", "lifecycle.churn_score: must be at most 100"},
    {"{\"lifecycle\": {\"churn_inactive_days\": 0}}", "lifecycle.churn_inactive_days: must be at least 1"},
    {"{\"support\": {\"kb_min_queries\": 99}}", "support.kb_min_queries: must be at most 8"},
};

START_TEST(settings_outside_the_reference_are_refused)
{
    struct flow *f = flow_new();
    flow_plugin(f, "lifecycle");
    flow_plugin(f, "support_agents");
    flow_config_text(f, outside[_i].text);
    EXPECT(f, 3, outside[_i].says, "config", "check");
    flow_free(f);
}
END_TEST

START_TEST(sections_of_every_area_are_shown)
{
    struct flow *f = flow_new();
    static const char *const sections[] = {"host",         "http",  "journal", "admission", "plugins",
                                           "conversation", "roles", "agents",  "secrets",   "supervisor"};
    flow_product(f);
    EXPECT(f, 0, "no error", "config", "check");
    struct flow_answer a;
    ck_assert_int_eq(FLOW_RUN(f, &a, "config", "show", "--output", "json"), 0);
    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++)
        ck_assert_msg(json_is_object(json_object_get(a.json, sections[i])), "no section %s", sections[i]);
    flow_answer_free(&a);
    flow_config(f, "http.body_max_bytes", json_integer(5000));
    flow_start(f);
    EXPECT(f, 0, "5000", "config", "show", "http.body_max_bytes", "--output", "json"); /* of the running one */
    EXPECT(f, 4, "there is no setting", "config", "show", "http.none");
    flow_end(f);
}
END_TEST

START_TEST(sections_of_no_component_are_warned_of)
{
    struct flow *f = flow_new();
    flow_product(f);
    flow_config_text(f, "{\"nowhere\": {\"x\": 1}, \"cvm\": {\"none\": 1, \"data_dir\": 7}}");
    EXPECT(f, 0, "nowhere.x: there is no component of the area nowhere", "config", "check");
    EXPECT(f, 0, "cvm.none: no component of the area cvm has such a setting", "config", "check");
    EXPECT(f, 0, "cvm.data_dir: cvm.data expects a text as its default is, got a number", "config", "check");
    EXPECT(f, 0, "7", "config", "show", "cvm.data_dir", "--output", "json");
    flow_config_text(f, "{\"support\": {\"llm_provider\": \"zzz\", \"notify_channel\": \"pigeon\"}, "
                        "\"agents\": {\"service.qa\": {\"settings\": {\"llm_provider\": [\"local\", \"yyy\"]}}}}");
    EXPECT(f, 0, "support.llm_provider: no loaded component with the role llm is called \"zzz\"", "config", "check");
    EXPECT(f, 0, "support.notify_channel: no loaded component with the role channel serves \"pigeon\"", "config",
           "check");
    EXPECT(f, 0, "agents.service.qa.settings.llm_provider: no loaded component with the role llm is called \"yyy\"",
           "config", "check");
    flow_config_text(f, "{\"support\": {\"llm_provider\": \"openai\", \"notify_channel\": \"email\"}}");
    struct flow_answer a;
    ck_assert_int_eq(FLOW_RUN(f, &a, "config", "check"), 0);
    ck_assert_ptr_null(strstr(a.errors, "no loaded component with the role"));
    flow_answer_free(&a);
    flow_config_text(f, "{\"cvm\": {\"batch_concurrency\": \"all\"}}");
    EXPECT(f, 3, "cvm.batch_concurrency: must be", "config", "check");
    flow_free(f);
}
END_TEST

/* ---- secrets ---- */

static char *source(const char *name)
{
    char text[65536] = "";
    FILE *file = fopen(flow_source(name), "r");
    ck_assert_msg(file, "there is no %s", name);
    text[fread(text, 1, sizeof text - 1, file)] = 0;
    fclose(file);
    return strdup(text);
}

static bool has_line(const char *text, const char *line)
{
    size_t len = strlen(line);
    for (const char *at = text; (at = strstr(at, line)); at += len)
        if ((at == text || at[-1] == '\n') && (at[len] == '\n' || at[len] == 0))
            return true;
    return false;
}

START_TEST(env_example_lists_every_variable)
{
    char *example = source(".env.example"), *ignored = source(".gitignore");
    ck_assert_msg(has_line(ignored, ".env"), ".env is not ignored by version control");
    ck_assert_ptr_nonnull(strstr(example, "\nLOG_LEVEL="));
    ck_assert_ptr_nonnull(strstr(example, "CVMHOST_HOME="));
    struct flow *f = flow_new();
    flow_product(f);
    flow_start(f);
    struct flow_answer list, one;
    size_t i, k, secrets = 0;
    json_t *plugin, *name;
    ck_assert_int_eq(FLOW_RUN(f, &list, "plugin", "list", "--output", "json"), 0);
    json_array_foreach(list.json, i, plugin)
    {
        const char *called = json_string_value(json_object_get(plugin, "name"));
        ck_assert_int_eq(FLOW_RUN(f, &one, "plugin", "info", called, "--output", "json"), 0);
        json_array_foreach(json_object_get(one.json, "secrets"), k, name)
        {
            char line[160];
            snprintf(line, sizeof line, "%s=", json_string_value(name));
            ck_assert_msg(strstr(example, line), ".env.example lacks %s", line);
            secrets++;
        }
        flow_answer_free(&one);
    }
    ck_assert_uint_ge(secrets, 4);
    flow_answer_free(&list);
    flow_end(f);
    free(example);
    free(ignored);
}
END_TEST

/* Exactly one of "got" and "not": what the component is told about its secret. */
static bool got(struct flow *f)
{
    json_t *answer = flow_call(f, "test.secretive", "ask", "{\"name\": \"TEST_OWN_SECRET\"}", NULL);
    bool is = json_is_true(json_object_get(answer, "got"));
    json_decref(answer);
    return is;
}

START_TEST(env_file_is_read_and_masked)
{
    struct flow *f = flow_new();
    struct flow_answer a;
    char path[128];
    flow_plugin(f, "secretive");
    flow_start(f);
    ck_assert(!got(f));
    ck_assert_int_eq(flow_stop(f), 0);
    flow_write(f, ".env", "# a key\nTEST_OWN_SECRET=\"hush-hush\"\nLOG_LEVEL=DEBUG\n");
    snprintf(path, sizeof path, "%s/.env", f->home);
    ck_assert_int_eq(chmod(path, 0600), 0);
    EXPECT(f, 0, "TEST_OWN_SECRET", "config", "show", "secrets");
    flow_start(f);
    ck_assert(got(f));
    ck_assert_int_eq(FLOW_RUN(f, &a, "config", "show"), 0);
    ck_assert_msg(strstr(a.text, "TEST_OWN_SECRET"), "%s", a.text);
    ck_assert_msg(!strstr(a.text, "hush"), "%s", a.text);
    flow_answer_free(&a);
    ck_assert_int_eq(FLOW_RUN(f, &a, "config", "show", "--output", "json"), 0);
    ck_assert_msg(!strstr(a.text, "hush"), "%s", a.text);
    flow_answer_free(&a);
    ck_assert(!flow_logged(f, "hush"));
    ck_assert_int_eq(flow_stop(f), 0);
    flow_env(f, "TEST_OWN_SECRET", ""); /* the real environment wins, even where it is empty */
    flow_start(f);
    ck_assert_int_eq(flow_stop(f), 0);
    flow_write(f, ".env", "TEST_OWN_SECRET\n");
    ck_assert_int_eq(flow_start_status(f, NULL), 3);
    ck_assert_msg(strstr(f->start_errors, ".env"), "%s", f->start_errors);
    flow_free(f);
}
END_TEST

/* ---- the port ---- */

static bool is_free(int port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    bool free_now = bind(fd, (struct sockaddr *)&address, sizeof address) == 0;
    close(fd);
    return free_now;
}

START_TEST(listens_on_8000_by_default)
{
    struct flow *f = flow_new();
    char program[512], url[64];
    flow_product(f);
    EXPECT(f, 0, "8000", "config", "show", "http.port", "--output", "json");
    flow_start(f); /* makes the home's files; with --port 0 a free one is taken */
    ck_assert_str_ne(f->url, "http://127.0.0.1:8000");
    ck_assert_int_eq(flow_stop(f), 0);
    snprintf(program, sizeof program, "%s", flow_build("host/cvmhost"));
    bool ours = is_free(8000);
    flow_spawn(f, "serve", (const char *const[]){program, "serve", "--home", f->home, NULL});
    snprintf(url, sizeof url, "%s 8000", ours ? "serving on http://127.0.0.1:" : "port");
    char *said = NULL;
    if (ours) {
        FLOW_UNTIL((free(said), said = flow_read(f, "serve.txt")) && strstr(said, "serving on http://127.0.0.1:8000 "));
        snprintf(f->url, sizeof f->url, "http://localhost:8000");
        struct flow_answer a;
        ck_assert_int_eq(flow_http(f, "GET", "/health", NULL, NULL, &a), 200);
        ck_assert_ptr_nonnull(strstr(a.text, "\"status\":\"healthy\""));
        flow_answer_free(&a);
        ck_assert_int_eq(flow_http(f, "GET", "/metrics", NULL, NULL, &a), 200);
        ck_assert_ptr_nonnull(strstr(a.text, "cvmhost_up 1"));
        flow_answer_free(&a);
        ck_assert_int_eq(flow_http(f, "POST", "/api/v1/enquiries", "{}", NULL, NULL), 400); /* the API is there too */
    } else { /* somebody's already: said so, with what to do */
        FLOW_UNTIL((free(said), said = flow_read(f, "serve.txt")) && strstr(said, "port 8000"));
        fprintf(stderr, "listens_on_8000_by_default: port 8000 is taken on this machine; only the refusal was seen\n");
    }
    free(said);
    flow_free(f);
}
END_TEST

START_TEST(port_by_option_or_file)
{
    struct flow *f = flow_new();
    char url[64];
    flow_plugin(f, "faulty");
    f->port = flow_free_port();
    flow_config(f, "http.port", json_integer(1)); /* the option wins */
    flow_start(f);
    snprintf(url, sizeof url, "http://127.0.0.1:%d", f->port);
    ck_assert_str_eq(f->url, url);
    ck_assert_int_eq(flow_http(f, "GET", "/health", NULL, NULL, NULL), 200);
    flow_end(f);
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("settings");
    tcase_set_timeout(c, 60);
    tcase_add_loop_test(c, faulty_configuration_names_the_setting, 0, (int)(sizeof faults / sizeof *faults));
    tcase_add_test(c, a_setting_out_of_its_range_is_refused);
    tcase_add_loop_test(c, settings_outside_the_reference_are_refused, 0, (int)(sizeof outside / sizeof *outside));
    tcase_add_test(c, sections_of_every_area_are_shown);
    tcase_add_test(c, sections_of_no_component_are_warned_of);
    tcase_add_test(c, env_example_lists_every_variable);
    tcase_add_test(c, env_file_is_read_and_masked);
    tcase_add_test(c, listens_on_8000_by_default);
    tcase_add_test(c, port_by_option_or_file);
    return flow_main("settings", (TCase *[]){c, NULL});
}
