/* "state.stores" to "state.delete" of components that hold the role "store": they keep keys and values for others and
 * answer for them by operations (get, put, delete, list), so what an operator sees and changes goes through those.
 * Knows the operations, not what is stored. Loop thread. */
#include "services/control_private.h"

#include "core/config.h"
#include "core/core.h"
#include <stdio.h>
#include <stdlib.h>

#define ROLE "store"
#define COUNT_PAGE 500
#define COUNT_PAGES_MAX 20 /* of a store whose keys are counted: more are not */
#define ASK_TIMEOUT_MS 10000

/* ---- which ---- */

static bool has(const json_t *list, const char *text)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (json_is_string(json_array_get(list, i)) && strcmp(json_string_value(json_array_get(list, i)), text) == 0)
            return true;
    return false;
}

/* The name that others send to: the one asked for where it serves that, else the first it serves, else its alias. */
static const char *served_name(const json_t *component, const char *asked)
{
    const json_t *names = json_object_get(json_object_get(component, "serves"), ROLE);
    if (asked && has(names, asked))
        return asked;
    const char *first = json_string_value(json_array_get(names, 0)), *alias = cvm_json_str(component, "alias", "");
    return first ? first : *alias ? alias : cvm_json_str(component, "id", "");
}

static bool goes_by(const json_t *component, const char *name)
{
    return strcmp(cvm_json_str(component, "id", ""), name) == 0 ||
           strcmp(cvm_json_str(component, "alias", ""), name) == 0;
}

/* Place in the order of the configuration; behind all of them where it is not named. */
static size_t rank_of(const json_t *order, const json_t *component)
{
    size_t i = 0;
    while (i < json_array_size(order) && !json_equal(json_array_get(order, i), json_object_get(component, "id")))
        i++;
    return i;
}

/* Whether a request to the role would rather go to `a` than to `b`. */
static bool goes_before(const json_t *order, const json_t *a, const json_t *b)
{
    bool a_up = strcmp(cvm_json_str(a, "status", ""), "up") == 0,
         b_up = strcmp(cvm_json_str(b, "status", ""), "up") == 0;
    size_t a_rank = rank_of(order, a), b_rank = rank_of(order, b);
    return a_up != b_up       ? a_up
           : a_rank != b_rank ? a_rank < b_rank
                              : strcmp(cvm_json_str(a, "id", ""), cvm_json_str(b, "id", "")) < 0;
}

/* Who a request for the store goes to; else who goes by that name. Borrowed; NULL: nobody. */
static json_t *holder(struct exchange *x, json_t *components, const char *name)
{
    json_t *all = x->config ? config_show(x->config) : NULL, *c, *found = NULL;
    const json_t *order = json_object_get(json_object_get(all, "roles"), ROLE);
    size_t i;
    json_array_foreach(components, i, c)
    {
        if (has(json_object_get(c, "roles"), ROLE) && has(json_object_get(json_object_get(c, "serves"), ROLE), name) &&
            (!found || goes_before(order, c, found)))
            found = c;
    }
    for (i = 0; !found && i < json_array_size(components); i++) {
        c = json_array_get(components, i);
        found = has(json_object_get(c, "roles"), ROLE) && goes_by(c, name) ? c : NULL;
    }
    json_decref(all);
    return found;
}

/* {"component", "store"} of a store that goes by `name`; NULL: none does. Gives. */
static json_t *find(struct exchange *x, const char *name)
{
    json_t *components = core_components(x->core), *c = holder(x, components, name), *found = NULL;
    if (c)
        found = json_pack("{s:O, s:s}", "component", json_object_get(c, "id"), "store", served_name(c, name));
    json_decref(components);
    return found;
}

static bool is_listed(const json_t *list, const char *store)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (strcmp(cvm_json_str(json_array_get(list, i), "store", ""), store) == 0)
            return true;
    return false;
}

/* Each store once, with who answers for it. */
static json_t *all_stores(struct exchange *x)
{
    json_t *components = core_components(x->core), *c, *list = json_array();
    size_t i;
    json_array_foreach(components, i, c)
    {
        const json_t *names = json_object_get(json_object_get(c, "serves"), ROLE);
        size_t n = has(json_object_get(c, "roles"), ROLE) ? json_array_size(names) : 0;
        for (size_t k = 0; k < n; k++) {
            const char *name = json_string_value(json_array_get(names, k));
            json_t *one = name && !is_listed(list, name) ? find(x, name) : NULL;
            if (one)
                json_array_append_new(list, one);
        }
    }
    json_decref(components);
    return list;
}

/* ---- one operation ---- */

static void failed(struct exchange *x, const struct edge_reply *reply)
{
    const char *code = cvm_json_str(reply->data, "code", ""), *text = cvm_json_str(reply->data, "message", "");
    int e = strcmp(code, "NOT_FOUND") == 0  ? CVM_ENOENT
            : reply->outcome == CVM_BUSY    ? CVM_EBUSY
            : reply->outcome == CVM_TIMEOUT ? CVM_ETIMEOUT
                                            : CVM_EREFUSED;
    control__fail(x, e, cvm_json_str(reply->data, "field", ""), "%s%s%s", e == CVM_ENOENT ? "" : code,
                  *code && e != CVM_ENOENT ? ": " : "", *text ? text : "the store does not answer; see: cvmhost ps");
}

