/* The parts of the plugin `llm` that need no host: streams in any pieces, prices, masks, schemas, requests. */
#include "../../plugins/common/llm_ask.h"
#include "../../plugins/provider/common/retry_after.h"
#include "../../plugins/provider/llm/answer.h"
#include "../../plugins/provider/llm/check.h"
#include "../../plugins/provider/llm/llm.h"
#include "../../plugins/provider/llm/mask.h"
#include "../../plugins/provider/llm/price.h"

#include <check.h>
#include <stdio.h>

/* ---- streams ---- */

static const char stream[] = "\xef\xbb\xbf: hello\r\n\r\n"
                             "data: "
                             "{\"model\":\"m-1\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\","
                             "\"content\":\"\"},\"finish_reason\":null}]}\r\n\r\n"
                             "event: message\ndata:{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\xe2\x82\xa6"
                             "1,000 \"}}]}\n\n"
                             ": keep-alive\r\r"
                             "data: {\"choices\":[{\"delta\":\r\ndata: {\"content\":\"\xc3\xa8k\xc3\xb3\"}}]}\r\n\r\n"
                             "data: "
                             "{\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":1,\"id\":\"b\",\"function\":{"
                             "\"name\":\"two\",\"arguments\":\"{\\\"x\"}}]}}]}\n\n"
                             "data: "
                             "{\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":{"
                             "\"name\":\"one\",\"arguments\":\"\"}}]}}]}\n\n"
                             "data: "
                             "{\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":1,\"function\":{\"arguments\":"
                             "\"\\\":2}\"}},{\"index\":0,\"function\":{\"arguments\":\"{}\"}}]}}]}\n\n"
                             "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"tool_calls\"}]}\n\n"
                             "data: "
                             "{\"choices\":[],\"usage\":{\"prompt_tokens\":210,\"completion_tokens\":18,\"prompt_"
                             "tokens_details\":{\"cached_tokens\":128}}}\n\n"
                             "data: [DONE]\n\n";

static void check_whole(const struct llm_answer *a)
{
    ck_assert_str_eq(a->content, "₦1,000 èkó");
    ck_assert_str_eq(a->model, "m-1");
    ck_assert_str_eq(a->finish, "tool_calls");
    ck_assert_uint_eq(a->n_calls, 2);
    json_t *calls = llm_answer_calls(a);
    ck_assert_str_eq(cvm_json_str(json_array_get(calls, 0), "name", ""), "one");
    ck_assert_str_eq(cvm_json_str(json_array_get(calls, 1), "id", ""), "b");
    ck_assert_int_eq(cvm_json_int(json_object_get(json_array_get(calls, 1), "arguments"), "x", 0), 2);
    json_decref(calls);
    ck_assert_int_eq(a->input_tokens, 210);
    ck_assert_int_eq(a->output_tokens, 18);
    ck_assert_int_eq(a->cached_tokens, 128);
}

/* Fed as up to three pieces, cut at `a` and `b`, and `len` bytes of it in all. */
static int fed(size_t a, size_t b, size_t len, struct llm_answer *answer)
{
    struct llm_stream s;
    llm_stream_init(&s, answer);
    int e = llm_stream_feed(&s, stream, a);
    e = e ? e : llm_stream_feed(&s, stream + a, b - a);
    e = e ? e : llm_stream_feed(&s, stream + b, len - b);
    int end = llm_stream_end(&s);
    return e ? e : end;
}

START_TEST(streams_in_every_two_pieces)
{
    size_t len = sizeof stream - 1;
    for (size_t cut = 0; cut <= len; cut++) {
        struct llm_answer a = {0};
        ck_assert_msg(fed(cut, len, len, &a) == 0, "cut at %zu", cut);
        check_whole(&a);
        llm_answer_fini(&a);
    }
}
END_TEST

START_TEST(streams_byte_by_byte_and_in_threes)
{
    size_t len = sizeof stream - 1;
    struct llm_answer a = {0};
    struct llm_stream s;
    llm_stream_init(&s, &a);
    for (size_t i = 0; i < len; i++)
        ck_assert_int_eq(llm_stream_feed(&s, stream + i, 1), 0);
    ck_assert_int_eq(llm_stream_end(&s), 0);
    check_whole(&a);
    llm_answer_fini(&a);
    for (size_t i = 0; i < len; i += 7)
        for (size_t k = i; k < len; k += 11) {
            struct llm_answer b = {0};
            ck_assert_int_eq(fed(i, k, len, &b), 0);
            ck_assert_int_eq(b.input_tokens, 210);
            llm_answer_fini(&b);
        }
}
END_TEST

START_TEST(half_a_stream_is_no_answer)
{
    size_t whole = sizeof stream - 1 - 2; /* the last two line ends: without the empty line [DONE] is no event */
    for (size_t len = 0; len < whole + 1; len++) {
        struct llm_answer a = {0};
        ck_assert_msg(fed(len / 2, len, len, &a) < 0, "%zu bytes were taken for all of it", len);
        llm_answer_fini(&a);
    }
}
END_TEST

START_TEST(broken_streams_are_refused)
{
    static const char *const broken[] = {
        "data: {\"choices\": \n\ndata: [DONE]\n\n",          "data: [1]\n\n", "data: \n\n",
        "data: {\"error\":{\"code\":\"server_error\"}}\n\n", "<html></html>", ""};
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        struct llm_answer a = {0};
        struct llm_stream s;
        llm_stream_init(&s, &a);
        int e = llm_stream_feed(&s, broken[i], strlen(broken[i]));
        int end = llm_stream_end(&s);
        ck_assert_msg(e < 0 || end < 0, "%s", broken[i]);
        llm_answer_fini(&a);
    }
    struct llm_answer a = {0};
    struct llm_stream s;
    static char long_line[SSE_EVENT_MAX_BYTES + 2];
    memset(long_line, 'x', sizeof long_line);
    llm_stream_init(&s, &a);
    ck_assert_int_eq(llm_stream_feed(&s, long_line, sizeof long_line), CVM_ELIMIT);
    ck_assert_int_lt(llm_stream_end(&s), 0);
    llm_answer_fini(&a);
}
END_TEST

