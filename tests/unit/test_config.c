/* The configuration: defaults, the file, what is refused and how; secrets and that nobody sees them. */
#include "core/config.h"

#include <check.h>
#include <cvm/cvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char home[64], error[1024];

static void write_file(const char *name, const char *text, mode_t mode)
{
    char file[128];
    snprintf(file, sizeof file, "%s/%s", home, name);
    FILE *f = fopen(file, "w");
    ck_assert_ptr_nonnull(f);
    ck_assert_int_ge(fputs(text, f), 0);
    fclose(f);
    ck_assert_int_eq(chmod(file, mode), 0);
}

static void setup(void)
{
    char sub[96];
    snprintf(home, sizeof home, "/tmp/test_config.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(home));
    snprintf(sub, sizeof sub, "%s/config", home);
    ck_assert_int_eq(mkdir(sub, 0700), 0);
    unsetenv("LOG_LEVEL");
    unsetenv("TEST_SECRET");
}

static void teardown(void)
{
    static const char *const files[] = {"config/cvmhost.json", "config", "secrets.json", ".env", "other.json"};
    char file[96];
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        snprintf(file, sizeof file, "%s/%s", home, files[i]);
        remove(file);
    }
    rmdir(home);
}

static struct config *load(void)
{
    struct config *c = NULL;
    int rc = config_load(home, NULL, &c, error, sizeof error);
    ck_assert_msg(rc == 0, "%s", error);
    return c;
}

static struct config *load_text(const char *text)
{
    write_file("config/cvmhost.json", text, 0644);
    return load();
}

/* Refused with a sentence that names the file and ends in `end`. */
static void refuses(const char *text, const char *end)
{
    struct config *c = NULL;
    char sentence[1024];
    write_file("config/cvmhost.json", text, 0644);
    ck_assert_msg(config_load(home, NULL, &c, error, sizeof error) == CVM_EINVAL, "accepts %s", text);
    ck_assert_ptr_null(c);
    snprintf(sentence, sizeof sentence, "%s/config/cvmhost.json: %s", home, end);
    ck_assert_str_eq(error, sentence);
}

START_TEST(defaults)
{
    struct config *c = load();
    ck_assert_int_eq(config_int(c, "http.port", 0), 8000);
    ck_assert_str_eq(config_str(c, "http.host", NULL), "127.0.0.1");
    ck_assert_int_eq(config_bool(c, "http.public", 1), 0);
    ck_assert_int_eq(config_int(c, "journal.keep_days", 0), 90);
    ck_assert_str_eq(config_str(c, "host.log_level", NULL), "INFO");
    ck_assert(json_is_array(config_get(c, "plugins.inline")));
    ck_assert(json_is_object(config_get(c, "roles")));
    ck_assert_ptr_null(config_get(c, "secrets.file"));
    ck_assert_ptr_null(config_get(c, "http.none"));
    ck_assert_ptr_null(config_get(c, "http.port.none"));
    ck_assert_ptr_null(config_get(c, ""));
    ck_assert_int_eq(config_int(c, "http.host", 7), 7); /* a string is no number */
    ck_assert_str_eq(config_str(c, "http.port", "x"), "x");
    config_free(c);
    config_free(NULL);
}
END_TEST

START_TEST(overrides)
{
    struct config *c = load_text("{\"http\":{\"port\":9000.0,\"public\":true},\"host\":{\"log_level\":\"debug\"},"
                                 "\"roles\":{\"a\":[\"x.y\"]},\"agents\":{\"x.y\":{\"concurrency\":3}}}");
    ck_assert_int_eq(config_int(c, "http.port", 0), 9000);
    ck_assert_int_eq(config_bool(c, "http.public", 0), 1);
    ck_assert_int_eq(config_int(c, "http.connections", 0), 1024);
    ck_assert_str_eq(config_str(c, "host.log_level", NULL), "DEBUG");
    ck_assert_int_eq(config_int(c, "agents.x.y.concurrency", 0), 3);
    ck_assert_uint_eq(json_array_size(config_get(c, "roles.a")), 1);
    config_free(c);
    c = load_text("{\"journal\":{\"wal_max_mib\":8}}"); /* less than a default that the file does not name */
    ck_assert_int_eq(config_int(c, "journal.wal_max_mib", 0), 8);
    config_free(c);
}
END_TEST

