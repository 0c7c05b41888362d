/* The engine of workflows, alone: which step follows which occurrence, what is kept, what is told. */
#include "../../plugins/support/support/support.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#define HOUR 3600000LL

/* JSON with ' for ". */
static json_t *parse(const char *text)
{
    json_error_t error;
    char *copy = strdup(text);
    for (char *s = copy; *s; s++)
        *s = *s == '\'' ? '"' : *s;
    json_t *value = json_loads(copy, 0, &error);
    ck_assert_msg(value != NULL, "%s: %s", copy, error.text);
    free(copy);
    return value;
}

/* As the registry gives it: every "next" is there. */
static const char TICKET[] =
    "[{'id':'triage','send':'s.t/"
    "run','next':'expert','when':[{'field':'triage.entitled','equals':false,'go':'polite'}],"
    "  'on_refused':{'GONE':'closed'}},"
    " {'id':'expert','send':'s.e/"
    "look','output':'analysis','store':{'store':'a','key':'x-{ticket_id}'},'next':'approval'},"
    " {'id':'approval','wait':'approved','status':'WAITING_FOR_APPROVAL','timeout_hours':'setting:hours','next':'"
    "notify',"
    "  'on':{'timeout':'late'},'when':[{'field':'approval.rework','equals':true,'times':'setting:most','go':'expert'},"
    "  {'field':'approval.yes','not_equals':true,'go':'rejected'}]},"
    " {'id':'notify','send':'s.n/create','retry':1,'next':'done'}, "
    "{'id':'done','end':'COMPLETED','outcome':'resolved'},"
    " {'id':'polite','send':'s.n/create','next':'closed'}, {'id':'closed','end':'COMPLETED','outcome':'not_entitled'},"
    " {'id':'rejected','end':'REJECTED'}, {'id':'late','end':'TIMED_OUT'}]";

static json_t *steps, *instance, *outputs, *settings;
static struct workflow w;
static struct workflow_todo todo;

static void setup(void)
{
    steps = parse(TICKET);
    instance = parse("{'ticket_id':'T1'}");
    outputs = json_object();
    settings = parse("{'hours':24,'most':1}");
    w = (struct workflow){steps, instance, outputs, settings, 1000};
    todo = (struct workflow_todo){0};
}

static void teardown(void)
{
    json_decref(todo.told);
    json_decref(steps);
    json_decref(instance);
    json_decref(outputs);
    json_decref(settings);
}

static int happens(enum workflow_happened what, const char *code, const char *data)
{
    json_t *value = data ? parse(data) : NULL;
    struct workflow_event e = {.what = what, .code = code, .text = "why", .data = value};
    struct workflow_todo next;
    int error = workflow_take(&w, &e, &next);
    if (error >= 0) {
        json_decref(todo.told);
        todo = next;
    }
    json_decref(value);
    return error;
}

static void expect(enum workflow_todo_kind kind, const char *step, const char *status)
{
    ck_assert_int_eq(todo.kind, kind);
    ck_assert_str_eq(cvm_json_str(todo.step, "id", ""), step);
    ck_assert_str_eq(cvm_json_str(instance, "status", ""), status);
}

static void to_approval(void)
{
    ck_assert_int_eq(happens(WORKFLOW_BEGIN, NULL, NULL), 0);
    ck_assert_int_eq(happens(WORKFLOW_DONE, NULL, "{'entitled':true}"), 0);
    ck_assert_int_eq(happens(WORKFLOW_DONE, NULL, "{'n':1}"), 0);
    expect(WORKFLOW_STORE, "expert", "RUNNING");
    ck_assert_int_eq(happens(WORKFLOW_STORED, NULL, NULL), 0);
}

START_TEST(goes_from_start_to_end)
{
    to_approval();
    expect(WORKFLOW_WAIT, "approval", "WAITING_FOR_APPROVAL");
    ck_assert_int_eq(todo.delay_ms, 24 * HOUR);
    ck_assert_int_eq(cvm_json_int(instance, "deadline_ms", 0), 1000 + 24 * HOUR);
    ck_assert_int_eq(happens(WORKFLOW_EVENT, "approved", "{'yes':true}"), 0);
    expect(WORKFLOW_SEND, "notify", "RUNNING");
    ck_assert_int_eq(happens(WORKFLOW_DONE, NULL, "{}"), 0);
    expect(WORKFLOW_END, "done", "COMPLETED");
    ck_assert_str_eq(cvm_json_str(instance, "outcome", ""), "resolved");
    ck_assert_ptr_nonnull(json_object_get(outputs, "analysis"));
    ck_assert_ptr_nonnull(json_object_get(outputs, "approval"));
    ck_assert_int_eq(happens(WORKFLOW_EVENT, "approved", "{'yes':true}"), CVM_ESTATE);
    ck_assert_int_eq(happens(WORKFLOW_DONE, NULL, "{}"), CVM_ESTATE);
}
END_TEST

