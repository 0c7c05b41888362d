/* test.looper: an agent that hands the conversation to itself for ever, or to the agent `to` of the message; or lays
 * down the `route` of the message and leaves the next step to that; "bare": it says nothing but where it goes. "way" is
 * how its answer comes: "aside" from another conversation, "later" from a timer, "never", "wide" beside as many
 * messages as a turn may send, "big" with half of what a turn may send, "twice" with an answer that comes too late.
 * test.opener: opens a conversation and answers with how it ended; "here": it leads its own so. */
#include <cvm/cvm.h>
#include <cvm/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WIDE 254
#define BIG (600 * 1024)

/* Its request stays open; `settle_it` ends it. */
static int answer_elsewhere(cvm_turn *t, const cvm_msg *m, const char *way)
{
    char lane[CVM_NAME_MAX + 1];
    if (strcmp(way, "later") == 0)
        CVM_TRY(cvm_timer(t, "settle_it", 50, NULL, m->id, NULL));
    if (strcmp(way, "aside") == 0) {
        snprintf(lane, sizeof lane, "%s-aside", m->conversation);
        cvm_out out = {.size = sizeof out,
                       .kind = CVM_OUT_MESSAGE,
                       .to = "test.looper",
                       .type = "settle_it",
                       .priority = -1,
                       .on_behalf = m->id,
                       .conversation = lane,
                       .data = json_object()};
        CVM_TRY(t->host->emit(t, &out, NULL));
    }
    return CVM_PENDING;
}

static int settle_it(cvm_turn *t, const cvm_msg *m)
{
    return cvm_settle(t, m->on_behalf, CVM_REPLIED, json_pack("{s:s, s:s}", "content", "late", "next", "test.faulty"),
                      NULL);
}

static int nothing(cvm_turn *t, const cvm_msg *m)
{
    (void)t;
    (void)m;
    return CVM_OK;
}

/* Its answer leads to test.faulty, which ends the conversation. */
static int answer_so(cvm_turn *t, const cvm_msg *m, const char *way)
{
    json_t *answer = json_pack("{s:s, s:s}", "content", "so", "next", "test.faulty");
    char *big = strcmp(way, "big") == 0 ? malloc(BIG + 1) : NULL;
    for (int i = 0; strcmp(way, "wide") == 0 && i < WIDE; i++)
        CVM_TRY(cvm_send(t, "test.looper", "nothing", json_object()));
    if (big) {
        memset(big, 'x', BIG);
        big[BIG] = 0;
        json_object_set_new(answer, "structured_data", json_pack("{s:s}", "big", big));
        free(big);
    }
    CVM_TRY(cvm_reply(t, m, answer));
    if (strcmp(way, "twice") == 0)
        (void)!cvm_reply(t, m, json_pack("{s:s}", "content", "too late"));
    return CVM_OK;
}

static int handle(cvm_turn *t, const cvm_msg *m)
{
    const json_t *data = json_object_get(json_object_get(m->data, "message"), "structured_data");
    const json_t *route = json_object_get(data, "route");
    const char *way = cvm_json_str(data, "way", "");
    if (strcmp(way, "aside") == 0 || strcmp(way, "later") == 0 || strcmp(way, "never") == 0)
        return answer_elsewhere(t, m, way);
    if (*way)
        return answer_so(t, m, way);
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
    if (cvm_json_bool(m->data, "here", false))
        opts = (cvm_request_opts){.on_behalf = m->id};
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
static const cvm_route routes[] = {{"test.looper", "handle", handle},        {"test.looper", "settle_it", settle_it},
                                   {"test.looper", "nothing", nothing},      {"test.opener", "open", open_one},
                                   {"test.opener", "converse.reply", ended}, {0}};

CVM_PLUGIN(.name = "looper", .version = "1.0.0", .components = components, .routes = routes);