START_TEST(component_settings)
{
    json_t *given = json_pack("{s:i,s:{s:i,s:i},s:[i]}", "a", 1, "deep", "b", 2, "c", 3, "list", 4);
    struct config *c =
        load_text("{\"agents\":{\"x.y\":{\"settings\":{\"deep\":{\"b\":20},\"list\":[],\"new\":true}}}}");
    json_t *mine = config_component_settings(c, "x.y", given), *theirs = config_component_settings(c, "x.z", given);
    json_t *want = json_pack("{s:i,s:{s:i,s:i},s:[],s:b}", "a", 1, "deep", "b", 20, "c", 3, "list", "new", 1);
    ck_assert(json_equal(mine, want));
    ck_assert(json_equal(theirs, given));
    json_t *none = config_component_settings(c, "x.z", NULL);
    ck_assert_uint_eq(json_object_size(none), 0);
    ck_assert_int_eq(json_integer_value(json_object_get(json_object_get(given, "deep"), "b")), 2);
    json_decref(none);
    json_decref(want);
    json_decref(mine);
    json_decref(theirs);
    json_decref(given);
    config_free(c);
}
END_TEST

/* A section named by an area lies between the manifest and agents.ID.settings. */
START_TEST(areas)
{
    setenv("TEST_SECRET", "seven", 1);
    json_t *given = json_pack("{s:i,s:i,s:i,s:{s:i,s:i}}", "a", 1, "b", 2, "c", 3, "deep", "d", 4, "e", 5);
    struct config *c = load_text("{\"shop\":{\"a\":10,\"b\":\"${TEST_SECRET}\",\"deep\":{\"e\":50},\"other\":1},"
                                 "\"agents\":{\"shop.desk\":{\"settings\":{\"a\":100}}}}");
    json_t *desk = config_component_settings(c, "shop.desk", given),
           *till = config_component_settings(c, "shop.till", given);
    json_t *shopping = config_component_settings(c, "shopping.desk", given);
    json_t *want = json_pack("{s:i,s:s,s:i,s:{s:i,s:i}}", "a", 100, "b", "seven", "c", 3, "deep", "d", 4, "e", 50);
    ck_assert(json_equal(desk, want));
    json_object_set_new(want, "a", json_integer(10));
    ck_assert(json_equal(till, want));
    ck_assert(json_equal(shopping, given));
    ck_assert_int_eq(config_int(c, "shop.a", 0), 10);
    ck_assert_uint_eq(json_object_size(config_areas(c)), 1);
    json_t *shown = config_show(c);
    ck_assert_ptr_nonnull(json_object_get(shown, "shop"));
    struct config *again = NULL;
    ck_assert_int_eq(config_recorded(json_object_get(shown, "agents") ? shown : NULL, NULL, &again), 0);
    json_t *replayed = config_component_settings(again, "shop.till", given);
    ck_assert(json_equal(replayed, till));
    config_free(again);
    json_decref(replayed);
    json_decref(shown);
    json_decref(want);
    json_decref(shopping);
    json_decref(till);
    json_decref(desk);
    json_decref(given);
    config_free(c);
    unsetenv("TEST_SECRET");
    refuses("{\"shop\":1}",
            "shop: unknown setting; known are host, http, access, journal, admission, plugins, models, jobs, "
            "conversation, roles, agents, secrets, supervisor");
    refuses("{\"Shop\":{}}",
            "Shop: unknown setting; known are host, http, access, journal, admission, plugins, models, jobs, "
            "conversation, roles, agents, secrets, supervisor");
    refuses("{\"agent\":{}}", "agent: unknown setting; did you mean agents?");
}
END_TEST

