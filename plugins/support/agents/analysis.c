/* See analysis.h. */
#include "analysis.h"

#include "../../common/object.h"
#include "../../common/text.h"
#include "words.h"

#include <ctype.h>
#include <cvm/json.h>
#include <math.h>
#include <stdio.h>

#define QUERY_SIZE 1000
#define QUESTION_BYTES 400 /* of the ticket's text in a query */
#define WORDS_ASKED 10
#define TEXT_SIZE 4096
#define LINE_SIZE 600
#define DOCUMENTS_MAX 24
#define FURTHER_SHARE 0.85 /* of the best one's weight: less adds nothing */
#define FURTHER_STEPS 2    /* of each such document */

/* ---- what to ask ---- */

/* Which pairs of bytes a text has, without regard to case: most words that are looked for are not there. */
struct pairs {
    uint64_t bits[16];
};

static unsigned pair(const char *c)
{
    return ((unsigned)tolower((unsigned char)c[0]) * 31 + (unsigned)tolower((unsigned char)c[1])) & 1023;
}

static void pairs_read(const char *text, struct pairs *ret_pairs)
{
    *ret_pairs = (struct pairs){{0}};
    for (; *text && text[1]; text++)
        ret_pairs->bits[pair(text) / 64] |= UINT64_C(1) << pair(text) % 64;
}

/* Whether `word` stands in `text` as a word, without regard to case. */
static bool has_word(const char *text, const struct pairs *pairs, const char *word)
{
    size_t n = strlen(word);
    int first = tolower((unsigned char)*word);
    if (n > 1 && !(pairs->bits[pair(word) / 64] >> pair(word) % 64 & 1))
        return false;
    for (const char *c = text; n && *c; c++) {
        size_t i = 0;
        if (tolower((unsigned char)*c) != first) /* most are not */
            continue;
        while (i < n && tolower((unsigned char)c[i]) == tolower((unsigned char)word[i]))
            i++;
        if (i == n && !isalnum((unsigned char)c[n]) && (c == text || !isalnum((unsigned char)c[-1])))
            return true;
    }
    return false;
}

/* The question about an aspect: what of the text says something, then the aspect's terms. */
static void add_aspect(json_t *list, const char *name, const char *terms, const char *question)
{
    char query[QUERY_SIZE];
    for (size_t i = 0; i < json_array_size(list); i++)
        if (strcmp(cvm_json_str(json_array_get(list, i), "aspect", ""), name) == 0)
            return;
    if (!*name || json_array_size(list) >= ASPECTS_MAX)
        return;
    snprintf(query, sizeof query, "%s%s%.*s", question, *terms ? " " : "", text_cut(terms, 200), terms);
    json_t *one = json_object();
    OBJECT_TEXT(one, "aspect", name);
    OBJECT_TEXT(one, "query", query);
    json_array_append_new(list, one);
}

static void add_of_setting(json_t *list, const json_t *aspect, const char *question)
{
    const char *name = cvm_json_str(aspect, "aspect", "");
    add_aspect(list, name, cvm_json_str(aspect, "terms", name), question);
}

/* The words of the trade, which say what it is about; the beginning of a text that has not two of them. */
static void question_of(const char *text, const struct words *words, char ret[QUESTION_BYTES + 1])
{
    size_t at = 0, known = 0;
    snprintf(ret, QUESTION_BYTES + 1, "%.*s", text_cut(text, QUESTION_BYTES), text);
    for (size_t i = 0; i < words->n; i++)
        known += words->at[i].known;
    for (size_t i = 0, used = 0; i < words->n && used < WORDS_ASKED && known >= 2; i++)
        if (words->at[i].known) {
            at += (size_t)snprintf(ret + at, QUESTION_BYTES + 1 - at, "%s%s", at ? " " : "", words->at[i].text);
            used++;
        }
}

/* Of an aspect that the text's words led to: those words, so that it is asked about that and not about all. */
static void add_by_words(json_t *list, const json_t *aspect, const char *text, const struct pairs *pairs)
{
    char question[QUESTION_BYTES + 1] = "";
    const json_t *words = json_object_get(aspect, "words");
    size_t at = 0;
    for (size_t i = 0; i < json_array_size(words); i++) {
        const char *word = json_string_value(json_array_get(words, i));
        if (word && has_word(text, pairs, word) && at + strlen(word) + 2 < sizeof question)
            at += (size_t)snprintf(question + at, sizeof question - at, "%s%s", at ? " " : "", word);
    }
    if (at)
        add_of_setting(list, aspect, question);
}

