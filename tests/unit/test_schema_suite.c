/* The cases of JSON Schema draft 7 that Debian packages as json-schema-test-suite, against our validator. What we leave
 * out is in one table, with the reason; a case outside it that differs is a failure, and so is a row of it that no
 * longer says what is. docs/reference/schema.md has the same list. */
#include "core/schema.h"

#include <check.h>
#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SUITE "/usr/share/json-schema-test-suite/tests/draft7"
#define FILES_MAX 100

enum how {
    UNREADABLE, /* the file is no JSON that we read */
    REFUSED,    /* the group's schema does not compile */
    ANNOTATION, /* every case of the group is taken for valid */
    DIFFERS     /* this one case has another answer */
};

#define REMOTE "$ref leads to places of the same document only; nothing is fetched"
#define TUPLE "an array has items of one kind; that position decides the kind is not supported"
#define FORMAT "format is an annotation"
#define CONTENT "contentMediaType and contentEncoding are not known keywords"

/* Group NULL: all groups of the file; case NULL: all cases of the group. */
static const struct left_out {
    const char *file, *group, *name;
    enum how how;
    const char *reason;
} left_out[] = {
    {"definitions", NULL, NULL, REFUSED, REMOTE},
    {"refRemote", NULL, NULL, REFUSED, REMOTE},
    {"ref", "remote ref, containing refs itself", NULL, REFUSED, REMOTE},
    {"ref", "Recursive references between schemas", NULL, REFUSED, REMOTE},
    {"ref", "escaped pointer ref", NULL, REFUSED, "schemas lie under known keywords; an unknown one is an error"},
    {"ref", "ref overrides any sibling keywords", "ref valid, maxItems ignored", DIFFERS,
     "keywords beside $ref count, as they do since draft 2019-09"},
    {"ref", "relative pointer ref to array", NULL, REFUSED, TUPLE},
    {"items", "an array of schemas for items", NULL, REFUSED, TUPLE},
    {"items", "items with boolean schemas", NULL, REFUSED, TUPLE},
    {"additionalItems", NULL, NULL, REFUSED, TUPLE},
    {"optional/bignum", NULL, NULL, UNREADABLE,
     "integers have 64 bits; what does not fit is refused where JSON is read"},
    {"optional/content", NULL, NULL, REFUSED, CONTENT},
    {"optional/ecmascript-regex", NULL, NULL, ANNOTATION, FORMAT},
    {"optional/format/", NULL, NULL, ANNOTATION, FORMAT},
};
#define N_LEFT_OUT (sizeof left_out / sizeof left_out[0])

static char *files[FILES_MAX]; /* "items", "optional/bignum" */
static int n_files;

static void find_files(const char *folder)
{
    char path[512];
    struct dirent **entries;
    snprintf(path, sizeof path, SUITE "/%s", folder);
    int n = scandir(path, &entries, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        char *dot = strstr(entries[i]->d_name, ".json");
        if (dot && n_files < FILES_MAX) {
            *dot = 0;
            snprintf(path, sizeof path, "%s%s", folder, entries[i]->d_name);
            files[n_files++] = strdup(path);
        }
        free(entries[i]);
    }
    if (n >= 0)
        free(entries);
}

static json_t *read_file(const char *file)
{
    char path[512];
    json_error_t error;
    snprintf(path, sizeof path, SUITE "/%s.json", file);
    return json_load_file(path, JSON_DECODE_ANY, &error);
}

static bool same(const char *of_row, const char *name)
{
    return !of_row || (name && strcmp(of_row, name) == 0);
}

/* Whether row `row` is about `file`; a name ending in "/" is a folder. */
static bool about_file(const struct left_out *row, const char *file)
{
    size_t len = strlen(row->file);
    return row->file[len - 1] == '/' ? strncmp(row->file, file, len) == 0 : strcmp(row->file, file) == 0;
}

/* The row that leaves out a case, or, with case NULL, a whole group (group NULL: file). */
static const struct left_out *row_of(const char *file, const char *group, const char *name, bool *used)
{
    for (size_t i = 0; i < N_LEFT_OUT; i++) {
        const struct left_out *row = &left_out[i];
        if (!about_file(row, file) || !same(row->group, group) || !same(row->name, name))
            continue;
        used[i] = true;
        return row;
    }
    return NULL;
}

