/* Fills in what record_text.c leaves out. */
#include "core/record_read.h"

#include "core/envelope_words.h"
#include "core/hex.h"
#include "core/id.h"
#include "core/json_read.h"
#include <cvm/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HALF_DIGITS 16

size_t record_type_length(const char *type)
{
    static const char end[] = ".reply";
    const size_t n = strlen(type), of = sizeof end - 1;
    return n > of && strcmp(type + n - of, end) == 0 ? n - of : n;
}

/* The id that the digits stand for, as text. */
static json_t *whole_id(const json_t *digits, const struct record_row *row)
{
    char shown[40], text[64];
    const size_t n = json_string_length(digits);
    const char *at = json_string_value(digits);
    if (!at || (n != 0 && n != HALF_DIGITS && n != 2 * HALF_DIGITS))
        return json_incref((json_t *)(uintptr_t)digits);
    if (n == 0) {
        id_text(row->message, shown);
        return json_stringn_nocheck(shown, 36);
    }
    if (n == HALF_DIGITS)
        snprintf(text, sizeof text, "MSG-%016llx%s", (unsigned long long)row->conversation, at);
    else
        snprintf(text, sizeof text, "MSG-%s", at);
    return json_string(text);
}

static int put(json_t *whole, const char *name, json_t *value)
{
    return json_object_set_new_nocheck(whole, name, value) < 0 ? CVM_ENOMEM : 0;
}

static int put_text(json_t *whole, const char *name, const json_t *value, const char *otherwise, size_t len)
{
    return put(whole, name, value ? json_incref((json_t *)(uintptr_t)value) : json_stringn(otherwise, len));
}

static int copy(json_t *whole, const char *name, const json_t *from)
{
    json_t *value = json_object_get(from, name);
    return value ? put(whole, name, json_incref(value)) : 0;
}

static int copy_id(json_t *whole, const char *name, const json_t *from, const struct record_row *row)
{
    json_t *value = json_object_get(from, name);
    return value ? put(whole, name, whole_id(value, row)) : 0;
}

static int put_data(json_t *whole, const json_t *m, const json_t *outs)
{
    const json_t *same = json_object_get(m, "same");
    json_t *data = json_object_get(m, "data");
    if (same) /* which is whole by now */
        data = json_object_get(json_array_get(outs, (size_t)json_integer_value(same)), "structured_data");
    return put(whole, "structured_data", data ? json_incref(data) : json_object());
}

static int put_time(json_t *whole, const json_t *m, const struct record_row *row)
{
    char shown[32];
    json_t *own = json_object_get(m, "timestamp");
    if (!own)
        time_text(row->at_ms, shown);
    return put(whole, "timestamp", own ? json_incref(own) : json_string(shown));
}

/* "" where it belongs to none; as in envelopes, then the member is not there. */
static int put_lane(json_t *whole, const json_t *m, const char *lane)
{
    json_t *own = json_object_get(m, "conversation");
    if (own)
        return json_string_length(own) ? put(whole, "conversation", json_incref(own)) : 0;
    return lane && *lane ? put(whole, "conversation", json_string(lane)) : 0;
}

/* The members in the order of envelopes (message.c): texts of equal messages are equal. */
static int fill(json_t *whole, const json_t *m, bool in, const json_t *outs, const char *lane,
                const struct record_row *row)
{
    static const char *const subject[] = {"enquiry_id", "customer_id", "session_id", "traceparent"};
    const json_t *to = json_object_get(m, "to"), *outcome = json_object_get(m, "outcome"),
                 *deadline = json_object_get(m, "deadline_ms"), *asks = json_object_get(m, "requires_response");
    const bool answers = !in && !to, reply = outcome || answers;
    const char *sender = in ? row->sender : row->component, *recipient = in ? row->component : row->sender;
    const char *sort = reply ? "response" : deadline ? "request" : "notification";
    CVM_TRY(put(whole, "message_id", whole_id(json_object_get(m, "id"), row)));
    CVM_TRY(put_time(whole, m, row));
    CVM_TRY(put_text(whole, "sender", json_object_get(m, "sender"), sender, strlen(sender)));
    CVM_TRY(put_text(whole, "recipient", to, recipient, strlen(recipient)));
    CVM_TRY(put_text(whole, "message_type", json_object_get(m, "message_type"), sort, strlen(sort)));
    CVM_TRY(put_text(whole, "type", json_object_get(m, "type"), row->type, record_type_length(row->type)));
    if (reply)
        CVM_TRY(put_text(whole, "outcome", outcome, "REPLIED", 7));
    CVM_TRY(copy(whole, "content", m));
    CVM_TRY(put_data(whole, m, outs));
    for (int i = 0; i < 4; i++)
        CVM_TRY(copy(whole, subject[i], m));
    CVM_TRY(put_lane(whole, m, lane));
    CVM_TRY(put_text(whole, "priority", json_object_get(m, "priority"), "MEDIUM", 6));
    if (asks ? json_is_true(asks) : deadline != NULL)
        CVM_TRY(put(whole, "requires_response", json_true()));
    CVM_TRY(copy(whole, "tags", m));
    CVM_TRY(copy(whole, "confidence", m));
    if (answers) {
        json_t *none = json_string("");
        int e = put(whole, "in_reply_to", none ? whole_id(none, row) : NULL);
        json_decref(none);
        CVM_TRY(e);
    } else {
        CVM_TRY(copy_id(whole, "in_reply_to", m, row));
    }
    CVM_TRY(copy_id(whole, "cause", m, row));
    CVM_TRY(copy(whole, "deadline_ms", m));
    CVM_TRY(copy_id(whole, "on_behalf", m, row));
    return copy_id(whole, "asked", m, row);
}

