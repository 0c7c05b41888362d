/* See custom.h. A description becomes ideas: groups of the thesaurus that it names (alternatives where it says "or"),
 * the words that no group knows, and figures ("over 60", "more than once"). A customer matches who speaks of all ideas;
 * of three and more, one may be missing. */
#include "custom.h"
#include "explain.h"
#include "figures.h"
#include <ctype.h>
#include <cvm/cvm.h>
#include <cvm/json.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GROUPS_MAX 400
#define IDEAS_MAX 8
#define GROUPS_OF 8
#define WORDS_MAX 24
#define FORM_LETTERS 4 /* of a word that may be heard with an s behind */
#define HINT_MIN .12   /* chance of a trigger that is named beside an idea, below which that idea is something else */

struct group {
    const char *name; /* of `json` */
    int trigger;      /* a built-in trigger stands for it; -1: phrases */
    bool alone;       /* it says all: other ideas beside it are its dress */
    bool needed;      /* it narrows what stands before it */
    bool weak;        /* a mood or a relative: no head where anything else is named */
};

struct custom_terms {
    json_t *json;
    struct phrases *asks, *says;
    size_t n;
    struct group group[GROUPS_MAX];
    int16_t says_of[GROUPS_MAX * 2]; /* label of `says` -> group */
};

struct idea {
    char from[96]; /* the words of the description */
    size_t n;
    uint16_t groups[GROUPS_OF];
    bool word; /* one that no group knows: looked for as it is */
    bool in_brackets;
    bool without; /* "who never mention ..": who speaks of it does not match */
    uint16_t at, to;
};

struct custom_rule {
    const struct custom_terms *terms;
    char description[CUSTOM_DESCRIPTION_BYTES_MAX + 1];
    size_t n_ideas, need;
    struct idea idea[IDEAS_MAX];
    struct phrases *words; /* labels "word0".. of ideas, "keyword0".. */
    size_t n_keywords;
    char keyword[CUSTOM_KEYWORDS_MAX][64];
    bool calls, chats, all; /* all: description and keywords both */
    bool silent;            /* who has not been in touch at all */
    int times;              /* sentences that must speak of it */
    size_t n_figures;
    struct figure figure[FIGURES_MAX];
    unsigned hints; /* built-in triggers that the description names beside an idea that says all: not ruled out */
};

/* ---- terms ---- */

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

/* ---- compiling ---- */

static bool is_stop(const struct custom_terms *t, const char *word)
{
    const json_t *stop = json_object_get(t->json, "stop"), *s;
    size_t i;
    json_array_foreach(stop, i, s) if (!strcmp(json_string_value(s), word)) return true;
    return *word == '#' || strlen(word) < 3;
}

static void quote(const struct words *w, size_t from, size_t to, char *ret_text, size_t size)
{
    size_t n = w->word[to].end - w->word[from].start;
    n = n < size ? n : size - 1;
    memcpy(ret_text, w->text + w->word[from].start, n);
    ret_text[n] = 0;
}

static bool bracketed(const struct words *w, size_t at)
{
    int depth = 0;
    for (size_t i = 0; i < w->word[at].start; i++)
        depth += w->text[i] == '(' ? 1 : w->text[i] == ')' ? -1 : 0;
    return depth > 0;
}

/* How two ideas are linked: by "or" or a slash, by "and" alone, by a comma; words of no meaning may lie between. */
enum link { LINK_NONE, LINK_COMMA, LINK_AND, LINK_OR };

static enum link link_of(const struct custom_terms *t, const struct words *w, const struct idea *a,
                         const struct idea *b)
{
    enum link link = LINK_NONE;
    for (size_t i = w->word[a->to].end; i < w->word[b->at].start; i++)
        if (w->text[i] == '/')
            link = LINK_OR;
        else if (w->text[i] == ',' && link == LINK_NONE)
            link = LINK_COMMA;
    for (size_t i = a->to + 1u; i < b->at; i++) {
        if (!is_stop(t, w->word[i].folded))
            return LINK_NONE;
        if (!strcmp(w->word[i].folded, "or"))
            link = LINK_OR;
        else if (!strcmp(w->word[i].folded, "and") && b->at == a->to + 2u)
            link = LINK_AND;
    }
    return link;
}

