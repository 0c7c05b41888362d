/* The job "scan": triggers over the whole base or some customers. Its input is made by find.c:
 * {"triggers": [names], "customers": [ids], "custom": {..}, "rules": [{"trigger_id", "description", ..}],
 * "output_file", "file", "limit", "explain"}. A job's thread. */
#include "base.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RESULT_BYTES (800 * 1024) /* of match records in the answer; all are in the files */
#define RULES_MAX 64
#define PROGRESS_EVERY 4096

struct own_rule {
    struct custom_rule *rule;
    const char *id; /* NULL: the trigger that was asked for */
    json_t *customers;
};

struct scan {
    cvm_job *job;
    const struct knowledge *k;
    struct thresholds th;
    struct spend spend;
    unsigned wanted; /* built-in triggers to report */
    unsigned needed; /* .. to judge */
    size_t n_rules;
    struct own_rule rules[RULES_MAX];
    json_t *matches;
    size_t bytes, limit;
    int64_t total, by_trigger[TRIGGERS], customers;
    struct unknown unknown;
    bool truncated, want_file, want_lines, as_json;
    struct text_file file, lines;
};

static double setting(const json_t *settings, const char *name, double otherwise)
{
    const json_t *v = json_object_get(settings, name);
    return json_is_number(v) ? json_number_value(v) : otherwise;
}

static void read_thresholds(struct scan *s)
{
    const json_t *o = cvm_job_settings(s->job);
    thresholds_default(&s->th);
    s->th.dropped_pct = setting(o, "dropped_call_rate_percent", s->th.dropped_pct);
    s->th.signal_dbm = setting(o, "signal_dbm", s->th.signal_dbm);
    s->th.download_mbps = setting(o, "download_mbps", s->th.download_mbps);
    s->th.outages = setting(o, "outages_30d", s->th.outages);
    s->th.bad_figures = (int)setting(o, "bad_figures", s->th.bad_figures);
    s->th.churn_score = setting(o, "churn_score", s->th.churn_score);
    s->th.usage_fall_pct = setting(o, "usage_fall_percent", s->th.usage_fall_pct);
    s->th.contract_days = (int)setting(o, "contract_days", s->th.contract_days);
    s->th.on_time_min = setting(o, "on_time_share", s->th.on_time_min);
    s->th.tenure_min = (int)setting(o, "tenure_months", s->th.tenure_min);
    s->th.confidence_min = setting(o, "confidence_min", s->th.confidence_min);
}

static int add_rule(struct scan *s, const json_t *trigger, const char *id)
{
    char why[256] = "";
    struct own_rule *r = &s->rules[s->n_rules];
    if (s->n_rules == RULES_MAX)
        return cvm_job_fail(s->job, "TOO_MANY", "at most 64 custom triggers at a time");
    int e = custom_compile(s->k->terms, trigger, &r->rule, why, sizeof why);
    if (e < 0)
        return e == CVM_EINVAL ? cvm_job_fail(s->job, "BAD_TRIGGER", why) : e;
    r->id = id;
    r->customers = json_array();
    s->needed |= custom_needs(r->rule);
    s->n_rules++;
    return 0;
}

static int read_input(struct scan *s, const json_t *input)
{
    const json_t *names = json_object_get(input, "triggers"), *custom = json_object_get(input, "custom"), *item;
    const char *file = cvm_json_str(input, "output_file", "");
    size_t i, n = strlen(file);
    json_array_foreach(names, i, item) for (size_t t = 0; t < TRIGGERS;
                                            t++) if (!strcmp(json_string_value(item) ? json_string_value(item) : "",
                                                             trigger_names[t])) s->wanted |= 1u << t;
    s->needed = s->wanted;
    s->limit = (size_t)cvm_json_int(input, "limit", 100000);
    s->want_file = n != 0;
    s->as_json = n > 5 && !strcmp(file + n - 5, ".json");
    s->want_lines = *cvm_json_str(input, "file", "") != 0;
    if (json_is_object(custom))
        CVM_TRY(add_rule(s, custom, NULL));
    json_array_foreach(json_object_get(input, "rules"), i,
                       item) if (*cvm_json_str(item, "description", "") || json_object_get(item, "keywords"))
        CVM_TRY(add_rule(s, item, cvm_json_str(item, "trigger_id", "")));
    return 0;
}

