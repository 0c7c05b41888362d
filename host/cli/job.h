/* How far the job is that a waiting command has caused: on a terminal's standard error, one line. */
#ifndef HOST_CLI_JOB_H
#define HOST_CLI_JOB_H

#include "cli/cli.h"
#include "cli/client.h"

struct job_watch {
    bool on, asked, shown;
};

void job_watch_begin(struct job_watch *watch, const struct cli *cli);
/* As client_next; meanwhile it asks and shows. */
int job_watch_next(struct job_watch *watch, struct client *client, int64_t patience_ms, json_t **ret_line);
void job_watch_end(struct job_watch *watch); /* takes the line away */

#endif
