/* The core under the virtual clock: every request ends exactly once, a turn is kept whole or not at all, what was open
 * goes on after a restart, and the same input gives the same journal. */
#include "virtual.h"

#include <stdlib.h>
#include <string.h>

static const char *const PLUGINS[] = {"faulty", "echo", "looper", "secretive", NULL};

static const char *text(const struct answer_seen *seen, const char *key)
{
    const char *s = json_string_value(json_object_get(seen->data, key));
    return s ? s : "";
}

static json_int_t number(const struct answer_seen *seen, const char *key)
{
    return json_integer_value(json_object_get(seen->data, key));
}

START_TEST(answers)
{
    struct virtual *v = virtual_new(PLUGINS, NULL);
    struct answer_seen a = {0};
    virtual_open(v);
    ck_assert_int_eq(virtual_call(v, "test.faulty", "ok", json_pack("{s:s}", "text", "hi"), &a), CVM_REPLIED);
    ck_assert_str_eq(json_string_value(json_object_get(json_object_get(a.data, "echo"), "text")), "hi");
    ck_assert_int_eq(virtual_call(v, "FaultyAgent", "ok", NULL, &a), CVM_REPLIED);
    virtual_conserved(v);
    json_decref(a.data);
    virtual_free(v);
}
END_TEST

/* Directly, and asked by another component: one end, whatever the handler does. */
START_TEST(every_request_ends_once)
{
    static const struct {
        const char *type;
        int outcome;
        const char *name, *code;
    } cases[] = {
        {"ok", CVM_REPLIED, "REPLIED", ""},
        {"error", CVM_ERROR, "ERROR", "FAILED"},
        {"refuse", CVM_REFUSED, "REFUSED", "NOT_TODAY"},
        {"silent", CVM_ERROR, "ERROR", "NO_REPLY"},
        {"twice", CVM_REPLIED, "REPLIED", ""},
        {"never", CVM_TIMEOUT, "TIMEOUT", "TIMEOUT"},
        {"later", CVM_REPLIED, "REPLIED", ""},
        {"fault", CVM_ERROR, "ERROR", "FAULT"},
        {"flood", CVM_REPLIED, "REPLIED", ""},
    };
    struct virtual *v = virtual_new(PLUGINS, NULL);
    struct answer_seen a = {0};
    virtual_open(v);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ck_assert_msg(virtual_call(v, "test.faulty", cases[i].type, NULL, &a) == cases[i].outcome, "%s: outcome %d",
                      cases[i].type, a.outcome);
        ck_assert_str_eq(text(&a, "code"), cases[i].code);
        virtual_conserved(v);
        virtual_call(v, "test.caller", "call", json_pack("{s:s, s:i}", "type", cases[i].type, "timeout_ms", 10000), &a);
        ck_assert_msg(a.outcome == CVM_REPLIED && strcmp(text(&a, "outcome"), cases[i].name) == 0, "%s: %d %s",
                      cases[i].type, a.outcome, text(&a, "outcome"));
        virtual_conserved(v);
    }
    json_decref(a.data);
    virtual_free(v);
}
END_TEST

/* The request ends by its deadline; the settlement that comes after it is dropped and counted. */
START_TEST(late_reply_is_dropped)
{
    struct virtual *v = virtual_new(PLUGINS, NULL);
    struct answer_seen a = {0};
    virtual_open(v);
    json_t *data = json_pack("{s:s, s:i, s:{s:i}}", "type", "later", "timeout_ms", 100, "data", "delay_ms", 500);
    ck_assert_int_eq(virtual_call(v, "test.caller", "call", data, &a), CVM_REPLIED);
    ck_assert_str_eq(text(&a, "outcome"), "TIMEOUT");
    json_t *ps = core_ps(v->core), *c;
    size_t i;
    json_int_t late = 0;
    json_array_foreach(json_object_get(ps, "components"), i, c) late +=
        json_integer_value(json_object_get(c, "late_replies"));
    ck_assert_int_eq(late, 1);
    json_decref(ps);
    virtual_conserved(v);
    json_decref(a.data);
    virtual_free(v);
}
END_TEST

