/* What the commands say of themselves. */
#include "cli/call.h"
#include "cli/serve.h"
#include "cli/show.h"
#include "cli/version.h"

#include <stdlib.h>

static void shout(char *text)
{
    for (; *text; text++)
        *text = *text >= 'a' && *text <= 'z' ? (char)(*text - 32) : *text;
}

static bool is_argument(const json_t *expose, const char *property)
{
    const json_t *args = json_object_get(expose, "args");
    for (size_t i = 0; i < json_array_size(args); i++)
        if (strcmp(json_string_value(json_array_get(args, i)), property) == 0)
            return true;
    return false;
}

static bool is_required(const json_t *catalogue, const json_t *entry, const char *property)
{
    const json_t *schema = spec_resolve(catalogue, entry, json_object_get(entry, "request"));
    const json_t *required = json_object_get(schema, "required");
    for (size_t i = 0; i < json_array_size(required); i++) {
        const char *name = json_string_value(json_array_get(required, i));
        if (name && strcmp(name, property) == 0)
            return true;
    }
    return false;
}

void call_usage(const json_t *catalogue, const json_t *entry, char *ret_text, size_t size)
{
    const json_t *expose = json_object_get(entry, "expose"), *args = json_object_get(expose, "args");
    size_t required = (size_t)cvm_json_int(expose, "required", 0);
    char name[SPEC_NAME_MAX];
    size_t at = (size_t)snprintf(ret_text, size, "cvmhost %s", cvm_json_str(expose, "cli", ""));
    for (size_t i = 0; i < json_array_size(args) && at < size; i++) {
        const char *property = json_string_value(json_array_get(args, i));
        spec_name(entry, property, '_', name);
        shout(name);
        const char *dots = spec_is_array(spec_property(catalogue, entry, property)) ? "..." : "";
        at += (size_t)snprintf(ret_text + at, size - at, i < required ? " %s%s" : " [%s%s]", name, dots);
    }
    const char *property;
    json_t *schema;
    bool more = false;
    json_object_foreach((json_t *)(uintptr_t)spec_properties(catalogue, entry), property, schema)
    {
        if (is_argument(expose, property) || at >= size)
            continue;
        spec_name(entry, property, '-', name);
        if (is_required(catalogue, entry, property))
            at += (size_t)snprintf(ret_text + at, size - at, " --%s VALUE", name);
        else
            more = true;
    }
    if (more && at < size)
        snprintf(ret_text + at, size - at, " [OPTIONS]");
}

static void show_property(const json_t *catalogue, const json_t *entry, const char *property, bool option)
{
    const json_t *schema = spec_property(catalogue, entry, property);
    char name[SPEC_NAME_MAX], type[200], left[SPEC_NAME_MAX + 8];
    spec_name(entry, property, option ? '-' : '_', name);
    spec_type_name(schema, type, sizeof type);
    if (!option)
        shout(name);
    snprintf(left, sizeof left, "%s%s", option ? "--" : "", name);
    printf("  %-26s %s", left, cvm_json_str(schema, "description", ""));
    printf("%s(%s%s", cvm_json_str(schema, "description", NULL) ? " " : "", type,
           option && is_required(catalogue, entry, property) ? ", required" : "");
    const json_t *otherwise = json_object_get(schema, "default");
    if (otherwise) {
        char *cell = show_cell(otherwise);
        printf(", default %s", cell ? cell : "");
        free(cell);
    }
    puts(")");
}

int cli_operation_help(struct cli *cli, const json_t *catalogue, const json_t *entry)
{
    const json_t *expose = json_object_get(entry, "expose"), *args = json_object_get(expose, "args");
    char usage[1024];
    (void)cli;
    call_usage(catalogue, entry, usage, sizeof usage);
    const char *help = cvm_json_str(expose, "help", NULL), *description = cvm_json_str(entry, "description", NULL);
    printf("usage: %s\n", usage);
    if (help)
        printf("\n%s\n", help);
    if (description && (!help || strcmp(help, description) != 0))
        printf("\n%s\n", description);
    if (json_array_size(args))
        puts("\nArguments:");
    for (size_t i = 0; i < json_array_size(args); i++)
        show_property(catalogue, entry, json_string_value(json_array_get(args, i)), false);
    const char *property;
    json_t *schema;
    bool first = true;
    json_object_foreach((json_t *)(uintptr_t)spec_properties(catalogue, entry), property, schema)
    {
        if (is_argument(expose, property))
            continue;
        if (first)
            puts("\nOptions:");
        first = false;
        show_property(catalogue, entry, property, true);
    }
    puts("\nOf every command:\n"
         "  --file FILE                JSON lines (\"-\": standard input), one request each; results as JSON lines\n"
         "  --parallel N               how many of them at a time (default 8)\n"
         "  --key K                    the same key is done once\n"
         "  --timeout S                seconds to wait for the answer\n"
         "  --trace                    show every envelope it causes\n"
         "  --output table|json|csv    --output-file FILE    --home DIR    --config FILE    --log-level LEVEL");
    printf("\nAnswered by %s, operation %s.\n", cvm_json_str(entry, "component", ""), cvm_json_str(entry, "type", ""));
    return CLI_OK;
}

