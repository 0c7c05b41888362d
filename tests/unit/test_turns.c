/* Turns, lanes and requests in unusual orders: places that are taken, requests handed on, ended while they wait,
 * settled from elsewhere; what a handler may not do; and that all of it is the same after a restart. The components
 * are those of tests/plugins/courier, which do what the test's script says. */
#include "core/internal.h"

#include "virtual.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const PLUGINS[] = {"courier", "faulty", NULL};

#define A "test.courier"
#define B "test.helper"
#define INLINE "\"plugins\": {\"inline\": [\"*\"]}"

/* JSON with ' for ". */
static json_t *parse(const char *text)
{
    char *copy = strdup(text);
    json_error_t error;
    for (char *s = copy; *s; s++)
        *s = *s == '\'' ? '"' : *s;
    json_t *value = json_loads(copy, 0, &error);
    ck_assert_msg(value != NULL, "%s: %s", copy, error.text);
    free(copy);
    return value;
}

/* {"steps": [..]} */
static json_t *steps(const char *text)
{
    return json_pack("{s:o}", "steps", parse(text));
}

static struct virtual *begin(const char *config)
{
    struct virtual *v = virtual_new(PLUGINS, config);
    virtual_open(v);
    return v;
}

static void submit(struct virtual *v, const char *to, const char *script, struct answer_seen *seen)
{
    virtual_submit(v, to, "run", steps(script), seen);
    core_step(v->core, core_now_ms(v->core));
}

static int try_submit(struct virtual *v, const char *type, const char *key, const char *script,
                      struct answer_seen *seen, struct edge_error *error)
{
    struct edge_in in = {.source = "test", .key = key, .to = A, .type = type, .priority = -1};
    in.data = steps(script);
    return edge_submit(v->core, &in, virtual_seen, seen, NULL, error);
}

static int run(struct virtual *v, const char *to, const char *script, struct answer_seen *seen)
{
    return virtual_call(v, to, "run", steps(script), seen);
}

/* What the n-th step that finds something found. */
static json_t *found(const struct answer_seen *seen, size_t n)
{
    return json_array_get(json_object_get(seen->data, "found"), n);
}

static json_int_t error_of(const struct answer_seen *seen)
{
    return json_integer_value(found(seen, 0));
}

static const char *text(const struct answer_seen *seen, const char *key)
{
    const char *s = json_string_value(json_object_get(seen->data, key));
    return s ? s : "";
}

static void wait_ms(struct virtual *v, int64_t ms)
{
    core_step(v->core, core_now_ms(v->core) + ms);
}

static void restart(struct virtual *v)
{
    virtual_close(v);
    virtual_open(v);
}

static void end(struct virtual *v, struct answer_seen *seen, size_t n)
{
    virtual_conserved(v);
    for (size_t i = 0; i < n; i++)
        json_decref(seen[i].data);
    virtual_free(v);
}

static json_t *log_of(struct virtual *v, const char *who, struct answer_seen *a)
{
    virtual_call(v, who, "peek", steps("[{'do':'get','key':'log'},{'do':'reply'}]"), a);
    return found(a, 0);
}

/* The helper has a route for one type of replies and one for all others; the other is a timeout's. */
START_TEST(any_reply_is_taken)
{
    struct answer_seen a[2] = {{0}};
    struct virtual *v = begin("{" INLINE "}");
    ck_assert_int_eq(
        run(v, B,
            "[{'do':'request','to':'test.helper','type':'retried','data':{'steps':[{'do':'reply'}]}},{'do':'pending'}]",
            &a[0]),
        CVM_REPLIED);
    ck_assert_str_eq(text(&a[0], "outcome"), "REPLIED");
    submit(
        v, B,
        "[{'do':'request','to':'test.helper','type':'retried','timeout_ms':5000,'data':{'steps':[{'do':'pending'}]}},{"
        "'do':'pending'}]",
        &a[1]);
    wait_ms(v, 6000);
    struct answer_seen c = {0};
    json_t *log = log_of(v, B, &c);
    ck_assert_int_eq(json_array_size(log), 2);
    ck_assert_str_eq(json_string_value(json_array_get(log, 1)), "TIMEOUT");
    json_decref(c.data);
    end(v, a, 2);
}
END_TEST

#define ONE_PLACE "{" INLINE ", \"agents\": {\"" B "\": {\"concurrency\": 1}}}"

/* ---- a component with few places --------------------------------------------------------------------------------- */

/* Those that wait all get their turn, also where the one before them is answered at once. */
START_TEST(places_are_passed_on)
{
    struct virtual *v = begin(ONE_PLACE);
    struct answer_seen a[5] = {{0}};
    submit(v, B, "[{'do':'keep','key':'first'},{'do':'pending'}]", &a[0]);
    for (int i = 1; i < 4; i++)
        submit(v, B, "[{'do':'mark','text':'x'},{'do':'reply'}]", &a[i]);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(a[i].n, 0);
    ck_assert_int_eq(
        run(v, A, "[{'do':'send','data':{'steps':[{'do':'settle','key':'first'}]}},{'do':'reply'}]", &a[4]),
        CVM_REPLIED);
    for (int i = 0; i < 4; i++)
        ck_assert_msg(a[i].n == 1 && a[i].outcome == CVM_REPLIED, "%d: %d answers, outcome %d", i, a[i].n,
                      a[i].outcome);
    end(v, a, 5);
}
END_TEST

/* One that ended while it waited takes no place. */
START_TEST(ended_while_waiting)
{
    struct virtual *v = begin(ONE_PLACE);
    struct answer_seen a[5] = {{0}};
    submit(v, B, "[{'do':'keep','key':'first'},{'do':'pending'}]", &a[0]);
    submit(v, A, "[{'do':'request','timeout_ms':100,'data':{'steps':[{'do':'reply'}]}},{'do':'pending'}]", &a[1]);
    submit(v, A, "[{'do':'request','timeout_ms':20000,'data':{'steps':[{'do':'reply'}]}},{'do':'pending'}]", &a[2]);
    wait_ms(v, 200);
    ck_assert_str_eq(text(&a[1], "outcome"), "TIMEOUT");
    ck_assert_int_eq(a[2].n, 0);
    submit(v, A, "[{'do':'send','data':{'steps':[{'do':'settle','key':'first'}]}},{'do':'reply'}]", &a[3]);
    ck_assert_int_eq(a[0].n, 1);
    ck_assert_str_eq(text(&a[2], "outcome"), "REPLIED");
    end(v, a, 5);
}
END_TEST

/* What stands before one in `waiting` stays before it, whoever comes when a place is free. */
START_TEST(places_go_in_order)
{
    struct virtual *v = begin(ONE_PLACE);
    struct answer_seen a[6] = {{0}};
    submit(v, B, "[{'do':'keep','key':'first'},{'do':'pending'}]", &a[0]);
    submit(v, B, "[{'do':'mark','text':'1'},{'do':'keep','key':'first'},{'do':'pending'}]", &a[1]);
    submit(v, B, "[{'do':'mark','text':'2'},{'do':'reply'}]", &a[2]);
    virtual_submit(v, A, "run",
                   steps("[{'do':'send','data':{'steps':[{'do':'settle','key':'first'}]}},{'do':'reply'}]"), &a[3]);
    virtual_submit(v, B, "run", steps("[{'do':'mark','text':'3'},{'do':'reply'}]"), &a[4]);
    core_step(v->core, core_now_ms(v->core));
    submit(v, A, "[{'do':'send','data':{'steps':[{'do':'settle','key':'first'}]}},{'do':'reply'}]", &a[3]);
    json_t *log = log_of(v, B, &a[5]);
    ck_assert_uint_eq(json_array_size(log), 3);
    for (size_t i = 0; i < 3; i++)
        ck_assert_int_eq(json_string_value(json_array_get(log, i))[0], '1' + (int)i);
    end(v, a, 6);
}
END_TEST

