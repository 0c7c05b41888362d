/* What the commands on text models share with those that ask a host about its own. */
#ifndef HOST_CLI_MODEL_H
#define HOST_CLI_MODEL_H

#include "cli/cli.h"
#include "models/model.h"

/* Files of labelled texts, each FILE or DOMAIN=FILE, sorted. CLI_OK, or a status after a sentence. */
int model_read_files(struct examples *e, const char *const *files, size_t n, const char *text, const char *label,
                     const char *heads);

/* Why a model answers what it does. Gives a new object; NULL: out of memory. */
json_t *model_explain_json(const struct model *m, const char *text);
void model_show_explanation(struct cli *cli, const json_t *data);

#endif