/* ---- prices ---- */

START_TEST(costs_are_exact)
{
    json_t *prices = json_loads("{\"gpt-4o-mini\": {\"input\": 0.15, \"cached\": 0.075, \"output\": 0.6},"
                                " \"gpt-4o\": {\"input\": 2.5, \"output\": 10}, \"bad\": 3}",
                                0, NULL);
    struct price p;
    ck_assert(price_find(prices, "gpt-4o-mini", &p));
    ck_assert_int_eq(p.input, 150000);
    ck_assert_int_eq(price_cost(&p, 1000000, 0, 0), 150000); /* 0.15 dollars a million */
    ck_assert_int_eq(price_cost(&p, 1000000, 1000000, 1000000), 675000);
    ck_assert_int_eq(price_cost(&p, 210, 128, 18), 33); /* 12.3 + 9.6 + 10.8 = 32.7, rounded up */
    ck_assert_int_eq(price_cost(&p, 1, 0, 0), 1);
    ck_assert_int_eq(price_cost(&p, 0, 0, 0), 0);
    ck_assert_int_eq(price_cost(&p, -5, -5, -5), 0);
    ck_assert(price_find(prices, "gpt-4o-mini-2024-07-18", &p));
    ck_assert_int_eq(p.input, 150000);
    ck_assert(price_find(prices, "gpt-4o-2024", &p));
    ck_assert_int_eq(p.cached, 2500000);
    ck_assert(!price_find(prices, "gpt-4omini", &p));
    ck_assert(!price_find(prices, "bad", &p));
    json_object_set_new(prices, "*", json_pack("{s:i, s:i}", "input", 1, "output", 1000000));
    ck_assert(price_find(prices, "other", &p));
    ck_assert_int_eq(price_cost(&p, 0, 0, 100000000), INT64_C(100000000) * 1000000); /* no overflow */
    json_decref(prices);
}
END_TEST

/* ---- masks ---- */

