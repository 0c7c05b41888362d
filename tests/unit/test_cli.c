/* The client's pure parts: command lines and batch lines become requests by an operation's schema; results become
 * tables and lists. */
#include "cli/call.h"
#include "cli/change.h"
#include "cli/cli.h"
#include "cli/show.h"
#include "cli/spec.h"

#include <check.h>
#include <stdlib.h>

/* An operation with a property of every type; half of the schema stands behind "$ref"s. */
static const char catalogue_text[] =
    "{'operations':[{'plugin':'shop','component':'shop.till','type':'sell','request':{'$ref':'#/schemas/Sale'},"
    "'expose':{'cli':'sell thing','help':'Sells','args':['thing','count','labels'],'required':1,'rename':{'colour':"
    "'paint'}}},"
    "{'plugin':'shop','component':'shop.till','type':'anything','expose':{'cli':'any','args':[],'required':0}}],"
    "'documents':{'shop':{'schemas':{'Sale':{'type':'object','required':['thing','paint'],'additionalProperties':false,"
    "'properties':{'thing':{'type':'string'},'count':{'$ref':'#/schemas/Count'},'labels':{'type':'array','items':"
    "{'type':'string'}},'paint':{'enum':['red','blue']},'price':{'type':['number','string']},'weight':{'type':"
    "'number'},'gift_wrap':{'type':'boolean'},'extra':{'type':'object'},'numbers':{'type':'array','items':{'type':"
    "'integer'}},'due_date':{'type':['string','null']},'key':{'type':'string'}}},"
    "'Count':{'type':'integer','default':1}}}}}";

static json_t *catalogue;
static const json_t *entry, *any;

static void setup(void)
{
    char *text = strdup(catalogue_text);
    for (char *at = text; *at; at++)
        if (*at == '\'')
            *at = '"';
    catalogue = json_loads(text, 0, NULL);
    free(text);
    ck_assert_ptr_nonnull(catalogue);
    entry = json_array_get(json_object_get(catalogue, "operations"), 0);
    any = json_array_get(json_object_get(catalogue, "operations"), 1);
}

static void teardown(void)
{
    json_decref(catalogue);
}

/* ---- command lines ---- */

#define ARGS_MAX 16

static struct cli cli;

static int parse(const json_t *of, const char *line, json_t **ret_request, struct spec_error *error)
{
    static char buffer[512];
    static char *argv[ARGS_MAX];
    snprintf(buffer, sizeof buffer, "%s", line);
    cli = (struct cli){.argv = argv, .parallel = 8};
    for (char *save = NULL, *word = strtok_r(buffer, " ", &save); word; word = strtok_r(NULL, " ", &save))
        argv[cli.argc++] = word;
    memset(error, 0, sizeof *error);
    return spec_request(&cli, catalogue, of, ret_request, error);
}