START_TEST(branches_are_taken)
{
    ck_assert_int_eq(happens(WORKFLOW_BEGIN, NULL, NULL), 0);
    ck_assert_int_eq(happens(WORKFLOW_DONE, NULL, "{'entitled':false}"), 0);
    expect(WORKFLOW_SEND, "polite", "RUNNING");
    ck_assert_int_eq(happens(WORKFLOW_DONE, NULL, "{}"), 0);
    expect(WORKFLOW_END, "closed", "COMPLETED");
    ck_assert_str_eq(cvm_json_str(instance, "outcome", ""), "not_entitled");
}
END_TEST

START_TEST(failures_are_tried_again_after_1_2_4_s)
{
    ck_assert_int_eq(happens(WORKFLOW_BEGIN, NULL, NULL), 0);
    for (int64_t delay = 1000; delay <= 4000; delay *= 2) {
        ck_assert_int_eq(happens(WORKFLOW_FAILED, "FAILED", NULL), 0);
        expect(WORKFLOW_DELAY, "triage", "RUNNING");
        ck_assert_int_eq(todo.delay_ms, delay);
        ck_assert_int_eq(happens(WORKFLOW_DONE, NULL, "{}"), CVM_ESTATE); /* a late answer of the attempt before */
        ck_assert_int_eq(happens(WORKFLOW_AGAIN, NULL, NULL), 0);
        expect(WORKFLOW_SEND, "triage", "RUNNING");
    }
    ck_assert_int_eq(cvm_json_int(instance, "attempt", 0), 4);
    ck_assert_int_eq(happens(WORKFLOW_FAILED, "FAILED", NULL), 0);
    expect(WORKFLOW_END, "triage", "FAILED");
    ck_assert_str_eq(cvm_json_str(json_object_get(instance, "error"), "step", ""), "triage");
}
END_TEST

START_TEST(store_is_tried_again_without_its_activity)
{
    to_approval();
    teardown(), setup();
    ck_assert_int_eq(happens(WORKFLOW_BEGIN, NULL, NULL), 0);
    ck_assert_int_eq(happens(WORKFLOW_DONE, NULL, "{}"), 0);
    ck_assert_int_eq(happens(WORKFLOW_DONE, NULL, "{'n':1}"), 0);
    ck_assert_int_eq(happens(WORKFLOW_FAILED, "BUSY", NULL), 0);
    expect(WORKFLOW_DELAY, "expert", "RUNNING");
    ck_assert_int_eq(happens(WORKFLOW_AGAIN, NULL, NULL), 0);
    expect(WORKFLOW_STORE, "expert", "RUNNING");
    ck_assert_int_eq(happens(WORKFLOW_STORED, NULL, NULL), 0);
    expect(WORKFLOW_WAIT, "approval", "WAITING_FOR_APPROVAL");
    ck_assert_ptr_null(json_object_get(instance, "error"));
}
END_TEST

START_TEST(refusals_end_it_or_lead_on)
{
    ck_assert_int_eq(happens(WORKFLOW_BEGIN, NULL, NULL), 0);
    ck_assert_int_eq(happens(WORKFLOW_REFUSED, "GONE", NULL), 0);
    expect(WORKFLOW_END, "closed", "COMPLETED");
    teardown(), setup();
    ck_assert_int_eq(happens(WORKFLOW_BEGIN, NULL, NULL), 0);
    ck_assert_int_eq(happens(WORKFLOW_REFUSED, "UNKNOWN_CUSTOMER", NULL), 0);
    expect(WORKFLOW_END, "triage", "FAILED");
}
END_TEST

