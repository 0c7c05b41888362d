/* Knowledge: documents, their search, and the agent that answers from them. The table of routes. */
#include "knowledge.h"

/* clang-format off */
static const cvm_component components[] = {
    { .id = KB, .state_version = 1 }, { .id = EMBED_HASH, .state_version = 1 },
    { .id = EMBED_OPENAI, .state_version = 1 }, { .id = RESEARCH, .state_version = 1 }, { 0 }
};

static const cvm_route routes[] = {
    { KB, "start",         sync_start },
    { KB, "host.registry", sync_go_on },
    { KB, "sync",          sync_go_on },
    { KB, "query",         query_ask },
    { KB, "query.reply",   query_reply },
    { KB, "embed.reply",   shelf_embedded },
    { KB, "add",           manage_add },
    { KB, "ingest",        manage_add },
    { KB, "update",        manage_update },
    { KB, "remove",        manage_remove },
    { KB, "list",          manage_list },
    { KB, "show",          manage_show },
    { KB, "versions",      manage_versions },
    { KB, "stats",         manage_stats },
    { KB, "prune",         prune },
    { KB, "prune_step",    prune_step },
    { KB, "prune_take",    prune_take },
    { KB, "monthly_prune", prune_monthly },
    { KB, "found",         query_found },
    { KB, "retrieved",     prune_retrieved },

    { EMBED_HASH, "embed",              embed_hash },
    { EMBED_OPENAI, "embed",            embed_openai },
    { EMBED_OPENAI, "embeddings.reply", embed_openai_reply },

    { RESEARCH, "handle",                research_handle },
    { RESEARCH, "chat.reply",            research_worded },
    { RESEARCH, "search_knowledge_base", research_search },
    { RESEARCH, "search",                research_look },
    { RESEARCH, "vector_search",         research_vector_search },
    { RESEARCH, "document_retrieval",    research_document },
    { RESEARCH, "synthesize_answer",     research_synthesize },
    { RESEARCH, "add_document",          research_add },
    { RESEARCH, "query.reply",           research_found },
    { 0 }
};
/* clang-format on */

static void destroy(void *instance)
{
    (void)instance;
    lexicon_drop();
    query_drop();
    question_drop();
    lines_drop();
}

CVM_PLUGIN(.name = "knowledge", .version = "1.0.0", .components = components, .routes = routes, .destroy = destroy);