json_t *analysis_aspects(const json_t *setting, const json_t *vocabulary, const char *text, size_t least)
{
    json_t *list = json_array();
    char question[QUESTION_BYTES + 1];
    struct words words;
    struct pairs pairs;
    size_t n = json_array_size(setting);
    pairs_read(text, &pairs);
    words_read(text, vocabulary, &words);
    question_of(text, &words, question);
    for (size_t i = 0; i < n; i++)
        if (cvm_json_bool(json_array_get(setting, i), "always", false))
            add_of_setting(list, json_array_get(setting, i), question);
    add_aspect(list, SYMPTOM, "", question);
    for (size_t i = 0; i < n; i++)
        add_by_words(list, json_array_get(setting, i), text, &pairs);
    for (size_t i = 0; i < n && json_array_size(list) < least; i++)
        add_of_setting(list, json_array_get(setting, i), question);
    return list;
}

/* ---- what was found ---- */

static double number(const json_t *document, const char *name)
{
    return json_number_value(json_object_get(document, name));
}

/* A document while it is weighed: most do not fit, and nothing is made of them. */
struct candidate {
    const json_t *result; /* that led to it first: with its text */
    const char *id;
    const json_t *relevance; /* the best */
    json_t *aspects, *by;    /* NULL: it is of no relevance to any */
    double symptom, fit;
    bool fits;
};

struct candidates {
    struct candidate at[DOCUMENTS_MAX];
    size_t n;
};

static double capped(const json_t *relevance)
{
    return fmin(json_number_value(relevance), 1);
}

static struct candidate *known(struct candidates *all, const char *id)
{
    for (size_t i = 0; i < all->n; i++)
        if (strcmp(all->at[i].id, id) == 0)
            return &all->at[i];
    return NULL;
}

static void take_in(struct candidates *all, const json_t *result, const char *aspect)
{
    const char *id = cvm_json_str(result, "document_id", "");
    json_t *relevance = json_object_get(result, "relevance");
    struct candidate *one = known(all, id);
    if (!one && all->n < DOCUMENTS_MAX) {
        one = &all->at[all->n++];
        *one = (struct candidate){.result = result, .id = id, .relevance = relevance};
    } else if (one && capped(relevance) > capped(one->relevance)) {
        one->relevance = relevance;
    }
    if (!one || capped(relevance) < RELEVANT)
        return;
    if (strcmp(aspect, SYMPTOM) == 0)
        one->symptom = capped(relevance);
    if (!one->aspects) {
        one->aspects = json_array();
        one->by = json_object();
    }
    json_array_append_new(one->aspects, json_string(aspect));
    json_object_set(one->by, aspect, relevance);
}

/* How much of the text's words a document has, 0 to 1; a word that few of the documents have counts more. */
static void weigh(struct candidates *list, const struct words *words)
{
    bool in[DOCUMENTS_MAX][WORDS_MAX];
    double weights[WORDS_MAX], all = 0;
    size_t n = list->n;
    for (size_t d = 0; d < n; d++) {
        char text[TEXT_SIZE];
        const json_t *one = list->at[d].result;
        snprintf(text, sizeof text, "%s %s", cvm_json_str(one, "title", ""), cvm_json_str(one, "text", ""));
        words_in(words, text, in[d]);
    }
    for (size_t i = 0; i < words->n; i++) {
        size_t have = 0;
        for (size_t d = 0; d < n; d++)
            have += in[d][i];
        weights[i] = log(1.0 + (double)n / (double)(have ? have : 1)) * (words->at[i].known ? 1 : 0.5);
        all += have || words->at[i].known ? weights[i] : 0.25 * weights[i];
    }
    for (size_t d = 0; d < n; d++) {
        double sum = 0;
        size_t of_trade = 0;
        for (size_t i = 0; i < words->n; i++)
            if (in[d][i]) {
                sum += weights[i];
                of_trade += words->at[i].known;
            }
        struct candidate *one = &list->at[d];
        one->fits = one->symptom >= RELEVANT || of_trade >= 2;
        one->fit = one->fits && all > 0 ? round(sum / all * 100) / 100 : 0;
    }
}

static double weight(double symptom, double fit, const json_t *aspects)
{
    return symptom + fit + 0.02 * (double)json_array_size(aspects);
}

static double weight_of(const json_t *document)
{
    return weight(number(document, "symptom"), number(document, "fit"), json_object_get(document, "aspects"));
}

