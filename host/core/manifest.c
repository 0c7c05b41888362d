/* Reads a manifest: the file, its schema, then the structs that the rest of the host uses. Owns the built-in schema of
 * manifests. What a schema cannot say is checked in manifest_check.c. Loop thread. */
#include "core/file.h"
#include "core/json_read.h"
#include "core/json_text.h"
#include "core/manifest_parts.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SAVED_FILE_MAX_BYTES (64 * 1024 * 1024) /* a manifest with all its domain's files */

static const char *const kind_names[] = {"agent", "trigger", "treatment", "channel", "provider"};
static const char *const methods[] = {"GET", "POST", "PUT", "PATCH", "DELETE"};

json_t *manifest_strings_json(const struct manifest_strings *strings)
{
    json_t *array = json_array();
    for (size_t i = 0; i < strings->n; i++)
        json_array_append_new(array, json_string(strings->at[i]));
    return array;
}

const char *manifest_kind_name(enum manifest_kind kind)
{
    return kind_names[kind];
}

const struct manifest_operation *manifest_find_operation(const struct manifest_component *component, const char *type)
{
    for (size_t i = 0; i < component->n_operations; i++)
        if (strcmp(component->operations[i].type, type) == 0)
            return &component->operations[i];
    return NULL;
}

int manifest_wrong(struct reading *r, const char *field, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    snprintf(r->error, r->error_size, "%s: %s%s%s", r->m->path, field, *field ? ": " : "", text);
    return CVM_EINVAL;
}

const char *manifest_field(struct field *field, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(field->text, sizeof field->text, format, args);
    va_end(args);
    return field->text;
}

int manifest_compile(struct reading *r, const json_t *schema, const char *field, struct schema **ret_schema)
{
    struct schema_error fault;
    if (schema_compile(r->m->doc, schema, ret_schema, &fault) == 0)
        return 0;
    /* A pointer into the document says where better than the field; a table's row is compiled from a copy. */
    if (strncmp(fault.field, "/components/", 12) == 0 || strncmp(fault.field, "/schemas/", 9) == 0)
        return manifest_wrong(r, fault.field, "%s", fault.text);
    return manifest_wrong(r, field, "%s: %s", *fault.field ? fault.field : "the schema", fault.text);
}

int manifest_strings_make(struct reading *r, const json_t *array, const char *field,
                          struct manifest_strings *ret_strings)
{
    size_t n = json_array_size(array);
    if (n == 0)
        return 0;
    const char **at = calloc(n, sizeof *at);
    if (!at)
        return CVM_ENOMEM;
    for (size_t i = 0; i < n; i++) {
        at[i] = json_string_value(json_array_get(array, i));
        for (size_t j = 0; j < i; j++) {
            if (strcmp(at[i], at[j]) == 0) {
                int error = manifest_wrong(r, field, "\"%s\" occurs twice", at[i]);
                free(at);
                return error;
            }
        }
    }
    *ret_strings = (struct manifest_strings){at, n};
    return 0;
}

static const char *text_of(const json_t *object, const char *name, const char *otherwise)
{
    const json_t *value = json_object_get(object, name);
    return value ? json_string_value(value) : otherwise;
}

static int64_t number_of(const json_t *object, const char *name, int64_t otherwise)
{
    const json_t *value = json_object_get(object, name);
    return value ? (int64_t)json_number_value(value) : otherwise;
}

/* ---- components ------------------------------------------------------------------------------------------------- */

/* The mark of optional arguments is cut off in the document itself, so that the strings can point into it. */
static int read_args(struct reading *r, json_t *args, const char *field, struct manifest_expose *e)
{
    e->n_required = 0;
    for (size_t i = 0; i < json_array_size(args); i++) {
        const json_t *arg = json_array_get(args, i);
        size_t len = json_string_length(arg);
        if (json_string_value(arg)[len - 1] != '?') {
            if (e->n_required < i)
                return manifest_wrong(r, field, "the required argument \"%s\" stands behind an optional one",
                                      json_string_value(arg));
            e->n_required++;
        } else if (json_array_set_new(args, i, json_stringn(json_string_value(arg), len - 1)) < 0) {
            return CVM_ENOMEM;
        }
    }
    return manifest_strings_make(r, args, field, &e->args);
}

