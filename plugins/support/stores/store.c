/* The operations of a store: see stores.h. Knows nothing of what is stored. Loop thread. */
#include "stores.h"

#include "../../common/object.h"
#include "../../common/text.h"

#include <stdio.h>

#define STATE_KEY_SIZE (CVM_STATE_KEY_MAX + 1)

/* ---- names ---- */

static void state_key(char kind, const char *key, char ret_key[STATE_KEY_SIZE])
{
    text_key(kind, key, ret_key, STATE_KEY_SIZE);
}

/* Aliases by id, for as long as the same components are loaded. */
static struct {
    json_t *components, *of;
} names;

void store_forget(void)
{
    json_decref(names.components);
    json_decref(names.of);
    names.components = names.of = NULL;
}

/* The name a store goes by, among what the component of that id or alias is called. */
static const char *name_of(cvm_turn *t, const cvm_msg *m)
{
    const json_t *components = cvm_registry(t, "components");
    if (names.components != components) {
        store_forget();
        names.components = cvm_json_share(components);
        names.of = json_object();
        for (size_t i = 0; i < json_array_size(components); i++) {
            const json_t *c = json_array_get(components, i);
            json_object_set(names.of, cvm_json_str(c, "id", ""), json_object_get(c, "alias"));
        }
    }
    return cvm_json_str(names.of, m->recipient, m->recipient);
}

static json_t *time_json(int64_t at_ms)
{
    char text[TEXT_TIME_SIZE];
    return json_string_nocheck(text_of_time(at_ms, text));
}

/* Refuses a request for another store, or with a key that no store has room for. */
static int check(cvm_turn *t, const cvm_msg *m, const char *key)
{
    char text[256];
    const char *store = cvm_json_str(m->data, "store", NULL), *own = name_of(t, m);
    if (store && strcmp(store, own) != 0 && strcmp(store, m->recipient) != 0) {
        snprintf(text, sizeof text, "this is the store %.64s; send to role:store, which finds the one that is named",
                 own);
        return cvm_refuse(t, "WRONG_STORE", "store", text);
    }
    if (strlen(key) <= KEY_BYTES_MAX)
        return CVM_OK;
    snprintf(text, sizeof text, "a key has at most %d bytes, this one has %zu", KEY_BYTES_MAX, strlen(key));
    return cvm_refuse(t, "TOO_LARGE", "key", text);
}

static int not_found(cvm_turn *t, const cvm_msg *m)
{
    char text[256];
    snprintf(text, sizeof text, "the store %.64s has no such key; see: cvmhost state list %.64s", name_of(t, m),
             name_of(t, m));
    return cvm_refuse(t, "NOT_FOUND", "key", text);
}

/* The version of a key, 0 where there is none; `ret_at_ms` may be NULL. */
static int version_of(cvm_turn *t, const char *key, int64_t *ret_version, int64_t *ret_at_ms)
{
    char about[STATE_KEY_SIZE];
    const json_t *meta = NULL;
    state_key('m', key, about);
    int e = cvm_state_get(t, about, &meta);
    if (e < 0 && e != CVM_ENOENT)
        return e;
    *ret_version = cvm_json_int(meta, "version", 0);
    if (ret_at_ms)
        *ret_at_ms = cvm_json_int(meta, "at_ms", 0);
    return CVM_OK;
}

/* ---- keeping ---- */

int store_keep(cvm_turn *t, const char *key, json_t *value, int64_t *ret_version)
{
    char name[STATE_KEY_SIZE];
    int64_t version = 0;
    int e = version_of(t, key, &version, NULL);
    if (!e && version == 0)
        e = cvm_state_int(t, "floor", &version);
    if (e < 0) {
        json_decref(value);
        return e;
    }
    version++;
    state_key('v', key, name);
    CVM_TRY(cvm_state_put(t, name, value));
    state_key('m', key, name);
    json_t *meta = json_object();
    OBJECT_INT(meta, "version", version);
    OBJECT_INT(meta, "at_ms", cvm_now_ms(t));
    CVM_TRY(cvm_state_put(t, name, meta));
    *ret_version = version;
    return CVM_OK;
}

