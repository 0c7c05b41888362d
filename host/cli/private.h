/* The host that a command talks to: the one that runs in the home, or a private one that is started for it and ends
 * with the last command that uses it. */
#ifndef HOST_CLI_PRIVATE_H
#define HOST_CLI_PRIVATE_H

#include "cli/cli.h"
#include "cli/client.h"

/* Opens a connection to the host of the home; starts a private one where none runs and cli->no_start does not forbid
 * it. CLI_OK gives a client; else the sentence has been written. */
int cli_open(struct cli *cli, struct client **ret_client);

/* Whether a host runs in the home that is not a private one. Starts none. */
bool cli_host_runs(struct cli *cli);

/* The command is over: a private host may go. */
void cli_close(struct cli *cli);

/* What $CVMHOST_NO_START says. */
bool cli_may_start(void);

#endif
