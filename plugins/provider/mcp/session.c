/* See mcp.h: the session with the server, from initialize to the tool that is looked for. What waits for it is woken
 * when it stands and when it cannot be had. After a failure the server is left alone for a while that doubles, and
 * whoever asks meanwhile hears at once what it was. Loop thread. */
#include "mcp.h"

#include <inttypes.h>
#include <stdio.h>

#define PAGES_MAX 20 /* of tools/list */
#define NAMES_MAX 12 /* of other tools, told where ours is missing */
#define OPENING_MS 60000
#define HOLD_FIRST_MS 500
#define HOLD_MOST_MS 60000
#define SESSION_ID_MAX 512
#define CURSOR_MAX 4096

static const char *const settings_used[] = {"url", "tool", "arguments"};

/* What a session was opened for: with other settings it is another's. Copies, as it is kept longer than the settings.
 */
static json_t *wanted(cvm_turn *t)
{
    json_t *now = json_object();
    for (size_t i = 0; i < sizeof settings_used / sizeof *settings_used; i++)
        json_object_set_new(now, settings_used[i], json_deep_copy(json_object_get(cvm_settings(t), settings_used[i])));
    return now;
}

int session_look(cvm_turn *t, enum session_state *ret_state, const json_t **ret_session)
{
    const json_t *s = NULL;
    int e = cvm_state_get(t, "session", &s);
    if (e < 0 && e != CVM_ENOENT)
        return e;
    json_t *now = wanted(t);
    bool same = json_equal(now, json_object_get(s, "settings"));
    json_decref(now);
    const char *state = same ? cvm_json_str(s, "state", "") : "";
    int64_t until = cvm_json_int(s, "until_ms", 0);
    *ret_session = s;
    *ret_state = !strcmp(state, "open")                               ? SESSION_OPEN
                 : !strcmp(state, "opening") && until > cvm_now_ms(t) ? SESSION_OPENING
                 : !strcmp(state, "failed") && until > cvm_now_ms(t)  ? SESSION_FAILED
                                                                      : SESSION_NONE;
    return CVM_OK;
}

int session_want(cvm_turn *t, cvm_id ask)
{
    char key[64];
    json_t *waiting = NULL;
    CVM_TRY(cvm_state_scan(t, "waiting/", NULL, MCP_WAITING_MAX, &waiting));
    size_t n = json_array_size(waiting);
    json_decref(waiting);
    if (n >= MCP_WAITING_MAX)
        return CVM_EBUSY;
    ask_key("waiting", ask, key);
    CVM_TRY(cvm_state_put(t, key, json_object()));
    cvm_out out = {.size = sizeof out,
                   .kind = CVM_OUT_MESSAGE,
                   .to = MCP,
                   .type = "open",
                   .conversation = MCP_LANE,
                   .priority = -1};
    return t->host->emit(t, &out, NULL);
}

int session_lost(cvm_turn *t, int64_t epoch)
{
    const json_t *s = NULL;
    int e = cvm_state_get(t, "session", &s);
    if (e < 0)
        return e == CVM_ENOENT ? CVM_OK : e;
    if (cvm_json_int(s, "epoch", 0) != epoch || strcmp(cvm_json_str(s, "state", ""), "open"))
        return CVM_OK; /* somebody else has noticed */
    json_t *gone = json_copy((json_t *)(uintptr_t)s);
    json_object_set_new(gone, "state", json_string("none"));
    return cvm_state_put(t, "session", gone);
}

bool session_unknown(const json_t *session, const struct rpc_answer *a)
{
    if (!*cvm_json_str(session, "id", ""))
        return false;
    return a->status == 404 || (a->status == 400 && a->end == RPC_ERROR && a->code == -32000);
}

/* ---- calls ---- */