int store_drop(cvm_turn *t, const char *key, int64_t *ret_version)
{
    char name[STATE_KEY_SIZE];
    int64_t version = 0, floor = 0;
    CVM_TRY(version_of(t, key, &version, NULL));
    if (version == 0)
        return CVM_ENOENT;
    CVM_TRY(cvm_state_int(t, "floor", &floor));
    if (version > floor)
        CVM_TRY(cvm_state_put_int(t, "floor", version));
    state_key('v', key, name);
    CVM_TRY(cvm_state_del(t, name));
    state_key('m', key, name);
    CVM_TRY(cvm_state_del(t, name));
    *ret_version = version;
    return CVM_OK;
}

/* ---- operations ---- */

/* Refuses where "if_version" is given and is not the key's. */
static int check_version(cvm_turn *t, const cvm_msg *m, const char *key)
{
    char text[160];
    int64_t wanted = cvm_json_int(m->data, "if_version", -1), version = 0;
    if (wanted < 0)
        return CVM_OK;
    CVM_TRY(version_of(t, key, &version, NULL));
    if (version == wanted)
        return CVM_OK;
    if (version)
        snprintf(text, sizeof text, "the key has version %lld by now; get it, look again and put with that version",
                 (long long)version);
    else
        snprintf(text, sizeof text, "there is no such key any more; put without if_version, or with 0, to make it");
    return cvm_refuse(t, "CONFLICT", "if_version", text);
}

/* What is shown of a key. CVM_ENOENT: there is none. */
static int entry_of(cvm_turn *t, const cvm_msg *m, const char *key, json_t **ret_entry)
{
    char name[STATE_KEY_SIZE];
    int64_t version = 0, at_ms = 0;
    const json_t *value = NULL;
    CVM_TRY(version_of(t, key, &version, &at_ms));
    if (version == 0)
        return CVM_ENOENT;
    state_key('v', key, name);
    CVM_TRY(cvm_state_get(t, name, &value));
    json_t *entry = json_object();
    OBJECT_TEXT(entry, "store", name_of(t, m));
    OBJECT_TEXT(entry, "key", key);
    OBJECT_PUT(entry, "value", cvm_json_share(value));
    OBJECT_INT(entry, "version", version);
    OBJECT_PUT(entry, "updated_at", time_json(at_ms));
    *ret_entry = entry;
    return entry ? CVM_OK : CVM_ENOMEM;
}

int store_get(cvm_turn *t, const cvm_msg *m)
{
    const char *key = cvm_json_str(m->data, "key", "");
    json_t *entry = NULL;
    CVM_TRY(check(t, m, key));
    int e = entry_of(t, m, key, &entry);
    if (e == CVM_ENOENT)
        return not_found(t, m);
    CVM_TRY(e);
    return cvm_reply(t, m, entry);
}

/* What has been found so far, with this store's own. Gives; NULL: there is no memory. */
static json_t *with_entry(const cvm_msg *m, json_t *entry)
{
    json_t *before = json_object_get(m->data, "found"), *list = before ? json_copy(before) : json_array();
    if (json_array_append_new(list, entry) == 0)
        return list;
    json_decref(list);
    return NULL;
}

/* The next of those that are asked for is the one to answer; takes `found`. */
static int hand_on(cvm_turn *t, const cvm_msg *m, const json_t *then, json_t *found)
{
    json_t *rest = json_copy((json_t *)(uintptr_t)then), *data = json_object();
    const json_t *next = json_array_get(then, 0);
    json_array_remove(rest, 0);
    OBJECT_TEXT(data, "store", cvm_json_str(next, "store", ""));
    OBJECT_TEXT(data, "key", cvm_json_str(next, "key", ""));
    OBJECT_PUT(data, "then", rest);
    OBJECT_PUT(data, "found", found);
    if (!data)
        return CVM_ENOMEM;
    int e = cvm_forward(t, m->id, "role:store", "get_several", data);
    if (e == CVM_ENOENT || e == CVM_EACCES)
        return cvm_refuse(t, "NOT_AVAILABLE", "then", "a store that is named is not there, or has no get_several");
    return e < 0 ? e : CVM_PENDING;
}