static int record(struct scan *s, const char *id, const char *trigger, const struct verdict *v)
{
    bool full = s->bytes > RESULT_BYTES || json_array_size(s->matches) >= s->limit;
    s->total++;
    if (full && !s->want_file) {
        s->truncated = true;
        return 0;
    }
    json_t *match = match_json(id, trigger, v, cvm_job_now_ms(s->job), s->bytes > RESULT_BYTES * 3 / 4);
    if (!match)
        return CVM_ENOMEM;
    if (s->want_file && s->as_json) {
        char *text = json_dumps(match, JSON_COMPACT | JSON_REAL_PRECISION(6));
        text_file_add(&s->file, s->file.len ? ",\n" : "[\n", 2);
        text_file_add(&s->file, text ? text : "{}", text ? strlen(text) : 2);
        free(text);
    } else if (s->want_file) {
        text_file_csv(&s->file, match);
    }
    if (full) {
        s->truncated = true;
        json_decref(match);
        return 0;
    }
    s->bytes += json_dumpb(match, NULL, 0, JSON_COMPACT);
    return json_array_append_new(s->matches, match) < 0 ? CVM_ENOMEM : 0;
}

static void line_of(struct scan *s, const char *id, const struct verdict *v)
{
    json_t *list = json_array();
    for (size_t t = 0; t < TRIGGERS; t++)
        if (s->wanted & 1u << t && v[t].matches)
            json_array_append_new(list, json_string(trigger_names[t]));
    json_t *line = json_pack("{s:s, s:o}", "customer_id", id, "triggers", list);
    char *text = json_dumps(line, JSON_COMPACT);
    text_file_add(&s->lines, text ? text : "", text ? strlen(text) : 0);
    text_file_add(&s->lines, "\n", 1);
    free(text);
    json_decref(line);
}

static int judge_one(struct scan *s, struct case_file *c)
{
    struct verdict v[TRIGGERS], own;
    const char *id = c->facts->customer_id;
    int e = 0;
    c->high_spend = spend_from(&s->spend, c->facts->currency);
    if (!c->n_conversations && !s->n_rules && !s->want_lines && !(judge_figures(&s->th, c) & s->wanted))
        return 0; /* most of a large base */
    if (s->needed || s->want_lines)
        e = judge_case(s->k->judge, &s->th, c, s->needed, v);
    for (size_t t = 0; e == 0 && t < TRIGGERS; t++) {
        if (!(s->wanted & 1u << t) || !v[t].matches)
            continue;
        s->by_trigger[t]++;
        e = record(s, id, trigger_names[t], &v[t]);
    }
    if (e == 0 && s->want_lines && s->wanted)
        line_of(s, id, v);
    for (size_t i = 0; e == 0 && i < s->n_rules; i++) {
        e = custom_match(s->rules[i].rule, c, s->needed ? v : NULL, &own);
        if (e < 0 || !own.matches)
            continue;
        if (s->rules[i].id)
            json_array_append_new(s->rules[i].customers, json_string(id));
        else
            e = record(s, id, "custom", &own);
    }
    return e;
}

static int go_through(struct scan *s, const char *customer_id)
{
    struct base *b = malloc(sizeof *b);
    if (!b)
        return CVM_ENOMEM;
    int e = base_open(b, s->job, customer_id, s->n_rules || s->needed & ~(1u << HIGH_VALUE));
    if (e < 0) {
        free(b);
        return e;
    }
    while ((e = base_next(b)) > 0) {
        if ((e = judge_one(s, &b->file)) < 0)
            break;
        if (++s->customers % PROGRESS_EVERY == 0) {
            cvm_job_progress(s->job, s->customers, s->spend.customers, "customers");
            if (cvm_job_stopped(s->job)) {
                e = CVM_ESTATE;
                break;
            }
        }
    }
    base_close(b);
    free(b);
    return e < 0 ? e : 0;
}

/* Customers that came with the request, as get_customer_data gives them. */
static int go_through_data(struct scan *s, const json_t *list)
{
    const json_t *data;
    size_t i;
    int e = 0;
    json_array_foreach(list, i, data)
    {
        struct conversations c;
        struct cvm_facts f;
        if (e < 0 || !facts_from_json(data, &f))
            continue;
        if ((e = conversations_read(data, &c)) < 0)
            break;
        struct case_file file = {.facts = &f,
                                 .conversations = c.item,
                                 .n_conversations = c.n,
                                 .churn_chance = NAN,
                                 .now_ms = f.as_of_ms == FACTS_NONE ? cvm_job_now_ms(s->job) : f.as_of_ms};
        e = judge_one(s, &file);
        s->customers++;
        conversations_fini(&c);
    }
    return e;
}