/* Gives. */
static json_t *document_of(const struct candidate *one)
{
    json_t *document = json_copy((json_t *)(uintptr_t)one->result);
    if (one->relevance)
        OBJECT_PUT(document, "relevance", cvm_json_share(one->relevance));
    OBJECT_PUT(document, "aspects", one->aspects ? json_incref(one->aspects) : json_array());
    OBJECT_PUT(document, "by", one->by ? json_incref(one->by) : json_object());
    OBJECT_PUT(document, "symptom", json_real(one->symptom));
    OBJECT_PUT(document, "fit", json_real(one->fit));
    OBJECT_PUT(document, "fits", json_true());
    return document;
}

/* Those that fit, the best first. Gives. */
static json_t *sorted(const struct candidates *list)
{
    json_t *documents = json_array();
    double weights[DOCUMENTS_MAX];
    for (size_t i = 0; i < list->n; i++) {
        const struct candidate *one = &list->at[i];
        weights[i] = one->fits ? weight(one->symptom, one->fit, one->aspects) : -1;
    }
    for (size_t k = 0; k < list->n; k++) {
        size_t best = 0;
        for (size_t i = 1; i < list->n; i++)
            if (weights[i] > weights[best])
                best = i;
        if (weights[best] < 0)
            break;
        json_array_append_new(documents, document_of(&list->at[best]));
        weights[best] = -1;
    }
    return documents;
}

json_t *analysis_documents(const json_t *parts, const json_t *vocabulary, const char *text)
{
    struct candidates list;
    struct words words;
    list.n = 0;
    for (size_t i = 0; i < json_array_size(parts); i++) {
        const json_t *part = json_array_get(parts, i);
        const json_t *results = json_object_get(json_object_get(part, "data"), "results");
        const char *aspect = cvm_json_str(part, "name", "");
        for (size_t k = 0; k < json_array_size(results); k++)
            take_in(&list, json_array_get(results, k), aspect);
    }
    words_read(text, vocabulary, &words);
    weigh(&list, &words);
    json_t *documents = sorted(&list);
    for (size_t i = 0; i < list.n; i++) {
        json_decref(list.at[i].aspects);
        json_decref(list.at[i].by);
    }
    return documents;
}

/* ---- what documents say ---- */

/* The line at `line` without marks of headings, lists and stress; NULL-ended in ret. */
static void plain_line(const char *line, size_t n, char ret[LINE_SIZE])
{
    size_t at = 0;
    for (size_t i = 0; i < n && at + 1 < LINE_SIZE; i++)
        if (line[i] != '`' && !(line[i] == '*' && (line[i + 1] == '*' || (i && line[i - 1] == '*'))))
            ret[at++] = line[i];
    while (at && isspace((unsigned char)ret[at - 1]))
        at--;
    while (at && n > LINE_SIZE - 2 && ((unsigned char)ret[at - 1] & 0x80)) /* cut: no part of a character */
        at--;
    ret[at] = '\0';
}

/* The number of a step's mark ("1. "), 0 where the line is no step. */
static size_t step_mark(const char *line, size_t n)
{
    size_t digits = 0;
    while (digits < n && isdigit((unsigned char)line[digits]))
        digits++;
    return digits && digits < 3 && digits + 1 < n && line[digits] == '.' && line[digits + 1] == ' ' ? digits + 2 : 0;
}

/* The first paragraph that is neither heading nor step: what the document says the matter is. */
static bool cause_of(const char *text, char ret[TEXT_SIZE])
{
    size_t at = 0;
    ret[0] = '\0';
    for (const char *c = text; *c;) {
        size_t n = strcspn(c, "\n");
        char line[LINE_SIZE];
        if (*c == '#' || *c == '|' || *c == '-' || step_mark(c, n) || n == 0) {
            if (at)
                break;
        } else {
            plain_line(c, n, line);
            if (at + strlen(line) + 2 < TEXT_SIZE)
                at += (size_t)snprintf(ret + at, TEXT_SIZE - at, "%s%s", at ? " " : "", line);
        }
        c += n + (c[n] == '\n');
    }
    return at > 0;
}

static bool has_step(const json_t *steps, const char *step)
{
    for (size_t i = 0; i < json_array_size(steps); i++)
        if (strcmp(json_string_value(json_array_get(steps, i)), step) == 0)
            return true;
    return false;
}

static void add_steps(json_t *steps, const char *text, size_t most)
{
    size_t added = 0;
    for (const char *c = text; *c && added < most && json_array_size(steps) < STEPS_MAX;) {
        size_t n = strcspn(c, "\n"), mark = step_mark(c, n);
        char line[LINE_SIZE];
        if (mark) {
            plain_line(c + mark, n - mark, line);
            if (*line && !has_step(steps, line) && json_array_append_new(steps, json_string(line)) == 0)
                added++;
        }
        c += n + (c[n] == '\n');
    }
}

