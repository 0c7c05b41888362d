/* The commands that manifests declare: as the running host knows them, or where none runs as its folders would make
 * them. Starts no host. */
#include "services/catalogue.h"

#include "cli/cli.h"
#include "cli/client.h"
#include "cli/installed.h"
#include "core/config.h"
#include "services/home.h"
#include <dirent.h>
#include <stdlib.h>

#define FILES_MAX 512
#define ANSWER_WAIT_MS 10000

struct files {
    char *path[FILES_MAX];
    size_t n;
};

static const char *base_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static int compare(const void *a, const void *b)
{
    return strcmp(base_of(*(char *const *)a), base_of(*(char *const *)b));
}

/* The manifests of a folder that no folder before it has. */
static void read_folder(struct files *files, const char *folder)
{
    DIR *dir = opendir(folder);
    size_t before = files->n;
    for (struct dirent *file; dir && files->n < FILES_MAX && (file = readdir(dir));) {
        size_t len = strlen(file->d_name), i = 0;
        if (len < 6 || strcmp(file->d_name + len - 5, ".json") != 0 || file->d_name[0] == '.')
            continue;
        while (i < before && strcmp(base_of(files->path[i]), file->d_name) != 0)
            i++;
        if (i == before && asprintf(&files->path[files->n], "%s/%s", folder, file->d_name) > 0)
            files->n++;
    }
    if (dir)
        closedir(dir);
}

static void read_folders(struct files *files, const char *home)
{
    static const char *const own[] = {"manifests", "plugins"};
    const char *installed = getenv("CVMHOST_INSTALLED");
    char folder[HOME_PATH_MAX];
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (home_path(home, own[i], folder, sizeof folder) == 0)
            read_folder(files, folder);
    if (!installed)
        installed = CVMHOST_INSTALLED;
    if (*installed && snprintf(folder, sizeof folder, "%s/../../share/cvmhost/manifests", installed) < HOME_PATH_MAX)
        read_folder(files, folder);
}

static bool lists(const json_t *names, const char *name)
{
    const json_t *one;
    size_t i;
    json_array_foreach(names, i, one) if (json_is_string(one) && strcmp(json_string_value(one), name) == 0) return true;
    return false;
}

/* A manifest with a fault is left out: `config check` names it. */
static void add_manifests(struct cli *cli, json_t *catalogue)
{
    struct files *files = calloc(1, sizeof *files);
    json_t *disabled = cli_setting(cli, "plugins.disabled");
    char error[512];
    if (files)
        read_folders(files, cli->home);
    if (files && files->n)
        qsort(files->path, files->n, sizeof *files->path, compare);
    for (size_t i = 0; files && i < files->n; i++) {
        struct manifest *manifest = NULL;
        if (manifest_load(files->path[i], &manifest, error, sizeof error) == 0 && !lists(disabled, manifest->name))
            catalogue_add_manifest(catalogue, manifest);
        /* The catalogue shares parts of the document, which are counted, and copies names. */
        manifest_free(manifest);
        free(files->path[i]);
    }
    free(files);
    json_decref(disabled);
}

/* ---- what commands ask ---- */

json_t *cli_try(struct cli *cli, json_t *request, int64_t timeout_ms)
{
    char text[512];
    struct client *client = NULL;
    json_t *answer = NULL, *data;
    if (client_open(cli->home, &client, text, sizeof text) < 0) {
        json_decref(request);
        return NULL;
    }
    json_object_set_new(request, "id", json_integer(1));
    if (client_send(client, request) == 0)
        (void)client_next(client, cli->timeout_ms ? cli->timeout_ms : timeout_ms, &answer);
    client_free(client);
    data = json_incref(json_object_get(answer, "data"));
    json_decref(answer);
    return data;
}

json_t *cli_catalogue(struct cli *cli, const char *command)
{
    json_t *request = json_pack("{s:s, s:s*}", "do", "operations", "command", command);
    json_t *catalogue = cli_try(cli, request, ANSWER_WAIT_MS);
    if (!catalogue) {
        catalogue = catalogue_new();
        add_manifests(cli, catalogue);
    }
    return catalogue;
}

json_t *cli_setting(struct cli *cli, const char *path)
{
    char error[512];
    struct config *config = NULL;
    json_t *all = cli_try(cli, json_pack("{s:s}", "do", "config"), ANSWER_WAIT_MS);
    if (!all && config_load(cli->home, cli->config_file, &config, error, sizeof error) == 0)
        all = config_show(config);
    config_free(config);
    json_t *value = cvm_json_share(catalogue_setting(all, path));
    json_decref(all);
    return value;
}
