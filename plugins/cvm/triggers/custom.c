/* A custom trigger compiled: its description, keywords and kinds of conversations; and shown. See custom.h. Pure; any
 * thread. */
#include "custom_rule.h"
#include <cvm/cvm.h>
#include <cvm/json.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int add_keyword(struct custom_rule *r, const char *text, size_t len, json_t *labels, char *ret_error,
                       size_t error_size)
{
    struct words w;
    char phrase[256] = "", label[16];
    while (len && (*text == ' ' || *text == '"'))
        text++, len--;
    while (len && (text[len - 1] == ' ' || text[len - 1] == '"'))
        len--;
    if (!len)
        return 0;
    if (r->n_keywords == CUSTOM_KEYWORDS_MAX || len >= sizeof r->keyword[0]) {
        snprintf(ret_error, error_size, "at most %d keywords of under %zu bytes", CUSTOM_KEYWORDS_MAX,
                 sizeof r->keyword[0]);
        return CVM_EINVAL;
    }
    words_init(&w);
    CVM_TRY(words_read(&w, text, len));
    for (size_t i = 0, at = 0; i < w.n && at < sizeof phrase; i++)
        at += (size_t)snprintf(phrase + at, sizeof phrase - at, "%s%s", i ? " " : "", w.word[i].folded);
    bool any = w.n != 0;
    words_fini(&w);
    if (!any)
        return 0;
    snprintf(r->keyword[r->n_keywords], sizeof r->keyword[0], "%.*s", (int)len, text);
    snprintf(label, sizeof label, "keyword%zu", r->n_keywords++);
    return json_object_set_new(labels, label, json_pack("[s]", phrase)) < 0 ? CVM_ENOMEM : 0;
}

static int read_keywords(struct custom_rule *r, const json_t *keywords, json_t *labels, char *ret_error,
                         size_t error_size)
{
    const json_t *k;
    size_t i;
    json_array_foreach(keywords, i, k) if (json_is_string(k))
        CVM_TRY(add_keyword(r, json_string_value(k), json_string_length(k), labels, ret_error, error_size));
    for (const char *at = json_string_value(keywords); at && *at;) {
        size_t n = strcspn(at, ",");
        CVM_TRY(add_keyword(r, at, n, labels, ret_error, error_size));
        at += n + (at[n] == ',');
    }
    return 0;
}

static void read_types(struct custom_rule *r, const json_t *types)
{
    const json_t *t;
    size_t i;
    const char *line = json_string_value(types);
    r->calls = r->chats = !json_array_size(types) && !(line && *line);
    json_array_foreach(types, i, t)
    {
        r->calls |= json_is_string(t) && !strcmp(json_string_value(t), "call_transcripts");
        r->chats |= json_is_string(t) && !strcmp(json_string_value(t), "web_transcripts");
    }
    if (line) {
        r->calls |= strstr(line, "call_transcripts") != NULL;
        r->chats |= strstr(line, "web_transcripts") != NULL;
    }
}

int custom_compile(const struct custom_terms *t, const json_t *trigger, struct custom_rule **ret_rule, char *ret_error,
                   size_t error_size)
{
    struct custom_rule *r = calloc(1, sizeof *r);
    json_t *labels = json_object(), *list = NULL;
    int e = r && labels ? 0 : CVM_ENOMEM;
    if (e < 0)
        goto out;
    r->terms = t;
    r->times = 1;
    r->all = !strcmp(cvm_json_str(trigger, "match", "any"), "all");
    snprintf(r->description, sizeof r->description, "%s", cvm_json_str(trigger, "description", ""));
    read_types(r, json_object_get(trigger, "data_types"));
    if ((e = read_keywords(r, json_object_get(trigger, "keywords"), labels, ret_error, error_size)) < 0 ||
        (e = *r->description ? custom_ideas(r, labels) : 0) < 0)
        goto out;
    e = CVM_EINVAL;
    if (!*r->description && !r->n_keywords)
        snprintf(ret_error, error_size, "a custom trigger needs a description, keywords or both");
    else if (!r->n_ideas && !r->n_keywords && !r->n_figures && !r->silent)
        snprintf(ret_error, error_size,
                 "nothing in the description can be looked for; say what customers talk about, or give keywords");
    else if (!r->calls && !r->chats)
        snprintf(ret_error, error_size, "data_types are call_transcripts and web_transcripts");
    else if (!(list = json_pack("{s:O}", "labels", labels)))
        e = CVM_ENOMEM;
    else
        e = phrases_compile(list, &r->words, ret_error, error_size);
    if (e < 0)
        goto out;
    *ret_rule = r;
    r = NULL;
out:
    json_decref(labels);
    json_decref(list);
    custom_rule_free(r);
    return e;
}

void custom_rule_free(struct custom_rule *r)
{
    if (r)
        phrases_free(r->words);
    free(r);
}

unsigned custom_needs(const struct custom_rule *r)
{
    unsigned bits = r->hints;
    for (size_t i = 0; i < r->n_ideas; i++)
        for (size_t g = 0; g < r->idea[i].n; g++)
            if (r->terms->group[r->idea[i].groups[g]].trigger >= 0)
                bits |= 1u << r->terms->group[r->idea[i].groups[g]].trigger;
    return bits;
}

json_t *custom_rule_json(const struct custom_rule *r)
{
    json_t *ideas = json_array(), *keywords = json_array();
    for (size_t i = 0; i < r->n_ideas; i++) {
        const struct idea *x = &r->idea[i];
        json_t *groups = json_array();
        for (size_t g = 0; g < x->n; g++) {
            const json_t *group = json_array_get(json_object_get(r->terms->json, "groups"), x->groups[g]);
            int trigger = r->terms->group[x->groups[g]].trigger;
            json_array_append_new(groups, trigger >= 0
                                              ? json_pack("{s:s, s:s}", "group", cvm_json_str(group, "name", ""),
                                                          "trigger", trigger_names[trigger])
                                              : json_pack("{s:s, s:O}", "group", cvm_json_str(group, "name", ""),
                                                          "says", json_object_get(group, "says")));
        }
        json_array_append_new(ideas, json_pack("{s:s, s:s, s:o}", "from", x->from, "kind",
                                               x->without ? "without"
                                               : x->word  ? "word"
                                                          : "concept",
                                               "any_of", groups));
    }
    for (size_t i = 0; i < r->n_keywords; i++)
        json_array_append_new(keywords, json_string(r->keyword[i]));
    json_t *rule = json_pack("{s:o, s:I, s:o, s:s, s:i, s:b, s:b, s:s}", "ideas", ideas, "ideas_needed",
                             (json_int_t)r->need, "keywords", keywords, "match", r->all ? "all" : "any", "times",
                             r->times, "call_transcripts", r->calls, "web_transcripts", r->chats, "matched_by",
                             "a thesaurus of everyday words: no language model");
    json_t *figures = json_array();
    for (size_t i = 0; i < r->n_figures; i++) {
        const struct figure *x = &r->figure[i];
        json_t *one = json_pack("{s:s}", "field", x->field);
        if (isfinite(x->from))
            json_object_set_new(one, "at_least", json_real(x->from));
        if (isfinite(x->to))
            json_object_set_new(one, "at_most", json_real(x->to));
        json_array_append_new(figures, one);
    }
    json_object_set_new(rule, "figures", figures);
    return rule;
}