static int read_expose(struct reading *r, const json_t *json, const char *field, struct manifest_operation *op)
{
    struct field inner;
    struct manifest_expose *e = calloc(1, sizeof *e);
    if (!e)
        return CVM_ENOMEM;
    op->expose = e;
    e->cli = text_of(json, "cli", NULL);
    e->help = text_of(json, "help", NULL);
    e->permission = text_of(json, "permission", NULL);
    e->rows = text_of(json, "rows", NULL);
    e->list = json_is_true(json_object_get(json, "list"));
    e->explains = json_is_true(json_object_get(json, "explains"));
    e->text = json_is_true(json_object_get(json, "text"));
    e->rename = json_object_get(json, "rename");
    e->columns = json_object_get(json, "columns");
    e->refused = (int)number_of(json, "refused", 422);
    e->success = (int)number_of(json, "success", 200);
    const char *rest = text_of(json, "rest", NULL);
    for (size_t i = 0; rest && i < sizeof methods / sizeof methods[0]; i++) {
        size_t len = strlen(methods[i]);
        if (strncmp(rest, methods[i], len) == 0 && rest[len] == ' ') {
            e->method = methods[i];
            e->path = rest + len + 1;
        }
    }
    if (!e->cli && !e->path)
        return manifest_wrong(r, field, "must have \"cli\", \"rest\" or both, got neither");
    return read_args(r, json_object_get(json, "args"), manifest_field(&inner, "%s.args", field), e);
}

/* Most operations are never asked of one process: a schema that is known to be sound is compiled when it is needed. */
static int read_schema(struct reading *r, const json_t *schema, const char *field, const char *name,
                       struct schema **ret_schema)
{
    struct field inner;
    if (!schema)
        return 0;
    if (r->known)
        return schema_defer(r->m->doc, schema, ret_schema);
    return manifest_compile(r, schema, manifest_field(&inner, "%s.%s", field, name), ret_schema);
}

static int read_operation(struct reading *r, const json_t *json, const char *field, struct manifest_operation *op)
{
    struct field inner;
    op->type = text_of(json, "type", NULL);
    op->description = text_of(json, "description", "");
    op->ephemeral = json_is_false(json_object_get(json, "durable"));
    op->redrive = json_is_true(json_object_get(json, "redrive"));
    op->raw = json_is_true(json_object_get(json, "raw"));
    op->retry = (int)number_of(json, "retry", 0);
    op->timeout_ms = number_of(json, "timeout_ms", 0);
    op->request_schema = json_object_get(json, "request");
    op->response_schema = json_object_get(json, "response");
    CVM_TRY(read_schema(r, op->request_schema, field, "request", &op->request));
    CVM_TRY(read_schema(r, op->response_schema, field, "response", &op->response));
    const json_t *expose = json_object_get(json, "expose");
    return expose ? read_expose(r, expose, manifest_field(&inner, "%s.expose", field), op) : 0;
}

/* The defaults too must be what the settings may be. */
static int read_settings(struct reading *r, const json_t *schema, const char *field, struct manifest_component *c)
{
    struct field inner;
    struct schema_error fault;
    if (!schema)
        return 0;
    CVM_TRY(manifest_compile(r, schema, manifest_field(&inner, "%s.settings_schema", field), &c->settings_check));
    if (schema_check_quoting(c->settings_check, c->settings, &fault) < 0)
        return manifest_wrong(r, manifest_field(&inner, "%s.settings.%s", field, fault.field), "%s", fault.text);
    return 0;
}

