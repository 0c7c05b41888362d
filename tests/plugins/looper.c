/* test.looper: an agent that hands the conversation to itself for ever, or to the agent `to` of the message; or lays
 * down the `route` of the message and leaves the next step to that; "bare": it says nothing but where it goes.
 * test.opener: opens a conversation and answers with how it ended. */
#include <cvm/cvm.h>
#include <cvm/json.h>

static int handle(cvm_turn *t, const cvm_msg *m)
{
    const json_t *data = json_object_get(json_object_get(m->data, "message"), "structured_data");
    const json_t *route = json_object_get(data, "route");
    if (route) {
        CVM_TRY(cvm_context_set(t, "/route", cvm_json_share(route)));
        return cvm_reply(t, m, json_pack("{s:s}", "content", "by the route"));
    }
    if (cvm_json_bool(data, "bare", false))
        return cvm_reply(t, m, json_pack("{s:s}", "next", cvm_json_str(data, "to", "test.looper")));
    json_t *kept = json_object();
    json_object_update(kept, (json_t *)(uintptr_t)data);
    return cvm_reply(t, m,
                     json_pack("{s:s, s:o, s:s, s:b}", "content", "again", "structured_data", kept, "next",
                               cvm_json_str(data, "to", "test.looper"), "end", 0));
}

static int open_one(cvm_turn *t, const cvm_msg *m)
{
    char id[CVM_SHORT_ID_SIZE];
    CVM_TRY(cvm_new_id(t, "ENQ", id));
    cvm_request_opts opts = {.on_behalf = m->id, .conversation = id, .fresh = true, .enquiry_id = id};
    json_t *passed = json_object();
    json_object_update(passed, (json_t *)(uintptr_t)m->data);
    CVM_TRY(cvm_request(t, "host.conversation", "converse",
                        json_pack("{s:s, s:{s:s, s:o}}", "first", cvm_json_str(m->data, "first", "test.looper"),
                                  "message", "content", "begin", "structured_data", passed),
                        &opts));
    return CVM_PENDING;
}

static int ended(cvm_turn *t, const cvm_msg *m)
{
    return cvm_settle(t, m->on_behalf, m->outcome, cvm_json_share(m->data), m->content);
}

static const cvm_component components[] = {
    {.id = "test.looper", .state_version = 1}, {.id = "test.opener", .state_version = 1}, {0}};
static const cvm_route routes[] = {{"test.looper", "handle", handle},
                                   {"test.opener", "open", open_one},
                                   {"test.opener", "converse.reply", ended},
                                   {0}};

CVM_PLUGIN(.name = "looper", .version = "1.0.0", .components = components, .routes = routes);
