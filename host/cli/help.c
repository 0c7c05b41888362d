/* What the commands say of themselves: built-in ones by their usage lines, those of manifests by their schemas. */
#include "cli/help.h"

#include "cli/call.h"
#include "cli/serve.h"
#include "cli/show.h"
#include "cli/version_text.h"
#include "core/store.h"
#include "services/program.h"

#include <stdlib.h>

#define GROUP_MAX_BYTES 512

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

/* ---- what every command takes ---- */

static void show_common(bool call)
{
    puts(call ? "\nOf every command:" : "Of every command:");
    if (call)
        puts(
            "  --file FILE                JSON lines (\"-\": standard input), one request each; results as JSON lines\n"
            "  --parallel N               how many of them at a time (default 8)\n"
            "  --key K                    the same key is done once\n"
            "  --trace                    show every envelope it causes");
    puts("  --output table|json|csv    --output-file FILE    --home DIR    --config FILE    --log-level LEVEL\n"
         "  --timeout S                seconds to wait for the answer\n"
         "  --no-start                 fail where no host runs, instead of starting one\n"
         "  --help                     this text\n"
         "\nExit status: 0 done, 1 failed, 2 wrong usage, 3 configuration or plugin error, 4 not found, 5 refused by a "
         "rule.");
}

int help_command(const struct cli_command *command)
{
    const char *text = help_text(command->words);
    printf("usage: cvmhost %s%s%s\n\n%s\n\n", command->words, command->usage[0] ? " " : "", command->usage,
           command->help);
    if (text)
        printf("%s\n", text);
    show_common(false);
    return CLI_OK;
}

/* ---- groups ---- */

static void group_line(FILE *out, const char *title, bool *first, const char *words, const char *help)
{
    if (*first)
        fprintf(out, "usage: cvmhost %sCOMMAND [ARGUMENTS]\n\n", title);
    *first = false;
    fprintf(out, "  %-28s %s\n", words, help);
}

bool help_group(const struct cli *cli, const json_t *catalogue, FILE *out)
{
    char prefix[GROUP_MAX_BYTES] = "";
    size_t at = 0, i;
    const json_t *entry;
    bool first = true;
    for (int k = 0; k < cli->argc && cli->argv[k][0] != '-' && at < sizeof prefix; k++)
        at += (size_t)snprintf(prefix + at, sizeof prefix - at, "%s ", cli->argv[k]);
    for (const struct cli_command *c = cli_commands; at && c->words; c++)
        if (strncmp(c->words, prefix, strlen(prefix)) == 0)
            group_line(out, prefix, &first, c->words, c->help);
    json_array_foreach(json_object_get(catalogue, "operations"), i, entry)
    {
        const json_t *expose = json_object_get(entry, "expose");
        const char *words = cvm_json_str(expose, "cli", "");
        if (at && strncmp(words, prefix, strlen(prefix)) == 0)
            group_line(out, prefix, &first, words,
                       cvm_json_str(expose, "help", cvm_json_str(entry, "description", "")));
    }
    if (!first)
        fprintf(out, "\nA command in full: cvmhost %sCOMMAND --help\n", prefix);
    return !first;
}

/* ---- operations ---- */

static void add_bounds(const json_t *schema, const char *least, const char *most, const char *unit, char *text,
                       size_t size)
{
    const json_t *low = json_object_get(schema, least), *high = json_object_get(schema, most);
    size_t at = strlen(text);
    bool number = !*unit;
    if (json_is_integer(low) && json_integer_value(low) < (number ? INT64_MIN : 2))
        low = NULL; /* a text or list of at least one is what anybody expects */
    if (low && high)
        snprintf(text + at, size - at, ", %.16g to %.16g%s", json_number_value(low), json_number_value(high), unit);
    else if (low)
        snprintf(text + at, size - at, ", at least %.16g%s", json_number_value(low), unit);
    else if (high)
        snprintf(text + at, size - at, ", at most %.16g%s", json_number_value(high), unit);
}

/* "integer, 1 to 100, default 5" */
static void limits_of(const json_t *schema, bool required, char *text, size_t size)
{
    char *cell;
    spec_type_name(schema, text, size);
    add_bounds(schema, "minimum", "maximum", "", text, size);
    add_bounds(schema, "minLength", "maxLength", " characters", text, size);
    add_bounds(schema, "minItems", "maxItems", " of them", text, size);
    const char *title = json_object_get(schema, "pattern") ? cvm_json_str(schema, "title", NULL) : NULL;
    size_t at = strlen(text);
    at += (size_t)snprintf(text + at, size - at, "%s%s%s", title ? ", " : "", title ? title : "",
                           required ? ", required" : "");
    const json_t *otherwise = json_object_get(schema, "default");
    if (otherwise && at < size && (cell = show_cell(otherwise))) {
        snprintf(text + at, size - at, ", default %s", cell);
        free(cell);
    }
}

