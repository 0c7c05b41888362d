/* See mcp.h: a question on its way. It waits for the session where there is none, is put to the tool, and its answer is
 * made to results. A session that the server has forgotten is opened anew, once for each question. Where all of it
 * fails, another knowledge base answers if the setting `fallback` names one; else the error says what to look at. Loop
 * thread. */
#include "mcp.h"

#include <inttypes.h>
#include <stdio.h>

void ask_key(const char *kind, cvm_id ask, char ret_key[64])
{
    snprintf(ret_key, 64, "%.12s/%016" PRIx64 "%016" PRIx64, kind, ask.hi, ask.lo);
}

static int load(cvm_turn *t, cvm_id id, const json_t **ret_ask)
{
    char key[64];
    ask_key("ask", id, key);
    int e = cvm_state_get(t, key, ret_ask);
    return e == CVM_ENOENT ? CVM_OK : e;
}

static int save(cvm_turn *t, cvm_id id, json_t *ask) /* takes */
{
    char key[64];
    ask_key("ask", id, key);
    return cvm_state_put(t, key, ask);
}

/* ---- the end ---- */

/* Takes `data`. */
static int end(cvm_turn *t, cvm_id id, const json_t *ask, int outcome, json_t *data)
{
    char key[64];
    bool own = cvm_json_bool(ask, "own", false);
    const json_t *with = json_object_get(json_object_get(ask, "data"), "with");
    if (outcome == CVM_REPLIED && with)
        json_object_set(data, "with", (json_t *)(uintptr_t)with);
    ask_key("ask", id, key);
    int e = cvm_state_del(t, key);
    if (e < 0) {
        json_decref(data);
        return e;
    }
    e = cvm_settle(t, id, outcome, data, NULL);
    if (e < 0 && e != CVM_ENOENT) /* that nobody waits any more is no fault */
        return e;
    return own ? cvm_end(t) : CVM_OK;
}

static json_t *error_data(const char *code, const char *setting, const char *text)
{
    char message[1400];
    if (setting)
        snprintf(message, sizeof message,
                 "The knowledge base behind MCP cannot answer; look at agents." MCP ".settings.%s: %s.", setting, text);
    else
        snprintf(message, sizeof message, "The knowledge base behind MCP cannot answer: %s.", text);
    return json_pack("{s:s, s:s, s:s?}", "code", code, "message", message, "setting", setting);
}

/* Another answers, or nobody. */
static int fail(cvm_turn *t, cvm_id id, const json_t *ask, const struct mcp_fault *fault)
{
    const char *other = cvm_json_str(cvm_settings(t), "fallback", "");
    json_t *error = error_data(fault->code, fault->setting, fault->text);
    CVM_TRY(cvm_metric(t, "mcp_calls_total", "failed", 1));
    if (*other && strcmp(other, MCP)) {
        json_t *kept = json_copy((json_t *)(uintptr_t)ask), *data = json_copy(json_object_get(ask, "data"));
        json_object_set(kept, "error", error);
        json_object_del(data, "with");
        int e = save(t, id, kept);
        if (e >= 0)
            e = cvm_request(t, other, "query", data, &(cvm_request_opts){.on_behalf = id, .timeout_ms = 10000});
        else
            json_decref(data);
        if (e != CVM_ENOENT && e != CVM_EACCES) {
            json_decref(error);
            return e;
        }
    }
    return end(t, id, ask, CVM_ERROR, error);
}

int ask_otherwise(cvm_turn *t, const cvm_msg *m)
{
    const json_t *ask = NULL;
    CVM_TRY(load(t, m->on_behalf, &ask));
    if (!ask)
        return CVM_OK;
    const json_t *error = json_object_get(ask, "error");
    if (m->outcome != CVM_REPLIED)
        return end(t, m->on_behalf, ask, CVM_ERROR, cvm_json_share(error));
    json_t *answer = json_copy((json_t *)(uintptr_t)m->data);
    json_object_set_new(answer, "answered_by", json_string(m->sender));
    json_object_set(answer, "fallback", (json_t *)(uintptr_t)error);
    return end(t, m->on_behalf, ask, CVM_REPLIED, answer);
}

