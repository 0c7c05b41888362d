/* Turns the parts of a REST request into an operation's data; see rest.h. Owns nothing. */
#include "services/rest.h"

#include <stdio.h>

#define REF_DEPTH_MAX 8
#define NAME_MAX_BYTES 128

/* ---- what the schema says about a property ------------------------------------------------------------------------
 */

/* The value a "#/..." reference points to; NULL: none. */
static const json_t *resolve(const json_t *document, const char *ref)
{
    if (ref[0] != '#')
        return NULL;
    const json_t *at = document;
    for (const char *p = ref + 1; *p && at;) {
        char key[NAME_MAX_BYTES];
        size_t len = 0;
        for (p++; *p && *p != '/' && len + 1 < sizeof key; p++) {
            char c = *p;
            if (c == '~' && (p[1] == '0' || p[1] == '1'))
                c = *++p == '0' ? '~' : '/';
            key[len++] = c;
        }
        key[len] = 0;
        at = json_object_get(at, key);
    }
    return at;
}

static const json_t *deref(const json_t *document, const json_t *schema)
{
    for (int depth = 0; depth < REF_DEPTH_MAX; depth++) {
        const char *ref = json_string_value(json_object_get(schema, "$ref"));
        if (!ref)
            return schema;
        schema = resolve(document, ref);
    }
    return NULL;
}

static const json_t *property(const json_t *document, const json_t *schema, const char *name, int depth)
{
    schema = deref(document, schema);
    const json_t *found = json_object_get(json_object_get(schema, "properties"), name);
    const json_t *all = json_object_get(schema, "allOf");
    for (size_t i = 0; !found && depth < REF_DEPTH_MAX && i < json_array_size(all); i++)
        found = property(document, json_array_get(all, i), name, depth + 1);
    return deref(document, found);
}

enum kind { AS_TEXT, AS_INTEGER, AS_NUMBER, AS_BOOLEAN, AS_ARRAY };

static enum kind kind_named(const char *name)
{
    if (!name)
        return AS_TEXT;
    if (strcmp(name, "integer") == 0)
        return AS_INTEGER;
    if (strcmp(name, "number") == 0)
        return AS_NUMBER;
    if (strcmp(name, "boolean") == 0)
        return AS_BOOLEAN;
    return strcmp(name, "array") == 0 ? AS_ARRAY : AS_TEXT;
}

/* Text wherever the schema allows text: "007" must stay what it is. */
static enum kind kind_of(const json_t *schema)
{
    const json_t *type = json_object_get(schema, "type");
    if (!json_is_array(type))
        return kind_named(json_string_value(type));
    enum kind kind = AS_TEXT;
    for (size_t i = 0; i < json_array_size(type); i++) {
        const char *name = json_string_value(json_array_get(type, i));
        if (name && strcmp(name, "string") == 0)
            return AS_TEXT;
        if (kind == AS_TEXT)
            kind = kind_named(name);
    }
    return kind;
}

/* The text as the schema wants it; as text where it does not read as that, so that the check of the data says what was
 * expected. NULL: not UTF-8. */
static json_t *convert(const char *text, enum kind kind)
{
    if (kind == AS_BOOLEAN && (strcmp(text, "true") == 0 || strcmp(text, "false") == 0))
        return json_boolean(text[0] == 't');
    if (kind == AS_INTEGER || kind == AS_NUMBER) {
        json_t *value = json_loads(text, JSON_DECODE_ANY, NULL);
        if (json_is_integer(value) || (kind == AS_NUMBER && json_is_real(value)))
            return value;
        json_decref(value);
    }
    return json_string(text);
}

/* ---- data ---------------------------------------------------------------------------------------------------------
 */

static const char *renamed(const json_t *rename, const char *name)
{
    const char *to = json_string_value(json_object_get(rename, name));
    return to ? to : name;
}

static int put(const struct rest_match *match, json_t *data, json_t *seen, const struct rest_pair *pair,
               struct problem *problem)
{
    const struct manifest_operation *decl = match->operation->decl;
    const char *name = renamed(decl->expose->rename, pair->name);
    const json_t *schema = property(match->operation->document, decl->request_schema, name, 0);
    enum kind kind = kind_of(schema);
    json_t *value;
    if (kind == AS_ARRAY)
        value = convert(pair->value, kind_of(deref(match->operation->document, json_object_get(schema, "items"))));
    else
        value = convert(pair->value, kind);
    bool again = seen && json_object_get(seen, name);
    if (again && kind != AS_ARRAY) {
        json_decref(value);
        return problem_set(problem, 400, "INVALID_REQUEST", pair->name, "The parameter was given twice.");
    }
    if (value && kind == AS_ARRAY && again) {
        json_array_append_new(json_object_get(data, name), value);
        return 0;
    }
    if (value && kind == AS_ARRAY)
        value = json_pack("[o]", value);
    if (!value || json_object_set_new(data, name, value))
        return problem_set(problem, 400, "INVALID_REQUEST", NULL, "A parameter is not valid UTF-8.");
    if (seen)
        json_object_set_new(seen, name, json_true());
    return 0;
}

static int put_query(const struct rest_match *match, json_t *data, const struct rest_pair *query, size_t n,
                     struct problem *problem)
{
    int status = 0;
    json_t *seen = n ? json_object() : NULL;
    for (size_t i = 0; i < n && !status; i++)
        status = put(match, data, seen, &query[i], problem);
    json_decref(seen);
    return status;
}

static int put_params(const struct rest_match *match, json_t *data, struct problem *problem)
{
    int status = 0;
    for (size_t i = 0; i < match->n_params && !status; i++) {
        char name[NAME_MAX_BYTES];
        size_t len = strcspn(match->params[i].name, "}");
        snprintf(name, sizeof name, "%.*s", (int)len, match->params[i].name);
        status = put(match, data, NULL, &(struct rest_pair){name, match->params[i].value}, problem);
    }
    return status;
}