static int read_component(struct reading *r, json_t *json, const char *field, struct manifest_component *c)
{
    struct field inner;
    struct {
        const char *name;
        struct manifest_strings *strings;
    } const lists[] = {{"roles", &c->roles},
                       {"next", &c->next},
                       {"may_send_to", &c->may_send_to},
                       {"publishes", &c->publishes},
                       {"subscribes", &c->subscribes}};
    if (!json_object_get(json, "settings") && json_object_set_new(json, "settings", json_object()) < 0)
        return CVM_ENOMEM;
    c->id = text_of(json, "id", NULL);
    c->alias = text_of(json, "alias", c->id);
    c->serves = json_object_get(json, "serves");
    c->settings = json_object_get(json, "settings");
    CVM_TRY(read_settings(r, json_object_get(json, "settings_schema"), field, c));
    c->tools = json_object_get(json, "tools");
    c->metrics = json_object_get(json, "metrics");
    c->state_version = (uint32_t)number_of(json, "state_version", 1);
    for (int kind = 0; kind < 5; kind++)
        if (strcmp(text_of(json, "kind", ""), kind_names[kind]) == 0)
            c->kind = (enum manifest_kind)kind;
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        manifest_field(&inner, "%s.%s", field, lists[i].name);
        CVM_TRY(manifest_strings_make(r, json_object_get(json, lists[i].name), inner.text, lists[i].strings));
    }
    const json_t *operations = json_object_get(json, "operations");
    size_t n = json_array_size(operations);
    assert(n <= MANIFEST_OPERATIONS_MAX); /* the schema says so */
    c->operations = calloc(n + 1, sizeof *c->operations);
    if (!c->operations)
        return CVM_ENOMEM;
    for (size_t i = 0; i < n; i++) {
        c->n_operations = i + 1; /* also a half-read one is freed */
        manifest_field(&inner, "%s.operations[%zu]", field, i);
        CVM_TRY(read_operation(r, json_array_get(operations, i), inner.text, &c->operations[i]));
    }
    return 0;
}

static int read_components(struct reading *r, const json_t *components)
{
    struct field field;
    size_t n = json_array_size(components);
    assert(n <= MANIFEST_COMPONENTS_MAX); /* the schema says so */
    r->m->components = calloc(n, sizeof *r->m->components);
    if (!r->m->components)
        return CVM_ENOMEM;
    for (size_t i = 0; i < n; i++) {
        r->m->n_components = i + 1;
        manifest_field(&field, "components[%zu]", i);
        CVM_TRY(read_component(r, json_array_get(components, i), field.text, &r->m->components[i]));
    }
    return 0;
}

/* ---- needs ------------------------------------------------------------------------------------------------------ */

static int read_call(struct reading *r, const json_t *json, const char *field, struct manifest_call *call)
{
    static const char *const names[] = {"safe", "repeat", "verify", "report"}; /* as enum manifest_unknown */
    const char *unknown = text_of(json, "unknown", NULL);
    bool safe = json_object_get(json, "safe") != NULL;
    call->name = text_of(json, "name", NULL);
    call->method = text_of(json, "method", NULL);
    call->path = text_of(json, "path", "");
    call->by = text_of(json, "by", NULL);
    call->mail = strcmp(call->method, CVM_MAIL_METHOD) == 0;
    call->key_header = call->mail ? CVM_MAIL_KEY_HEADER : text_of(json, "key_header", "Idempotency-Key");
    call->text = json_is_true(json_object_get(json, "text"));
    call->exact = json_is_true(json_object_get(json, "exact"));
    if (safe == (unknown != NULL))
        return manifest_wrong(r, field,
                              "must have either \"safe\": true or \"unknown\" (repeat, verify, report), got %s",
                              safe ? "both" : "neither");
    if (call->mail && (safe || *call->path || json_object_get(json, "key_header")))
        return manifest_wrong(r, field, "a call with the method MAIL is never safe, and has no path and no key_header");
    for (int i = 1; i < 4; i++)
        if (unknown && strcmp(unknown, names[i]) == 0)
            call->unknown = (enum manifest_unknown)i;
    if (call->unknown == UNKNOWN_VERIFY && !call->by)
        return manifest_wrong(r, field,
                              "\"unknown\": \"verify\" needs \"by\", the operation that looks the outcome up");
    if (call->unknown != UNKNOWN_VERIFY && call->by)
        return manifest_wrong(r, field, "\"by\" belongs to \"unknown\": \"verify\" only");
    return 0;
}

static int read_hosts(struct reading *r, const json_t *hosts)
{
    struct field field;
    const json_t *host, *call;
    size_t i, j, n = 0;
    json_array_foreach(hosts, i, host) n += json_array_size(json_object_get(host, "calls"));
    r->m->calls = calloc(n + 1, sizeof *r->m->calls);
    if (!r->m->calls)
        return CVM_ENOMEM;
    json_array_foreach(hosts, i, host)
    {
        json_array_foreach(json_object_get(host, "calls"), j, call)
        {
            struct manifest_call *c = &r->m->calls[r->m->n_calls++];
            c->url = text_of(host, "url", NULL);
            CVM_TRY(read_call(r, call, manifest_field(&field, "needs.hosts[%zu].calls[%zu]", i, j), c));
            if (strncmp(c->url, "secret:", 7) == 0 && (c->mail || *c->path))
                return manifest_wrong(r, field.text, "an address that is a secret is whole: no path, and no MAIL");
            if (strncmp(c->url, "setting:", 8) != 0 && (strncmp(c->url, "smtp", 4) == 0) != c->mail)
                return manifest_wrong(r, field.text, "the method MAIL belongs to an address smtp:// or smtps://");
        }
    }
    return 0;
}