static const struct {
    const char *line, *request;
} good_lines[] = {
    {"lamp --colour red", "{'thing':'lamp','paint':'red'}"},
    {"lamp --paint=blue 3", "{'thing':'lamp','paint':'blue','count':3}"},
    {"--paint red lamp 3 a b,c", "{'thing':'lamp','paint':'red','count':3,'labels':['a','b','c']}"},
    {"lamp --paint red --labels a --labels b", "{'thing':'lamp','paint':'red','labels':['a','b']}"},
    {"lamp --paint red --labels [\"a,b\"]", "{'thing':'lamp','paint':'red','labels':['a,b']}"},
    {"lamp --paint red --price 1000", "{'thing':'lamp','paint':'red','price':1000}"},
    {"lamp --paint red --price 0803", "{'thing':'lamp','paint':'red','price':'0803'}"},
    {"lamp --paint red --price 12345678901234567", "{'thing':'lamp','paint':'red','price':'12345678901234567'}"},
    {"lamp --paint red --price 1,000", "{'thing':'lamp','paint':'red','price':'1,000'}"},
    {"lamp --paint red --weight 1.5", "{'thing':'lamp','paint':'red','weight':1.5}"},
    {"lamp --paint red --weight -2", "{'thing':'lamp','paint':'red','weight':-2}"},
    {"lamp -3 --paint red", "{'thing':'lamp','paint':'red','count':-3}"},
    {"lamp --paint red --gift-wrap", "{'thing':'lamp','paint':'red','gift_wrap':true}"},
    {"lamp --gift_wrap --paint red", "{'thing':'lamp','paint':'red','gift_wrap':true}"},
    {"lamp --paint red --no-gift-wrap", "{'thing':'lamp','paint':'red','gift_wrap':false}"},
    {"lamp --gift-wrap false --paint red", "{'thing':'lamp','paint':'red','gift_wrap':false}"},
    {"lamp --gift-wrap=true --paint red", "{'thing':'lamp','paint':'red','gift_wrap':true}"},
    {"lamp --paint red --extra {\"a\":1}", "{'thing':'lamp','paint':'red','extra':{'a':1}}"},
    {"lamp --paint red --extra a=1 --extra b=x", "{'thing':'lamp','paint':'red','extra':{'a':1,'b':'x'}}"},
    {"lamp --paint red --numbers 1,2", "{'thing':'lamp','paint':'red','numbers':[1,2]}"},
    {"lamp --paint red --due-date null", "{'thing':'lamp','paint':'red','due_date':'null'}"},
    {"--paint red -- --odd", "{'thing':'--odd','paint':'red'}"},
    {"- --paint red", "{'thing':'-','paint':'red'}"},
    {"lamp --paint red --key 7", "{'thing':'lamp','paint':'red','key':'7'}"}, /* the operation's own --key */
};

static void expect_json(const json_t *got, const char *wanted)
{
    char *text = strdup(wanted);
    for (char *at = text; *at; at++)
        if (*at == '\'')
            *at = '"';
    json_t *value = json_loads(text, JSON_DECODE_ANY, NULL);
    ck_assert_ptr_nonnull(value);
    char *dump = json_dumps(got, JSON_COMPACT | JSON_ENCODE_ANY);
    ck_assert_msg(json_equal((json_t *)(uintptr_t)got, value), "got %s, wanted %s", dump, text);
    free(dump);
    free(text);
    json_decref(value);
}

START_TEST(reads_command_lines)
{
    json_t *request = NULL;
    struct spec_error error;
    ck_assert_msg(parse(entry, good_lines[_i].line, &request, &error) == 0, "%s: %s", good_lines[_i].line, error.text);
    expect_json(request, good_lines[_i].request);
    ck_assert_ptr_null(cli.key);
    json_decref(request);
}
END_TEST

static const struct {
    const char *line, *field, *text;
} bad_lines[] = {
    {"", "thing", "THING is missing"},
    {"lamp", "paint", "--colour is missing"},
    {"lamp --paint", "paint", "needs a value"},
    {"lamp --paint --gift-wrap", "paint", "needs a value"},
    {"lamp x --paint red", "count", "count: expected integer, got \"x\""},
    {"lamp 1.5 --paint red", "count", "expected integer"},
    {"lamp 99999999999999999999 --paint red", "count", "expected integer"},
    {"lamp --paint red --weight heavy", "weight", "expected number"},
    {"lamp --paint red --gift-wrap=maybe", "gift_wrap", "expected boolean"},
    {"lamp --paint red --extra x", "extra", "expected object"},
    {"lamp --paint red --extra {\"a\":1", "extra", "expected object"},
    {"lamp --paint red --labels [\"a\"", "labels", "expected array"},
    {"lamp --paint red --numbers 1,x", "numbers", "expected integer, got \"x\""},
    {"lamp --paint red --wieght 1", "wieght", "did you mean --weight?"},
    {"lamp --paint red --nonsense 1", "nonsense", "there is no option --nonsense"},
    {"lamp --paint red --parallel 0", "", "--parallel"},
    {"lamp --paint red --timeout soon", "", "--timeout"},
};

