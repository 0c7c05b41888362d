/* Compiling words: a table of words, a tree of phrases over word numbers, and labels at the tree's nodes. */
#include "vocabulary.h"
#include <cvm/cvm.h>
#include <stdio.h>
#include <stdlib.h>

#define NODES_MAX 16000
#define TABLE_SIZE 16384 /* power of two, about twice the words; twice that for the edges */
#define SIGNAL_SLOTS (sizeof((struct vocabulary *)NULL)->signal_at) /* four times as many as signals */
#define WORD_GAP 1                                                  /* word number of "*" */
#define WORD_NUMBER 2                                               /* word number of "<number>" */
#define WORD_FIRST 3
#define ROOT_AS_WRITTEN 1 /* node where phrases of words as they are written begin; 0 is that of the others */

struct edge {
    uint32_t node, word, to; /* to 0: empty */
};

struct vocabulary_words {
    char *bytes;
    size_t n_bytes, bytes_size;
    uint32_t *at; /* of a word number in `bytes` */
    uint32_t *canonical;
    uint32_t n;
    uint32_t table[TABLE_SIZE];
    struct edge edges[TABLE_SIZE * 2];
    uint32_t n_nodes, n_edges;
    uint32_t *node_label; /* first label + 1 */
    bool *node_goes_on;   /* has an edge for a word */
};

struct builder {
    struct vocabulary *v;
    char *error;
    size_t error_size;
    int failed;
    int section; /* the domain section that is being added, or was last; -1: none */
};

static uint32_t hash_bytes(const char *s, size_t len)
{
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < len; i++)
        h = (h ^ (unsigned char)s[i]) * 16777619u;
    return h ^ h >> 15;
}

static int fail(struct builder *b, int error, const char *what, const char *which)
{
    if (!b->failed)
        snprintf(b->error, b->error_size, "%s: %s", what, which);
    b->failed = error;
    return error;
}

/* ---- words ------------------------------------------------------------------------------------------------------- */

static uint32_t find_word(const struct vocabulary_words *w, const char *word, size_t len)
{
    for (uint32_t i = hash_bytes(word, len);; i++) {
        uint32_t n = w->table[i & (TABLE_SIZE - 1)];
        if (!n)
            return 0;
        const char *known = w->bytes + w->at[n];
        if (!memcmp(known, word, len) && !known[len])
            return n;
    }
}

static uint32_t add_word(struct builder *b, const char *word, size_t len)
{
    struct vocabulary_words *w = b->v->words;
    uint32_t n = len <= TEXT_WORD_BYTES_MAX ? find_word(w, word, len) : 0;
    if (n)
        return n;
    if (w->n == VOCABULARY_WORDS_MAX || len > TEXT_WORD_BYTES_MAX ||
        w->n_bytes + len + 1 + TEXT_WORD_BYTES_MAX > w->bytes_size) {
        fail(b, CVM_ELIMIT, "too many or too long words, at", word);
        return 0;
    }
    n = w->n++;
    w->at[n] = (uint32_t)w->n_bytes;
    w->canonical[n] = n;
    memcpy(w->bytes + w->n_bytes, word, len);
    w->bytes[w->n_bytes + len] = 0;
    w->n_bytes += len + 1;
    uint32_t i = hash_bytes(word, len);
    while (w->table[i & (TABLE_SIZE - 1)])
        i++;
    w->table[i & (TABLE_SIZE - 1)] = n;
    return n;
}