/* ---- on its way ---- */

static int put_question(cvm_turn *t, cvm_id id, const json_t *ask, const json_t *session)
{
    char rpc_id[RPC_ID_SIZE];
    int64_t deadline_ms = cvm_json_int(ask, "deadline_ms", 0); /* before it is exchanged */
    json_t *sent = json_copy((json_t *)(uintptr_t)ask);
    json_t *template = map_template(cvm_settings(t));
    json_t *params = json_pack("{s:s, s:o}", "name", cvm_json_str(cvm_settings(t), "tool", ""), "arguments",
                               map_arguments(template, json_object_get(ask, "data")));
    json_decref(template);
    json_object_set_new(sent, "epoch", json_integer(cvm_json_int(session, "epoch", 0)));
    json_object_set(sent, "session", json_object_get(session, "id"));
    json_object_set_new(sent, "since_ms", json_integer(cvm_now_ms(t)));
    snprintf(rpc_id, sizeof rpc_id, "%016" PRIx64 "%016" PRIx64, id.hi, id.lo);
    int e = save(t, id, sent);
    if (e < 0) {
        json_decref(params);
        return e;
    }
    return session_call(t, session, "call", "tools/call", params, rpc_id, id, deadline_ms);
}

static int go_on(cvm_turn *t, cvm_id id, const json_t *ask)
{
    enum session_state state;
    const json_t *session = NULL;
    CVM_TRY(session_look(t, &state, &session));
    if (state == SESSION_OPEN)
        return put_question(t, id, ask, session);
    if (state == SESSION_FAILED) {
        const json_t *error = json_object_get(session, "error");
        return fail(t, id, ask,
                    &(struct mcp_fault){cvm_json_str(error, "code", "UNREACHABLE"),
                                        cvm_json_str(error, "setting", NULL),
                                        cvm_json_str(error, "message", "there is no session")});
    }
    int e = session_want(t, id);
    if (e == CVM_EBUSY)
        return fail(t, id, ask, &(struct mcp_fault){"BUSY", NULL, "too many questions wait for the server"});
    return e < 0 ? e : save(t, id, cvm_json_share(ask));
}

/* A look-up without a conversation gets one, as what is sent to the server has a record. */
static int in_conversation(cvm_turn *t, const cvm_msg *m)
{
    char lane[64];
    ask_key("mcp", m->id, lane);
    cvm_out out = {.size = sizeof out,
                   .kind = CVM_OUT_FORWARD,
                   .to = MCP,
                   .type = "query",
                   .request = m->id,
                   .data = cvm_json_share(m->data),
                   .conversation = lane,
                   .fresh = 1,
                   .priority = -1};
    CVM_TRY(t->host->emit(t, &out, NULL));
    return CVM_PENDING;
}

int ask_query(cvm_turn *t, const cvm_msg *m)
{
    const json_t *settings = cvm_settings(t);
    const char *missing = !*cvm_json_str(settings, "url", "")    ? "url"
                          : !*cvm_json_str(settings, "tool", "") ? "tool"
                                                                 : NULL;
    if (json_object_get(m->data, "more"))
        return cvm_refuse(t, "ONE_QUESTION", "more", "A server's tool takes one question: ask each by itself.");
    if (!*m->conversation)
        return in_conversation(t, m);
    bool own = !strncmp(m->conversation, "mcp/", 4);
    json_t *ask = json_pack("{s:O, s:s, s:b, s:I}", "data", m->data, "conversation", m->conversation, "own", own,
                            "deadline_ms", (json_int_t)m->deadline_ms);
    int e = missing ? fail(t, m->id, ask, &(struct mcp_fault){"NOT_CONFIGURED", missing, "it is not set"})
                    : go_on(t, m->id, ask);
    json_decref(ask);
    return e < 0 ? e : CVM_PENDING;
}