static int save(struct scan *s, const char *name, struct text_file *f)
{
    char path[300];
    if (strstr(name, "..") || *name == '/' || strlen(name) > 200)
        return cvm_job_fail(s->job, "BAD_FILE", "a file of results has a name alone; it goes to output/ of the home");
    snprintf(path, sizeof path, "output/%s", strncmp(name, "output/", 7) ? name : name + 7);
    if (f->failed)
        return CVM_ENOMEM;
    int e = cvm_job_save(s->job, path, f->text ? f->text : "", f->len);
    return e == CVM_EACCES ? cvm_job_fail(s->job, "BAD_FILE", "the file would lie outside output/ of the home") : e;
}

static int save_files(struct scan *s, const json_t *input)
{
    if (s->want_file && s->as_json)
        text_file_add(&s->file, s->file.len ? "\n]\n" : "[]\n", 3);
    if (s->want_file)
        CVM_TRY(save(s, cvm_json_str(input, "output_file", ""), &s->file));
    for (size_t i = 0; s->want_lines && i < s->n_rules; i++) {
        if (!s->rules[i].id)
            continue;
        json_t *line = json_pack("{s:s, s:O}", "trigger_id", s->rules[i].id, "customer_ids", s->rules[i].customers);
        char *text = json_dumps(line, JSON_COMPACT);
        text_file_add(&s->lines, text ? text : "", text ? strlen(text) : 0);
        text_file_add(&s->lines, "\n", 1);
        free(text);
        json_decref(line);
    }
    return s->want_lines ? save(s, cvm_json_str(input, "file", ""), &s->lines) : 0;
}

static json_t *result_of(struct scan *s, const json_t *input)
{
    json_t *by = json_object(), *rules = json_array();
    for (size_t t = 0; t < TRIGGERS; t++)
        if (s->wanted & 1u << t)
            json_object_set_new(by, trigger_names[t], json_integer(s->by_trigger[t]));
    for (size_t i = 0; i < s->n_rules; i++)
        if (s->rules[i].id || cvm_json_bool(input, "explain", false)) {
            json_t *rule = custom_rule_json(s->rules[i].rule);
            if (s->rules[i].id)
                json_object_set_new(rule, "trigger_id", json_string(s->rules[i].id));
            if (s->rules[i].id)
                json_object_set_new(rule, "matches", json_integer((json_int_t)json_array_size(s->rules[i].customers)));
            json_array_append_new(rules, rule);
        }
    return json_pack("{s:O, s:I, s:I, s:b, s:o, s:o}", "matches", s->matches, "total_matches", (json_int_t)s->total,
                     "customers", (json_int_t)s->customers, "truncated", s->truncated, "by_trigger", by, "rules",
                     rules);
}

int job_scan(cvm_job *j, const json_t *input, json_t **ret_result)
{
    const json_t *ids = json_object_get(input, "customers"), *id;
    struct scan *s = calloc(1, sizeof *s);
    size_t i;
    int e = s ? 0 : CVM_ENOMEM;
    if (e == 0) {
        s->job = j;
        s->matches = json_array();
        read_thresholds(s);
        e = knowledge_take(j, &s->k);
    }
    if (e == 0)
        e = read_input(s, input);
    if (e == 0)
        e = spend_read(j, cvm_job_settings(j), &s->spend);
    if (e == 0 && s->want_file && !s->as_json)
        text_file_csv_head(&s->file);
    if (e == 0 && json_is_array(json_object_get(input, "data")))
        e = go_through_data(s, json_object_get(input, "data"));
    else if (e == 0 && !json_is_array(ids))
        e = go_through(s, NULL);
    json_array_foreach(ids, i, id)
    {
        int64_t before = s ? s->customers : 0;
        if (e == 0)
            e = go_through(s, json_string_value(id));
        if (e == 0 && s->customers == before)
            e = unknown_add(&s->unknown, json_string_value(id));
    }
    if (e == 0)
        e = unknown_judge(j, input, &s->unknown);
    if (e == 0)
        e = save_files(s, input);
    if (e == 0 && !(*ret_result = result_of(s, input)))
        e = CVM_ENOMEM;
    if (e == 0)
        unknown_tell(&s->unknown, *ret_result);
    if (s) {
        unknown_fini(&s->unknown);
        for (i = 0; i < s->n_rules; i++) {
            custom_rule_free(s->rules[i].rule);
            json_decref(s->rules[i].customers);
        }
        json_decref(s->matches);
        text_file_fini(&s->file);
        text_file_fini(&s->lines);
        if (s->k)
            knowledge_release(s->k);
    }
    free(s);
    return e;
}
