/* The job "gather": a batch of customers as triggers of other plugins get them, {"customers": [customer_data], "next"}:
 * those after the id "after", at most "limit". A job's thread. */
#include "base.h"
#include <stdlib.h>
#include <string.h>

#define BATCH_BYTES (600 * 1024)

static json_t *data_of(const struct base *b)
{
    json_t *calls = json_array(), *chats = json_array(), *facts = facts_to_json(&b->facts);
    for (size_t i = 0; i < b->conversations.n; i++) {
        const struct conversation *c = &b->conversations.item[i];
        json_array_append_new(c->web ? chats : calls, json_pack("{s:s, s:s, s:s}", c->web ? "session_id" : "call_id",
                                                                c->ref, "started_at", c->date, "text", c->text));
    }
    return json_pack("{s:s, s:o, s:o, s:o}", "customer_id", b->facts.customer_id, "facts", facts, "call_transcripts",
                     calls, "web_transcripts", chats);
}

static int gather(struct base *b, cvm_job *j, const char *id, const char *after, size_t limit, json_t *list,
                  size_t *bytes, const char **ret_next)
{
    int e = base_open(b, j, id, true);
    if (e < 0)
        return e;
    while ((e = base_next(b)) > 0) {
        if (strcmp(b->facts.customer_id, after) <= 0)
            continue;
        json_t *one = data_of(b);
        if (!one || json_array_append_new(list, one) < 0) {
            e = CVM_ENOMEM;
            break;
        }
        *bytes += json_dumpb(one, NULL, 0, JSON_COMPACT);
        if (json_array_size(list) >= limit || *bytes > BATCH_BYTES) {
            *ret_next = cvm_json_str(one, "customer_id", "");
            break;
        }
    }
    base_close(b);
    return e < 0 ? e : 0;
}

int job_gather(cvm_job *j, const json_t *input, json_t **ret_result)
{
    const json_t *ids = json_object_get(input, "customers"), *id;
    const char *after = cvm_json_str(input, "after", ""), *next = NULL;
    size_t limit = (size_t)cvm_json_int(input, "limit", 50), i, bytes = 0;
    struct unknown unknown = {0};
    struct base *b = malloc(sizeof *b);
    json_t *list = json_array();
    int e = b && list ? 0 : CVM_ENOMEM;
    if (e == 0 && !json_is_array(ids))
        e = gather(b, j, NULL, after, limit, list, &bytes, &next);
    json_array_foreach(ids, i, id) /* ids come sorted or not: the batch after the last one that was taken */
    {
        size_t before = json_array_size(list);
        if (e < 0 || next || strcmp(json_string_value(id), after) <= 0)
            continue;
        e = gather(b, j, json_string_value(id), "", limit, list, &bytes, &next);
        if (e == 0 && json_array_size(list) == before)
            e = unknown_add(&unknown, json_string_value(id));
    }
    if (e == 0)
        e = unknown_judge(j, input, &unknown);
    if (e == 0 && !(*ret_result = json_pack("{s:O, s:s*}", "customers", list, "next", next)))
        e = CVM_ENOMEM;
    unknown_fini(&unknown);
    json_decref(list);
    free(b);
    return e;
}