/* The longest reading of each place; groups that read the same words are alternatives. */
static void find_ideas(struct custom_rule *r, const struct words *w, const struct words_match *m, size_t n,
                       const bool *figures, bool *covered)
{
    for (size_t i = 0; i < n; i++) {
        bool inside = false;
        for (size_t k = 0; k < n; k++)
            inside |=
                k != i && m[k].from <= m[i].from && m[k].to >= m[i].to && m[k].to - m[k].from > m[i].to - m[i].from;
        bool figure = true; /* all that it says is said of a figure */
        for (size_t k = m[i].from; k <= m[i].to; k++)
            figure = figure && figures[k];
        if (inside || figure)
            continue;
        struct idea *x = NULL;
        for (size_t k = 0; k < r->n_ideas; k++)
            if (m[i].from <= r->idea[k].to && m[i].to >= r->idea[k].at)
                x = &r->idea[k];
        if (!x && r->n_ideas < IDEAS_MAX) {
            x = &r->idea[r->n_ideas++];
            *x = (struct idea){.at = m[i].from, .to = m[i].to, .in_brackets = bracketed(w, m[i].from)};
        }
        if (!x)
            continue;
        bool known = false;
        for (size_t g = 0; g < x->n; g++)
            known |= x->groups[g] == m[i].label;
        if (!known && x->n < GROUPS_OF)
            x->groups[x->n++] = m[i].label;
        x->at = m[i].from < x->at ? m[i].from : x->at;
        x->to = m[i].to > x->to ? m[i].to : x->to;
        for (size_t k = m[i].from; k <= m[i].to; k++)
            covered[k] = true;
        quote(w, x->at, x->to, x->from, sizeof x->from);
    }
}

static bool idea_has(const struct custom_rule *r, const struct idea *x, bool alone)
{
    for (size_t g = 0; g < x->n; g++) {
        const struct group *group = &r->terms->group[x->groups[g]];
        if (alone ? group->alone : group->needed || group->trigger >= 0)
            return true;
    }
    return false;
}

static bool is_weak(const struct custom_rule *r, const struct idea *x)
{
    for (size_t g = 0; g < x->n; g++)
        if (!r->terms->group[x->groups[g]].weak)
            return false;
    return true;
}

/* Whether idea `i` is an alternative to the one before it: "A or B", "A, B or C"; "A and B" too where neither narrows,
 * for who lists two subjects wants the customers of both. */
static bool is_alternative(const struct custom_rule *r, const struct words *w, size_t i)
{
    for (size_t k = i; k < r->n_ideas; k++) {
        enum link link = link_of(r->terms, w, &r->idea[k - 1], &r->idea[k]);
        if (link == LINK_OR)
            return true;
        if (link == LINK_AND)
            return !idea_has(r, &r->idea[i - 1], false) && !idea_has(r, &r->idea[k], false);
        if (link == LINK_NONE)
            return false;
    }
    return false;
}