static int compare_entries(const void *a, const void *b)
{
    return strcmp(cvm_json_str(json_object_get(*(json_t *const *)a, "expose"), "cli", ""),
                  cvm_json_str(json_object_get(*(json_t *const *)b, "expose"), "cli", ""));
}

static void list_operations(const struct cli *cli, const json_t *catalogue)
{
    const json_t *operations = json_object_get(catalogue, "operations");
    size_t n = 0, all = json_array_size(operations);
    json_t **entries = calloc(all + 1, sizeof(json_t *));
    for (size_t i = 0; entries && i < all; i++) {
        json_t *entry = json_array_get(operations, i);
        if (cvm_json_str(json_object_get(entry, "expose"), "cli", NULL))
            entries[n++] = entry;
    }
    if (n) {
        qsort(entries, n, sizeof(json_t *), compare_entries);
        printf("\n%sCommands of the plugins%s\n", show_bold(cli), show_plain(cli));
    }
    for (size_t i = 0; i < n; i++) {
        const json_t *expose = json_object_get(entries[i], "expose");
        printf("  %-28s %s\n", cvm_json_str(expose, "cli", ""),
               cvm_json_str(expose, "help", cvm_json_str(entries[i], "description", "")));
    }
    free(entries);
}

int cli_help(struct cli *cli)
{
    if (cli->argc == 1 && strcmp(cli->argv[0], "serve") == 0) {
        char *line[] = {(char *)(uintptr_t) "serve", (char *)(uintptr_t) "--help", NULL};
        return serve_main(2, line);
    }
    if (cli->argc > 0) { /* "help buy thing" is "buy thing --help" */
        char *line[34] = {(char *)(uintptr_t) "cvmhost", (char *)(uintptr_t) "--help", (char *)(uintptr_t) "--home",
                          (char *)(uintptr_t)cli->home};
        int n = 4;
        for (int i = 0; i < cli->argc && n < 33; i++)
            line[n++] = cli->argv[i];
        return cli_main(n, line);
    }
    printf("cvmhost %s: runs plugins of agents, triggers, treatments, channels and providers\n\n"
           "usage: cvmhost COMMAND [ARGUMENTS] [--home DIR] [--output table|json|csv] [--help]\n\n%sHost%s\n",
           CVMHOST_VERSION, show_bold(cli), show_plain(cli));
    for (const struct cli_command *c = cli_commands; c->words; c++)
        printf("  %-28s %s\n", c->words, c->help);
    json_t *catalogue = cli_catalogue(cli, NULL);
    list_operations(cli, catalogue);
    json_decref(catalogue);
    puts("\nThe home is --home, else $CVMHOST_HOME, else the working directory. A command in full: cvmhost COMMAND "
         "--help\n"
         "Exit status: 0 done, 1 failed, 2 wrong usage, 3 configuration or plugin error, 4 not found, 5 refused by a "
         "rule.");
    return CLI_OK;
}

int cli_version(struct cli *cli)
{
    int status = cli_arguments(cli, "version", NULL, 0, NULL, 0, 0);
    if (status != CLI_OK)
        return status;
    if (cli->output == OUTPUT_JSON)
        fprintf(cli->out, "{\"version\":\"%s\",\"abi\":\"%d.%d\"}\n", CVMHOST_VERSION, CVM_ABI_MAJOR, CVM_ABI_MINOR);
    else
        fprintf(cli->out, "cvmhost %s (plugin interface %d.%d)\n", CVMHOST_VERSION, CVM_ABI_MAJOR, CVM_ABI_MINOR);
    return CLI_OK;
}
