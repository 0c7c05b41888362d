/* What comes over three times as often as usual: an intent, or failures of a network or company. Owns the state key
 * usual -> {windows, intents: {name: sum}, failures}, and the table `patterns`. Loop thread. */
#include "operations.h"

#define USUAL_WINDOWS 168 /* older ones fade */

static json_t *faded(const json_t *sums, int64_t windows)
{
    const char *name;
    const json_t *value;
    json_t *out = json_object();
    void *at;
    for (at = json_object_iter((json_t *)(uintptr_t)sums); at;
         at = json_object_iter_next((json_t *)(uintptr_t)sums, at)) {
        name = json_object_iter_key(at);
        value = json_object_iter_value(at);
        double rest = json_number_value(value) * (windows >= USUAL_WINDOWS ? 1.0 - 1.0 / USUAL_WINDOWS : 1.0);
        if (rest >= 0.01)
            json_object_set_new(out, name, json_real(rest));
    }
    return out;
}

static void learn(json_t *usual, const char *group, const json_t *window, int64_t windows)
{
    json_t *sums = faded(json_object_get(usual, group), windows);
    const char *name;
    json_t *value;
    json_object_foreach(json_object_get(window, group), name, value) json_object_set_new(
        sums, name, json_real(json_number_value(json_object_get(sums, name)) + json_number_value(value)));
    json_object_set_new(usual, group, sums);
}

int pattern_learn(cvm_turn *t, const json_t *window)
{
    const json_t *kept = NULL;
    int e = cvm_state_get(t, "usual", &kept);
    if (e < 0 && e != CVM_ENOENT)
        return e;
    json_t *usual = kept ? json_copy((json_t *)(uintptr_t)kept) : json_object();
    int64_t windows = cvm_json_int(usual, "windows", 0);
    learn(usual, "intents", window, windows);
    learn(usual, "failures", window, windows);
    json_object_set_new(usual, "windows", json_integer(windows < USUAL_WINDOWS ? windows + 1 : windows));
    return cvm_state_put(t, "usual", usual);
}

static double usual_of(const json_t *usual, const char *group, const char *name)
{
    int64_t windows = cvm_json_int(usual, "windows", 0);
    return windows ? json_number_value(json_object_get(json_object_get(usual, group), name)) / (double)windows : 0;
}

static bool unusual(cvm_turn *t, int64_t n, double usual)
{
    double times = (double)cvm_json_int(cvm_settings(t), "pattern_times", 3);
    return n >= cvm_json_int(cvm_settings(t), "pattern_least", 10) && (double)n > times * usual;
}

/* Told once a window: when it comes to be so. */
int pattern_look(cvm_turn *t, const json_t *window, const char *group, const char *name)
{
    const json_t *kept = NULL, *counts = json_object_get(window, group);
    int64_t n = cvm_json_int(counts, name, 0);
    char id[CVM_SHORT_ID_SIZE], at[TIME_SIZE];
    const char *kind = strcmp(group, "intents") ? "failures" : "intent";
    int e = cvm_state_get(t, "usual", &kept);
    if (e < 0 && e != CVM_ENOENT)
        return e;
    double usual = usual_of(kept, group, name);
    if (cvm_json_int(kept, "windows", 0) < 1 || !unusual(t, n, usual) || unusual(t, n - 1, usual))
        return CVM_OK;
    CVM_TRY(cvm_new_id(t, "PAT", id));
    json_t *row = json_pack("{s:s, s:s, s:s, s:I, s:f, s:s}", "pattern_id", id, "kind", kind, "subject", name, "count",
                            (json_int_t)n, "usual", usual, "detected_at", ops_time(cvm_now_ms(t), at));
    if (!row)
        return CVM_ENOMEM;
    cvm_log(t, CVM_LOG_WARNING, "%s %s: %lld, usually %.1f", kind, name, (long long)n, usual);
    CVM_TRY(cvm_metric(t, "patterns_total", kind, 1));
    CVM_TRY(cvm_publish(t, "pattern.detected", json_copy(row)));
    return cvm_row_put(t, "patterns", row);
}

static void list(cvm_turn *t, json_t *found, const json_t *usual, const json_t *window, const char *group)
{
    const char *name;
    json_t *value;
    json_object_foreach(json_object_get(window, group), name, value)
    {
        double mean = usual_of(usual, group, name);
        json_array_append_new(found,
                              json_pack("{s:s, s:s, s:O, s:f, s:b}", "kind",
                                        strcmp(group, "intents") ? "failures" : "intent", "subject", name, "count",
                                        value, "usual", mean, "unusual", unusual(t, json_integer_value(value), mean)));
    }
}

int pattern_detect(cvm_turn *t, const cvm_msg *m)
{
    const json_t *usual = NULL, *window = NULL;
    int e = cvm_state_get(t, "usual", &usual);
    if (e < 0 && e != CVM_ENOENT)
        return e;
    e = cvm_state_get(t, "now", &window);
    if (e < 0 && e != CVM_ENOENT)
        return e;
    json_t *found = json_array();
    list(t, found, usual, window, "intents");
    list(t, found, usual, window, "failures");
    return cvm_reply(t, m, json_pack("{s:o}", "patterns", found));
}