static void answered(void *arg, const struct edge_reply *reply)
{
    struct exchange *x = arg;
    x->message = (cvm_id){0, 0};
    if (reply->outcome != CVM_REPLIED) {
        failed(x, reply);
        return;
    }
    json_t *data = json_copy((json_t *)(uintptr_t)reply->data), *items = json_object_get(data, "items");
    if (json_is_array(items)) { /* a list: as those of other components are shown */
        json_object_set(data, "rows", items);
        json_object_del(data, "items");
        json_object_set_new(data, "columns", json_string("key version updated_at"));
    }
    control__answer(x, data);
}

/* Sends an operation to a store. `data` is taken. An error is not answered yet. */
static int send_on(struct exchange *x, const char *component, const char *type, json_t *data, edge_done done,
                   struct edge_error *ret_error)
{
    struct edge_in in = {.source = "cli",
                         .to = component,
                         .type = type,
                         .priority = CVM_HIGH,
                         .timeout_ms = ASK_TIMEOUT_MS,
                         .data = data};
    cvm_id id = {0, 0};
    int e = edge_submit(x->core, &in, done, x, &id, ret_error);
    if (e >= 0)
        x->message = id;
    else if (!ret_error->text[0])
        snprintf(ret_error->text, sizeof ret_error->text, "%s", cvm_strerror(e));
    return e;
}

bool control__store(struct exchange *x, const char *what, const json_t *request)
{
    static const char *const members[] = {"key", "value", "if_version", "prefix", "after", "limit"};
    const char *name = cvm_json_str(request, "store", "");
    json_t *store = *name ? find(x, name) : NULL;
    if (!store)
        return false;
    json_t *data = json_pack("{s:O}", "store", json_object_get(store, "store"));
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        if (json_object_get(request, members[i]))
            json_object_set(data, members[i], json_object_get(request, members[i]));
    struct edge_error error = {0};
    int e = send_on(x, cvm_json_str(store, "component", ""), what + strlen("state."), data, answered, &error);
    if (e < 0)
        control__fail(x, e, error.field, "%s", error.text);
    json_decref(store);
    return true;
}

/* ---- all of them ---- */

/* What is counted stands in x->filter: {"rows", "stores", "pages", "keys", "after"?}; the first of "stores" is next. */
static void count_next(struct exchange *x);

static void store_done(struct exchange *x, const char *trouble, bool more)
{
    json_t *stores = json_object_get(x->filter, "stores"), *store = json_array_get(stores, 0);
    if (trouble)
        json_object_set_new(store, "trouble", json_string(trouble));
    else
        json_object_set(store, "keys", json_object_get(x->filter, "keys"));
    if (more)
        json_object_set_new(store, "more", json_true());
    json_array_append(json_object_get(x->filter, "rows"), store);
    json_array_remove(stores, 0);
    json_object_del(x->filter, "after");
    json_object_set_new(x->filter, "keys", json_integer(0));
    json_object_set_new(x->filter, "pages", json_integer(0));
}

static void counted(void *arg, const struct edge_reply *reply)
{
    struct exchange *x = arg;
    const json_t *items = json_object_get(reply->data, "items");
    const json_t *last = json_array_get(items, json_array_size(items) - 1);
    int64_t keys = cvm_json_int(x->filter, "keys", 0) + (int64_t)json_array_size(items);
    int64_t pages = cvm_json_int(x->filter, "pages", 0) + 1;
    bool more = last && cvm_json_bool(reply->data, "more", false);
    x->message = (cvm_id){0, 0};
    json_object_set_new(x->filter, "keys", json_integer(keys));
    json_object_set_new(x->filter, "pages", json_integer(pages));
    if (more && pages < COUNT_PAGES_MAX)
        json_object_set(x->filter, "after", json_object_get(last, "key"));
    else
        store_done(x, reply->outcome == CVM_REPLIED ? NULL : cvm_json_str(reply->data, "message", "no answer"), more);
    count_next(x);
}

static void count_next(struct exchange *x)
{
    const json_t *store;
    while ((store = json_array_get(json_object_get(x->filter, "stores"), 0))) {
        struct edge_error error = {0};
        json_t *data = json_pack("{s:O, s:i, s:O*}", "store", json_object_get(store, "store"), "limit", COUNT_PAGE,
                                 "after", json_object_get(x->filter, "after"));
        if (send_on(x, cvm_json_str(store, "component", ""), "list", data, counted, &error) >= 0)
            return;
        store_done(x, error.text, false);
    }
    control__answer(x, json_pack("{s:O, s:O}", "rows", json_object_get(x->filter, "rows"), "more",
                                 json_object_get(x->filter, "more")));
}

/* Also one that another answers for: its rows are no store of their own. */
static bool is_store(const json_t *components, const char *id)
{
    for (size_t i = 0; i < json_array_size(components); i++) {
        const json_t *c = json_array_get(components, i);
        if (strcmp(cvm_json_str(c, "id", ""), id) == 0)
            return has(json_object_get(c, "roles"), ROLE);
    }
    return false;
}

void control__count_stores(struct exchange *x, json_t *rows, bool more)
{
    json_t *stores = all_stores(x), *components = core_components(x->core), *others = json_array(), *row;
    size_t i;
    json_array_foreach(rows, i, row) if (!is_store(components, cvm_json_str(row, "store", "")))
        json_array_append(others, row);
    json_decref(rows);
    json_decref(components);
    json_decref(x->filter);
    x->filter =
        json_pack("{s:o, s:o, s:i, s:i, s:b}", "rows", others, "stores", stores, "keys", 0, "pages", 0, "more", more);
    count_next(x);
}
