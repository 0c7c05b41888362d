/* The sense of a manifest beyond its schema: names that must be unique, references that must lead somewhere. Knows
 * only the one manifest; what other plugins hold is the registry's business. Loop thread. */
#include "core/manifest_parts.h"

#include <stdio.h>
#include <stdlib.h>

/* True when `key` is new in the set. */
static bool once(json_t *set, const char *key)
{
    return !json_object_get(set, key) && json_object_set_new(set, key, json_true()) == 0;
}

/* A route with its parameters unnamed: "GET /a/{x}" and "GET /a/{y}" are the same. CVM_EINVAL: braces that do not
 * match, or a parameter that is no name. */
static int route_key(const struct manifest_expose *e, char *key, size_t size)
{
    size_t len = (size_t)snprintf(key, size, "%s ", e->method);
    for (const char *s = e->path; *s; s++) {
        if (*s == '}' || len + 3 > size)
            return CVM_EINVAL;
        key[len++] = *s;
        if (*s != '{')
            continue;
        size_t n = strcspn(s + 1, "{}/");
        if (n == 0 || s[1 + n] != '}')
            return CVM_EINVAL;
        s += n + 1;
        key[len++] = '}';
    }
    key[len] = 0;
    return 0;
}

static bool is_property(struct reading *r, const struct manifest_operation *op, const char *name)
{
    return schema_member(r->m->doc, op->request_schema, name) != NULL;
}

/* Path parameters become request members, after renaming. */
static int check_path(struct reading *r, const struct manifest_operation *op, const char *field)
{
    char name[128];
    for (const char *s = strchr(op->expose->path, '{'); s; s = strchr(s + 1, '{')) {
        snprintf(name, sizeof name, "%.*s", (int)strcspn(s + 1, "}"), s + 1);
        const char *renamed = json_string_value(json_object_get(op->expose->rename, name));
        if (!is_property(r, op, renamed ? renamed : name))
            return manifest_wrong(r, field,
                                  "the parameter {%s} must be a property of the request, or be renamed to one", name);
    }
    return 0;
}

/* Columns are members of the rows shown, or of the response itself. Where its schema is open, any will do. */
static int check_columns(struct reading *r, const struct manifest_operation *op, const char *field)
{
    const json_t *doc = r->m->doc, *shown = op->response_schema, *column;
    size_t i;
    if (op->expose->rows && shown) {
        const json_t *rows = schema_resolve(doc, schema_member(doc, shown, op->expose->rows));
        if (!rows && json_object_get(schema_resolve(doc, shown), "properties"))
            return manifest_wrong(r, field, "\"rows\" must name a property of the response, got \"%s\"",
                                  op->expose->rows);
        shown = json_object_get(rows, "items");
    }
    shown = schema_resolve(doc, shown);
    if (!json_is_false(json_object_get(shown, "additionalProperties")))
        return 0;
    json_array_foreach(op->expose->columns, i, column)
    {
        char name[128];
        snprintf(name, sizeof name, "%s", json_string_value(column));
        name[strcspn(name, "[")] = 0; /* of "array[].member" the array */
        if (!schema_member(doc, shown, name))
            return manifest_wrong(r, field, "\"columns\" must name properties of %s, got \"%s\"",
                                  op->expose->rows ? "the rows" : "the response", json_string_value(column));
    }
    return 0;
}

static int check_expose(struct reading *r, const struct manifest_operation *op, const char *field, json_t *commands,
                        json_t *routes)
{
    char key[512];
    const char *name;
    const json_t *target;
    const struct manifest_expose *e = op->expose;
    if (e->cli && !once(commands, e->cli))
        return manifest_wrong(r, field, "the command \"%s\" is declared twice", e->cli);
    if (e->path) {
        if (route_key(e, key, sizeof key) < 0)
            return manifest_wrong(r, field, "the parameters of a path are written {name}, got \"%s\"", e->path);
        if (!once(routes, key))
            return manifest_wrong(r, field, "the route \"%s %s\" is declared twice", e->method, e->path);
    }
    for (size_t i = 0; i < e->args.n; i++)
        if (!is_property(r, op, e->args.at[i]))
            return manifest_wrong(r, field, "\"args\" must name properties of the request, got \"%s\"", e->args.at[i]);
    json_object_foreach((json_t *)e->rename, name, target)
    {
        if (!is_property(r, op, json_string_value(target)))
            return manifest_wrong(r, field,
                                  "\"rename\" must lead to properties of the request, but \"%s\" leads to \"%s\"", name,
                                  json_string_value(target));
    }
    if (e->path && !op->raw)
        CVM_TRY(check_path(r, op, field));
    return check_columns(r, op, field);
}

static int check_operation(struct reading *r, const struct manifest_operation *op, const char *field)
{
    size_t len = strlen(op->type);
    if (len > 6 && strcmp(op->type + len - 6, ".reply") == 0)
        return manifest_wrong(r, field, "\"%s\": names that end in \".reply\" are kept for replies", op->type);
    if (op->raw && !(op->expose && op->expose->path))
        return manifest_wrong(r, field, "\"raw\" needs a route: \"expose\" with \"rest\"");
    return 0;
}

static bool rising(const json_t *numbers)
{
    for (size_t i = 1; i < json_array_size(numbers); i++)
        if (json_number_value(json_array_get(numbers, i)) <= json_number_value(json_array_get(numbers, i - 1)))
            return false;
    return true;
}

