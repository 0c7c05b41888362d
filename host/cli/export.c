/* `export` and `import`: a conversation as one file, without personal data, that can be run again elsewhere; see
 * core/replay.h. */
#include "cli/cli.h"

#include "cli/show.h"
#include "core/file.h"
#include "core/replay.h"
#include <stdlib.h>
#include <unistd.h>

#define EXPORT_MAX_BYTES (1024 * 1024 * 1024)

static void tell(const json_t *notes, const char *before)
{
    size_t i;
    json_t *note;
    json_array_foreach((json_t *)(uintptr_t)notes, i, note)
        fprintf(stderr, "cvmhost: %s%s\n", before, json_string_value(note));
}

int cli_export(struct cli *cli)
{
    const char *id = NULL;
    char error[512];
    json_t *document = NULL, *notes = NULL;
    struct replay_export_options options = {.home = cli->home};
    options.keep_personal = cli_take_flag(cli, "--keep-personal", NULL);
    options.with_builds = cli_take_flag(cli, "--with-builds", NULL);
    int status = cli_arguments(cli, "export ID [--keep-personal] [--with-builds]", NULL, 0, &id, 1, 1);
    if (status != CLI_OK)
        return status;
    options.id = id;
    int e = replay_export(&options, &document, &notes, error, sizeof error);
    if (e)
        return cli_fail(e == CVM_ENOENT ? CLI_NOT_FOUND : CLI_CONFIG, "%s", error);
    show_json(cli, document);
    tell(notes, "");
    json_decref(document);
    json_decref(notes);
    return CLI_OK;
}

/* Gives the place of an import that is run at once, to be removed. */
static int import(const json_t *document, const char *home, json_t **ret_missing)
{
    char error[512];
    int e = replay_import(document, home, ret_missing, error, sizeof error);
    return e == CVM_EEXIST ? cli_fail(CLI_REFUSED, "%s", error) : e ? cli_fail(CLI_CONFIG, "%s", error) : CLI_OK;
}

int cli_import(struct cli *cli)
{
    const char *file = NULL;
    char error[512], folder[4096] = "", home[4200];
    json_t *document = NULL, *missing = NULL;
    bool replay = cli_take_flag(cli, "--replay", NULL);
    int status = cli_arguments(cli, "import FILE [--replay]", NULL, 0, &file, 1, 1);
    if (status != CLI_OK)
        return status;
    if (file_json(file, EXPORT_MAX_BYTES, false, &document, error, sizeof error) < 0)
        return cli_fail(CLI_CONFIG, "%s", error);
    if (replay && replay_make_folder(folder, error, sizeof error) < 0) {
        json_decref(document);
        return cli_fail(CLI_FAILED, "%s", error);
    }
    snprintf(home, sizeof home, "%s/home", folder);
    status = import(document, replay ? home : cli->home, &missing);
    if (status == CLI_OK)
        tell(missing, "not in the file, and needed in data/builds: ");
    if (status == CLI_OK && replay)
        status = cli_replay_home(cli, home);
    else if (status == CLI_OK)
        fprintf(cli->out, "imported into %s; now: cvmhost replay --all --home %s\n", cli->home, cli->home);
    if (replay)
        replay_remove_folder(folder, 5);
    json_decref(missing);
    json_decref(document);
    return status;
}
