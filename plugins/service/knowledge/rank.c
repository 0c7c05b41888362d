/* See rank.h: what the host's search has found, put into order. Each row is compared with the question word by
 * word (the word itself, one of its class, one that begins alike), words counting by how rare they are; a question that
 * people ask also by how much of it was asked. Documents take the best of their rows, topics of their documents.
 * Relevance is calibrated so that 0.30 divides what answers from what does not (docs/reference/knowledge.md). Pure. */
#include "rank.h"

#include "trace.h"
#include <cvm/json.h>

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#define UNKNOWN_WEIGHT 0.30 /* of a word that stands nowhere */
#define UNKNOWN_DOUBT 0.85  /* what it weighs against relevance: the question is of something else, in part */
#define SPELLED_WEIGHT 0.60 /* of one that was taken for another */
#define SENSE_ENOUGH 0.30
#define SENSELESS 0.55
#define SCORE_NOTHING 0.12
#define SCORE_ALL 0.72
#define TERMS_MAX 48
#define DOCUMENTS_MAX 96
#define TOPICS_SHOWN 10
#define TOPIC_ROWS 8
#define TOPIC_POWER 3.0
#define TOPIC_SHARE 0.10
#define PASSAGES_OF_A_RESULT 2

struct term {
    const struct text_word *word;
    char as[TEXT_WORD_SIZE]; /* stem of what it was taken for; "": of itself */
    size_t stem_len, as_len;
    double weight;
    bool known; /* some row has it or one of its class */
};

struct scored {
    const struct rank_row *row;
    double score, coverage;
    double sense; /* the part of the coverage by words of the lexicon: they say what the question is about */
};

struct document {
    const char *id;
    const struct rank_row *best;
    const char *head; /* what `in_head` was made of */
    double in_head[TERMS_MAX];
    double score, second, coverage, sense;
    double order; /* score, and what speaks for it beside */
    struct scored passages[PASSAGES_OF_A_RESULT];
};

struct topic {
    const char *name;
    double score, rows[TOPIC_ROWS];
};

struct ranking {
    const struct rank_source *source;
    struct term terms[TERMS_MAX];
    uint64_t of_class[TEXT_CLASSES_MAX]; /* terms of each class, as bits */
    uint64_t by_letters[256];            /* terms that are compared letter by letter, by trace_letters */
    size_t n_terms, n_documents;
    double weight; /* of all terms */
    double doubt;  /* of those that stand nowhere, beyond their weight */
    double best_text;
    size_t n_topics;
    struct document documents[DOCUMENTS_MAX], *order[DOCUMENTS_MAX]; /* from here on as many as there are */
    struct topic topics[DOCUMENTS_MAX];
};

/* ---- the question ------------------------------------------------------------------------------------------------ */

/* What the host says of the words, which are looked up in the order in which it was asked: first the words themselves,
 * then those of their classes. */
struct known {
    const json_t *terms;
    int64_t all;
    size_t next[2];
};

/* Rows that have the word; -1: it was not asked for. */
static int64_t rows_of(struct known *known, bool class, const char *word, const char **ret_as)
{
    size_t n = json_array_size(known->terms);
    for (size_t i = 0; i < n; i++) {
        size_t at = (known->next[class] + i) % n;
        const json_t *term = json_array_get(known->terms, at);
        const char *text = json_string_value(json_array_get(term, 0));
        if (text && strcmp(text, word) == 0) {
            known->next[class] = at + 1;
            *ret_as = json_string_value(json_array_get(term, 1));
            return (int64_t)json_integer_value(json_array_get(term, 2));
        }
    }
    return -1;
}

static double rarity(int64_t rows, int64_t all)
{
    double most = log((double)all + 1.5) - log(0.5), it = log((double)all + 1.5) - log((double)rows + 0.5);
    return most > 0 && it > 0 ? it / most : 0;
}

static void add_term(struct ranking *r, const struct text_word *w, struct known *known)
{
    const char *as = NULL;
    int64_t own = w->common ? 0 : rows_of(known, false, w->text, &as), class = 0;
    struct term *term = &r->terms[r->n_terms];
    for (size_t k = 0; k < TEXT_OF_WORD_MAX && w->classes[k] >= 0; k++) {
        const char *unused;
        char name[16];
        text_class_word(w->classes[k], name);
        int64_t rows = rows_of(known, true, name, &unused);
        class = rows > 0 && (!class || rows < class) ? rows : class;
    }
    if (w->common && !class)
        return;
    for (size_t i = 0; i < r->n_terms; i++)
        if (strcmp(r->terms[i].word->stem, w->stem) == 0)
            return;
    *term = (struct term){.word = w, .known = own > 0 || class > 0};
    if (as && strcmp(as, w->text) != 0)
        snprintf(term->as, sizeof term->as, "%s", as);
    term->weight = !term->known           ? UNKNOWN_WEIGHT
                   : own > 0 && class > 0 ? rarity(own > class ? own : class, known->all)
                                          : rarity(own > 0 ? own : class, known->all);
    if (*term->as)
        term->weight *= SPELLED_WEIGHT;
    if (w->common)
        term->weight *= 0.7;
    if (term->word->text[0] >= '0' && term->word->text[0] <= '9')
        term->weight *= 0.5;
    r->weight += term->weight;
    if (!term->known)
        r->doubt += (UNKNOWN_DOUBT - UNKNOWN_WEIGHT) * term->weight / UNKNOWN_WEIGHT;
    r->n_terms++;
}