START_TEST(failed_turn_keeps_nothing)
{
    struct virtual *v = virtual_new(PLUGINS, NULL);
    struct answer_seen a = {0};
    virtual_open(v);
    virtual_call(v, "test.faulty", "fault", NULL, &a);
    virtual_call(v, "test.faulty", "refuse", NULL, &a);
    virtual_call(v, "test.faulty", "counted", NULL, &a);
    ck_assert_int_eq(number(&a, "faulted"), 0);
    ck_assert_int_eq(number(&a, "refused"), 0);
    ck_assert_int_eq(virtual_count(v, "SELECT count(*) AS n FROM state WHERE key IN ('faulted', 'refused')"), 0);
    json_decref(a.data);
    virtual_free(v);
}
END_TEST

START_TEST(ephemeral_changes_nothing)
{
    struct virtual *v = virtual_new(PLUGINS, NULL);
    struct answer_seen a = {0};
    virtual_open(v);
    int64_t before = virtual_count(v, "SELECT count(*) AS n FROM turns");
    virtual_call(v, "test.faulty", "scribble", NULL, &a);
    ck_assert_int_eq(number(&a, "error"), CVM_ESTATE);
    ck_assert_int_eq(virtual_count(v, "SELECT count(*) AS n FROM turns"), before);
    json_decref(a.data);
    virtual_free(v);
}
END_TEST

START_TEST(faulted_turn_is_run_again)
{
    struct virtual *v = virtual_new(PLUGINS, NULL);
    struct answer_seen a = {0};
    virtual_open(v);
    ck_assert_int_eq(virtual_call(v, "test.faulty", "flaky", json_pack("{s:i}", "times", 2), &a), CVM_REPLIED);
    ck_assert_int_eq(number(&a, "attempts"), 3);
    virtual_conserved(v);
    json_decref(a.data);
    virtual_free(v);
}
END_TEST

/* Five faults in a minute: out of service, BUSY for requests, tried again after 30 s. */
START_TEST(strikes_take_out_of_service)
{
    struct virtual *v = virtual_new(PLUGINS, NULL);
    struct answer_seen seen[7] = {{0}};
    struct edge_in in = {.source = "test", .to = "test.faulty", .type = "ok", .priority = -1};
    struct edge_error error;
    virtual_open(v);
    for (int i = 0; i < 5; i++)
        virtual_submit(v, "test.faulty", "fault", NULL, &seen[i]);
    core_step(v->core, core_now_ms(v->core));
    ck_assert_int_eq(edge_submit(v->core, &in, virtual_seen, &seen[5], NULL, &error), CVM_EBUSY);
    ck_assert_ptr_nonnull(strstr(error.text, "out of service"));
    core_step(v->core, core_now_ms(v->core) + 31000);
    virtual_submit(v, "test.faulty", "ok", NULL, &seen[5]);
    core_step(v->core, core_now_ms(v->core));
    ck_assert_int_eq(seen[5].outcome, CVM_REPLIED);
    virtual_submit(v, "test.faulty", "ok", NULL, &seen[6]);
    core_step(v->core, core_now_ms(v->core));
    ck_assert_int_eq(seen[6].outcome, CVM_REPLIED);
    for (int i = 0; i < 7; i++)
        json_decref(seen[i].data);
    virtual_free(v);
}
END_TEST

/* So many faults within one moment. */
static void strike(struct virtual *v, int n)
{
    struct answer_seen seen = {0};
    for (int i = 0; i < n; i++)
        virtual_submit(v, "test.faulty", "fault", NULL, &seen);
    core_step(v->core, core_now_ms(v->core));
    ck_assert_int_eq(seen.n, n);
    ck_assert_str_eq(text(&seen, "code"), "FAULT");
    json_decref(seen.data);
}