static int check_metrics(struct reading *r, size_t index, json_t *names)
{
    struct field field;
    const json_t *metrics = r->m->components[index].metrics;
    for (size_t i = 0; i < json_array_size(metrics); i++) {
        const json_t *metric = json_array_get(metrics, i), *buckets = json_object_get(metric, "buckets");
        const char *name = json_string_value(json_object_get(metric, "name"));
        bool histogram = strcmp(json_string_value(json_object_get(metric, "kind")), "histogram") == 0;
        manifest_field(&field, "components[%zu].metrics[%zu]", index, i);
        if (!once(names, name))
            return manifest_wrong(r, field.text, "the metric \"%s\" is declared twice", name);
        if (histogram != (buckets != NULL) || !rising(buckets))
            return manifest_wrong(
                r, field.text, "\"buckets\", rising numbers, belong to a histogram and to no other metric (%s)", name);
    }
    return 0;
}

static int check_component(struct reading *r, size_t index, json_t *commands, json_t *routes)
{
    const struct manifest_component *c = &r->m->components[index];
    struct field field;
    json_t *types = json_object();
    int error = types ? 0 : CVM_ENOMEM;
    for (size_t i = 0; i < c->n_operations && !error; i++) {
        const struct manifest_operation *op = &c->operations[i];
        manifest_field(&field, "components[%zu].operations[%zu]", index, i);
        if (!once(types, op->type))
            error = manifest_wrong(r, field.text, "%s answers \"%s\" twice", c->id, op->type);
        else
            error = check_operation(r, op, field.text);
        if (!error && op->expose) {
            manifest_field(&field, "components[%zu].operations[%zu].expose", index, i);
            error = check_expose(r, op, field.text, commands, routes);
        }
    }
    json_decref(types);
    return error;
}

static int check_names(struct reading *r, json_t *names)
{
    struct field field;
    char key[320];
    for (size_t i = 0; i < r->m->n_components; i++) {
        const struct manifest_component *c = &r->m->components[i];
        manifest_field(&field, "components[%zu].id", i);
        if (strncmp(c->id, "host.", 5) == 0)
            return manifest_wrong(r, field.text, "ids in the area \"host\" are the host's own, got \"%s\"", c->id);
        if (!once(names, c->id))
            return manifest_wrong(r, field.text, "\"%s\" is declared twice", c->id);
        if (c->alias == c->id)
            continue;
        manifest_field(&field, "components[%zu].alias", i);
        snprintf(key, sizeof key, "%.*s/%s", (int)strcspn(c->id, "."), c->id, c->alias);
        if (!once(names, key))
            return manifest_wrong(r, field.text, "\"%s\" is the alias of another component of the same area", c->alias);
    }
    return 0;
}

static bool has_setting(const struct manifest *m, const char *name)
{
    for (size_t i = 0; i < m->n_components; i++)
        if (json_object_get(m->components[i].settings, name))
            return true;
    return false;
}

static bool has_operation(const struct manifest *m, const char *type)
{
    for (size_t i = 0; i < m->n_components; i++)
        if (manifest_find_operation(&m->components[i], type))
            return true;
    return false;
}

static bool has_secret(const struct manifest *m, const char *name)
{
    for (size_t i = 0; i < m->secrets.n; i++)
        if (strcmp(m->secrets.at[i], name) == 0)
            return true;
    return false;
}

static int check_calls(struct reading *r, json_t *names)
{
    const char *field = "needs.hosts";
    for (size_t i = 0; i < r->m->n_calls; i++) {
        const struct manifest_call *call = &r->m->calls[i];
        if (!once(names, call->name))
            return manifest_wrong(r, field, "the call \"%s\" is declared twice", call->name);
        if (strncmp(call->url, "setting:", 8) == 0 && !has_setting(r->m, call->url + 8))
            return manifest_wrong(r, field, "\"%s\" must name a setting of a component, and none has it", call->url);
        if (strncmp(call->url, "secret:", 7) == 0 && !has_secret(r->m, call->url + 7))
            return manifest_wrong(r, field, "\"%s\" must name a secret of needs.secrets", call->url);
        if (call->by && !has_operation(r->m, call->by))
            return manifest_wrong(r, field,
                                  "\"by\" of the call \"%s\" must name an operation of a component, got \"%s\"",
                                  call->name, call->by);
    }
    return 0;
}

static int check_streams(struct reading *r, json_t *routes)
{
    struct field field;
    char key[512];
    for (size_t i = 0; i < r->m->n_streams; i++) {
        const char *path = r->m->streams[i].path;
        snprintf(key, sizeof key, "GET %s", path);
        if (!once(routes, key))
            return manifest_wrong(r, manifest_field(&field, "streams[%zu]", i),
                                  "the route \"GET %s\" is declared twice", path);
    }
    return 0;
}

int manifest_check(struct reading *r)
{
    json_t *names = json_object(), *commands = json_object(), *routes = json_object(), *calls = json_object();
    json_t *metrics = json_object();
    int error = names && commands && routes && calls && metrics ? check_names(r, names) : CVM_ENOMEM;
    for (size_t i = 0; i < r->m->n_components && !error; i++) {
        error = check_component(r, i, commands, routes);
        if (!error)
            error = check_metrics(r, i, metrics);
    }
    if (!error)
        error = check_streams(r, routes);
    if (!error)
        error = check_calls(r, calls);
    json_decref(names);
    json_decref(commands);
    json_decref(routes);
    json_decref(calls);
    json_decref(metrics);
    return error;
}
