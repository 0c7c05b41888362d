/* What streams tell: the log of events that clients read from, and which publications the core hands over, when, and in
 * what order. */
#include "services/stream_log.h"
#include "virtual.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- the log ------------------------------------------------------------------------------------------------------
 */

static void add(struct stream_log *log, int64_t turn, bool last)
{
    json_t *data = json_pack("{s:I}", "turn", (json_int_t)turn);
    ck_assert_int_eq(stream_log_add(log, turn, "t", data, last), 0);
    json_decref(data);
}

START_TEST(log_gives_what_was_added)
{
    struct stream_log *log = stream_log_new(10);
    uint64_t at = 99;
    size_t len = 0;
    ck_assert(stream_log_after(log, 10, &at));
    ck_assert_uint_eq(at, stream_log_end(log));
    ck_assert(!stream_log_after(log, 9, &at)); /* what was before is not known */
    add(log, 11, false);
    add(log, 11, true);
    add(log, 15, true);
    ck_assert(stream_log_after(log, 10, &at));
    ck_assert_uint_eq(at, 0);
    ck_assert(stream_log_after(log, 11, &at) && at == 2);
    ck_assert(stream_log_after(log, 14, &at) && at == 2);
    ck_assert(stream_log_after(log, 15, &at) && at == 3);
    ck_assert_ptr_null(stream_log_text(log, 3, &len));
    const char *text = stream_log_text(log, 0, &len);
    ck_assert_uint_eq(len, strlen(text));
    ck_assert_str_eq(text, "event: t\ndata: {\"turn\":11}\n\n");
    ck_assert_str_eq(stream_log_text(log, 1, &len), "event: t\ndata: {\"turn\":11}\nid: 11\n\n");
    ck_assert_int_eq(stream_log_add(log, 16, "u", NULL, true), 0);
    ck_assert_str_eq(stream_log_text(log, 3, &len), "event: u\ndata: {}\nid: 16\n\n");
    ck_assert_uint_eq(stream_log_waiting(log, 3), len);
    ck_assert_uint_eq(stream_log_waiting(log, 4), 0);
    ck_assert_uint_gt(stream_log_waiting(log, 0), 3 * len);
    stream_log_free(log);
    stream_log_free(NULL);
}
END_TEST

START_TEST(log_forgets_the_oldest)
{
    struct stream_log *log = stream_log_new(0);
    uint64_t at = 0;
    size_t len = 0;
    for (int64_t turn = 1; turn <= STREAM_LOG_EVENTS_MAX + 2; turn++)
        add(log, turn, true);
    ck_assert_ptr_null(stream_log_text(log, 1, &len));
    ck_assert_ptr_nonnull(stream_log_text(log, 2, &len));
    ck_assert_uint_eq(stream_log_waiting(log, 1), SIZE_MAX);
    ck_assert(!stream_log_after(log, 1, &at));
    ck_assert(stream_log_after(log, 2, &at) && at == 2);
    ck_assert(stream_log_after(log, STREAM_LOG_EVENTS_MAX + 2, &at) && at == STREAM_LOG_EVENTS_MAX + 2);
    stream_log_free(log);
}
END_TEST

START_TEST(log_has_a_limit_in_bytes)
{
    struct stream_log *log = stream_log_new(0);
    size_t size = 1024 * 1024, len = 0;
    char *text = malloc(size + 1);
    memset(text, 'x', size);
    text[size] = 0;
    json_t *data = json_pack("{s:s}", "text", text);
    for (int64_t turn = 1; turn <= 20; turn++)
        ck_assert_int_eq(stream_log_add(log, turn, "t", data, true), 0);
    uint64_t first = 0;
    while (!stream_log_text(log, first, &len))
        first++;
    ck_assert_uint_eq(stream_log_end(log) - first, 7);
    ck_assert_uint_le(stream_log_waiting(log, first), STREAM_LOG_BYTES_MAX);
    json_decref(data);
    stream_log_free(log);
    free(text);
}
END_TEST

/* ---- the core -----------------------------------------------------------------------------------------------------
 */

struct heard {
    struct virtual *v;
    int64_t last;
    int calls, events;
    char tags[256];
};