/* As many as are configured, of the last minute. */
START_TEST(more_strikes_are_counted_than_the_default)
{
    struct virtual *v = virtual_new(PLUGINS, "{\"plugins\": {\"inline\": [\"*\"], \"strikes\": 40}}");
    struct answer_seen seen = {0};
    virtual_open(v);
    strike(v, 30);
    core_step(v->core, core_now_ms(v->core) + 61000);
    strike(v, 39);
    virtual_submit(v, "test.faulty", "ok", NULL, &seen);
    core_step(v->core, core_now_ms(v->core));
    ck_assert_int_eq(seen.outcome, CVM_REPLIED);
    strike(v, 1);
    struct edge_in in = {.source = "test", .to = "test.faulty", .type = "ok", .priority = -1};
    struct edge_error error;
    ck_assert_int_eq(edge_submit(v->core, &in, virtual_seen, &seen, NULL, &error), CVM_EBUSY);
    json_decref(seen.data);
    virtual_free(v);
}
END_TEST

/* Health names it while it is out; where it is all that its plugin has, that plugin is down. */
START_TEST(health_names_what_is_down)
{
    struct virtual *v = virtual_new(PLUGINS, NULL);
    virtual_open(v);
    json_t *health = json_pack("{s:s}", "status", "healthy");
    core_health(v->core, health);
    ck_assert_str_eq(json_string_value(json_object_get(health, "status")), "healthy");
    ck_assert_ptr_null(json_object_get(health, "down"));
    strike(v, 5);
    core_health(v->core, health);
    ck_assert_str_eq(json_string_value(json_object_get(health, "status")), "degraded");
    ck_assert_uint_eq(json_array_size(json_object_get(health, "down")), 1);
    ck_assert_str_eq(json_string_value(json_array_get(json_object_get(health, "down"), 0)), "test.faulty");
    json_decref(health);
    ck_assert_int_eq(core_revive(v->core, "test.faulty"), 0);
    ck_assert_int_eq(core_revive(v->core, "test.nobody"), CVM_ENOENT);
    health = json_pack("{s:s}", "status", "unhealthy");
    core_health(v->core, health);
    ck_assert_str_eq(json_string_value(json_object_get(health, "status")), "unhealthy");
    ck_assert_ptr_null(json_object_get(health, "down"));
    json_decref(health);
    virtual_free(v);
}
END_TEST

/* Before anything is taken: what is no object, a key that stood for something else, more than may be open. */
START_TEST(inputs_are_refused_at_the_edge)
{
    struct virtual *v = virtual_new(PLUGINS,
                                    "{\"plugins\": {\"inline\": [\"*\"]}, \"admission\": {\"conversations\": 40}}");
    struct answer_seen seen = {0};
    struct edge_error error;
    struct edge_in in = {.source = "test", .to = "test.faulty", .type = "never", .priority = -1};
    virtual_open(v);
    in.data = json_array();
    ck_assert_int_eq(edge_submit(v->core, &in, virtual_seen, &seen, NULL, &error), CVM_EINVAL);
    ck_assert_str_eq(error.text, "the data must be a JSON object");
    in.key = "K";
    in.data = json_pack("{s:i}", "n", 1);
    ck_assert_int_eq(edge_submit(v->core, &in, virtual_seen, &seen, NULL, &error), 0);
    in.data = json_pack("{s:i}", "n", 2);
    ck_assert_int_eq(edge_submit(v->core, &in, virtual_seen, &seen, NULL, &error), CVM_EEXIST);
    ck_assert_str_eq(error.field, "idempotency_key");
    core_step(v->core, core_now_ms(v->core));
    in.data = json_pack("{s:i}", "n", 2); /* the first has had its turn and waits */
    ck_assert_int_eq(edge_submit(v->core, &in, virtual_seen, &seen, NULL, &error), CVM_EEXIST);
    in.key = "";
    in.data = json_object();
    ck_assert_int_eq(edge_submit(v->core, &in, virtual_seen, &seen, NULL, &error), CVM_EINVAL);
    in.key = NULL;
    int e = 0;
    for (int i = 0; i < 40 && !e; i++) {
        in.data = json_object();
        e = edge_submit(v->core, &in, virtual_seen, &seen, NULL, &error);
    }
    ck_assert_int_eq(e, CVM_EBUSY);
    ck_assert_ptr_nonnull(strstr(error.text, "too many open conversations"));
    core_step(v->core, core_now_ms(v->core));
    ck_assert_int_eq(seen.n, 0);
    virtual_free(v);
}
END_TEST

