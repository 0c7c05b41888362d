/* The plugin "mcp": a knowledge base behind a server of the Model Context Protocol, in the place of the host's own.
 * What its files share. Loop thread.
 *
 * provider.kb.mcp keeps as state
 *     session              {state, epoch, settings, id, protocol, stateless, server, pages, failures, until_ms, error}
 *     ask/<request>        a question under way: {data, conversation, own, epoch, again, lost}
 *     waiting/<request>    that it waits for the session: {}
 * Questions run in the conversations of those who ask; the session is opened in the lane of the component, once for all
 * who wait for it. */
#ifndef PROVIDER_MCP_H
#define PROVIDER_MCP_H

#include "map.h"
#include "rpc.h"

#define MCP "provider.kb.mcp"
#define MCP_LANE "component:provider.kb.mcp"
#define MCP_SECRET "MCP_TOKEN"
#define MCP_WAITING_MAX 200 /* questions that wait for the session */

/* How a question fails. `setting` is the one to look at, or NULL. */
struct mcp_fault {
    const char *code, *setting, *text;
};

/* session.c */
enum session_state { SESSION_NONE, SESSION_OPENING, SESSION_OPEN, SESSION_FAILED };
/* In what state the session is, for the settings of today; *ret_session is borrowed, NULL where there is none. */
CVM_MUST_USE int session_look(cvm_turn *t, enum session_state *ret_state, const json_t **ret_session);
/* Asks for the session to be opened for a question; `go` goes to it when that has ended, well or not. */
CVM_MUST_USE int session_want(cvm_turn *t, cvm_id ask);
/* The session of this epoch is gone. */
CVM_MUST_USE int session_lost(cvm_turn *t, int64_t epoch);
/* Sends a request, or notification (id NULL), in the session; takes `params`. */
CVM_MUST_USE int session_call(cvm_turn *t, const json_t *session, const char *name, const char *method, json_t *params,
                              const char *id, cvm_id on_behalf, int64_t deadline_ms);
/* Whether the answer says that the server does not know the session (any more). */
bool session_unknown(const json_t *session, const struct rpc_answer *a);
/* Which setting is to be looked at where a call gave no answer; writes why. */
void session_judge(const cvm_msg *m, const struct rpc_answer *a, struct mcp_fault *ret, char *ret_text, size_t size);
int session_open(cvm_turn *t, const cvm_msg *m);        /* "open" */
int session_initialized(cvm_turn *t, const cvm_msg *m); /* "initialize.reply" */
int session_told(cvm_turn *t, const cvm_msg *m);        /* "initialized.reply" */
int session_tools(cvm_turn *t, const cvm_msg *m);       /* "tools.reply" */
int session_status(cvm_turn *t, const cvm_msg *m);

/* ask.c */
int ask_query(cvm_turn *t, const cvm_msg *m);
int ask_go(cvm_turn *t, const cvm_msg *m);        /* "go": the session is there, or will not be */
int ask_called(cvm_turn *t, const cvm_msg *m);    /* "call.reply" */
int ask_otherwise(cvm_turn *t, const cvm_msg *m); /* "query.reply" of who answers instead */
/* The key of a state value that belongs to a question. */
void ask_key(const char *kind, cvm_id ask, char ret_key[64]);

#endif
