/* Answers what operators ask about a running host: what is loaded, what is stored. Changes nothing but by "revive".
 * Knows no connections. Loop thread. */
#include "services/control_private.h"

#include "core/record_read.h"
#include "services/catalogue.h"
#include <stdlib.h>
#include <unistd.h>

#define LIST_DEFAULT 200
#define LIST_MAX 1000
#define METRICS_MAX_BYTES (16 * 1024 * 1024)

/* ---- arguments ---- */

/* The string member `name`; NULL where it is missing. A member of another type, or a required one that is missing,
 * answers and ends the exchange: false. */
static bool argument(struct exchange *x, const json_t *request, const char *name, bool required, const char **ret_text)
{
    const json_t *value = json_object_get(request, name);
    if (!value && !required) {
        *ret_text = NULL;
        return true;
    }
    if (!json_is_string(value) || json_string_length(value) == 0 || json_string_length(value) > 512) {
        control__fail(x, CVM_EINVAL, name, "%s: expected a string of 1 to 512 bytes", name);
        return false;
    }
    *ret_text = json_string_value(value);
    return true;
}

static bool limit_of(struct exchange *x, const json_t *request, size_t *ret_limit)
{
    int64_t limit = cvm_json_int(request, "limit", LIST_DEFAULT);
    if (limit < 1 || limit > LIST_MAX) {
        control__fail(x, CVM_EINVAL, "limit", "limit: expected 1 to %d", LIST_MAX);
        return false;
    }
    *ret_limit = (size_t)limit;
    return true;
}

/* ---- what is loaded ---- */

/* Filters: "command" (first word of the CLI path), "component" (id or alias), "type". */
static void operations(struct exchange *x, const json_t *request)
{
    const char *command, *component, *type;
    if (!argument(x, request, "command", false, &command) || !argument(x, request, "component", false, &component) ||
        !argument(x, request, "type", false, &type))
        return;
    size_t n = 0, len = command ? strlen(command) : 0;
    const struct operation *all = registry_operations(x->core, &n);
    json_t *catalogue = catalogue_new();
    for (size_t i = 0; i < n; i++) {
        const struct operation *o = &all[i];
        const char *cli = o->decl->expose ? o->decl->expose->cli : NULL;
        if (command && (!cli || strncmp(cli, command, len) != 0 || (cli[len] && cli[len] != ' ')))
            continue;
        if (component && strcmp(component, o->component_id) != 0 && (!o->alias || strcmp(component, o->alias) != 0))
            continue;
        if (type && strcmp(type, o->decl->type) != 0)
            continue;
        if (catalogue_add(catalogue, o) < 0)
            break;
    }
    control__answer(x, catalogue);
}

static void plugin(struct exchange *x, const json_t *request)
{
    const char *name;
    if (!argument(x, request, "name", true, &name))
        return;
    json_t *found = core_plugin(x->core, name);
    if (found)
        control__answer(x, found);
    else
        control__fail(x, CVM_ENOENT, "name", "there is no plugin or component %.100s", name);
}

static void revive(struct exchange *x, const json_t *request)
{
    const char *name;
    if (!argument(x, request, "name", true, &name))
        return;
    const char *plugin = core_quarantined(x->core, name);
    if (plugin) {
        control__revive(x, plugin);
        return;
    }
    int error = core_revive(x->core, name);
    json_t *known = error == CVM_ENOENT ? core_plugin(x->core, name) : NULL;
    if (known)
        control__fail(x, error, "name",
                      "the plugin %.100s is not quarantined; a component that is down (cvmhost ps) is "
                      "revived by its own id",
                      name);
    else if (error == CVM_ENOENT)
        control__fail(x, error, "name", "there is no component and no quarantined plugin %.100s", name);
    else if (error < 0)
        control__fail(x, error, "", "%.100s cannot be revived: %s", name, cvm_strerror(error));
    else
        control__answer(x, json_pack("{s:s, s:b}", "component", name, "revived", 1));
    json_decref(known);
}

static void metrics(struct exchange *x)
{
    size_t n = 0;
    const struct operation *operations = registry_operations(x->core, &n);
    char *core = core_metrics(x->core);
    struct text text;
    text_init(&text, METRICS_MAX_BYTES);
    text_puts(&text, core ? core : "");
    operation_counters_print(x->counters, operations, n, &text);
    control__answer(x, json_pack("{s:s}", "text", text.failed || !text.at ? "" : text.at));
    text_free(&text);
    free(core);
}

/* What the components at `path` or below use, by id: "shop" has "shop.desk" and "shop_floor". NULL: there is none. */
static json_t *settings_of(const struct core *core, const char *path)
{
    json_t *components = core_components(core), *found = json_object(), *c;
    size_t i, len = strlen(path);
    json_array_foreach(components, i, c)
    {
        const char *id = cvm_json_str(c, "id", "");
        if (strncmp(id, path, len) == 0 && (!id[len] || id[len] == '.' || id[len] == '_'))
            json_object_set(found, id, json_object_get(c, "settings"));
    }
    json_decref(components);
    if (json_object_size(found))
        return found;
    json_decref(found);
    return NULL;
}

