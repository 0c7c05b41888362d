/* Whom to ask, in which order: what the request says (the agent's setting `llm_provider`), else what the area says,
 * else the operator's `roles.llm`, else every provider there is, by id. Loop thread. */
#include "llm.h"

#define PROVIDERS_MAX 16

static bool listed(const json_t *list, const char *text)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (!strcmp(json_string_value(json_array_get(list, i)), text))
            return true;
    return false;
}

static void add(json_t *order, const char *id)
{
    if (!listed(order, id) && json_array_size(order) < PROVIDERS_MAX)
        json_array_append_new(order, json_string(id));
}

/* A provider by its id, or by what its id ends with: "openai". NULL: none of that name is loaded. */
static const char *find(const json_t *components, const char *name)
{
    for (size_t i = 0; i < json_array_size(components); i++) {
        const json_t *c = json_array_get(components, i);
        const char *id = cvm_json_str(c, "id", ""), *end = strrchr(id, '.');
        if (listed(json_object_get(c, "roles"), LLM_ROLE) && strcmp(id, LLM_FRONT) != 0 &&
            (!strcmp(id, name) || (end && !strcmp(end + 1, name))))
            return id;
    }
    return NULL;
}

static void add_named(json_t *order, const json_t *components, const char *name)
{
    const char *id = name ? find(components, name) : NULL;
    if (id)
        add(order, id);
}

static int by_id(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* `all`: also those that roles.llm does not name, where it names any. */
static void add_usual(cvm_turn *t, json_t *order, const json_t *components, bool all)
{
    const json_t *roles = json_object_get(cvm_registry(t, "roles"), LLM_ROLE);
    const char *ids[PROVIDERS_MAX];
    size_t n = 0;
    for (size_t i = 0; i < json_array_size(roles); i++)
        add_named(order, components, json_string_value(json_array_get(roles, i)));
    if (json_array_size(roles) || !all)
        return;
    for (size_t i = 0; i < json_array_size(components) && n < PROVIDERS_MAX; i++) {
        const json_t *c = json_array_get(components, i);
        const char *id = cvm_json_str(c, "id", "");
        if (listed(json_object_get(c, "roles"), LLM_ROLE) && strcmp(id, LLM_FRONT) != 0 && strcmp(id, LLM_RULES) != 0)
            ids[n++] = id;
    }
    qsort(ids, n, sizeof *ids, by_id);
    for (size_t i = 0; i < n; i++)
        add(order, ids[i]);
}

/* What the front's setting `areas` says of the agent's area ("service", "support"); NULL: nothing. */
static const json_t *of_area(cvm_turn *t, const char *agent)
{
    char area[CVM_NAME_MAX + 1];
    size_t n = strcspn(agent, ".");
    if (!n || n >= sizeof area)
        return NULL;
    memcpy(area, agent, n);
    area[n] = 0;
    return json_object_get(json_object_get(cvm_settings(t), "areas"), area);
}

json_t *order_of(cvm_turn *t, const json_t *request, const char *agent)
{
    const json_t *components = cvm_registry(t, "components"), *wanted = json_object_get(request, "provider");
    json_t *order = json_array();
    if (!wanted || (json_is_string(wanted) && !strcmp(json_string_value(wanted), "auto")))
        wanted = of_area(t, agent);
    if (json_is_array(wanted)) { /* exactly these */
        for (size_t i = 0; i < json_array_size(wanted); i++)
            add_named(order, components, json_string_value(json_array_get(wanted, i)));
    } else if (json_is_string(wanted) && strcmp(json_string_value(wanted), "auto") != 0) {
        add_named(order, components, json_string_value(wanted));
        if (!listed(order, LLM_RULES))
            add_usual(t, order, components, false);
    } else {
        add_named(order, components, cvm_json_str(request, "first", NULL));
        add_usual(t, order, components, true);
    }
    return order;
}
