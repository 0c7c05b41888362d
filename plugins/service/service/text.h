/* A customer's message cut into words and numbers, lower-cased and without accents, so that "Dátà", "data" and "DATA"
 * are one word. Pure: knows no host, no vocabulary and allocates nothing. Any thread. */
#ifndef SERVICE_TEXT_H
#define SERVICE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TEXT_BYTES_MAX 16384 /* of a message; the rest is not read */
#define TEXT_TOKENS_MAX 2048
#define TEXT_WORD_BYTES_MAX 40 /* a longer word is unknown */

enum token_kind { TOKEN_WORD, TOKEN_NUMBER, TOKEN_SIGN };

enum token_flag {
    TOKEN_SENTENCE_END = 1, /* . ! ? ; or a new line follows */
    TOKEN_CLAUSE_END = 2,   /* , : - or a bracket follows */
    TOKEN_GLUED = 4,        /* the next token follows without anything between: "500mb" */
    TOKEN_PLUS = 8,         /* + stands before */
    TOKEN_CODE = 16,        /* * before or # after: part of a service code */
    TOKEN_PERCENT = 32,     /* % follows */
    TOKEN_NAIRA = 64,       /* the naira sign, or # before digits, stands before */
    TOKEN_FOREIGN = 128,    /* another currency's sign stands before */
    TOKEN_JOINED = 256,     /* : or / touches a number: a time, a date */
    TOKEN_UPPER = 512,      /* a word of three letters or more, all capitals */
    TOKEN_QUESTION = 1024   /* ? ends this sentence */
};

struct token {
    uint32_t start, end; /* bytes in the message */
    uint32_t at;         /* in `folded` */
    uint32_t word;       /* what the look-up gave; 0: unknown */
    uint16_t len;        /* of the folded word */
    uint16_t flags;
    uint8_t kind;
};

struct text {
    const char *message; /* borrowed */
    size_t bytes;        /* read of it */
    size_t n, folded_bytes;
    uint32_t exclamations, questions;
    bool cut; /* the message was longer than what is read */
    struct token tokens[TEXT_TOKENS_MAX];
    char folded[TEXT_BYTES_MAX * 2];
};

/* The number of a folded word, 0 where it is unknown. */
typedef uint32_t (*text_lookup)(const void *arg, const char *word, size_t len);

/* Reads `message`; borrows it until `text` is no longer used. `lookup` may be NULL. */
void text_read(struct text *text, const char *message, text_lookup lookup, const void *arg);

/* Decodes one character of UTF-8 at `s` (ends with NUL); 0 at the end, U+FFFD for a damaged byte. */
uint32_t text_decode(const char *s, size_t *ret_len);

/* The plain small letter or digit behind a character (e for U+1EB9), the character itself if it is another script's
 * letter or a pictogram, 0 if it is neither. */
uint32_t text_fold(uint32_t c);

/* At most `max` bytes of `s`, without half a character at the end. */
size_t text_cut(const char *s, size_t max);

static inline const char *text_word(const struct text *text, size_t i)
{
    return text->folded + text->tokens[i].at; /* ends with NUL */
}

bool text_word_is(const struct text *text, size_t i, const char *const *words, size_t n); /* one of `words` */

#endif
