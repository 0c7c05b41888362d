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

static void end(struct flow *f)
{
    ck_assert_int_eq(flow_stop(f), 0);
    flow_free(f);
}

static void expect(struct flow *f, int status, const char *text, const char *const *words)
{
    struct flow_answer a;
    int got = flow_run(f, &a, words);
    ck_assert_msg(got == status, "%s %s: exit status %d, expected %d: %s%s", words[0], words[1], got, status, a.text,
                  a.errors);
    ck_assert_msg(strstr(a.text, text) || strstr(a.errors, text), "%s %s: no \"%s\" in: %s%s", words[0], words[1], text,
                  a.text, a.errors);
    flow_answer_free(&a);
}

#define EXPECT(f, status, text, ...) expect(f, status, text, (const char *const[]){__VA_ARGS__, NULL})

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
    end(f);
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
    end(f);
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
    FLOW_UNTIL(flow_sql_int(f, "SELECT CAST(value AS INTEGER) FROM state WHERE key = 'told'") == 3);
    FLOW_UNTIL(flow_sql_int(f, "SELECT CAST(value AS INTEGER) FROM state WHERE key = 'read'") == 1);
    EXPECT(f, 0, "there is none to redrive", "dlq", "redrive", "--all");
    ck_assert_int_eq(letters(f), 7);
    end(f);
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
    FLOW_UNTIL(flow_sql_int(f, "SELECT CAST(value AS INTEGER) FROM state WHERE key = 'told'") == 1);
    EXPECT(f, 5, "1 was redriven at", "dlq", "redrive", "1");
    end(f);
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
    return flow_main("dlq", (TCase *[]){tests, NULL});
}
