/* Dead letters: shown, sent again once, refused where that would do a thing twice. */
#include "flow.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct flow *home(void)
{
    struct flow *f = flow_new();
    flow_plugin(f, "mender");
    flow_start(f);
    return f;
}

static int64_t letters(struct flow *f)
{
    return flow_sql_int(f, "SELECT count(*) FROM dead_letters");
}

static void mend(struct flow *f)
{
    EXPECT(f, 0, "written: true", "state", "put", "test.mender", "mended", "true");
    EXPECT(f, 0, "written: true", "state", "put", "test.reader", "mended", "true");
}

/* A request of a crash: it was answered, and is done again because its operation says that this is good. */
START_TEST(sends_a_request_again)
{
    struct flow *f = home();
    flow_write(f, "e.json",
               "{\"sender\":\"me\",\"recipient\":\"test.mender\",\"message_type\":\"request\",\"type\":"
               "\"deliver\",\"content\":\"words\",\"structured_data\":{\"parcel\":7},\"enquiry_id\":"
               "\"ENQ-1\",\"customer_id\":\"C\",\"session_id\":\"SES-1\"}");
    char path[128];
    snprintf(path, sizeof path, "%s/e.json", f->home);
    EXPECT(f, 1, "crashed the host", "agent", "call", "--envelope", path, "--key", "k1");
    EXPECT(f, 0, "crashed the host twice", "dlq", "list", "--component", "Mender");
    mend(f);
    struct flow_answer a;
    ck_assert_int_eq(FLOW_RUN(f, &a, "dlq", "redrive", "1", "--output", "json"), 0);
    ck_assert_str_eq(a.text, "{\"delivered\":1,\"data\":{\"parcel\":7},\"enquiry\":\"ENQ-1\",\"session\":\"SES-1\","
                             "\"content\":\"words\"}\n");
    flow_answer_free(&a);
    EXPECT(f, 5, "1 was redriven at 20", "dlq", "redrive", "1");
    EXPECT(f, 0, "delivered", "state", "get", "test.mender", "delivered");
    ck_assert_int_eq(flow_sql_int(f, "SELECT CAST(value AS INTEGER) FROM state WHERE key = 'delivered'"), 1);
    /* The row says when and as what, the new message says why it is there. */
    EXPECT(f, 0, "redriven_at: 20", "dlq", "show", "1");
    EXPECT(f, 0, "REDRIVEN_AT", "dlq", "list");
    ck_assert_int_eq(FLOW_RUN(f, &a, "dlq", "list", "--open", "--output", "json"), 0);
    ck_assert_str_eq(a.text, "[]\n");
    flow_answer_free(&a);
    ck_assert_int_eq(
        flow_sql_int(f,
                     "SELECT count(*) FROM messages m, dead_letters d, state s WHERE s.component = 'host.redrive' AND"
                     " m.message_id = json_extract(s.value, '$.message_id') AND"
                     " json_extract(m.envelope, '$.cause') = 'MSG-' || lower(hex(d.message))"),
        1);
    ck_assert_int_eq(letters(f), 1);
    flow_end(f);
}
END_TEST

START_TEST(refuses_what_would_be_done_twice)
{
    struct flow *f = home();
    EXPECT(f, 1, "crashed the host", "mender", "once");
    mend(f);
    EXPECT(f, 5, "does not declare \"redrive\"", "dlq", "redrive", "1");
    EXPECT(f, 4, "there is no dead letter 99", "dlq", "redrive", "99");
    EXPECT(f, 2, "expected the number of a dead letter", "dlq", "redrive", "one");
    EXPECT(f, 2, "NUMBER is missing", "dlq", "redrive");
    EXPECT(f, 2, "not both", "dlq", "redrive", "1", "--all");
    EXPECT(f, 5, "1 of 1 were not redriven", "dlq", "redrive", "--all");
    ck_assert_int_eq(flow_sql_int(f, "SELECT count(*) FROM state WHERE key = 'delivered'"), 0);
    flow_end(f);
}
END_TEST

