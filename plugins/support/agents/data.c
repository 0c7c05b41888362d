/* The sample data of the support desk: puts it into the stores, says whether it is there. What the samples are stands
 * in the settings. Loop thread. */
#include "agents.h"

#include <stdio.h>

#define RECORDS_MAX 32 /* of both kinds together */
#define KEYS_MAX 200   /* of a store that are looked through for those of the samples */

static const char *const stores[] = {"customer-state", "system-state"};
static const char *const kinds[] = {"customers", "systems"};

/* ---- loading ---- */

static size_t add_parts(cvm_turn *t, size_t kind, struct part *parts, size_t n)
{
    const json_t *records = json_object_get(json_object_get(cvm_settings(t), "samples"), kinds[kind]);
    for (size_t i = 0; i < json_array_size(records) && n < RECORDS_MAX; i++) {
        const json_t *record = json_array_get(records, i);
        parts[n++] =
            (struct part){.to = "role:store",
                          .type = "put",
                          .name = kinds[kind],
                          .data = json_pack("{s:s, s:s, s:O, s:i}", "store", stores[kind], "key",
                                            cvm_json_str(record, "customer_id", ""), "value", record, "if_version", 0),
                          .timeout_ms = STORE_TIMEOUT_MS};
    }
    return n;
}

int data_load(cvm_turn *t, const cvm_msg *m)
{
    struct part parts[RECORDS_MAX];
    char text[400];
    json_t *keys = json_array();
    size_t n = add_parts(t, 1, parts, add_parts(t, 0, parts, 0));
    for (size_t i = 0; i < n; i++)
        json_array_append(keys, json_object_get(parts[i].data, "key"));
    int sent = many_send(t, m->id, json_pack("{s:o}", "keys", keys), parts, n);
    if (sent != 0)
        return sent < 0 ? sent : CVM_PENDING;
    store_trouble(stores[0], text, sizeof text);
    return settle_failed(t, m->id, CVM_ERROR, "STORE_UNAVAILABLE", "", text);
}

/* "created", "kept" (somebody may have changed it since: it stays), or NULL. */
static const char *became(const json_t *part)
{
    if (many_replied(part))
        return "created";
    return strcmp(cvm_json_str(json_object_get(part, "data"), "code", ""), "CONFLICT") == 0 ? "kept" : NULL;
}

static int loaded(cvm_turn *t, const cvm_msg *m, const json_t *run)
{
    const json_t *parts = json_object_get(run, "parts"), *keys = json_object_get(json_object_get(run, "what"), "keys");
    json_t *all[] = {json_object(), json_object()};
    const char *missing = NULL;
    size_t created = 0;
    for (size_t i = 0; i < json_array_size(parts); i++) {
        const json_t *part = json_array_get(parts, i);
        const char *how = became(part);
        size_t kind = strcmp(cvm_json_str(part, "name", ""), kinds[1]) == 0;
        if (how)
            json_object_set_new(all[kind], json_string_value(json_array_get(keys, i)), json_string(how));
        else
            missing = stores[kind];
        created += how && strcmp(how, "created") == 0;
    }
    char text[400];
    if (missing) {
        json_decref(all[0]);
        json_decref(all[1]);
        store_trouble(missing, text, sizeof text);
        return settle_failed(t, m->on_behalf, CVM_ERROR, "STORE_UNAVAILABLE", "", text);
    }
    snprintf(text, sizeof text,
             "Sample data setup completed successfully: %zu customers and %zu systems are there, %zu of "
             "these records are new.",
             json_object_size(all[0]), json_object_size(all[1]), created);
    cvm_log(t, CVM_LOG_INFO, "%s", text);
    return settle(t, m->on_behalf, CVM_REPLIED,
                  json_pack("{s:s, s:o, s:o}", "message", text, kinds[0], all[0], kinds[1], all[1]));
}

int data_put(cvm_turn *t, const cvm_msg *m)
{
    json_t *run = NULL;
    CVM_TRY(many_answer(t, m, NULL, &run));
    int e = run ? loaded(t, m, run) : CVM_OK;
    json_decref(run);
    return e;
}