/* Gives. */
static json_t *whole_message(const json_t *m, bool in, const json_t *outs, const char *lane,
                             const struct record_row *row)
{
    if (!json_object_get(m, "id"))
        return json_incref((json_t *)(uintptr_t)m);
    json_t *whole = json_object();
    if (whole && fill(whole, m, in, outs, lane, row) == 0)
        return whole;
    json_decref(whole);
    return NULL;
}

/* Ids under `name` of each entry; of entries that are ids themselves `name` is NULL. */
static int whole_ids(json_t *list, const char *name, const struct record_row *row)
{
    size_t i;
    json_t *one;
    json_array_foreach(list, i, one)
    {
        json_t *id = name ? json_object_get(one, name) : json_is_array(one) ? json_array_get(one, 0) : one;
        json_t *whole = id ? whole_id(id, row) : NULL;
        if (!id)
            continue;
        int e = !whole               ? -1
                : name               ? json_object_set_new(one, name, whole)
                : json_is_array(one) ? json_array_set_new(one, 0, whole)
                                     : json_array_set_new(list, i, whole);
        if (e < 0)
            return CVM_ENOMEM;
    }
    return 0;
}

int record_whole(json_t *record, const struct record_row *row)
{
    static const struct {
        const char *list, *name;
    } ids[] = {{"calls", "id"},  {"queries", "id"},   {"jobs", "id"},
               {"timers", "id"}, {"cancelled", NULL}, {"answers", NULL}};
    json_t *in = json_object_get(record, "in"), *outs = json_object_get(record, "out"), *out;
    const char *lane = row->name ? row->name : cvm_json_str(record, "lane", NULL);
    char input[40];
    size_t i;
    if (!lane) { /* see record_text.c */
        input_name((uint64_t)row->conversation, input);
        lane = conversation_key(input) == row->conversation ? input : "";
    }
    if (in)
        CVM_TRY(put(record, "in", whole_message(in, true, NULL, lane, row)));
    json_array_foreach(outs, i, out)
    {
        json_t *whole = whole_message(out, false, outs, lane, row);
        if (!whole || json_array_set_new(outs, i, whole) < 0)
            return CVM_ENOMEM;
    }
    for (i = 0; i < sizeof ids / sizeof *ids; i++)
        CVM_TRY(whole_ids(json_object_get(record, ids[i].list), ids[i].name, row));
    json_object_del(record, "lane");
    return 0;
}

void record_unpack(json_t *row)
{
    static const char *const taken[] = {"_at_ms", "_key", "_component", "_message", "_type", "_sender", "_name"};
    json_t *stored = json_object_get(row, "record");
    json_t *record =
        json_is_string(stored) ? json_read(json_string_value(stored), json_string_length(stored)) : json_incref(stored);
    uint8_t id[16];
    struct record_row of = {.at_ms = cvm_json_int(row, "_at_ms", 0),
                            .conversation = cvm_json_int(row, "_key", 0),
                            .component = cvm_json_str(row, "_component", ""),
                            .type = cvm_json_str(row, "_type", ""),
                            .sender = cvm_json_str(row, "_sender", ""),
                            .name = cvm_json_str(row, "_name", NULL)};
    if (hex_read(cvm_json_str(row, "_message", ""), id, sizeof id))
        of.message = id_of_bytes(id);
    if (json_is_object(record) && record_whole(record, &of) == 0)
        json_object_set(row, "record", record);
    json_decref(record);
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
        json_object_del(row, taken[i]);
}
