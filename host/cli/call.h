/* Requests to the host: one, or a batch of them. */
#ifndef HOST_CLI_CALL_H
#define HOST_CLI_CALL_H

#include "cli/client.h"
#include "cli/spec.h"

struct call {
    const char *to, *type;
    json_t *data;     /* borrowed; of a batch: what every line has unless it says otherwise */
    json_t *envelope; /* borrowed; instead of to, type and data */
    const char *key;  /* NULL: the host may do it twice if it is sent twice */
};

/* Sends it and waits for the end; *ret_last is the line that says it: "outcome" and "data", or "error". */
int call_wait(struct cli *cli, const struct call *call, json_t **ret_last);
/* Sends it, shows how it ended. `expose` says how; may be NULL. Gives the exit status. */
int call_run(struct cli *cli, const struct call *call, const json_t *expose);

/* A request for each line of cli->file, at most cli->parallel of them open at a time; one JSON line for each, in the
 * order of the input. Gives the exit status. */
int batch_run(struct cli *cli, const json_t *catalogue, const json_t *entry, const struct call *call);

void call_new_key(char ret_key[32]);
/* An operation that knows keys of its own is told the one that was given by --key, unless its data have one. */
void call_tell_key(const json_t *catalogue, const json_t *entry, const char *key, json_t *data);
/* Frees *client and opens another, waiting for a host that is being started. */
int call_reconnect(const char *home, struct client **client);

/* "cvmhost buy thing NAME AMOUNT [OPTIONS]" */
void call_usage(const json_t *catalogue, const json_t *entry, char *ret_text, size_t size);

#endif
