/* See knowledge.h: what retrievals say of documents, and the removal of those that nobody needs (monthly, or by hand).
 * A document's score is the best relevance of its retrievals in the last 30 days; one that was never retrieved has 90
 * days. Loop thread. */
#include "knowledge.h"

#include <stdio.h>

#define WINDOW_DAYS 30
#define GRACE_DAYS 90
#define PAGE 300
#define SHOWN_MAX 500
#define MONTH_DAYS 30

/* ---- retrievals -------------------------------------------------------------------------------------------------- */

static void day_text(int64_t ms, char ret_day[32])
{
    static char last[32]; /* of the day that was asked for last: it is mostly the same */
    static int64_t last_day = INT64_MIN;
    if (ms / DAY_MS != last_day) {
        kb_time(ms, last);
        last[10] = '\0';
        last_day = ms / DAY_MS;
    }
    memcpy(ret_day, last, sizeof last);
}

static int note(cvm_turn *t, const char *id, double relevance)
{
    char key[DOCUMENT_ID_MAX + 8], day[32], oldest[32], row[DOCUMENT_ID_MAX + 40];
    const json_t *was = NULL, *value;
    const char *name;
    json_t *now = json_object();
    snprintf(key, sizeof key, "seen/%.64s", id);
    day_text(cvm_now_ms(t), day);
    day_text(cvm_now_ms(t) - WINDOW_DAYS * DAY_MS, oldest);
    int e = cvm_state_get(t, key, &was);
    if (e < 0 && e != CVM_ENOENT) {
        json_decref(now);
        return e;
    }
    json_object_foreach((json_t *)(uintptr_t)was, name, value) if (strcmp(name, oldest) >= 0)
        json_object_set(now, name, (json_t *)(uintptr_t)value);
    double best = json_number_value(json_object_get(now, day));
    bool known = json_object_get(now, day) != NULL;
    if (known && relevance <= best) {
        json_decref(now);
        return CVM_OK;
    }
    json_object_set_new(now, day, json_real(relevance));
    CVM_TRY(cvm_state_put(t, key, now));
    snprintf(row, sizeof row, "%.64s/%s", id, day);
    return cvm_row_put(
        t, "kb_retrievals",
        json_pack("{s:s, s:s, s:s, s:f}", "retrieval_id", row, "document_id", id, "day", day, "relevance", relevance));
}

bool prune_is_news(cvm_turn *t, const char *id, double relevance)
{
    char key[SHELF_KEY_SIZE], day[32];
    const json_t *seen = NULL, *best;
    shelf_key("seen/", id, key);
    day_text(cvm_now_ms(t), day);
    if (cvm_state_get(t, key, &seen) < 0)
        return true;
    best = json_object_get(seen, day);
    return !best || relevance > json_number_value(best);
}

int prune_retrieved(cvm_turn *t, const cvm_msg *m)
{
    const json_t *found = json_object_get(m->data, "found"), *anew = json_object_get(m->data, "anew"), *one;
    size_t i;
    for (i = 0; i < json_array_size(anew); i++)
        CVM_TRY(shelf_trace_anew(t, json_string_value(json_array_get(anew, i))));
    json_array_foreach((json_t *)(uintptr_t)found, i, one)
        CVM_TRY(note(t, cvm_json_str(one, "document_id", ""), json_number_value(json_object_get(one, "relevance"))));
    return CVM_OK;
}

/* ---- removing ---------------------------------------------------------------------------------------------------- */

/* Whether the document may go; *ret_score is its score, negative where it was never retrieved. */
static int is_prunable(cvm_turn *t, const char *id, const json_t *doc, double below, bool *ret_may, double *ret_score)
{
    char key[DOCUMENT_ID_MAX + 8], oldest[32];
    const json_t *seen = NULL;
    json_t *value;
    const char *day;
    double best = -1;
    snprintf(key, sizeof key, "seen/%.64s", id);
    day_text(cvm_now_ms(t) - WINDOW_DAYS * DAY_MS, oldest);
    int e = cvm_state_get(t, key, &seen);
    if (e < 0 && e != CVM_ENOENT)
        return e;
    json_object_foreach((json_t *)(uintptr_t)seen, day,
                        value) if (strcmp(day, oldest) >= 0 && json_number_value(value) > best) best =
        json_number_value(value);
    bool young = cvm_now_ms(t) - cvm_json_int(doc, "created_ms", 0) < GRACE_DAYS * DAY_MS;
    *ret_score = best;
    *ret_may = best >= 0 ? best < below : !young;
    return CVM_OK;
}

static json_t *id_json(cvm_id id)
{
    return json_pack("[I, I]", (json_int_t)id.hi, (json_int_t)id.lo);
}

static cvm_id id_of(const json_t *pair)
{
    return (cvm_id){(uint64_t)json_integer_value(json_array_get(pair, 0)),
                    (uint64_t)json_integer_value(json_array_get(pair, 1))};
}

static int go_on(cvm_turn *t, json_t *job)
{
    cvm_out out = {.size = sizeof out,
                   .kind = CVM_OUT_MESSAGE,
                   .to = KB,
                   .type = "prune_step",
                   .data = job,
                   .conversation = KB_LANE,
                   .priority = -1};
    return t->host->emit(t, &out, NULL);
}

/* Who asked is answered when all documents were looked at. */
int prune(cvm_turn *t, const cvm_msg *m)
{
    bool yes = cvm_json_bool(m->data, "yes", false) && !cvm_json_bool(m->data, "dry_run", false);
    const json_t *below = json_object_get(m->data, "below");
    double limit = json_is_number(below) ? json_number_value(below) : KB_RELEVANT;
    CVM_TRY(go_on(t, json_pack("{s:s, s:b, s:f, s:i, s:i, s:[], s:o}", "after", "doc/", "yes", yes, "below", limit,
                               "looked_at", 0, "prunable", 0, "documents", "request", id_json(m->id))));
    return CVM_PENDING;
}