/* Endings that a listed word may carry in a message. Only for words of four letters and more. */
static uint32_t find_inflected(const struct vocabulary_words *w, const char *word, size_t len)
{
    static const struct {
        const char *ending, *instead;
    } endings[] = {{"s", ""},    {"es", ""},   {"ed", ""},   {"ed", "e"},  {"d", ""}, {"ing", ""},
                   {"ing", "e"}, {"ies", "y"}, {"ied", "y"}, {"ings", ""}, {"n", ""}};
    char stem[TEXT_WORD_BYTES_MAX + 4];
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        size_t e = strlen(endings[i].ending), more = strlen(endings[i].instead);
        if (len < e + 3 || memcmp(word + len - e, endings[i].ending, e))
            continue;
        size_t cut = len - e;
        memcpy(stem, word, cut);
        memcpy(stem + cut, endings[i].instead, more + 1);
        uint32_t n = find_word(w, stem, cut + more);
        if (!n && !more && cut >= 4 && stem[cut - 1] == stem[cut - 2]) /* "dropping", "topped" */
            n = find_word(w, stem, cut - 1);
        if (n)
            return n;
    }
    return 0;
}

uint32_t vocabulary_lookup(const void *vocabulary, const char *word, size_t len)
{
    const struct vocabulary_words *w = ((const struct vocabulary *)vocabulary)->words;
    uint32_t n = find_word(w, word, len);
    if (!n && len >= 4 && word[0] >= 'a' && word[0] <= 'z')
        n = find_inflected(w, word, len);
    return n ? w->canonical[n] : 0;
}

/* ---- phrases ----------------------------------------------------------------------------------------------------- */

static uint32_t edge_slot(const struct vocabulary_words *w, uint32_t node, uint32_t word)
{
    uint32_t i = (node * 2654435761u) ^ (word * 2246822519u);
    i ^= i >> 15;
    for (;; i++) {
        const struct edge *e = &w->edges[i & (TABLE_SIZE * 2 - 1)];
        if (!e->to || (e->node == node && e->word == word))
            return i & (TABLE_SIZE * 2 - 1);
    }
}

static uint32_t add_edge(struct builder *b, uint32_t node, uint32_t word)
{
    struct vocabulary_words *w = b->v->words;
    struct edge *e = &w->edges[edge_slot(w, node, word)];
    if (e->to)
        return e->to;
    if (w->n_nodes == NODES_MAX || w->n_edges == NODES_MAX) {
        fail(b, CVM_ELIMIT, "too many phrases", "");
        return 0;
    }
    *e = (struct edge){.node = node, .word = word, .to = w->n_nodes++};
    w->n_edges++;
    if (word != WORD_GAP)
        w->node_goes_on[node] = true;
    return e->to;
}

static void add_label(struct builder *b, uint32_t node, enum vocabulary_group group, size_t index, int weight)
{
    struct vocabulary *v = b->v;
    for (uint32_t l = v->words->node_label[node]; l; l = v->labels[l - 1].next)
        if (v->labels[l - 1].group == group && v->labels[l - 1].index == index)
            return;
    if (v->n_labels == v->labels_size) {
        size_t size = v->labels_size ? v->labels_size * 2 : 1024;
        struct vocabulary_label *labels = realloc(v->labels, size * sizeof *labels);
        if (!labels || size > VOCABULARY_PHRASES_MAX * 4) {
            v->labels = labels ? labels : v->labels;
            fail(b, CVM_ELIMIT, "too many phrases", "");
            return;
        }
        v->labels = labels;
        v->labels_size = size;
    }
    v->labels[v->n_labels] = (struct vocabulary_label){
        .next = v->words->node_label[node], .group = (uint8_t)group, .index = (uint8_t)index, .weight = (int8_t)weight};
    v->words->node_label[node] = (uint32_t)++v->n_labels;
}

/* One alternative of what stands between two blanks of a phrase: usually one word. Returns the node reached. */
static uint32_t add_part(struct builder *b, struct text *text, uint32_t node, const char *part, bool as_written)
{
    if (!strcmp(part, "*"))
        return add_edge(b, node, WORD_GAP);
    if (!strcmp(part, "<number>"))
        return add_edge(b, node, WORD_NUMBER);
    text_read(text, part, NULL, NULL);
    /* "4g" and "9mobile" are cut where nothing knows them whole, and must be known whole. */
    if (text->n > 1 && (text->tokens[0].flags & TOKEN_GLUED))
        return add_edge(b, node, add_word(b, part, strlen(part)));
    for (size_t i = 0; i < text->n && !b->failed; i++) {
        uint32_t word = add_word(b, text_word(text, i), text->tokens[i].len);
        node = add_edge(b, node, as_written ? word : b->v->words->canonical[word]);
    }
    return node;
}

