/* Who a custom trigger fits: what was heard of its ideas and keywords, the figures, the built-in triggers that it
 * names; see custom.h. Pure; any thread. */
#include "custom_rule.h"
#include "explain.h"
#include <cvm/cvm.h>
#include <cvm/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HINT_MIN .12 /* chance of a trigger that is named beside an idea, below which that idea is something else */

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