/* An input with a key, so that its answer can be asked for again. */
static void keyed(struct virtual *v, const char *key, const char *script, struct answer_seen *seen)
{
    struct edge_error error;
    ck_assert_msg(try_submit(v, "run", key, script, seen, &error) == 0, "%s", error.text);
    core_step(v->core, core_now_ms(v->core));
}

/* A message that waits is after a restart what it was. */
START_TEST(waiting_survives_a_restart)
{
    static const char script[] =
        "[{'do':'request','enquiry_id':'ENQ-7','priority':2,'timeout_ms':60000,'data':{'steps':"
        "[{'do':'mark','text':'x'},{'do':'message'},{'do':'reply'}]}},{'do':'pending'}]";
    struct virtual *v = begin(ONE_PLACE);
    struct answer_seen a[4] = {{0}};
    wait_ms(v, 5000);
    submit(v, B, "[{'do':'keep','key':'first'},{'do':'pending'}]", &a[0]);
    keyed(v, "k", script, &a[1]);
    int64_t sent = core_now_ms(v->core);
    restart(v);
    keyed(v, "k", script, &a[2]);
    ck_assert_int_eq(a[2].n, 0);
    submit(v, A, "[{'do':'send','data':{'steps':[{'do':'settle','key':'first'}]}},{'do':'reply'}]", &a[3]);
    ck_assert_int_eq(a[2].n, 1);
    json_t *message = json_array_get(json_object_get(json_object_get(a[2].data, "data"), "found"), 0);
    ck_assert_int_eq(json_integer_value(json_object_get(message, "timestamp")), sent);
    ck_assert_int_eq(json_integer_value(json_object_get(message, "deadline")), sent + 60000);
    ck_assert_int_eq(json_integer_value(json_object_get(message, "priority")), CVM_HIGH);
    ck_assert_str_eq(json_string_value(json_object_get(message, "enquiry")), "ENQ-7");
    ck_assert_str_eq(json_string_value(json_object_get(message, "sender")), A);
    end(v, a, 4);
}
END_TEST

/* ---- requests handed on -------------------------------------------------------------------------------------------
 */

START_TEST(forwarded_request_is_answered_to_its_asker)
{
    struct virtual *v = begin(NULL);
    struct answer_seen a[3] = {{0}};
    /* at once, twice over, and one that was lent */
    run(v, A,
        "[{'do':'request','data':{'steps':[{'do':'forward','to':'test.courier','data':{'steps':[{'do':'forward',"
        "'data':{'steps':[{'do':'reply'}]}}]}}]}},{'do':'pending'}]",
        &a[0]);
    ck_assert_str_eq(text(&a[0], "outcome"), "REPLIED");
    submit(v, A,
           "[{'do':'request','enquiry_id':'ENQ-1','data':{'steps':[{'do':'keep'},{'do':'pending'}]}},"
           "{'do':'pending'}]",
           &a[1]);
    ck_assert_int_eq(a[1].n, 0);
    submit(v, A,
           "[{'do':'send','enquiry_id':'ENQ-2','data':{'steps':[{'do':'forward','to':'test.courier','data':{'steps':"
           "[{'do':'reply','content':'here'}]}}]}},{'do':'reply'}]",
           &a[2]);
    ck_assert_int_eq(a[1].n, 0); /* without a key it is the message's own id, which is no request */
    submit(v, A,
           "[{'do':'send','enquiry_id':'ENQ-2','data':{'steps':[{'do':'forward','key':'k','to':'test.courier','data':"
           "{'steps':[{'do':'reply','content':'here'}]}}]}},{'do':'reply'}]",
           &a[2]);
    ck_assert_int_eq(a[1].n, 1);
    ck_assert_str_eq(text(&a[1], "content"), "here");
    ck_assert_str_eq(text(&a[1], "enquiry"), "ENQ-1");
    virtual_free(v);
    for (int i = 0; i < 3; i++)
        json_decref(a[i].data);
}
END_TEST

START_TEST(forwarded_request_survives_a_restart)
{
    struct virtual *v = begin(ONE_PLACE);
    struct answer_seen a[4] = {{0}};
    static const char script[] = "[{'do':'forward','data':{'steps':[{'do':'reply'}]}}]";
    submit(v, B, "[{'do':'keep','key':'first'},{'do':'pending'}]", &a[0]);
    keyed(v, "k", script, &a[1]);
    restart(v);
    keyed(v, "k", script, &a[2]);
    submit(v, A, "[{'do':'send','data':{'steps':[{'do':'settle','key':'first'}]}},{'do':'reply'}]", &a[3]);
    ck_assert_int_eq(a[2].n, 1);
    ck_assert_int_eq(a[2].outcome, CVM_REPLIED);
    ck_assert(a[2].repeated);
    end(v, a, 4);
}
END_TEST

/* The deadline passes while the one it was handed to has no place: answered once, and so is who asks again. */
START_TEST(deadline_of_a_forwarded_request)
{
    struct virtual *v = begin(ONE_PLACE);
    struct answer_seen a[5] = {{0}};
    static const char script[] = "[{'do':'forward','conversation':'elsewhere','data':{'steps':[{'do':'reply'}]}}]";
    struct edge_error error;
    submit(v, B,
           "[{'do':'keep','key':'first'},{'do':'timer','delay_ms':3600000,'data':{'steps':[{'do':'settle','key':"
           "'first','try':true}]}},{'do':'pending'}]",
           &a[0]);
    keyed(v, "k", script, &a[1]);
    wait_ms(v, 29999);
    submit(v, B, "[{'do':'keep','key':'first'},{'do':'pending'}]", &a[2]);
    wait_ms(v, 5);
    ck_assert_int_eq(a[1].n, 1);
    ck_assert_int_eq(a[1].outcome, CVM_TIMEOUT);
    ck_assert_int_eq(try_submit(v, "run", "k", script, &a[3], &error), 0);
    core_step(v->core, core_now_ms(v->core));
    ck_assert_int_eq(a[3].n, 1);
    ck_assert_int_eq(a[3].outcome, CVM_TIMEOUT);
    wait_ms(v, 7200000);
    end(v, a, 5);
}
END_TEST

START_TEST(forward_to_a_full_component)
{
    struct virtual *v = begin(ONE_PLACE);
    struct answer_seen a[44] = {{0}};
    submit(v, B, "[{'do':'keep','key':'first'},{'do':'pending'}]", &a[0]);
    for (int i = 1; i <= 40; i++)
        submit(v, B, "[{'do':'reply'}]", &a[i]);
    run(v, A,
        "[{'do':'request','to':'test.courier','data':{'steps':[{'do':'forward','data':{'steps':[{'do':'reply'}]}}]}},"
        "{'do':'pending'}]",
        &a[41]);
    ck_assert_str_eq(text(&a[41], "outcome"), "BUSY");
    end(v, a, 44);
}
END_TEST

START_TEST(settled_from_another_conversation)
{
    struct virtual *v = begin(NULL);
    struct answer_seen a[4] = {{0}};
    submit(v, A, "[{'do':'request','data':{'steps':[{'do':'keep'},{'do':'pending'}]}},{'do':'pending'}]", &a[0]);
    run(v, B, "[{'do':'settle','key':'k','data':{'a':1}},{'do':'settle','key':'k','try':true},{'do':'reply'}]", &a[1]);
    ck_assert_int_eq(error_of(&a[1]), CVM_ENOENT);
    ck_assert_int_eq(a[0].n, 1);
    /* a turn that is undone has settled nothing */
    submit(v, A, "[{'do':'request','data':{'steps':[{'do':'keep'},{'do':'pending'}]}},{'do':'pending'}]", &a[2]);
    ck_assert_int_eq(run(v, B, "[{'do':'settle','key':'k'},{'do':'return','code':-1}]", &a[1]), CVM_ERROR);
    run(v, B, "[{'do':'settle','key':'k','data':{'a':2}},{'do':'reply'}]", &a[1]);
    ck_assert_int_eq(a[2].n, 1);
    end(v, a, 4);
}
END_TEST