static int finish(cvm_turn *t, const json_t *job)
{
    bool yes = cvm_json_bool(job, "yes", false);
    int64_t n = cvm_json_int(job, "prunable", 0);
    char text[200];
    if (yes)
        snprintf(text, sizeof text, "%d documents removed.", (int)n);
    else
        snprintf(text, sizeof text, "%d documents would be removed%s.", (int)n, n ? "; with --yes they are" : "");
    if (yes)
        cvm_log(t, CVM_LOG_INFO, "pruned: %d documents with a score below %.2f", (int)n,
                json_number_value(json_object_get(job, "below")));
    cvm_id request = id_of(json_object_get(job, "request"));
    if (cvm_id_is_none(request))
        return CVM_OK;
    int e = cvm_settle(t, request, CVM_REPLIED,
                       json_pack("{s:b, s:b, s:I, s:I, s:O, s:O, s:s}", "success", 1, "removed", yes, "looked_at",
                                 (json_int_t)cvm_json_int(job, "looked_at", 0), "prunable", (json_int_t)n, "below",
                                 json_object_get(job, "below"), "documents", json_object_get(job, "documents"),
                                 "message", text),
                       NULL);
    return e == CVM_ENOENT ? CVM_OK : e;
}

/* A document in a turn of its own. */
int prune_take(cvm_turn *t, const cvm_msg *m)
{
    int e = shelf_take(t, cvm_json_str(m->data, "document_id", ""), "pruned");
    return e == CVM_ENOENT ? CVM_OK : e;
}

/* One page of documents. Who asked hears the end when those before have been taken: they go by the same lane. */
int prune_step(cvm_turn *t, const cvm_msg *m)
{
    if (cvm_json_bool(m->data, "over", false))
        return finish(t, m->data);
    json_t *pairs = NULL, *job = json_deep_copy(m->data), *list = json_object_get(job, "documents");
    const char *after = cvm_json_str(m->data, "after", "doc/");
    bool yes = cvm_json_bool(job, "yes", false);
    bool monthly = cvm_id_is_none(id_of(json_object_get(job, "request")));
    double below = json_number_value(json_object_get(job, "below")), score;
    int64_t looked = cvm_json_int(job, "looked_at", 0), n = cvm_json_int(job, "prunable", 0);
    int taken = 0, e = job ? cvm_state_scan(t, "doc/", after, PAGE, &pairs) : CVM_ENOMEM;
    bool more = !e && json_array_size(pairs) == PAGE;
    for (size_t i = 0; !e && i < json_array_size(pairs); i++) {
        const json_t *pair = json_array_get(pairs, i), *doc = json_array_get(pair, 1);
        const char *key = json_string_value(json_array_get(pair, 0)), *id = key + 4;
        bool may = false;
        if (taken == 50) {
            more = true;
            break;
        }
        json_object_set_new(job, "after", json_string(key));
        if (strcmp(cvm_json_str(doc, "status", ""), "active") != 0)
            continue;
        /* Nobody looks on when a month is over: what comes with a plugin is its maker's to take back. */
        if (monthly && strcmp(cvm_json_str(doc, "origin", ""), OPERATOR) != 0)
            continue;
        looked++;
        e = is_prunable(t, id, doc, below, &may, &score);
        if (e || !may)
            continue;
        n++;
        if (json_array_size(list) < SHOWN_MAX)
            json_array_append_new(list, json_pack("{s:s, s:o, s:s, s:s}", "document_id", id, "score",
                                                  score < 0 ? json_null() : json_real(score), "domain",
                                                  cvm_json_str(doc, "domain", ""), "origin",
                                                  cvm_json_str(doc, "origin", "")));
        if (yes) {
            taken++;
            e = cvm_send(t, KB, "prune_take", json_pack("{s:s}", "document_id", id));
        }
    }
    json_decref(pairs);
    json_object_set_new(job, "looked_at", json_integer(looked));
    json_object_set_new(job, "prunable", json_integer(n));
    if (!e && (more || taken)) {
        json_object_set_new(job, "over", json_boolean(!more));
        return go_on(t, job);
    }
    if (!e)
        e = finish(t, job);
    json_decref(job);
    return e;
}

/* ---- each month -------------------------------------------------------------------------------------------------- */

int prune_arm(cvm_turn *t)
{
    int64_t at = 0;
    cvm_id none = {0, 0};
    CVM_TRY(cvm_state_int(t, "prune/at_ms", &at));
    if (at)
        return CVM_OK; /* armed by an earlier start; a late one fires at once */
    CVM_TRY(cvm_timer(t, "monthly_prune", MONTH_DAYS * DAY_MS, NULL, none, NULL));
    return cvm_state_put_int(t, "prune/at_ms", cvm_now_ms(t) + MONTH_DAYS * DAY_MS);
}

int prune_monthly(cvm_turn *t, const cvm_msg *m)
{
    (void)m;
    CVM_TRY(cvm_state_del(t, "prune/at_ms"));
    CVM_TRY(prune_arm(t));
    if (!cvm_json_bool(cvm_settings(t), "prune_monthly", true))
        return CVM_OK;
    const json_t *below = json_object_get(cvm_settings(t), "prune_below");
    return go_on(t, json_pack("{s:s, s:b, s:f, s:i, s:i, s:[], s:[i, i]}", "after", "doc/", "yes", 1, "below",
                              json_is_number(below) ? json_number_value(below) : KB_RELEVANT, "looked_at", 0,
                              "prunable", 0, "documents", "request", 0, 0));
}
