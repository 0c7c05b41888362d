/* See knowledge.h: questions as they were read. Each is read to be searched for and again to rank what was found, and
 * people ask the same: the last ones are kept. What is kept is made of the text and the lexicon alone, so that an
 * answer is the same without it. Loop thread. */
#include "knowledge.h"

#include <stdlib.h>

#define KEPT_MAX 512      /* questions; a power of 2 */
#define KEPT_WORDS_MAX 64 /* of one; of those with more the last is kept */
#define MATCH_SIZE 4096
#define MATCH_WORDS_MAX 40

static struct question *kept[KEPT_MAX], *longer;
static char made_with[17]; /* tag of the lexicon */

static void drop(struct question **place)
{
    if (*place)
        free((*place)->vector);
    free(*place);
    *place = NULL;
}

void question_drop(void)
{
    for (size_t i = 0; i < KEPT_MAX; i++)
        drop(&kept[i]);
    drop(&longer);
}

static size_t add_word(char *ret, size_t at, const char *word)
{
    size_t n = strlen(word);
    if (at)
        ret[at++] = ' ';
    memcpy(ret + at, word, n + 1);
    return at + n;
}

/* The words that mean something, and their classes. Gives its length. */
static size_t match_of(const struct text_words *words, char ret_match[MATCH_SIZE])
{
    size_t at = 0, n = 0;
    ret_match[0] = '\0';
    for (size_t i = 0; i < words->n && n < MATCH_WORDS_MAX; i++) {
        const struct text_word *w = &words->at[i];
        if (!w->common && at + sizeof w->text + 1 < MATCH_SIZE) {
            at = add_word(ret_match, at, w->text);
            n++;
        }
    }
    for (size_t i = 0; i < words->n; i++)
        for (size_t k = 0; k < TEXT_OF_WORD_MAX && words->at[i].classes[k] >= 0; k++) {
            char class[16];
            text_class_word(words->at[i].classes[k], class);
            if (at + sizeof class + 1 < MATCH_SIZE)
                at = add_word(ret_match, at, class);
        }
    return at;
}

static struct question *make(const struct lexicon *lexicon, const char *text)
{
    static struct text_words words; /* of this call */
    char match[MATCH_SIZE];
    text_read(lexicon, text, &words);
    size_t n_match = match_of(&words, match) + 1, n_text = strlen(text) + 1, n_words = words.n * sizeof *words.at;
    struct question *q = malloc(sizeof *q + n_words + n_match + n_text);
    if (!q)
        return NULL;
    char *texts = (char *)q->words + n_words;
    *q = (struct question){.n_words = words.n, .match = texts, .text = texts + n_match};
    memcpy(q->words, words.at, n_words);
    memcpy(texts, match, n_match);
    memcpy(texts + n_match, text, n_text);
    return q;
}

static struct question **place_of(const char *text)
{
    uint32_t h = 2166136261U;
    for (const char *c = text; *c; c++)
        h = (h ^ (unsigned char)*c) * 16777619U;
    return &kept[(h ^ h >> 15) % KEPT_MAX];
}

struct question *question_read(const struct lexicon *lexicon, const char *text)
{
    if (!lexicon)
        return NULL;
    if (strcmp(made_with, lexicon_tag(lexicon)) != 0) {
        question_drop();
        memcpy(made_with, lexicon_tag(lexicon), sizeof made_with);
    }
    struct question **place = place_of(text);
    if (*place && strcmp((*place)->text, text) == 0)
        return *place;
    if (longer && strcmp(longer->text, text) == 0)
        return longer;
    struct question *q = make(lexicon, text);
    if (!q)
        return NULL;
    if (q->n_words > KEPT_WORDS_MAX)
        place = &longer;
    drop(place);
    return *place = q;
}

const char *question_vector(struct question *q)
{
    char vector[EMBED_TEXT_SIZE];
    if (!q->vector) {
        if (!embed_question(q->words, q->n_words, vector))
            *vector = '\0';
        q->vector = strdup(vector);
    }
    return q->vector;
}
