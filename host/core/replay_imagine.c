/* What would have come of recorded turns whose code or inputs are others now: messages, contexts and state as the turns
 * that differ leave them, for those after them. A message that a turn sends now and did not send then is handled right
 * after it, in a turn without a number of its own; what it does not send any more is not handled. What came from
 * outside the conversations (answers of services, queries, jobs, times) is taken as it was recorded. One thread. */
#include "core/replay_parts.h"

#include "core/numbers.h"
#include <cvm/json.h>
#include <stdlib.h>
#include <string.h>

/* Numbers of turns that the record does not have. They go up from here; real ones stay far below. */
#define IMAGINED_FIRST (INT64_C(1) << 52)
#define IMAGINED_MAX 100000 /* in one run; more is a conversation that does not end */

struct imagined_turn {
    struct past_known known;
    int64_t sent_by;
};

struct imagine {
    json_t *messages; /* object: id -> {"e": envelope, "by": number, "lane": key}; null: it is not sent now */
    json_t *contexts; /* object: key of the conversation -> document after the last turn that ran */
    json_t *state;    /* object: component -> {key: [value or null, version, turn]}, of keys that differ */
    VECTOR(struct imagined_turn *) turns;
    VECTOR(cvm_id) waiting; /* sent and not recorded, to be handled next; from `next` on */
    uint32_t next;
};

struct imagine *imagine_new(void)
{
    struct imagine *im = calloc(1, sizeof *im);
    if (!im)
        return NULL;
    im->messages = json_object();
    im->contexts = json_object();
    im->state = json_object();
    return im;
}

void imagine_free(struct imagine *im)
{
    if (!im)
        return;
    for (uint32_t i = 0; i < im->turns.n; i++) {
        json_decref(im->turns.at[i]->known.record);
        free(im->turns.at[i]);
    }
    free(im->turns.at);
    free(im->waiting.at);
    json_decref(im->messages);
    json_decref(im->contexts);
    json_decref(im->state);
    free(im);
}

/* ---- what the past asks ------------------------------------------------------------------------------------------ */

const struct past_known *imagine_known(const struct imagine *im, int64_t seq)
{
    uint64_t i = (uint64_t)(seq - IMAGINED_FIRST);
    return im && seq >= IMAGINED_FIRST && i < im->turns.n ? &im->turns.at[i]->known : NULL;
}

static const json_t *message_of(const struct imagine *im, cvm_id id)
{
    char shown[40];
    id_text(id, shown);
    return im ? json_object_get(im->messages, shown) : NULL;
}

bool imagine_message(const struct imagine *im, cvm_id id, const json_t **ret_envelope, int64_t *ret_sent_by,
                     int64_t *ret_conversation)
{
    const json_t *m = message_of(im, id);
    if (!m)
        return false;
    *ret_envelope = json_object_get(m, "e");
    *ret_sent_by = cvm_json_int(m, "by", 0);
    *ret_conversation = cvm_json_int(m, "lane", 0);
    return true;
}

const json_t *imagine_context(const struct imagine *im, int64_t conversation)
{
    return im ? numbers_get(im->contexts, conversation) : NULL;
}

bool imagine_state(const struct imagine *im, const char *component, const char *key, json_t **ret_value,
                   uint32_t *ret_version, int64_t *ret_turn)
{
    const json_t *kept = im ? json_object_get(json_object_get(im->state, component), key) : NULL;
    if (!kept)
        return false;
    json_t *value = json_array_get(kept, 0);
    *ret_value = json_is_true(json_array_get(kept, 3)) ? NULL : json_incref(value);
    *ret_version = (uint32_t)json_integer_value(json_array_get(kept, 1));
    *ret_turn = (int64_t)json_integer_value(json_array_get(kept, 2));
    return true;
}

/* ---- what came of a turn ----------------------------------------------------------------------------------------- */

static const json_t *found(const json_t *list, const char *member, const char *text)
{
    size_t i;
    json_t *one;
    json_array_foreach((json_t *)(uintptr_t)list, i,
                       one) if (strcmp(cvm_json_str(one, member, ""), text) == 0) return one;
    return NULL;
}

static void keep_messages(struct imagine *im, const struct past_turn *turn, const json_t *made)
{
    const json_t *before = json_object_get(turn->record, "out"), *now = json_object_get(made, "out");
    const json_int_t led = json_object_get(made, "led") ? (json_int_t)cvm_json_int(made, "led", 0) : -1;
    size_t i;
    json_t *out;
    json_array_foreach((json_t *)(uintptr_t)before, i, out)
    {
        const char *id = cvm_json_str(out, "message_id", "");
        if (!found(now, "message_id", id))
            json_object_set_new(im->messages, id, json_null());
    }
    json_array_foreach((json_t *)(uintptr_t)now, i, out)
    {
        const char *id = cvm_json_str(out, "message_id", "");
        const json_t *then = found(before, "message_id", id);
        cvm_id number = past_id(out, "message_id");
        if (then && json_equal((json_t *)(uintptr_t)then, out) && turn->seq < IMAGINED_FIRST &&
            !json_object_get(im->messages, id))
            continue;
        json_object_set_new(im->messages, id,
                            json_pack("{s:O, s:I, s:I}", "e", out, "by", (json_int_t)turn->seq, "lane",
                                      (json_int_t)turn->conversation));
        if (!then && (json_int_t)i != led && !VECTOR_PUSH(im->waiting, number))
            return;
    }
}