/* ---- looking ---- */

/* What all ids of a kind begin with. */
static void common_prefix(const json_t *records, char ret_prefix[65])
{
    snprintf(ret_prefix, 65, "%.64s", cvm_json_str(json_array_get(records, 0), "customer_id", ""));
    for (size_t i = 1; i < json_array_size(records); i++) {
        const char *id = cvm_json_str(json_array_get(records, i), "customer_id", "");
        size_t n = 0;
        while (ret_prefix[n] && ret_prefix[n] == id[n])
            n++;
        ret_prefix[n] = '\0';
    }
}

static bool has_key(const json_t *items, const char *key)
{
    for (size_t i = 0; i < json_array_size(items); i++)
        if (strcmp(cvm_json_str(json_array_get(items, i), "key", ""), key) == 0)
            return true;
    return false;
}

static const json_t *samples_of(cvm_turn *t, size_t kind)
{
    return json_object_get(json_object_get(cvm_settings(t), "samples"), kinds[kind]);
}

/* The answer of both stores; `run` NULL: there is none. */
static int looked(cvm_turn *t, cvm_id request, const json_t *run)
{
    json_t *all[] = {json_object(), json_object()};
    char text[400] = "Load the sample data: cvmhost support load-samples";
    bool whole = run != NULL;
    for (size_t kind = 0; kind < 2; kind++) {
        const json_t *records = samples_of(t, kind), *part = many_part(run, kinds[kind]);
        const json_t *items = json_object_get(json_object_get(part, "data"), "items");
        for (size_t i = 0; i < json_array_size(records) && i < RECORDS_MAX; i++) {
            const char *id = cvm_json_str(json_array_get(records, i), "customer_id", "");
            bool there = has_key(items, id);
            json_object_set_new(all[kind], id, json_boolean(there));
            whole = whole && there;
        }
        if (!many_replied(part))
            store_trouble(stores[kind], text, sizeof text);
    }
    json_t *body = json_pack("{s:s, s:o, s:o}", "status", whole ? "ok" : "missing", kinds[0], all[0], kinds[1], all[1]);
    if (!whole)
        json_object_update_new(body,
                               json_pack("{s:s, s:s, s:s}", "hint", text, "code", "SAMPLES_MISSING", "message", text));
    return settle(t, request, whole ? CVM_REPLIED : CVM_REFUSED, body);
}

int data_health(cvm_turn *t, const cvm_msg *m)
{
    struct part parts[2];
    for (size_t kind = 0; kind < 2; kind++) {
        char prefix[65];
        common_prefix(samples_of(t, kind), prefix);
        parts[kind] = (struct part){
            .to = "role:store",
            .type = "list",
            .name = kinds[kind],
            .data = json_pack("{s:s, s:s, s:i}", "store", stores[kind], "prefix", prefix, "limit", KEYS_MAX),
            .timeout_ms = STORE_TIMEOUT_MS};
    }
    int sent = many_send(t, m->id, json_object(), parts, 2);
    if (sent != 0)
        return sent < 0 ? sent : CVM_PENDING;
    return looked(t, m->id, NULL);
}

/* Of the keys those that the samples have. */
static json_t *keep_keys(cvm_turn *t, const cvm_msg *m, const json_t *before)
{
    (void)before;
    const json_t *items = json_object_get(m->data, "items");
    json_t *list = json_array();
    for (size_t kind = 0; kind < 2; kind++) {
        const json_t *records = samples_of(t, kind);
        for (size_t i = 0; i < json_array_size(records) && i < RECORDS_MAX; i++) {
            const char *id = cvm_json_str(json_array_get(records, i), "customer_id", "");
            if (has_key(items, id) && !has_key(list, id))
                json_array_append_new(list, json_pack("{s:s}", "key", id));
        }
    }
    return json_pack("{s:o}", "items", list);
}

int data_looked(cvm_turn *t, const cvm_msg *m)
{
    json_t *run = NULL;
    CVM_TRY(many_answer(t, m, keep_keys, &run));
    int e = run ? looked(t, m->on_behalf, run) : CVM_OK;
    json_decref(run);
    return e;
}