START_TEST(unknown_settings)
{
    refuses("{\"http\":{\"prot\":1}}", "http.prot: unknown setting; did you mean http.port?");
    refuses("{\"htpp\":{\"port\":1}}", "htpp: unknown setting; did you mean http?");
    refuses("{\"port\":1}", "port: unknown setting; did you mean http.port?");
    refuses("{\"journal\":{\"wal_max\":1}}", "journal.wal_max: unknown setting; did you mean journal.wal_max_mib?");
    refuses("{\"agents\":{\"a.b\":{\"concurency\":1}}}",
            "agents.a.b.concurency: unknown setting; did you mean agents.a.b.concurrency?");
    refuses("{\"secrets\":{\"qqqqqqqq\":1}}", "secrets.qqqqqqqq: unknown setting; known are file");
}
END_TEST

START_TEST(long_names)
{
    char text[2048], name[1000];
    struct config *c = NULL;
    memset(name, 'x', sizeof name);
    name[sizeof name - 1] = 0;
    snprintf(text, sizeof text, "{\"agents\":{\"%s\":{\"%s\":1}}}", name, name);
    write_file("config/cvmhost.json", text, 0644);
    ck_assert_int_eq(config_load(home, NULL, &c, error, sizeof error), CVM_EINVAL);
    ck_assert_ptr_nonnull(strstr(error, "unknown setting"));
    ck_assert_int_eq(config_load(home, NULL, &c, error, 10), CVM_EINVAL);
    ck_assert_uint_eq(strlen(error), 9);
}
END_TEST

START_TEST(wrong_values)
{
    refuses("{\"http\":{\"port\":\"80\"}}", "http.port: must be an integer, got string \"80\"");
    refuses("{\"http\":{\"port\":70000}}", "http.port: must be at most 65535, got number 70000");
    refuses("{\"http\":7}", "http: must be an object, got number 7");
    refuses("{\"plugins\":{\"inline\":[\"a\",7]}}", "plugins.inline[1]: must be a string, got number 7");
    refuses("{\"agents\":{\"a.b\":{\"concurrency\":0}}}", "agents.a.b.concurrency: must be at least 1, got number 0");
    refuses("{\"host\":{\"log_level\":\"LOUD\"}}",
            "host.log_level: must be one of \"DEBUG\", \"INFO\", \"WARNING\", \"ERROR\", got string \"LOUD\"");
    refuses("{\"journal\":{\"wal_max_mib\":8,\"wal_checkpoint_mib\":8}}",
            "journal.wal_max_mib: must be more than journal.wal_checkpoint_mib (8), got 8");
    refuses("[]", "must be an object, got an array of 0 items");
    refuses("{\"http\":{}}}", "line 1, column 12: is no valid JSON: end of file expected near '}'");
    refuses("{\"http\":{},\"http\":{}}", "line 1, column 17: is no valid JSON: duplicate object key near '\"http\"'");
}
END_TEST

START_TEST(files)
{
    struct config *c = NULL;
    char other[96];
    snprintf(other, sizeof other, "%s/other.json", home);
    ck_assert_int_eq(config_load(home, other, &c, error, sizeof error), CVM_EIO); /* named, so it must be there */
    write_file("other.json", "{\"http\":{\"port\":1}}", 0644);
    ck_assert_int_eq(config_load(home, other, &c, error, sizeof error), 0);
    ck_assert_int_eq(config_int(c, "http.port", 0), 1);
    config_free(c);
    c = NULL;
    ck_assert_int_eq(config_load(home, home, &c, error, sizeof error), CVM_EIO);
    ck_assert_ptr_nonnull(strstr(error, "no regular file"));
}
END_TEST

