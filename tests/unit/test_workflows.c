/* Workflows of manifests: what makes no sense is refused with a sentence that names the field; what plugins add to one
 * another's comes where they say. */
#include "core/manifest.h"
#include "harness/workflows.h"

#include <check.h>
#include <cvm/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

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

#define GOOD                                                                                                           \
    "[{'id':'first','send':'a.b/run','output':'one','on_refused':{'NO':'closed'}},"                                    \
    " {'id':'check','send':'role:r/look','when':[{'field':'one.again','equals':true,'times':2,'go':'first'}]},"        \
    " {'id':'asked','wait':'said','timeout_hours':24,'on':{'timeout':'closed'},"                                       \
    "  'when':[{'field':'said.more','equals':true,'go':'first'}]},"                                                    \
    " {'id':'done','end':'COMPLETED'}, {'id':'closed','end':'REJECTED','outcome':'no'}]"

static const struct {
    const char *steps, *field, *text;
} faults[] = {
    {"[{'id':'a','send':'x.y/z','next':'b'},{'id':'c','end':'E'}]", "steps[0].next", "there is no step \"b\""},
    {"[{'id':'a','send':'x.y/z'},{'id':'a','end':'E'}]", "steps[1].id", "\"a\" is declared twice"},
    {"[{'id':'a','send':'x.y/z','next':'c'},{'id':'b','send':'x.y/z'},{'id':'c','end':'E'}]", "steps[1]",
     "no way leads to the step \"b\""},
    {"[{'id':'a','send':'x.y/z'}]", "steps[0]", "needs a \"next\""},
    {"[{'id':'a','send':'x.y/z'},{'id':'b','send':'x.y/z','when':[{'field':'f','equals':1,'go':'a'}]},{'id':'c','end':"
     "'E'}]",
     "steps[0]", "without a wait or a counter"},
    {"[{'id':'a','send':'x.y/z','on_refused':{'NO':'a'}},{'id':'c','end':'E'}]", "steps[0]", "without a wait"},
    {"[{'id':'a','wait':'e','timeout_hours':1,'on':{'timeout':'q'}},{'id':'c','end':'E'}]", "steps[0].on.timeout",
     "there is no step \"q\""},
    {"[{'id':'a','send':'x.y/z','when':[{'field':'f','go':'q'}]},{'id':'c','end':'E'}]", "steps[0].when[0].go",
     "there is no step \"q\""},
};

START_TEST(senseless_ones_are_refused)
{
    struct workflow_fault fault;
    json_t *steps = parse(faults[_i].steps);
    ck_assert_int_eq(workflows_check(steps, &fault), CVM_EINVAL);
    ck_assert_str_eq(fault.field, faults[_i].field);
    ck_assert_msg(strstr(fault.text, faults[_i].text) != NULL, "%s", fault.text);
    json_decref(steps);
}
END_TEST

START_TEST(good_one_is_taken)
{
    struct workflow_fault fault;
    json_t *steps = parse(GOOD), *normal = workflows_normal(steps);
    ck_assert_int_eq(workflows_check(steps, &fault), 0);
    ck_assert_str_eq(cvm_json_str(json_array_get(normal, 1), "next", ""), "asked");
    ck_assert_ptr_null(json_object_get(json_array_get(normal, 3), "next"));
    ck_assert_int_eq(workflows_check(normal, &fault), 0);
    json_decref(normal);
    json_decref(steps);
}
END_TEST

START_TEST(steps_are_of_one_kind)
{
    static const char *const wrong[] = {"{'id':'a'}",
                                        "{'id':'a','send':'x/y','end':'E'}",
                                        "{'id':'a','end':'E','retry':1}",
                                        "{'id':'a','wait':'e','on':{'timeout':'b'}}",
                                        "{'id':'a','wait':'e','timeout_hours':1}",
                                        "{'id':'a','wait':'e','store':{'store':'s','key':'k'}}"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct workflow_fault fault;
        json_t *step = parse(wrong[i]);
        ck_assert_msg(workflows_check_step(step, &fault) == CVM_EINVAL, "%s", wrong[i]);
        json_decref(step);
    }
}
END_TEST