START_TEST(refuses_command_lines)
{
    json_t *request = NULL;
    struct spec_error error;
    ck_assert_int_eq(parse(entry, bad_lines[_i].line, &request, &error), CVM_EINVAL);
    ck_assert_ptr_null(request);
    ck_assert_str_eq(error.field, bad_lines[_i].field);
    ck_assert_msg(strstr(error.text, bad_lines[_i].text) != NULL, "%s", error.text);
}
END_TEST

START_TEST(takes_the_options_of_every_command)
{
    json_t *request = NULL;
    struct spec_error error;
    ck_assert_int_eq(parse(any, "--key k --timeout 1.5 --trace --file - --parallel 3 --my-thing 5", &request, &error),
                     0);
    expect_json(request, "{'my_thing':5}");
    ck_assert_str_eq(cli.key, "k");
    ck_assert_int_eq(cli.timeout_ms, 1500);
    ck_assert(cli.trace);
    ck_assert_str_eq(cli.file, "-");
    ck_assert_int_eq(cli.parallel, 3);
    json_decref(request);
    ck_assert_int_eq(parse(any, "word", &request, &error), CVM_EINVAL);
    ck_assert_int_eq(parse(entry, "--file f.jsonl --count 2", &request, &error), 0); /* the lines bring the rest */
    expect_json(request, "{'count':2}");
    json_decref(request);
}
END_TEST

START_TEST(describes_use)
{
    char usage[512], type[64];
    call_usage(catalogue, entry, usage, sizeof usage);
    ck_assert_str_eq(usage, "cvmhost sell thing THING [COUNT] [LABELS...] --colour VALUE [OPTIONS]");
    spec_type_name(spec_property(catalogue, entry, "paint"), type, sizeof type);
    ck_assert_str_eq(type, "red|blue");
    spec_type_name(spec_property(catalogue, entry, "price"), type, sizeof type);
    ck_assert_str_eq(type, "string or number");
    ck_assert_str_eq(spec_find(catalogue, entry, "gift-wrap"), "gift_wrap");
    ck_assert_str_eq(spec_find(catalogue, entry, "colour"), "paint");
    ck_assert_ptr_null(spec_find(catalogue, entry, "gift"));
}
END_TEST

/* ---- lines of a batch ---- */

static int line_of(const char *text, json_t **request, json_t **id, struct spec_error *error)
{
    json_t *defaults = json_pack("{s:s}", "paint", "red");
    memset(error, 0, sizeof *error);
    int e = spec_line(catalogue, entry, defaults, text, strlen(text), request, id, error);
    ck_assert_uint_eq(json_object_size(defaults), 1);
    json_decref(defaults);
    return e;
}

START_TEST(reads_batch_lines)
{
    json_t *request = NULL, *id = NULL;
    struct spec_error error;
    ck_assert_int_eq(line_of("{\"id\":\"P1\",\"thing\":\"lamp\",\"count\":2}", &request, &id, &error), 0);
    expect_json(request, "{'thing':'lamp','count':2,'paint':'red'}");
    expect_json(id, "'P1'");
    json_decref(request);
    json_decref(id);
    ck_assert_int_eq(line_of("{\"thing\":\"lamp\",\"colour\":\"blue\"}", &request, &id, &error), 0);
    expect_json(request, "{'thing':'lamp','paint':'blue'}");
    ck_assert_ptr_null(id);
    json_decref(request);
}
END_TEST

static const struct {
    const char *line, *field;
} bad_batch_lines[] = {
    {"{\"id\":1,\"thng\":\"lamp\"}", "thng"}, {"[]", ""}, {"lamp", ""}, {"{\"a\":1,\"a\":2}", ""}, {"{\"thing\":", ""}};

START_TEST(refuses_batch_lines)
{
    json_t *request = NULL, *id = NULL;
    struct spec_error error;
    ck_assert_int_eq(line_of(bad_batch_lines[_i].line, &request, &id, &error), CVM_EINVAL);
    ck_assert_ptr_null(request);
    ck_assert_str_eq(error.field, bad_batch_lines[_i].field);
    ck_assert_str_ne(error.text, "");
    json_decref(id);
}
END_TEST

