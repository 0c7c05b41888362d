/* Requests and answers of the Model Context Protocol as JSON-RPC 2.0 over HTTP: makes the one, reads the other out of
 * what the host's HTTP client gives. Knows no session and no settings. Pure; loop thread. */
#ifndef PROVIDER_MCP_RPC_H
#define PROVIDER_MCP_RPC_H

#include <cvm/cvm.h>
#include <cvm/json.h>

#define MCP_NEWEST "2025-11-25"    /* asked for; a server may choose an older one */
#define MCP_STATELESS "2026-07-28" /* without initialize and session */
#define RPC_ID_SIZE 40
#define RPC_TEXT_SIZE 512

/* What became of a call. */
enum rpc_end {
    RPC_RESULT,
    RPC_ERROR,     /* the server's error: code, text */
    RPC_HTTP,      /* a status without an answer: text is what is known of it */
    RPC_UNREADABLE /* neither JSON nor a stream of it that holds the answer */
};

struct rpc_answer {
    enum rpc_end end;
    int64_t status; /* of HTTP */
    int64_t code;   /* of RPC_ERROR */
    char text[RPC_TEXT_SIZE];
    json_t *result; /* an object; owned */
    json_t *data;   /* of RPC_ERROR, or NULL; owned */
};

/* Whether we speak this version with sessions. */
bool rpc_speaks(const char *version);
/* Takes `params`, an object or NULL. `id` NULL: a notification. `stateless`: who we are goes with each request. */
json_t *rpc_request(const char *id, const char *method, json_t *params, bool stateless);
/* Reads `reply`, the data of a call's reply that is REPLIED, for the answer to `id`. Fill with rpc_answer_fini. */
void rpc_read(const json_t *reply, const char *id, struct rpc_answer *ret);
void rpc_answer_fini(struct rpc_answer *answer);

#endif