struct phrase {
    const char *parts[VOCABULARY_PHRASE_WORDS_MAX]; /* each with its length */
    size_t lens[VOCABULARY_PHRASE_WORDS_MAX];
    size_t n;
    enum vocabulary_group group;
    size_t index;
    int weight;
};

/* Goes on from `node` with part `i` of the phrase and the rest, for each of its alternatives. As deep as the phrase is
 * long. */
static void add_parts(struct builder *b, const struct phrase *p, size_t i, uint32_t node)
{
    static struct text text; /* large; the loop thread alone compiles */
    char part[TEXT_WORD_BYTES_MAX + 1];
    if (i == p->n) {
        add_label(b, node, p->group, p->index, p->weight);
        return;
    }
    for (const char *s = p->parts[i], *end = s + p->lens[i]; s < end && !b->failed; s++) {
        size_t len = strcspn(s, "|");
        len = len < (size_t)(end - s) ? len : (size_t)(end - s);
        if (len > TEXT_WORD_BYTES_MAX) {
            fail(b, CVM_ELIMIT, "a word is too long, at", s);
            return;
        }
        memcpy(part, s, len);
        part[len] = 0;
        uint32_t to = add_part(b, &text, node, part, p->group == GROUP_LANGUAGE);
        if (!b->failed && to != node)
            add_parts(b, p, i + 1, to);
        s += len;
    }
}

/* One phrase: words between blanks, "one|two" for one of several; "*" stands for up to three words, "<number>" for a
 * number. */
static void add_phrase(struct builder *b, const char *phrase, size_t len, enum vocabulary_group group, size_t index,
                       int weight)
{
    struct phrase p = {.group = group, .index = index, .weight = weight};
    for (size_t i = 0; i < len; i += p.lens[p.n - 1]) {
        while (i < len && phrase[i] == ' ')
            i++;
        size_t n = 0;
        while (i + n < len && phrase[i + n] != ' ')
            n++;
        if (!n)
            break;
        if (p.n == VOCABULARY_PHRASE_WORDS_MAX) {
            fail(b, CVM_ELIMIT, "a phrase is too long", phrase);
            return;
        }
        p.parts[p.n] = phrase + i;
        p.lens[p.n++] = n;
    }
    if (p.n && !b->failed)
        add_parts(b, &p, 0, group == GROUP_LANGUAGE ? ROOT_AS_WRITTEN : 0);
}

/* Phrases: "a, b c, d" or ["a", "b c"]. */
static void add_phrases(struct builder *b, const json_t *phrases, enum vocabulary_group group, size_t index, int weight)
{
    size_t i;
    json_t *one;
    json_array_foreach((json_t *)(uintptr_t)phrases, i, one) add_phrases(b, one, group, index, weight);
    if (!json_is_string(phrases))
        return;
    for (const char *s = json_string_value(phrases); *s && !b->failed;) {
        size_t len = strcspn(s, ",");
        add_phrase(b, s, len, group, index, weight);
        s += len + (s[len] == ',');
    }
}

/* Weighted phrases: {"3": phrases, "1": phrases}, or plain phrases of weight `usual`. */
static void add_weighted(struct builder *b, const json_t *words, enum vocabulary_group group, size_t index, int usual)
{
    const char *key;
    json_t *phrases;
    if (!json_is_object(words)) {
        add_phrases(b, words, group, index, usual);
        return;
    }
    json_object_foreach((json_t *)(uintptr_t)words, key, phrases)
    {
        long weight = strtol(key, NULL, 10);
        if (weight < 0 || weight > 100)
            fail(b, CVM_EINVAL, "a weight must be 0 to 100", key);
        add_phrases(b, phrases, group, index, (int)weight);
    }
}

