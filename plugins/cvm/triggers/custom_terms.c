/* The thesaurus of custom triggers, ready to be looked up: what people ask for, and how customers say it; see custom.h.
 * Pure; any thread. */
#include "custom_rule.h"
#include <cvm/cvm.h>
#include <cvm/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FORM_LETTERS 4 /* of a word that may be heard with an s behind */

/* The phrases, and each that ends in a plain word also in its other number: "night shift", "night shifts". */
static json_t *with_numbers(const json_t *asks)
{
    json_t *all = json_array();
    const json_t *a;
    size_t i;
    json_array_foreach(asks, i, a)
    {
        const char *s = json_string_value(a);
        size_t n = s ? strlen(s) : 0;
        json_array_append(all, (json_t *)a);
        if (n < 4 || strspn(s, "abcdefghijklmnopqrstuvwxyz ") != n || s[n - 2] == 's')
            continue;
        json_array_append_new(all, s[n - 1] == 's' ? json_stringn(s, n - 1) : json_sprintf("%ss", s));
    }
    return all;
}

/* A word and its form with an s, for "my daughter" is also "my daughter's" and "my daughters"; others as they are. */
static bool has_forms(const char *word, size_t n)
{
    return n >= FORM_LETTERS && strspn(word, "abcdefghijklmnopqrstuvwxyz") >= n && word[n - 1] != 's';
}

static json_t *with_forms(const json_t *says)
{
    json_t *all = json_array();
    const json_t *one;
    size_t i;
    json_array_foreach(says, i, one)
    {
        char text[2048];
        const char *s = json_string_value(one);
        size_t at = 0;
        if (!s || strlen(s) * 3 + 8 > sizeof text) {
            json_array_append(all, (json_t *)(uintptr_t)one);
            continue;
        }
        for (bool group = false; *s; s++) {
            size_t n = strcspn(s, " |()?");
            if (has_forms(s, n))
                at += (size_t)snprintf(text + at, sizeof text - at, group ? "%.*s|%.*ss" : "(%.*s|%.*ss)", (int)n, s,
                                       (int)n, s);
            else
                at += (size_t)snprintf(text + at, sizeof text - at, "%.*s", (int)n, s);
            s += n;
            if (!*s)
                break;
            group = *s == '(' ? true : *s == ')' ? false : group;
            text[at++] = *s;
        }
        json_array_append_new(all, json_stringn(text, at));
    }
    return all;
}

static int load_groups(struct custom_terms *t, json_t *asks, json_t *says, char *ret_error, size_t error_size)
{
    const json_t *groups = json_object_get(t->json, "groups"), *g;
    size_t i;
    json_array_foreach(groups, i, g)
    {
        const char *name = cvm_json_str(g, "name", ""), *trigger = cvm_json_str(g, "trigger", "");
        if (!*name || t->n == GROUPS_MAX || !json_is_array(json_object_get(g, "asks"))) {
            snprintf(ret_error, error_size, "group %zu of the terms has no name, no \"asks\", or is one too many", i);
            return CVM_EINVAL;
        }
        struct group *x = &t->group[t->n++];
        *x = (struct group){name, -1, cvm_json_bool(g, "alone", false), cvm_json_bool(g, "need", false),
                            cvm_json_bool(g, "weak", false)};
        for (int k = 0; k < TRIGGERS; k++)
            if (!strcmp(trigger, trigger_names[k]))
                x->trigger = k;
        json_object_set_new(asks, name, with_numbers(json_object_get(g, "asks")));
        if (json_object_get(g, "says"))
            json_object_set_new(says, name, with_forms(json_object_get(g, "says")));
    }
    return 0;
}

int custom_terms_new(const json_t *json, struct custom_terms **ret_terms, char *ret_error, size_t error_size)
{
    struct custom_terms *t = calloc(1, sizeof *t);
    json_t *asks = json_object(), *says = json_object(), *a = NULL, *s = NULL;
    int e = t && asks && says ? 0 : CVM_ENOMEM;
    if (e == 0) {
        t->json = json_deep_copy(json);
        e = t->json ? load_groups(t, asks, says, ret_error, error_size) : CVM_ENOMEM;
    }
    if (e == 0) {
        a = json_pack("{s:O, s:O}", "classes", json_object_get(t->json, "classes"), "labels", asks);
        s = json_pack("{s:O, s:O}", "classes", json_object_get(t->json, "classes"), "labels", says);
        e = a && s ? phrases_compile(a, &t->asks, ret_error, error_size) : CVM_EINVAL;
    }
    if (e == 0)
        e = phrases_compile(s, &t->says, ret_error, error_size);
    for (size_t l = 0; e == 0 && l < phrases_labels(t->says); l++)
        for (size_t g = 0; g < t->n; g++)
            if (!strcmp(t->group[g].name, phrases_label(t->says, l)))
                t->says_of[l] = (int16_t)g;
    json_decref(asks);
    json_decref(says);
    json_decref(a);
    json_decref(s);
    if (e < 0) {
        custom_terms_free(t);
        return e;
    }
    *ret_terms = t;
    return 0;
}

void custom_terms_free(struct custom_terms *t)
{
    if (!t)
        return;
    phrases_free(t->asks);
    phrases_free(t->says);
    json_decref(t->json);
    free(t);
}