static void config(struct exchange *x, const json_t *request)
{
    const char *path;
    if (!argument(x, request, "path", false, &path))
        return;
    json_t *all = x->config ? config_show(x->config) : json_object();
    const json_t *value = path ? catalogue_setting(all, path) : all;
    json_t *settings = value || !path ? NULL : settings_of(x->core, path);
    if (value)
        control__answer(x, cvm_json_share(value));
    else if (settings)
        control__answer(x, settings);
    else
        control__fail(x, CVM_ENOENT, "path", "there is no setting %.100s", path ? path : "");
    json_decref(all);
}

/* ---- what is stored ---- */

static void answer_rows(struct exchange *x, void *arg, json_t *rows, bool more)
{
    (void)arg;
    control__answer(x, json_pack("{s:o, s:b}", "rows", rows, "more", more));
}

/* Columns that hold JSON come as text. */
static void unpack(json_t *row, const char *name)
{
    const char *text = cvm_json_str(row, name, NULL);
    json_t *value = text ? json_loads(text, JSON_DECODE_ANY, NULL) : NULL;
    if (value)
        json_object_set_new(row, name, value);
}

static void answer_one(struct exchange *x, void *arg, json_t *rows, bool more)
{
    (void)more;
    json_t *row = json_array_get(rows, 0);
    if (row) {
        unpack(row, "envelope");
        unpack(row, "value");
        control__answer(x, json_incref(row));
    } else {
        control__fail(x, CVM_ENOENT, "", "%s", (const char *)arg);
    }
    json_decref(rows);
}

/* `arg`: why nothing may be there, where nothing is; else NULL. */
static void answer_values(struct exchange *x, void *arg, json_t *rows, bool more)
{
    size_t i;
    json_t *row;
    if (arg && json_array_size(rows) == 0) {
        json_decref(rows);
        control__fail(x, CVM_ENOENT, "store", "%s", (const char *)arg);
        return;
    }
    json_array_foreach(rows, i, row) unpack(row, "value");
    answer_rows(x, arg, rows, more);
}

static void answer_records(struct exchange *x, void *arg, json_t *rows, bool more)
{
    size_t i;
    json_t *row;
    json_array_foreach(rows, i, row) record_unpack(row);
    answer_rows(x, arg, rows, more);
}

/* The id of a component that may be given by its alias; itself where it is unknown (its state may be there still). */
static json_t *store_id(struct core *core, const char *name, bool *ret_known)
{
    json_t *components = core_components(core), *component, *id = NULL;
    size_t i;
    json_array_foreach(components, i, component) if (!id && (strcmp(cvm_json_str(component, "alias", ""), name) == 0 ||
                                                             strcmp(cvm_json_str(component, "id", ""), name) == 0)) id =
        json_incref(json_object_get(component, "id"));
    json_decref(components);
    *ret_known = id != NULL;
    return id ? id : json_string(name);
}

/* What a redrive keeps of a letter is state of the host's component for it. */
#define SQL_LETTER                                                                                                     \
    "SELECT d.id AS id, strftime(" AS_TIME ", d.at_ms / 1000.0, 'unixepoch') AS at, d.component AS component,"         \
    " d.type AS type, d.reason AS reason, 'MSG-' || lower(hex(d.message)) AS message_id,"                              \
    " json_extract(s.value, '$.at') AS redriven_at, json_extract(s.value, '$.message_id') AS redriven_as"
#define SQL_LETTERS                                                                                                    \
    " FROM dead_letters d LEFT JOIN state s ON s.component = 'host.redrive' AND s.key = CAST(d.id AS TEXT)"

/* The newest "limit"; with "after" those behind that number, oldest first; of one "component"; "open": those that were
 * not redriven. */
static void dead_letters(struct exchange *x, const json_t *request)
{
    size_t limit;
    bool known;
    const char *component;
    const json_t *after = json_object_get(request, "after");
    if (!limit_of(x, request, &limit) || !argument(x, request, "component", false, &component))
        return;
    if (after && !json_is_integer(after)) {
        control__fail(x, CVM_EINVAL, "after", "after: expected the number of a dead letter");
        return;
    }
    json_t *id = component ? store_id(x->core, component, &known) : json_string("");
    control__query(
        x,
        after ? SQL_LETTER SQL_LETTERS " WHERE (?1 = '' OR d.component = ?1) AND (?2 = 0 OR s.key IS NULL)"
                                       " AND d.id > ?3 ORDER BY d.id"
              : SQL_LETTER SQL_LETTERS " WHERE (?1 = '' OR d.component = ?1) AND (?2 = 0 OR s.key IS NULL)"
                                       " ORDER BY d.id DESC",
        json_pack("[o, i, I]", id, (int)cvm_json_bool(request, "open", false), (json_int_t)json_integer_value(after)),
        limit, answer_rows, NULL, NULL);
}

