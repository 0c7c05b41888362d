/* An open ticket as it is kept: the record, its outputs, the definition it began with, its row. Owns those state keys
 * and the table support_tickets. Loop thread. */
#include "support.h"

#include "../../common/object.h"

#include <stdio.h>
#include <stdlib.h>

static void key_of(char kind, const char *name, char ret_key[CVM_STATE_KEY_MAX + 1])
{
    text_key(kind, name, ret_key, CVM_STATE_KEY_MAX + 1);
}

static void output_key(const char *instance, const char *name, char ret_key[CVM_STATE_KEY_MAX + 1])
{
    size_t n = strlen(text_key('o', instance, ret_key, CVM_STATE_KEY_MAX)),
           more = strnlen(name, CVM_STATE_KEY_MAX - 1 - n);
    ret_key[n] = '/';
    memcpy(ret_key + n + 1, name, more);
    ret_key[n + 1 + more] = '\0';
}

const char *ticket_status(const struct ticket *k)
{
    return cvm_json_str(k->record, "status", "PENDING");
}

json_t *ticket_share(const struct ticket *k, const char *member)
{
    json_t *text = json_object_get(k->record, member);
    return json_is_string(text) ? json_incref(text) : json_string("");
}

const json_t *ticket_steps(cvm_turn *t)
{
    const json_t *all = cvm_registry(t, "workflows");
    for (size_t i = 0; i < json_array_size(all); i++)
        if (strcmp(cvm_json_str(json_array_get(all, i), "name", ""), WORKFLOW_NAME) == 0)
            return json_object_get(json_array_get(all, i), "steps");
    return NULL;
}

/* ---- definitions: kept once, for as long as an open instance began with them ------------------------------------- */

static uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t n) /* FNV-1a */
{
    for (const unsigned char *b = bytes; n--; b++)
        hash = (hash ^ *b) * UINT64_C(1099511628211);
    return hash;
}

/* The members of an object in any order. */
static uint64_t hash_json(const json_t *value)
{
    const uint64_t begin = UINT64_C(14695981039346656037) + (uint64_t)json_typeof(value);
    uint64_t hash = begin;
    const char *name;
    json_t *one;
    size_t i;
    json_object_foreach((json_t *)(uintptr_t)value, name, one)
    {
        uint64_t of = hash_json(one);
        hash += hash_bytes(hash_bytes(begin, name, strlen(name)), &of, sizeof of);
    }
    json_array_foreach(value, i, one)
    {
        uint64_t of = hash_json(one);
        hash = hash_bytes(hash, &of, sizeof of);
    }
    double number = json_number_value(value);
    if (json_is_string(value))
        return hash_bytes(hash, json_string_value(value), json_string_length(value));
    return json_is_number(value) ? hash_bytes(hash, &number, sizeof number) : hash;
}

/* That of the definition which new tickets begin with is made once: it is the same value until the manifests change. */
static struct {
    json_t *steps;
    uint64_t hash;
} hashed;

void ticket_forget(void)
{
    json_decref(hashed.steps);
    hashed.steps = NULL;
}

static uint64_t hash_of(const json_t *steps)
{
    if (hashed.steps != steps) {
        ticket_forget();
        hashed.hash = hash_json(steps);
        hashed.steps = cvm_json_share(steps);
    }
    return hashed.hash;
}

static int count_use(cvm_turn *t, const char *hash, int by)
{
    char uses[CVM_STATE_KEY_MAX + 1], key[CVM_STATE_KEY_MAX + 1];
    int64_t n;
    key_of('u', hash, uses);
    key_of('d', hash, key);
    CVM_TRY(cvm_state_int(t, uses, &n));
    if (n + by > 0)
        return cvm_state_put_int(t, uses, n + by);
    CVM_TRY(cvm_state_del(t, uses));
    return cvm_state_del(t, key);
}