int store_get_several(cvm_turn *t, const cvm_msg *m)
{
    const char *key = cvm_json_str(m->data, "key", "");
    const json_t *then = json_object_get(m->data, "then");
    json_t *entry = NULL;
    CVM_TRY(check(t, m, key));
    int e = entry_of(t, m, key, &entry);
    if (e == CVM_ENOENT) {
        entry = json_object();
        OBJECT_TEXT(entry, "store", name_of(t, m));
        OBJECT_TEXT(entry, "key", key);
        OBJECT_TEXT(entry, "code", "NOT_FOUND");
        e = CVM_OK;
    }
    CVM_TRY(e);
    json_t *found = with_entry(m, entry);
    if (json_array_size(then))
        return hand_on(t, m, then, found);
    json_t *answer = json_object();
    OBJECT_PUT(answer, "found", found);
    return answer ? cvm_reply(t, m, answer) : CVM_ENOMEM;
}

int store_put(cvm_turn *t, const cvm_msg *m)
{
    const char *key = cvm_json_str(m->data, "key", "");
    const json_t *value = json_object_get(m->data, "value");
    int64_t version = 0;
    CVM_TRY(check(t, m, key));
    CVM_TRY(check_version(t, m, key));
    int e = store_keep(t, key, cvm_json_share(value), &version);
    if (e == CVM_ELIMIT) {
        char text[160];
        snprintf(text, sizeof text,
                 "a value has at most %d bytes as JSON, this one has %zu; keep parts under keys of their own",
                 CVM_STATE_VALUE_MAX_BYTES, json_dumpb(value, NULL, 0, JSON_COMPACT | JSON_ENCODE_ANY));
        return cvm_refuse(t, "TOO_LARGE", "value", text);
    }
    CVM_TRY(e);
    if (!m->requires_response)
        return CVM_OK;
    json_t *kept = json_object();
    OBJECT_TEXT(kept, "store", name_of(t, m));
    OBJECT_TEXT(kept, "key", key);
    OBJECT_INT(kept, "version", version);
    return kept ? cvm_reply(t, m, kept) : CVM_ENOMEM;
}

int store_delete(cvm_turn *t, const cvm_msg *m)
{
    const char *key = cvm_json_str(m->data, "key", "");
    int64_t version = 0;
    CVM_TRY(check(t, m, key));
    CVM_TRY(check_version(t, m, key));
    int e = store_drop(t, key, &version);
    if (e == CVM_ENOENT)
        return not_found(t, m);
    CVM_TRY(e);
    return cvm_reply(t, m,
                     json_pack("{s:s, s:s, s:I, s:b}", "store", name_of(t, m), "key", key, "version",
                               (json_int_t)version, "deleted", 1));
}

int store_list(cvm_turn *t, const cvm_msg *m)
{
    const char *prefix = cvm_json_str(m->data, "prefix", ""), *after = cvm_json_str(m->data, "after", "");
    size_t limit = (size_t)cvm_json_int(m->data, "limit", LIST_DEFAULT);
    char from[STATE_KEY_SIZE], behind[STATE_KEY_SIZE];
    json_t *pairs = NULL;
    CVM_TRY(check(t, m, strlen(prefix) > strlen(after) ? prefix : after));
    state_key('m', prefix, from);
    state_key('m', after, behind);
    CVM_TRY(cvm_state_scan(t, from, *after ? behind : NULL, limit + 1, &pairs));
    json_t *items = json_array();
    for (size_t i = 0; i < json_array_size(pairs) && i < limit; i++) {
        const json_t *pair = json_array_get(pairs, i), *meta = json_array_get(pair, 1);
        json_array_append_new(items, json_pack("{s:s, s:I, s:o}", "key", json_string_value(json_array_get(pair, 0)) + 2,
                                               "version", (json_int_t)cvm_json_int(meta, "version", 0), "updated_at",
                                               time_json(cvm_json_int(meta, "at_ms", 0))));
    }
    bool more = json_array_size(pairs) > limit;
    json_decref(pairs);
    return cvm_reply(t, m, json_pack("{s:s, s:o, s:b}", "store", name_of(t, m), "items", items, "more", more));
}
