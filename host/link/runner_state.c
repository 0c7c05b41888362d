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

int runner_count(struct runner_turn *t, size_t bytes)
{
    if (t->outputs >= CVM_TURN_OUTPUTS_MAX || bytes > CVM_TURN_BYTES_MAX - t->bytes)
        return CVM_ELIMIT;
    t->outputs++;
    t->bytes += bytes;
    return 0;
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
    if (!t->context && is_durable(t) && ask_value(t, json_pack("{s:s}", "op", "context"), &t->context) < 0)
        t->context = NULL;
    if (!t->context)
        t->context = json_object();
    return t->context;
}

const json_t *runner_context(cvm_turn *pub)
{
    return document(of(pub));
}

int runner_context_set(cvm_turn *pub, const char *path, json_t *value)
{
    struct runner_turn *t = of(pub);
    if (!is_durable(t)) /* the host says in its log what would allow it */
        return runner_ask_id(t, json_pack("{s:s, s:s, s:o*}", "op", "context_set", "path", path, "value", value), NULL);
    json_t *copy = context_with(document(t), path, value); /* the one before was lent */
    int e = copy ? 0 : CVM_EINVAL;
    if (!e)
        e = json_text_size(value, CVM_TURN_BYTES_MAX) > CVM_TURN_BYTES_MAX ? CVM_ELIMIT : 0;
    if (e || !runner_lend(t, t->context)) {
        json_decref(copy);
        json_decref(value);
        return e ? e : CVM_ENOMEM;
    }
    t->context = copy;
    runner_tell(t, json_pack("{s:s, s:s, s:o*}", "op", "context_set", "path", path, "value", value));
    return CVM_OK;
}

/* ---- state --------------------------------------------------------------------------------------------------------
 */

static bool key_good(const char *key)
{
    size_t n = key ? strlen(key) : 0;
    return n > 0 && n <= CVM_STATE_KEY_MAX && text_is_utf8(key, n);
}

int runner_state_get(cvm_turn *pub, const char *key, const json_t **ret_value)
{
    struct runner_turn *t = of(pub);
    json_t *value = NULL;
    if (!key_good(key))
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

int runner_state_put(cvm_turn *pub, const char *key, json_t *value)
{
    struct runner_turn *t = of(pub);
    size_t bytes = json_text_size(value, CVM_STATE_VALUE_MAX_BYTES);
    int e = !is_durable(t)                                                        ? CVM_ESTATE
            : !key_good(key) || bytes > CVM_STATE_VALUE_MAX_BYTES                 ? CVM_ELIMIT
            : (bytes += strlen(key)) > CORE_TURN_STATE_BYTES_MAX - t->state_bytes ? CVM_ELIMIT
                                                                                  : 0;
    if (e == CVM_ESTATE) /* the host says in its log what would allow it */
        return runner_ask_id(t, json_pack("{s:s, s:s, s:o*}", "op", "state_put", "key", key, "value", value), NULL);
    if (e) {
        json_decref(value);
        return e;
    }
    t->state_bytes += bytes;
    if (value) {
        json_object_set_nocheck(t->written, key, value);
        json_object_del(t->dropped, key);
    } else {
        json_object_del(t->written, key);
        json_object_set_new_nocheck(t->dropped, key, json_true());
    }
    runner_tell(t, json_pack("{s:s, s:s, s:o*}", "op", "state_put", "key", key, "value", value));
    return CVM_OK;
}

int runner_state_scan(cvm_turn *pub, const char *prefix, const char *after, size_t limit, json_t **ret_pairs)
{
    struct runner_turn *t = of(pub);
    const char *key;
    size_t i;
    json_t *value, *pairs = NULL;
    if (!prefix || strlen(prefix) > CVM_STATE_KEY_MAX || limit < 1 || limit > STATE_SCAN_MAX)
        return CVM_EINVAL;
    size_t most = limit;
    json_object_foreach(t->dropped, key, value) most += pairs_in_range(key, prefix, after);
    CVM_TRY(ask_value(t,
                      json_pack("{s:s, s:s, s:s*, s:I}", "op", "state_scan", "prefix", prefix, "after", after, "limit",
                                (json_int_t)(most < STATE_SCAN_MAX ? most : STATE_SCAN_MAX)),
                      &pairs));
    json_object_foreach(t->written, key, value) if (pairs_in_range(key, prefix, after))
        pairs_overlay(pairs, key, value, 0);
    json_object_foreach(t->dropped, key, value) if (pairs_in_range(key, prefix, after))
        pairs_overlay(pairs, key, NULL, 0);
    *ret_pairs = pairs_sorted(pairs, limit);
    json_array_foreach(*ret_pairs, i, value) if (json_array_size(value) > 2) json_array_remove(value, 2);
    return CVM_OK;
}