/* Alternatives, what stands in brackets, and what was said before become one idea. */
static void join_ideas(struct custom_rule *r, const struct words *w)
{
    for (size_t i = 1; i < r->n_ideas;) {
        struct idea *a = &r->idea[i - 1], *b = &r->idea[i];
        bool same = false;
        for (size_t k = 0; k < a->n; k++)
            for (size_t g = 0; g < b->n; g++)
                same |= a->groups[k] == b->groups[g];
        if (!same && !b->in_brackets && !is_alternative(r, w, i)) {
            i++;
            continue;
        }
        bool narrower = is_weak(r, b) && !is_weak(r, a); /* "an elderly parent or relative": elderly all the same */
        for (size_t g = 0; g < b->n && a->n < GROUPS_OF && !narrower; g++) {
            bool known = false;
            for (size_t k = 0; k < a->n; k++)
                known |= a->groups[k] == b->groups[g];
            if (!known)
                a->groups[a->n++] = b->groups[g];
        }
        a->to = b->to;
        quote(w, a->at, a->to, a->from, sizeof a->from);
        memmove(b, b + 1, (r->n_ideas - i - 1) * sizeof *b);
        r->n_ideas--;
    }
    for (size_t i = 0; i < r->n_ideas; i++) /* the same twice is one */
        for (size_t k = r->n_ideas; k-- > i + 1;)
            if (r->idea[k].n == 1 && r->idea[i].n >= 1 && r->idea[k].groups[0] == r->idea[i].groups[0]) {
                memmove(&r->idea[k], &r->idea[k + 1], (r->n_ideas - k - 1) * sizeof *r->idea);
                r->n_ideas--;
            }
}

/* A word without its ending, as the beginning of words: "chargers" -> "charger*". */
static void stem_of(const char *word, char *ret_stem, size_t size)
{
    static const char *const endings[] = {"ings", "ing", "ies", "ied", "ed", "es", "s"};
    size_t n = strlen(word);
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        size_t k = strlen(endings[i]);
        if (n >= k + 3 && !strcmp(word + n - k, endings[i])) {
            n -= k;
            break;
        }
    }
    snprintf(ret_stem, size, n >= 4 ? "%.*s*" : "%.*s", (int)n, word);
}