static int add(json_t *steps, json_t *added, const char *text, struct workflow_fault *fault)
{
    json_t *one = parse(text);
    int e = workflows_add(steps, added, one, fault);
    json_decref(one);
    return e;
}

START_TEST(additions_come_behind_their_step_in_order)
{
    static const char *const order[] = {"first", "x", "y", "z", "check", "asked", "done", "closed"};
    struct workflow_fault fault;
    json_t *steps = parse(GOOD), *normal = workflows_normal(steps), *added = json_object();
    ck_assert_int_eq(add(normal, added, "{'after':'first','step':{'id':'x','send':'p.q/r'}}", &fault), 0);
    ck_assert_int_eq(add(normal, added, "{'after':'first','step':{'id':'z','send':'p.q/r'}}", &fault), 0);
    ck_assert_int_eq(add(normal, added, "{'after':'x','step':{'id':'y','send':'p.q/r'}}", &fault), 0);
    ck_assert_int_eq(add(normal, added, "{'after':'done','step':{'id':'w','send':'p.q/r'}}", &fault), CVM_EINVAL);
    ck_assert_int_eq(add(normal, added, "{'after':'none','step':{'id':'w','send':'p.q/r'}}", &fault), CVM_EINVAL);
    ck_assert_int_eq(add(normal, added, "{'after':'first','step':{'id':'asked','send':'p.q/r'}}", &fault), CVM_EINVAL);
    const char *at = "first";
    for (size_t i = 0; i < 6; i++) {
        ck_assert_str_eq(at, order[i]);
        for (size_t k = 0; k < json_array_size(normal); k++)
            if (strcmp(cvm_json_str(json_array_get(normal, k), "id", ""), at) == 0) {
                at = cvm_json_str(json_array_get(normal, k), "next", "");
                break;
            }
    }
    ck_assert_str_eq(at, "done");
    ck_assert_int_eq(workflows_check(normal, &fault), 0);
    json_decref(added);
    json_decref(normal);
    json_decref(steps);
}
END_TEST

START_TEST(sentence_names_file_and_field)
{
    static const struct {
        const char *workflows, *told;
    } cases[] = {
        {"[{'name':'w','steps':[{'id':'a','send':'x.y/z','next':'b'}]}]",
         "workflows[0].steps[0].next: there is no step"},
        {"[{'name':'w'}]", "workflows[0]: \"w\" must have either \"steps\""},
        {"[{'name':'w','steps':[{'id':'a','end':'E'}]},{'name':'w','steps':[{'id':'a','end':'E'}]}]",
         "workflows[1].name: \"w\" is declared twice"},
        {"[{'name':'w','add':[{'after':'a','step':{'id':'b','send':'x.y/z','outcome':'no'}}]}]",
         "workflows[0].add[0].step.outcome: does not belong"},
        {"[{'name':'w','steps':[{'id':'a','sends':'x'}]}]", "workflows[0].steps[0].sends"},
    };
    char path[] = "/tmp/test_workflows.XXXXXX", error[1024], text[2048];
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    close(fd);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct manifest *m = NULL;
        snprintf(text, sizeof text,
                 "{'manifest':1,'name':'shop','version':'1.0.0','abi':'1.0','components':[{'id':'a.b','kind':'agent'}],"
                 "'workflows':%s}",
                 cases[i].workflows);
        json_t *doc = parse(text);
        ck_assert_int_eq(json_dump_file(doc, path, 0), 0);
        json_decref(doc);
        ck_assert_int_eq(manifest_load(path, &m, error, sizeof error), CVM_EINVAL);
        ck_assert_msg(strstr(error, cases[i].told) != NULL, "%s", error);
    }
    unlink(path);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("workflows");
    TCase *c = tcase_create("workflows");
    tcase_add_loop_test(c, senseless_ones_are_refused, 0, sizeof faults / sizeof *faults);
    tcase_add_test(c, good_one_is_taken);
    tcase_add_test(c, steps_are_of_one_kind);
    tcase_add_test(c, additions_come_behind_their_step_in_order);
    tcase_add_test(c, sentence_names_file_and_field);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
