/* The commands that show what is loaded: plugins with their generations, components by kind. */
#include "cli/change.h"
#include "cli/cli.h"
#include "cli/show.h"

/* In a table the names of operations say enough. */
static void name_operations(json_t *component)
{
    json_t *types = json_array(), *operation;
    size_t i;
    json_array_foreach(json_object_get(component, "operations"), i, operation)
        json_array_append(types, json_object_get(operation, "type"));
    json_object_set_new(component, "operations", types);
}

static json_t *of_kind(const json_t *components, const char *kind)
{
    json_t *chosen = json_array(), *component;
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)components, i,
                       component) if (strcmp(cvm_json_str(component, "kind", ""), kind) == 0)
        json_array_append(chosen, component);
    return chosen;
}

/* `area`: the beginning of their ids, NULL for all. */
static int list_kind(struct cli *cli, const char *kind, const char *area)
{
    json_t *data = NULL, *component;
    size_t i, len = area ? strlen(area) : 0;
    int status = cli_ask(cli, json_pack("{s:s}", "do", "components"), &data);
    if (status != CLI_OK)
        return status;
    json_t *chosen = of_kind(data, kind);
    for (i = json_array_size(chosen); area && i-- > 0;) {
        const char *id = cvm_json_str(json_array_get(chosen, i), "id", "");
        if (strncmp(id, area, len) != 0 || id[len] != '.')
            json_array_remove(chosen, i);
    }
    json_t *columns = show_names("id alias plugin status roles operations tools");
    if (cli->output != OUTPUT_JSON)
        json_array_foreach(chosen, i, component) name_operations(component);
    show_rows(cli, chosen, columns);
    json_decref(columns);
    json_decref(chosen);
    json_decref(data);
    return CLI_OK;
}

/* "probation, 1 strike, 180 turns or 52 s left" */
static void state_words(const json_t *plugin, char *ret_text, size_t size)
{
    const json_t *probation = json_object_get(plugin, "probation");
    char state[40];
    int64_t strikes = cvm_json_int(plugin, "strikes", 0);
    snprintf(state, sizeof state, "%s", cvm_json_str(plugin, "state", "running"));
    for (char *at = state; *at; at++)
        *at = *at == '_' ? ' ' : *at;
    int n = snprintf(ret_text, size, "%s", state);
    if (strikes > 0 && (size_t)n < size)
        n += snprintf(ret_text + n, size - (size_t)n, ", %lld strike%s", (long long)strikes, strikes == 1 ? "" : "s");
    if (json_is_object(probation) && (size_t)n < size)
        snprintf(ret_text + n, size - (size_t)n, ", %lld turns or %lld s left",
                 (long long)cvm_json_int(probation, "turns_left", 0),
                 (long long)(cvm_json_int(probation, "ms_left", 0) + 999) / 1000);
}

static json_t *plugin_row(const json_t *plugin)
{
    char state[120], build[16];
    state_words(plugin, state, sizeof state);
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:O?, s:O?, s:s}", "name", cvm_json_str(plugin, "name", ""), "version",
                     cvm_json_str(plugin, "version", ""), "state", state, "placement",
                     cvm_json_str(plugin, "placement", ""), "build",
                     change_build(cvm_json_str(plugin, "build", ""), build), "generation",
                     json_object_get(plugin, "generation"), "components", json_object_get(plugin, "components"),
                     "description", cvm_json_str(plugin, "note", cvm_json_str(plugin, "description", "")));
}

/* Programs get the plugins as the host tells them, people what a line has room for. */
static int list_plugins(struct cli *cli)
{
    json_t *data = NULL, *plugin;
    size_t i;
    int status = cli_ask(cli, json_pack("{s:s}", "do", "plugins"), &data);
    if (status != CLI_OK)
        return status;
    json_t *rows = json_array(),
           *columns = show_names("name version state placement build generation components description");
    json_array_foreach(data, i, plugin) json_array_append_new(rows, plugin_row(plugin));
    show_rows(cli, cli->output == OUTPUT_JSON ? data : rows, columns);
    json_decref(columns);
    json_decref(rows);
    json_decref(data);
    return CLI_OK;
}

int cli_plugin_list(struct cli *cli)
{
    static const char *const kinds[] = {"agent", "trigger", "treatment", "channel", "provider"};
    const char *kind = NULL;
    const struct cli_option options[] = {{"kind", &kind}};
    int status = cli_arguments(cli, "plugin list [--kind KIND]", options, 1, NULL, 0, 0);
    if (status != CLI_OK)
        return status;
    for (size_t i = 0; kind && i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kind, kinds[i]) == 0)
            return list_kind(cli, kind, NULL);
    if (kind)
        return cli_fail(CLI_USAGE, "--kind: expected agent, trigger, treatment, channel or provider, got \"%.40s\"",
                        kind);
    return list_plugins(cli);
}

/* By the name of one of its components: that one, with the plugin it is of. */
static json_t *narrow(json_t *plugin, const char *name)
{
    static const char *const of_plugin[] = {"version",   "build",    "generation", "state",
                                            "probation", "previous", "strikes",    "note"};
    size_t i;
    json_t *component;
    json_array_foreach(json_object_get(plugin, "components"), i, component)
    {
        if (strcmp(cvm_json_str(component, "id", ""), name) != 0 &&
            strcmp(cvm_json_str(component, "alias", ""), name) != 0)
            continue;
        for (size_t k = 0; k < sizeof of_plugin / sizeof *of_plugin; k++)
            if (json_object_get(plugin, of_plugin[k]))
                json_object_set(component, of_plugin[k], json_object_get(plugin, of_plugin[k]));
        return component;
    }
    return plugin;
}

/* What is not there need not be seen to be. */
static void drop_nulls(json_t *object)
{
    const char *name;
    json_t *value;
    void *next;
    json_object_foreach_safe(object, next, name, value) if (json_is_null(value)) json_object_del(object, name);
}

int cli_plugin_info(struct cli *cli)
{
    const char *name = NULL;
    json_t *data = NULL;
    int status = cli_arguments(cli, "plugin info NAME", NULL, 0, &name, 1, 1);
    if (status == CLI_OK)
        status = cli_ask(cli, json_pack("{s:s, s:s}", "do", "plugin", "name", name), &data);
    if (status == CLI_OK) {
        json_t *shown = strcmp(cvm_json_str(data, "name", ""), name) == 0 ? data : narrow(data, name);
        if (cli->output != OUTPUT_JSON)
            drop_nulls(shown);
        show_result(cli, shown, NULL, NULL);
    }
    json_decref(data);
    return status;
}

int cli_plugin_revive(struct cli *cli)
{
    cli->no_start = true; /* nothing is down where nothing runs */
    return cli_ask_name(cli, "plugin revive COMPONENT", "revive");
}

int cli_agent_list(struct cli *cli)
{
    const char *area = NULL;
    const struct cli_option options[] = {{"area", &area}};
    int status = cli_arguments(cli, "agent list [--area AREA]", options, 1, NULL, 0, 0);
    return status == CLI_OK ? list_kind(cli, "agent", area) : status;
}