/* Whether a value is a path of this machine, by its schema, or has one in it; then its field. */
static bool finds_path(const json_t *document, const json_t *schema, const json_t *value, int depth, const char *field,
                       char ret_field[NAME_MAX_BYTES])
{
    const char *name, *format;
    json_t *member;
    size_t i;
    char deeper[NAME_MAX_BYTES];
    schema = deref(document, schema);
    if (depth > REF_DEPTH_MAX || !schema)
        return false;
    format = json_string_value(json_object_get(schema, "format"));
    if (json_is_string(value) && format && strcmp(format, "path") == 0) {
        snprintf(ret_field, NAME_MAX_BYTES, "%s", field);
        return true;
    }
    json_object_foreach((json_t *)(uintptr_t)value, name, member)
    {
        const json_t *inner = property(document, schema, name, 0);
        snprintf(deeper, sizeof deeper, "%s%s%s", field, *field ? "." : "", name);
        if (inner && finds_path(document, inner, member, depth + 1, deeper, ret_field))
            return true;
    }
    json_array_foreach(value, i, member)
    {
        snprintf(deeper, sizeof deeper, "%s[%zu]", field, i);
        if (finds_path(document, json_object_get(schema, "items"), member, depth + 1, deeper, ret_field))
            return true;
    }
    return false;
}

/* Nobody beyond the network has files of this machine. */
static int refuse_paths(const struct rest_match *match, const json_t *data, struct problem *problem)
{
    const struct manifest_operation *decl = match->operation->decl;
    char field[NAME_MAX_BYTES], shown[NAME_MAX_BYTES];
    if (!decl->request_schema || !finds_path(match->operation->document, decl->request_schema, data, 0, "", field))
        return 0;
    rest_edge_field(decl->expose->rename, field, shown, sizeof shown);
    return problem_set(problem, 400, "INVALID_REQUEST", shown,
                       "%s is a path of a file on the host's machine: it cannot be given over HTTP.", shown);
}

int rest_data(const struct rest_match *match, const struct rest_pair *query, size_t n_query, const json_t *body,
              json_t **ret_data, struct problem *ret_problem)
{
    const json_t *rename = match->operation->decl->expose->rename;
    if (body && !rename && !n_query && !match->n_params) {
        int refused = refuse_paths(match, body, ret_problem);
        if (!refused)
            *ret_data = json_incref((json_t *)(uintptr_t)body);
        return refused;
    }
    json_t *data = json_object();
    int status = put_query(match, data, query, n_query, ret_problem);
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)body, name, value)
    {
        json_object_set(data, renamed(rename, name), value);
    }
    if (!status)
        status = put_params(match, data, ret_problem);
    if (!status)
        status = refuse_paths(match, data, ret_problem);
    if (status)
        json_decref(data);
    else
        *ret_data = data;
    return status;
}

void rest_edge_field(const json_t *rename, const char *field, char *ret_name, size_t size)
{
    size_t len = strcspn(field, ".[");
    const char *name;
    json_t *to;
    json_object_foreach((json_t *)(uintptr_t)rename, name, to)
    {
        const char *text = json_string_value(to);
        if (text && strlen(text) == len && strncmp(text, field, len) == 0) {
            snprintf(ret_name, size, "%s%s", name, field + len);
            return;
        }
    }
    snprintf(ret_name, size, "%s", field);
}

void rest_edge_text(const json_t *rename, const char *text, char *ret_text, size_t size)
{
    static const char known[] = "known are: ";
    const char *list = strstr(text, known);
    if (!list) {
        snprintf(ret_text, size, "%s", text);
        return;
    }
    list += strlen(known);
    size_t at = (size_t)snprintf(ret_text, size, "%.*s", (int)(list - text), text);
    for (size_t len; *list && at < size; list += len) {
        char field[256], name[256];
        len = strcspn(list, ",");
        snprintf(field, sizeof field, "%.*s", (int)len, list);
        rest_edge_field(rename, field, name, sizeof name);
        len += strspn(list + len, ", ");
        at += (size_t)snprintf(ret_text + at, size - at, "%s%s", name, list[len] ? ", " : "");
    }
}

/* ---- a body -------------------------------------------------------------------------------------------------------
 */

/* Whether brackets nest deeper than we follow anywhere else; jansson would take 2048. */
static bool too_deep(const char *text, size_t len)
{
    int depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            if (++depth > REST_JSON_DEPTH_MAX)
                return true;
        } else if (c == '}' || c == ']') {
            depth--;
        }
    }
    return false;
}

int rest_parse(const char *text, size_t len, json_t **ret_body, struct problem *ret_problem)
{
    if (too_deep(text, len))
        return problem_set(ret_problem, 400, "INVALID_JSON", NULL, "The body nests deeper than %d levels.",
                           REST_JSON_DEPTH_MAX);
    json_error_t error;
    json_t *body = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);
    if (!body) {
        char what[JSON_ERROR_TEXT_LENGTH];
        snprintf(what, sizeof what, "%s", error.text);
        char *near = strstr(what, " near "); /* the rest quotes the body */
        if (near)
            *near = 0;
        return problem_set(ret_problem, 400, "INVALID_JSON", NULL,
                           "The body is not valid JSON: %s at line %d, column %d (byte %d).", what, error.line,
                           error.column, error.position);
    }
    if (json_is_object(body)) {
        *ret_body = body;
        return 0;
    }
    json_decref(body);
    return problem_set(ret_problem, 400, "INVALID_JSON", NULL, "The body must be a JSON object.");
}