/* Of the documents that fit the one that this aspect led to most surely; NULL: none. */
static const json_t *best_of(const json_t *documents, const char *aspect)
{
    const json_t *best = NULL;
    for (size_t i = 0; i < json_array_size(documents); i++) {
        const json_t *one = json_array_get(documents, i);
        if (number(json_object_get(one, "by"), aspect) > number(json_object_get(best, "by"), aspect))
            best = one;
    }
    return best;
}

/* " As to connectivity: The sidecar cannot reach the application (kb-tec-001)." for each aspect. */
static void told_by_aspect(const json_t *documents, const json_t *parts, char *ret, size_t size)
{
    size_t at = strlen(ret);
    for (size_t i = 0; i < json_array_size(parts) && at + 400 < size; i++) {
        const char *aspect = cvm_json_str(json_array_get(parts, i), "name", "");
        const json_t *best = best_of(documents, aspect);
        const char *title = cvm_json_str(best, "title", "");
        if (best)
            at += (size_t)snprintf(ret + at, size - at, " As to %.60s: %.*s (%.64s).", aspect, text_cut(title, 160),
                                   title, cvm_json_str(best, "document_id", ""));
        else
            at += (size_t)snprintf(ret + at, size - at, " As to %.60s nothing that fits is documented.", aspect);
    }
}

static json_t *not_found(const char *notes)
{
    char text[TEXT_SIZE];
    snprintf(text, sizeof text, "Not found: the knowledge base has no document about this.%s%.*s",
             *notes ? " Notes of the support team: " : "", text_cut(notes, 600), notes);
    return json_pack(
        "{s:b, s:s, s:s, s:[s, s, s], s:f}", "found", 0, "root_cause",
        "Not found: no document of the knowledge base fits the description.", "analysis", text, "resolution_steps",
        "A support engineer has to analyse this ticket: no documented solution was found.",
        "Ask the customer for the exact error message, when it began, and what was changed before.",
        "Write the solution down when it is known (cvmhost kb ingest FILE --domain SUPPORT), so that the next "
        "such ticket finds it.",
        "confidence", 0.0);
}

/* For how many of the aspects something that fits was found, of all. */
static double covered(const json_t *documents, const json_t *parts)
{
    size_t n = 0, all = json_array_size(parts);
    for (size_t i = 0; i < all; i++)
        n += best_of(documents, cvm_json_str(json_array_get(parts, i), "name", "")) != NULL;
    return all ? (double)n / (double)all : 0;
}

json_t *analysis_by_rules(const json_t *documents, const json_t *parts, const char *notes)
{
    const json_t *best = json_array_get(documents, 0);
    char cause[TEXT_SIZE], text[TEXT_SIZE * 2];
    if (!best)
        return not_found(notes);
    const char *title = cvm_json_str(best, "title", "");
    json_t *steps = json_array();
    add_steps(steps, cvm_json_str(best, "text", ""), STEPS_MAX);
    for (size_t i = 1; i < json_array_size(documents) && i < 4; i++) {
        const json_t *one = json_array_get(documents, i);
        if (weight_of(one) >= FURTHER_SHARE * weight_of(best))
            add_steps(steps, cvm_json_str(one, "text", ""), FURTHER_STEPS);
    }
    if (!cause_of(cvm_json_str(best, "text", ""), cause))
        snprintf(cause, sizeof cause, "%.*s.", text_cut(title, 200), title);
    if (json_array_size(steps) == 0) { /* a document without numbered steps */
        char step[LINE_SIZE];
        snprintf(step, sizeof step, "Follow the document %.64s: %.*s", cvm_json_str(best, "document_id", ""),
                 text_cut(title, 200), title);
        json_array_append_new(steps, json_string(step));
    }
    snprintf(text, sizeof text, "Most likely: %.*s (%.64s).", text_cut(title, 200), title,
             cvm_json_str(best, "document_id", ""));
    told_by_aspect(documents, parts, text, sizeof text);
    if (*notes) {
        size_t at = strlen(text);
        snprintf(text + at, sizeof text - at, " Looked at again with the support team's notes: %.*s",
                 text_cut(notes, 600), notes);
    }
    double sure =
        fmin(fmax(number(best, "symptom"), number(best, "fit")), 0.95) * (0.7 + 0.3 * covered(documents, parts));
    json_t *result = json_object();
    OBJECT_PUT(result, "found", json_true());
    OBJECT_TEXT(result, "root_cause", cause);
    OBJECT_TEXT(result, "analysis", text);
    OBJECT_PUT(result, "resolution_steps", steps);
    OBJECT_PUT(result, "confidence", json_real(round(sure * 100) / 100));
    return result;
}