/* ---- results ---- */

static char *shown(enum cli_output output, bool terminal, bool color, const char *json, const char *rows)
{
    char *text = NULL, *source = strdup(json);
    size_t len;
    for (char *at = source; *at; at++)
        if (*at == '\'')
            *at = '"';
    json_t *value = json_loads(source, JSON_DECODE_ANY, NULL);
    ck_assert_ptr_nonnull(value);
    free(source);
    struct cli to = {.output = output, .terminal = terminal, .color = color, .out = open_memstream(&text, &len)};
    show_result(&to, value, rows, NULL);
    fclose(to.out);
    json_decref(value);
    return text;
}

static const struct {
    const char *json, *rows, *text;
    enum cli_output output;
} results[] = {
    {"{'items':[{'id':'a','n':5,'ok':true},{'id':'longer','n':120,'ok':null}],'total':2}", "items",
     "ID        N  OK\na         5  true\nlonger  120\n\ntotal: 2\n", OUTPUT_TABLE},
    {"{'items':[],'total':0}", "items", "total: 0\n", OUTPUT_TABLE},
    {"{'items':[{'a':1},{'b':['x','y'],'c':{'d':1}}]}", "items", "A  B\n1\n   x, y\n", OUTPUT_TABLE},
    {"[{'name':'\\u20a6500','x':'1'},{'name':'ab','x':'2'}]", NULL,
     "NAME  X\n\xe2\x82\xa6"
     "500  1\nab    2\n",
     OUTPUT_TABLE},
    {"{'a':'x\\ny','b':{'c':1.5,'d':[1,2]},'e':[{'f':null}],'g':{},'h':[]}", NULL,
     "a: x\ny\nb:\n  c: 1.5\n  d: 1, 2\ne:\n  1:\n    f:\ng:\nh:\n", OUTPUT_TABLE},
    {"{'a':'\\u001b[31mred\\u0007'}", NULL, "a: ?[31mred?\n", OUTPUT_TABLE},
    {"[{'a':'x\\ty\\u001b'}]", NULL, "A\nx y?\n", OUTPUT_TABLE},
    {"{'items':[{'a':'x,y','b':'say \\\"hi\\\"'}]}", "items", "a,b\r\n\"x,y\",\"say \"\"hi\"\"\"\r\n", OUTPUT_CSV},
    {"{'a':'x\\ny','b':{'c':'d'},'e':[1,2],'f':null}", NULL,
     "a,b,e,f\r\n\"x\ny\",\"{\"\"c\"\":\"\"d\"\"}\",\"[1,2]\",\r\n", OUTPUT_CSV},
    {"[{'a.b':1},{'c':[{'d':'x'}]}]", NULL, "a.b,c\r\n1,\r\n,\"[{\"\"d\"\":\"\"x\"\"}]\"\r\n", OUTPUT_CSV},
    {"{'items':{'k':{'n':1}}}", "items", "items\r\n\"{\"\"k\"\":{\"\"n\"\":1}}\"\r\n", OUTPUT_CSV},
    {"['x',5]", NULL, "value\r\nx\r\n5\r\n", OUTPUT_CSV},
    {"true", NULL, "value\r\ntrue\r\n", OUTPUT_CSV},
    {"{'a':[1,{'b':1.10}]}", NULL, "{\"a\":[1,{\"b\":1.1}]}\n", OUTPUT_JSON},
};

START_TEST(lays_results_out)
{
    char *text = shown(results[_i].output, false, false, results[_i].json, results[_i].rows);
    ck_assert_str_eq(text, results[_i].text);
    free(text);
}
END_TEST

