/* The plugin "support": which messages go where. */
#include "support.h"

static const cvm_component components[] = {{.id = SUPPORT, .state_version = 1}, {0}};
static const cvm_route routes[] = {
    {SUPPORT, "create", create_ticket},
    {SUPPORT, "create_from_words", create_from_words},
    {SUPPORT, "approve", decide_approve},
    {SUPPORT, "approve_from_words", decide_from_words},
    {SUPPORT, "terminate", decide_terminate},
    {SUPPORT, "ask", decide_ask},
    {SUPPORT, "answer", decide_answer},
    {SUPPORT, "reopen", decide_reopen},
    {SUPPORT, "decide", decide_in_lane},
    {SUPPORT, "status", look_status},
    {SUPPORT, "list", look_list},
    {SUPPORT, "read_audit", look_audit},
    {SUPPORT, "audit", audit_message},
    {SUPPORT, "begin", run_begin},
    {SUPPORT, "again", run_again},
    {SUPPORT, "deadline", run_deadline},
    {SUPPORT, "sla", run_sla},
    {SUPPORT, "query.reply", look_answer},
    {SUPPORT, CVM_ANY_REPLY, run_reply},
    {0},
};

static void destroy(void *instance)
{
    (void)instance;
    ticket_forget();
    send_forget();
}

CVM_PLUGIN(.name = "support", .version = "1.0.0", .components = components, .routes = routes, .destroy = destroy);
