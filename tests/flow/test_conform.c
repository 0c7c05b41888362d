/* `plugin check`: each planted mistake is found by the check that is for it, the plugin without one passes, and so do
 * all that come with the product. */
#include "flow.h"

#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SEED "7"

static const struct {
    const char *plugin, *check, *what, *messages;
} mistakes[] = {{"leaks", "leaks", "leak", "300"},
                {"leaks_memory", "leaks", "leak", "300"},
                {"drops", "references", "borrowed", "60"},
                {"changes", "references", "borrowed", "60"},
                {"changes_sent", "references", "borrowed", "60"},
                {"frees_twice", "references", "freed", "60"},
                {"silent", "answers", "no_reply", "1000"},
                {"forgets", "answers", "unanswered", "300"},
                {"short", "answers", "response", "300"},
                {"mute", "answers", "refusal", "300"},
                {"crashes", "messages", "crash", "300"},
                {"odd_reply", "messages", "crash", "300"},
                {"loops", "messages", "hang", "150"},
                {"slow", "messages", "slow", "100"},
                {"faults", "messages", "fault", "300"},
                {"undeclared", "limits", "cvm_row_put", "300"},
                {"rolls", "determinism", "journal", "60"},
                {"remembers", "restart", "differs", "60"},
                {"remembers", "kill", "differs", "60"},
                {"remembers", "process", "journal", "60"},
                {"trusts_memory", "memory", "crash", "60"},
                {"upgrades_wrong", "state", "reference", "60"},
                {"leaks_create", "lifecycle", "memory", "60"}};

static char *text_of(const char *format, const char *name)
{
    char *text = NULL;
    ck_assert_int_gt(asprintf(&text, format, name), 0);
    return text;
}

static char *library(const char *name)
{
    char *file = text_of("tests/plugins/bad_%s.so", name), *path = strdup(flow_build(file));
    free(file);
    return path;
}

static json_t *line_of(const struct flow_answer *a, const char *check)
{
    size_t i;
    json_t *line;
    json_array_foreach(json_object_get(a->json, "checks"), i, line)
    {
        if (strcmp(json_string_value(json_object_get(line, "check")), check) == 0)
            return line;
    }
    ck_abort_msg("no check %s in %s%s", check, a->text, a->errors);
}

static void all_well(const struct flow_answer *a, int status)
{
    size_t i;
    json_t *line;
    json_array_foreach(json_object_get(a->json, "checks"), i, line) ck_assert_msg(
        strcmp(json_string_value(json_object_get(line, "result")), "failed") != 0, "%s: %s",
        json_string_value(json_object_get(line, "check")), json_string_value(json_object_get(line, "text")));
    ck_assert_msg(status == 0, "%s%s", a->text, a->errors);
    ck_assert_uint_eq(json_array_size(json_object_get(a->json, "checks")), 14);
}

START_TEST(finds_each_mistake)
{
    struct flow *f = flow_new();
    struct flow_answer a;
    const char *check = mistakes[_i].check;
    char *file = library(mistakes[_i].plugin);
    int status = FLOW_RUN(f, &a, "plugin", "check", file, "--manifest", flow_source("tests/plugins/bad.json"), "--seed",
                          SEED, "--messages", mistakes[_i].messages, "--kills", "6", "--timeout",
                          strcmp(mistakes[_i].what, "hang") == 0 ? "0.4" : "5", "--only", check, "--output", "json");
    json_t *line = line_of(&a, check), *finding;
    bool found = false;
    size_t i;
    json_array_foreach(json_object_get(line, "findings"), i, finding) found =
        found || strcmp(json_string_value(json_object_get(finding, "what")), mistakes[_i].what) == 0;
    ck_assert_msg(found, "%s: %s", mistakes[_i].plugin, a.text);
    ck_assert_str_eq(json_string_value(json_object_get(line, "result")), "failed");
    ck_assert_int_eq(status, 1);
    flow_answer_free(&a);
    free(file);
    flow_free(f);
}
END_TEST