/* ---- ephemeral messages -------------------------------------------------------------------------------------------
 */

/* A durable request with an ephemeral asker ends in the journal too. */
START_TEST(ephemeral_asker)
{
    struct virtual *v = begin(NULL);
    struct answer_seen a[2] = {{0}};
    virtual_call(v, A, "peek",
                 steps("[{'do':'request','conversation':'c','timeout_ms':1000,'data':{'steps':[{'do':"
                       "'pending'}]}},{'do':'pending'}]"),
                 &a[0]);
    ck_assert_str_eq(text(&a[0], "outcome"), "TIMEOUT");
    end(v, a, 2);
}
END_TEST

START_TEST(ephemeral_turn_ends_nothing_durable)
{
    struct virtual *v = begin(NULL);
    struct answer_seen a[2] = {{0}};
    submit(v, A, "[{'do':'keep'},{'do':'pending'}]", &a[0]);
    virtual_call(v, A, "peek",
                 steps("[{'do':'settle','key':'k','try':true},{'do':'forward','key':'k','try':true,'data':"
                       "{'steps':[{'do':'reply'}]}},{'do':'reply'}]"),
                 &a[1]);
    ck_assert_int_eq(error_of(&a[1]), CVM_ESTATE);
    ck_assert_int_eq(json_integer_value(found(&a[1], 1)), CVM_ESTATE);
    wait_ms(v, 60000);
    ck_assert_int_eq(a[0].outcome, CVM_TIMEOUT);
    end(v, a, 2);
}
END_TEST

struct looked {
    struct virtual *v;
    int n;
    json_int_t told;
    int64_t stored;
};

static void look(void *arg, const struct edge_reply *reply)
{
    struct looked *seen = arg;
    seen->n++;
    seen->told = json_integer_value(json_array_get(json_object_get(reply->data, "found"), 0));
    seen->stored = virtual_count(seen->v, "SELECT count(*) AS n FROM state WHERE key = 'told'");
}

/* What a client is told can no longer be lost: also where the answer itself is journalled nowhere. */
START_TEST(ephemeral_answer_waits_for_what_it_tells)
{
    struct virtual *v = begin(NULL);
    struct answer_seen a[1] = {{0}};
    struct looked seen = {.v = v};
    struct edge_in in = {.source = "test",
                         .to = A,
                         .type = "peek",
                         .priority = CVM_LOW,
                         .data = steps("[{'do':'get','key':'told'},{'do':'reply'}]")};
    struct edge_error error;
    virtual_submit(v, A, "run", steps("[{'do':'put','key':'told','value':7},{'do':'reply'}]"), a);
    ck_assert_int_eq(edge_submit(v->core, &in, look, &seen, NULL, &error), 0);
    core_step(v->core, core_now_ms(v->core));
    ck_assert_int_eq(seen.n, 1);
    ck_assert_int_eq(seen.told, 7);
    ck_assert_int_eq(seen.stored, 1);
    end(v, a, 1);
}
END_TEST

/* Keys belong to durable inputs; of two ephemeral ones each is its own. */
START_TEST(ephemeral_inputs_of_one_key)
{
    struct virtual *v = begin(NULL);
    struct answer_seen a[2] = {{0}};
    struct edge_in in = {.source = "test", .key = "same", .to = A, .type = "peek", .priority = -1};
    struct edge_error error;
    cvm_id id[2];
    for (int i = 0; i < 2; i++) {
        in.data = steps(i ? "[{'do':'get','key':'x'},{'do':'reply'}]" : "[{'do':'reply'}]");
        ck_assert_int_eq(edge_submit(v->core, &in, virtual_seen, &a[i], &id[i], &error), 0);
    }
    ck_assert(!cvm_id_eq(id[0], id[1]));
    edge_forget(v->core, id[0], &a[0]);
    core_step(v->core, core_now_ms(v->core));
    ck_assert_int_eq(a[0].n, 0);
    ck_assert_int_eq(a[1].n, 1);
    end(v, a, 2);
}
END_TEST

/* ---- what a handler may not do ------------------------------------------------------------------------------------
 */

/* The body of a refusal that was not meant is nobody else's. */
START_TEST(refusal_is_not_told_to_others)
{
    struct virtual *v = begin(NULL);
    struct answer_seen a[1] = {{0}};
    ck_assert_int_eq(run(v, A, "[{'do':'refuse','text':'private','try':true},{'do':'reply'}]", a), CVM_REPLIED);
    ck_assert_int_eq(run(v, B, "[{'do':'return','code':-8}]", a), CVM_REFUSED);
    ck_assert_str_ne(text(a, "message"), "private");
    end(v, a, 1);
}
END_TEST

/* Only operations and topics can be addressed: no component may forge another's reply, timer or start. */
START_TEST(only_operations_are_addressed)
{
    struct virtual *v = begin(NULL);
    struct answer_seen a[1] = {{0}};
    static const char *const types[] = {"run.reply", "tick", "start", "test.parcel"};
    for (int i = 0; i < 4; i++) {
        char script[200];
        snprintf(script, sizeof script, "[{'do':'send','to':'test.courier','type':'%s','try':true},{'do':'reply'}]",
                 types[i]);
        ck_assert_int_eq(run(v, B, script, a), CVM_REPLIED);
        ck_assert_msg(error_of(a) == CVM_ENOENT, "%s: %lld", types[i], (long long)error_of(a));
    }
    run(v, B, "[{'do':'send','to':'host','type':'timeout','try':true},{'do':'reply'}]", a);
    ck_assert_int_eq(error_of(a), CVM_ENOENT);
    end(v, a, 1);
}
END_TEST

