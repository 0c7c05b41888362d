/* Jobs in the harness: tests/plugins/miner.c without a host. */
#include <check.h>
#include <cvm/harness.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define A "test.miner"

static struct harness *h;
static const json_t *data;

static void begin(void)
{
    h = harness_new(0);
    harness_add(h, &cvm_plugin, MINER);
}

static json_t *parsed(const char *text)
{
    json_t *value = json_loads(text, 0, NULL);
    ck_assert_msg(value != NULL, "%s", text);
    return value;
}

static int run(const char *job, const char *input)
{
    return harness_job(h, A, job, parsed(input), &data);
}

static void check_rows(const char *input, const char *rows)
{
    json_t *wanted = parsed(rows);
    ck_assert_int_eq(run("scan", input), CVM_REPLIED);
    char *got = json_dumps(json_object_get(data, "rows"), 0);
    ck_assert_msg(json_equal(json_object_get(data, "rows"), wanted), "%s: %s", input, got);
    free(got);
    json_decref(wanted);
}

START_TEST(loads_scans_and_clears)
{
    begin();
    ck_assert_int_eq(run("load", "{\"rows\": 100, \"run\": \"a\"}"), CVM_REPLIED);
    ck_assert_int_eq(json_object_size(harness_rows(h, "ores")), 100);
    const json_t *row = json_object_get(harness_rows(h, "ores"), "ore-00000003");
    ck_assert_int_eq(cvm_json_int(row, "n", 0), 3);
    ck_assert(json_is_true(json_object_get(row, "good")) && json_is_array(json_object_get(row, "tags")));
    check_rows("{\"columns\": [\"id\", \"weight\", \"seam\", \"tags\", \"good\"], \"keep\": 2}",
               "[[\"ore-00000000\", 0.0, null, \"[1]\", 0], [\"ore-00000001\", 0.5, 1, \"[1]\", 1]]");
    check_rows("{\"columns\": [\"n\"], \"keep\": 2, \"order\": \"-weight\"}", "[[99], [98]]");
    check_rows("{\"columns\": [\"seam\", \"n\"], \"keep\": 1, \"order\": \"seam\"}", "[[null, 0]]");
    check_rows("{\"columns\": [\"n\"], \"where\": {\"seam\": 2}, \"keep\": 2, \"order\": \"-name\"}", "[[83], [62]]");
    check_rows("{\"columns\": [\"n\"], \"where\": {\"good\": true, \"n\": 4}}", "[]");
    ck_assert_int_eq(run("load", "{\"rows\": 1, \"columns\": \"few\", \"from\": 3}"), CVM_REPLIED);
    ck_assert_str_eq(cvm_json_str(json_object_get(harness_rows(h, "ores"), "ore-00000003"), "run", ""), "a");
    ck_assert_int_eq(run("clear", "{\"where\": {\"seam\": null}}"), CVM_REPLIED);
    ck_assert_int_eq(cvm_json_int(data, "rows", 0), 34);
    ck_assert_int_eq(run("clear", "{}"), CVM_REPLIED);
    ck_assert_int_eq(json_object_size(harness_rows(h, "ores")), 0);
    harness_free(h);
}
END_TEST

START_TEST(holds_a_job_to_its_manifest)
{
    begin();
    harness_fill(h, "quarry_stones", "id", parsed("[{\"id\": \"b\", \"n\": 2}, {\"id\": \"a\", \"n\": 1}]"));
    check_rows("{\"table\": \"quarry_stones\", \"columns\": [\"n\"]}", "[[1], [2]]");
    const struct {
        const char *job, *input;
        int error;
    } bad[] = {{"scan", "{\"table\": \"quarry_dust\", \"columns\": [\"id\"]}", CVM_EACCES},
               {"scan", "{\"table\": \"nowhere\", \"columns\": [\"id\"]}", CVM_ENOENT},
               {"scan", "{\"columns\": [\"gold\"]}", CVM_EINVAL},
               {"scan", "{\"columns\": [\"n\"], \"order\": \"name\"}", CVM_EINVAL},
               {"scan", "{\"columns\": [\"n\"], \"where\": {\"gold\": 1}}", CVM_EINVAL},
               {"wrong", "{\"what\": \"turned\"}", CVM_EACCES},
               {"wrong", "{\"what\": \"keyless\"}", CVM_EINVAL},
               {"wrong", "{\"what\": \"unknown\"}", CVM_EINVAL},
               {"wrong", "{\"what\": \"key\"}", CVM_EINVAL},
               {"wrong", "{\"what\": \"number\"}", CVM_EINVAL},
               {"wrong", "{\"what\": \"text\"}", CVM_EINVAL},
               {"wrong", "{\"what\": \"fraction\"}", CVM_EINVAL},
               {"wrong", "{\"what\": \"utf8\"}", CVM_EINVAL},
               {"lines", "{\"path\": \"../x\"}", CVM_EACCES},
               {"here", "{\"path\": \"/etc/passwd\"}", CVM_EACCES},
               {"save", "{\"path\": \"data/x\"}", CVM_EACCES}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ck_assert_msg(run(bad[i].job, bad[i].input) == CVM_ERROR, "%s %s", bad[i].job, bad[i].input);
        ck_assert_msg(strcmp(cvm_json_str(data, "text", ""), cvm_strerror(bad[i].error)) == 0, "%s: %s", bad[i].input,
                      cvm_json_str(data, "text", ""));
    }
    harness_free(h);
}
END_TEST

