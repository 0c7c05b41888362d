/* Text as words with their sentences and clauses, and phrases that are looked for in it. A phrase list is compiled from
 * JSON {"classes": {"net": ["network", "signal*"]}, "labels": {"trouble": ["@net .. (drop*|cut*)"]}}:
 *   word      the word itself, folded (lower case, no accents, no apostrophes)    word*   any that begins so
 *   (a|b*|@c) one of these        @c   a word of the class        x?   may be missing
 *   ..        up to three words between, ..6 up to six, within the sentence
 *   #name     a name, as it is written with a capital letter inside a sentence
 *   #         a number            #money   a sum of money (with a currency's sign, or "k" behind)
 * Pure; any thread; a compiled list is read by any number of threads. */
#ifndef TRIGGERS_WORDS_H
#define TRIGGERS_WORDS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WORDS_TOKENS_MAX 4096 /* of a text; the rest is not read */
#define WORDS_BYTES_MAX 40    /* a longer word is cut */
#define WORDS_CLASSES_OF 24   /* classes that one word is in */
#define WORDS_MATCHES_MAX 1024

struct word {
    uint32_t start, end; /* bytes in the text */
    uint16_t sentence, clause;
    uint8_t len, n_classes;
    bool question; /* its sentence ends with a question mark */
    bool name;     /* written with a capital letter inside a sentence */
    char folded[WORDS_BYTES_MAX];
    uint16_t classes[WORDS_CLASSES_OF];
};

struct words {
    const char *text; /* borrowed */
    size_t n, room;
    uint16_t n_sentences;
    struct word *word;
};

struct words_match {
    uint16_t label;
    uint16_t from, to; /* words, `to` is the last */
    uint16_t phrase;   /* its number in the list, for explaining */
};

struct phrases;

/* Gives *ret_phrases; CVM_EINVAL with a sentence, CVM_ENOMEM. Borrows `json`. */
int phrases_compile(const json_t *json, struct phrases **ret_phrases, char *ret_error, size_t error_size);
void phrases_free(struct phrases *p);
size_t phrases_labels(const struct phrases *p);
const char *phrases_label(const struct phrases *p, size_t label);
int phrases_find(const struct phrases *p, const char *label); /* -1: there is none */
const char *phrases_text(const struct phrases *p, size_t phrase);

void words_init(struct words *w);
void words_fini(struct words *w);
/* Reads `len` bytes of `text`, which must live as long as `w` is used. CVM_ENOMEM. */
int words_read(struct words *w, const char *text, size_t len) __attribute__((warn_unused_result));
/* Finds all phrases; at most `max`, in the order of their first words. Marks the words with their classes. */
size_t phrases_match(const struct phrases *p, struct words *w, struct words_match *ret_matches, size_t max);

#endif