/* So that a word of a row is held against those terms alone that it can be like. */
static void sort_terms(struct ranking *r)
{
    for (size_t i = 0; i < r->n_terms; i++) {
        struct term *term = &r->terms[i];
        term->stem_len = strlen(term->word->stem);
        term->as_len = strlen(term->as);
        for (size_t k = 0; k < TEXT_OF_WORD_MAX && term->word->classes[k] >= 0; k++)
            r->of_class[term->word->classes[k]] |= UINT64_C(1) << i;
        if (term->word->common)
            continue;
        r->by_letters[trace_letters(term->word->stem, term->stem_len)] |= UINT64_C(1) << i;
        if (*term->as)
            r->by_letters[trace_letters(term->as, term->as_len)] |= UINT64_C(1) << i;
    }
}

/* ---- a row ------------------------------------------------------------------------------------------------------- */

static bool is_word(const char *a, size_t len, const struct trace_word *w)
{
    return len == w->len && memcmp(a, w->stem, len) == 0;
}

static bool begins_alike(const char *a, size_t len, const struct trace_word *w)
{
    size_t n = 0, longer = len > w->len ? len : w->len;
    while (n < len && n < w->len && a[n] == w->stem[n])
        n++;
    return n >= 5 && n * 10 >= longer * 7;
}

/* Of a term that is not common. */
static double spelt_alike(const struct term *term, const struct trace_word *w)
{
    if (is_word(term->word->stem, term->stem_len, w) || (term->as_len && is_word(term->as, term->as_len, w)))
        return 1;
    return begins_alike(term->as_len ? term->as : term->word->stem, term->as_len ? term->as_len : term->stem_len, w)
               ? 0.6
               : 0;
}

/* Raises what is in `best` of the terms that the word is like. Gives the best of them. */
static double compare(const struct ranking *r, const struct trace_word *w, double *best)
{
    uint64_t classed = 0, spelt = r->by_letters[w->letters];
    double most = 0;
    for (size_t i = 0; i < w->n_classes; i++)
        classed |= r->of_class[w->classes[i]];
    for (uint64_t left = classed | spelt; left; left &= left - 1) {
        size_t i = (size_t)__builtin_ctzll(left);
        double it = spelt >> i & 1 ? spelt_alike(&r->terms[i], w) : 0;
        if (classed >> i & 1 && it < 0.75)
            it = 0.75;
        best[i] = it > best[i] ? it : best[i];
        most = it > most ? it : most;
    }
    return most;
}

/* For each term the best in the line. */
static void compare_line(const struct ranking *r, const char *line, const struct trace_line *read, double *best)
{
    struct trace_word w;
    for (size_t i = 0; i < read->n && read->words; i++)
        compare(r, &read->words[i], best);
    while (!read->words && trace_next(&line, &w))
        compare(r, &w, best);
}

static void add_asked(const struct ranking *r, const struct trace_word *w, double *best, double *sum, double *found)
{
    double it = compare(r, w, best), weight = w->common ? 0.5 : 1;
    if (w->common && !w->n_classes)
        return;
    *sum += weight;
    *found += it * weight;
}

/* The same of a question that people ask; and how much of it was asked. */
static double compare_question(const struct ranking *r, const char *line, const struct trace_line *read, double *best)
{
    double sum = 0, found = 0;
    struct trace_word w;
    for (size_t i = 0; i < read->n && read->words; i++)
        add_asked(r, &read->words[i], best, &sum, &found);
    while (!read->words && trace_next(&line, &w))
        add_asked(r, &w, best, &sum, &found);
    return sum > 0 ? found / sum : 0;
}