static void dead_letter(struct exchange *x, const json_t *request)
{
    const json_t *id = json_object_get(request, "no");
    if (!json_is_integer(id)) {
        control__fail(x, CVM_EINVAL, "no", "no: expected the number of a dead letter, as the list shows it");
        return;
    }
    control__query(x, SQL_LETTER ", d.envelope AS envelope" SQL_LETTERS " WHERE d.id = ?1", json_pack("[O]", id), 1,
                   answer_one, NULL, (void *)(uintptr_t) "there is no such dead letter; see: cvmhost dlq list");
}

static char nobody[] = "no component of this name keeps state here; see: cvmhost state stores";

static void state_list(struct exchange *x, const json_t *request)
{
    const char *store, *prefix, *after;
    bool known;
    size_t limit;
    if (!argument(x, request, "store", true, &store) || !argument(x, request, "prefix", false, &prefix) ||
        !argument(x, request, "after", false, &after) || !limit_of(x, request, &limit))
        return;
    json_t *id = store_id(x->core, store, &known);
    control__query(x,
                   "SELECT key, version, value FROM state WHERE component = ?1 AND key >= ?2 AND key > ?3"
                   " AND substr(key, 1, length(?2)) = ?2 ORDER BY key",
                   json_pack("[o, s, s]", id, prefix ? prefix : "", after ? after : ""), limit, answer_values, NULL,
                   known ? NULL : nobody);
}

static void state_get(struct exchange *x, const json_t *request)
{
    const char *store, *key;
    bool known;
    if (!argument(x, request, "store", true, &store) || !argument(x, request, "key", true, &key))
        return;
    json_t *id = store_id(x->core, store, &known);
    control__query(x, "SELECT component, key, version, turn, value FROM state WHERE component = ?1 AND key = ?2",
                   json_pack("[o, s]", id, key), 1, answer_one, NULL,
                   known ? (void *)(uintptr_t) "there is no such key in that store; see: cvmhost state list STORE"
                         : nobody);
}

static void answer_stores(struct exchange *x, void *arg, json_t *rows, bool more)
{
    (void)arg;
    control__count_stores(x, rows, more);
}

static void state(struct exchange *x, const char *what, const json_t *request)
{
    if (control__store(x, what, request))
        return;
    if (strcmp(what, "state.list") == 0)
        state_list(x, request);
    else if (strcmp(what, "state.get") == 0)
        state_get(x, request);
    else if (strcmp(what, "state.put") == 0 || strcmp(what, "state.delete") == 0)
        control__edit(x, what, request);
    else
        control__fail(x, CVM_EINVAL, "do", "do: \"%.60s\" is nothing this host can do", what);
}

/* The newest `limit` turns, or the first ones behind the turn number "after". */
static void audit(struct exchange *x, const json_t *request)
{
#define AUDITED                                                                                                        \
    "SELECT a.seq AS seq, at, agent, action, a.sender AS sender, subject, a.outcome AS outcome, a.us AS us, a.record"  \
    " AS record, " RECORD_COLUMNS("t") " FROM audit_log a JOIN turns t ON t.seq = a.seq"
    static const char newest[] = "SELECT * FROM (" AUDITED " ORDER BY a.seq DESC LIMIT ?1) ORDER BY seq";
    static const char behind[] = AUDITED " WHERE a.seq > ?2 ORDER BY a.seq LIMIT ?1";
    size_t limit;
    const json_t *after = json_object_get(request, "after");
    if (after && !json_is_integer(after))
        control__fail(x, CVM_EINVAL, "after", "after: expected the number of a turn");
    else if (limit_of(x, request, &limit))
        control__query(x, after ? behind : newest,
                       json_pack("[I, I]", (json_int_t)limit, (json_int_t)json_integer_value(after)), limit,
                       answer_records, NULL, NULL);
}

/* ---- a conversation ---- */

static void conversation_turns(struct exchange *x, void *arg, json_t *rows, bool more)
{
    json_t *found = arg;
    json_object_set_new(found, "turns", rows);
    json_object_set_new(found, "more", json_boolean(more));
    control__answer(x, found);
}

static void conversation_free(void *arg)
{
    json_decref(arg);
}