/* ---- domains and intents ------------------------------------------------------------------------------------------
 */

int vocabulary_domain(const struct vocabulary *v, const char *name)
{
    for (size_t i = 0; i < v->n_domains; i++)
        if (!strcmp(v->domains[i], name))
            return (int)i;
    return -1;
}

/* Where the signal stands in signal_at, or would. */
static size_t signal_slot(const struct vocabulary *v, const char *name)
{
    size_t slot = hash_bytes(name, strlen(name)) % SIGNAL_SLOTS;
    while (v->signal_at[slot] && strcmp(v->signals[v->signal_at[slot] - 1], name) != 0)
        slot = (slot + 1) % SIGNAL_SLOTS;
    return slot;
}

uint64_t vocabulary_signal(const struct vocabulary *v, const char *name)
{
    uint8_t at = v->signal_at[signal_slot(v, name)];
    return at ? UINT64_C(1) << (at - 1) : 0;
}

static int signal_index(struct builder *b, const char *name)
{
    struct vocabulary *v = b->v;
    size_t slot = signal_slot(v, name);
    if (v->signal_at[slot])
        return v->signal_at[slot] - 1;
    if (v->n_signals == VOCABULARY_SIGNALS_MAX)
        return fail(b, CVM_ELIMIT, "too many signals, at", name);
    v->signals[v->n_signals] = name;
    v->signal_at[slot] = (uint8_t)++v->n_signals;
    return (int)v->n_signals - 1;
}

static int intent_index(struct builder *b, size_t domain, const char *name)
{
    struct vocabulary *v = b->v;
    for (size_t i = 0; i < v->n_intents; i++)
        if (v->intents[i].domain == domain && !strcmp(v->intents[i].name, name))
            return (int)i;
    if (v->n_intents == VOCABULARY_INTENTS_MAX)
        return fail(b, CVM_ELIMIT, "too many intents, at", name);
    v->intents[v->n_intents] = (struct vocabulary_intent){.name = name, .domain = (uint8_t)domain, .priority = 1};
    return (int)v->n_intents++;
}

static int priority_index(const char *name)
{
    static const char *const names[] = {"LOW", "MEDIUM", "HIGH", "CRITICAL"};
    for (int i = 0; name && i < 4; i++)
        if (!strcmp(names[i], name))
            return i;
    return -1;
}

/* A leaf: {"signals": ["a", "b"], "words": phrases}, or phrases alone. */
static void add_leaf(struct builder *b, size_t intent, const char *name, const json_t *leaf)
{
    struct vocabulary *v = b->v;
    size_t at = 0, i;
    json_t *signal;
    while (at < v->n_leaves && !(v->leaves[at].intent == intent && !strcmp(v->leaves[at].name, name)))
        at++;
    if (at == VOCABULARY_LEAVES_MAX) {
        fail(b, CVM_ELIMIT, "too many leaves, at", name);
        return;
    }
    if (at == v->n_leaves)
        v->leaves[v->n_leaves++] = (struct vocabulary_leaf){.name = name, .intent = (uint8_t)intent};
    json_array_foreach(json_object_get(leaf, "signals"), i, signal)
    {
        int s = json_is_string(signal) ? signal_index(b, json_string_value(signal)) : -1;
        if (s >= 0)
            v->leaves[at].signals |= UINT64_C(1) << s;
    }
    add_weighted(b, json_is_object(leaf) ? json_object_get(leaf, "words") : leaf, GROUP_LEAF, at, 1);
}

