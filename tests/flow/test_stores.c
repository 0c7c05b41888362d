/* What every store must do (docs/reference/stores.md), by requests to role:store as other components send them: held
 * against the host's own stores, and against a sample that keeps elsewhere, which the configuration alone puts in their
 * place. A store of another database is held against it by one more line in `stores`. */
#include "flow.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define KEY_BYTES_MAX 126
#define VALUE_BYTES_MAX 65536

/* The stores that are held against the contract: how each gets into a home. */
static void with_own(struct flow *f);
static void with_sample(struct flow *f);
static const struct {
    const char *name;
    void (*add)(struct flow *f);
    const char *component; /* that shall answer */
    bool durable;          /* it keeps beyond the host's end */
} stores[] = {{"own", with_own, "support.customer_state", true}, {"sample", with_sample, "sample.memory_store", false}};

#define N_STORES ((int)(sizeof stores / sizeof *stores))

static void with_own(struct flow *f)
{
    (void)f;
}

static void copy(struct flow *f, const char *from, const char *to, mode_t mode)
{
    char path[512], text[65536];
    FILE *file = fopen(flow_source(from), "r");
    ck_assert_msg(file, "%s", from);
    size_t n = fread(text, 1, sizeof text - 1, file);
    text[n] = 0;
    fclose(file);
    flow_write(f, to, text);
    snprintf(path, sizeof path, "%s/%s", f->home, to);
    ck_assert_int_eq(chmod(path, mode), 0);
}

static void with_sample(struct flow *f)
{
    copy(f, "examples/plugins/store/memory_store.py", "plugins/memory_store.py", 0755);
    copy(f, "examples/plugins/store/memory_store.json", "manifests/memory_store.json", 0644);
    flow_config(f, "roles.store", json_pack("[s]", "sample.memory_store"));
}

/* NULL: it cannot run here, which is said. */
static struct flow *home(int which)
{
    if (stores[which].add == with_sample && access("/usr/bin/python3", X_OK) != 0) {
        printf("there is no /usr/bin/python3: the sample was not tested\n");
        return NULL;
    }
    struct flow *f = flow_new();
    flow_plugin(f, "stores");
    flow_plugin(f, "keeper");
    stores[which].add(f);
    flow_start(f);
    return f;
}

/* ---- asking ---- */

/* Takes `data`; the store is added where it names none. `status` 0: a refusal. Gives what was answered. */
static json_t *ask(struct flow *f, int status, const char *type, json_t *data)
{
    struct flow_answer a;
    if (!json_object_get(data, "store"))
        json_object_set_new(data, "store", json_string("customer-state"));
    json_t *body = json_pack("{s:s, s:o}", "type", type, "data", data);
    char *text = json_dumps(body, JSON_COMPACT);
    int got = flow_http(f, "POST", "/test/store", text, NULL, &a);
    ck_assert_msg(status ? got == status : got >= 400 && got < 500, "%.200s: HTTP %d, expected %d: %.300s", text, got,
                  status, a.text);
    json_t *answer = json_incref(a.json);
    flow_answer_free(&a);
    free(text);
    json_decref(body);
    return answer;
}

/* Must be refused with this code, in words. */
static void refused(struct flow *f, const char *code, const char *type, json_t *data)
{
    json_t *a = ask(f, 0, type, data);
    const char *is = json_string_value(json_object_get(a, "code"));
    ck_assert_msg(is && !strcmp(is, code), "%s: refused with %s, expected %s", type, is ? is : "nothing", code);
    ck_assert_uint_gt(json_string_length(json_object_get(a, "detail")), 10); /* and says why */
    json_decref(a);
}

static int64_t version_of(json_t *answer)
{
    int64_t version = json_integer_value(json_object_get(answer, "version"));
    json_decref(answer);
    return version;
}

static int64_t put(struct flow *f, const char *key, json_t *value)
{
    return version_of(ask(f, 200, "put", json_pack("{s:s, s:o}", "key", key, "value", value)));
}

static json_t *key_of(const char *key)
{
    return json_pack("{s:s}", "key", key);
}

/* ---- the contract ---- */

