/* `plugin new`: writes the folder of a new plugin from the templates in the program. Needs no host and no home. */
#include "cli/cli.h"

#include "cli/templates.h"
#include "core/manifest_parts.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME_MAX_LETTERS 40
#define PATH_SIZE 4096

/* The forms of a plugin's name. */
struct names {
    const char *name; /* "data-desk" */
    char id[64];      /* "data_desk": the area of its components */
    char camel[64];   /* "DataDesk" */
    char upper[64];   /* "DATA_DESK" */
    char words[64];   /* "data desk" */
    char abi[16];
    const char *kind;
};

static const char *const kinds[] = {"agent", "trigger", "treatment", "channel", "provider", "domain"};

static int check_name(const char *name)
{
    static const char *const taken[] = {"host", "plugin", "service"};
    size_t n = strlen(name), good = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_");
    if (n < 2 || n > NAME_MAX_LETTERS)
        return cli_fail(CLI_USAGE, "the name of a plugin has 2 to %d characters, \"%.60s\" has %zu", NAME_MAX_LETTERS,
                        name, n);
    if (*name < 'a' || *name > 'z')
        return cli_fail(CLI_USAGE, "the name of a plugin begins with a small letter (a to z), got \"%.60s\"", name);
    if (good < n)
        return cli_fail(CLI_USAGE,
                        "the name of a plugin has small letters (a to z), digits, \"-\" and \"_\" only; character %zu "
                        "of \"%.60s\" is none of them",
                        good + 1, name);
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
        if (strcmp(name, taken[i]) == 0)
            return cli_fail(CLI_USAGE, "the name \"%s\" is taken by the host's own: choose another", name);
    return CLI_OK;
}

static void make_names(const char *name, const char *kind, struct names *ret)
{
    size_t c = 0;
    bool begins = true;
    *ret = (struct names){.name = name, .kind = kind};
    for (size_t i = 0; name[i]; i++) {
        bool between = name[i] == '-' || name[i] == '_', letter = name[i] >= 'a' && name[i] <= 'z';
        char large = letter ? (char)(name[i] - 32) : name[i];
        ret->id[i] = between ? '_' : name[i];
        ret->words[i] = between ? ' ' : name[i];
        ret->upper[i] = between ? '_' : large;
        if (!between)
            ret->camel[c++] = begins ? large : name[i];
        begins = between;
    }
    snprintf(ret->abi, sizeof ret->abi, "%d.%d", CVM_ABI_MAJOR, CVM_ABI_MINOR);
}

