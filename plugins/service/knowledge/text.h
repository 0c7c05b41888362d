/* A text as search sees it: words in small letters without accents and endings, and the classes of meaning that they
 * belong to (a synonym is a class with the words beside it). Pure but for the lexicon, which is made once of the
 * setting and borrowed. Loop thread. */
#ifndef KNOWLEDGE_TEXT_H
#define KNOWLEDGE_TEXT_H

#include <cvm/cvm.h>

#define TEXT_WORD_SIZE 32
#define TEXT_WORDS_MAX 512 /* of a passage or a question; more are not read */
#define TEXT_CLASSES_MAX 400
#define TEXT_OF_WORD_MAX 4 /* classes that a word belongs to */

struct lexicon;

struct text_word {
    char text[TEXT_WORD_SIZE]; /* folded */
    char stem[TEXT_WORD_SIZE];
    bool common;                       /* says nothing of what is meant */
    int16_t classes[TEXT_OF_WORD_MAX]; /* -1: none more; those of a phrase are its first word's */
};

struct text_words {
    struct text_word at[TEXT_WORDS_MAX];
    size_t n;
};

/* The lexicon of a setting: an array of classes, each a text of words and phrases with commas between them. The same
 * value gives the same lexicon, which stands until another value is asked for; NULL: no memory. */
const struct lexicon *lexicon_of(const json_t *setting);
void lexicon_drop(void);
size_t lexicon_classes(const struct lexicon *lexicon);
const char *lexicon_tag(const struct lexicon *lexicon); /* another one for other classes */

/* `text` NULL has no words. */
void text_read(const struct lexicon *lexicon, const char *text, struct text_words *ret_words);
/* How a class is written in a column of the index: a word that nobody writes. */
void text_class_word(int class, char ret_word[16]);

#endif
