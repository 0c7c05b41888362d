/* See rpc.h. An answer comes as a JSON object or as a stream of events, in which requests and notifications of the
 * server may stand before it: these are passed over, since nothing was offered that a server could ask for. */
#include "rpc.h"

#include "../common/sse.h"

#include <stdio.h>

static json_t *client_info(void)
{
    return json_pack("{s:s, s:s}", "name", "cvmhost", "version", "1.0.0");
}

bool rpc_speaks(const char *version)
{
    static const char *const all[] = {MCP_NEWEST, "2025-06-18", "2025-03-26"};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (!strcmp(version, all[i]))
            return true;
    return false;
}

json_t *rpc_request(const char *id, const char *method, json_t *params, bool stateless)
{
    if (!params)
        params = json_object();
    if (!strcmp(method, "initialize")) {
        json_object_set_new(params, "protocolVersion", json_string(MCP_NEWEST));
        json_object_set_new(params, "capabilities", json_object());
        json_object_set_new(params, "clientInfo", client_info());
    }
    if (stateless)
        json_object_set_new(params, "_meta",
                            json_pack("{s:s, s:o, s:{}}", "io.modelcontextprotocol/protocolVersion", MCP_STATELESS,
                                      "io.modelcontextprotocol/clientInfo", client_info(),
                                      "io.modelcontextprotocol/clientCapabilities"));
    return json_pack("{s:s, s:s*, s:s, s:o}", "jsonrpc", "2.0", "id", id, "method", method, "params", params);
}

/* ---- answers ---- */

struct finding {
    const char *id;
    json_t *found; /* owned */
};

static bool is_answer(const json_t *one, const char *id)
{
    const json_t *its = json_object_get(one, "id"), *error = json_object_get(one, "error");
    if (!its || json_is_null(its))
        return error != NULL; /* a server that did not read the request knows no id */
    return (error || json_object_get(one, "result")) && json_is_string(its) && !strcmp(json_string_value(its), id);
}

static void look_at(struct finding *f, const json_t *message)
{
    const json_t *one;
    size_t i;
    if (json_is_array(message)) { /* a batch, which 2025-03-26 allowed */
        json_array_foreach((json_t *)(uintptr_t)message, i, one) look_at(f, json_is_array(one) ? NULL : one);
    } else if (!f->found && is_answer(message, f->id)) {
        f->found = cvm_json_share(message);
    }
}

static int on_event(void *arg, const char *data, size_t len)
{
    struct finding *f = arg;
    json_t *message = f->found ? NULL : json_loadb(data, len, 0, NULL);
    look_at(f, message);
    json_decref(message);
    return 0;
}

static json_t *find_answer(const json_t *reply, const char *id)
{
    struct finding f = {.id = id};
    const json_t *body = json_object_get(reply, "body"), *text = json_object_get(reply, "text");
    struct sse sse;
    look_at(&f, body);
    if (f.found || !json_string_length(text))
        return f.found;
    sse_init(&sse, on_event, &f);
    int e = sse_feed(&sse, json_string_value(text), json_string_length(text));
    if (!e)
        e = sse_feed(&sse, "\n\n", 2); /* the end of the answer ends its last event too */
    sse_fini(&sse);
    if (e < 0) {
        json_decref(f.found);
        f.found = NULL;
    }
    return f.found;
}

static void read_error(const json_t *error, struct rpc_answer *ret)
{
    const json_t *data = json_object_get(error, "data");
    ret->end = RPC_ERROR;
    ret->code = cvm_json_int(error, "code", 0);
    const char *text = cvm_json_str(error, "message", "without a message");
    size_t n = strnlen(text, 301);
    while (n > 300 || (n && ((unsigned char)text[n] & 0xc0) == 0x80)) /* no part of a character at its end */
        n--;
    snprintf(ret->text, sizeof ret->text, "%.*s (%lld)", (int)n, text, (long long)ret->code);
    ret->data = cvm_json_share(data);
}

void rpc_read(const json_t *reply, const char *id, struct rpc_answer *ret)
{
    *ret = (struct rpc_answer){.end = RPC_UNREADABLE, .status = cvm_json_int(reply, "status", 0)};
    json_t *answer = find_answer(reply, id);
    const json_t *error = json_object_get(answer, "error"), *result = json_object_get(answer, "result");
    if (json_is_object(error)) {
        read_error(error, ret);
    } else if (ret->status < 200 || ret->status >= 300) {
        ret->end = RPC_HTTP;
        snprintf(ret->text, sizeof ret->text, "HTTP %lld", (long long)ret->status);
    } else if (json_is_object(result)) {
        ret->end = RPC_RESULT;
        ret->result = cvm_json_share(result);
    } else {
        snprintf(ret->text, sizeof ret->text, "neither JSON nor a stream of events with the answer (HTTP %lld, %.80s)",
                 (long long)ret->status,
                 cvm_json_str(json_object_get(reply, "headers"), "content-type", "no content type"));
    }
    json_decref(answer);
}

void rpc_answer_fini(struct rpc_answer *answer)
{
    json_decref(answer->result);
    json_decref(answer->data);
    *answer = (struct rpc_answer){0};
}
