/* Small things every agent of the plugin needs, and the cached vocabulary. Owns the cache; memory is only a cache, the
 * vocabulary is compiled again whenever the loaded domains change. Loop thread. */
#include "../../common/object.h"
#include "service.h"

static struct {
    const json_t *domains; /* held, so that its address cannot be another list's */
    struct vocabulary *vocabulary;
    const json_t *base; /* of the domains */
} cache;

/* The section whose words hold whole domains is the base vocabulary. */
static const json_t *find_base(const json_t *domains)
{
    for (size_t i = 0; i < json_array_size(domains); i++) {
        const json_t *words = json_object_get(json_array_get(domains, i), "words");
        if (json_is_object(json_object_get(words, "domains")))
            return words;
    }
    return NULL;
}

const json_t *service_base(cvm_turn *t)
{
    const json_t *domains = cvm_registry(t, "domains");
    return cache.vocabulary && cache.domains == domains ? cache.base : find_base(domains);
}

const struct vocabulary *service_vocabulary(cvm_turn *t)
{
    const json_t *domains = cvm_registry(t, "domains");
    struct vocabulary *made = NULL;
    char error[256];
    if (cache.vocabulary && cache.domains == domains)
        return cache.vocabulary;
    const json_t *base = find_base(domains);
    if (!base || vocabulary_new(base, domains, &made, error, sizeof error) < 0) {
        cvm_log(t, CVM_LOG_ERROR, "no vocabulary: %s", base ? error : "no loaded domain holds the base words");
        return NULL;
    }
    if (*error)
        cvm_log(t, CVM_LOG_ERROR, "%s", error);
    service_forget();
    cache.domains = cvm_json_share(domains);
    cache.vocabulary = made;
    cache.base = base;
    return made;
}

void service_forget(void)
{
    vocabulary_free(cache.vocabulary);
    json_decref((json_t *)(uintptr_t)cache.domains);
    cache.vocabulary = NULL;
    cache.domains = NULL;
    cache.base = NULL;
    service_forget_components();
}

const char *service_content(const cvm_msg *m)
{
    return cvm_json_str(json_object_get(m->data, "message"), "content", "");
}

const json_t *service_given(const cvm_msg *m)
{
    return json_object_get(json_object_get(m->data, "message"), "structured_data");
}

const char *service_from(const cvm_msg *m)
{
    return cvm_json_str(json_object_get(m->data, "message"), "from", "");
}

int service_step(cvm_turn *t, const cvm_msg *m, const char *content, json_t *structured_data, const char *next,
                 bool end)
{
    json_t *step = json_object();
    OBJECT_TEXT(step, "content", content);
    OBJECT_PUT(step, "structured_data", structured_data ? structured_data : json_object());
    OBJECT_PUT(step, "next", next ? json_string(next) : json_null());
    OBJECT_PUT(step, "end", json_boolean(end));
    return cvm_reply(t, m, step);
}

bool service_loaded(cvm_turn *t, const char *id)
{
    return service_component(cvm_registry(t, "components"), id) != NULL;
}

const char *service_rule(const json_t *given)
{
    const json_t *transaction = json_object_get(given, "transaction");
    const char *rule = cvm_json_str(given, "rule", "");
    if (!*rule && !strcmp(cvm_json_str(given, "outcome", ""), "PENDING"))
        return "PENDING";
    if (!*rule)
        rule = cvm_json_str(transaction, "rule", "");
    return *rule ? rule : cvm_json_str(transaction, "error_code", "");
}

const char *service_context_str(cvm_turn *t, const char *name)
{
    return cvm_json_str(cvm_context(t), name, "");
}

int service_context_append(cvm_turn *t, const char *path, json_t *value)
{
    const json_t *at = cvm_context(t);
    char name[64];
    for (const char *s = path; *s == '/';) {
        size_t len = strcspn(s + 1, "/");
        if (len >= sizeof name) {
            json_decref(value);
            return CVM_ELIMIT;
        }
        memcpy(name, s + 1, len);
        name[len] = 0;
        at = json_object_get(at, name);
        s += len + 1;
    }
    json_t *list = json_is_array(at) ? json_copy((json_t *)(uintptr_t)at) : json_array();
    if (!list) {
        json_decref(value);
        return CVM_ENOMEM;
    }
    if (json_array_append_new(list, value) < 0) {
        json_decref(list);
        return CVM_ENOMEM;
    }
    return cvm_context_set(t, path, list);
}

json_t *service_row(const json_t *row, const char *const *json_columns, size_t n)
{
    json_t *copy = json_copy((json_t *)(uintptr_t)row);
    for (size_t i = 0; copy && i < n; i++) {
        const char *text = cvm_json_str(row, json_columns[i], NULL);
        json_t *value = text ? json_loads(text, JSON_DECODE_ANY, NULL) : NULL;
        if (value)
            json_object_set_new(copy, json_columns[i], value);
    }
    json_object_del(copy, "key_id"); /* the store's own */
    return copy;
}

json_t *service_rows(const json_t *rows, const char *const *json_columns, size_t n)
{
    json_t *list = json_array();
    for (size_t i = 0; i < json_array_size(rows); i++)
        json_array_append_new(list, service_row(json_array_get(rows, i), json_columns, n));
    return list;
}

int service_list(cvm_turn *t, const cvm_msg *m, const char *table, const char *const (*filters)[2], size_t n)
{
    json_t *where = json_object();
    for (size_t i = 0; i < n; i++) {
        const char *value = cvm_json_str(m->data, filters[i][0], "");
        if (*value)
            json_object_set_new(where, filters[i][1], json_string(value));
    }
    cvm_query q = {.size = sizeof q,
                   .table = table,
                   .where = where,
                   .order_by = "-created_at",
                   .limit = cvm_json_int(m->data, "limit", 50),
                   .on_behalf = m->id};
    CVM_TRY(cvm_ask(t, &q));
    return CVM_PENDING;
}
