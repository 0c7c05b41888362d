/* `openapi` and `permission list`: what the edges of the host offer and ask for. */
#include "cli/cli.h"

#include "cli/show.h"
#include "cli/version_text.h"
#include "services/access.h"
#include "services/openapi.h"

int cli_openapi(struct cli *cli)
{
    int status = cli_arguments(cli, "openapi", NULL, 0, NULL, 0, 0);
    if (status != CLI_OK)
        return status;
    json_t *tokens = cli_setting(cli, "access.tokens"), *catalogue = cli_catalogue(cli, NULL);
    json_t *title = cli_setting(cli, "http.api_title"), *version = cli_setting(cli, "http.api_version");
    const struct openapi_options options = {.version =
                                                json_is_string(version) ? json_string_value(version) : cvmhost_version,
                                            .title = json_string_value(title),
                                            .guarded = tokens != NULL};
    json_t *document = openapi_of_catalogue(catalogue, &options);
    show_json(cli, document);
    json_decref(document);
    json_decref(catalogue);
    json_decref(tokens);
    json_decref(title);
    json_decref(version);
    return CLI_OK;
}

/* ---- permissions ---- */

/* {permission: {"permission", "operations": [..], "tokens": [..]}} has it afterwards. */
static json_t *row_of(json_t *rows, const char *permission)
{
    if (!json_object_get(rows, permission))
        json_object_set_new(rows, permission,
                            json_pack("{s:s, s:[], s:[]}", "permission", permission, "operations", "tokens"));
    return json_object_get(rows, permission);
}

static void add_operations(json_t *rows, const json_t *catalogue)
{
    const json_t *entry;
    size_t i;
    json_array_foreach(json_object_get(catalogue, "operations"), i, entry)
    {
        const char *permission = cvm_json_str(json_object_get(entry, "expose"), "permission", NULL);
        if (permission)
            json_array_append_new(
                json_object_get(row_of(rows, permission), "operations"),
                json_sprintf("%s %s", cvm_json_str(entry, "component", ""), cvm_json_str(entry, "type", "")));
    }
}

/* A token of "*" holds what others name, too. */
static void add_tokens(json_t *rows, const json_t *tokens)
{
    const json_t *token, *one;
    const char *permission;
    json_t *row;
    size_t i, k;
    json_array_foreach(tokens, i, token)
        json_array_foreach(json_object_get(token, "permissions"), k,
                           one) if (json_is_string(one) && strcmp(json_string_value(one), "*") != 0)
            row_of(rows, json_string_value(one));
    json_array_foreach(tokens, i, token) json_object_foreach(rows, permission, row)
    {
        if (access_holds(json_object_get(token, "permissions"), permission))
            json_array_append(json_object_get(row, "tokens"), json_object_get(token, "name"));
    }
}

int cli_permission_list(struct cli *cli)
{
    int status = cli_arguments(cli, "permission list", NULL, 0, NULL, 0, 0);
    if (status != CLI_OK)
        return status;
    json_t *tokens = cli_setting(cli, "access.tokens"), *catalogue = cli_catalogue(cli, NULL);
    json_t *by_name = json_object(), *rows = json_array(), *columns = show_names("permission operations tokens"), *row;
    const char *permission;
    add_operations(by_name, catalogue);
    add_tokens(by_name, tokens);
    json_object_foreach(by_name, permission, row) json_array_append(rows, row);
    show_rows(cli, rows, columns);
    if (!tokens)
        fputs("cvmhost: no tokens are configured (access.tokens): whoever reaches the HTTP listener may do all of it\n",
              stderr);
    json_decref(columns);
    json_decref(rows);
    json_decref(by_name);
    json_decref(catalogue);
    json_decref(tokens);
    return CLI_OK;
}
