/* What the commands say of themselves. */
#ifndef HOST_CLI_HELP_H
#define HOST_CLI_HELP_H

#include "cli/cli.h"

/* `cvmhost WORDS --help` of a built-in command. */
int help_command(const struct cli_command *command);
/* `cvmhost WORD`: what there is below a word. False: nothing. */
bool help_group(const struct cli *cli, const json_t *catalogue, FILE *out);

/* Options and examples of a built-in command, as its help shows them; NULL: it has neither. Every option of a usage
 * line is explained there. */
const char *help_text(const char *words);

#endif