/* It can be read from the database by then: another connection sees it. */
static void hear(void *arg, int64_t turn, const struct edge_publication *all, size_t n)
{
    struct heard *h = arg;
    char sql[128];
    snprintf(sql, sizeof sql, "SELECT COUNT(*) AS n FROM turns WHERE type = 'tell' AND outcome = 'OK' AND seq = %lld",
             (long long)turn);
    ck_assert_int_eq(virtual_count(h->v, sql), 1);
    ck_assert_int_gt(turn, h->last);
    ck_assert_int_le(turn, edge_durable(h->v->core));
    h->last = turn;
    h->calls++;
    for (size_t i = 0; i < n; i++) {
        size_t len = strlen(h->tags);
        ck_assert_str_eq(all[i].component, "test.teller");
        snprintf(h->tags + len, sizeof h->tags - len, "%s/%lld ", all[i].topic,
                 (long long)json_integer_value(json_object_get(all[i].data, "tag")));
        h->events++;
    }
}

static struct virtual *listening(struct heard *h)
{
    struct virtual *v = virtual_new((const char *const[]){"teller", NULL}, NULL);
    char files[128];
    snprintf(files, sizeof files, "%s/manifests/teller", v->home);
    ck_assert_int_eq(symlink(TEST_PLUGINS "/teller", files), 0);
    virtual_open(v);
    *h = (struct heard){.v = v};
    edge_listen(v->core, hear, h);
    return v;
}

static int tell(struct virtual *v, const char *type, json_t *data)
{
    struct answer_seen seen = {0};
    int outcome = virtual_call(v, "test.teller", type, data, &seen);
    json_decref(seen.data);
    return outcome;
}

START_TEST(only_what_is_kept_is_told)
{
    struct heard h;
    struct virtual *v = listening(&h);
    ck_assert_int_eq(tell(v, "tell", json_pack("{s:i, s:i}", "tag", 1, "n", 2)), CVM_REPLIED);
    ck_assert_int_ne(tell(v, "tell", json_pack("{s:i, s:b}", "tag", 2, "fail", 1)), CVM_REPLIED);
    ck_assert_int_eq(tell(v, "whisper", json_pack("{s:i}", "tag", 3)), CVM_REPLIED);
    ck_assert_int_eq(tell(v, "tell", json_pack("{s:i, s:s}", "tag", 4, "topic", "test.other")), CVM_REPLIED);
    ck_assert_int_ne(tell(v, "tell", json_pack("{s:i, s:s}", "tag", 5, "topic", "test.undeclared")), CVM_REPLIED);
    ck_assert_int_eq(tell(v, "tell", json_pack("{s:i, s:s}", "tag", 6, "topic", "test.also")), CVM_REPLIED);
    ck_assert_str_eq(h.tags, "test.told/1 test.told/1 test.also/6 ");
    ck_assert_int_eq(h.calls, 2);
    edge_listen(v->core, NULL, NULL);
    ck_assert_int_eq(tell(v, "tell", json_pack("{s:i}", "tag", 7)), CVM_REPLIED);
    ck_assert_int_eq(h.events, 3);
    virtual_free(v);
}
END_TEST

START_TEST(in_the_order_of_the_turns)
{
    struct heard h;
    struct virtual *v = listening(&h);
    struct answer_seen seen[20] = {0};
    for (int i = 0; i < 20; i++)
        virtual_submit(v, "test.teller", "tell", json_pack("{s:i}", "tag", i), &seen[i]);
    ck_assert_int_eq(h.events, 0); /* not before their turns */
    core_step(v->core, core_now_ms(v->core) + 1000);
    ck_assert_int_eq(h.calls, 20);
    ck_assert_int_eq(strncmp(h.tags, "test.told/0 test.told/1 test.told/2 ", 36), 0);
    for (int i = 0; i < 20; i++)
        json_decref(seen[i].data);
    virtual_free(v);
}
END_TEST

START_TEST(events_count_as_output)
{
    struct heard h;
    struct virtual *v = listening(&h);
    ck_assert_int_eq(tell(v, "tell", json_pack("{s:i}", "n", 256)), CVM_REPLIED);
    ck_assert_int_ne(tell(v, "tell", json_pack("{s:i}", "n", 257)), CVM_REPLIED);
    ck_assert_int_ne(tell(v, "tell", json_pack("{s:i, s:i}", "n", 20, "size", 60000)), CVM_REPLIED);
    ck_assert_int_eq(h.events, 256);
    virtual_free(v);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("streams");
    TCase *log = tcase_create("log"), *core = tcase_create("core");
    tcase_set_timeout(core, 60);
    tcase_add_test(log, log_gives_what_was_added);
    tcase_add_test(log, log_forgets_the_oldest);
    tcase_add_test(log, log_has_a_limit_in_bytes);
    tcase_add_test(core, only_what_is_kept_is_told);
    tcase_add_test(core, in_the_order_of_the_turns);
    tcase_add_test(core, events_count_as_output);
    suite_add_tcase(s, log);
    suite_add_tcase(s, core);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