/* Words of time that stand around a figure: "within a year", "in the last three months". */
static bool is_span(const char *word)
{
    static const char *const words[] = {"within",  "last",   "past",    "least", "recent", "two",     "three",
                                        "six",     "twelve", "thirty",  "sixty", "ninety", "week",    "weeks",
                                        "percent", "per",    "monthly", "times", "amount", "average", "total",
                                        "spent",   "spend",  "paid",    "pay",   "pays",   "have"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (!strcmp(word, words[i]))
            return true;
    return false;
}

static void word_ideas(struct custom_rule *r, const struct words *w, const bool *covered, json_t *labels)
{
    if (r->n_ideas)
        return; /* what the thesaurus knows says enough; words around it are its dress */
    for (size_t i = 0; i < w->n && r->n_ideas < IDEAS_MAX; i++) {
        char stem[WORDS_BYTES_MAX + 2], label[16];
        if (covered[i] || (r->n_figures && is_span(w->word[i].folded)) || is_stop(r->terms, w->word[i].folded))
            continue;
        struct idea *x = &r->idea[r->n_ideas];
        *x = (struct idea){.word = true, .at = (uint16_t)i, .to = (uint16_t)i};
        snprintf(x->from, sizeof x->from, "%s", w->word[i].folded);
        stem_of(w->word[i].folded, stem, sizeof stem);
        snprintf(label, sizeof label, "word%zu", r->n_ideas++);
        json_object_set_new(labels, label, json_pack("[s]", stem));
    }
}

/* "more than once", "repeatedly". */
static void read_times(struct custom_rule *r, const struct words *w, const bool *covered)
{
    static const struct {
        const char *word;
        int times;
    } often[] = {{"twice", 2}, {"repeatedly", 2}, {"several", 2}, {"multiple", 2}, {"thrice", 3}, {"repeated", 2}};
    for (size_t i = 0; i < w->n; i++) {
        const char *word = w->word[i].folded;
        for (size_t k = 0; k < sizeof often / sizeof *often; k++)
            if (!covered[i] && !strcmp(word, often[k].word))
                r->times = often[k].times;
        if (!covered[i] && !strcmp(word, "once") && i >= 2 && !strcmp(w->word[i - 1].folded, "than"))
            r->times = 2;
    }
}

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

static void drop_idea(struct custom_rule *r, size_t i)
{
    memmove(&r->idea[i], &r->idea[i + 1], (r->n_ideas - i - 1) * sizeof *r->idea);
    r->n_ideas--;
}

static bool is_trigger(const struct custom_rule *r, const struct idea *x)
{
    for (size_t g = 0; g < x->n; g++)
        if (r->terms->group[x->groups[g]].trigger >= 0)
            return true;
    return false;
}

/* Built-in triggers, the first idea beside them, and what narrows it count; more words of a description are its dress.
 * An idea that says all stands alone. */
static void keep_heads(struct custom_rule *r)
{
    bool keep[IDEAS_MAX] = {false}, headed = false;
    for (size_t i = 0; i < r->n_ideas && !headed; i++)
        headed = keep[i] = !r->idea[i].without && idea_has(r, &r->idea[i], true);
    bool alone = headed, strong = false;
    for (size_t i = 0; i < r->n_ideas; i++)
        strong |= !r->idea[i].without && !idea_has(r, &r->idea[i], false) && !is_weak(r, &r->idea[i]);
    for (size_t i = 0; i < r->n_ideas; i++) {
        keep[i] |= r->idea[i].without;
        if (alone || r->idea[i].without)
            continue;
        bool counts = idea_has(r, &r->idea[i], false);
        bool head = !headed && (!strong || !(counts || is_weak(r, &r->idea[i])));
        keep[i] = counts || head;
        headed |= head && !is_trigger(r, &r->idea[i]);
    }
    for (size_t i = r->n_ideas; i-- > 0;) {
        for (size_t g = 0; !keep[i] && g < r->idea[i].n; g++)
            if (r->terms->group[r->idea[i].groups[g]].trigger >= 0)
                r->hints |= 1u << r->terms->group[r->idea[i].groups[g]].trigger;
        if (!keep[i])
            drop_idea(r, i);
    }
}

static bool begins_with(const char *word, const char *const list[])
{
    for (size_t i = 0; list[i]; i++)
        if (!strncmp(word, list[i], strlen(list[i])))
            return true;
    return false;
}

/* "have never complained about", "without mentioning": a denied word of speech before an idea turns it round. That
 * something does not work, or was not asked for, is what customers say and stays as it is. */
static void turn_round(struct custom_rule *r, const struct words *w)
{
    static const char *const no[] = {"not", "never", "without", "dont", "didnt", "havent", "hasnt", "doesnt", NULL};
    static const char *const speech[] = {"mention", "complain", "speak", "spoke", "talk",  "raise", "contact",
                                         "call",    "ring",     "rung",  "rang",  "touch", "chat",  NULL};
    size_t from = 0;
    for (size_t i = 0; i < r->n_ideas; from = r->idea[i].to + 1u, i++) {
        for (size_t k = from; k < r->idea[i].at; k++)
            for (size_t v = k + 1; begins_with(w->word[k].folded, no) && v <= k + 3 && v < r->idea[i].at; v++)
                r->idea[i].without |= begins_with(w->word[v].folded, speech);
    }
    for (size_t k = 0; !r->n_ideas && k + 1 < w->n; k++)
        for (size_t v = k + 1; begins_with(w->word[k].folded, no) && v <= k + 3 && v < w->n; v++)
            r->silent |= begins_with(w->word[v].folded, speech);
}

static int read_description(struct custom_rule *r, json_t *labels)
{
    struct words w;
    struct words_match *m = calloc(WORDS_MATCHES_MAX, sizeof *m);
    bool covered[WORDS_TOKENS_MAX] = {false}, figures[WORDS_TOKENS_MAX] = {false};
    words_init(&w);
    int e = m ? words_read(&w, r->description, strlen(r->description)) : CVM_ENOMEM;
    if (e == 0) {
        for (size_t i = 0; i < w.n; i++)
            w.word[i].sentence = 0; /* a description is one statement */
        size_t n = phrases_match(r->terms->asks, &w, m, WORDS_MATCHES_MAX);
        r->n_figures = figures_read(&w, figures, r->figure);
        memcpy(covered, figures, sizeof covered);
        find_ideas(r, &w, m, n, figures, covered);
        read_times(r, &w, covered);
        turn_round(r, &w);
        join_ideas(r, &w);
        keep_heads(r);
        if (!r->silent)
            word_ideas(r, &w, covered, labels);
        size_t said = r->n_ideas;
        for (size_t i = 0; i < r->n_ideas; i++)
            said -= r->idea[i].without;
        r->need = said > 2 ? said - 1 : said;
        if (r->n_ideas && r->idea[0].word)
            r->need = (r->n_ideas + 1) / 2;
    }
    words_fini(&w);
    free(m);
    return e;
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
        (e = *r->description ? read_description(r, labels) : 0) < 0)
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

/* ---- matching ---- */

struct hits {
    unsigned ideas;    /* bits */
    unsigned keywords; /* how many different ones */
    int times;         /* sentences with one of the ideas */
    uint64_t seen;     /* keywords */
};

static void sentence_of(const struct words *w, size_t at, size_t *ret_from, size_t *ret_to)
{
    size_t a = at, b = at;
    while (a && w->word[a - 1].sentence == w->word[at].sentence)
        a--;
    while (b + 1 < w->n && w->word[b + 1].sentence == w->word[at].sentence)
        b++;
    *ret_from = w->word[a].start;
    *ret_to = w->word[b].end;
}

/* Which ideas a group of the thesaurus belongs to. */
static unsigned ideas_of(const struct custom_rule *r, int group)
{
    unsigned bits = 0;
    for (size_t i = 0; i < r->n_ideas; i++)
        for (size_t g = 0; g < r->idea[i].n; g++)
            if (r->idea[i].groups[g] == group)
                bits |= 1u << i;
    return bits;
}

static void hear(const struct custom_rule *r, const struct conversation *c, size_t base, struct words *w,
                 struct words_match *m, struct hits *h, struct verdict *v)
{
    uint32_t last = UINT32_MAX;
    for (int own = 0; own < 2; own++) {
        if (own ? !r->n_keywords && !(r->n_ideas && r->idea[0].word) : !r->n_ideas)
            continue;
        const struct phrases *p = own ? r->words : r->terms->says;
        size_t n = phrases_match(p, w, m, WORDS_MATCHES_MAX), from, to;
        for (size_t i = 0; i < n; i++) {
            const char *label = phrases_label(p, m[i].label);
            unsigned bits = 0;
            if (!own)
                bits = ideas_of(r, r->terms->says_of[m[i].label]);
            else if (!strncmp(label, "word", 4))
                bits = 1u << strtoul(label + 4, NULL, 10);
            else
                h->seen |= UINT64_C(1) << strtoul(label + 7, NULL, 10);
            if (!bits && !own)
                continue;
            h->ideas |= bits;
            if (w->word[m[i].from].sentence != last) {
                last = w->word[m[i].from].sentence;
                h->times++;
                sentence_of(w, m[i].from, &from, &to);
                explain_passage(v, c, base + from, base + to);
            }
        }
    }
}

static int bits_of(uint64_t v)
{
    return __builtin_popcountll(v);
}

/* Words of the rule that were heard, for the reasoning. */
static void say_why(const struct custom_rule *r, const struct hits *best, bool by_idea, bool by_word, struct verdict *v)
{
    size_t at = 0, size = sizeof v->reasoning;
    if (!by_word && (!by_idea || !best->ideas)) {
        snprintf(v->reasoning, size, by_idea ? "has said nothing of the kind" : "the figures are as described");
        return;
    }
    at += (size_t)snprintf(v->reasoning, size, "speaks of ");
    for (size_t i = 0; by_idea && i < r->n_ideas && at < size; i++)
        if (best->ideas & 1u << i)
            at += (size_t)snprintf(v->reasoning + at, size - at, "%s\"%s\"", at > 10 ? " and " : "", r->idea[i].from);
    for (size_t i = 0; by_word && i < r->n_keywords && at < size; i++)
        if (best->seen & UINT64_C(1) << i)
            at += (size_t)snprintf(v->reasoning + at, size - at, "%sthe keyword \"%s\"", at > 10 ? " and " : "",
                                   r->keyword[i]);
    if (at < size && by_idea)
        snprintf(v->reasoning + at, size - at, " (by a thesaurus of everyday words)");
}

int custom_match(const struct custom_rule *r, const struct case_file *c, const struct verdict builtin[TRIGGERS],
                 struct verdict *ret_verdict)
{
    struct words w;
    struct words_match *m = malloc(WORDS_MATCHES_MAX * sizeof *m);
    struct hits best = {0}, whole = {0};
    unsigned verdicts = 0;
    size_t n_heard = 0;
    int e = m ? 0 : CVM_ENOMEM;
    words_init(&w);
    memset(ret_verdict, 0, sizeof *ret_verdict);
    for (int t = 0; t < TRIGGERS; t++)
        for (size_t i = 0; i < r->n_ideas; i++)
            for (size_t g = 0; g < r->idea[i].n; g++)
                if (r->terms->group[r->idea[i].groups[g]].trigger == t && builtin && builtin[t].matches)
                    verdicts |= 1u << i;
    for (size_t i = 0; e == 0 && i < c->n_conversations; i++) {
        const struct conversation *x = &c->conversations[i];
        struct hits h = {.ideas = verdicts};
        bool agent;
        size_t from, end;
        if (x->web ? !r->chats : !r->calls)
            continue;
        n_heard++;
        for (size_t at = 0; e == 0 && (end = reader_turn(x->text, x->len, at, &agent, &from)); at = end)
            if (!agent && (e = words_read(&w, x->text + from, end - from)) == 0)
                hear(r, x, from, &w, m, &h, ret_verdict);
        if (bits_of(h.ideas) + bits_of(h.seen) > bits_of(best.ideas) + bits_of(best.seen))
            best = h;
        whole.ideas |= h.ideas;
        whole.seen |= h.seen;
        whole.times += h.times;
    }
    best.seen = whole.seen;
    best.ideas |= verdicts;
    unsigned without = 0; /* ideas that must not have been heard at all */
    for (size_t i = 0; i < r->n_ideas; i++)
        without |= r->idea[i].without ? 1u << i : 0;
    size_t said = r->n_ideas - (size_t)bits_of(without);
    bool idea = r->n_ideas && !((whole.ideas | verdicts) & without) &&
                (size_t)bits_of(best.ideas & ~without) >= r->need &&
                (!said || whole.times >= r->times || !(best.ideas & ~verdicts));
    idea = idea || (r->silent && !n_heard);
    for (int t = 0; t < TRIGGERS && builtin; t++)
        idea = idea && (!(r->hints & 1u << t) || builtin[t].confidence >= HINT_MIN);
    bool word = r->n_keywords && whole.seen;
    bool both = r->n_ideas && r->n_keywords && r->all;
    ret_verdict->matches =
        (both ? idea && word : idea || word || (r->n_figures && !r->n_ideas && !r->n_keywords && !r->silent)) &&
        figures_fit(r->figure, r->n_figures, c->facts);
    ret_verdict->rules = ret_verdict->matches;
    ret_verdict->confidence = !ret_verdict->matches                       ? 0
                              : word                                      ? .9
                              : (size_t)bits_of(best.ideas) == r->n_ideas ? .75
                                                                          : .6;
    if (ret_verdict->matches)
        say_why(r, &best, idea, word, ret_verdict);
    else
        ret_verdict->n_evidence = 0;
    words_fini(&w);
    free(m);
    return e;
}