START_TEST(cuts_and_colours_only_on_a_terminal)
{
    char json[200] = "[{'a':'";
    memset(json + 7, 'x', 100);
    memcpy(json + 107, "'}]", 4);
    char *text = shown(OUTPUT_TABLE, false, false, json, NULL);
    ck_assert_uint_eq(strlen(text), 2 + 101);
    free(text);
    text = shown(OUTPUT_TABLE, true, true, json, NULL);
    ck_assert_int_eq(strncmp(text, "\033[1mA\033[0m\n", 10), 0);
    ck_assert_uint_eq(strlen(text), 10 + 61);
    free(text);
}
END_TEST

/* Rows of a hundred members lose none; on a terminal nothing but line ends is a control character. */
START_TEST(keeps_all_members_of_rows)
{
    char json[2000] = "[{", *at = json + 2;
    for (int i = 0; i < 100; i++)
        at += snprintf(at, 16, "%s'm%d':%d", i ? "," : "", i, i);
    memcpy(at, "}]", 3);
    char *text = shown(OUTPUT_CSV, false, false, json, NULL);
    ck_assert_ptr_nonnull(strstr(text, ",m99\r\n0,1,"));
    ck_assert_ptr_nonnull(strstr(text, ",99\r\n"));
    free(text);
    text = shown(OUTPUT_CSV, true, false, "[{'a':'x\\ny\\u001b'}]", NULL);
    ck_assert_str_eq(text, "a\r\n\"x\ny?\"\r\n");
    free(text);
}
END_TEST

START_TEST(measures_text)
{
    ck_assert_uint_eq(show_width("abc"), 3);
    ck_assert_uint_eq(show_width("\xe2\x82\xa6"), 1); /* a currency sign */
    ck_assert_uint_eq(show_width("e\xcc\x81"), 1);    /* combining accent */
    ck_assert_uint_eq(show_width("\xe6\x97\xa5"), 2); /* a wide character */
    ck_assert_uint_eq(show_width("\xff\xfe"), 2);     /* not UTF-8: a column each */
    ck_assert_uint_eq(spec_distance("plugin list", "plugin lsit"), 1);
    ck_assert_uint_eq(spec_distance("abc", "abc"), 0);
    ck_assert_uint_eq(spec_distance("", "abc"), 3);
}
END_TEST

START_TEST(turns_ends_into_statuses)
{
    json_t *not_found = json_pack("{s:s}", "code", "NOT_FOUND"), *plain = json_pack("{s:s}", "error", "too much");
    json_t *inner = json_pack("{s:{s:s}}", "error", "code", "NOT_FOUND");
    ck_assert_int_eq(cli_outcome_status("REPLIED", NULL), CLI_OK);
    ck_assert_int_eq(cli_outcome_status("REFUSED", plain), CLI_REFUSED);
    ck_assert_int_eq(cli_outcome_status("REFUSED", not_found), CLI_NOT_FOUND);
    ck_assert_int_eq(cli_outcome_status("REFUSED", inner), CLI_NOT_FOUND);
    ck_assert_int_eq(cli_outcome_status("TIMEOUT", NULL), CLI_FAILED);
    ck_assert_int_eq(cli_outcome_status("ERROR", not_found), CLI_FAILED);
    ck_assert_int_eq(cli_outcome_status("BUSY", NULL), CLI_FAILED);
    ck_assert_int_eq(cli_error_status("INVALID"), CLI_USAGE);
    ck_assert_int_eq(cli_error_status("KEY_REUSED"), CLI_REFUSED);
    ck_assert_int_eq(cli_error_status("BUSY"), CLI_FAILED);
    json_decref(not_found);
    json_decref(plain);
    json_decref(inner);
}
END_TEST

/* ---- reports of changes ---- */

#define CONSERVED "'delivered':1204331,'settled':1204290,'queued':3,'lent':38,'dead':0"