int session_call(cvm_turn *t, const json_t *session, const char *name, const char *method, json_t *params,
                 const char *id, cvm_id on_behalf, int64_t deadline_ms)
{
    const char *sid = cvm_json_str(session, "id", ""), *protocol = cvm_json_str(session, "protocol", ""), *token;
    bool stateless = cvm_json_bool(session, "stateless", false);
    int64_t now = cvm_now_ms(t), timeout = cvm_json_int(cvm_settings(t), "timeout_ms", 8000);
    json_t *headers = json_pack("{s:s}", "Accept", "application/json, text/event-stream");
    if (cvm_secret(t, MCP_SECRET, &token) == CVM_OK)
        json_object_set_new(headers, "Authorization", json_string("Bearer ${" MCP_SECRET "}"));
    if (*sid)
        json_object_set_new(headers, "Mcp-Session-Id", json_string(sid));
    if (*protocol)
        json_object_set_new(headers, "MCP-Protocol-Version", json_string(protocol));
    if (stateless)
        json_object_set_new(headers, "Mcp-Method", json_string(method));
    if (stateless && !strcmp(method, "tools/call"))
        json_object_set(headers, "Mcp-Name", json_object_get(params, "name"));
    if (deadline_ms && deadline_ms - now < timeout)
        timeout = deadline_ms - now > 1 ? deadline_ms - now : 1;
    return cvm_http_call(t,
                         &(cvm_call){.size = sizeof(cvm_call),
                                     .name = name,
                                     .headers = headers,
                                     .body = rpc_request(id, method, params, stateless),
                                     .on_behalf = on_behalf,
                                     .timeout_ms = timeout,
                                     .deadline_ms = now + timeout},
                         NULL);
}

void session_judge(const cvm_msg *m, const struct rpc_answer *a, struct mcp_fault *ret, char *ret_text, size_t size)
{
    int64_t status = a->status;
    const char *said = a->text;
    if (m->outcome == CVM_TIMEOUT) {
        *ret = (struct mcp_fault){"TIMEOUT", "timeout_ms", ret_text};
        snprintf(ret_text, size, "the server did not answer in time");
    } else if (m->outcome != CVM_REPLIED) {
        *ret = (struct mcp_fault){"UNREACHABLE", "url", ret_text};
        snprintf(ret_text, size, "the server cannot be reached: %.200s", cvm_json_str(m->data, "message", "no reason"));
    } else if (status == 401 || status == 403) {
        *ret = (struct mcp_fault){"UNAUTHORIZED", NULL, ret_text};
        snprintf(ret_text, size,
                 "the server refuses us (HTTP %" PRId64 "): the secret " MCP_SECRET " is not set or not the right one",
                 status);
    } else if (status == 429 || status == 503) {
        *ret = (struct mcp_fault){"BUSY", NULL, ret_text};
        snprintf(ret_text, size, "the server is busy (HTTP %" PRId64 ")", status);
    } else if (a->end == RPC_ERROR) {
        const char *setting = a->code == -32602 ? "arguments" : NULL;
        *ret = (struct mcp_fault){"SERVER_ERROR", setting, ret_text};
        snprintf(ret_text, size, "the server answers with an error: %s", said);
    } else {
        *ret = (struct mcp_fault){"PROTOCOL", "url", ret_text};
        snprintf(ret_text, size, "no Model Context Protocol is spoken there: %s", said);
    }
}

/* ---- opening ---- */

static cvm_id epoch_id(int64_t epoch)
{
    return (cvm_id){1, (uint64_t)epoch};
}

static void epoch_name(int64_t epoch, const char *step, char id[RPC_ID_SIZE])
{
    snprintf(id, RPC_ID_SIZE, "%.8s-%" PRId64, step, epoch);
}

static int wake_all(cvm_turn *t)
{
    json_t *waiting = NULL, *pair;
    size_t i;
    int e = cvm_state_scan(t, "waiting/", NULL, MCP_WAITING_MAX, &waiting);
    json_array_foreach(waiting, i, pair)
    {
        const char *key = json_string_value(json_array_get(pair, 0)), *hex = key + strlen("waiting/");
        char ask[64];
        const json_t *kept = NULL;
        snprintf(ask, sizeof ask, "ask/%.40s", hex);
        if (e >= 0)
            e = cvm_state_del(t, key);
        if (e < 0 || cvm_state_get(t, ask, &kept) < 0)
            continue;
        cvm_out out = {.size = sizeof out,
                       .kind = CVM_OUT_MESSAGE,
                       .to = MCP,
                       .type = "go",
                       .priority = -1,
                       .data = json_pack("{s:s}", "ask", hex),
                       .conversation = cvm_json_str(kept, "conversation", MCP_LANE)};
        e = t->host->emit(t, &out, NULL);
    }
    json_decref(waiting);
    return e < 0 ? e : CVM_OK;
}