static const struct {
    const char *text, *masked;
} masks[] = {
    {"call 08031234567 now", "call [NUMBER_1] now"},
    {"+2348031234567, again +2348031234567", "[NUMBER_1], again [NUMBER_1]"},
    {"0803 123 4567 or 0803-123-4567", "[NUMBER_1] or [NUMBER_2]"},
    {"token 1234-5678-9012-3456-7890.", "token [NUMBER_1]."},
    {"meter 45012345678 with N5,000 in 2026", "meter [NUMBER_1] with N5,000 in 2026"},
    {"1000 500 20 3", "1000 500 20 3"},
    {"c.okafor+x@mail.example.com wrote", "[EMAIL_1] wrote"},
    {"I am Chinedu OKAFOR, not Chinedum", "I am [NAME_1] [NAME_2], not Chinedum"},
    {"TXN-5b1d3c9a7e20 stays", "TXN-5b1d3c9a7e20 stays"},
    {"₦1000 ẹ kú 😀", "₦1000 ẹ kú 😀"},
    {"", ""},
};

START_TEST(masks_come_off_again)
{
    json_t *names = json_pack("[s, s]", "Chinedu Okafor", "Jo"), *map = json_object();
    char *masked = mask_text(masks[_i].text, names, map), *back = unmask_text(masked, map);
    ck_assert_str_eq(masked, masks[_i].masked);
    ck_assert_str_eq(back, masks[_i].text);
    free(masked);
    free(back);
    json_decref(map);
    json_decref(names);
}
END_TEST