START_TEST(env_file)
{
    write_file(".env",
               "\xef\xbb\xbf# comment\n"
               "\n"
               "PLAIN=a b # tail\r\n"
               "export EXPORTED=x\n"
               "  9DIGIT = y\n"
               "SINGLE='a \"b\" \\n # c'   # tail\n"
               "DOUBLE=\"a\\n\\\"b\\\" \\\\ '\"\n"
               "HASH=a#b\n"
               "EMPTY=\n"
               "COMMENTED= # nothing\n"
               "TWICE=1\n"
               "TWICE=2\n"
               "exported=low\n"
               "TEST_SECRET=file\n"
               "LAST=z",
               0644);
    struct config *c = load();
    ck_assert_str_eq(config_secret(c, "PLAIN"), "a b");
    ck_assert_str_eq(config_secret(c, "EXPORTED"), "x");
    ck_assert_str_eq(config_secret(c, "9DIGIT"), "y");
    ck_assert_str_eq(config_secret(c, "SINGLE"), "a \"b\" \\n # c");
    ck_assert_str_eq(config_secret(c, "DOUBLE"), "a\n\"b\" \\ '");
    ck_assert_str_eq(config_secret(c, "HASH"), "a#b");
    ck_assert_ptr_null(config_secret(c, "EMPTY"));
    ck_assert_ptr_null(config_secret(c, "COMMENTED"));
    ck_assert_str_eq(config_secret(c, "TWICE"), "2");
    ck_assert_str_eq(config_secret(c, "exported"), "low");
    ck_assert_str_eq(config_secret(c, "LAST"), "z");
    ck_assert_ptr_null(config_secret(c, "NONE"));
    setenv("TEST_SECRET", "environment", 1);
    ck_assert_str_eq(config_secret(c, "TEST_SECRET"), "environment");
    setenv("TEST_SECRET", "", 1);
    ck_assert_str_eq(config_secret(c, "TEST_SECRET"), "file");
    config_free(c);
}
END_TEST

static const struct {
    const char *text, *end;
} bad_env[] = {
    {"A=1\nhidden\n", "line 2: must be NAME=VALUE, a comment or empty"},
    {"A B=hidden\n", "line 1: the name before '=' must consist of letters, digits and _"},
    {"\n\n=hidden", "line 3: the name before '=' must consist of letters, digits and _"},
    {"A='hidden\n", "line 1: the quote of the value is not closed"},
    {"A=\"hidden\\\"\n", "line 1: the quote of the value is not closed"},
    {"A=\"hidden\"x\n", "line 1: there is text behind the closing quote"},
    {"A=hidden\xff\n", "line 1: the value is not valid UTF-8"},
};

START_TEST(env_file_faults)
{
    struct config *c = NULL;
    char sentence[1024];
    write_file(".env", bad_env[_i].text, 0600);
    ck_assert_int_eq(config_load(home, NULL, &c, error, sizeof error), CVM_EINVAL);
    snprintf(sentence, sizeof sentence, "%s/.env: %s", home, bad_env[_i].end);
    ck_assert_str_eq(error, sentence);
    ck_assert_ptr_null(strstr(error, "hidden"));
}
END_TEST

