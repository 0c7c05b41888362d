/* From a description to ideas: what it names, what is joined to what, which of it counts, and what it denies; see
 * custom_rule.h. Pure; any thread. */
#include "custom_rule.h"
#include <cvm/cvm.h>
#include <cvm/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

int custom_ideas(struct custom_rule *r, json_t *labels)
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
