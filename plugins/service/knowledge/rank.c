/* See knowledge.h: what the host's search has found, put into order. Each row is compared with the question word by
 * word (the word itself, one of its class, one that begins alike), words counting by how rare they are; a question that
 * people ask also by how much of it was asked. Documents take the best of their rows, topics of their documents.
 * Relevance is calibrated so that 0.30 divides what answers from what does not (docs/reference/knowledge.md). Pure. */
#include "knowledge.h"

#include <math.h>
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
    double weight;
    bool known; /* some row has it or one of its class */
};

struct scored {
    const json_t *row;
    double score, coverage;
    double sense; /* the part of the coverage by words of the lexicon: they say what the question is about */
};

struct document {
    const char *id;
    const json_t *best; /* row */
    double score, second, coverage, sense;
    double order; /* score, and what speaks for it beside */
    struct scored passages[PASSAGES_OF_A_RESULT];
};

struct topic {
    const char *name;
    double score, rows[TOPIC_ROWS];
};

struct ranking {
    const struct lexicon *lexicon;
    struct term terms[TERMS_MAX];
    size_t n_terms, n_documents;
    double weight; /* of all terms */
    double doubt;  /* of those that stand nowhere, beyond their weight */
    double best_text;
    struct document documents[DOCUMENTS_MAX];
    size_t n_topics;
    struct topic topics[DOCUMENTS_MAX];
};

/* ---- the question ------------------------------------------------------------------------------------------------ */