START_TEST(a_value_comes_back_as_it_was)
{
    static const char *const values[] = {"{\"a\": {\"b\": [1, 2.5, \"x\", null, true]}, \"\": {}}",
                                         "[]",
                                         "\"\"",
                                         "\"\\u00fc \\u20a6 \\ud83d\\ude00 \\\"q\\\"\"",
                                         "9007199254740991",
                                         "-0.125",
                                         "false",
                                         "null",
                                         "{\"store\": \"other\", \"key\": \"other\"}"};
    struct flow *f = home(_i);
    if (!f)
        return;
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        json_t *value = json_loads(values[i], JSON_DECODE_ANY, NULL);
        ck_assert_int_eq(put(f, "K", json_incref(value)), (int64_t)i + 1);
        json_t *a = ask(f, 200, "get", key_of("K"));
        ck_assert_msg(json_equal(json_object_get(a, "value"), value), "%s", values[i]);
        ck_assert_str_eq(json_string_value(json_object_get(a, "store")), "customer-state");
        ck_assert_str_eq(json_string_value(json_object_get(a, "key")), "K");
        const char *at = json_string_value(json_object_get(a, "updated_at"));
        ck_assert_msg(at && strlen(at) == 24 && at[10] == 'T' && at[19] == '.' && at[23] == 'Z', "%s", at);
        ck_assert_int_eq(version_of(a), (int64_t)i + 1);
        json_decref(value);
    }
    refused(f, "NOT_FOUND", "get", key_of("k"));
    refused(f, "NOT_FOUND", "delete", key_of("k"));
    flow_end(f);
}
END_TEST

START_TEST(versions_guard_against_others)
{
    struct flow *f = home(_i);
    if (!f)
        return;
    refused(f, "CONFLICT", "put", json_pack("{s:s, s:i, s:i}", "key", "K", "value", 1, "if_version", 1));
    ck_assert_int_eq(
        version_of(ask(f, 200, "put", json_pack("{s:s, s:i, s:i}", "key", "K", "value", 1, "if_version", 0))), 1);
    refused(f, "CONFLICT", "put", json_pack("{s:s, s:i, s:i}", "key", "K", "value", 2, "if_version", 0));
    ck_assert_int_eq(
        version_of(ask(f, 200, "put", json_pack("{s:s, s:i, s:i}", "key", "K", "value", 2, "if_version", 1))), 2);
    refused(f, "CONFLICT", "put", json_pack("{s:s, s:i, s:i}", "key", "K", "value", 3, "if_version", 1));
    refused(f, "CONFLICT", "delete", json_pack("{s:s, s:i}", "key", "K", "if_version", 1));
    json_t *a = ask(f, 200, "get", key_of("K")); /* what was refused changed nothing */
    ck_assert_int_eq(json_integer_value(json_object_get(a, "value")), 2);
    ck_assert_int_eq(version_of(a), 2);
    ck_assert_int_eq(version_of(ask(f, 200, "delete", json_pack("{s:s, s:i}", "key", "K", "if_version", 2))), 2);
    refused(f, "NOT_FOUND", "get", key_of("K"));
    ck_assert_int_gt(put(f, "K", json_integer(4)), 2); /* no version stands for two values */
    flow_end(f);
}
END_TEST

/* Who reads, looks and writes with the version that was read: of those who do it at once one wins. */
START_TEST(one_of_many_wins)
{
    struct flow *f = home(_i);
    pid_t all[8];
    int won = 0;
    if (!f)
        return;
    put(f, "K", json_integer(0));
    for (int i = 0; i < 8; i++) {
        all[i] = fork();
        if (all[i] == 0) {
            char body[160];
            snprintf(body, sizeof body,
                     "{\"type\": \"put\", \"data\": {\"store\": \"customer-state\", \"key\": \"K\", "
                     "\"value\": %d, \"if_version\": 1}}",
                     i + 1);
            _exit(flow_http(f, "POST", "/test/store", body, NULL, NULL) == 200 ? 0 : 1);
        }
    }
    for (int i = 0; i < 8; i++) {
        int status = -1;
        ck_assert_int_eq(waitpid(all[i], &status, 0), all[i]);
        won += WIFEXITED(status) && WEXITSTATUS(status) == 0;
    }
    ck_assert_int_eq(won, 1);
    ck_assert_int_eq(version_of(ask(f, 200, "get", key_of("K"))), 2);
    flow_end(f);
}
END_TEST