/* The value of "@key@" at `at`; NULL: it is none of ours. */
static const char *value_at(const struct names *n, const char *at, size_t *ret_len)
{
    const struct {
        const char *key, *value;
    } all[] = {{"@name@", n->name},   {"@id@", n->id},     {"@Name@", n->camel}, {"@NAME@", n->upper},
               {"@words@", n->words}, {"@kind@", n->kind}, {"@abi@", n->abi}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (strncmp(at, all[i].key, strlen(all[i].key)) == 0) {
            *ret_len = strlen(all[i].key);
            return all[i].value;
        }
    return NULL;
}

static int write_file(const char *folder, const char *name, const char *text, size_t size, const struct names *names)
{
    char path[PATH_SIZE];
    int wrote = snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = wrote > 0 && (size_t)wrote < sizeof path ? fopen(path, "wx") : NULL;
    if (!f)
        return cli_fail(CLI_FAILED, "%s: %s", path, strerror(errno));
    for (size_t i = 0, len = 0; i < size; i += len) {
        const char *value = names && text[i] == '@' ? value_at(names, text + i, &len) : NULL;
        if (value) {
            fputs(value, f);
        } else {
            fputc(text[i], f);
            len = 1;
        }
    }
    bool failed = ferror(f);
    if (fclose(f) != 0 || failed)
        return cli_fail(CLI_FAILED, "%s: %s", path, strerror(errno));
    return CLI_OK;
}

/* Where a template's file goes: what the manifest reads stands in a folder of the plugin's name beside it. */
static void place(const struct names *n, const char *file, char *ret_name, size_t size)
{
    const char *dot = strchr(file, '.');
    if (strcmp(file, "gitignore") == 0)
        snprintf(ret_name, size, ".gitignore");
    else if (strcmp(file, "test.c") == 0)
        snprintf(ret_name, size, "test_%s.c", n->name);
    else if (strncmp(file, "plugin.", 7) == 0)
        snprintf(ret_name, size, "%s%s", n->name, dot);
    else if (dot && (strcmp(dot, ".json") == 0 || strcmp(dot, ".jsonl") == 0))
        snprintf(ret_name, size, "%s/%s", n->name, file);
    else
        snprintf(ret_name, size, "%s", file);
}

static int write_all(const struct names *n, const char *folder)
{
    char name[128], inner[PATH_SIZE];
    int status = write_file(folder, "manifest.schema.json", manifest_schema_text,
                            (size_t)(manifest_schema_end - manifest_schema_text), NULL);
    for (const struct template *t = templates; t->kind && status == CLI_OK; t++) {
        if (strcmp(t->kind, n->kind) != 0 && strcmp(t->kind, "common") != 0)
            continue;
        place(n, t->file, name, sizeof name);
        snprintf(inner, sizeof inner, "%.3900s/%s", folder, n->name);
        if (strchr(name, '/') && mkdir(inner, 0777) < 0 && errno != EEXIST)
            return cli_fail(CLI_FAILED, "%s: %s", inner, strerror(errno));
        status = write_file(folder, name, t->text, strlen(t->text), n);
    }
    return status;
}

/* Where pkg-config has to be pointed to find the SDK of this program. False: it looks there by itself, or there is
 * none. */
static bool find_sdk(char *ret_folder, size_t size)
{
    static const char *const beside[] = {"../lib/pkgconfig", "../sdk"}; /* installed; of a build */
    char self[PATH_SIZE], path[PATH_SIZE], *real;
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n <= 0)
        return false;
    self[n] = 0;
    *strrchr(self, '/') = 0;
    for (size_t i = 0; i < sizeof beside / sizeof *beside; i++) {
        snprintf(path, sizeof path, "%.3900s/%s/cvmhost-sdk.pc", self, beside[i]);
        if (!(real = realpath(path, NULL)))
            continue;
        *strrchr(real, '/') = 0;
        snprintf(ret_folder, size, "%s", real);
        free(real);
        return strcmp(ret_folder, "/usr/lib/pkgconfig") != 0 && strcmp(ret_folder, "/usr/local/lib/pkgconfig") != 0;
    }
    return false;
}

static void print_steps(const struct cli *cli, const struct names *n, const char *folder)
{
    char sdk[PATH_SIZE];
    fprintf(cli->out, "made %s/: %s %s with %s.c, %s.json, a test, a Makefile and a README\nnext:\n", folder,
            strcmp(n->kind, "agent") == 0 ? "an" : "a", n->kind, n->name, n->name);
    if (find_sdk(sdk, sizeof sdk))
        fprintf(cli->out, "  export PKG_CONFIG_PATH=%s\n", sdk);
    fprintf(cli->out,
            "  cd %s\n  make               # builds %s.so\n  make test          # runs its test, without a host\n"
            "  make install       # puts it into the home $CVMHOST_HOME; then: cvmhost reload\n",
            folder, n->name);
}

int cli_plugin_new(struct cli *cli)
{
    const char *words[2] = {NULL, NULL}, *dir = NULL, *kind = NULL;
    const struct cli_option options[] = {{"dir", &dir}};
    struct names names;
    char folder[PATH_SIZE];
    int status = cli_arguments(cli, "plugin new KIND NAME [--dir DIR]", options, 1, words, 2, 2);
    if (status != CLI_OK)
        return status;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        kind = strcmp(words[0], kinds[i]) == 0 ? kinds[i] : kind;
    if (!kind)
        return cli_fail(CLI_USAGE,
                        "a plugin is an agent, trigger, treatment, channel, provider or (a whole line of business) "
                        "domain, got \"%.40s\"",
                        words[0]);
    if ((status = check_name(words[1])) != CLI_OK)
        return status;
    make_names(words[1], kind, &names);
    int wrote = snprintf(folder, sizeof folder, "%s%s%s", dir ? dir : "", dir ? "/" : "", names.name);
    if (wrote < 0 || wrote > 3800)
        return cli_fail(CLI_USAGE, "--dir: the path is too long");
    if (mkdir(folder, 0777) < 0)
        return errno == EEXIST ? cli_fail(CLI_REFUSED,
                                          "%s exists already, and nothing in it was touched: choose another name, or "
                                          "another place with --dir",
                                          folder)
                               : cli_fail(CLI_FAILED, "%s: %s%s", folder, strerror(errno),
                                          errno == ENOENT ? "; make the folder first" : "");
    status = write_all(&names, folder);
    if (status == CLI_OK)
        print_steps(cli, &names, folder);
    return status;
}