static struct scored score_row(const struct ranking *r, struct document *d, const struct rank_row *row)
{
    double in_body[TERMS_MAX] = {0}, sum = 0, sense = 0;
    if (d->head != row->head) {
        memset(d->in_head, 0, r->n_terms * sizeof *d->in_head);
        compare_line(r, row->head, &row->head_read, d->in_head);
        d->head = row->head;
    }
    double asked = 0;
    if (row->question)
        asked = compare_question(r, row->body, &row->body_read, in_body);
    else
        compare_line(r, row->body, &row->body_read, in_body);
    for (size_t i = 0; i < r->n_terms; i++) {
        double head = 0.7 * d->in_head[i], body = in_body[i];
        double both = body > 0 && head > 0 ? body + 0.1 : body > head ? body : head;
        sum += r->terms[i].weight * (both > 1 ? 1 : both);
        sense += r->terms[i].word->classes[0] < 0 ? 0 : r->terms[i].weight * (both > 1 ? 1 : both);
    }
    double coverage = r->weight > 0 ? sum / r->weight : 0, score = 0.88 * coverage;
    if (row->question) {
        double both = coverage + asked > 0 ? 2 * coverage * asked / (coverage + asked) : 0;
        score = 0.5 * coverage + 0.5 * both;
    }
    score = 0.72 * score + 0.20 * (row->cosine > 0 ? row->cosine : 0) +
            0.08 * (r->best_text > 0 ? row->text_score / r->best_text : 0);
    return (struct scored){row, score, coverage, r->weight > 0 ? sense / r->weight : 0};
}

/* ---- documents and topics ---------------------------------------------------------------------------------------- */

static struct document *document_of(struct ranking *r, const struct rank_row *row)
{
    const char *id = row->document_id;
    for (size_t i = 0; i < r->n_documents; i++)
        if (strcmp(r->documents[i].id, id) == 0)
            return &r->documents[i];
    if (r->n_documents == DOCUMENTS_MAX)
        return NULL;
    struct document *d = &r->documents[r->n_documents++];
    *d = (struct document){.id = id};
    return d;
}

static void add_passage(struct document *d, struct scored s)
{
    for (size_t i = 0; i < PASSAGES_OF_A_RESULT; i++) {
        if (d->passages[i].row && d->passages[i].score >= s.score)
            continue;
        for (size_t k = PASSAGES_OF_A_RESULT - 1; k > i; k--)
            d->passages[k] = d->passages[k - 1];
        d->passages[i] = s;
        return;
    }
}

static int by_topic(const void *a, const void *b)
{
    const struct topic *x = a, *y = b;
    return x->score < y->score ? 1 : x->score > y->score ? -1 : strcmp(x->name, y->name);
}

/* Puts a row among the best ones of its topic: several that fit somewhat say more than one that fits a little better.
 */
static void add_to_topic(struct ranking *r, const struct rank_row *row, double score)
{
    const char *name = row->topic;
    size_t k = 0;
    while (k < r->n_topics && strcmp(r->topics[k].name, name) != 0)
        k++;
    if (!*name || k == DOCUMENTS_MAX)
        return;
    struct topic *t = &r->topics[k];
    if (k == r->n_topics)
        r->topics[r->n_topics++] = (struct topic){.name = name};
    for (size_t i = 0; i < TOPIC_ROWS; i++)
        if (score > t->rows[i]) {
            double swap = t->rows[i];
            t->rows[i] = score;
            score = swap;
        }
}

static void add_row(struct ranking *r, const struct rank_row *row)
{
    struct document *d = document_of(r, row);
    if (!d)
        return;
    struct scored s = score_row(r, d, row);
    if (s.score > d->score || !d->best) {
        d->second = d->score;
        d->score = s.score;
        d->sense = s.sense;
        d->best = row;
    } else if (s.score > d->second) {
        d->second = s.score;
    }
    add_to_topic(r, row, s.score);
    d->coverage = s.coverage > d->coverage ? s.coverage : d->coverage;
    if (!row->question)
        add_passage(d, s);
}

static int by_score(const void *a, const void *b)
{
    const struct document *x = *(struct document *const *)a, *y = *(struct document *const *)b;
    return x->order < y->order ? 1 : x->order > y->order ? -1 : strcmp(x->id, y->id);
}

/* In their order; and what a topic has speaks a little for each of its documents. */
static void order_topics(struct ranking *r)
{
    for (size_t i = 0; i < r->n_topics; i++) {
        double sum = 0;
        for (size_t k = 0; k < TOPIC_ROWS && r->topics[i].rows[k] > 0; k++) /* the best ones first */
            sum += pow(r->topics[i].rows[k], TOPIC_POWER);
        r->topics[i].score = pow(sum, 1 / TOPIC_POWER);
    }
    qsort(r->topics, r->n_topics, sizeof *r->topics, by_topic);
}

static json_t *topics_of(const struct ranking *r)
{
    json_t *list = json_array();
    for (size_t i = 0; i < r->n_topics && i < TOPICS_SHOWN; i++)
        json_array_append_new(list, json_string(r->topics[i].name));
    return list;
}

static double topic_score(const struct ranking *r, const char *name)
{
    for (size_t i = 0; i < r->n_topics; i++)
        if (strcmp(r->topics[i].name, name) == 0)
            return r->topics[i].score / r->topics[0].score;
    return 0;
}