/* ---- files ------------------------------------------------------------------------------------------------------ */

int manifest_read_file(struct reading *r, const char *path, char sort, size_t limit, char **ret_text, size_t *ret_len,
                       bool *ret_known, char *ret_why, size_t why_size)
{
    struct stat st;
    int error = file_read_stat(path, limit, false, ret_text, ret_len, &st, ret_why, why_size);
    uint64_t key = error ? 0 : seen_key(path, &st);
    r->m->files = seen_join(r->m->files, key);
    *ret_known = seen_file(r->seen, seen_join(key, (uint64_t)sort));
    return error;
}

/* What is known to be valid is read by the faster reader, which does not look for members that occur twice. */
int manifest_read_json(struct reading *r, const char *path, size_t limit, json_t **ret_json, bool *ret_known,
                       char *ret_why, size_t why_size)
{
    char *text = NULL;
    size_t len = 0;
    bool known = false;
    CVM_TRY(manifest_read_file(r, path, r->m->doc ? 'd' : 'm', limit, &text, &len, &known, ret_why, why_size));
    json_t *json = known ? json_read(text, len) : NULL;
    int error = 0;
    if (!json) {
        known = false;
        error = file_json_text(path, text, len, &json, ret_why, why_size);
    }
    free(text);
    if (error)
        return error;
    *ret_known = known;
    *ret_json = json;
    return 0;
}

void manifest_read_none(struct reading *r, const char *path)
{
    struct stat nothing = {.st_mode = S_IFREG};
    r->m->files = seen_join(r->m->files, seen_key(path, &nothing));
}

/* ---- the whole -------------------------------------------------------------------------------------------------- */

/* The schema of manifests, compiled once and kept: it lives as long as the process. NULL: no memory. */
static const struct schema *format(void)
{
    static struct schema *compiled;
    if (compiled)
        return compiled;
    json_error_t fault;
    struct schema_error error;
    json_t *doc = json_loadb(manifest_schema_text, (size_t)(manifest_schema_end - manifest_schema_text), 0, &fault);
    int failed = doc ? schema_compile(doc, doc, &compiled, &error) : CVM_ENOMEM;
    assert(!failed || failed == CVM_ENOMEM); /* our own text */
    json_decref(doc);
    return compiled;
}

static int read_head(struct reading *r)
{
    struct manifest *m = r->m;
    json_t *doc = m->doc;
    const json_t *limits = json_object_get(doc, "limits");
    unsigned long major, minor;
    char *end;
    m->name = text_of(doc, "name", NULL);
    m->version = text_of(doc, "version", NULL);
    m->abi = text_of(doc, "abi", NULL);
    m->description = text_of(doc, "description", "");
    major = strtoul(m->abi, &end, 10);
    assert(*end == '.'); /* the schema says so */
    minor = strtoul(end + 1, NULL, 10);
    if (major > UINT16_MAX || minor > UINT16_MAX)
        return manifest_wrong(r, "abi", "each number must be at most %d, got \"%s\"", UINT16_MAX, m->abi);
    m->abi_major = (uint16_t)major;
    m->abi_minor = (uint16_t)minor;
    m->program = text_of(doc, "program", NULL);
    m->process = strcmp(text_of(doc, "placement", "any"), "process") == 0;
    if (m->program && strcmp(text_of(doc, "library", m->program), m->program) != 0)
        return manifest_wrong(r, "program", "a plugin has a library or a program, this one names both");
    if (m->program && json_object_set_new(doc, "library", json_string(m->program)) < 0)
        return CVM_ENOMEM;
    if (!json_object_get(doc, "library") && json_object_set_new(doc, "library", json_sprintf("%s.so", m->name)) < 0)
        return CVM_ENOMEM;
    m->library = text_of(doc, "library", NULL);
    m->limits.mailbox = number_of(limits, "mailbox", 4096);
    m->limits.turn_budget_ms = number_of(limits, "turn_budget_ms", 25);
    m->limits.memory_mib = number_of(limits, "memory_mib", 64);
    m->limits.conversation_messages = number_of(limits, "conversation_messages", 10000);
    const char *slash = strrchr(m->path, '/');
    int n = slash ? asprintf(&m->dir, "%.*s/%s", (int)(slash - m->path), m->path, m->name)
                  : asprintf(&m->dir, "%s", m->name);
    if (n < 0)
        m->dir = NULL;
    return n < 0 ? CVM_ENOMEM : 0;
}

