/* Cases that wait for a human: seen, claimed by one, resolved by whoever claimed, over commands and HTTP. */
#include "flow_desk.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#define CLAIMERS 5

/* A customer whose words bring a human: the handoff's id, for free(). */
static char *handed_over(struct flow *f)
{
    json_t *a = desk_say(f, "08039998877", "SMS", "I will call my lawyer, you stole my money");
    char *id = strdup(text_of(a, "handoff_id"));
    ck_assert_msg(*id, "no handoff: %s", text_of(a, "reason"));
    json_decref(a);
    return id;
}

START_TEST(is_claimed_and_resolved)
{
    struct flow *f = desk_started();
    char *id = handed_over(f), path[128];
    EXPECT(f, 0, id, "handoff", "list", "--status", "open");
    EXPECT(f, 0, "draft_response:", "handoff", "show", id);
    EXPECT(f, 5, "is open: it must be claimed before it can be resolved", "handoff", "resolve", id, "--note", "done");
    EXPECT(f, 2, "--by is missing", "handoff", "claim", id);
    EXPECT(f, 4, "There is no handoff with this id", "handoff", "claim", "HND-000000000000", "--by", "ada");
    EXPECT(f, 0, "claimed_by: ada", "handoff", "claim", id, "--by", "ada");
    EXPECT(f, 5, "was claimed by ada at 20", "handoff", "claim", id, "--by", "obi");
    EXPECT(f, 5, "nobody else can resolve it", "handoff", "resolve", id, "--note", "mine", "--by", "obi");
    EXPECT(f, 0, id, "handoff", "list", "--status", "claimed");
    EXPECT(f, 0, "answer: Called back, refunded", "handoff", "resolve", id, "--note", "Called back, refunded");
    EXPECT(f, 5, "a resolved handoff is not changed", "handoff", "claim", id, "--by", "obi");
    EXPECT(f, 5, "a resolved handoff is not changed", "handoff", "resolve", id, "--note", "again");
    /* The row is whole: what it said before is there still. */
    EXPECT(f, 0, "answer: Called back, refunded", "handoff", "show", id);
    EXPECT(f, 0, "draft_response:", "handoff", "show", id);
    EXPECT(f, 0, "legal", "handoff", "show", id);
    ck_assert_int_eq(flow_sql_int(f,
                                  "select count(*) from handoffs where status = 'resolved' and claimed_by = 'ada' and"
                                  " claimed_at <= resolved_at and summary != '' and context like '%lawyer%'"),
                     1);
    EXPECT(f, 0, "claimed", "why", id);
    free(id);
    id = handed_over(f);
    struct flow_answer a;
    snprintf(path, sizeof path, "/api/v1/handoffs/%s/claim", id);
    ck_assert_int_eq(flow_http(f, "POST", path, "{}", NULL, NULL), 400);
    ck_assert_int_eq(flow_http(f, "POST", path, "{\"by\":\"obi\"}", NULL, NULL), 200);
    ck_assert_int_eq(flow_http(f, "POST", path, "{\"by\":\"ada\"}", NULL, &a), 409);
    ck_assert_str_eq(text_of(a.json, "code"), "CLAIMED");
    flow_answer_free(&a);
    ck_assert_int_eq(flow_http(f, "POST", "/api/v1/handoffs/HND-1/claim", "{\"by\":\"obi\"}", NULL, NULL), 404);
    snprintf(path, sizeof path, "/api/v1/handoffs/%s/resolve", id);
    ck_assert_int_eq(flow_http(f, "POST", path, "{\"note\":\"sorted\"}", NULL, &a), 200);
    ck_assert_str_eq(text_of(a.json, "status"), "resolved");
    flow_answer_free(&a);
    free(id);
    flow_end(f);
}
END_TEST

/* Of several who claim it in the same moment one has it; that holds after a crash too. */
START_TEST(one_gets_it)
{
    struct flow *f = desk_started();
    char *id = handed_over(f);
    pid_t all[CLAIMERS];
    int status, got = 0, refused = 0;
    for (int i = 0; i < CLAIMERS; i++) {
        char name[16];
        snprintf(name, sizeof name, "human%d", i);
        all[i] = flow_spawn(f, name, (const char *const[]){"host/cvmhost", "handoff", "claim", id, "--by", name, NULL});
    }
    for (int i = 0; i < CLAIMERS; i++) {
        ck_assert_int_eq(waitpid(all[i], &status, 0), all[i]);
        got += WEXITSTATUS(status) == 0;
        refused += WEXITSTATUS(status) == 5;
    }
    ck_assert_int_eq(got, 1);
    ck_assert_int_eq(refused, CLAIMERS - 1);
    flow_kill(f, SIGKILL);
    flow_wait_serving(f);
    EXPECT(f, 5, "was claimed by human", "handoff", "claim", id, "--by", "late");
    EXPECT(f, 0, "status: resolved", "handoff", "resolve", id, "--note", "done");
    free(id);
    flow_end(f);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("handoff");
    tcase_set_timeout(tests, 90);
    tcase_add_test(tests, is_claimed_and_resolved);
    tcase_add_test(tests, one_gets_it);
    return flow_main("handoff", (TCase *[]){tests, NULL});
}