static void add_intent(struct builder *b, size_t domain, const char *name, const json_t *section)
{
    const char *key;
    json_t *value;
    int at = intent_index(b, domain, name);
    if (at < 0)
        return;
    struct vocabulary_intent *intent = &b->v->intents[at];
    int priority = priority_index(json_string_value(json_object_get(section, "priority")));
    if (priority >= 0)
        intent->priority = (uint8_t)priority;
    else if (json_object_get(section, "priority"))
        fail(b, CVM_EINVAL, "a priority is LOW, MEDIUM, HIGH or CRITICAL, unlike that of", name);
    if (json_is_integer(json_object_get(section, "base")))
        intent->base = (int8_t)json_integer_value(json_object_get(section, "base"));
    json_object_foreach(json_object_get(section, "signals"), key, value)
    {
        int s = signal_index(b, key);
        json_int_t weight = json_integer_value(value);
        if (!json_is_integer(value) || weight < -100 || weight > 100)
            fail(b, CVM_EINVAL, "the weight of a signal must be a number from -100 to 100", key);
        else if (s >= 0)
            intent->weights[s] = (int8_t)weight;
    }
    add_weighted(b, json_is_object(section) ? json_object_get(section, "words") : section, GROUP_INTENT, (size_t)at, 3);
    json_t *leaves = json_object_get(section, "leaves");
    json_object_foreach(leaves, key, value) add_leaf(b, (size_t)at, key, value);
    size_t i;
    json_array_foreach(leaves, i, value) if (json_is_string(value))
        add_leaf(b, (size_t)at, json_string_value(value), NULL);
}

static void add_domain(struct builder *b, const char *name, const json_t *section)
{
    struct vocabulary *v = b->v;
    const char *key;
    json_t *value;
    int at = vocabulary_domain(v, name);
    if (at < 0) {
        if (v->n_domains == VOCABULARY_DOMAINS_MAX) {
            fail(b, CVM_ELIMIT, "too many domains, at", name);
            return;
        }
        at = (int)v->n_domains++;
        v->domains[at] = v->labels_of[at] = name;
    }
    if (json_is_string(json_object_get(section, "label")) && v->labels_of[at] == v->domains[at])
        v->labels_of[at] = json_string_value(json_object_get(section, "label"));
    v->taught[at] = v->taught[at] || json_is_true(json_object_get(section, "taught"));
    add_weighted(b, json_object_get(section, "words"), GROUP_DOMAIN, (size_t)at, 3);
    json_t *intents = json_object_get(section, "intents");
    size_t i;
    json_object_foreach(intents, key, value) add_intent(b, (size_t)at, key, value);
    json_array_foreach(intents, i, value)
    {
        const char *intent =
            json_is_string(value) ? json_string_value(value) : json_string_value(json_object_get(value, "name"));
        if (intent)
            add_intent(b, (size_t)at, intent, value);
    }
}

/* ---- the groups with fixed or free names --------------------------------------------------------------------------
 */

static void add_fixed(struct builder *b, const json_t *section, enum vocabulary_group group, const char *const *names,
                      size_t n)
{
    for (size_t i = 0; i < n; i++)
        add_weighted(b, json_object_get(section, names[i]), group, i, 1);
}

static void add_named(struct builder *b, const json_t *section, enum vocabulary_group group, const char **names,
                      size_t max, size_t *n)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)section, key, value)
    {
        if (*n == max) {
            fail(b, CVM_ELIMIT, "too many names, at", key);
            return;
        }
        names[*n] = key;
        add_weighted(b, value, group, (*n)++, 1);
    }
}

/* Spellings that stand for another word: {"recharge": "rechage, richarge"}. First, so that phrases know them. */
static void add_variants(struct builder *b, const json_t *section)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)section, key, value)
    {
        uint32_t word = add_word(b, key, strlen(key));
        for (const char *s = json_string_value(value); s && *s && !b->failed;) {
            s += strspn(s, " ");
            size_t len = strcspn(s, ",");
            uint32_t variant = add_word(b, s, len);
            b->v->words->canonical[variant] = word;
            s += len + (s[len] == ',');
        }
    }
}