static json_t *pairs_value(const json_t *pairs, const char *key)
{
    size_t i;
    json_t *pair;
    json_array_foreach((json_t *)(uintptr_t)pairs, i, pair)
    {
        const char *name = json_string_value(json_array_get(pair, 0));
        if (name && strcmp(name, key) == 0)
            return json_array_get(pair, 1);
    }
    return NULL;
}

static void keep_value(struct imagine *im, const char *component, const char *key, json_t *value, uint32_t version,
                       int64_t turn)
{
    json_t *of = json_object_get(im->state, component);
    if (!of) {
        of = json_object();
        json_object_set_new(im->state, component, of);
    }
    bool gone = !value || json_is_null(value);
    json_object_set_new(of, key,
                        json_pack("[o, I, I, b]", gone ? json_null() : json_incref(value), (json_int_t)version,
                                  (json_int_t)turn, (int)gone));
}

/* What it wrote then and does not write now is as it was before it. */
static void keep_state(struct imagine *im, struct past *past, const struct past_turn *turn, const json_t *made)
{
    const json_t *before = json_object_get(turn->record, "state"), *now = json_object_get(made, "state");
    const json_t *kept = json_object_get(im->state, turn->component);
    size_t i;
    json_t *pair;
    json_array_foreach((json_t *)(uintptr_t)before, i, pair)
    {
        const char *key = json_string_value(json_array_get(pair, 0));
        json_t *value = NULL;
        uint32_t version = 1;
        int64_t by = 0;
        if (!key || pairs_value(now, key) || json_object_get(kept, key))
            continue;
        const json_t *read = pairs_value(json_object_get(turn->record, "reads"), key);
        if (json_integer_value(read) > 0)
            past_state(past, turn->component, key, by = (int64_t)json_integer_value(read), &value, &version);
        keep_value(im, turn->component, key, value, version, by);
        json_decref(value);
    }
    json_array_foreach((json_t *)(uintptr_t)now, i, pair)
    {
        const char *key = json_string_value(json_array_get(pair, 0));
        json_t *then = key ? pairs_value(before, key) : NULL, *value = json_array_get(pair, 1);
        if (key && (!then || !json_equal(then, value) || json_object_get(kept, key)))
            keep_value(im, turn->component, key, value, (uint32_t)cvm_json_int(made, "state_version", 1), turn->seq);
    }
}

static void keep_context(struct imagine *im, int64_t conversation, const json_t *before, const json_t *made)
{
    const json_t *changes = json_object_get(made, "context");
    json_t *doc = json_incref((json_t *)(uintptr_t)before), *pair;
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)changes, i, pair)
    {
        json_t *next = context_with(doc, json_string_value(json_array_get(pair, 0)), json_array_get(pair, 1));
        if (!next)
            continue;
        json_decref(doc);
        doc = next;
    }
    numbers_put(im->contexts, conversation, doc); /* takes it */
}

void imagine_after(struct imagine *im, struct past *past, const struct past_turn *turn, const json_t *made,
                   const json_t *context_before)
{
    keep_messages(im, turn, made);
    keep_state(im, past, turn, made);
    json_t *before = json_object_get(turn->record, "context"), *now = json_object_get(made, "context");
    bool differs = before != now && (!before || !now || !json_equal(before, now));
    if (context_before && (differs || imagine_context(im, turn->conversation)))
        keep_context(im, turn->conversation, context_before, made);
    if (turn->seq >= IMAGINED_FIRST) {
        struct imagined_turn *own = im->turns.at[turn->seq - IMAGINED_FIRST];
        json_decref(own->known.record);
        own->known.record = json_incref((json_t *)(uintptr_t)made);
    }
}

void imagine_again(struct imagine *im, cvm_id id)
{
    (void)!VECTOR_PUSH(im->waiting, id);
}

bool imagine_next(struct imagine *im, const struct past *past, const struct past_turn *cause,
                  struct past_turn *ret_turn)
{
    while (im->next < im->waiting.n && im->turns.n < IMAGINED_MAX) {
        cvm_id id = im->waiting.at[im->next++];
        const json_t *m = message_of(im, id), *e = json_object_get(m, "e");
        const char *lane = cvm_json_str(e, "conversation", "");
        struct imagined_turn *own = e ? calloc(1, sizeof *own) : NULL;
        if (!own)
            continue;
        *ret_turn = (struct past_turn){.seq = IMAGINED_FIRST + im->turns.n,
                                       .at_ms = cause->at_ms,
                                       .conversation = past_key(past, lane),
                                       .configuration = cause->configuration,
                                       .sent_by = cvm_json_int(m, "by", 0),
                                       .message = id,
                                       .text = strdup("{}"),
                                       .record = json_object()};
        snprintf(ret_turn->component, sizeof ret_turn->component, "%s", cvm_json_str(e, "recipient", ""));
        snprintf(ret_turn->sender, sizeof ret_turn->sender, "%s", cvm_json_str(e, "sender", ""));
        snprintf(ret_turn->type, sizeof ret_turn->type, "%s%s", cvm_json_str(e, "type", ""),
                 json_object_get(e, "outcome") ? ".reply" : "");
        own->known = (struct past_known){.seq = ret_turn->seq,
                                         .conversation = ret_turn->conversation,
                                         .message = id,
                                         .record = json_incref(ret_turn->record)};
        if (!VECTOR_PUSH(im->turns, own)) {
            free(own);
            past_clear(ret_turn);
            return false;
        }
        return true;
    }
    return false;
}
