/* Decisions about somebody or something, as turns note them: {"subject": "U124", "chose": "retention_call", "because":
 * ..}. The last one of a subject in a conversation is what was decided. Pure. */
#include "core/replay_parts.h"

#include <cvm/json.h>
#include <stdio.h>
#include <string.h>

void decisions_take(json_t *of, const json_t *record, const char *conversation, int64_t at_ms)
{
    const json_t *notes = json_object_get(record, "notes"), *note;
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)notes, i, note)
    {
        const char *what = json_string_value(json_array_get(note, 0));
        const json_t *data = json_array_get(note, 1);
        const char *subject = cvm_json_str(data, "subject", "");
        char key[CVM_NAME_MAX + 300];
        if (!what || strcmp(what, "decision") != 0 || !*subject)
            continue;
        snprintf(key, sizeof key, "%s %.200s", conversation, subject);
        json_t *kept = json_copy((json_t *)(uintptr_t)data);
        json_object_set_new(kept, "conversation", json_string(conversation));
        json_object_set_new(kept, "at_ms", json_integer((json_int_t)at_ms));
        json_object_set_new(of, key, kept);
    }
}

static void add(json_t *list, const json_t *then, const json_t *now)
{
    const json_t *any = then ? then : now;
    json_array_append_new(
        list, json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:O?, s:O?}", "subject", cvm_json_str(any, "subject", ""),
                        "conversation", cvm_json_str(any, "conversation", ""), "was", cvm_json_str(then, "chose", ""),
                        "is", cvm_json_str(now, "chose", ""), "because_then", cvm_json_str(then, "because", ""),
                        "because", cvm_json_str(now, "because", ""), "at_ms", json_object_get(any, "at_ms"), "figures",
                        json_object_get(now, "figures")));
}

json_t *decisions_differ(const struct decisions *d, int64_t *ret_all)
{
    json_t *list = json_array(), *then, *now;
    const char *key;
    int64_t all = 0;
    json_object_foreach(d->then, key, then)
    {
        all++;
        now = json_object_get(d->now, key);
        if (!now || strcmp(cvm_json_str(then, "chose", ""), cvm_json_str(now, "chose", "")) != 0)
            add(list, then, now);
    }
    json_object_foreach(d->now, key, now)
    {
        if (json_object_get(d->then, key))
            continue;
        all++;
        add(list, NULL, now);
    }
    *ret_all = all;
    return list;
}