/* ---- the answer -------------------------------------------------------------------------------------------------- */

static double two_decimals(double x)
{
    return round((x < 0 ? 0 : x > 1 ? 1 : x) * 100) / 100;
}

/* Scores are of what is known; words that stand nowhere, and matches that are of no word of the lexicon, speak against
 * it. The numbers are measured: what answers is above 0.30, what does not below (docs/reference/knowledge.md). */
static double relevance(const struct ranking *r, double score, double sense)
{
    double known = r->weight + r->doubt > 0 ? r->weight / (r->weight + r->doubt) : 0;
    double about = sense / SENSE_ENOUGH;
    return two_decimals((score * known * (SENSELESS + (1 - SENSELESS) * (about > 1 ? 1 : about)) - SCORE_NOTHING) /
                        (SCORE_ALL - SCORE_NOTHING));
}

static json_t *passages_of(const struct ranking *r, const struct document *d)
{
    json_t *list = json_array();
    const struct rank_source *from = r->source;
    const json_t *answer = d->best->question ? from->text(from->arg, d->best) : NULL;
    if (json_is_string(answer))
        json_array_append_new(list,
                              json_pack("{s:O, s:f}", "text", answer, "relevance", relevance(r, d->score, d->sense)));
    for (size_t i = 0; i < PASSAGES_OF_A_RESULT && json_array_size(list) < PASSAGES_OF_A_RESULT; i++) {
        const struct rank_row *row = d->passages[i].row;
        bool same = row && answer && row->at >= 0 && row->at == d->best->at;
        const json_t *text = row && !same ? from->text(from->arg, row) : NULL;
        if (text && !(json_is_string(answer) && json_equal((json_t *)(uintptr_t)text, (json_t *)(uintptr_t)answer)))
            json_array_append_new(list, json_pack("{s:O, s:f}", "text", text, "relevance",
                                                  relevance(r, d->passages[i].score, d->passages[i].sense)));
    }
    return list;
}

static const struct rank_row *first_text(const struct document *d)
{
    return d->best->question && d->best->at >= 0 ? d->best : d->passages[0].row ? d->passages[0].row : d->best;
}

static json_t *result_of(const struct ranking *r, const struct document *d, size_t position)
{
    const json_t *about = d->best->about;
    int at = first_text(d)->at;
    if (r->source->brief && at >= 0) {
        json_t *brief = json_object();
        json_object_set_new_nocheck(brief, "document_id", json_string(d->id));
        json_object_set_new_nocheck(brief, "relevance", json_real(relevance(r, d->score, d->sense)));
        json_object_set_new_nocheck(brief, "at", json_integer(at));
        return brief;
    }
    return json_pack("{s:s, s:i, s:O?, s:O?, s:O?, s:O?, s:f, s:f, s:o}", "document_id", d->id, "position",
                     (int)position, "title", json_object_get(about, "title"), "topic", json_object_get(about, "topic"),
                     "domain", json_object_get(about, "domain"), "source", json_object_get(about, "source"),
                     "relevance", relevance(r, d->score, d->sense), "coverage", two_decimals(d->coverage), "passages",
                     passages_of(r, d));
}

json_t *rank(const struct text_word *asked, size_t n_asked, const char *hint, const json_t *words,
             const struct rank_source *source, size_t top_k)
{
    static struct ranking room; /* of this call: large */
    struct ranking *r = &room;
    struct known known = {.terms = json_object_get(words, "terms"), .all = cvm_json_int(words, "n", 0)};
    memset(r, 0, offsetof(struct ranking, documents));
    r->source = source;
    for (size_t i = 0; i < n_asked && r->n_terms < TERMS_MAX; i++)
        add_term(r, &asked[i], &known);
    sort_terms(r);
    for (size_t i = 0; i < source->n; i++)
        r->best_text = source->rows[i].text_score > r->best_text ? source->rows[i].text_score : r->best_text;
    for (size_t i = 0; i < source->n; i++)
        add_row(r, &source->rows[i]);
    order_topics(r);
    for (size_t i = 0; i < r->n_documents; i++) {
        struct document *d = r->order[i] = &r->documents[i];
        d->order = d->score + 0.06 * d->second + TOPIC_SHARE * topic_score(r, d->best->topic);
        if (*hint && strcmp(hint, cvm_json_str(d->best->about, "domain", "")) == 0)
            d->order += 0.03; /* a guess only: it decides between equals */
    }
    qsort(r->order, r->n_documents, sizeof *r->order, by_score);
    json_t *results = json_array();
    for (size_t i = 0; i < r->n_documents && i < top_k; i++)
        json_array_append_new(results, result_of(r, r->order[i], i + 1));
    return json_pack("{s:o, s:o*}", "results", results, "topics", source->brief ? NULL : topics_of(r));
}