START_TEST(masks_of_values)
{
    json_t *map = json_object(),
           *value = json_pack("{s:[s, i], s:{s:s}}", "list", "08031234567", 7, "in", "phone", "08031234567");
    json_t *masked = mask_json(value, NULL, map), *back = unmask_json(masked, map);
    ck_assert_str_eq(json_string_value(json_array_get(json_object_get(masked, "list"), 0)), "[NUMBER_1]");
    ck_assert_str_eq(cvm_json_str(json_object_get(masked, "in"), "phone", ""), "[NUMBER_1]");
    ck_assert(json_equal(value, back));
    json_decref(map);
    json_decref(value);
    json_decref(masked);
    json_decref(back);
    map = json_object();
    char text[4096] = "";
    for (int i = 0; i < 100; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%d0000000000, ", 100 + i);
    char *many = mask_text(text, NULL, map);
    ck_assert_ptr_nonnull(strstr(many, "[REMOVED]"));
    ck_assert_ptr_null(strstr(many, "0000000000"));
    ck_assert_uint_eq(json_object_size(map), MASK_VALUES_MAX);
    free(many);
    json_decref(map);
}
END_TEST

/* ---- schemas ---- */

static const char *const schema =
    "{\"type\":\"object\",\"additionalProperties\":false,\"required\":[\"a\",\"b\"],\"properties\":{"
    "\"a\":{\"enum\":[\"X\",\"Y\"]},\"b\":{\"type\":\"array\",\"maxItems\":2,\"items\":{\"$ref\":\"#/$defs/n\"}}},"
    "\"$defs\":{\"n\":{\"anyOf\":[{\"type\":\"integer\",\"minimum\":1},{\"type\":\"null\"}]}}}";
static const struct {
    const char *value, *wrong;
} values[] = {{"{\"a\":\"X\",\"b\":[]}", ""},
              {"{\"a\":\"Y\",\"b\":[1,null]}", ""},
              {"{\"a\":\"Z\",\"b\":[]}", "a: is none of the values it may have"},
              {"{\"a\":\"X\"}", "b: is missing"},
              {"{\"a\":\"X\",\"b\":[],\"c\":1}", "c: is not allowed"},
              {"{\"a\":\"X\",\"b\":[0]}", "b[0]: fits none of the forms it may have"},
              {"{\"a\":\"X\",\"b\":[1.5]}", "b[0]: fits none of the forms it may have"},
              {"{\"a\":\"X\",\"b\":[1,2,3]}", "b: has too few or too many items"},
              {"{\"a\":\"X\",\"b\":{}}", "b: has the wrong type"},
              {"[]", "the answer: has the wrong type"}};

START_TEST(answers_are_held_against_their_schema)
{
    char text[CHECK_TEXT_SIZE];
    json_t *s = json_loads(schema, 0, NULL), *value = json_loads(values[_i].value, 0, NULL);
    ck_assert_ptr_nonnull(s);
    ck_assert_msg(check_value(s, value, text) == !*values[_i].wrong, "%s: %s", values[_i].value, text);
    ck_assert_str_eq(text, values[_i].wrong);
    ck_assert(check_is_strict(s));
    json_object_del(json_object_get(s, "properties"), "a"); /* required, and not known */
    ck_assert(!check_is_strict(s));
    json_decref(s);
    json_decref(value);
}
END_TEST

/* ---- what is believed of a wording ---- */

static const struct {
    const char *facts, *text;
    bool kept;
} wordings[] = {
    {"Done: ₦1,000 airtime for 08031234567. Reference TXN-5b1d3c9a7e20.",
     "Your ref is TXN-5b1d3c9a7e20 (₦1,000 to 08031234567), enjoy!", true},
    {"Pay ₦1,000.", "Pay ₦1000.", false},
    {"Pay ₦1,000.", "Pay ₦1,000 or ₦2,000.", false},
    {"Pay ₦1,000.", "Pay up.", false},
    {"No figures here.", "None here, \"either\".", true},
    {"Token 1234 5678 9012 3456 7890, load it.", "Load 1234 5678 9012 3456 7890.", true},
    {"Token 1234 5678 9012 3456 7890, load it.", "Load 5678 1234 9012 3456 7890.", false},
    {"Token 1234-5678-9012-3456-7890", "Load 1234-5678-9012-3456-7890!", true},
    {"Dial *310#.", "Just dial *310#.", true},
    {"Dial *310#.", "Just dial *311#.", false},
    {"It ends 2026-11-21 at 14:30.", "At 14:30 on 2026-11-21 it ends.", true},
};

START_TEST(figures_must_stay)
{
    ck_assert_msg(llm_facts_kept(wordings[_i].facts, wordings[_i].text) == wordings[_i].kept, "%s", wordings[_i].text);
}
END_TEST

START_TEST(citations_must_be_of_what_was_given)
{
    json_t *p = json_pack("[{s:s, s:s}, {s:s, s:s}]", "document_id", "kb-1", "text", "Dial *310# for it.",
                          "document_id", "kb-2", "text", "It costs N50 a day.");
    ck_assert(llm_cited("Dial *310# [kb-1]; it costs N50 [kb-2].", p));
    ck_assert(!llm_cited("Dial *310#.", p));        /* cites nothing */
    ck_assert(!llm_cited("Dial *310# [kb-3].", p)); /* nobody gave that */
    ck_assert(!llm_cited("Dial *311# [kb-1].", p)); /* nobody said that */
    ck_assert(!llm_cited("See [kb-1 for more", p));
    json_decref(p);
}
END_TEST

START_TEST(retry_after_is_read)
{
    ck_assert_int_eq(retry_after_ms("2", 1000, 0), 2000);
    ck_assert_int_eq(retry_after_ms("1.5", 1000, 0), 1500);
    ck_assert_int_eq(retry_after_ms("250", 1, 0), 250);
    ck_assert_int_eq(retry_after_ms("Wed, 21 Oct 2015 07:28:00 GMT", 1000, INT64_C(1445412470000)), 10000);
    ck_assert_int_eq(retry_after_ms("Wed, 21 Oct 2015 07:28:00 GMT", 1000, INT64_C(1445412490000)), 0);
    ck_assert_int_eq(retry_after_ms("soon", 1000, 0), 0);
    ck_assert_int_eq(retry_after_ms("-3", 1000, 0), 0);
    ck_assert_int_eq(retry_after_ms("99999999", 1000, 0), RETRY_MAX_MS);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("llm");
    TCase *c = tcase_create("llm");
    tcase_set_timeout(c, 60);
    tcase_add_test(c, streams_in_every_two_pieces);
    tcase_add_test(c, streams_byte_by_byte_and_in_threes);
    tcase_add_test(c, half_a_stream_is_no_answer);
    tcase_add_test(c, broken_streams_are_refused);
    tcase_add_test(c, costs_are_exact);
    tcase_add_loop_test(c, masks_come_off_again, 0, sizeof masks / sizeof *masks);
    tcase_add_test(c, masks_of_values);
    tcase_add_loop_test(c, answers_are_held_against_their_schema, 0, sizeof values / sizeof *values);
    tcase_add_loop_test(c, figures_must_stay, 0, sizeof wordings / sizeof *wordings);
    tcase_add_test(c, citations_must_be_of_what_was_given);
    tcase_add_test(c, retry_after_is_read);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
