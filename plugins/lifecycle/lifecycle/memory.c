/* lifecycle.memory: what worked for whom. Owns the state keys "of/<persona>", each {action: {"status", "day", "tries",
 * "impact"}}: the latest outcome of an action counts, the mean impact of all tries is kept beside it. Loop thread. */
#include "lifecycle.h"

#include <stdio.h>

#define SCAN_MAX 1000
#define SHOWN_MAX 2000 /* personas in an answer */
#define NAMED_MAX 20   /* personas in an error */

static const char *key_of(const json_t *customer)
{
    const char *text = json_string_value(customer);
    return text ? text : cvm_json_str(customer, "persona_key", "");
}

static void state_key(char key[CVM_STATE_KEY_MAX + 1], const char *persona)
{
    snprintf(key, CVM_STATE_KEY_MAX + 1, "of/%.*s", CVM_STATE_KEY_MAX - 3, persona);
}

/* Borrowed; NULL: nothing is known. */
static const json_t *known_of(cvm_turn *t, const char *persona)
{
    char key[CVM_STATE_KEY_MAX + 1];
    const json_t *known = NULL;
    if (strlen(persona) > LIFE_KEY_MAX)
        return NULL;
    state_key(key, persona);
    return cvm_state_get(t, key, &known) < 0 ? NULL : known;
}

/* ---- writing ---- */