START_TEST(nonsense_is_refused)
{
    static const struct {
        const char *step;
        int error;
    } cases[] = {
        {"{'do':'send','confidence':'nan','try':true}", CVM_EINVAL},
        {"{'do':'send','confidence':1.5,'try':true}", CVM_EINVAL},
        {"{'do':'send','message_type':77,'try':true}", CVM_EINVAL},
        {"{'do':'send','kind':9,'try':true}", CVM_EINVAL},
        {"{'do':'send','content_bad':true,'try':true}", CVM_EINVAL},
        {"{'do':'send','tags':[1],'try':true}", CVM_EINVAL},
        {"{'do':'request','to':'BROADCAST','type':'test.parcel','try':true}", CVM_EINVAL},
        {"{'do':'send','content_bytes':70000,'try':true}", CVM_ELIMIT},
        {"{'do':'send','content_bytes':60000,'n':40,'try':true}", CVM_ELIMIT},
        {"{'do':'timer','depth':600,'try':true}", CVM_ELIMIT},
        {"{'do':'set','depth':600,'try':true}", CVM_ELIMIT},
        {"{'do':'put','depth':600,'try':true}", CVM_ELIMIT},
        {"{'do':'note','depth':600,'try':true}", CVM_ELIMIT},
        {"{'do':'put','bytes':70000,'try':true}", CVM_ELIMIT},
        {"{'do':'set','bytes':600000,'try':true}", CVM_ELIMIT},
        {"{'do':'get','key':'','try':true}", CVM_OK}, /* found: the error */
    };
    struct virtual *v = begin(NULL);
    struct answer_seen a[1] = {{0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char script[300];
        snprintf(script, sizeof script, "[%s,{'do':'reply'}]", cases[i].step);
        ck_assert_msg(run(v, A, script, a) == CVM_REPLIED, "%s", cases[i].step);
        json_t *all = json_object_get(a->data, "found");
        json_int_t e = json_integer_value(json_array_get(all, json_array_size(all) - 1));
        ck_assert_msg(e == cases[i].error, "%s: %lld", cases[i].step, (long long)e);
    }
    end(v, a, 1);
}
END_TEST

/* Text that is no UTF-8, and text with a NUL, from wherever: what waits is there after a restart. */
START_TEST(odd_text_survives_a_restart)
{
    struct virtual *v = begin(ONE_PLACE);
    struct answer_seen a[3] = {{0}};
    struct edge_error error;
    struct edge_in in = {.source = "test", .key = "caf\xe9", .to = B, .type = "run", .priority = -1};
    in.data =
        json_pack("{s:[{s:s},{s:s}], s:o}", "steps", "do", "keep", "do", "pending", "nul", json_stringn("a\0b", 3));
    int e = edge_submit(v->core, &in, virtual_seen, &a[0], NULL, &error);
    ck_assert_msg(e == CVM_EINVAL, "%d", e);
    in.key = "cafe";
    in.traceparent = "00-\xff";
    in.data = json_pack("{s:[{s:s},{s:s}]}", "steps", "do", "keep", "do", "pending");
    ck_assert_int_eq(edge_submit(v->core, &in, virtual_seen, &a[0], NULL, &error), CVM_EINVAL);
    in.traceparent = NULL;
    in.data =
        json_pack("{s:[{s:s},{s:s}], s:o}", "steps", "do", "keep", "do", "pending", "nul", json_stringn("a\0b", 3));
    ck_assert_int_eq(edge_submit(v->core, &in, virtual_seen, &a[0], NULL, &error), 0);
    in = (struct edge_in){.source = "test", .to = A, .type = "run", .priority = -1};
    in.data = json_pack("{s:[{s:s, s:{s:[{s:s}], s:o}}, {s:s}]}", "steps", "do", "request", "data", "steps", "do",
                        "reply", "nul", json_stringn("a\0b", 3), "do", "pending");
    ck_assert_int_eq(edge_submit(v->core, &in, virtual_seen, &a[1], NULL, &error), 0);
    core_step(v->core, core_now_ms(v->core));
    restart(v);
    submit(v, A, "[{'do':'send','data':{'steps':[{'do':'settle','key':'k'}]}},{'do':'reply'}]", &a[2]);
    wait_ms(v, 60000);
    end(v, a, 3);
}
END_TEST

/* Far more than a turn may write: refused while it can be undone, not when it is written. */
START_TEST(state_of_a_turn_is_limited)
{
    struct virtual *v = begin(NULL);
    struct answer_seen a[1] = {{0}};
    char *big = malloc(60001);
    memset(big, 'z', 60000);
    big[60000] = 0;
    json_t *data =
        json_pack("{s:[{s:s, s:i, s:s}, {s:s}]}", "steps", "do", "many", "n", 400, "value", big, "do", "reply");
    free(big);
    ck_assert_int_eq(virtual_call(v, A, "run", data, a), CVM_ERROR);
    ck_assert_int_eq(virtual_count(v, "SELECT count(*) AS n FROM state"), 0);
    end(v, a, 1);
}
END_TEST

START_TEST(context_is_limited)
{
    struct virtual *v = begin(NULL);
    struct answer_seen a[1] = {{0}};
    struct edge_error error;
    int refused = 0;
    for (int i = 0; i < 8; i++) {
        char script[200];
        snprintf(script, sizeof script, "[{'do':'set','path':'/p%d','bytes':100000},{'do':'reply'}]", i);
        struct edge_in in = {.source = "test", .to = A, .type = "run", .priority = -1, .conversation = "c"};
        in.data = steps(script);
        ck_assert_int_eq(edge_submit(v->core, &in, virtual_seen, a, NULL, &error), 0);
        core_step(v->core, core_now_ms(v->core));
        refused += a->outcome == CVM_ERROR;
    }
    ck_assert_int_eq(refused, 3);
    ck_assert_int_eq(virtual_count(v, "SELECT length(doc) < 524288 AND json_valid(doc) AS n FROM contexts"), 1);
    /* what is replaced does not count */
    for (int i = 0; i < 20; i++) {
        struct edge_in in = {.source = "test", .to = A, .type = "run", .priority = -1, .conversation = "c"};
        in.data = steps("[{'do':'set','path':'/p0','bytes':100000},{'do':'reply'}]");
        ck_assert_int_eq(edge_submit(v->core, &in, virtual_seen, a, NULL, &error), 0);
        core_step(v->core, core_now_ms(v->core));
        ck_assert_int_eq(a->outcome, CVM_REPLIED);
    }
    end(v, a, 1);
}
END_TEST

/* Several turns of one lane in one tick, with groups of one turn: what is undone leaves the document as it was, members
 * in their order, and each group has what it needs. */
START_TEST(undone_context_is_as_before)
{
    static const char *const scripts[] = {
        "[{'do':'set','path':'/a/x','value':1},{'do':'set','path':'/b','value':2},{'do':'set','path':'/l/-',"
        "'value':1},{'do':'reply'}]",
        "[{'do':'set','path':'/a/x','value':9},{'do':'set','path':'/n','value':5},{'do':'set','path':'/b','value':7},"
        "{'do':'set','path':'/l/-','value':2},{'do':'refuse'}]",
        "[{'do':'set','path':'/a/y','value':9},{'do':'set','path':'/a'},{'do':'set','path':'/b','value':8},"
        "{'do':'return','code':-1}]",
        "[{'do':'set','path':'/b','value':9},{'do':'context'},{'do':'set','path':'/b','value':10},{'do':'refuse'}]",
        "[{'do':'context'},{'do':'set','path':'/b'},{'do':'set','path':'/b','value':3},{'do':'reply'}]",
        "[{'do':'set','path':'/l/-','value':3},{'do':'reply'}]"};
    enum { N = sizeof scripts / sizeof *scripts };
    struct virtual *v = begin("{\"journal\": {\"group_max\": 1}}");
    struct answer_seen a[N] = {{0}};
    for (int round = 0; round < 2; round++) { /* the second with what was stored */
        for (int i = 0; i < N; i++) {
            struct edge_in in = {.source = "test", .to = A, .type = "run", .priority = -1, .conversation = "c"};
            struct edge_error error;
            in.data = steps(scripts[i]);
            json_decref(a[i].data);
            a[i] = (struct answer_seen){0};
            ck_assert_int_eq(edge_submit(v->core, &in, virtual_seen, &a[i], NULL, &error), 0);
        }
        core_step(v->core, core_now_ms(v->core));
        char *seen = json_dumps(found(&a[4], 0), JSON_COMPACT);
        ck_assert_str_eq(seen,
                         round ? "{\"a\":{\"x\":1},\"l\":[1,3,1],\"b\":2}" : "{\"a\":{\"x\":1},\"b\":2,\"l\":[1]}");
        free(seen);
        restart(v);
    }
    ck_assert_int_eq(a[1].outcome, CVM_REFUSED);
    ck_assert_int_eq(a[2].outcome, CVM_ERROR);
    ck_assert_int_eq(a[3].outcome, CVM_REFUSED);
    ck_assert_int_eq(virtual_count(v, "SELECT doc = '{\"a\":{\"x\":1},\"l\":[1,3,1,3],\"b\":3}' AS n FROM contexts "
                                      "WHERE name = 'c'"),
                     1);
    end(v, a, N);
}
END_TEST

/* `conversation_messages` of the component that opened it: 50 for these. */
START_TEST(messages_of_a_conversation_are_limited)
{
    struct virtual *v = begin(NULL);
    struct answer_seen a[1] = {{0}};
    run(v, A, "[{'do':'send','conversation':'c','n':60,'data':{},'try':true},{'do':'reply'}]", a);
    ck_assert_int_eq(error_of(a), CVM_ELIMIT);
    run(v, A, "[{'do':'send','conversation':'d','n':30,'data':{},'try':true},{'do':'reply'}]", a);
    ck_assert_int_eq(error_of(a), CVM_OK);
    virtual_free(v);
    json_decref(a->data);
}
END_TEST

START_TEST(ended_conversation_stays_ended)
{
    struct virtual *v = begin(NULL);
    struct answer_seen a[1] = {{0}};
    run(v, A,
        "[{'do':'send','conversation':'c','data':{'steps':[{'do':'set','path':'/a','value':1},{'do':'end'}]}},"
        "{'do':'reply'}]",
        a);
    ck_assert_int_eq(virtual_count(v, "SELECT count(*) AS n FROM contexts WHERE name = 'c' AND ended_ms > 0"), 1);
    run(v, A, "[{'do':'send','conversation':'c','data':{'steps':[{'do':'set','path':'/b','value':1}]}},{'do':'reply'}]",
        a);
    ck_assert_int_eq(virtual_count(v, "SELECT version AS n FROM contexts WHERE name = 'c' AND ended_ms > 0"), 2);
    end(v, a, 1);
}
END_TEST

/* ---- topics --------------------------------------------------------------------------------------------------------
 */

START_TEST(lane_of_a_topic_keeps_its_context)
{
    struct virtual *v = begin(NULL);
    struct answer_seen a[1] = {{0}};
    static const char publish[] = "[{'do':'publish','type':'test.parcel','data':{'steps':[{'do':'set','path':'/%c',"
                                  "'value':1}]}},{'do':'reply'}]";
    for (char c = 'a'; c < 'd'; c++) {
        char script[200];
        snprintf(script, sizeof script, publish, c);
        run(v, A, script, a);
        if (c == 'b')
            restart(v);
    }
    ck_assert_int_eq(virtual_count(v, "SELECT count(*) AS n FROM contexts, json_each(doc) WHERE name = "
                                      "'topic:test.parcel/test.helper'"),
                     3);
    end(v, a, 1);
}
END_TEST

/* ---- timers --------------------------------------------------------------------------------------------------------
 */

START_TEST(timers_are_cancelled)
{
    struct virtual *v = begin(NULL);
    struct answer_seen a[2] = {{0}};
    /* in the turn that armed it: too early; in a turn that is undone: not; twice in one turn: once */
    submit(v, A,
           "[{'do':'timer','save':'own','delay_ms':7200000,'data':{'steps':[{'do':'mark','text':'own'}]}},"
           "{'do':'cancel','key':'own','try':true},{'do':'reply'}]",
           &a[0]);
    ck_assert_int_eq(error_of(&a[0]), CVM_ENOENT);
    submit(v, A, "[{'do':'cancel','key':'own'},{'do':'return','code':-1}]", &a[0]);
    ck_assert_int_eq(a[0].outcome, CVM_ERROR);
    virtual_submit(v, A, "peek", steps("[{'do':'cancel','key':'own','try':true},{'do':'reply'}]"), &a[0]);
    core_step(v->core, core_now_ms(v->core));
    ck_assert_int_eq(error_of(&a[0]), CVM_ESTATE);
    restart(v);
    submit(v, A, "[{'do':'cancel','key':'own'},{'do':'cancel','key':'own','try':true},{'do':'reply'}]", &a[0]);
    wait_ms(v, 8000000);
    ck_assert(!json_is_array(log_of(v, A, &a[1])));
    ck_assert_int_eq(virtual_count(v, "SELECT count(*) AS n FROM open_items"), 0);
    end(v, a, 2);
}
END_TEST

/* ---- out of service ------------------------------------------------------------------------------------------------
 */

static void strike_out(struct virtual *v, const char *who, struct answer_seen *a)
{
    for (int i = 0; i < 5; i++)
        submit(v, who, "[{'do':'return','code':-7}]", a);
}

/* A request from another component is as good a probe as one from outside. */
START_TEST(component_is_tried_again)
{
    struct virtual *v = begin(NULL);
    struct answer_seen a[2] = {{0}};
    static const char script[] = "[{'do':'request','data':{'steps':[{'do':'reply'}]}},{'do':'pending'}]";
    strike_out(v, B, &a[0]);
    submit(v, A, script, &a[1]);
    ck_assert_str_eq(text(&a[1], "outcome"), "BUSY");
    wait_ms(v, 31000);
    submit(v, A, script, &a[1]);
    ck_assert_str_eq(text(&a[1], "outcome"), "REPLIED");
    submit(v, A, script, &a[1]);
    ck_assert_str_eq(text(&a[1], "outcome"), "REPLIED");
    end(v, a, 2);
}
END_TEST

/* What it asked for and what it set comes while it is out of service: kept until it is back. */
START_TEST(replies_wait_for_a_component_out_of_service)
{
    struct virtual *v = begin(NULL);
    struct answer_seen a[3] = {{0}};
    submit(v, A,
           "[{'do':'request','timeout_ms':600000,'data':{'steps':[{'do':'keep'},{'do':'pending'}]}},"
           "{'do':'timer','delay_ms':500,'data':{'steps':[{'do':'mark','text':'tick'}]}},{'do':'pending'}]",
           &a[0]);
    strike_out(v, A, &a[1]);
    submit(v, B, "[{'do':'settle','key':'k'},{'do':'reply'}]", &a[2]);
    wait_ms(v, 1000);
    ck_assert_int_eq(a[0].n, 0);
    ck_assert_int_eq(virtual_count(v, "SELECT count(*) AS n FROM dead_letters"), 0);
    wait_ms(v, 40000);
    ck_assert_int_eq(a[0].n, 1);
    json_t *log = log_of(v, A, &a[1]);
    ck_assert_uint_eq(json_array_size(log), 2);
    ck_assert_int_eq(virtual_count(v, "SELECT count(*) AS n FROM dead_letters"), 0);
    end(v, a, 3);
}
END_TEST

/* ---- a plugin that has gone ----------------------------------------------------------------------------------------
 */

static void take_away(struct virtual *v, const char *plugin, bool back)
{
    char here[128], there[128];
    snprintf(here, sizeof here, "%s/manifests/%s.json", v->home, plugin);
    snprintf(there, sizeof there, "%s/%s.away", v->home, plugin);
    ck_assert_int_eq(rename(back ? there : here, back ? here : there), 0);
}

/* How many requests the host holds in place of others; of each it is known whom it is about. */
static int held_by_host(const struct virtual *v)
{
    int n = 0;
    for (size_t b = 0; b < CORE_HASH_BUCKETS; b++)
        for (const struct item *i = v->core->items[b]; i; i = i->hash_next) {
            const struct request *r = (const struct request *)i;
            if (i->kind != ITEM_REQUEST || r->holder != v->core->host)
                continue;
            ck_assert(r->subject && !cvm_id_is_none(r->subject->root));
            n++;
        }
    return n;
}

/* Its open requests still end for those who asked, lent or waiting; what nobody waits for comes back with it. */
START_TEST(holder_that_has_gone)
{
    struct virtual *v = begin("{" INLINE ", \"agents\": {\"test.faulty\": {\"concurrency\": 1}}}");
    struct answer_seen a[5] = {{0}};
    static const char script[] =
        "[{'do':'request','to':'test.faulty','type':'never','timeout_ms':5000},{'do':'pending'}]";
    keyed(v, "lent", script, &a[0]);
    keyed(v, "waiting", script, &a[1]);
    virtual_close(v);
    take_away(v, "faulty", false);
    virtual_open(v);
    ck_assert_int_eq(held_by_host(v), 2);
    keyed(v, "lent", script, &a[2]);
    keyed(v, "waiting", script, &a[3]);
    wait_ms(v, 60000);
    ck_assert_str_eq(text(&a[2], "outcome"), "TIMEOUT");
    ck_assert_str_eq(text(&a[3], "outcome"), "TIMEOUT");
    virtual_conserved(v);
    virtual_close(v);
    take_away(v, "faulty", true);
    virtual_open(v);
    wait_ms(v, 60000);
    end(v, a, 5);
}
END_TEST

/* ---- lanes --------------------------------------------------------------------------------------------------------
 */

/* Something urgent lifts the lane it stands in, with what stands before it. */
START_TEST(urgency_lifts_the_lane)
{
    struct virtual *v = begin(NULL);
    struct answer_seen a[1] = {{0}};
    /* low: waits behind twenty of higher priority, until a critical message comes into its lane */
    run(v, A,
        "[{'do':'send','conversation':'slow','priority':0,'data':{'steps':[{'do':'mark','text':'low'}]}},"
        "{'do':'send','conversation':'other','priority':2,'n':20,'data':{'steps':[{'do':'mark','text':'other'}]}},"
        "{'do':'send','conversation':'slow','priority':3,'data':{'steps':[{'do':'mark','text':'critical'}]}},"
        "{'do':'reply'}]",
        a);
    json_t *log = log_of(v, B, a);
    ck_assert_uint_eq(json_array_size(log), 22);
    ck_assert_str_eq(json_string_value(json_array_get(log, 0)), "low");
    ck_assert_str_eq(json_string_value(json_array_get(log, 1)), "critical");
    end(v, a, 1);
}
END_TEST

/* It lifts the lane while it waits there, not for good. */
START_TEST(urgency_goes_with_what_was_urgent)
{
    struct virtual *v = begin(NULL);
    struct answer_seen a[1] = {{0}};
    run(v, A,
        "[{'do':'send','conversation':'slow','priority':3,'data':{'steps':[{'do':'mark','text':'critical'}]}},"
        "{'do':'send','conversation':'slow','priority':0,'data':{'steps':[{'do':'mark','text':'low'}]}},"
        "{'do':'send','conversation':'other','priority':2,'n':20,'data':{'steps':[{'do':'mark','text':'other'}]}},"
        "{'do':'reply'}]",
        a);
    json_t *log = log_of(v, B, a);
    ck_assert_uint_eq(json_array_size(log), 22);
    ck_assert_str_eq(json_string_value(json_array_get(log, 0)), "critical");
    ck_assert_str_eq(json_string_value(json_array_get(log, 21)), "low");
    end(v, a, 1);
}
END_TEST

static void configure(struct virtual *v, const char *text)
{
    char path[128], error[256];
    snprintf(path, sizeof path, "%s/config/cvmhost.json", v->home);
    FILE *f = fopen(path, "we");
    fputs(text, f);
    ck_assert_int_eq(fclose(f), 0);
    config_free(v->config);
    ck_assert_int_eq(config_load(v->home, NULL, &v->config, error, sizeof error), 0);
}

static void sql(struct virtual *v, const char *text)
{
    char path[128];
    sqlite3 *db = NULL;
    snprintf(path, sizeof path, "%s/data/cvmhost.db", v->home);
    ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
    ck_assert_msg(sqlite3_exec(db, text, NULL, NULL, NULL) == SQLITE_OK, "%s", sqlite3_errmsg(db));
    sqlite3_close(db);
}

/* What comes to its turn after its deadline is not begun: who asked may have asked elsewhere by then. */
START_TEST(nothing_begins_after_its_deadline)
{
    struct virtual *v = begin(ONE_PLACE);
    struct answer_seen a[4] = {{0}};
    static const char script[] = "[{'do':'request','data':{'steps':[{'do':'mark','text':'x'},{'do':'reply'}]}},"
                                 "{'do':'pending'}]";
    submit(v, B, "[{'do':'pending'}]", &a[0]);
    keyed(v, "k", script, &a[1]);
    virtual_close(v);
    configure(v, "{" INLINE "}");
    sql(v, "UPDATE open_items SET doc = json_set(doc, '$.request.deadline_ms', 1699999999999) WHERE kind = 'message'");
    virtual_open(v);
    keyed(v, "k", script, &a[2]);
    wait_ms(v, 60000);
    ck_assert_str_eq(text(&a[2], "outcome"), "TIMEOUT");
    ck_assert(!json_is_array(log_of(v, B, &a[3])));
    char *metrics = core_metrics(v->core);
    ck_assert_ptr_nonnull(strstr(metrics, "\ncvmhost_timeouts_total 2\n"));
    free(metrics);
    end(v, a, 4);
}
END_TEST

/* ---- state ---------------------------------------------------------------------------------------------------------
 */

static void check_pairs(json_t *pairs, const char *expected)
{
    json_t *wanted = parse(expected);
    char *got = json_dumps(pairs, 0);
    ck_assert_msg(json_equal(pairs, wanted), "expected %s, got %s", expected, got);
    free(got);
    json_decref(wanted);
}

/* Stored, on its way to the store, and of this turn; written, replaced, deleted; from a key on, up to a limit. */
START_TEST(scan_sees_everything)
{
    struct virtual *v = begin(NULL);
    struct answer_seen a[3] = {{0}};
    run(v, A,
        "[{'do':'put','key':'s/1','value':1},{'do':'put','key':'s/2','value':2},{'do':'put','key':'s/3','value':3},"
        "{'do':'put','key':'s/5','value':5},{'do':'put','key':'t','value':0},{'do':'put','key':'s','value':0},"
        "{'do':'reply'}]",
        &a[0]);
    restart(v);
    /* in one tick: the first turn is not durable when the second scans */
    virtual_submit(v, A, "run",
                   steps("[{'do':'del','key':'s/1'},{'do':'put','key':'s/4','value':4},{'do':'put','key':'s/3',"
                         "'value':33},{'do':'reply'}]"),
                   &a[1]);
    virtual_submit(
        v, A, "run",
        steps("[{'do':'del','key':'s/2'},{'do':'put','key':'s/0','value':0},{'do':'del','key':'s/9'},"
              "{'do':'scan','prefix':'s/'},{'do':'scan','prefix':'s/','limit':2},{'do':'scan','prefix':'s/',"
              "'after':'s/3','limit':1},{'do':'scan','prefix':'s/','after':'s/5'},{'do':'scan','prefix':'u'},"
              "{'do':'put','key':'s/2','value':22},{'do':'scan','prefix':'s/','after':'s/0','limit':2},"
              "{'do':'reply'}]"),
        &a[2]);
    core_step(v->core, core_now_ms(v->core));
    ck_assert_int_eq(a[2].n, 1);
    check_pairs(found(&a[2], 0), "[['s/0',0],['s/3',33],['s/4',4],['s/5',5]]");
    check_pairs(found(&a[2], 1), "[['s/0',0],['s/3',33]]");
    check_pairs(found(&a[2], 2), "[['s/4',4]]");
    check_pairs(found(&a[2], 3), "[]");
    check_pairs(found(&a[2], 4), "[]");
    check_pairs(found(&a[2], 5), "[['s/2',22],['s/3',33]]");
    end(v, a, 3);
}
END_TEST

/* A value of an older state version is upgraded as it is read, one by one and in a scan. */
START_TEST(older_values_are_upgraded)
{
    struct virtual *v = begin(NULL);
    struct answer_seen a[1] = {{0}};
    run(v, A, "[{'do':'put','key':'u/1','value':'x'},{'do':'put','key':'u/2','value':'y'},{'do':'reply'}]", a);
    virtual_close(v);
    sql(v, "UPDATE state SET version = 1 WHERE key = 'u/1'");
    virtual_open(v);
    run(v, A, "[{'do':'scan','prefix':'u/'},{'do':'get','key':'u/1'},{'do':'reply'}]", a);
    check_pairs(found(a, 0), "[['u/1',[1,'x']],['u/2','y']]");
    check_pairs(found(a, 1), "[1,'x']");
    unsetenv("CVMHOST_TEST_REPLAY"); /* the journal does not know what the test wrote itself */
    end(v, a, 1);
}
END_TEST

static int64_t metric(struct virtual *v, const char *name)
{
    char *text = core_metrics(v->core), line[80];
    snprintf(line, sizeof line, "\n%s ", name);
    const char *at = strstr(text, line);
    ck_assert_msg(at != NULL, "no metric %s", name);
    int64_t value = strtoll(at + strlen(line), NULL, 10);
    free(text);
    return value;
}

#define HITS "cvmhost_state_cache_hits_total"
#define MISSES "cvmhost_state_cache_misses_total"

static int64_t count_once(struct virtual *v, int64_t wait_ms)
{
    struct answer_seen seen = {0};
    virtual_submit(v, "test.faulty", "count", NULL, &seen);
    core_step(v->core, core_now_ms(v->core) + wait_ms);
    ck_assert_int_eq(seen.n, 1);
    int64_t count = json_integer_value(json_object_get(seen.data, "count"));
    json_decref(seen.data);
    return count;
}

START_TEST(cached_state_has_a_time_to_live)
{
    struct virtual *v = virtual_new((const char *const[]){"faulty", NULL}, NULL);
    virtual_open(v);
    ck_assert_int_eq(count_once(v, 10), 1);
    int64_t hits = metric(v, HITS), misses = metric(v, MISSES);
    ck_assert_int_eq(count_once(v, 10), 2);
    ck_assert_int_gt(metric(v, HITS), hits);
    ck_assert_int_eq(metric(v, MISSES), misses);
    ck_assert_int_eq(count_once(v, 301000), 3);
    ck_assert_int_eq(count_once(v, 10), 4); /* read anew, and the same value */
    ck_assert_int_gt(metric(v, MISSES), misses);
    virtual_free(v);
}
END_TEST

/* A key that is written without having been read, by a turn that comes to nothing: it is as it was stored. */
START_TEST(written_and_not_kept)
{
    struct virtual *v = begin(NULL);
    struct answer_seen a[3] = {{0}};
    run(v, A, "[{'do':'put','key':'k','value':1},{'do':'reply'}]", &a[0]);
    restart(v);
    int64_t misses = metric(v, MISSES);
    virtual_submit(
        v, A, "run",
        steps("[{'do':'put','key':'k','value':2},{'do':'put','key':'new','value':3},{'do':'return','code':-1}]"),
        &a[1]);
    core_step(v->core, core_now_ms(v->core) + 10);
    ck_assert(a[1].n == 1 && a[1].outcome == CVM_ERROR);
    ck_assert_int_eq(metric(v, MISSES), misses); /* nobody asked what was there */
    virtual_submit(v, A, "run", steps("[{'do':'get','key':'k'},{'do':'get','key':'new'},{'do':'reply'}]"), &a[2]);
    core_step(v->core, core_now_ms(v->core) + 10);
    ck_assert_int_eq(json_integer_value(found(&a[2], 0)), 1);
    ck_assert(!json_is_integer(found(&a[2], 1)) || json_integer_value(found(&a[2], 1)) != 3);
    end(v, a, 3);
}
END_TEST

/* More keys than the cache holds, also in one turn: what a turn has read stays where it is until the turn is over. */
START_TEST(more_keys_than_the_cache)
{
    struct virtual *v = begin(NULL);
    struct answer_seen a[1] = {{0}};
    run(v, A, "[{'do':'put','key':'q/00000000','value':'first'},{'do':'reply'}]", a);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(virtual_call(v, A, "peek",
                                      json_pack("{s:[{s:s, s:i, s:i}, {s:s}]}", "steps", "do", "many", "n", 100000,
                                                "from", 1000 + i * 100000, "do", "reply"),
                                      a),
                         CVM_REPLIED);
    json_t *data = json_pack("{s:[{s:s, s:s, s:i}, {s:s, s:s, s:i}, {s:s, s:i, s:i}, {s:s}]}", "steps", "do", "put",
                             "key", "put", "value", 5, "do", "many", "prefix", "q/", "n", 1, "do", "many", "n", 150000,
                             "from", 400000, "do", "reply");
    ck_assert_int_eq(virtual_call(v, A, "run", data, a), CVM_REPLIED);
    ck_assert_str_eq(json_string_value(found(a, 0)), "first");
    ck_assert_int_eq(virtual_count(v, "SELECT value AS n FROM state WHERE key = 'put'"), 0);
    end(v, a, 1);
}
END_TEST

/* ---- others --------------------------------------------------------------------------------------------------------
 */

START_TEST(patterns_beyond_the_cache)
{
    struct virtual *v = begin(NULL);
    struct answer_seen a[1] = {{0}};
    run(v, A,
        "[{'do':'match','n':600,'try':true},{'do':'match','text':'abbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb','pattern':"
        "'(b)(b)(b)(b)(b)(b)(b)(b)(b)(b)(b)(b)(b)(b)(b)(b)(b)(b)(b)(b)(b)(b)(b)(b)(b)(b)(b)(b)','try':true},"
        "{'do':'reply'}]",
        a);
    ck_assert_int_ge(error_of(a), 0);
    end(v, a, 1);
}
END_TEST

/* The same seed does not give the same ids again after a restart. */
START_TEST(ids_go_on_after_a_restart)
{
    struct virtual *v = begin(NULL);
    struct answer_seen a[1] = {{0}};
    cvm_id first = virtual_submit(v, A, "run", steps("[{'do':'reply'}]"), a);
    wait_ms(v, 10);
    restart(v);
    cvm_id second = virtual_submit(v, A, "run", steps("[{'do':'reply'}]"), a);
    wait_ms(v, 10);
    ck_assert(!cvm_id_eq(first, second));
    end(v, a, 1);
}
END_TEST

START_TEST(admission_counts_bytes)
{
    struct virtual *v = begin("{" INLINE ", \"admission\": {\"bytes_mib\": 1}, \"agents\": {\"" A
                              "\": {\"concurrency\": 1}}}");
    struct answer_seen a[2] = {{0}};
    struct edge_error error = {0};
    char *big = malloc(400001);
    memset(big, 'z', 400000);
    big[400000] = 0;
    int taken = 0;
    for (int i = 0; i < 5; i++) {
        struct edge_in in = {.source = "test", .to = A, .type = "run", .priority = -1};
        in.data = json_pack("{s:[{s:s}], s:s}", "steps", "do", "reply", "big", big);
        taken += edge_submit(v->core, &in, virtual_seen, &a[0], NULL, &error) == 0;
    }
    ck_assert_int_eq(taken, 3); /* the one that passes the limit is the last */
    ck_assert_int_eq(error.error, CVM_EBUSY);
    core_step(v->core, core_now_ms(v->core));
    ck_assert_int_eq(run(v, A, "[{'do':'reply'}]", &a[1]), CVM_REPLIED);
    free(big);
    end(v, a, 2);
}
END_TEST

/* ---- anything ------------------------------------------------------------------------------------------------------
 */

static uint64_t seed;

static unsigned dice(unsigned sides)
{
    seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
    return (unsigned)(seed >> 33) % sides;
}

static json_t *random_steps(int depth);

static json_t *random_step(int depth)
{
    static const char *const simple[] = {"keep", "settle", "cancel", "put", "del", "get", "scan", "set", "end", "note"};
    static const char *const nested[] = {"request", "send", "forward", "timer", "publish"};
    static const char *const ends[] = {"reply", "pending", "return", "refuse"};
    char key[8];
    snprintf(key, sizeof key, "k%u", dice(6));
    json_t *s;
    unsigned what = dice(10);
    if (what < 3) {
        s = json_pack("{s:s, s:b}", "do", ends[dice(3 + !dice(5))], "try", 0);
        if (dice(4) == 0)
            json_object_set_new(s, "code", json_integer(-(int)dice(9)));
        return s;
    }
    if (what < 6 || !depth)
        return json_pack("{s:s, s:s, s:b, s:[i], s:s}", "do", simple[dice(10)], "key", key, "try", 1, "value", dice(9),
                         "path", dice(2) ? "/a/b" : "/a/-");
    s = json_pack("{s:s, s:s, s:s, s:b, s:i, s:i, s:o}", "do", nested[dice(5)], "save", key, "to", dice(2) ? A : B,
                  "try", (int)dice(3), "timeout_ms", 1 + (int)dice(5000), "delay_ms", (int)dice(3000), "data",
                  json_pack("{s:o}", "steps", random_steps(depth - 1)));
    const char *kind = json_string_value(json_object_get(s, "do"));
    if (strcmp(kind, "publish") == 0)
        json_object_set_new(s, "type", json_string("test.parcel"));
    else if (strcmp(kind, "timer") != 0 && dice(6) == 0)
        json_object_set_new(s, "type", json_string("peek"));
    if (dice(3) == 0)
        json_object_set_new(s, "key", json_string(key)); /* forward: what was kept */
    if (dice(3) == 0)
        json_object_set_new(s, "priority", json_integer(dice(4)));
    if (dice(3) == 0)
        json_object_set_new(s, "conversation", json_sprintf("c%u", dice(8)));
    return s;
}

static json_t *random_steps(int depth)
{
    json_t *all = json_array();
    for (unsigned n = 1 + dice(4); n; n--)
        json_array_append_new(all, random_step(depth));
    return all;
}

#define INPUTS 120

struct input {
    char key[16];
    const char *to, *type;
    json_t *data;
    struct answer_seen seen;
    bool busy;
};

static void give(struct virtual *v, struct input *input)
{
    struct edge_in in = {.source = "test",
                         .key = input->key,
                         .to = input->to,
                         .type = input->type,
                         .priority = -1,
                         .data = json_incref(input->data)};
    struct edge_error error;
    int e = edge_submit(v->core, &in, virtual_seen, &input->seen, NULL, &error);
    ck_assert_msg(e == 0 || e == CVM_EBUSY, "%s", error.text);
    input->busy = e != 0;
}

static json_int_t work(unsigned number)
{
    static struct input inputs[INPUTS];
    struct virtual *v = begin("{" INLINE ", \"agents\": {\"" B "\": {\"concurrency\": 2}}}");
    seed = number * 77 + 5;
    memset(inputs, 0, sizeof inputs);
    for (int i = 0; i < INPUTS; i++) {
        struct input *input = &inputs[i];
        snprintf(input->key, sizeof input->key, "i%d", i);
        input->to = dice(2) ? A : B;
        input->type = dice(8) ? "run" : "peek";
        input->data = json_pack("{s:o}", "steps", random_steps(3));
        give(v, input);
        if (dice(3))
            core_step(v->core, core_now_ms(v->core) + dice(4) * dice(500));
        if (dice(20))
            continue;
        restart(v);
        for (int k = 0; k <= i; k++)
            if (!inputs[k].seen.n && strcmp(inputs[k].type, "run") == 0 && !inputs[k].busy)
                give(v, &inputs[k]);
    }
    core_step(v->core, core_now_ms(v->core) + INT64_C(30) * 24 * 3600 * 1000);
    for (int i = 0; i < INPUTS; i++) {
        struct input *input = &inputs[i];
        bool sure = !input->busy && strcmp(input->type, "run") == 0;
        ck_assert_msg(input->seen.n == 1 || (!sure && input->seen.n == 0), "%s %s: %d answers", input->key, input->type,
                      input->seen.n);
        json_decref(input->data);
        json_decref(input->seen.data);
    }
    virtual_conserved(v);
    json_int_t turns = virtual_count(v, "SELECT sum(seq * length(record) % 1000003) AS n FROM turns");
    virtual_free(v);
    return turns;
}

/* Scripts of chance, and restarts between them: whatever happens, each input is answered once, nothing stays open, and
 * the same again gives the same journal. */
START_TEST(anything)
{
    json_int_t one = work((unsigned)_i);
    if (_i % 4 == 0)
        ck_assert_int_eq(one, work((unsigned)_i));
}
END_TEST

static void add_tests(TCase *c)
{
    tcase_add_test(c, places_are_passed_on);
    tcase_add_test(c, ended_while_waiting);
    tcase_add_test(c, places_go_in_order);
    tcase_add_test(c, waiting_survives_a_restart);
    tcase_add_test(c, forwarded_request_is_answered_to_its_asker);
    tcase_add_test(c, forwarded_request_survives_a_restart);
    tcase_add_test(c, deadline_of_a_forwarded_request);
    tcase_add_test(c, forward_to_a_full_component);
    tcase_add_test(c, settled_from_another_conversation);
    tcase_add_test(c, ephemeral_asker);
    tcase_add_test(c, ephemeral_turn_ends_nothing_durable);
    tcase_add_test(c, ephemeral_answer_waits_for_what_it_tells);
    tcase_add_test(c, ephemeral_inputs_of_one_key);
    tcase_add_test(c, refusal_is_not_told_to_others);
    tcase_add_test(c, any_reply_is_taken);
    tcase_add_test(c, only_operations_are_addressed);
    tcase_add_test(c, nonsense_is_refused);
    tcase_add_test(c, odd_text_survives_a_restart);
    tcase_add_test(c, state_of_a_turn_is_limited);
    tcase_add_test(c, context_is_limited);
    tcase_add_test(c, undone_context_is_as_before);
    tcase_add_test(c, messages_of_a_conversation_are_limited);
    tcase_add_test(c, ended_conversation_stays_ended);
    tcase_add_test(c, lane_of_a_topic_keeps_its_context);
    tcase_add_test(c, timers_are_cancelled);
    tcase_add_test(c, component_is_tried_again);
    tcase_add_test(c, replies_wait_for_a_component_out_of_service);
    tcase_add_test(c, holder_that_has_gone);
    tcase_add_test(c, urgency_lifts_the_lane);
    tcase_add_test(c, urgency_goes_with_what_was_urgent);
    tcase_add_test(c, nothing_begins_after_its_deadline);
    tcase_add_test(c, scan_sees_everything);
    tcase_add_test(c, older_values_are_upgraded);
    tcase_add_test(c, cached_state_has_a_time_to_live);
    tcase_add_test(c, written_and_not_kept);
    tcase_add_test(c, more_keys_than_the_cache);
    tcase_add_test(c, patterns_beyond_the_cache);
    tcase_add_test(c, ids_go_on_after_a_restart);
    tcase_add_test(c, admission_counts_bytes);
    tcase_add_loop_test(c, anything, 0, 12);
}

int main(void)
{
    Suite *s = suite_create("turns");
    TCase *c = tcase_create("turns");
    tcase_set_timeout(c, 60);
    add_tests(c);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