static void compile(struct builder *b, const json_t *base, const json_t *domains)
{
    static const char *const tones[TONES] = {"very_negative", "negative", "positive"};
    static const char *const risks[RISKS] = {"legal", "churn", "security"};
    static const char *const units[UNITS] = {"size", "other", "naira", "foreign", "thousand", "million"};
    struct vocabulary *v = b->v;
    const char *key;
    json_t *value;
    size_t i;
    add_variants(b, json_object_get(base, "variants"));
    json_object_foreach(json_object_get(base, "domains"), key, value) add_domain(b, key, value);
    json_array_foreach((json_t *)(uintptr_t)domains, i, value)
    {
        const char *name = json_string_value(json_object_get(value, "name"));
        if (!name || value == base || json_object_get(value, "words") == base)
            continue;
        b->section = (int)i;
        add_domain(b, name, value);
        if (b->failed)
            return;
    }
    add_weighted(b, json_object_get(base, "hide"), GROUP_DOMAIN, VOCABULARY_NO_DOMAIN, 0);
    json_object_foreach(json_object_get(base, "signals"), key, value)
    {
        int s = signal_index(b, key);
        if (s >= 0)
            add_weighted(b, value, GROUP_SIGNAL, (size_t)s, 1);
    }
    add_fixed(b, json_object_get(base, "tones"), GROUP_TONE, tones, TONES);
    add_fixed(b, json_object_get(base, "risks"), GROUP_RISK, risks, RISKS);
    add_fixed(b, json_object_get(base, "units"), GROUP_UNIT, units, UNITS);
    add_named(b, json_object_get(base, "networks"), GROUP_NETWORK, v->networks, 32, &v->n_networks);
    add_named(b, json_object_get(base, "discos"), GROUP_DISCO, v->discos, 32, &v->n_discos);
    add_named(b, json_object_get(base, "languages"), GROUP_LANGUAGE, v->languages, 16, &v->n_languages);
}

/* *ret_faulty is the section by which it failed, -1: by none of them. */
static int build(const json_t *base, const json_t *domains, struct vocabulary **ret_vocabulary, char *ret_error,
                 size_t error_size, int *ret_faulty)
{
    struct vocabulary *v = calloc(1, sizeof *v);
    struct vocabulary_words *w = v ? calloc(1, sizeof *w) : NULL;
    struct builder b = {.v = v, .error = ret_error, .error_size = error_size, .section = -1};
    *ret_faulty = -1;
    if (w) {
        v->words = w;
        w->bytes_size = VOCABULARY_WORDS_MAX * 12;
        w->bytes = calloc(1, w->bytes_size);
        w->at = calloc(VOCABULARY_WORDS_MAX, sizeof *w->at);
        w->canonical = calloc(VOCABULARY_WORDS_MAX, sizeof *w->canonical);
        w->node_label = calloc(NODES_MAX, sizeof *w->node_label);
        w->node_goes_on = calloc(NODES_MAX, sizeof *w->node_goes_on);
        v->keep = json_pack("[OO*]", base, domains);
    }
    if (!w || !w->bytes || !w->at || !w->canonical || !w->node_label || !w->node_goes_on || !v->keep) {
        vocabulary_free(v);
        snprintf(ret_error, error_size, "vocabulary: out of memory");
        return CVM_ENOMEM;
    }
    w->n = WORD_FIRST;
    w->n_bytes = 1;
    w->n_nodes = ROOT_AS_WRITTEN + 1;
    compile(&b, base, domains);
    if (b.failed) {
        *ret_faulty = b.section;
        vocabulary_free(v);
        return b.failed;
    }
    *ret_vocabulary = v;
    return CVM_OK;
}

int vocabulary_new(const json_t *base, const json_t *domains, struct vocabulary **ret_vocabulary, char *ret_error,
                   size_t error_size)
{
    char text[256];
    int faulty;
    *ret_error = 0;
    int error = build(base, domains, ret_vocabulary, text, sizeof text, &faulty);
    json_t *rest = error < 0 && faulty >= 0 ? json_copy((json_t *)(uintptr_t)domains) : NULL;
    while (rest && error < 0 && faulty >= 0) {
        const char *name = json_string_value(json_object_get(json_array_get(rest, (size_t)faulty), "name"));
        if (!*ret_error)
            snprintf(ret_error, error_size, "%s is not understood: %s", name, text);
        json_array_remove(rest, (size_t)faulty);
        error = build(base, rest, ret_vocabulary, text, sizeof text, &faulty);
    }
    if (error < 0)
        snprintf(ret_error, error_size, "%s", text);
    json_decref(rest);
    return error;
}