static int fail(cvm_turn *t, const json_t *s, const struct mcp_fault *fault)
{
    json_t *failed = json_copy((json_t *)(uintptr_t)s);
    int64_t failures = cvm_json_int(s, "failures", 0) + 1, hold = HOLD_FIRST_MS;
    for (int64_t i = 1; i < failures && hold < HOLD_MOST_MS; i++)
        hold *= 2;
    hold = hold > HOLD_MOST_MS ? HOLD_MOST_MS : hold;
    cvm_log(t, CVM_LOG_WARNING, "no session (%s)%s%s; tried again in %lld ms", fault->code,
            fault->setting ? ": look at the setting " : "", fault->setting ? fault->setting : "", (long long)hold);
    json_object_set_new(failed, "state", json_string("failed"));
    json_object_set_new(failed, "failures", json_integer(failures));
    json_object_set_new(failed, "until_ms", json_integer(cvm_now_ms(t) + hold));
    json_object_set_new(
        failed, "error",
        json_pack("{s:s, s:s, s:s?}", "code", fault->code, "message", fault->text, "setting", fault->setting));
    CVM_TRY(cvm_state_put(t, "session", failed));
    CVM_TRY(cvm_metric(t, "mcp_up", NULL, 0));
    return wake_all(t);
}

int session_open(cvm_turn *t, const cvm_msg *m)
{
    enum session_state state;
    const json_t *s = NULL;
    char id[RPC_ID_SIZE];
    (void)m;
    CVM_TRY(session_look(t, &state, &s));
    if (state == SESSION_OPENING)
        return CVM_OK;
    if (state != SESSION_NONE)
        return wake_all(t);
    int64_t epoch = cvm_json_int(s, "epoch", 0) + 1;
    json_t *opening = json_pack("{s:s, s:I, s:o, s:I, s:I}", "state", "opening", "epoch", (json_int_t)epoch, "settings",
                                wanted(t), "failures", (json_int_t)cvm_json_int(s, "failures", 0), "until_ms",
                                (json_int_t)(cvm_now_ms(t) + OPENING_MS));
    epoch_name(epoch, "init", id);
    int e = session_call(t, NULL, "initialize", "initialize", NULL, id, epoch_id(epoch), 0);
    if (e == CVM_ENOENT)
        e = fail(t, opening, &(struct mcp_fault){"NOT_CONFIGURED", "url", "the setting is empty"});
    else if (e >= 0)
        e = cvm_state_put(t, "session", json_incref(opening));
    json_decref(opening);
    return e;
}

/* The session that an answer belongs to; NULL: it is over, the answer says nothing any more. */
static int of_answer(cvm_turn *t, const cvm_msg *m, const char *step, struct rpc_answer *ret,
                     const json_t **ret_session)
{
    const json_t *s = NULL;
    char id[RPC_ID_SIZE];
    int e = cvm_state_get(t, "session", &s);
    if (e < 0)
        return e == CVM_ENOENT ? CVM_OK : e;
    int64_t epoch = cvm_json_int(s, "epoch", 0);
    if (!cvm_id_eq(m->on_behalf, epoch_id(epoch)) || strcmp(cvm_json_str(s, "state", ""), "opening"))
        return CVM_OK;
    epoch_name(epoch, step, id);
    if (m->outcome == CVM_REPLIED)
        rpc_read(m->data, id, ret);
    *ret_session = s;
    return CVM_OK;
}

static int fail_answer(cvm_turn *t, const cvm_msg *m, const json_t *s, const struct rpc_answer *a)
{
    char text[RPC_TEXT_SIZE];
    struct mcp_fault fault;
    session_judge(m, a, &fault, text, sizeof text);
    return fail(t, s, &fault);
}

static int list_tools(cvm_turn *t, const json_t *s, const char *cursor)
{
    char id[RPC_ID_SIZE];
    int64_t epoch = cvm_json_int(s, "epoch", 0);
    epoch_name(epoch, "tools", id);
    return session_call(t, s, "tools", "tools/list", *cursor ? json_pack("{s:s}", "cursor", cursor) : NULL, id,
                        epoch_id(epoch), 0);
}