START_TEST(early_event_is_kept)
{
    ck_assert_int_eq(happens(WORKFLOW_BEGIN, NULL, NULL), 0);
    ck_assert_int_eq(happens(WORKFLOW_EVENT, "approved", "{'yes':true,'n':7}"), 0);
    ck_assert_int_eq(todo.kind, WORKFLOW_NOTHING);
    ck_assert_int_eq(happens(WORKFLOW_EVENT, "approved", "{'yes':false}"), CVM_EEXIST);
    ck_assert_int_eq(happens(WORKFLOW_EVENT, "other", "{}"), CVM_ESTATE);
    ck_assert_int_eq(happens(WORKFLOW_DONE, NULL, "{'entitled':true}"), 0);
    ck_assert_int_eq(happens(WORKFLOW_DONE, NULL, "{}"), 0);
    ck_assert_int_eq(happens(WORKFLOW_STORED, NULL, NULL), 0);
    expect(WORKFLOW_SEND, "notify", "RUNNING");
    ck_assert_int_eq(cvm_json_int(json_object_get(outputs, "approval"), "n", 0), 7);
    ck_assert_int_eq(happens(WORKFLOW_EVENT, "approved", "{'yes':true}"),
                     CVM_ESTATE); /* nothing waits for it any more */
}
END_TEST

START_TEST(rework_is_counted)
{
    to_approval();
    json_t *again = parse("{'rework':true,'yes':false}");
    ck_assert(!workflow_exhausted(&w, "approved", again));
    ck_assert_int_eq(happens(WORKFLOW_EVENT, "approved", "{'rework':true,'yes':false}"), 0);
    expect(WORKFLOW_SEND, "expert", "RUNNING");
    ck_assert(workflow_exhausted(&w, "approved", again)); /* kept, it would be taken for a rejection */
    ck_assert_int_eq(happens(WORKFLOW_DONE, NULL, "{'n':2}"), 0);
    ck_assert_int_eq(happens(WORKFLOW_STORED, NULL, NULL), 0);
    ck_assert(workflow_exhausted(&w, "approved", again));
    ck_assert_int_eq(happens(WORKFLOW_EVENT, "approved", "{'rework':true,'yes':false}"), 0);
    expect(WORKFLOW_END, "rejected", "REJECTED");
    json_decref(again);
}
END_TEST

START_TEST(wait_times_out)
{
    static const struct {
        const char *settings;
        int64_t ms;
    } cases[] = {{"{'hours':0.001}", 3600},
                 {"{'hours':0}", 24 * HOUR},
                 {"{'hours':'x'}", 24 * HOUR},
                 {"{}", 24 * HOUR},
                 {"{'hours':1e9}", 9600 * HOUR}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        teardown(), setup();
        json_t *other = parse(cases[i].settings);
        w.settings = other;
        to_approval();
        ck_assert_int_eq(todo.delay_ms, cases[i].ms);
        ck_assert_int_eq(happens(WORKFLOW_TIMED_OUT, NULL, NULL), 0);
        expect(WORKFLOW_END, "late", "TIMED_OUT");
        ck_assert_str_eq(cvm_json_str(instance, "timed_out_step", ""), "approval");
        ck_assert_int_eq(happens(WORKFLOW_TIMED_OUT, NULL, NULL), CVM_ESTATE);
        json_decref(other);
        w.settings = settings;
    }
}
END_TEST

START_TEST(what_does_not_fit_changes_nothing)
{
    json_t *odd = parse("[{'id':'a','send':'x.y/z','next':'nowhere'}]");
    w.steps = odd;
    ck_assert_int_eq(happens(WORKFLOW_BEGIN, NULL, NULL), 0);
    json_t *before = json_deep_copy(instance);
    ck_assert_int_eq(happens(WORKFLOW_STORED, NULL, NULL), CVM_ESTATE);
    ck_assert_int_eq(happens(WORKFLOW_TIMED_OUT, NULL, NULL), CVM_ESTATE);
    ck_assert_int_eq(happens(WORKFLOW_EVENT, "approved", "{'yes':true}"), CVM_ESTATE);
    ck_assert(json_equal(before, instance));
    ck_assert_int_eq(json_object_size(outputs), 0);
    ck_assert_int_eq(happens(WORKFLOW_DONE, NULL, "{}"), CVM_EDATA); /* and what it is then is not kept */
    json_decref(before);
    json_decref(odd);
}
END_TEST

START_TEST(keys_are_filled_in)
{
    char text[12];
    workflow_fill(instance, "x-{ticket_id}-{none}!", text, sizeof text);
    ck_assert_str_eq(text, "x-T1-!");
    workflow_fill(instance, "{ticket_id}{ticket_id}{ticket_id}{ticket_id}{ticket_id}{ticket_id}", text, sizeof text);
    ck_assert_str_eq(text, "T1T1T1T1T1T");
    workflow_fill(instance, "a{b", text, sizeof text);
    ck_assert_str_eq(text, "a{b");
}
END_TEST