START_TEST(sends_all_of_a_component_again)
{
    struct flow *f = home();
    for (int i = 0; i < 3; i++)
        EXPECT(f, 0, "", "mender", "tell");
    EXPECT(f, 0, "", "agent", "call", "test.mender", "publish", "--data", "{\"faults\":3}");
    FLOW_UNTIL(letters(f) == 4);
    EXPECT(f, 0, "there is none to redrive", "dlq", "redrive", "--all", "--component", "test.nobody");
    EXPECT(f, 0, "3  test.mender  told  MSG-", "dlq", "redrive", "--all", "--component", "test.mender");
    FLOW_UNTIL(letters(f) == 7); /* nothing was mended: they fail again, as new letters, once each */
    mend(f);
    EXPECT(f, 0, "4  test.reader  test.repairs  MSG-", "dlq", "redrive", "--all");
    FLOW_UNTIL(
        flow_sql_int(f, "SELECT CAST(value AS INTEGER) FROM state WHERE component = 'test.mender' AND key = 'told'") ==
        3);
    FLOW_UNTIL(flow_sql_int(f, "SELECT CAST(value AS INTEGER) FROM state WHERE key = 'read'") == 1);
    EXPECT(f, 0, "there is none to redrive", "dlq", "redrive", "--all");
    ck_assert_int_eq(letters(f), 7);
    flow_end(f);
}
END_TEST

START_TEST(is_kept_over_a_crash)
{
    struct flow *f = home();
    EXPECT(f, 0, "", "mender", "tell");
    FLOW_UNTIL(letters(f) == 1);
    mend(f);
    EXPECT(f, 0, "redriven_as: MSG-", "dlq", "redrive", "1");
    flow_kill(f, SIGKILL);
    flow_wait_serving(f);
    FLOW_UNTIL(
        flow_sql_int(f, "SELECT CAST(value AS INTEGER) FROM state WHERE component = 'test.mender' AND key = 'told'") ==
        1);
    EXPECT(f, 5, "1 was redriven at", "dlq", "redrive", "1");
    flow_end(f);
}
END_TEST

/* A durable topic: a copy that faults is tried again as often as its operation says, then it is a dead letter and told
 * on a topic of its own. */
START_TEST(topic_is_tried_again_then_told)
{
    struct flow *f = home();
    flow_spawn(f, "tail", (const char *const[]){"host/cvmhost", "bus", "tail", "--topic", "dead-letter", NULL});
    FLOW_UNTIL(FLOW_RUN(f, NULL, "ps") == 0);
    flow_sleep_ms(300); /* the tail is open */
    EXPECT(f, 0, "", "agent", "call", "test.mender", "publish", "--data", "{\"faults\":1}");
    FLOW_UNTIL(flow_sql_int(f, "SELECT CAST(value AS INTEGER) FROM state WHERE key = 'read'") == 1);
    ck_assert_int_eq(letters(f), 0);
    EXPECT(f, 0, "", "agent", "call", "test.mender", "publish", "--data", "{\"faults\":3}");
    FLOW_UNTIL(letters(f) == 1);
    ck_assert_int_eq(flow_sql_int(f, "SELECT count(*) FROM turns WHERE component = 'test.reader' AND type ="
                                     " 'test.repairs' AND outcome = 'DEAD'"),
                     1);
    /* Whoever subscribes has it as durable state, whoever watches has a line. */
    FLOW_UNTIL(flow_sql_int(f, "SELECT count(*) FROM state WHERE component = 'test.mourner' AND key = 'test.repairs'"
                               " AND json_extract(value, '$.reason') = 'the handler faulted'") == 1);
    char *line = NULL;
    FLOW_UNTIL((line = flow_read(f, "tail.txt")) && (*line || (free(line), false)));
    json_t *envelope = json_loads(line, JSON_DISABLE_EOF_CHECK, NULL);
    ck_assert_msg(envelope != NULL, "no envelope: %s", line);
    ck_assert_str_eq(json_string_value(json_object_get(envelope, "type")), "dead-letter");
    const json_t *data = json_object_get(envelope, "structured_data");
    ck_assert_str_eq(json_string_value(json_object_get(data, "component")), "test.reader");
    ck_assert_str_eq(json_string_value(json_object_get(data, "type")), "test.repairs");
    json_decref(envelope);
    free(line);

    mend(f);
    EXPECT(f, 0, "redriven_as", "dlq", "redrive", "1");
    FLOW_UNTIL(flow_sql_int(f, "SELECT CAST(value AS INTEGER) FROM state WHERE key = 'read'") == 2);
    flow_end(f);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("dlq");
    tcase_set_timeout(tests, 90);
    tcase_add_test(tests, sends_a_request_again);
    tcase_add_test(tests, refuses_what_would_be_done_twice);
    tcase_add_test(tests, sends_all_of_a_component_again);
    tcase_add_test(tests, is_kept_over_a_crash);
    tcase_add_test(tests, topic_is_tried_again_then_told);
    return flow_main("dlq", (TCase *[]){tests, NULL});
}