START_TEST(state_survives)
{
    struct virtual *v = virtual_new(PLUGINS, NULL);
    struct answer_seen a = {0};
    for (int i = 1; i <= 3; i++) {
        virtual_open(v);
        ck_assert_int_eq(virtual_call(v, "test.faulty", "count", NULL, &a), CVM_REPLIED);
        ck_assert_int_eq(number(&a, "count"), i);
        virtual_close(v);
    }
    json_decref(a.data);
    virtual_free(v);
}
END_TEST

/* Taken, journalled, then the core ends: the timer, the open requests and the key are there again. */
START_TEST(open_work_goes_on)
{
    struct virtual *v = virtual_new(PLUGINS, NULL);
    struct answer_seen first = {0}, again = {0};
    virtual_open(v);
    struct edge_in in = {.source = "test", .key = "k1", .to = "test.caller", .type = "call", .priority = -1};
    struct edge_error error;
    in.data = json_pack("{s:s, s:{s:i}}", "type", "later", "data", "delay_ms", 5000);
    ck_assert_int_eq(edge_submit(v->core, &in, virtual_seen, &first, NULL, &error), 0);
    core_step(v->core, core_now_ms(v->core) + 10);
    ck_assert_int_eq(first.n, 0);
    ck_assert_int_gt(virtual_count(v, "SELECT count(*) AS n FROM open_items"), 0);
    virtual_close(v);
    virtual_open(v);
    in.data = json_pack("{s:s, s:{s:i}}", "type", "later", "data", "delay_ms", 5000);
    ck_assert_int_eq(edge_submit(v->core, &in, virtual_seen, &again, NULL, &error), 0);
    core_step(v->core, core_now_ms(v->core) + 60000);
    ck_assert_int_eq(again.n, 1);
    ck_assert(again.repeated);
    ck_assert_str_eq(text(&again, "outcome"), "REPLIED");
    virtual_conserved(v);
    json_decref(again.data);
    virtual_free(v);
}
END_TEST

START_TEST(key_is_answered_once)
{
    struct virtual *v = virtual_new(PLUGINS, NULL);
    struct answer_seen a = {0}, b = {0};
    struct edge_in in = {.source = "test", .key = "same", .to = "test.faulty", .type = "count", .priority = -1};
    struct edge_error error;
    virtual_open(v);
    ck_assert_int_eq(edge_submit(v->core, &in, virtual_seen, &a, NULL, &error), 0);
    ck_assert_int_eq(edge_submit(v->core, &in, virtual_seen, &b, NULL, &error), 0); /* while the first runs */
    core_step(v->core, core_now_ms(v->core) + 10);
    ck_assert_int_eq(number(&a, "count"), 1);
    ck_assert_int_eq(number(&b, "count"), 1);
    virtual_close(v);
    virtual_open(v); /* and after a restart */
    ck_assert_int_eq(edge_submit(v->core, &in, virtual_seen, &b, NULL, &error), 0);
    core_step(v->core, core_now_ms(v->core) + 10);
    ck_assert_int_eq(b.n, 2);
    ck_assert_int_eq(number(&b, "count"), 1);
    ck_assert(b.repeated);
    in.data = json_pack("{s:i}", "other", 1);
    ck_assert_int_eq(edge_submit(v->core, &in, virtual_seen, &b, NULL, &error), CVM_EEXIST);
    json_decref(a.data);
    json_decref(b.data);
    virtual_free(v);
}
END_TEST