void vocabulary_free(struct vocabulary *v)
{
    if (!v)
        return;
    if (v->words) {
        free(v->words->bytes);
        free(v->words->at);
        free(v->words->canonical);
        free(v->words->node_label);
        free(v->words->node_goes_on);
    }
    free(v->words);
    free(v->labels);
    json_decref(v->keep);
    free(v);
}

/* ---- finding phrases ----------------------------------------------------------------------------------------------
 */

struct search {
    const struct vocabulary_words *w;
    const struct text *text;
    struct vocabulary_match *matches;
    size_t n, max;
    size_t start;
    unsigned steps; /* bounded: gaps must not make a long message slow */
};

static void record(struct search *s, uint32_t node, size_t end)
{
    uint32_t label = s->w->node_label[node];
    if (!label || s->n == s->max)
        return;
    for (size_t i = s->n; i-- > 0 && s->matches[i].start == s->start;)
        if (s->matches[i].label == label)
            return;
    s->matches[s->n++] = (struct vocabulary_match){.start = (uint16_t)s->start, .end = (uint16_t)end, .label = label};
}

static bool sentence_ends(const struct search *s, size_t i)
{
    return i > s->start && (s->text->tokens[i - 1].flags & TOKEN_SENTENCE_END);
}

/* From `node`, reached before token `i`. Recursion is as deep as a phrase is long. */
static void walk(struct search *s, uint32_t node, size_t i)
{
    const struct vocabulary_words *w = s->w;
    if (++s->steps > 400)
        return;
    if (i < s->text->n && !sentence_ends(s, i)) {
        const struct token *k = &s->text->tokens[i];
        uint32_t words[2] = {k->word, k->kind == TOKEN_NUMBER ? WORD_NUMBER : 0};
        for (size_t n = 0; n < 2 && w->node_goes_on[node]; n++) {
            uint32_t to = words[n] ? w->edges[edge_slot(w, node, words[n])].to : 0;
            if (to) {
                record(s, to, i + 1);
                walk(s, to, i + 1);
            }
        }
    }
    uint32_t gap = node ? w->edges[edge_slot(w, node, WORD_GAP)].to : 0;
    for (size_t skip = 0; gap && skip <= VOCABULARY_GAP && i + skip < s->text->n; skip++) {
        if (skip && (s->text->tokens[i + skip - 1].flags & TOKEN_SENTENCE_END))
            break;
        walk(s, gap, i + skip);
    }
}

size_t vocabulary_match(const struct vocabulary *v, const struct text *text, struct vocabulary_match *matches,
                        size_t max)
{
    struct search s = {.w = v->words, .text = text, .matches = matches, .max = max};
    for (size_t i = 0; i < text->n; i++) {
        if (!text->tokens[i].word && text->tokens[i].kind != TOKEN_NUMBER)
            continue;
        s.start = i;
        s.steps = 0;
        walk(&s, 0, i);
    }
    return s.n;
}

void vocabulary_languages(const struct vocabulary *v, const struct text *text, int counts[16])
{
    const struct vocabulary_words *w = v->words;
    for (size_t i = 0; i < text->n; i++) {
        uint32_t node = ROOT_AS_WRITTEN;
        for (size_t j = i; j < text->n; j++) {
            size_t len = text->tokens[j].len;
            uint32_t word = len <= TEXT_WORD_BYTES_MAX ? find_word(w, text_word(text, j), len) : 0;
            node = word ? w->edges[edge_slot(w, node, word)].to : 0;
            if (!node)
                break;
            for (uint32_t l = w->node_label[node]; l; l = v->labels[l - 1].next)
                counts[v->labels[l - 1].index]++;
        }
    }
}