/* A server of the newer generation knows no initialize: it says so, or which versions it speaks. */
static bool is_stateless(const struct rpc_answer *a)
{
    const json_t *one;
    size_t i;
    if (a->end != RPC_ERROR)
        return false;
    json_array_foreach(json_object_get(a->data, "supported"), i,
                       one) if (json_is_string(one) && !strcmp(json_string_value(one), MCP_STATELESS)) return true;
    return a->code == -32601;
}

/* A text of a header, as it may stand in one of ours. */
static bool is_visible(const char *text, size_t most)
{
    size_t n = strlen(text);
    for (size_t i = 0; i < n; i++)
        if (text[i] < 0x21 || text[i] > 0x7e)
            return false;
    return n <= most;
}

/* What initialize said, into the session. False: fault. */
static bool keep_agreement(json_t *s, const cvm_msg *m, const struct rpc_answer *a, struct mcp_fault *ret, char *text,
                           size_t size)
{
    const char *version = cvm_json_str(a->result, "protocolVersion", "");
    const char *sid = cvm_json_str(json_object_get(m->data, "headers"), "mcp-session-id", "");
    const json_t *server = json_object_get(a->result, "serverInfo");
    *ret = (struct mcp_fault){"PROTOCOL", "url", text};
    if (!rpc_speaks(version)) {
        snprintf(text, size, "the server speaks version \"%.40s\" of the protocol, which is not known here", version);
        return false;
    }
    if (!json_is_object(json_object_get(json_object_get(a->result, "capabilities"), "tools"))) {
        snprintf(text, size, "the server offers no tools");
        return false;
    }
    if (!is_visible(sid, SESSION_ID_MAX)) {
        snprintf(text, size, "the server's Mcp-Session-Id is too long, or no visible text");
        return false;
    }
    json_object_set_new(s, "id", json_string(sid));
    json_object_set_new(s, "protocol", json_string(version));
    json_object_set_new(s, "server",
                        json_pack("{s:s, s:s}", "name", cvm_json_str(server, "name", ""), "version",
                                  cvm_json_str(server, "version", "")));
    return true;
}

int session_initialized(cvm_turn *t, const cvm_msg *m)
{
    struct rpc_answer a = {0};
    const json_t *s = NULL;
    struct mcp_fault fault;
    char text[RPC_TEXT_SIZE];
    int e = of_answer(t, m, "init", &a, &s);
    if (e < 0 || !s)
        return e;
    json_t *agreed = json_copy((json_t *)(uintptr_t)s);
    if (m->outcome != CVM_REPLIED || (a.end != RPC_RESULT && !is_stateless(&a))) {
        e = fail_answer(t, m, s, &a);
    } else if (a.end != RPC_RESULT) {
        json_object_set_new(agreed, "stateless", json_true());
        json_object_set_new(agreed, "protocol", json_string(MCP_STATELESS));
        e = cvm_state_put(t, "session", json_incref(agreed));
        if (e >= 0)
            e = list_tools(t, agreed, "");
    } else if (!keep_agreement(agreed, m, &a, &fault, text, sizeof text)) {
        e = fail(t, s, &fault);
    } else {
        e = cvm_state_put(t, "session", json_incref(agreed));
        if (e >= 0)
            e = session_call(t, agreed, "initialized", "notifications/initialized", NULL, NULL, m->on_behalf, 0);
    }
    json_decref(agreed);
    rpc_answer_fini(&a);
    return e;
}

int session_told(cvm_turn *t, const cvm_msg *m)
{
    struct rpc_answer a = {0};
    const json_t *s = NULL;
    int64_t status = cvm_json_int(m->data, "status", 0);
    int e = of_answer(t, m, "none", &a, &s);
    if (e >= 0 && s)
        e = m->outcome == CVM_REPLIED && status >= 200 && status < 300 ? list_tools(t, s, "")
                                                                       : fail_answer(t, m, s, &a);
    rpc_answer_fini(&a);
    return e;
}

/* ---- the tool ---- */

/* The tool of that name on this page; else notes names of others. */
static const json_t *find_tool(const json_t *page, const char *name, json_t *names)
{
    const json_t *tool;
    size_t i;
    json_array_foreach(json_object_get(page, "tools"), i, tool)
    {
        const char *its = cvm_json_str(tool, "name", "");
        if (!strcmp(its, name))
            return tool;
        if (json_array_size(names) < NAMES_MAX && strlen(its) <= 64)
            json_array_append_new(names, json_string(its));
    }
    return NULL;
}