/* Returns how many cases of the group there are. */
static size_t run_group(const char *file, const json_t *group, bool *used)
{
    const char *title = json_string_value(json_object_get(group, "description"));
    const json_t *schema_text = json_object_get(group, "schema"), *cases = json_object_get(group, "tests"), *one;
    const struct left_out *whole = row_of(file, title, NULL, used);
    struct schema *schema = NULL;
    struct schema_error fault;
    size_t i, differing = 0;
    int error = schema_compile(schema_text, schema_text, &schema, &fault);
    if (whole && whole->how == REFUSED) {
        ck_assert_msg(error < 0, "%s: \"%s\": is in the list, yet compiles: %s", file, title, whole->reason);
        return json_array_size(cases);
    }
    ck_assert_msg(error == 0, "%s: \"%s\": %s %s", file, title, fault.field, fault.text);
    json_array_foreach(cases, i, one)
    {
        const char *name = json_string_value(json_object_get(one, "description"));
        const struct left_out *row = whole ? whole : row_of(file, title, name, used);
        bool wanted = json_is_true(json_object_get(one, "valid"));
        differing += !wanted;
        if (row)
            wanted = row->how == ANNOTATION ? true : !wanted;
        bool is = schema_check(schema, json_object_get(one, "data"), &fault) == 0;
        ck_assert_msg(is == wanted, "%s: \"%s\": \"%s\": is %s%s%s", file, title, name,
                      is ? "valid" : "not valid: ", is ? "" : fault.text,
                      row ? " (it is in the list of those left out)" : "");
    }
    schema_free(schema);
    ck_assert_msg(!whole || differing, "%s: \"%s\": is in the list, yet all of it is as the draft wants it", file,
                  title);
    return json_array_size(cases);
}

START_TEST(cases_of_a_file)
{
    const char *file = files[_i];
    bool used[N_LEFT_OUT] = {false};
    const struct left_out *row = row_of(file, NULL, NULL, used);
    const json_t *group;
    size_t i, n = 0;
    json_t *groups = read_file(file);
    if (row && row->how == UNREADABLE) {
        ck_assert_msg(!groups, "%s: is in the list as unreadable, and is read", file);
        return;
    }
    ck_assert_msg(json_is_array(groups), "%s: cannot be read", file);
    json_array_foreach(groups, i, group)
    {
        n += run_group(file, group, used);
    }
    ck_assert_uint_gt(n, 0);
    for (i = 0; i < N_LEFT_OUT; i++)
        ck_assert_msg(used[i] || !about_file(&left_out[i], file),
                      "%s: the list names \"%s\" \"%s\", which is not there", file,
                      left_out[i].group ? left_out[i].group : "", left_out[i].name ? left_out[i].name : "");
    json_decref(groups);
}
END_TEST

/* Else a file that is gone, or a changed path, would pass for nothing. */
START_TEST(the_suite_is_whole)
{
    ck_assert_int_ge(n_files, 50);
    for (size_t i = 0; i < N_LEFT_OUT; i++) {
        bool found = false;
        for (int f = 0; f < n_files; f++)
            found = found || about_file(&left_out[i], files[f]);
        ck_assert_msg(found, "the list names the file %s, which is not there", left_out[i].file);
    }
}
END_TEST

static void print_left_out(void)
{
    puts("Left out of draft 7:");
    for (size_t i = 0; i < N_LEFT_OUT; i++) {
        const struct left_out *row = &left_out[i];
        printf("  %s%s%s%s%s: %s\n", row->file, row->group ? " / " : "", row->group ? row->group : "",
               row->name ? " / " : "", row->name ? row->name : "", row->reason);
    }
}

int main(void)
{
    if (access(SUITE, R_OK) < 0) {
        puts("skipped: " SUITE " is not there; apt-get install json-schema-test-suite brings it");
        return 77;
    }
    find_files("");
    find_files("optional/");
    find_files("optional/format/");
    print_left_out();
    Suite *suite = suite_create("schema_suite");
    TCase *t = tcase_create("schema_suite");
    suite_add_tcase(suite, t);
    tcase_set_timeout(t, 20);
    tcase_add_loop_test(t, cases_of_a_file, 0, n_files);
    tcase_add_test(t, the_suite_is_whole);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    while (n_files > 0)
        free(files[--n_files]);
    return failed != 0;
}
