/* What a recommendation waits with. A catalogue may be larger than one value of state, so that its records are kept in
 * pieces. Owns the keys ask/.. and piece/.. of cvm.treatment. Loop thread. */
#include "decision.h"

#include <inttypes.h>
#include <stdio.h>

#define PIECE_RECORDS 10
#define CAMPAIGNS_KEPT 60

static void piece_key(cvm_id request, size_t n, char key[64])
{
    snprintf(key, 64, "piece/%016" PRIx64 "%016" PRIx64 "/%zu", request.hi, request.lo, n);
}

/* What a value goes by of what was done before. */
static json_t *campaign_of(const json_t *event)
{
    return json_pack("{s:s, s:s, s:s}", "kind", "campaign", "treatment_id", cvm_json_str(event, "treatment_id", ""),
                     "outcome", cvm_json_str(event, "outcome", ""));
}

/* Whether it may be a value of state. */
static bool fits(const json_t *value)
{
    return json_dumpb(value, NULL, 0, JSON_COMPACT | JSON_ENCODE_ANY) <= CVM_STATE_VALUE_MAX_BYTES;
}

json_t *work_journey(const json_t *journey)
{
    static const char *const kept[] = {"customer_id", "generated_at", "as_of",    "profile", "facts",      "metrics",
                                       "patterns",    "trends",       "insights", "signals", "permissions"};
    json_t *small = json_object(), *events = json_array();
    const json_t *all = json_object_get(journey, "events");
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        if (json_object_get(journey, kept[i]))
            json_object_set_new(small, kept[i], cvm_json_share(json_object_get(journey, kept[i])));
    for (size_t i = json_array_size(all); i-- > 0 && json_array_size(events) < CAMPAIGNS_KEPT;)
        if (strcmp(cvm_json_str(json_array_get(all, i), "kind", ""), "campaign") == 0)
            json_array_append_new(events, campaign_of(json_array_get(all, i)));
    json_object_set_new(small, "events", events);
    return small;
}

/* An array, whatever form the caller gave. Gives. */
static json_t *as_array(const json_t *treatments)
{
    const char *id;
    json_t *record, *list;
    if (json_is_array(treatments))
        return cvm_json_share(treatments);
    list = json_array();
    json_object_foreach((json_t *)(uintptr_t)treatments, id, record)
    {
        json_t *copy = json_copy(record);
        if (!json_object_get(copy, "id"))
            json_object_set_new(copy, "id", json_string(id));
        json_array_append_new(list, copy);
    }
    return list;
}

/* The n-th piece. Gives. */
static json_t *piece_of(const json_t *records, size_t n)
{
    json_t *piece = json_array();
    for (size_t i = n * PIECE_RECORDS; i < json_array_size(records) && i < (n + 1) * PIECE_RECORDS; i++)
        json_array_append(piece, json_array_get(records, i));
    return piece;
}

/* CVM_ELIMIT before anything is written. */
static int put_pieces(cvm_turn *t, cvm_id request, const json_t *records, size_t n)
{
    char key[64];
    int e = CVM_OK;
    for (size_t i = 0; e >= 0 && i < n; i++) {
        json_t *piece = piece_of(records, i);
        e = fits(piece) ? CVM_OK : CVM_ELIMIT;
        json_decref(piece);
    }
    for (size_t i = 0; e >= 0 && i < n; i++) {
        piece_key(request, i, key);
        e = cvm_state_put(t, key, piece_of(records, i));
    }
    return e;
}

int work_keep(cvm_turn *t, cvm_id request, json_t *work)
{
    const json_t *given = json_object_get(work, "treatments");
    json_t *records = given ? as_array(given) : NULL;
    size_t pieces = (json_array_size(records) + PIECE_RECORDS - 1) / PIECE_RECORDS;
    json_object_del(work, "treatments");
    if (records)
        json_object_set_new(work, "pieces", json_integer((json_int_t)pieces));
    int e = fits(work) ? put_pieces(t, request, records, pieces) : CVM_ELIMIT;
    json_decref(records);
    if (e < 0) {
        json_decref(work);
        return e;
    }
    return pending_put(t, request, work);
}

int work_take(cvm_turn *t, cvm_id request, json_t **ret_work)
{
    json_t *kept = NULL, *work, *records = json_array();
    char key[64];
    int e = pending_take(t, request, &kept);
    if (e < 0)
        goto out;
    int64_t pieces = cvm_json_int(kept, "pieces", -1);
    for (int64_t i = 0; e >= 0 && i < pieces; i++) {
        const json_t *piece = NULL;
        piece_key(request, (size_t)i, key);
        if ((e = cvm_state_get(t, key, &piece)) < 0)
            break;
        json_array_extend(records, (json_t *)(uintptr_t)piece);
        e = cvm_state_del(t, key);
    }
    if (e < 0)
        goto out;
    work = json_copy(kept); /* what is kept is frozen */
    json_object_del(work, "pieces");
    if (pieces >= 0)
        json_object_set(work, "treatments", records);
    *ret_work = work;
out:
    json_decref(kept);
    json_decref(records);
    return e;
}