static int no_tool(cvm_turn *t, const json_t *s, const char *name, const json_t *names)
{
    char text[RPC_TEXT_SIZE * 2];
    size_t i, n = (size_t)snprintf(text, sizeof text, "the server has no tool \"%.80s\"; it has: %s", name,
                                   json_array_size(names) ? "" : "none");
    const json_t *one;
    json_array_foreach((json_t *)(uintptr_t)names, i, one) if (n < sizeof text) n +=
        (size_t)snprintf(text + n, sizeof text - n, "%s%.64s", i ? ", " : "", json_string_value(one));
    return fail(t, s, &(struct mcp_fault){"NO_TOOL", "tool", text});
}

static int stands(cvm_turn *t, json_t *s)
{
    json_object_set_new(s, "state", json_string("open"));
    json_object_set_new(s, "failures", json_integer(0));
    json_object_del(s, "names");
    CVM_TRY(cvm_state_put(t, "session", json_incref(s)));
    CVM_TRY(cvm_metric(t, "mcp_up", NULL, 1));
    return wake_all(t);
}

/* `s` is a copy of the session. */
static int read_page(cvm_turn *t, const json_t *page, json_t *s)
{
    const char *name = cvm_json_str(cvm_settings(t), "tool", ""), *next = cvm_json_str(page, "nextCursor", "");
    json_t *names = json_deep_copy(json_object_get(s, "names"));
    char fault[MAP_FAULT_SIZE];
    int64_t pages = cvm_json_int(s, "pages", 0) + 1;
    if (!names)
        names = json_array();
    const json_t *tool = find_tool(page, name, names);
    json_object_set_new(s, "names", names);
    json_object_set_new(s, "pages", json_integer(pages));
    if (tool) {
        json_t *template = map_template(cvm_settings(t));
        bool fits = map_fits(json_object_get(tool, "inputSchema"), template, fault);
        json_decref(template);
        return fits ? stands(t, s) : fail(t, s, &(struct mcp_fault){"ARGUMENTS", "arguments", fault});
    }
    if (!*next || pages >= PAGES_MAX || strlen(next) > CURSOR_MAX)
        return no_tool(t, s, name, names);
    CVM_TRY(cvm_state_put(t, "session", json_incref(s)));
    return list_tools(t, s, next);
}

int session_tools(cvm_turn *t, const cvm_msg *m)
{
    struct rpc_answer a = {0};
    const json_t *s = NULL;
    int e = of_answer(t, m, "tools", &a, &s);
    if (e >= 0 && s) {
        json_t *copy = json_copy((json_t *)(uintptr_t)s);
        e = m->outcome == CVM_REPLIED && a.end == RPC_RESULT ? read_page(t, a.result, copy) : fail_answer(t, m, s, &a);
        json_decref(copy);
    }
    rpc_answer_fini(&a);
    return e;
}

/* ---- how it is ---- */

int session_status(cvm_turn *t, const cvm_msg *m)
{
    static const char *const states[] = {"none", "opening", "open", "failed"};
    enum session_state state;
    const json_t *s = NULL;
    CVM_TRY(session_look(t, &state, &s));
    const json_t *server = json_object_get(s, "server"), *error = json_object_get(s, "error");
    bool set = *cvm_json_str(cvm_settings(t), "url", "") && *cvm_json_str(cvm_settings(t), "tool", "");
    bool failed = state == SESSION_FAILED || (state == SESSION_NONE && !strcmp(cvm_json_str(s, "state", ""), "failed"));
    return cvm_reply(t, m,
                     json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "state", set ? states[state] : "not set up",
                               "url", cvm_json_str(cvm_settings(t), "url", ""), "tool",
                               cvm_json_str(cvm_settings(t), "tool", ""), "protocol",
                               state == SESSION_OPEN ? cvm_json_str(s, "protocol", "") : "", "server",
                               cvm_json_str(server, "name", ""), "server_version", cvm_json_str(server, "version", ""),
                               "error", failed ? cvm_json_str(error, "message", "") : "", "setting",
                               failed ? cvm_json_str(error, "setting", "") : ""));
}