/* BUSY means that nothing was done: the same key may try again, as a message of its own. */
START_TEST(busy_frees_its_key)
{
    cvm_id first, second;
    struct virtual *v = virtual_new(PLUGINS, NULL);
    struct answer_seen a = {0}, faults[5] = {{0}};
    struct edge_in in = {.source = "test", .key = "again", .to = "test.faulty", .type = "count", .priority = -1};
    struct edge_error error;
    virtual_open(v);
    for (int i = 0; i < 5; i++)
        virtual_submit(v, "test.faulty", "fault", NULL, &faults[i]);
    ck_assert_int_eq(edge_submit(v->core, &in, virtual_seen, &a, &first, &error), 0); /* before it is marked down */
    core_step(v->core, core_now_ms(v->core));
    ck_assert_int_eq(a.outcome, CVM_BUSY);
    core_revive(v->core, "test.faulty");
    ck_assert_int_eq(edge_submit(v->core, &in, virtual_seen, &a, &second, &error), 0);
    ck_assert(!cvm_id_eq(first, second));
    core_step(v->core, core_now_ms(v->core));
    ck_assert_int_eq(a.outcome, CVM_REPLIED);
    ck_assert_int_eq(number(&a, "count"), 1);
    ck_assert_int_eq(edge_submit(v->core, &in, virtual_seen, &a, &first, &error), 0);
    ck_assert(cvm_id_eq(first, second));
    core_step(v->core, core_now_ms(v->core));
    ck_assert(a.repeated && a.outcome == CVM_REPLIED);
    for (int i = 0; i < 5; i++)
        json_decref(faults[i].data);
    json_decref(a.data);
    virtual_free(v);
}
END_TEST

START_TEST(broadcast_reaches_the_others)
{
    struct virtual *v = virtual_new(PLUGINS, NULL);
    struct answer_seen a = {0};
    virtual_open(v);
    virtual_call(v, "test.echo_a", "shout", json_pack("{s:s}", "news", "x"), &a);
    virtual_call(v, "test.echo_a", "publish", NULL, &a);
    virtual_call(v, "test.echo_a", "heard", NULL, &a);
    ck_assert_int_eq(number(&a, "heard"), 0);
    virtual_call(v, "test.echo_b", "heard", NULL, &a);
    ck_assert_int_eq(number(&a, "heard"), 2);
    virtual_call(v, "test.echo_c", "heard", NULL, &a);
    ck_assert_int_eq(number(&a, "heard"), 2);
    virtual_conserved(v);
    json_decref(a.data);
    virtual_free(v);
}
END_TEST

START_TEST(manifest_limits_recipients)
{
    struct virtual *v = virtual_new(PLUGINS, NULL);
    struct answer_seen a = {0};
    virtual_open(v);
    virtual_call(v, "test.faulty", "stray", NULL, &a);
    ck_assert_int_eq(number(&a, "error"), CVM_EACCES);
    virtual_call(v, "test.faulty", "stray", json_pack("{s:s}", "to", "nobody"), &a);
    ck_assert_int_eq(number(&a, "error"), CVM_ENOENT);
    json_decref(a.data);
    virtual_free(v);
}
END_TEST

START_TEST(outputs_are_limited)
{
    struct virtual *v = virtual_new(PLUGINS, NULL);
    struct answer_seen a = {0};
    virtual_open(v);
    ck_assert_int_eq(virtual_call(v, "test.faulty", "flood", json_pack("{s:i}", "n", 300), &a), CVM_ERROR);
    ck_assert_int_eq(virtual_call(v, "test.faulty", "big", NULL, &a), CVM_ERROR);
    virtual_call(v, "test.faulty", "counted", NULL, &a);
    ck_assert_int_eq(number(&a, "sunk"), 0);
    virtual_conserved(v);
    json_decref(a.data);
    virtual_free(v);
}
END_TEST

/* Thirty rounds, then a safe end; a step the manifest does not allow is refused and counted. */
START_TEST(conversations_end)
{
    struct virtual *v = virtual_new(PLUGINS, NULL);
    struct answer_seen a = {0};
    virtual_open(v);
    ck_assert_int_eq(virtual_call(v, "test.opener", "open", NULL, &a), CVM_REPLIED);
    ck_assert_str_eq(text(&a, "ended"), "rounds");
    ck_assert_int_eq(number(&a, "rounds"), 30);
    virtual_call(v, "test.opener", "open", json_pack("{s:s}", "to", "test.caller"), &a);
    ck_assert_str_eq(text(&a, "ended"), "denied");
    virtual_call(v, "test.opener", "open", json_pack("{s:s}", "to", "test.faulty"), &a);
    ck_assert_str_eq(text(&a, "ended"), "signal");
    char *metrics = core_metrics(v->core);
    ck_assert_ptr_nonnull(strstr(metrics, "\ncvmhost_transitions_denied_total 1\n"));
    free(metrics);
    virtual_conserved(v);
    json_decref(a.data);
    virtual_free(v);
}
END_TEST