static const char *listed(const json_t *a, size_t i)
{
    return json_string_value(json_object_get(json_array_get(json_object_get(a, "items"), i), "key"));
}

START_TEST(keys_are_listed_in_their_order)
{
    static const char *const keys[] = {"b", "a/2", "a/10", "\xc3\xa4", "a", "a/1", "Z", "a0"};
    static const char *const order[] = {"Z", "a", "a/1", "a/10", "a/2", "a0", "b", "\xc3\xa4"};
    struct flow *f = home(_i);
    char key[32];
    if (!f)
        return;
    json_t *a = ask(f, 200, "list", json_object());
    ck_assert_uint_eq(json_array_size(json_object_get(a, "items")), 0);
    ck_assert(json_is_false(json_object_get(a, "more")));
    json_decref(a);
    for (size_t i = 0; i < 8; i++)
        put(f, keys[i], json_integer(1));
    a = ask(f, 200, "list", json_object());
    ck_assert_uint_eq(json_array_size(json_object_get(a, "items")), 8);
    for (size_t i = 0; i < 8; i++)
        ck_assert_str_eq(listed(a, i), order[i]);
    const json_t *first = json_array_get(json_object_get(a, "items"), 0);
    ck_assert_int_eq(json_integer_value(json_object_get(first, "version")), 1);
    ck_assert(json_is_string(json_object_get(first, "updated_at")) && !json_object_get(first, "value"));
    json_decref(a);
    a = ask(f, 200, "list", json_pack("{s:s, s:i}", "prefix", "a/", "limit", 2));
    ck_assert_str_eq(listed(a, 1), "a/10");
    ck_assert(json_is_true(json_object_get(a, "more")));
    json_decref(a);
    a = ask(f, 200, "list", json_pack("{s:s, s:s}", "prefix", "a/", "after", "a/10"));
    ck_assert_uint_eq(json_array_size(json_object_get(a, "items")), 1);
    ck_assert_str_eq(listed(a, 0), "a/2");
    ck_assert(json_is_false(json_object_get(a, "more")));
    json_decref(a);
    a = ask(f, 200, "list", json_pack("{s:s, s:s}", "prefix", "b", "after", "a")); /* before all of them */
    ck_assert_str_eq(listed(a, 0), "b");
    json_decref(a);
    ask(f, 200, "delete", key_of("a/10"));
    for (int i = 0; i < 101; i++) {
        snprintf(key, sizeof key, "n%03d", i);
        put(f, key, json_integer(i));
    }
    a = ask(f, 200, "list", json_pack("{s:s}", "prefix", "n"));
    ck_assert_uint_eq(json_array_size(json_object_get(a, "items")), 100);
    ck_assert(json_is_true(json_object_get(a, "more")));
    json_decref(a);
    a = ask(f, 200, "list", json_pack("{s:s, s:i}", "prefix", "n", "limit", 101));
    ck_assert(json_is_false(json_object_get(a, "more")));
    json_decref(a);
    flow_end(f);
}
END_TEST

static char *so_many(size_t n, char c)
{
    char *text = calloc(1, n + 1);
    memset(text, c, n);
    return text;
}

START_TEST(limits_are_said)
{
    struct flow *f = home(_i);
    if (!f)
        return;
    char *fits = so_many(VALUE_BYTES_MAX - 2, 'x'), *more = so_many(VALUE_BYTES_MAX - 1, 'x');
    char *key = so_many(KEY_BYTES_MAX, 'k'), *wide = calloc(1, KEY_BYTES_MAX + 4);
    ck_assert_int_eq(put(f, key, json_string(fits)), 1);
    refused(f, "TOO_LARGE", "put", json_pack("{s:s, s:s}", "key", key, "value", more));
    json_t *a = ask(f, 200, "get", key_of(key));
    ck_assert_uint_eq(json_string_length(json_object_get(a, "value")), VALUE_BYTES_MAX - 2);
    json_decref(a);
    for (int i = 0; i < 64; i++) /* 64 letters of two bytes each */
        memcpy(wide + 2 * i, "\xc3\xa4", 2);
    refused(f, "TOO_LARGE", "put", json_pack("{s:s, s:i}", "key", wide, "value", 1));
    refused(f, "TOO_LARGE", "get", key_of(wide));
    free(fits);
    free(more);
    free(key);
    free(wide);
    flow_end(f);
}
END_TEST