/* Also those that nothing refers to: a mistake in them is a mistake. */
static int try_schemas(struct reading *r, const json_t *schemas)
{
    const char *name;
    json_t *schema;
    json_object_foreach((json_t *)schemas, name, schema)
    {
        struct schema *compiled = NULL;
        CVM_TRY(manifest_compile(r, schema, "schemas", &compiled));
        schema_free(compiled);
    }
    return 0;
}

static int read_all(struct reading *r)
{
    struct schema_error fault;
    struct manifest *m = r->m;
    const struct schema *schema = r->known ? NULL : format();
    if (!schema && !r->known)
        return CVM_ENOMEM;
    if (schema && schema_check_quoting(schema, m->doc, &fault) < 0)
        return manifest_wrong(r, fault.field, "%s", fault.text);
    const json_t *needs = json_object_get(m->doc, "needs");
    CVM_TRY(read_head(r));
    if (!r->known)
        CVM_TRY(try_schemas(r, json_object_get(m->doc, "schemas")));
    CVM_TRY(read_components(r, json_object_get(m->doc, "components")));
    CVM_TRY(manifest_strings_make(r, json_object_get(needs, "secrets"), "needs.secrets", &m->secrets));
    CVM_TRY(read_hosts(r, json_object_get(needs, "hosts")));
    CVM_TRY(manifest_read_tables(r, json_object_get(needs, "tables")));
    CVM_TRY(manifest_read_jobs(r, json_object_get(m->doc, "jobs")));
    CVM_TRY(manifest_read_streams(r, json_object_get(m->doc, "streams")));
    CVM_TRY(manifest_check(r));
    CVM_TRY(manifest_read_models(r, json_object_get(m->doc, "models"), json_object_get(needs, "models")));
    CVM_TRY(manifest_read_pages(r, json_object_get(m->doc, "pages")));
    CVM_TRY(manifest_read_workflows(r, json_object_get(m->doc, "workflows")));
    return manifest_read_domain(r, json_object_get(m->doc, "domain"));
}

int manifest_load(const char *path, struct manifest **ret_manifest, char *ret_error, size_t error_size)
{
    return manifest_load_seen(path, NULL, ret_manifest, ret_error, error_size);
}

int manifest_load_seen(const char *path, struct seen *seen, struct manifest **ret_manifest, char *ret_error,
                       size_t error_size)
{
    struct reading r = {.m = calloc(1, sizeof *r.m), .seen = seen, .error = ret_error, .error_size = error_size};
    int error = r.m && (r.m->path = strdup(path)) ? 0 : CVM_ENOMEM;
    if (!error) {
        r.m->files = 1;
        error = manifest_read_json(&r, path, MANIFEST_FILE_MAX_BYTES, &r.m->doc, &r.known, ret_error, error_size);
    }
    if (error == CVM_ENOENT || error == CVM_EACCES)
        error = CVM_EIO;
    if (!error)
        error = read_all(&r);
    if (error) {
        manifest_free(r.m);
        if (error == CVM_ENOMEM)
            snprintf(ret_error, error_size, "%s: out of memory", path);
        return error;
    }
    *ret_manifest = r.m;
    return 0;
}

int manifest_load_saved(const char *saved, struct manifest **ret_manifest, char *ret_error, size_t error_size)
{
    struct reading r = {.m = calloc(1, sizeof *r.m), .error = ret_error, .error_size = error_size};
    json_t *all = NULL;
    int error = r.m ? file_json(saved, SAVED_FILE_MAX_BYTES, false, &all, ret_error, error_size) : CVM_ENOMEM;
    if (!error) {
        const char *path = json_string_value(json_object_get(all, "path"));
        r.m->doc = json_incref(json_object_get(all, "manifest"));
        r.saved_domain = json_object_get(all, "domain");
        r.saved_examples = json_object_get(all, "examples");
        r.saved_pages = json_object_get(all, "pages");
        r.saved = true;
        if (!path || !json_is_object(r.m->doc)) {
            snprintf(ret_error, error_size, "%s: is no saved manifest", saved);
            error = CVM_EINVAL;
        } else if (!(r.m->path = strdup(path))) {
            error = CVM_ENOMEM;
        } else {
            error = read_all(&r);
        }
    }
    json_decref(all);
    if (error) {
        manifest_free(r.m);
        return error;
    }
    *ret_manifest = r.m;
    return 0;
}