static void keep(void *arg, int error, json_t *rows, bool more)
{
    ck_assert(!error && !more);
    *(json_t **)arg = rows;
}

static json_t *journal_of_a_run(void)
{
    static const char *const types[] = {"ok", "flood", "later", "refuse", "count", "fault", "never"};
    struct virtual *v = virtual_new(PLUGINS, NULL);
    struct answer_seen a = {0};
    json_t *rows = NULL;
    virtual_open(v);
    for (int i = 0; i < 40; i++)
        virtual_submit(v, i % 2 ? "test.caller" : "test.faulty", i % 2 ? "call" : types[i % 7],
                       i % 2 ? json_pack("{s:s}", "type", types[i % 7]) : NULL, &a);
    core_step(v->core, core_now_ms(v->core) + 120000);
    core_query(v->core,
               "SELECT seq, at_ms, conversation, component, message, type, outcome, record FROM turns ORDER BY seq",
               json_array(), 100000, keep, &rows);
    json_decref(a.data);
    virtual_free(v);
    return rows;
}

START_TEST(same_input_same_journal)
{
    json_t *one = journal_of_a_run(), *two = journal_of_a_run();
    ck_assert_uint_gt(json_array_size(one), 100);
    for (size_t i = 0; i < json_array_size(one) && i < json_array_size(two); i++) {
        char *a = json_dumps(json_array_get(one, i), 0), *b = json_dumps(json_array_get(two, i), 0);
        ck_assert_msg(strcmp(a, b) == 0, "turn %zu\n%s\n%s", i, a, b);
        free(a);
        free(b);
    }
    ck_assert(json_equal(one, two));
    json_decref(one);
    json_decref(two);
}
END_TEST

/* A message begun in two crashes is not tried a third time. */
START_TEST(crashing_message_becomes_a_dead_letter)
{
    static struct page page;
    struct virtual *v = virtual_new(PLUGINS, NULL);
    struct answer_seen a = {0};
    v->page = &page;
    virtual_open(v);
    struct edge_in in = {.source = "test", .key = "boom", .to = "test.faulty", .type = "ok", .priority = -1};
    struct edge_error error;
    cvm_id id;
    ck_assert_int_eq(edge_submit(v->core, &in, virtual_seen, &a, &id, &error), 0);
    page.suspects[0].message = id;
    page.suspects[0].crashes = PAGE_CRASHES_TO_DEAD;
    page.next_suspect = 1;
    core_step(v->core, core_now_ms(v->core));
    ck_assert_int_eq(a.outcome, CVM_ERROR);
    ck_assert_str_eq(text(&a, "code"), "DEAD_LETTER");
    ck_assert_int_eq(virtual_count(v, "SELECT count(*) AS n FROM dead_letters"), 1);
    virtual_conserved(v);
    json_decref(a.data);
    virtual_free(v);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("core");
    TCase *c = tcase_create("core");
    tcase_set_timeout(c, 60);
    tcase_add_test(c, answers);
    tcase_add_test(c, every_request_ends_once);
    tcase_add_test(c, late_reply_is_dropped);
    tcase_add_test(c, failed_turn_keeps_nothing);
    tcase_add_test(c, ephemeral_changes_nothing);
    tcase_add_test(c, faulted_turn_is_run_again);
    tcase_add_test(c, strikes_take_out_of_service);
    tcase_add_test(c, more_strikes_are_counted_than_the_default);
    tcase_add_test(c, health_names_what_is_down);
    tcase_add_test(c, inputs_are_refused_at_the_edge);
    tcase_add_test(c, state_survives);
    tcase_add_test(c, open_work_goes_on);
    tcase_add_test(c, key_is_answered_once);
    tcase_add_test(c, busy_frees_its_key);
    tcase_add_test(c, broadcast_reaches_the_others);
    tcase_add_test(c, manifest_limits_recipients);
    tcase_add_test(c, outputs_are_limited);
    tcase_add_test(c, conversations_end);
    tcase_add_test(c, same_input_same_journal);
    tcase_add_test(c, crashing_message_becomes_a_dead_letter);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