START_TEST(passes_what_has_none)
{
    struct flow *f = flow_new();
    struct flow_answer a;
    char *file = library("none");
    int status = FLOW_RUN(f, &a, "plugin", "check", file, "--manifest", flow_source("tests/plugins/bad.json"), "--seed",
                          SEED, "--messages", "400", "--output", "json");
    all_well(&a, status);
    flow_answer_free(&a);
    free(file);
    flow_free(f);
}
END_TEST

/* What the build before has stored is read by this one, or it is told that it cannot be. */
START_TEST(tries_state_of_an_older_build)
{
    struct flow *f = flow_new();
    struct flow_answer a;
    char *good = library("none"), *bad = library("upgrades_none"), old[300], beside[300];
    snprintf(old, sizeof old, "%s/bad_old.so", f->home);
    snprintf(beside, sizeof beside, "%s/bad_old.json", f->home);
    ck_assert_int_eq(symlink(flow_build("tests/plugins/bad_old.so"), old), 0);
    ck_assert_int_eq(symlink(flow_source("tests/plugins/bad_old.json"), beside), 0);
    const char *const files[] = {good, bad};
    for (int i = 0; i < 2; i++) {
        int status = FLOW_RUN(f, &a, "plugin", "check", files[i], "--manifest", flow_source("tests/plugins/bad.json"),
                              "--seed", SEED, "--only", "state", "--previous", old, "--output", "json");
        ck_assert_msg(status == i, "%s", a.text);
        const json_t *line = line_of(&a, "state"), *first = json_array_get(json_object_get(line, "findings"), 0);
        if (i == 0)
            ck_assert_ptr_nonnull(strstr(json_string_value(json_object_get(line, "text")), "of older versions"));
        else
            ck_assert_str_eq(json_string_value(json_object_get(first, "what")), "refused");
        flow_answer_free(&a);
    }
    free(good);
    free(bad);
    flow_free(f);
}
END_TEST

/* Two runs with one seed tell the same. */
START_TEST(repeats_by_seed)
{
    struct flow *f = flow_new();
    struct flow_answer a, b;
    char *file = library("crashes");
    const char *const words[] = {"plugin", "check",    file,     "--manifest", flow_source("tests/plugins/bad.json"),
                                 "--seed", "11",       "--only", "messages",   "--messages",
                                 "200",    "--output", "json",   NULL};
    ck_assert_int_eq(flow_run(f, &a, words), 1);
    ck_assert_int_eq(flow_run(f, &b, words), 1);
    ck_assert_str_eq(a.text, b.text);
    flow_answer_free(&a);
    flow_answer_free(&b);
    free(file);
    flow_free(f);
}
END_TEST

START_TEST(says_what_cannot_be_loaded)
{
    struct flow *f = flow_new();
    struct flow_answer a;
    flow_write(f, "none.so", "this is no library");
    char *file = text_of("%s/none.so", f->home);
    ck_assert_int_eq(FLOW_RUN(f, &a, "plugin", "check", file, "--manifest", flow_source("tests/plugins/bad.json")), 3);
    ck_assert_msg(strstr(a.errors, "ELF"), "%s", a.errors);
    flow_answer_free(&a);
    ck_assert_int_eq(FLOW_RUN(f, &a, "plugin", "check", "/nowhere.so"), 4);
    flow_answer_free(&a);
    ck_assert_int_eq(FLOW_RUN(f, &a, "plugin", "check", file), 3);
    ck_assert_msg(strstr(a.errors, "--manifest"), "%s", a.errors);
    flow_answer_free(&a);
    ck_assert_int_eq(FLOW_RUN(f, &a, "plugin", "check", file, "--only", "luck"), 2);
    flow_answer_free(&a);
    free(file);
    flow_free(f);
}
END_TEST

static glob_t bundled;

static const char *messages_of(const char *name)
{
    static const char *const slow[] = {"customers", "learn"}; /* their jobs read files, simulate */
    if (strncmp(name, "triggers", strlen("triggers")) == 0)   /* each new process learns from two thousand examples */
        return "30";
    for (size_t i = 0; i < sizeof slow / sizeof *slow; i++)
        if (strncmp(name, slow[i], strlen(slow[i])) == 0)
            return "60";
    return "400";
}

