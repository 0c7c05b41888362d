/* Language models: who asks one asks `role:llm`. Owns the table of routes; see llm.h. Loop thread. */
#include "llm.h"

/* clang-format off */
#define ENDPOINT(id)                                                                                                   \
    {id, "chat", endpoint_chat}, {id, "complete", endpoint_complete}, {id, "completion.reply", endpoint_completed}

static const cvm_component components[] = {
    {.id = LLM_FRONT, .state_version = 1},           {.id = "provider.llm.openai", .state_version = 1},
    {.id = "provider.llm.hosted", .state_version = 1}, {.id = "provider.llm.local", .state_version = 1},
    {.id = LLM_RULES, .state_version = 1},           {0}};

static const cvm_route routes[] = {
    {LLM_FRONT, "chat", front_chat},
    {LLM_FRONT, "complete.reply", front_completed},
    {LLM_FRONT, "again", front_again},
    {LLM_FRONT, "list_calls", calls_list},
    {LLM_FRONT, "query.reply", calls_listed},
    {LLM_FRONT, "status", calls_status},
    ENDPOINT("provider.llm.openai"), ENDPOINT("provider.llm.hosted"), ENDPOINT("provider.llm.local"),
    {LLM_RULES, "chat", rules_chat},
    {0}};
/* clang-format on */

CVM_PLUGIN(.name = "llm", .version = "1.0.0", .components = components, .routes = routes);
