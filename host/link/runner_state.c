/* State and context as the turn that runs sees them: what the host has, under what this turn has written. */
#include "core/internal.h"
#include "core/pairs.h"
#include "link/runner_parts.h"

#include <string.h>

static struct runner_turn *of(cvm_turn *pub)
{
    return (struct runner_turn *)pub;
}

static bool is_durable(const struct runner_turn *t)
{
    return *t->message->conversation != 0;
}

const json_t *runner_lend(struct runner_turn *t, json_t *value)
{
    return value && json_array_append_new(t->lent, value) == 0 ? value : NULL;
}

bool runner_count(struct runner_turn *t, uint32_t outputs, size_t bytes)
{
    t->outputs += outputs;
    t->bytes += bytes;
    return !t->published && t->outputs < CVM_TURN_OUTPUTS_MAX && t->bytes < CVM_TURN_BYTES_MAX;
}

/* The "value" of an answer, or its error. Gives a new reference. */
static int ask_value(struct runner_turn *t, json_t *op, json_t **ret_value)
{
    json_t *answer = runner_ask(t, op);
    const json_t *error = json_object_get(answer, "error");
    json_t *value = json_object_get(answer, "value");
    int e = !json_is_integer(error) ? CVM_EFAULT : (int)json_integer_value(error);
    if (!e && !value)
        e = CVM_EFAULT;
    if (!e)
        *ret_value = json_incref(value);
    json_decref(answer);
    return e;
}

/* ---- the conversation's document ----------------------------------------------------------------------------------
 */

static json_t *document(struct runner_turn *t)
{
    if (t->context)
        return t->context;
    if (is_durable(t) && ask_value(t, json_pack("{s:s}", "op", "context"), &t->context) < 0)
        t->context = NULL;
    if (!t->context)
        t->context = json_object();
    t->context_bytes = json_text_size(t->context, CORE_CONTEXT_MAX_BYTES);
    return t->context;
}

const json_t *runner_context(cvm_turn *pub)
{
    return document(of(pub));
}

int runner_context_set(cvm_turn *pub, const char *path, json_t *value)
{
    struct runner_turn *t = of(pub);
    size_t bytes = json_text_size(value, CVM_TURN_BYTES_MAX);
    int e = 0;
    if (!path || !text_is_utf8(path, strlen(path)) || bytes > CVM_TURN_BYTES_MAX) {
        json_decref(value);
        return !path || !text_is_utf8(path, strlen(path)) ? CVM_EINVAL : CVM_ELIMIT;
    }
    json_t *copy = is_durable(t) ? context_with(document(t), path, value) : NULL; /* the one before was lent */
    json_t *op = json_pack("{s:s, s:s, s:o*}", "op", "context_set", "path", path, "value", value);
    bytes += 32 + 6 * strlen(path);
    t->context_bytes += bytes;
    if (runner_count(t, 0, bytes) && copy && t->context_bytes < CORE_CONTEXT_MAX_BYTES)
        runner_tell(t, op);
    else if ((e = runner_ask_id(t, op, NULL)) < 0)
        t->context_bytes = CORE_CONTEXT_MAX_BYTES; /* from here on the host says */
    if (e || !copy || !runner_lend(t, t->context)) {
        json_decref(copy);
        return e ? e : CVM_ENOMEM;
    }
    t->context = copy;
    return CVM_OK;
}

/* ---- state --------------------------------------------------------------------------------------------------------
 */

static bool is_key(const char *key)
{
    return key && *key && text_is_utf8(key, strlen(key));
}

int runner_state_get(cvm_turn *pub, const char *key, const json_t **ret_value)
{
    struct runner_turn *t = of(pub);
    json_t *value = NULL;
    if (!is_key(key) || strlen(key) > CVM_STATE_KEY_MAX)
        return CVM_ELIMIT;
    if (json_object_get(t->dropped, key))
        return CVM_ENOENT;
    if ((value = json_object_get(t->written, key))) {
        json_incref(value);
    } else {
        CVM_TRY(ask_value(t, json_pack("{s:s, s:s}", "op", "state_get", "key", key), &value));
    }
    const json_t *lent = runner_lend(t, value);
    if (!lent)
        return CVM_ENOMEM;
    *ret_value = lent;
    return CVM_OK;
}

void runner_state_wrote(struct runner_turn *t, const char *key, json_t *value)
{
    if (value) {
        json_object_set_nocheck(t->written, key, value);
        json_object_del(t->dropped, key);
    } else {
        json_object_del(t->written, key);
        json_object_set_new_nocheck(t->dropped, key, json_true());
    }
}

/* What may be refused is asked: the host says why in its log. */
int runner_state_put(cvm_turn *pub, const char *key, json_t *value)
{
    struct runner_turn *t = of(pub);
    size_t bytes = json_text_size(value, CVM_TURN_BYTES_MAX);
    if (!is_key(key) || bytes > CVM_TURN_BYTES_MAX) {
        json_decref(value);
        return is_durable(t) ? CVM_ELIMIT : CVM_ESTATE;
    }
    t->state_bytes += bytes + strlen(key);
    bool certain = is_durable(t) && strlen(key) <= CVM_STATE_KEY_MAX && bytes <= CVM_STATE_VALUE_MAX_BYTES &&
                   t->state_bytes <= CORE_TURN_STATE_BYTES_MAX;
    json_t *op = json_pack("{s:s, s:s, s:O*}", "op", "state_put", "key", key, "value", value);
    int e = 0;
    if (certain)
        runner_tell(t, op);
    else if ((e = runner_ask_id(t, op, NULL)) < 0)
        t->state_bytes -= bytes + strlen(key);
    if (!e)
        runner_state_wrote(t, key, value);
    json_decref(value);
    return e;
}

int runner_state_scan(cvm_turn *pub, const char *prefix, const char *after, size_t limit, json_t **ret_pairs)
{
    struct runner_turn *t = of(pub);
    const char *key;
    size_t i;
    json_t *value, *pairs = NULL;
    if (!prefix || strlen(prefix) > CVM_STATE_KEY_MAX || limit < 1 || limit > STATE_SCAN_MAX)
        return CVM_EINVAL;
    json_int_t dropped = 0;
    json_object_foreach(t->dropped, key, value) dropped += pairs_in_range(key, prefix, after);
    CVM_TRY(ask_value(t,
                      json_pack("{s:s, s:s, s:s*, s:I, s:I}", "op", "state_scan", "prefix", prefix, "after", after,
                                "limit", (json_int_t)limit, "dropped", dropped),
                      &pairs));
    json_object_foreach(t->written, key, value) if (pairs_in_range(key, prefix, after))
        pairs_overlay(pairs, key, value, 0);
    json_object_foreach(t->dropped, key, value) if (pairs_in_range(key, prefix, after))
        pairs_overlay(pairs, key, NULL, 0);
    *ret_pairs = pairs_sorted(pairs, limit);
    json_array_foreach(*ret_pairs, i, value) if (json_array_size(value) > 2) json_array_remove(value, 2);
    return CVM_OK;
}