/* The marks of optional arguments, which reading has cut off. */
static int mark_optional(json_t *args, size_t n_required)
{
    int e = 0;
    for (size_t i = n_required; i < json_array_size(args) && !e; i++)
        e = json_array_set_new(args, i, json_sprintf("%s?", json_string_value(json_array_get(args, i))));
    return e;
}

static json_t *saved_form(const struct manifest *m)
{
    int e = 0;
    json_t *doc = json_deep_copy(m->doc), *components = json_object_get(doc, "components");
    for (size_t i = 0; i < m->n_components && !e; i++)
        for (size_t k = 0; k < m->components[i].n_operations && !e; k++) {
            const struct manifest_expose *expose = m->components[i].operations[k].expose;
            json_t *op = json_array_get(json_object_get(json_array_get(components, i), "operations"), k);
            if (expose)
                e = mark_optional(json_object_get(json_object_get(op, "expose"), "args"), expose->n_required);
        }
    if (!e && doc)
        return json_pack("{s:O?, s:s*, s:o, s:s, s:O*}", "domain", m->domain, "examples", m->examples, "manifest", doc,
                         "path", m->path, "pages", m->pages_read);
    json_decref(doc);
    return NULL;
}

char *manifest_text(const struct manifest *m)
{
    json_t *all = saved_form(m);
    char *text = all ? json_text(all, NULL) : NULL; /* as it was written: a saved copy must be the same to its code */
    json_decref(all);
    return text;
}

int manifest_save(const struct manifest *m, const char *path)
{
    char temporary[4200];
    char *text = manifest_text(m);
    snprintf(temporary, sizeof temporary, "%s.%ld", path, (long)getpid());
    FILE *f = text ? fopen(temporary, "we") : NULL;
    bool good = f && fputs(text, f) >= 0 && fflush(f) == 0 && fsync(fileno(f)) == 0;
    if (f)
        good = fclose(f) == 0 && good;
    free(text);
    if (good && rename(temporary, path) == 0)
        return 0;
    unlink(temporary);
    return CVM_EIO;
}

static void component_free(struct manifest_component *c)
{
    schema_free(c->settings_check);
    for (size_t i = 0; i < c->n_operations; i++) {
        struct manifest_operation *op = &c->operations[i];
        schema_free(op->request);
        schema_free(op->response);
        if (op->expose)
            free(op->expose->args.at);
        free((void *)op->expose);
    }
    free(c->operations);
    free(c->roles.at);
    free(c->next.at);
    free(c->may_send_to.at);
    free(c->publishes.at);
    free(c->subscribes.at);
}

struct manifest *manifest_hold(struct manifest *manifest)
{
    manifest->refs++;
    return manifest;
}

void manifest_free(struct manifest *manifest)
{
    if (!manifest || manifest->refs--)
        return;
    for (size_t i = 0; i < manifest->n_components; i++)
        component_free(&manifest->components[i]);
    for (size_t i = 0; i < manifest->n_tables; i++) {
        schema_free(manifest->tables[i].schema);
        free(manifest->tables[i].columns);
        free(manifest->tables[i].indexes.at);
    }
    free(manifest->components);
    free(manifest->tables);
    for (size_t i = 0; i < manifest->n_jobs; i++) {
        free(manifest->jobs[i].reads.at);
        free(manifest->jobs[i].writes.at);
    }
    free(manifest->jobs);
    free(manifest->calls);
    free(manifest->secrets.at);
    manifest_free_pages(manifest);
    manifest_free_streams(manifest);
    free(manifest->models);
    free(manifest->needs_models.at);
    free(manifest->examples);
    free(manifest->dir);
    free(manifest->path);
    json_decref(manifest->domain);
    json_decref(manifest->doc);
    free(manifest);
}
