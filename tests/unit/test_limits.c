/* One over each limit, at the edges where a person or program says something: the error names the field, and nothing is
 * changed. What HTTP and the control socket limit themselves, their own tests show. */
#include "virtual.h"

#include "core/config.h"
#include "core/config_settings.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const PLUGINS[] = {"courier", NULL};

/* ---- the configuration: every limit that its schema has ---- */

static char folder[] = "/tmp/cvm-limits-XXXXXX";
static int n_limits;

/* A file with `value` (taken) at `path` is refused, and the sentence names the path. */
static void refuse_setting(const char *path, json_t *value)
{
    char file[64], error[512] = "", names[128];
    struct config *config = NULL;
    snprintf(names, sizeof names, "%s", path);
    for (char *dot; (dot = strrchr(names, '.')); *dot = 0)
        value = json_pack("{s:o}", dot + 1, value);
    value = json_pack("{s:o}", names, value);
    ck_assert_ptr_nonnull(value);
    snprintf(file, sizeof file, "%s/c.json", folder);
    ck_assert_int_eq(json_dump_file(value, file, 0), 0);
    ck_assert_msg(config_load(folder, file, &config, error, sizeof error) < 0, "%s is taken", path);
    ck_assert_ptr_null(config);
    ck_assert_msg(strstr(error, path) != NULL, "%s: the error names something else: %s", path, error);
    json_decref(value);
    n_limits++;
}

static json_t *array_of(json_int_t n)
{
    json_t *array = json_array();
    for (json_int_t i = 0; i < n; i++)
        json_array_append_new(array, json_string("x"));
    return array;
}

static json_t *text_of(json_int_t n)
{
    char *text = calloc(1, (size_t)n + 1);
    memset(text, 'x', (size_t)n);
    json_t *value = json_string(text);
    free(text);
    return value;
}

static void walk(const json_t *schema, const char *path)
{
    const json_t *limit;
    const char *name;
    json_t *inner;
    char below[128];
    if ((limit = json_object_get(schema, "maximum")))
        refuse_setting(path, json_integer(json_integer_value(limit) + 1));
    if ((limit = json_object_get(schema, "minimum")))
        refuse_setting(path, json_integer(json_integer_value(limit) - 1));
    if ((limit = json_object_get(schema, "maxLength")))
        refuse_setting(path, text_of(json_integer_value(limit) + 1));
    if ((limit = json_object_get(schema, "maxItems")) && strcmp(path, "access.tokens") != 0)
        refuse_setting(path, array_of(json_integer_value(limit) + 1));
    json_object_foreach(json_object_get(schema, "properties"), name, inner)
    {
        snprintf(below, sizeof below, "%s%s%s", path, *path ? "." : "", name);
        walk(inner, below);
    }
}

START_TEST(settings_have_limits)
{
    char file[64];
    json_t *schema = json_loads(config_settings, 0, NULL);
    ck_assert_ptr_nonnull(schema);
    ck_assert_ptr_nonnull(mkdtemp(folder));
    walk(schema, "");
    ck_assert_int_gt(n_limits, 20);
    snprintf(file, sizeof file, "%s/c.json", folder);
    remove(file);
    remove(folder);
    json_decref(schema);
}
END_TEST

/* ---- inputs ---- */

static char *long_text(size_t n)
{
    char *text = calloc(1, n + 1);
    memset(text, 'x', n);
    return text;
}

static void ignore(void *arg, const struct edge_reply *reply)
{
    (void)arg, (void)reply;
}

/* `text` of `n` bytes is taken, of one more it is refused by `field`. */
static void check_input(struct virtual *v, size_t offset, size_t n, const char *field)
{
    for (size_t more = 0; more < 2; more++) {
        struct edge_in in = {.source = "test", .to = "test.courier", .type = "run", .priority = -1};
        struct edge_error error = {0};
        char *text = long_text(n + more);
        memcpy((char *)&in + offset, &text, sizeof text);
        int e = edge_submit(v->core, &in, ignore, NULL, NULL, &error);
        ck_assert_msg(more ? e < 0 : e == 0, "%s of %zu bytes: %d", field, n + more, e);
        if (more)
            ck_assert_str_eq(error.field, field);
        free(text);
    }
}

START_TEST(inputs_have_limits)
{
    struct virtual *v = virtual_new(PLUGINS, NULL);
    static const struct {
        size_t offset, n;
        const char *field;
    } all[] = {
        {offsetof(struct edge_in, key), 128, "idempotency_key"},
        {offsetof(struct edge_in, conversation), CVM_NAME_MAX, "conversation"},
        {offsetof(struct edge_in, content), CVM_CONTENT_MAX_BYTES, "content"},
        {offsetof(struct edge_in, enquiry_id), CVM_NAME_MAX, "enquiry_id"},
        {offsetof(struct edge_in, customer_id), CVM_NAME_MAX, "customer_id"},
        {offsetof(struct edge_in, session_id), CVM_NAME_MAX, "session_id"},
        {offsetof(struct edge_in, traceparent), CVM_NAME_MAX, "traceparent"},
    };
    virtual_open(v);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        check_input(v, all[i].offset, all[i].n, all[i].field);
    struct edge_error error = {0};
    struct edge_in in = {.source = "test", .to = "test.courier", .type = "run", .priority = -1};
    in.data = json_pack("{s:o}", "a", text_of(CVM_TURN_BYTES_MAX));
    ck_assert_int_eq(edge_submit(v->core, &in, ignore, NULL, NULL, &error), CVM_ELIMIT);
    ck_assert_ptr_nonnull(strstr(error.text, "1048576 bytes"));
    core_step(v->core, core_now_ms(v->core) + 3600000);
    virtual_conserved(v);
    virtual_free(v);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("limits");
    TCase *all = tcase_create("limits");
    tcase_add_test(all, settings_have_limits);
    tcase_add_test(all, inputs_have_limits);
    suite_add_tcase(suite, all);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