static int keep_definition(struct ticket *k, const json_t *steps)
{
    char hash[17], key[CVM_STATE_KEY_MAX + 1];
    const json_t *there;
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)hash_of(steps));
    key_of('d', hash, key);
    int e = cvm_state_get(k->t, key, &there);
    if (e == CVM_ENOENT)
        e = cvm_state_put(k->t, key, json_deep_copy(steps));
    CVM_TRY(e);
    json_object_set_new(k->record, "definition", json_string(hash));
    CVM_TRY(count_use(k->t, hash, 1));
    return cvm_state_get(k->t, key, &k->w.steps);
}

/* ---- loading ------------------------------------------------------------------------------------------------------
 */

void ticket_free(struct ticket *k)
{
    json_decref(k->record);
    json_decref(k->outputs);
    json_decref(k->kept);
    k->record = k->outputs = k->kept = NULL;
}

static void finish_making(struct ticket *k, cvm_turn *t, const cvm_msg *m)
{
    k->t = t;
    k->m = m;
    k->id = cvm_json_str(k->record, "ticket_id", "");
    k->instance = cvm_json_str(k->record, "instance_id", "");
    k->since_ms = cvm_json_int(k->record, "since_ms", 0);
    k->w.instance = k->record;
    k->w.outputs = k->outputs;
    k->w.settings = cvm_settings(t);
    k->w.now_ms = cvm_now_ms(t);
}

/* Those that the record says are kept: a key each, which the host has at hand, where a scan would ask the disk. */
static int load_outputs(struct ticket *k, cvm_turn *t, const char *instance)
{
    char key[CVM_STATE_KEY_MAX + 1];
    const json_t *name, *value;
    size_t i;
    json_array_foreach(json_object_get(k->record, "kept"), i, name)
    {
        output_key(instance, json_string_value(name), key);
        CVM_TRY(cvm_state_get(t, key, &value) == CVM_OK ? CVM_OK : CVM_EDATA);
        if (json_object_set(k->outputs, json_string_value(name), (json_t *)(uintptr_t)value) < 0)
            return CVM_ENOMEM;
    }
    return CVM_OK;
}

static bool is_changed(const char *name)
{
    static const char *const changed[] = {"sla", "counts", "early", "questions"};
    for (size_t i = 0; i < sizeof changed / sizeof *changed; i++)
        if (strcmp(name, changed[i]) == 0)
            return true;
    return false;
}

/* What is changed in place is the record itself, and what stands in these members. Gives. Not by json_copy, which
 * leaves out what there is no memory for. */
static json_t *own_copy(const json_t *kept)
{
    const char *name;
    json_t *value, *record = json_object();
    json_object_foreach((json_t *)(uintptr_t)kept, name, value)
        object_put(&record, name, is_changed(name) ? json_deep_copy(value) : json_incref(value));
    return record;
}

int ticket_load(cvm_turn *t, const cvm_msg *m, const char *instance, struct ticket *ret_ticket)
{
    struct ticket k = {0};
    char key[CVM_STATE_KEY_MAX + 1];
    const json_t *kept = NULL, *steps = NULL;
    key_of('i', instance, key);
    CVM_TRY(cvm_state_get(t, key, &kept));
    key_of('d', cvm_json_str(kept, "definition", ""), key);
    CVM_TRY(cvm_state_get(t, key, &steps) == CVM_OK ? CVM_OK : CVM_EDATA);
    k.record = own_copy(kept);
    k.outputs = json_object();
    int e = k.record && k.outputs ? load_outputs(&k, t, instance) : CVM_ENOMEM;
    if (!e && !(k.kept = json_copy(k.outputs)))
        e = CVM_ENOMEM;
    if (e < 0) {
        ticket_free(&k);
        return e;
    }
    finish_making(&k, t, m);
    k.w.steps = steps;
    *ret_ticket = k;
    return CVM_OK;
}

int ticket_make(cvm_turn *t, const cvm_msg *m, json_t *record, const json_t *steps, json_t *outputs,
                struct ticket *ret_ticket)
{
    struct ticket k = {.record = record, .outputs = outputs ? outputs : json_object(), .kept = json_object()};
    char key[CVM_STATE_KEY_MAX + 1];
    int e = k.record && k.outputs && k.kept ? CVM_OK : CVM_ENOMEM;
    if (!e) {
        finish_making(&k, t, m);
        e = keep_definition(&k, steps ? steps : ticket_steps(t));
    }
    if (!e) {
        key_of('t', k.id, key);
        e = cvm_state_put(t, key, json_string(k.instance));
    }
    if (e < 0) {
        ticket_free(&k);
        return e;
    }
    *ret_ticket = k;
    return CVM_OK;
}