static void conversation_found(struct exchange *x, void *arg, json_t *rows, bool more)
{
    (void)arg, (void)more;
    json_t *row = json_incref(json_array_get(rows, 0));
    json_decref(rows);
    if (!row) {
        control__fail(x, CVM_ENOENT, "name",
                      "there is no such conversation; \"cvmhost why ID\" shows those that an id belongs to");
        return;
    }
    unpack(row, "doc");
    unpack(row, "folded_notes");
    json_t *key = json_incref(json_object_get(row, "conversation"));
    json_object_set(row, "context", json_object_get(row, "doc"));
    json_object_set(row, "steps", json_object_get(json_object_get(row, "doc"), "processing_steps"));
    json_object_del(row, "doc");
    json_object_del(row, "conversation");
    control__query(x,
                   "SELECT seq, " SQL_AT ", component, type, sender, outcome, us, " SQL_MESSAGE
                   " FROM turns WHERE conversation = ?1 ORDER BY seq",
                   json_pack("[o]", key), LIST_MAX, conversation_turns, conversation_free, row);
}

static void conversation(struct exchange *x, const json_t *request)
{
    const char *name;
    if (argument(x, request, "name", true, &name))
        control__query(x,
                       "SELECT c.conversation AS conversation, c.name AS name, version, " SQL_OPENED ", " SQL_ENDED
                       ", " SQL_FOLDED ", turns AS folded_turns, json_extract(f.doc, '$.notes') AS folded_notes,"
                       " c.doc AS doc FROM contexts c LEFT JOIN folded f USING(conversation)"
                       " WHERE c.conversation = ?1",
                       json_pack("[I]", (json_int_t)conversation_key(name)), 1, conversation_found, NULL, NULL);
}

/* Whether one of the calls of this connection caused it. */
static bool is_own(const struct exchange *x, const json_t *job)
{
    cvm_id root = {0, 0};
    if (id_parse(cvm_json_str(job, "root", ""), &root) < 0)
        return false;
    const struct exchange *at = x;
    while (at->prev)
        at = at->prev;
    while (at && !(at->calling && cvm_id_eq(at->message, root)))
        at = at->next;
    return at != NULL;
}

/* "own": those that calls of the same connection have caused. */
static void jobs(struct exchange *x, const json_t *request)
{
    json_t *list = core_jobs(x->core);
    bool own = cvm_json_bool(request, "own", false);
    for (size_t i = json_array_size(list); own && i-- > 0;)
        if (!is_own(x, json_array_get(list, i)))
            json_array_remove(list, i);
    control__answer(x, list);
}

void control__ask(struct exchange *x, const char *what, const json_t *request)
{
    const char *text;
    if (strcmp(what, "operations") == 0)
        operations(x, request);
    else if (strcmp(what, "hello") == 0)
        control__answer(x, json_pack("{s:i, s:b, s:s?, s:I}", "pid", (int)getpid(), "private", (int)x->is_private,
                                     "version", x->options->version, "database", (json_int_t)x->options->database));
    else if (strcmp(what, "ps") == 0)
        control__answer(x, core_ps(x->core));
    else if (strcmp(what, "plugins") == 0)
        control__answer(x, core_plugins(x->core));
    else if (strcmp(what, "plugin") == 0)
        plugin(x, request);
    else if (strcmp(what, "models") == 0)
        control__answer(x, core_models(x->core, NULL));
    else if (strcmp(what, "jobs") == 0)
        jobs(x, request);
    else if (strcmp(what, "components") == 0)
        control__answer(x, core_components(x->core));
    else if (strcmp(what, "metrics") == 0)
        metrics(x);
    else if (strcmp(what, "config") == 0)
        config(x, request);
    else if (strcmp(what, "revive") == 0)
        revive(x, request);
    else if (strcmp(what, "upgrade") == 0)
        control__upgrade(x, request);
    else if (strcmp(what, "upgrade.status") == 0)
        control__upgrade_status(x);
    else if (strcmp(what, "change") == 0)
        control__change(x, request);
    else if (strcmp(what, "dlq.list") == 0)
        dead_letters(x, request);
    else if (strcmp(what, "dlq.show") == 0)
        dead_letter(x, request);
    else if (strcmp(what, "state.stores") == 0)
        control__query(x,
                       "SELECT component AS store, count(*) AS keys FROM state GROUP BY component ORDER BY component",
                       NULL, LIST_MAX, answer_stores, NULL, NULL);
    else if (strncmp(what, "state.", 6) == 0)
        state(x, what, request);
    else if (strcmp(what, "audit") == 0)
        audit(x, request);
    else if (strcmp(what, "journal.prune") == 0 || strcmp(what, "journal.stats") == 0 || strcmp(what, "backup") == 0)
        control__keep(x, what, request);
    else if (strcmp(what, "conversation") == 0)
        conversation(x, request);
    else if (strcmp(what, "why") != 0)
        control__fail(x, CVM_EINVAL, "do", "do: \"%.60s\" is nothing this host can do", what);
    else if (argument(x, request, "what", true, &text))
        control__why(x, text);
}