static void show_property(const json_t *catalogue, const json_t *entry, const char *property, bool option)
{
    const json_t *schema = spec_property(catalogue, entry, property);
    char name[SPEC_NAME_MAX], limits[400], left[SPEC_NAME_MAX + 8];
    const char *description = cvm_json_str(schema, "description", "");
    spec_name(entry, property, option ? '-' : '_', name);
    limits_of(schema, option && is_required(catalogue, entry, property), limits, sizeof limits);
    if (!option)
        shout(name);
    snprintf(left, sizeof left, "%s%s", option ? "--" : "", name);
    printf("  %-26s %s%s(%s)\n", left, description, *description ? " " : "", limits);
}

/* A value that the schema itself names: of its examples, its words, its default, or what its text calls "such as". */
static void example_value(const json_t *schema, const char *name, char *ret_text, size_t size)
{
    static const char such[] = "such as ";
    const json_t *value = json_array_get(json_object_get(schema, "examples"), 0);
    const char *texts[] = {cvm_json_str(schema, "title", ""), cvm_json_str(schema, "description", "")}, *found = NULL;
    char type[160];
    if (!value)
        value = json_array_get(json_object_get(schema, "enum"), 0);
    if (!value)
        value = json_object_get(schema, "default");
    char *cell = value ? show_cell(value) : NULL;
    for (size_t i = 0; i < 2 && !cell && !found; i++)
        found = strstr(texts[i], such);
    spec_type_name(schema, type, sizeof type);
    if (cell)
        snprintf(ret_text, size, strpbrk(cell, " \"{[*?&;|<>$") || !*cell ? "'%s'" : "%s", cell);
    else if (found)
        snprintf(ret_text, size, "%.*s", (int)strcspn(found + strlen(such), " ,;:)"), found + strlen(such));
    else if (strstr(type, "integer") || strstr(type, "number"))
        snprintf(ret_text, size, "%.15g",
                 json_object_get(schema, "minimum") ? json_number_value(json_object_get(schema, "minimum")) : 1.0);
    else
        snprintf(ret_text, size, "%s", name);
    free(cell);
}

static void show_example(const json_t *catalogue, const json_t *entry)
{
    const json_t *expose = json_object_get(entry, "expose"), *args = json_object_get(expose, "args");
    char name[SPEC_NAME_MAX], value[200];
    const char *property;
    json_t *schema;
    printf("\nExample:\n  cvmhost %s", cvm_json_str(expose, "cli", ""));
    for (size_t i = 0; i < json_array_size(args); i++) {
        property = json_string_value(json_array_get(args, i));
        spec_name(entry, property, '_', name);
        shout(name);
        example_value(spec_property(catalogue, entry, property), name, value, sizeof value);
        if (i < (size_t)cvm_json_int(expose, "required", 0))
            printf(" %s", value);
    }
    json_object_foreach((json_t *)(uintptr_t)spec_properties(catalogue, entry), property, schema)
    {
        if (is_argument(expose, property) || !is_required(catalogue, entry, property))
            continue;
        spec_name(entry, property, '-', name);
        example_value(spec_property(catalogue, entry, property), "VALUE", value, sizeof value);
        printf(" --%s %s", name, value);
    }
    putchar('\n');
}

/* Who answers, and by which other ways. */
static void show_ways(const json_t *entry)
{
    const json_t *expose = json_object_get(entry, "expose");
    const char *path = cvm_json_str(expose, "path", NULL), *permission = cvm_json_str(expose, "permission", NULL);
    printf("\nAnswered by %s, operation %s.\n", cvm_json_str(entry, "component", ""), cvm_json_str(entry, "type", ""));
    if (path)
        printf("The same over HTTP: %s %s%s%s%s\n", cvm_json_str(expose, "method", ""), path,
               permission ? " (permission \"" : "", permission ? permission : "", permission ? "\")" : "");
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
    if (description && *description && (!help || strcmp(help, description) != 0))
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
    show_example(catalogue, entry);
    show_common(true);
    show_ways(entry);
    return CLI_OK;
}

/* ---- the list of all ---- */

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
           cvmhost_version, show_bold(cli), show_plain(cli));
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
        fprintf(cli->out,
                "{\"version\":\"%s\",\"abi\":\"%d.%d\",\"database\":%lld,\"handover\":%d,"
                "\"page\":{\"magic\":\"%llx\",\"bytes\":%zu}}\n",
                cvmhost_version, CVM_ABI_MAJOR, CVM_ABI_MINOR, (long long)store_format(), PROGRAM_HANDOVER,
                (unsigned long long)PAGE_MAGIC, sizeof(struct page));
    else
        fprintf(cli->out, "cvmhost %s (plugin interface %d.%d)\n", cvmhost_version, CVM_ABI_MAJOR, CVM_ABI_MINOR);
    return CLI_OK;
}