int ask_go(cvm_turn *t, const cvm_msg *m)
{
    cvm_id id = {0, 0};
    const json_t *ask = NULL;
    if (sscanf(cvm_json_str(m->data, "ask", ""), "%16" SCNx64 "%16" SCNx64, &id.hi, &id.lo) != 2)
        return CVM_OK;
    CVM_TRY(load(t, id, &ask));
    return ask ? go_on(t, id, ask) : CVM_OK;
}

/* ---- the answer ---- */

static int again(cvm_turn *t, cvm_id id, const json_t *ask)
{
    json_t *kept = json_copy((json_t *)(uintptr_t)ask);
    json_object_set_new(kept, "again", json_true());
    int e = session_lost(t, cvm_json_int(ask, "epoch", 0));
    if (e >= 0)
        e = go_on(t, id, kept);
    json_decref(kept);
    return e;
}

static int answered(cvm_turn *t, const cvm_msg *m, const json_t *ask, const json_t *result)
{
    char text[MAP_FAULT_SIZE], fault[MAP_FAULT_SIZE];
    if (cvm_json_bool(result, "isError", false)) {
        map_text(result, text, 300);
        snprintf(fault, sizeof fault, "the tool failed: %s", text);
        return fail(t, m->on_behalf, ask, &(struct mcp_fault){"TOOL_FAILED", NULL, fault});
    }
    if (!strcmp(cvm_json_str(result, "resultType", ""), "input_required"))
        return fail(t, m->on_behalf, ask,
                    &(struct mcp_fault){"TOOL_FAILED", "tool", "the tool wants to ask back, which nobody can answer"});
    json_t *results =
        map_results(cvm_settings(t), result, (size_t)cvm_json_int(json_object_get(ask, "data"), "top_k", 5), fault);
    if (!results)
        return fail(t, m->on_behalf, ask, &(struct mcp_fault){"RESULT", "result", fault});
    json_object_set(results, "query", json_object_get(json_object_get(ask, "data"), "query"));
    json_object_set_new(results, "answered_by", json_string(MCP));
    int e = cvm_metric(t, "mcp_calls_total", "answered", 1);
    if (e >= 0)
        e = cvm_metric(t, "mcp_seconds", NULL,
                       (double)(cvm_now_ms(t) - cvm_json_int(ask, "since_ms", cvm_now_ms(t))) / 1000);
    if (e < 0) {
        json_decref(results);
        return e;
    }
    return end(t, m->on_behalf, ask, CVM_REPLIED, results);
}

int ask_called(cvm_turn *t, const cvm_msg *m)
{
    struct rpc_answer a = {0};
    const json_t *ask = NULL;
    char id[RPC_ID_SIZE], text[RPC_TEXT_SIZE];
    struct mcp_fault fault;
    CVM_TRY(load(t, m->on_behalf, &ask));
    if (!ask)
        return CVM_OK;
    snprintf(id, sizeof id, "%016" PRIx64 "%016" PRIx64, m->on_behalf.hi, m->on_behalf.lo);
    if (m->outcome == CVM_REPLIED)
        rpc_read(m->data, id, &a);
    json_t *session = json_pack("{s:s}", "id", cvm_json_str(ask, "session", "")); /* that it was put in */
    int e;
    if (m->outcome == CVM_REPLIED && a.end == RPC_RESULT) {
        e = answered(t, m, ask, a.result);
    } else if (m->outcome == CVM_REPLIED && session_unknown(session, &a)) {
        static const struct mcp_fault lost = {"SESSION_LOST", NULL, "the server forgets each session at once"};
        e = cvm_json_bool(ask, "again", false) ? fail(t, m->on_behalf, ask, &lost) : again(t, m->on_behalf, ask);
    } else {
        session_judge(m, &a, &fault, text, sizeof text);
        e = fail(t, m->on_behalf, ask, &fault);
    }
    json_decref(session);
    rpc_answer_fini(&a);
    return e;
}
