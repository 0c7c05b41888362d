/* Makes the description of operations. Owns nothing. */
#include "services/catalogue.h"

#include <cvm/json.h>

static void put_string(json_t *object, const char *name, const char *value)
{
    if (value)
        json_object_set_new(object, name, json_string(value));
}

static void put_shared(json_t *object, const char *name, const json_t *value)
{
    if (value)
        json_object_set_new(object, name, cvm_json_share(value));
}

static json_t *expose_entry(const struct manifest_expose *expose)
{
    json_t *e = json_object(), *args = json_array();
    put_string(e, "cli", expose->cli);
    put_string(e, "help", expose->help);
    for (size_t i = 0; i < expose->args.n; i++)
        json_array_append_new(args, json_string(expose->args.at[i]));
    json_object_set_new(e, "args", args);
    json_object_set_new(e, "required", json_integer((json_int_t)expose->n_required));
    put_string(e, "method", expose->method);
    put_string(e, "path", expose->path);
    if (expose->path) {
        json_object_set_new(e, "success", json_integer(expose->success ? expose->success : 200));
        json_object_set_new(e, "refused", json_integer(expose->refused ? expose->refused : 422));
    }
    put_shared(e, "rename", expose->rename);
    put_shared(e, "columns", expose->columns);
    put_string(e, "rows", expose->rows);
    if (expose->list)
        json_object_set_new(e, "list", json_true());
    if (expose->text)
        json_object_set_new(e, "text", json_true());
    if (expose->explains)
        json_object_set_new(e, "explains", json_true());
    put_string(e, "permission", expose->permission);
    return e;
}

static json_t *entry_of(const struct operation *operation)
{
    const struct manifest_operation *decl = operation->decl;
    json_t *e = json_object();
    put_string(e, "plugin", operation->plugin);
    put_string(e, "component", operation->component_id);
    put_string(e, "alias", operation->alias);
    put_string(e, "kind", manifest_kind_name(operation->kind));
    put_string(e, "type", decl->type);
    put_string(e, "description", decl->description);
    json_object_set_new(e, "durable", json_boolean(!decl->ephemeral));
    if (decl->raw)
        json_object_set_new(e, "raw", json_true());
    if (decl->timeout_ms > 0)
        json_object_set_new(e, "timeout_ms", json_integer(decl->timeout_ms));
    put_shared(e, "request", decl->request_schema);
    put_shared(e, "response", decl->response_schema);
    if (decl->expose)
        json_object_set_new(e, "expose", expose_entry(decl->expose));
    return e;
}

static json_t *document_of(const json_t *manifest)
{
    static const char *const members[] = {"version", "description", "schemas", "streams"};
    json_t *document = json_object();
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        put_shared(document, members[i], json_object_get(manifest, members[i]));
    return document;
}

json_t *catalogue_new(void)
{
    return json_pack("{s:[], s:{}}", "operations", "documents");
}

int catalogue_add(json_t *catalogue, const struct operation *operation)
{
    json_t *documents = json_object_get(catalogue, "documents");
    if (!json_object_get(documents, operation->plugin) &&
        json_object_set_new(documents, operation->plugin, document_of(operation->document)) < 0)
        return CVM_ENOMEM;
    return json_array_append_new(json_object_get(catalogue, "operations"), entry_of(operation)) < 0 ? CVM_ENOMEM : 0;
}

int catalogue_add_manifest(json_t *catalogue, const struct manifest *manifest)
{
    for (size_t c = 0; c < manifest->n_components; c++) {
        const struct manifest_component *component = &manifest->components[c];
        for (size_t i = 0; i < component->n_operations; i++) {
            struct operation operation = {.component_id = component->id,
                                          .alias = component->alias,
                                          .plugin = manifest->name,
                                          .kind = component->kind,
                                          .decl = &component->operations[i],
                                          .document = manifest->doc};
            int error = catalogue_add(catalogue, &operation);
            if (error < 0)
                return error;
        }
    }
    return 0;
}

const json_t *catalogue_setting(const json_t *config, const char *path)
{
    const json_t *value = json_object_get(config, path);
    char head[256];
    for (const char *dot = strchr(path, '.'); dot && !value; dot = strchr(dot + 1, '.')) {
        size_t len = (size_t)(dot - path);
        if (len >= sizeof head)
            break;
        memcpy(head, path, len);
        head[len] = 0;
        const json_t *inner = json_object_get(config, head);
        value = json_is_object(inner) ? catalogue_setting(inner, dot + 1) : NULL;
    }
    return value;
}