/* All of the product's, with fewer messages than people would send. */
START_TEST(passes_what_we_bundle)
{
    struct flow *f = flow_new();
    struct flow_answer a;
    const char *library = bundled.gl_pathv[_i], *base = strrchr(library, '/') + 1;
    char name[300], manifest[1000];
    snprintf(name, sizeof name, "manifests/%.*s.json", (int)strcspn(base, "."), base);
    snprintf(manifest, sizeof manifest, "%s", flow_source(name));
    f->command_ms = 100000;
    int status = FLOW_RUN(f, &a, "plugin", "check", library, "--manifest", manifest, "--seed", SEED, "--messages",
                          messages_of(base), "--kills", "6", "--output", "json");
    all_well(&a, status);
    flow_answer_free(&a);
    flow_free(f);
}
END_TEST

/* Draws that once found something in a plugin of ours. */
static const struct {
    const char *plugin, *seed;
} found[] = {{"decision", "22"}, {"decision", "874195208"}, {"stores", "752098693"}};

START_TEST(passes_what_once_failed)
{
    struct flow *f = flow_new();
    struct flow_answer a;
    char name[300], file[80], manifest[1000];
    const char *library = NULL;
    snprintf(name, sizeof name, "manifests/%s.json", found[_i].plugin);
    snprintf(file, sizeof file, "/%s.so", found[_i].plugin);
    snprintf(manifest, sizeof manifest, "%s", flow_source(name));
    for (size_t i = 0; i < bundled.gl_pathc; i++)
        if (strcmp(strrchr(bundled.gl_pathv[i], '/'), file) == 0)
            library = bundled.gl_pathv[i];
    ck_assert(library != NULL);
    f->command_ms = 100000;
    int status = FLOW_RUN(f, &a, "plugin", "check", library, "--manifest", manifest, "--seed", found[_i].seed,
                          "--messages", "300", "--kills", "6", "--output", "json");
    all_well(&a, status);
    flow_answer_free(&a);
    flow_free(f);
}
END_TEST

/* Before the tests run, so that there is one for each. Gives how many; 0: some are missing. */
static int find_bundled(void)
{
    static const char *const places[] = {"plugins/*/*/*.so", "plugins/*/*.so"};
    char self[PATH_MAX], pattern[PATH_MAX + 32];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    self[n > 0 ? n : 0] = 0;
    for (int up = 0; up < 3 && strrchr(self, '/'); up++) /* BUILD/tests/flow/test_conform */
        *strrchr(self, '/') = 0;
    for (int i = 0; i < 2; i++) {
        snprintf(pattern, sizeof pattern, "%s/%s", self, places[i]);
        if (glob(pattern, i ? GLOB_APPEND : 0, NULL, &bundled) != 0)
            return 0;
    }
    return bundled.gl_pathc >= 28 ? (int)bundled.gl_pathc : 0;
}

int main(void)
{
    TCase *c = tcase_create("conform");
    tcase_set_timeout(c, 120);
    tcase_add_loop_test(c, finds_each_mistake, 0, sizeof mistakes / sizeof *mistakes);
    tcase_add_test(c, passes_what_has_none);
    tcase_add_test(c, tries_state_of_an_older_build);
    tcase_add_test(c, repeats_by_seed);
    tcase_add_test(c, says_what_cannot_be_loaded);
    int n = find_bundled();
    if (!n) {
        fprintf(stderr, "the bundled plugins are not all built\n");
        return 1;
    }
    tcase_add_loop_test(c, passes_what_we_bundle, 0, n);
    TCase *again = tcase_create("conform_again");
    tcase_set_timeout(again, 120);
    tcase_add_loop_test(again, passes_what_once_failed, 0, sizeof found / sizeof *found);
    int failed = flow_main("conform", (TCase *[]){c, again, NULL});
    globfree(&bundled);
    return failed;
}
