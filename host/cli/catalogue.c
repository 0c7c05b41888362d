/* The commands that manifests declare: as the running host knows them, or where none runs as its folders would make
 * them. Starts no host. */
#include "services/catalogue.h"

#include "cli/cli.h"
#include "cli/client.h"
#include "cli/installed.h"
#include "services/home.h"
#include <dirent.h>
#include <stdlib.h>

#define FILES_MAX 512

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

/* A manifest with a fault is left out: `config check` names it. */
static void add_manifests(json_t *catalogue, const char *home)
{
    struct files *files = calloc(1, sizeof *files);
    char error[512];
    if (!files)
        return;
    read_folders(files, home);
    qsort(files->path, files->n, sizeof *files->path, compare);
    for (size_t i = 0; i < files->n; i++) {
        struct manifest *manifest = NULL;
        if (manifest_load(files->path[i], &manifest, error, sizeof error) == 0)
            catalogue_add_manifest(catalogue, manifest);
        /* The catalogue shares parts of the document, which are counted, and copies names. */
        manifest_free(manifest);
        free(files->path[i]);
    }
    free(files);
}

json_t *cli_catalogue(struct cli *cli, const char *command)
{
    char text[512];
    struct client *client = NULL;
    json_t *answer = NULL, *catalogue;
    if (client_open(cli->home, &client, text, sizeof text) == 0) {
        json_t *request = json_pack("{s:i, s:s, s:s*}", "id", 1, "do", "operations", "command", command);
        if (client_send(client, request) == 0)
            (void)client_next(client, 10000, &answer);
    }
    client_free(client);
    catalogue = json_incref(json_object_get(answer, "data"));
    json_decref(answer);
    if (!catalogue) {
        catalogue = catalogue_new();
        add_manifests(catalogue, cli->home);
    }
    return catalogue;
}
