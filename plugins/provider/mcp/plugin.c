/* The library's descriptor; see mcp.h. */
#include "mcp.h"

static const cvm_component components[] = {{.id = MCP, .state_version = 1}, {0}};

/* clang-format off */
static const cvm_route routes[] = {
    { MCP, "query",             ask_query },
    { MCP, "status",            session_status },
    { MCP, "open",              session_open },
    { MCP, "go",                ask_go },
    { MCP, "initialize.reply",  session_initialized },
    { MCP, "initialized.reply", session_told },
    { MCP, "tools.reply",       session_tools },
    { MCP, "call.reply",        ask_called },
    { MCP, "query.reply",       ask_otherwise },
    { 0 }
};
/* clang-format on */

CVM_PLUGIN(.name = "mcp", .version = "1.0.0", .components = components, .routes = routes);
