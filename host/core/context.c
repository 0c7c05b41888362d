/* The conversation's shared document. Values are frozen: a change copies the objects on its path and shares the rest. */
#include "core/internal.h"

#include <string.h>

#define CONTEXT_PATH_DEPTH_MAX 16
#define CONTEXT_MAX_BYTES (512 * 1024)

/* Splits "/a/b" into names; false: malformed or too deep. */
struct path {
    char name[CONTEXT_PATH_DEPTH_MAX][CVM_NAME_MAX + 1];
    int n;
};

static bool parse(const char *text, struct path *ret_path)
{
    ret_path->n = 0;
    while (*text == '/') {
        size_t len = strcspn(++text, "/");
        if (!len || len > CVM_NAME_MAX || ret_path->n == CONTEXT_PATH_DEPTH_MAX)
            return false;
        memcpy(ret_path->name[ret_path->n], text, len);
        ret_path->name[ret_path->n++][len] = 0;
        text += len;
    }
    return ret_path->n && !*text;
}

/* Sets the value at the path of `root`, which this turn alone holds. What others hold as well (an earlier version of
 * the context, a record, a message) has more than one reference and is copied on the way. Borrows value; NULL removes. */
static int append_at(json_t *root, struct path *path, json_t *value);

static int set_at(json_t *root, struct path *path, json_t *value)
{
    if (value && path->n > 1 && strcmp(path->name[path->n - 1], "-") == 0)
        return append_at(root, path, value);
    json_t *at = root;
    for (int i = 0; i < path->n - 1; i++) {
        json_t *next = json_object_get(at, path->name[i]);
        if (!json_is_object(next) || next->refcount > 1) {
            next = json_is_object(next) ? json_copy(next) : json_object();
            if (!next || json_object_set_new(at, path->name[i], next) < 0)
                return CVM_ENOMEM;
        }
        at = next;
    }
    if (!value) {
        json_object_del(at, path->name[path->n - 1]);
        return 0;
    }
    return json_object_set(at, path->name[path->n - 1], value) < 0 ? CVM_ENOMEM : 0;
}

/* "/a/b/-": to the end of the array at "/a/b", which is made if there is none. */
static int append_at(json_t *root, struct path *path, json_t *value)
{
    json_t *old = root;
    path->n--;
    for (int i = 0; i < path->n; i++)
        old = json_object_get(old, path->name[i]);
    json_t *array = json_is_array(old) ? json_copy(old) : json_array();
    int e = array && json_array_append(array, value) == 0 ? set_at(root, path, array) : CVM_ENOMEM;
    json_decref(array);
    return e;
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
    struct path where;
    if (!path || !parse(path, &where)) {
        json_decref(value);
        return CVM_EINVAL;
    }
    if (!t->context && !(t->context = json_copy(t->conversation->context))) {
        json_decref(value);
        return CVM_ENOMEM;
    }
    if ((e = set_at(t->context, &where, value)) < 0) {
        json_decref(value);
        return e; /* the handler fails with it, and the turn is undone */
    }
    if (!t->changes)
        t->changes = json_array();
    json_t *pair = json_array();
    json_array_append_new(pair, json_string(path));
    json_array_append_new(pair, value ? value : json_null());
    json_array_append_new(t->changes, pair);
    return CVM_OK;
}