/* Rows that have the word; -1: it was not asked for. */
static int64_t rows_of(const json_t *words, const char *word, const char **ret_as)
{
    const json_t *terms = json_object_get(words, "terms");
    for (size_t i = 0; i < json_array_size(terms); i++) {
        const json_t *term = json_array_get(terms, i);
        const char *text = json_string_value(json_array_get(term, 0));
        if (text && strcmp(text, word) == 0) {
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

static void add_term(struct ranking *r, const struct text_word *w, const json_t *words, int64_t all)
{
    const char *as = NULL;
    int64_t own = w->common ? 0 : rows_of(words, w->text, &as), class = 0;
    struct term *term = &r->terms[r->n_terms];
    for (size_t k = 0; k < TEXT_OF_WORD_MAX && w->classes[k] >= 0; k++) {
        const char *unused;
        char name[16];
        text_class_word(w->classes[k], name);
        int64_t rows = rows_of(words, name, &unused);
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
                   : own > 0 && class > 0 ? rarity(own > class ? own : class, all)
                                          : rarity(own > 0 ? own : class, all);
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

/* ---- a row ------------------------------------------------------------------------------------------------------- */

static bool same_class(const struct text_word *a, const struct text_word *b)
{
    for (size_t i = 0; i < TEXT_OF_WORD_MAX && a->classes[i] >= 0; i++)
        for (size_t k = 0; k < TEXT_OF_WORD_MAX && b->classes[k] >= 0; k++)
            if (a->classes[i] == b->classes[k])
                return true;
    return false;
}

static bool begins_alike(const char *a, const char *b)
{
    size_t n = 0, la = strlen(a), lb = strlen(b), longer = la > lb ? la : lb;
    while (a[n] && a[n] == b[n])
        n++;
    return n >= 5 && n * 10 >= longer * 7;
}

static double alike(const struct term *term, const struct text_word *w)
{
    if (!term->word->common &&
        (strcmp(term->word->stem, w->stem) == 0 || (*term->as && strcmp(term->as, w->stem) == 0)))
        return 1;
    if (same_class(term->word, w))
        return 0.75;
    if (!term->word->common && begins_alike(*term->as ? term->as : term->word->stem, w->stem))
        return 0.6;
    return 0;
}

static double best_in(const struct term *term, const struct text_words *words)
{
    double best = 0;
    for (size_t i = 0; i < words->n && best < 1; i++) {
        double it = alike(term, &words->at[i]);
        best = it > best ? it : best;
    }
    return best;
}

/* How much of a question that people ask was asked. */
static double asked_of(const struct ranking *r, const struct text_words *words)
{
    double sum = 0, found = 0;
    for (size_t i = 0; i < words->n; i++) {
        double best = 0;
        const struct text_word *w = &words->at[i];
        if (w->common && w->classes[0] < 0)
            continue;
        for (size_t k = 0; k < r->n_terms; k++) {
            double it = alike(&r->terms[k], w);
            best = it > best ? it : best;
        }
        double weight = w->common ? 0.5 : 1;
        sum += weight;
        found += best * weight;
    }
    return sum > 0 ? found / sum : 0;
}

static struct scored score_row(const struct ranking *r, const json_t *row)
{
    static struct text_words body, about; /* of this call */
    double sum = 0, sense = 0;
    char head[800];
    const char *title = cvm_json_str(row, "title", ""), *keywords = cvm_json_str(row, "keywords", "");
    text_read(r->lexicon, cvm_json_str(row, "body", ""), &body);
    snprintf(head, sizeof head, "%.300s . %.480s", title, keywords);
    text_read(r->lexicon, head, &about);
    for (size_t i = 0; i < r->n_terms; i++) {
        double in_body = best_in(&r->terms[i], &body), in_head = 0.7 * best_in(&r->terms[i], &about);
        double both = in_body > 0 && in_head > 0 ? in_body + 0.1 : in_body > in_head ? in_body : in_head;
        sum += r->terms[i].weight * (both > 1 ? 1 : both);
        sense += r->terms[i].word->classes[0] < 0 ? 0 : r->terms[i].weight * (both > 1 ? 1 : both);
    }
    double coverage = r->weight > 0 ? sum / r->weight : 0, score = 0.88 * coverage;
    if (strcmp(cvm_json_str(row, "kind", ""), "question") == 0) {
        double asked = asked_of(r, &body);
        double both = coverage + asked > 0 ? 2 * coverage * asked / (coverage + asked) : 0;
        score = 0.5 * coverage + 0.5 * both;
    }
    double cosine = json_number_value(json_object_get(row, "vector_score"));
    double text = json_number_value(json_object_get(row, "text_score"));
    score = 0.72 * score + 0.20 * (cosine > 0 ? cosine : 0) + 0.08 * (r->best_text > 0 ? text / r->best_text : 0);
    return (struct scored){row, score, coverage, r->weight > 0 ? sense / r->weight : 0};
}

/* ---- documents and topics ---------------------------------------------------------------------------------------- */

static struct document *document_of(struct ranking *r, const json_t *row)
{
    const char *id = cvm_json_str(row, "document_id", "");
    for (size_t i = 0; i < r->n_documents; i++)
        if (strcmp(r->documents[i].id, id) == 0)
            return &r->documents[i];
    if (r->n_documents == DOCUMENTS_MAX)
        return NULL;
    r->documents[r->n_documents].id = id;
    return &r->documents[r->n_documents++];
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
static void add_to_topic(struct ranking *r, const json_t *row, double score)
{
    const char *name = cvm_json_str(row, "topic", "");
    size_t k = 0;
    while (k < r->n_topics && strcmp(r->topics[k].name, name) != 0)
        k++;
    if (!*name || k == DOCUMENTS_MAX)
        return;
    struct topic *t = &r->topics[k];
    if (k == r->n_topics)
        r->topics[r->n_topics++].name = name;
    for (size_t i = 0; i < TOPIC_ROWS; i++)
        if (score > t->rows[i]) {
            double swap = t->rows[i];
            t->rows[i] = score;
            score = swap;
        }
}

static void add_row(struct ranking *r, const json_t *row)
{
    struct document *d = document_of(r, row);
    if (!d)
        return;
    struct scored s = score_row(r, row);
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
    if (strcmp(cvm_json_str(row, "kind", ""), "passage") == 0)
        add_passage(d, s);
}

static int by_score(const void *a, const void *b)
{
    const struct document *x = a, *y = b;
    return x->order < y->order ? 1 : x->order > y->order ? -1 : strcmp(x->id, y->id);
}

/* In their order; and what a topic has speaks a little for each of its documents. */
static json_t *order_topics(struct ranking *r)
{
    json_t *list = json_array();
    for (size_t i = 0; i < r->n_topics; i++) {
        double sum = 0;
        for (size_t k = 0; k < TOPIC_ROWS; k++)
            sum += pow(r->topics[i].rows[k], TOPIC_POWER);
        r->topics[i].score = pow(sum, 1 / TOPIC_POWER);
    }
    qsort(r->topics, r->n_topics, sizeof *r->topics, by_topic);
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
    const json_t *answer = json_object_get(d->best, "answer");
    if (json_is_string(answer))
        json_array_append_new(list,
                              json_pack("{s:O, s:f}", "text", answer, "relevance", relevance(r, d->score, d->sense)));
    for (size_t i = 0; i < PASSAGES_OF_A_RESULT && json_array_size(list) < PASSAGES_OF_A_RESULT; i++) {
        const json_t *row = d->passages[i].row;
        const json_t *text = json_object_get(row, "body");
        if (row && !(json_is_string(answer) && json_equal((json_t *)(uintptr_t)text, (json_t *)(uintptr_t)answer)))
            json_array_append_new(list, json_pack("{s:O, s:f}", "text", text, "relevance",
                                                  relevance(r, d->passages[i].score, d->passages[i].sense)));
    }
    return list;
}

static json_t *result_of(const struct ranking *r, const struct document *d, size_t position)
{
    return json_pack("{s:s, s:i, s:O?, s:O?, s:O?, s:O?, s:f, s:f, s:o}", "document_id", d->id, "position",
                     (int)position, "title", json_object_get(d->best, "title"), "topic",
                     json_object_get(d->best, "topic"), "domain", json_object_get(d->best, "domain"), "source",
                     json_object_get(d->best, "source"), "relevance", relevance(r, d->score, d->sense), "coverage",
                     two_decimals(d->coverage), "passages", passages_of(r, d));
}

json_t *rank(const struct lexicon *lexicon, const char *question, const char *hint, const json_t *found, size_t top_k)
{
    static struct text_words words; /* of this call */
    struct ranking *r = calloc(1, sizeof *r);
    json_t *rows = json_object_get((json_t *)(uintptr_t)found, "rows"), *row, *results = json_array();
    size_t i;
    if (!r || !lexicon || !results) {
        free(r);
        json_decref(results);
        return NULL;
    }
    r->lexicon = lexicon;
    text_read(lexicon, question, &words);
    const json_t *terms = json_object_get(found, "words");
    for (i = 0; i < words.n && r->n_terms < TERMS_MAX; i++)
        add_term(r, &words.at[i], terms, cvm_json_int(terms, "n", 0));
    json_array_foreach(rows, i, row)
    {
        double text = json_number_value(json_object_get(row, "text_score"));
        r->best_text = text > r->best_text ? text : r->best_text;
    }
    json_array_foreach(rows, i, row) add_row(r, row);
    json_t *topics = order_topics(r);
    for (i = 0; i < r->n_documents; i++) {
        struct document *d = &r->documents[i];
        d->order = d->score + 0.06 * d->second + TOPIC_SHARE * topic_score(r, cvm_json_str(d->best, "topic", ""));
        if (*hint && strcmp(hint, cvm_json_str(d->best, "domain", "")) == 0)
            d->order += 0.03; /* a guess only: it decides between equals */
    }
    qsort(r->documents, r->n_documents, sizeof *r->documents, by_score);
    for (i = 0; i < r->n_documents && i < top_k; i++)
        json_array_append_new(results, result_of(r, &r->documents[i], i + 1));
    json_t *ranked = json_pack("{s:o, s:o}", "results", results, "topics", topics);
    free(r);
    return ranked;
}