START_TEST(lines_are_compared)
{
    static const struct {
        const char *was, *is, *diff;
    } cases[] = {{"a\nb\nc", "a\nx\nc\nd", "['  a','- b','+ x','  c','+ d']"},
                 {"", "a", "['+ a']"},
                 {"a", "", "['- a']"},
                 {"a\nb", "a\nb", "['  a','  b']"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *diff = diff_lines(cases[i].was, cases[i].is), *expected = parse(cases[i].diff);
        ck_assert(json_equal(diff, expected));
        json_decref(diff);
        json_decref(expected);
    }
    char *text = malloc(4000);
    for (int i = 0; i < 1999; i++)
        memcpy(text + 2 * i, "a\n", 3);
    json_t *diff = diff_lines(text, "b");
    ck_assert_int_eq(json_array_size(diff), 201);
    json_decref(diff);
    free(text);
}
END_TEST

START_TEST(cut_characters_go)
{
    static const char *const cases[][2] = {{"", ""},
                                           {"abc", "abc"},
                                           {"ab\xc3\xa9", "ab\xc3\xa9"},
                                           {"ab\xc3", "ab"},
                                           {"ab\xe2\x82", "ab"},
                                           {"ab\xe2\x82\xac", "ab\xe2\x82\xac"},
                                           {"\xf0\x9f\x98", ""},
                                           {"\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[16];
        snprintf(text, sizeof text, "%s", cases[i][0]);
        text_whole(text);
        ck_assert_str_eq(text, cases[i][1]);
    }
}
END_TEST

START_TEST(texts_are_counted_in_characters)
{
    static const struct {
        const char *text;
        size_t n, bytes;
    } cases[] = {{"", 3, 0},
                 {"abc", 3, 3},
                 {"abcd", 3, 3},
                 {"abcd", 0, 0},
                 {"\xc3\xa9\xc3\xa9\xc3\xa9", 2, 4},
                 {"\xf0\x9f\x98\x80", 1, 4}};
    char key[8];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        ck_assert_uint_eq((size_t)(text_behind(cases[i].text, cases[i].n) - cases[i].text), cases[i].bytes);
    ck_assert_str_eq(text_key('v', "abc", key, sizeof key), "v/abc");
    ck_assert_str_eq(text_key('v', "abcdefgh", key, sizeof key), "v/abcde");
}
END_TEST

START_TEST(sla_stands_still_while_paused)
{
    json_t *record = json_object();
    sla_start(record, 2, 1000);
    ck_assert_int_eq(sla_due_ms(record), 1000 + 2 * HOUR);
    sla_pause(record, 1000 + HOUR);
    sla_pause(record, 1000 + 5 * HOUR);
    ck_assert(!sla_runs(record));
    ck_assert_int_eq(sla_left_ms(record, 1000 + 9 * HOUR), HOUR);
    sla_resume(record, 1000 + 10 * HOUR);
    ck_assert_int_eq(sla_due_ms(record), 1000 + 11 * HOUR);
    ck_assert_int_eq(sla_left_ms(record, 1000 + 12 * HOUR), -HOUR);
    json_decref(record);
    record = json_object();
    sla_start(record, 0, 1000);
    sla_resume(record, 2000);
    ck_assert(!sla_runs(record));
    json_decref(record);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("workflow");
    TCase *c = tcase_create("engine");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, goes_from_start_to_end);
    tcase_add_test(c, branches_are_taken);
    tcase_add_test(c, failures_are_tried_again_after_1_2_4_s);
    tcase_add_test(c, store_is_tried_again_without_its_activity);
    tcase_add_test(c, refusals_end_it_or_lead_on);
    tcase_add_test(c, early_event_is_kept);
    tcase_add_test(c, rework_is_counted);
    tcase_add_test(c, wait_times_out);
    tcase_add_test(c, what_does_not_fit_changes_nothing);
    tcase_add_test(c, keys_are_filled_in);
    tcase_add_test(c, lines_are_compared);
    tcase_add_test(c, texts_are_counted_in_characters);
    tcase_add_test(c, sla_stands_still_while_paused);
    tcase_add_test(c, cut_characters_go);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
