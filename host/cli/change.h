/* The report of a change of plugins (core/reload.h), told to people and programs. Pure but for the streams. */
#ifndef HOST_CLI_CHANGE_H
#define HOST_CLI_CHANGE_H

#include "cli/cli.h"

/* The beginning of a build's hash, as lists show it. */
const char *change_build(const char *build, char ret_text[16]);

/* What was done, as the options say, and why not on standard error. Gives the exit status. */
int change_told(const struct cli *cli, const json_t *report);

#endif