START_TEST(secrets_file)
{
    struct config *c = NULL;
    write_file("config/cvmhost.json", "{\"secrets\":{\"file\":\"secrets.json\"}}", 0644);
    ck_assert_int_eq(config_load(home, NULL, &c, error, sizeof error), CVM_EIO);
    ck_assert_ptr_nonnull(strstr(error, "secrets.json: No such file"));
    write_file("secrets.json", "{\"9KEY\":\"hidden\",\"BOTH\":\"file\",\"NOT_YET\":\"\"}", 0600);
    write_file(".env", "BOTH=env\n", 0600);
    c = load();
    ck_assert_str_eq(config_secret(c, "9KEY"), "hidden");
    ck_assert_str_eq(config_secret(c, "BOTH"), "env");
    json_t *shown = config_show(c), *names = json_object_get(json_object_get(shown, "secrets"), "names");
    ck_assert_str_eq(json_string_value(json_object_get(names, "9KEY")), "set");
    ck_assert_str_eq(json_string_value(json_object_get(names, "BOTH")), "set");
    ck_assert_str_eq(json_string_value(json_object_get(names, "NOT_YET")), "not set");
    ck_assert_int_eq(json_integer_value(json_object_get(json_object_get(shown, "http"), "port")), 8000);
    char *text = json_dumps(shown, 0);
    ck_assert_ptr_null(strstr(text, "hidden"));
    free(text);
    json_decref(shown);
    config_free(c);
    write_file("secrets.json", "{\"A\":\"b\"}", 0400);
    config_free(load());
}
END_TEST

static const struct {
    mode_t mode;
    int error;
    const char *text, *part;
} bad_secrets[] = {
    {0644, CVM_EIO, "{\"A\":\"hidden\"}", "its mode must be 0600 or 0400, it is 0644; run: chmod 600 "},
    {0640, CVM_EIO, "{\"A\":\"hidden\"}", "it is 0640"},
    {0600, CVM_EINVAL, "{\"A\":\"hidden\"", "line 1, column 13: is no valid JSON"},
    {0600, CVM_EINVAL, "[\"hidden\"]", "must be a JSON object"},
    {0600, CVM_EINVAL, "{\"A\":{\"x\":\"hidden\"}}", "\"A\": the value of a secret must be a string"},
    {0600, CVM_EINVAL, "{\"A-B\":\"hidden\"}", "\"A-B\": the name of a secret must consist of"},
};

START_TEST(secrets_file_faults)
{
    struct config *c = NULL;
    write_file("config/cvmhost.json", "{\"secrets\":{\"file\":\"secrets.json\"}}", 0644);
    write_file("secrets.json", bad_secrets[_i].text, bad_secrets[_i].mode);
    ck_assert_int_eq(config_load(home, NULL, &c, error, sizeof error), bad_secrets[_i].error);
    ck_assert_msg(strstr(error, bad_secrets[_i].part) != NULL, "%s", error);
    ck_assert_ptr_null(strstr(error, "hidden"));
}
END_TEST

START_TEST(log_level)
{
    write_file("config/cvmhost.json", "{\"host\":{\"log_level\":\"ERROR\"}}", 0644);
    write_file(".env", "LOG_LEVEL=warning\n", 0600);
    struct config *c = load();
    ck_assert_str_eq(config_str(c, "host.log_level", NULL), "WARNING");
    config_free(c);
    setenv("LOG_LEVEL", "debug", 1);
    c = load();
    ck_assert_str_eq(config_str(c, "host.log_level", NULL), "DEBUG");
    config_free(c);
    setenv("LOG_LEVEL", "trace", 1); /* meant for another program */
    c = load();
    ck_assert_str_eq(config_str(c, "host.log_level", NULL), "ERROR");
    config_free(c);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("config");
    TCase *t = tcase_create("config");
    suite_add_tcase(suite, t);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, defaults);
    tcase_add_test(t, overrides);
    tcase_add_test(t, component_settings);
    tcase_add_test(t, areas);
    tcase_add_test(t, unknown_settings);
    tcase_add_test(t, long_names);
    tcase_add_test(t, wrong_values);
    tcase_add_test(t, files);
    tcase_add_test(t, env_file);
    tcase_add_loop_test(t, env_file_faults, 0, (int)(sizeof bad_env / sizeof bad_env[0]));
    tcase_add_test(t, secrets_file);
    tcase_add_loop_test(t, secrets_file_faults, 0, (int)(sizeof bad_secrets / sizeof bad_secrets[0]));
    tcase_add_test(t, log_level);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
