/* `plugin vet`: its verdicts as people and scripts see them, without a host. */
#include "flow.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATH_SIZE 4200

static void path_of(const char *shape, char ret_path[PATH_SIZE])
{
    char name[128];
    snprintf(name, sizeof name, "tests/plugins/tricky/tricky_%s.so", shape);
    snprintf(ret_path, PATH_SIZE, "%s", flow_build(name));
}

static int vet(struct flow *f, const char *shape, struct flow_answer *ret)
{
    char library[PATH_SIZE];
    path_of(shape, library);
    return FLOW_RUN(f, ret, "plugin", "vet", library, "--output", "json");
}

static bool may(const struct flow_answer *a, const char *what)
{
    const json_t *verdict = json_object_get(a->json, what);
    ck_assert_msg(verdict != NULL, "%s", a->text);
    return json_is_true(json_object_get(verdict, "may"));
}

START_TEST(exit_statuses)
{
    static const struct {
        const char *shape;
        int status;
        bool load, inlined, unload;
    } cases[] = {
        {"plain", 0, true, true, true},        {"unique", 0, true, true, false}, {"printf", 0, true, true, true},
        {"constructor", 5, true, false, true}, {"fork", 5, true, false, true},   {"hidden", 3, false, false, false},
        {"newer", 3, false, false, false},
    };
    struct flow *f = flow_new();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct flow_answer a;
        ck_assert_msg(vet(f, cases[i].shape, &a) == cases[i].status, "%s: %d %s", cases[i].shape, a.status, a.errors);
        ck_assert_msg(may(&a, "load") == cases[i].load, "%s: load", cases[i].shape);
        ck_assert_msg(may(&a, "inline") == cases[i].inlined, "%s: inline", cases[i].shape);
        ck_assert_msg(may(&a, "unload") == cases[i].unload, "%s: unload", cases[i].shape);
        flow_answer_free(&a);
    }
    struct flow_answer a;
    ck_assert_int_eq(FLOW_RUN(f, &a, "plugin", "vet", "nothing.so"), 4);
    ck_assert_msg(strstr(a.errors, "nothing.so") != NULL, "%s", a.errors);
    flow_answer_free(&a);
    ck_assert_int_eq(FLOW_RUN(f, &a, "plugin", "vet"), 2);
    flow_answer_free(&a);
    flow_free(f);
}
END_TEST

/* Reasons and remedies in sentences; no colours where nobody looks at a terminal. */
START_TEST(says_why_and_what_next)
{
    struct flow *f = flow_new();
    struct flow_answer a;
    char library[PATH_SIZE];
    path_of("fork", library);
    ck_assert_int_eq(FLOW_RUN(f, &a, "plugin", "vet", library), 5);
    ck_assert_msg(strstr(a.text, "tricky 1.0.0") && strstr(a.text, "calls fork (starts processes)"), "%s", a.text);
    ck_assert_msg(strstr(a.text, "A turn never waits for another program"), "%s", a.text);
    ck_assert_msg(!strchr(a.text, '\033'), "%s", a.text);
    flow_answer_free(&a);
    flow_free(f);
}
END_TEST

static void expect_unfit(struct flow *f, const char *manifest, const char *text)
{
    struct flow_answer a;
    flow_write(f, "tricky_plain.json", manifest);
    char path[128], library[PATH_SIZE];
    snprintf(path, sizeof path, "%s/tricky_plain.json", f->home);
    path_of("plain", library);
    ck_assert_int_eq(FLOW_RUN(f, &a, "plugin", "vet", library, "--manifest", path), *text ? 3 : 0);
    ck_assert_msg(strstr(a.errors, text) != NULL, "%s", a.errors);
    flow_answer_free(&a);
}

START_TEST(compares_the_manifest)
{
    struct flow *f = flow_new();
    static const char rest[] = "\"components\": [{\"id\": \"test.tricky\", \"kind\": \"agent\"}]";
    char text[512];
    snprintf(text, sizeof text, "{\"manifest\": 1, \"name\": \"tricky\", \"version\": \"1.0.0\", \"abi\": \"1.0\", %s}",
             rest);
    expect_unfit(f, text, "");
    snprintf(text, sizeof text, "{\"manifest\": 1, \"name\": \"other\", \"version\": \"1.0.0\", \"abi\": \"1.0\", %s}",
             rest);
    expect_unfit(f, text, "the manifest says \"other\", the library \"tricky\"");
    snprintf(text, sizeof text, "{\"manifest\": 1, \"name\": \"tricky\", \"version\": \"1.0.1\", \"abi\": \"1.0\", %s}",
             rest);
    expect_unfit(f, text, "version: the manifest says \"1.0.1\"");
    snprintf(text, sizeof text, "{\"manifest\": 1, \"name\": \"tricky\", \"version\": \"1.0.0\", \"abi\": \"2.0\", %s}",
             rest);
    expect_unfit(f, text, "abi: the manifest says \"2.0\"");
    expect_unfit(f, "{\"manifest\": 1}", "name");
    flow_free(f);
}
END_TEST

/* What the start would say, and what it would refuse, `config check` says before it. */
START_TEST(config_check_vets)
{
    struct flow *f = flow_new();
    struct flow_answer a;
    char library[PATH_SIZE], place[128];
    flow_write(f, "plugins/README", ""); /* makes the folder */
    flow_write(
        f, "manifests/tricky.json",
        "{\"manifest\": 1, \"name\": \"tricky\", \"version\": \"1.0.0\", \"abi\": \"1.0\","
        " \"components\": [{\"id\": \"test.tricky\", \"kind\": \"agent\", \"operations\": [{\"type\": \"answer\"}]}]}");
    flow_write(f, "config/cvmhost.json", "{\"plugins\": {\"inline\": [\"*\"]}}");
    path_of("constructor", library);
    snprintf(place, sizeof place, "%s/plugins/tricky.so", f->home);
    ck_assert_int_eq(symlink(library, place), 0);
    ck_assert_int_eq(FLOW_RUN(f, &a, "config", "check"), 0);
    ck_assert_msg(strstr(a.text, "may not run inside the host: has a constructor") ||
                      strstr(a.errors, "may not run inside the host: has a constructor"),
                  "%s%s", a.text, a.errors);
    flow_answer_free(&a);
    ck_assert_int_eq(unlink(place), 0);
    flow_write(f, "plugins/tricky.so", "no library");
    ck_assert_int_eq(FLOW_RUN(f, &a, "config", "check"), 3);
    ck_assert_msg(strstr(a.errors, "tricky.so"), "%s%s", a.text, a.errors);
    flow_answer_free(&a);
    flow_free(f);
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("vet");
    tcase_set_timeout(c, 60);
    tcase_add_test(c, exit_statuses);
    tcase_add_test(c, says_why_and_what_next);
    tcase_add_test(c, compares_the_manifest);
    tcase_add_test(c, config_check_vets);
    return flow_main("vet", (TCase *[]){c, NULL});
}