static const struct {
    const char *report;
    int status;
    const char *text;
} changes[] = {
    {"{'result':'switched','plugins':[{'plugin':'shop','action':'replaced','from':{'version':'1.4.0','build':"
     "'9c1e44d0aa'},'to':{'version':'1.5.0','build':'41d7a210bb'},'us':{'stage':412,'vet':300,'load':200,'switch':6},"
     "'held':3,'no_way_back':false,'probation':{'turns':200,'seconds':60}," CONSERVED "}],'error':null}",
     CLI_OK,
     "shop 1.4.0 -> 1.5.0   build 9c1e44d0… -> 41d7a210…   on probation (200 turns or 60 s)\n"
     "  staged 0.4 ms · vetted 0.3 ms · loaded 0.2 ms · switched 6 us · held 3 messages\n"
     "  delivered 1,204,331 = settled 1,204,290 + queued 3 + lent 38 + dead 0\n"},
    {"{'result':'unchanged','plugins':[{'plugin':'shop','action':'unchanged','from':{'version':'1','build':'ab'},'to':"
     "{'version':'1','build':'ab'},'held':0}],'error':null}",
     CLI_OK, "shop 1   build ab   unchanged\n"},
    {"{'result':'switched','plugins':[{'plugin':'a','action':'unchanged'},{'plugin':'b','action':'added','from':null,"
     "'to':{'version':'2','build':'cd'},'us':{'load':1500000},'held':1,'no_way_back':true,'probation':null}]}",
     CLI_OK,
     "b 2   build cd   added\n  loaded 1.5 s · held 1 message\n"
     "  no way back: its state has a new version and the plugin has no downgrade\n1 more is unchanged\n"},
    {"{'result':'unchanged','plugins':[{'action':'unchanged'},{'action':'unchanged'}]}", CLI_OK,
     "nothing has changed: 2 plugins run as they stand in the folders\n"},
    {"{'result':'removing','plugins':[{'plugin':'a','action':'removed','from':{'version':'1','build':'ab'}}],"
     "'conversations':2}",
     CLI_OK, "a 1   build ab   leaving: 2 open conversations finish on it\n"},
    {"{'result':'refused','plugins':[],'error':{'code':'NOT_FOUND','text':'x'}}", CLI_NOT_FOUND, ""},
    {"{'result':'refused','plugins':[],'error':{'code':'BAD_STATE','text':'x'}}", CLI_REFUSED, ""},
    {"{'result':'refused','plugins':[],'error':{'code':'BAD_ELF','step':'vet','text':'x'}}", CLI_CONFIG, ""},
};

START_TEST(tells_changes)
{
    char *report = strdup(changes[_i].report), *text = NULL;
    size_t len = 0;
    for (char *at = report; *at; at++)
        if (*at == '\'')
            *at = '"';
    json_t *json = json_loads(report, 0, NULL);
    ck_assert_ptr_nonnull(json);
    cli = (struct cli){.out = open_memstream(&text, &len)};
    ck_assert_int_eq(change_told(&cli, json), changes[_i].status);
    fclose(cli.out);
    ck_assert_str_eq(text, changes[_i].text);
    free(text);
    free(report);
    json_decref(json);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cli");
    TCase *tests = tcase_create("cli");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_loop_test(tests, reads_command_lines, 0, sizeof good_lines / sizeof *good_lines);
    tcase_add_loop_test(tests, refuses_command_lines, 0, sizeof bad_lines / sizeof *bad_lines);
    tcase_add_test(tests, takes_the_options_of_every_command);
    tcase_add_test(tests, describes_use);
    tcase_add_test(tests, reads_batch_lines);
    tcase_add_loop_test(tests, refuses_batch_lines, 0, sizeof bad_batch_lines / sizeof *bad_batch_lines);
    tcase_add_loop_test(tests, lays_results_out, 0, sizeof results / sizeof *results);
    tcase_add_test(tests, cuts_and_colours_only_on_a_terminal);
    tcase_add_test(tests, keeps_all_members_of_rows);
    tcase_add_test(tests, measures_text);
    tcase_add_test(tests, turns_ends_into_statuses);
    tcase_add_loop_test(tests, tells_changes, 0, sizeof changes / sizeof *changes);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
