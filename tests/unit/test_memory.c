/* One request for memory fails, at each place in turn: a plugin that is loaded has all its names, or is refused; a
 * group of turns for which there was none is written the next time, as a whole. */
#include "virtual.h"

#include <stdlib.h>
#include <string.h>

static const char *const PLUGINS[] = {"outside", "courier", NULL}, *const OUTSIDE[] = {"outside", NULL};

/* The linker puts these in the place of the core's calls. */
static int fail_at; /* 0: none fails */
static int calls;

static bool denied(void)
{
    return fail_at && ++calls == fail_at;
}

void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *old, size_t size);

void *__wrap_calloc(size_t n, size_t size)
{
    return denied() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return denied() ? NULL : __real_realloc(old, size);
}

static void let_fail(int at)
{
    fail_at = at;
    calls = 0;
}

json_t *__real_json_loads(const char *text, size_t flags, json_error_t *error);
json_t *__wrap_json_loads(const char *text, size_t flags, json_error_t *error);

json_t *__wrap_json_loads(const char *text, size_t flags, json_error_t *error)
{
    return denied() ? NULL : __real_json_loads(text, flags, error);
}

/* Whether there were fewer requests than that. */
static bool none_failed(void)
{
    bool none = calls < fail_at;
    let_fail(0);
    return none;
}

static int send_call(void *arg, const struct http_request *request, http_done done, void *done_arg,
                     uint64_t *ret_handle)
{
    (void)arg, (void)request, (void)done, (void)done_arg;
    *ret_handle = 1;
    return 0;
}

static int64_t slow_write(void *arg)
{
    (void)arg;
    return 10;
}

static void submit(struct virtual *v, const char *to, const char *type, const char *data, struct answer_seen *seen)
{
    json_t *parsed = json_loads(data, 0, NULL);
    ck_assert_ptr_nonnull(parsed);
    virtual_submit(v, to, type, parsed, seen);
}

static int load(struct virtual *v, int at)
{
    char error[512] = "";
    struct core_options options = {
        .home = v->home, .config = v->config, .seed = 42, .send = send_call, .write_ms = slow_write};
    ck_assert_int_eq(core_open(&options, &v->core, error, sizeof error), 0);
    let_fail(at);
    int e = core_load(v->core, error, sizeof error);
    ck_assert_msg(!e || *error, "request %d: refused without a sentence", at);
    return e;
}

static void start(struct virtual *v)
{
    char error[512] = "";
    ck_assert_msg(core_start(v->core, error, sizeof error) == 0, "%s", error);
    core_step(v->core, core_now_ms(v->core) + 100);
}

#define CALL "{\"call\": \"again\", \"body\": {\"n\": 1}, \"headers\": {\"X-A\": \"b\"}}"

START_TEST(plugin_is_loaded_whole_or_not_at_all)
{
    struct virtual *v = virtual_new(OUTSIDE, NULL);
    bool all = false;
    ck_assert_int_eq(load(v, 0), 0); /* what the process keeps for all manifests is there from now on */
    virtual_close(v);
    for (int at = 1; !all; at++) {
        struct answer_seen seen = {0};
        int e = load(v, at);
        all = none_failed();
        ck_assert_int_lt(at, 5000);
        if (e) {
            virtual_close(v);
            continue;
        }
        start(v);
        submit(v, "test.outside", "go", CALL, &seen);
        core_step(v->core, core_now_ms(v->core) + 1000);
        ck_assert_int_eq(virtual_count(v, "SELECT count(*) AS n FROM open_items WHERE kind = 'effect'"), 1);
        virtual_close(v);
        virtual_free(v);
        v = virtual_new(OUTSIDE, NULL); /* without the call */
        json_decref(seen.data);
    }
    virtual_free(v);
}
END_TEST

/* It is read again for each reload. */
START_TEST(configuration_is_read_or_refused)
{
    struct virtual *v = virtual_new(OUTSIDE, NULL);
    bool all = false;
    for (int at = 1; !all; at++) {
        char error[512] = "";
        struct config *c = NULL;
        let_fail(at);
        int e = config_load(v->home, NULL, &c, error, sizeof error);
        all = none_failed();
        ck_assert(e ? !c : c != NULL);
        config_free(c);
        ck_assert_int_lt(at, 5000);
    }
    virtual_free(v);
}
END_TEST

/* The first turn of the group is not the one that there was no memory for. */
START_TEST(group_without_memory_is_written_later)
{
    bool all = false;
    for (int at = 1; !all; at++) {
        struct virtual *v = virtual_new(PLUGINS, NULL);
        struct answer_seen put = {0}, go = {0};
        ck_assert_int_eq(load(v, 0), 0);
        start(v);
        submit(v, "test.courier", "run",
               "{\"steps\": [{\"do\": \"put\", \"key\": \"k\", \"value\": 1}, {\"do\": \"reply\"}]}", &put);
        submit(v, "test.outside", "go", CALL, &go);
        core_step(v->core, core_now_ms(v->core)); /* they have run; the writer has not */
        ck_assert_int_eq(put.n, 0);
        let_fail(at);
        core_step(v->core, core_now_ms(v->core) + 20);
        all = none_failed();
        core_step(v->core, core_now_ms(v->core) + 3000);
        ck_assert_msg(put.n == 1 && put.outcome == CVM_REPLIED, "request %d: %d answers", at, put.n);
        ck_assert_int_eq(virtual_count(v, "SELECT count(*) AS n FROM open_items WHERE kind = 'effect'"), 1);
        virtual_close(v);
        virtual_free(v);
        json_decref(put.data);
        json_decref(go.data);
        ck_assert_int_lt(at, 5000);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("memory");
    TCase *c = tcase_create("memory");
    tcase_set_timeout(c, 60);
    tcase_add_test(c, plugin_is_loaded_whole_or_not_at_all);
    tcase_add_test(c, configuration_is_read_or_refused);
    tcase_add_test(c, group_without_memory_is_written_later);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