START_TEST(turns_start_them)
{
    begin();
    json_t *request = parsed("{\"job\": \"load\", \"input\": {\"rows\": 5}}");
    ck_assert_int_eq(harness_ask(h, A, "begin", request, &data), CVM_REPLIED);
    ck_assert_str_eq(cvm_json_str(data, "outcome", ""), "REPLIED");
    ck_assert_int_eq(json_object_size(harness_rows(h, "ores")), 5);
    ck_assert_str_eq(cvm_json_str(json_array_get(harness_sent(h), 0), "kind", ""), "job");
    request = parsed("{\"job\": \"odd\", \"input\": {\"how\": \"fail\"}}");
    ck_assert_int_eq(harness_ask(h, A, "begin", request, &data), CVM_REPLIED);
    ck_assert_str_eq(cvm_json_str(data, "outcome", ""), "ERROR");
    ck_assert_str_eq(cvm_json_str(json_object_get(data, "data"), "code", ""), "NO_ORE");
    ck_assert_int_eq(harness_ask(h, A, "begin", parsed("{\"job\": \"dig\"}"), &data), CVM_REPLIED);
    ck_assert_int_eq(cvm_json_int(data, "error", 0), CVM_EACCES);
    ck_assert_int_eq(harness_ask(h, A, "begin", parsed("{\"job\": \"here\"}"), &data), CVM_REPLIED);
    ck_assert_int_eq(cvm_json_int(data, "error", 0), CVM_ENOENT);
    ck_assert_int_eq(harness_ask(h, A, "put", parsed("{\"table\": \"ores\", \"row\": {\"id\": \"x\"}}"), &data),
                     CVM_REPLIED);
    ck_assert_int_eq(cvm_json_int(data, "error", 0), CVM_EACCES);
    harness_free(h);
}
END_TEST

START_TEST(files_are_of_the_home)
{
    char home[] = "/tmp/cvm-harness-XXXXXX", path[100], command[120];
    begin();
    ck_assert_ptr_nonnull(mkdtemp(home));
    harness_home(h, home);
    ck_assert_int_eq(run("save", "{\"path\": \"output/a/b.txt\", \"text\": \"one\\ntwo\"}"), CVM_REPLIED);
    ck_assert_int_eq(run("lines", "{\"path\": \"output/a/b.txt\"}"), CVM_REPLIED);
    ck_assert_int_eq(cvm_json_int(data, "n", 0), 2);
    snprintf(command, sizeof command, "{\"path\": \"%s/output/a/b.txt\"}", home);
    ck_assert_int_eq(run("lines", command), CVM_REPLIED);
    ck_assert_int_eq(run("facts", "{\"x\": 1}"), CVM_REPLIED);
    ck_assert_int_eq(cvm_json_int(data, "now", 0), harness_now(h));
    ck_assert_int_eq(cvm_json_int(data, "classified", 0), CVM_ENOENT);
    snprintf(path, sizeof path, "%s/output/a/b.txt", home);
    unlink(path);
    snprintf(path, sizeof path, "%s/output/a", home);
    rmdir(path);
    snprintf(path, sizeof path, "%s/output", home);
    rmdir(path);
    rmdir(home);
    harness_free(h);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("harness_job");
    TCase *c = tcase_create("harness_job");
    tcase_add_test(c, loads_scans_and_clears);
    tcase_add_test(c, holds_a_job_to_its_manifest);
    tcase_add_test(c, turns_start_them);
    tcase_add_test(c, files_are_of_the_home);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
