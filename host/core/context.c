/* The conversation's shared document. Values are frozen: a change copies the objects on its path and shares the rest.
 */
#include "core/internal.h"

#include "core/crash.h"
#include <string.h>

#define CONTEXT_PATH_DEPTH_MAX 16

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
 * the context, a record, a message) has more than one reference and is copied on the way. Borrows value; NULL removes.
 */
static int append_at(json_t *root, struct path *path, json_t *value);

static int set_at(json_t *root, struct path *path, json_t *value)
{
    if (value && path->n > 1 && strcmp(path->name[path->n - 1], "-") == 0)
        return append_at(root, path, value);
    json_t *at = root;
    for (int i = 0; i < path->n - 1; i++) {
        json_t *next = json_object_get(at, path->name[i]);
        if (!json_is_object(next) || json_references(next) > 1) {
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

/* The same for a document outside any turn, copied where others hold it too. Gives the new one, or NULL. */
json_t *context_with(json_t *doc, const char *path, json_t *value)
{
    struct path where;
    json_t *copy = parse(path, &where) ? json_copy(doc) : NULL;
    if (copy && set_at(copy, &where, value) == 0)
        return copy;
    json_decref(copy);
    return NULL;
}

static size_t size_at(const json_t *root, const struct path *path)
{
    for (int i = 0; i < path->n; i++)
        root = json_object_get(root, path->name[i]);
    return root ? json_text_size(root, SIZE_MAX / 4) : 0;
}

/* The size is counted upwards only, and found anew when it seems to be too much: so a set costs what it sets. */
static int grow(struct turn *t, const struct path *where, const json_t *value)
{
    size_t more = 32;
    for (int i = 0; i < where->n; i++)
        more += strlen(where->name[i]) + 5;
    more += json_text_size(value, CVM_TURN_BYTES_MAX);
    if (t->context_bytes + more > CORE_CONTEXT_MAX_BYTES) {
        size_t old = size_at(t->context, where);
        t->context_bytes = json_text_size(t->context, SIZE_MAX / 4);
        if (value && t->context_bytes + more - old > CORE_CONTEXT_MAX_BYTES)
            return CVM_ELIMIT;
        t->context_bytes -= old;
    }
    CVM_TRY(turn_count(t, more));
    t->context_bytes += more;
    return 0;
}

/* The document that nobody else holds is not copied: it is changed in place, and what it was is kept until the turn has
 * ended. A record that was not submitted yet does without it, because the next one is written in the same group. */
static bool take_in_place(struct turn *t)
{
    struct conversation *c = t->conversation;
    struct record *unsent = c->unsent && c->unsent->context == c->context ? c->unsent : NULL;
    if (t->context || t->trial || json_references(c->context) != (unsent ? 2 : 1))
        return false;
    if (unsent) {
        unsent->context = NULL;
        json_decref(c->context);
    }
    t->took = unsent;
    t->in_place = true;
    t->context_bytes = c->context_bytes;
    t->context = c->context;
    c->context = NULL;
    return true;
}

/* What the member was before this turn, once. */
static int keep_before(struct turn *t, const char *name)
{
    for (uint32_t i = 0; i < t->before.n; i++)
        if (strcmp(t->before.at[i].name, name) == 0)
            return 0;
    struct overwritten o = {.value = json_object_get(t->context, name)};
    memcpy(o.name, name, strlen(name) + 1);
    if (!VECTOR_PUSH(t->before, o))
        return CVM_ENOMEM;
    json_incref(o.value);
    return 0;
}

static void forget_before(struct turn *t)
{
    for (uint32_t i = 0; i < t->before.n; i++)
        json_decref(t->before.at[i].value);
    t->before.n = 0;
    t->in_place = false;
    t->took = NULL;
}

void context_keep(struct turn *t, struct record *rec)
{
    if (t->took) {
        t->took->taken = true;
        rec->takes = true;
    }
    forget_before(t);
}

void context_restore(struct turn *t)
{
    json_t *context = t->context;
    if (!t->in_place)
        return;
    t->context = NULL;
    if (json_references(context) > 1) { /* given away: frozen as it is */
        json_t *copy = json_copy(context);
        if (!copy)
            crash_promised("the context of a turn that is undone");
        json_decref(context);
        context = copy;
    }
    for (uint32_t i = t->before.n; i-- > 0;) {
        struct overwritten *o = &t->before.at[i];
        if (o->value)
            json_object_set(context, o->name, o->value);
        else
            json_object_del(context, o->name);
    }
    if (t->took)
        t->took->context = json_incref(context);
    t->conversation->context = context;
    forget_before(t);
}

int context_detach(struct turn *t)
{
    json_t *copy = t->in_place ? json_copy(t->context) : NULL;
    if (!copy)
        return t->in_place ? CVM_ENOMEM : 0;
    context_restore(t);
    t->context = copy;
    return 0;
}

/* The turn's own. One that the handler has given away, in a message or a state, is frozen: copied again. */
static int own(struct turn *t)
{
    if ((t->context && json_references(t->context) == 1) || take_in_place(t))
        return 0;
    json_t *copy = json_copy(t->context ? t->context : t->conversation->context);
    if (!copy)
        return CVM_ENOMEM;
    if (!t->context)
        t->context_bytes = t->conversation->context_bytes;
    json_decref(t->context);
    t->context = copy;
    return 0;
}

/* The path for the record: a plugin has few, and each stands in every record of a turn that sets it. */
static json_t *path_text(struct core *core, const char *path)
{
    json_t **at = &core->paths[id_hash(path, strlen(path), 0) % CORE_PATHS];
    if (!*at || strcmp(json_string_value(*at), path) != 0) {
        json_decref(*at);
        *at = json_string(path);
    }
    return json_incref(*at);
}

void context_forget_paths(struct core *core)
{
    for (size_t i = 0; i < CORE_PATHS; i++)
        json_decref(core->paths[i]);
}

int turn_context_set(cvm_turn *pub, const char *path, json_t *value)
{
    struct turn *t = (struct turn *)pub;
    struct path where;
    int e = !t->conversation                                                     ? CVM_ESTATE
            : !path || !text_is_utf8(path, strlen(path)) || !parse(path, &where) ? CVM_EINVAL
                                                                                 : own(t);
    if (!e && t->in_place)
        e = value ? keep_before(t, where.name[0]) : context_detach(t); /* the order of members comes back as well */
    json_t *name = e ? NULL : path_text(t->core, path);
    if (!e && !(name && VECTOR_ROOM(t->changes)))
        e = CVM_ENOMEM;
    if (!e)
        e = grow(t, &where, value);
    if (!e)
        e = set_at(t->context, &where, value); /* fails for want of memory only */
    if (e) {
        json_decref(name);
        json_decref(value);
        return e;
    }
    t->changes.at[t->changes.n++] = (struct context_change){.path = name, .value = value};
    return CVM_OK;
}