START_TEST(stores_are_apart)
{
    struct flow *f = home(_i);
    if (!f)
        return;
    put(f, "K", json_integer(1));
    json_t *a = ask(f, 200, "put", json_pack("{s:s, s:s, s:i}", "store", "system-state", "key", "K", "value", 2));
    ck_assert_int_eq(version_of(a), 1);
    a = ask(f, 200, "get", json_pack("{s:s, s:s}", "store", "system-state", "key", "K"));
    ck_assert_int_eq(json_integer_value(json_object_get(a, "value")), 2);
    ck_assert_str_eq(json_string_value(json_object_get(a, "store")), "system-state");
    json_decref(a);
    refused(f, "NOT_FOUND", "get", json_pack("{s:s, s:s}", "store", "memory-state", "key", "K"));
    a = ask(f, 200, "list", json_pack("{s:s}", "store", "execution-state"));
    ck_assert_uint_eq(json_array_size(json_object_get(a, "items")), 0);
    json_decref(a);
    flow_end(f);
}
END_TEST

/* The one that the configuration names is asked, by other components and on the command line; the others keep nothing.
 */
START_TEST(the_one_that_is_named_answers)
{
    struct flow *f = home(_i);
    if (!f)
        return;
    ck_assert_int_eq(put(f, "CUST001", json_pack("{s:s}", "name", "Acme")), 1);
    EXPECT(f, 0, "Acme", "state", "get", "customer-state", "CUST001");
    EXPECT(f, 0, "version: 2", "state", "put", "customer-state", "CUST001", "{\"name\": \"Other\"}");
    json_t *a = ask(f, 200, "get", key_of("CUST001"));
    ck_assert_str_eq(json_string_value(json_object_get(json_object_get(a, "value"), "name")), "Other");
    json_decref(a);
    EXPECT(f, 0, stores[_i].component, "state", "stores", "--output", "json");
    int64_t own =
        flow_sql_int(f, "select count(*) from state where component = 'support.customer_state' and key like 'v/%'");
    ck_assert_int_eq(own, strcmp(stores[_i].component, "support.customer_state") ? 0 : 1);
    flow_end(f);
}
END_TEST

START_TEST(what_was_kept_stays)
{
    struct flow *f = home(_i);
    if (!f)
        return;
    put(f, "K", json_string("kept"));
    flow_kill(f, SIGKILL);
    flow_wait_serving(f);
    if (stores[_i].durable) {
        json_t *a = ask(f, 200, "get", key_of("K"));
        ck_assert_str_eq(json_string_value(json_object_get(a, "value")), "kept");
        json_decref(a);
    } else {
        ck_assert_int_eq(put(f, "K", json_string("anew")), 1); /* it answers again */
    }
    flow_end(f);
}
END_TEST

int main(void)
{
    TCase *c = tcase_create("stores");
    tcase_set_timeout(c, 120);
    tcase_add_loop_test(c, a_value_comes_back_as_it_was, 0, N_STORES);
    tcase_add_loop_test(c, versions_guard_against_others, 0, N_STORES);
    tcase_add_loop_test(c, one_of_many_wins, 0, N_STORES);
    tcase_add_loop_test(c, keys_are_listed_in_their_order, 0, N_STORES);
    tcase_add_loop_test(c, limits_are_said, 0, N_STORES);
    tcase_add_loop_test(c, stores_are_apart, 0, N_STORES);
    tcase_add_loop_test(c, the_one_that_is_named_answers, 0, N_STORES);
    tcase_add_loop_test(c, what_was_kept_stays, 0, N_STORES);
    return flow_main("stores", (TCase *[]){c, NULL});
}