/* ---- keeping ------------------------------------------------------------------------------------------------------
 */

static json_t *shown_output(const struct ticket *k)
{
    json_t *shown = json_copy(k->outputs);
    static const char *const more[] = {"outcome", "error", "questions"};
    for (size_t i = 0; shown && i < sizeof more / sizeof *more; i++)
        if (json_object_get(k->record, more[i]))
            json_object_set_new(shown, more[i], json_deep_copy(json_object_get(k->record, more[i])));
    return shown;
}

/* What a ticket that timed out or failed can be opened with again. */
static json_t *reopening(const struct ticket *k)
{
    const char *status = ticket_status(k);
    if (!k->over || (strcmp(status, "TIMED_OUT") != 0 && strcmp(status, "FAILED") != 0))
        return NULL;
    return json_pack("{s:o, s:o}", "record", json_deep_copy(k->record), "steps", json_deep_copy(k->w.steps));
}

static int put_row(struct ticket *k)
{
    char at[TIME_SIZE];
    static const char *const copied[] = {"ticket_id", "instance_id", "customer_id", "description",
                                         "step",      "outcome",     "created_at"};
    int64_t deadline = cvm_json_int(k->record, "deadline_ms", 0), due = sla_due_ms(k->record);
    json_t *row = json_object(), *again = reopening(k);
    for (size_t i = 0; i < sizeof copied / sizeof *copied; i++)
        object_put(&row, copied[i], ticket_share(k, copied[i]));
    OBJECT_PUT(row, "status", ticket_share(k, "status"));
    OBJECT_KNOWN(row, "workflow", WORKFLOW_NAME);
    OBJECT_KNOWN(row, "updated_at", text_of_time(k->w.now_ms, at));
    OBJECT_KNOWN(row, "expires_at", deadline ? text_of_time(deadline, at) : "");
    OBJECT_KNOWN(row, "sla_due_at", due && !k->over ? text_of_time(due, at) : "");
    if (json_object_get(k->record, "sla")) {
        OBJECT_INT(row, "sla_left_ms", sla_left_ms(k->record, k->w.now_ms));
        OBJECT_INT(row, "sla_breached", cvm_json_bool(k->record, "breached", false));
    }
    OBJECT_PUT(row, "output", shown_output(k));
    if (again)
        OBJECT_PUT(row, "reopening", again);
    OBJECT_PUT(row, "conversation", ticket_share(k, "instance_id"));
    return row ? cvm_row_put(k->t, "support_tickets", row) : CVM_ENOMEM;
}

static int keep_outputs(struct ticket *k)
{
    char key[CVM_STATE_KEY_MAX + 1];
    const char *name;
    json_t *value, *names = json_array();
    json_object_set_new(k->record, "kept", names);
    json_object_foreach(k->outputs, name, value)
    {
        if (json_array_append_new(names, json_string(name)) < 0)
            return CVM_ENOMEM;
        if (json_object_get(k->kept, name) == value && !k->over)
            continue;
        output_key(k->instance, name, key);
        CVM_TRY(k->over ? cvm_state_del(k->t, key) : cvm_state_put(k->t, key, json_incref(value)));
    }
    return CVM_OK;
}

int ticket_save(struct ticket *k)
{
    char key[CVM_STATE_KEY_MAX + 1];
    CVM_TRY(k->unseen ? CVM_OK : put_row(k));
    CVM_TRY(keep_outputs(k));
    key_of('i', k->instance, key);
    if (!k->over) /* from here on nobody changes it */
        return cvm_state_put(k->t, key, json_incref(k->record));
    CVM_TRY(cvm_state_del(k->t, key));
    key_of('t', k->id, key);
    CVM_TRY(cvm_state_put(k->t, key, json_false()));
    return count_use(k->t, cvm_json_str(k->record, "definition", ""), -1);
}