static bool same_word(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

/* Takes an outcome into a copy of what is known of a persona; *new_ones counts actions that had none. */
static int take_outcome(cvm_turn *t, const json_t *update, int64_t *new_ones)
{
    const char *persona = key_of(json_object_get(update, "customer")), *action = cvm_json_str(update, "action", "");
    const char *status = cvm_json_str(update, "status", "");
    char key[CVM_STATE_KEY_MAX + 1];
    if (!*persona || strlen(persona) > LIFE_KEY_MAX)
        return cvm_refuse(t, "INVALID", "customer", "customer: must be a persona or its key, segment_name");
    if (same_word(action, LIFE_NO_ACTION))
        return CVM_OK;
    if (!*action || strlen(action) > LIFE_NAME_MAX)
        return cvm_refuse(t, "INVALID", "action", "action: must be the name of an action");
    if (!same_word(status, "SUCCESS") && !same_word(status, "FAILED"))
        return cvm_refuse(t, "INVALID", "status", "status: must be SUCCESS or FAILED");
    const json_t *known = known_of(t, persona), *before = json_object_get(known, action);
    if (!before && json_object_size(known) >= LIFE_ACTIONS_MAX)
        return cvm_refuse(t, "LIMIT", "action", "more than 32 actions for one persona");
    int64_t tries = cvm_json_int(before, "tries", 0);
    double mean = json_number_value(json_object_get(before, "impact")),
           impact = json_number_value(json_object_get(update, "impact"));
    json_t *changed = known ? json_copy((json_t *)(uintptr_t)known) : json_object();
    *new_ones += before == NULL;
    json_object_set_new(changed, action,
                        json_pack("{s:s, s:I, s:I, s:o}", "status", status, "day",
                                  (json_int_t)cvm_json_int(update, "day", 0), "tries", (json_int_t)(tries + 1),
                                  "impact", life_number((mean * (double)tries + impact) / (double)(tries + 1))));
    state_key(key, persona);
    return cvm_state_put(t, key, changed);
}

int memory_on_update(cvm_turn *t, const cvm_msg *m)
{
    const json_t *many = json_object_get(m->data, "updates");
    int64_t new_ones = 0;
    size_t n = many ? json_array_size(many) : 1;
    for (size_t i = 0; i < n; i++)
        CVM_TRY(take_outcome(t, many ? json_array_get(many, i) : m->data, &new_ones));
    return cvm_reply(
        t, m,
        json_pack("{s:s, s:I, s:I}", "status", "recorded", "updates", (json_int_t)n, "new", (json_int_t)new_ones));
}

/* ---- reading ---- */

/* A failure may be tried again when it is older than lifecycle.forbidden_ttl_days. */
static bool is_forbidden(cvm_turn *t, const json_t *entry, int64_t day)
{
    int64_t ttl = cvm_json_int(cvm_settings(t), "forbidden_ttl_days", 0);
    return same_word(cvm_json_str(entry, "status", ""), "FAILED") &&
           !(ttl > 0 && day > 0 && day - cvm_json_int(entry, "day", 0) > ttl);
}

static json_t *actions_of(cvm_turn *t, const json_t *known, int64_t day, bool forbidden)
{
    const char *action;
    const json_t *entry;
    json_t *actions = json_array();
    json_object_foreach((json_t *)(uintptr_t)known, action, entry)
    {
        bool is = forbidden ? is_forbidden(t, entry, day) : same_word(cvm_json_str(entry, "status", ""), "SUCCESS");
        if (is)
            json_array_append_new(actions, json_string(action));
    }
    return actions;
}

static int answer_actions(cvm_turn *t, const cvm_msg *m, bool forbidden)
{
    const char *persona = key_of(json_object_get(m->data, "customer"));
    return cvm_reply(t, m,
                     json_pack("{s:s, s:o}", "customer", persona, "actions",
                               actions_of(t, known_of(t, persona), cvm_json_int(m->data, "day", 0), forbidden)));
}

int memory_on_forbidden(cvm_turn *t, const cvm_msg *m)
{
    return answer_actions(t, m, true);
}

int memory_on_hints(cvm_turn *t, const cvm_msg *m)
{
    return answer_actions(t, m, false);
}

/* What a decision is made with, for many: {"forbidden", "hints", "tried": {action: [tries, mean impact]}}; an empty
 * object where nothing is known. */
int memory_on_recall(cvm_turn *t, const cvm_msg *m)
{
    const json_t *personas = json_object_get(m->data, "personas"), *entry;
    int64_t day = cvm_json_int(m->data, "day", 0);
    json_t *memories = json_array();
    for (size_t i = 0; i < json_array_size(personas); i++) {
        const json_t *known = known_of(t, key_of(json_array_get(personas, i)));
        json_t *memory = json_object(), *tried = json_object();
        const char *action;
        json_object_foreach((json_t *)(uintptr_t)known, action, entry)
        {
            json_object_set_new(
                tried, action,
                json_pack("[I, O]", (json_int_t)cvm_json_int(entry, "tries", 0), json_object_get(entry, "impact")));
        }
        if (known) {
            json_object_set_new(memory, "forbidden", actions_of(t, known, day, true));
            json_object_set_new(memory, "hints", actions_of(t, known, day, false));
            json_object_set(memory, "tried", tried);
        }
        json_decref(tried);
        json_array_append_new(memories, memory);
    }
    return cvm_reply(t, m, json_pack("{s:o}", "memories", memories));
}

/* {persona: {action: status}}: the form that people and other programs know. */
static json_t *plain(const json_t *known)
{
    const char *action;
    const json_t *entry;
    json_t *all = json_object();
    json_object_foreach((json_t *)(uintptr_t)known, action, entry)
    {
        json_object_set(all, action, json_object_get(entry, "status"));
    }
    return all;
}

/* Calls `take` with each persona's memory, up to `most`. Gives whether there are more. */
static int each(cvm_turn *t, size_t most, void (*take)(json_t *to, const char *persona, const json_t *known),
                json_t *to, bool *ret_more)
{
    char after[CVM_STATE_KEY_MAX + 1] = "of/";
    size_t taken = 0, n = SCAN_MAX;
    while (n == SCAN_MAX) {
        json_t *pairs = NULL;
        CVM_TRY(cvm_state_scan(t, "of/", after, SCAN_MAX, &pairs));
        n = json_array_size(pairs);
        for (size_t i = 0; i < n; i++) {
            const json_t *pair = json_array_get(pairs, i);
            const char *key = json_string_value(json_array_get(pair, 0));
            if (taken++ < most)
                take(to, key + 3, json_array_get(pair, 1));
            snprintf(after, sizeof after, "%s", key);
        }
        json_decref(pairs);
    }
    *ret_more = taken > most;
    return CVM_OK;
}

static void take_plain(json_t *to, const char *persona, const json_t *known)
{
    json_object_set_new(to, persona, plain(known));
}

/* As a file: its own form as JSON, a line for each outcome as CSV. Gives; NULL: out of memory. */
static json_t *as_file(json_t *all, bool csv)
{
    json_t *outcomes, *status;
    const char *persona, *action;
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    if (out && csv) {
        fputs("persona_key,action,status\n", out);
        json_object_foreach(all, persona, outcomes)
        {
            json_object_foreach(outcomes, action, status)
            {
                look_csv(out, persona);
                fputc(',', out);
                look_csv(out, action);
                fprintf(out, ",%s\n", json_string_value(status));
            }
        }
    } else if (out) {
        json_dumpf(all, out, JSON_INDENT(2));
        fputc('\n', out);
    }
    if (out)
        fclose(out);
    json_t *data = text ? look_text(csv ? "text/csv; charset=utf-8" : "application/json", text) : NULL;
    free(text);
    return data;
}

/* Nothing is known of `persona`: the table of personas tells one who has met no action from one who does not exist. */
static int ask_who(cvm_turn *t, cvm_id request, const json_t *with, bool all)
{
    json_t *where = all ? NULL : json_pack("{s:O}", "persona_key", json_object_get(with, "persona"));
    json_t *kept = json_deep_copy(with);
    json_object_set_new(kept, "all", json_boolean(all));
    CVM_TRY(cvm_ask(t, &(cvm_query){.size = sizeof(cvm_query),
                                    .table = PERSONAS,
                                    .where = where,
                                    .on_behalf = request,
                                    .limit = all ? NAMED_MAX : 1,
                                    .with = kept}));
    return CVM_PENDING;
}

static int nobody(cvm_turn *t, const cvm_msg *m, const char *persona)
{
    const json_t *rows = json_object_get(m->data, "rows");
    size_t n = json_array_size(rows), at = 0;
    char why[NAMED_MAX * (LIFE_KEY_MAX + 2) + LIFE_KEY_MAX + 200];
    at += (size_t)snprintf(why, sizeof why, "There is no persona %.*s; ", LIFE_KEY_MAX, persona);
    for (size_t i = 0; i < n && i < NAMED_MAX; i++)
        at += (size_t)snprintf(why + at, sizeof why - at, "%s%.*s", i ? ", " : "there are ", LIFE_KEY_MAX,
                               cvm_json_str(json_array_get(rows, i), "persona_key", ""));
    snprintf(why + at, sizeof why - at, "%s",
             !n                                      ? "none is loaded yet: see `cvmhost lifecycle status`."
             : cvm_json_bool(m->data, "more", false) ? " and more: `cvmhost lifecycle status` shows them."
                                                     : ".");
    return cvm_settle(t, m->on_behalf, CVM_REFUSED,
                      json_pack("{s:s, s:s, s:s}", "code", "NOT_FOUND", "field", "persona", "message", why), NULL);
}

int memory_on_who(cvm_turn *t, const cvm_msg *m)
{
    const json_t *with = json_object_get(m->data, "with");
    const char *persona = cvm_json_str(with, "persona", ""), *format = cvm_json_str(with, "format", "");
    bool there = json_array_size(json_object_get(m->data, "rows")) != 0;
    int e;
    if (m->outcome != CVM_REPLIED) {
        e = cvm_settle(t, m->on_behalf, CVM_ERROR,
                       json_pack("{s:s, s:s}", "code", "FAILED", "message", "the personas cannot be read"), NULL);
    } else if (cvm_json_bool(with, "all", false)) {
        e = nobody(t, m, persona);
    } else if (!there) {
        return ask_who(t, m->on_behalf, with, true);
    } else {
        json_t *none = json_object();
        json_t *data = *format ? as_file(none, same_word(format, "csv")) : json_incref(none);
        json_decref(none);
        e = data ? cvm_settle(t, m->on_behalf, CVM_REPLIED, data, NULL) : CVM_ENOMEM;
    }
    return e == CVM_ENOENT ? CVM_OK : e;
}

/* `format`: "" where no file is wanted. */
static int look_for(cvm_turn *t, const cvm_msg *m, const char *persona, const char *format)
{
    json_t *with = json_pack("{s:s, s:s}", "persona", persona, "format", format);
    int e = ask_who(t, m->id, with, false);
    json_decref(with);
    return e;
}

int memory_on_show(cvm_turn *t, const cvm_msg *m)
{
    const char *persona = cvm_json_str(m->data, "persona", NULL);
    bool more = false;
    if (persona && !known_of(t, persona))
        return look_for(t, m, persona, "");
    json_t *all = json_object();
    if (persona) {
        take_plain(all, persona, known_of(t, persona));
    } else {
        int e = each(t, SHOWN_MAX, take_plain, all, &more);
        if (e < 0) {
            json_decref(all);
            return e;
        }
    }
    if (more)
        cvm_log(t, CVM_LOG_INFO, "the memory has more than the %d personas that are shown", SHOWN_MAX);
    return cvm_reply(t, m, all);
}

/* {segment: {action: {"successes", "failures"}}} */
static void take_segment(json_t *to, const char *persona, const json_t *known)
{
    char segment[LIFE_NAME_MAX + 1];
    const char *action;
    const json_t *entry;
    snprintf(segment, sizeof segment, "%.*s", (int)strcspn(persona, "_"), persona);
    json_t *actions = json_object_get(to, segment);
    if (!actions) {
        actions = json_object();
        json_object_set_new(to, segment, actions);
    }
    json_object_foreach((json_t *)(uintptr_t)known, action, entry)
    {
        const json_t *was = json_object_get(actions, action);
        bool good = same_word(cvm_json_str(entry, "status", ""), "SUCCESS");
        json_object_set_new(actions, action,
                            json_pack("{s:I, s:I}", "successes",
                                      (json_int_t)(cvm_json_int(was, "successes", 0) + (good ? 1 : 0)), "failures",
                                      (json_int_t)(cvm_json_int(was, "failures", 0) + (good ? 0 : 1))));
    }
}

int memory_on_segments(cvm_turn *t, const cvm_msg *m)
{
    json_t *segments = json_object();
    bool more;
    int e = each(t, SIZE_MAX, take_segment, segments, &more);
    if (e < 0) {
        json_decref(segments);
        return e;
    }
    return cvm_reply(t, m, json_pack("{s:o}", "segments", segments));
}

int memory_on_download(cvm_turn *t, const cvm_msg *m)
{
    const char *persona = cvm_json_str(m->data, "persona", NULL), *format = cvm_json_str(m->data, "format", "json");
    bool more;
    int e = CVM_OK;
    if (persona && !known_of(t, persona))
        return look_for(t, m, persona, format);
    json_t *all = json_object();
    if (persona)
        take_plain(all, persona, known_of(t, persona));
    else
        e = each(t, SHOWN_MAX, take_plain, all, &more);
    json_t *data = e == CVM_OK ? as_file(all, same_word(format, "csv")) : NULL;
    json_decref(all);
    if (e < 0)
        return e;
    if (data && cvm_json_bool(m->data, "save", false)) /* an export's: who asked writes the file */
        json_object_set_new(data, "save", json_true());
    return data ? cvm_reply(t, m, data) : CVM_ENOMEM;
}

int memory_on_clear(cvm_turn *t, const cvm_msg *m)
{
    json_t *pairs = NULL;
    CVM_TRY(cvm_state_scan(t, "of/", NULL, SCAN_MAX, &pairs));
    size_t n = json_array_size(pairs);
    int e = CVM_OK;
    for (size_t i = 0; e == CVM_OK && i < n; i++)
        e = cvm_state_del(t, json_string_value(json_array_get(json_array_get(pairs, i), 0)));
    json_decref(pairs);
    CVM_TRY(e);
    return cvm_reply(t, m, json_pack("{s:b}", "more", n == SCAN_MAX));
}
