/* The conversation's shared document. Values are frozen: a change copies the objects on its path and shares the rest. */
#include "core/internal.h"

#include <string.h>

#define CONTEXT_PATH_DEPTH_MAX 16
#define CONTEXT_MAX_BYTES (512 * 1024)

json_t *json_with_path(const json_t *object, const char *path, json_t *value, int *ret_error)
{
    const char *names[CONTEXT_PATH_DEPTH_MAX];
    size_t lengths[CONTEXT_PATH_DEPTH_MAX];
    int n = 0;
    json_t *root = NULL, *at = NULL;
    *ret_error = CVM_EINVAL;
    for (const char *s = path; *s == '/';) {
        size_t len = strcspn(++s, "/");
        if (!len || len > CVM_NAME_MAX || n == CONTEXT_PATH_DEPTH_MAX)
            goto out;
        names[n] = s;
        lengths[n++] = len;
        s += len;
    }
    if (!n || strlen(path) != (size_t)(names[n - 1] - path) + lengths[n - 1])
        goto out;
    *ret_error = CVM_ENOMEM;
    root = at = json_is_object(object) ? json_copy((json_t *)(uintptr_t)object) : json_object();
    for (int i = 0; at && i < n; i++) {
        char name[CVM_NAME_MAX + 1];
        memcpy(name, names[i], lengths[i]);
        name[lengths[i]] = 0;
        if (i == n - 1) {
            if (value ? json_object_set(at, name, value) : (json_object_del(at, name), 0))
                goto out;
            *ret_error = 0;
            goto out;
        }
        json_t *old = json_object_get(at, name);
        json_t *copy = json_is_object(old) ? json_copy(old) : json_object();
        if (json_object_set_new(at, name, copy))
            goto out;
        at = copy;
    }
out:
    json_decref(value);
    if (*ret_error) {
        json_decref(root);
        return NULL;
    }
    return root;
}

const json_t *turn_context(cvm_turn *pub)
{
    static json_t *none;
    struct turn *t = (struct turn *)pub;
    if (t->context)
        return t->context;
    if (t->conversation)
        return t->conversation->context;
    if (!none)
        none = json_object();
    return none;
}

int turn_context_set(cvm_turn *pub, const char *path, json_t *value)
{
    struct turn *t = (struct turn *)pub;
    int e = CVM_ESTATE;
    if (!t->conversation) {
        json_decref(value);
        return e;
    }
    t->bytes += json_text_size(value, CONTEXT_MAX_BYTES);
    if (t->bytes > CVM_TURN_BYTES_MAX) {
        json_decref(value);
        return CVM_ELIMIT;
    }
    json_t *kept = json_incref(value);
    json_t *changed = json_with_path(turn_context(pub), path, value, &e);
    if (!changed) {
        json_decref(kept);
        return e;
    }
    json_decref(t->context);
    t->context = changed;
    if (!t->changes)
        t->changes = json_array();
    json_t *pair = json_array();
    json_array_append_new(pair, json_string(path));
    json_array_append_new(pair, kept ? kept : json_null());
    json_array_append_new(t->changes, pair);
    return CVM_OK;
}
