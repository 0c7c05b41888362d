/* A document: its head, its text, and the passages it is cut into. Pure; any thread. */
#ifndef KNOWLEDGE_DOCUMENT_H
#define KNOWLEDGE_DOCUMENT_H

#include <cvm/cvm.h>

#define DOCUMENT_TEXT_MAX_BYTES (128 * 1024)
#define DOCUMENT_ID_MAX 64
#define DOCUMENT_PASSAGE_BYTES 800 /* about */
#define DOCUMENT_OVERLAP_BYTES 100
#define DOCUMENT_PASSAGES_MAX 400
#define DOCUMENT_QUESTIONS_MAX 32

/* Reads the head of a Markdown text: lines "name: value" between two lines "---". Gives an object of strings, empty
 * where there is no head; *ret_text is where the text begins. */
json_t *document_head(const char *whole, const char **ret_text);

/* Cuts a text into an array of {"kind": "passage" or "question", "text"}. Passages end at a paragraph, a sentence or a
 * word and begin with the end of the one before; the items of a section headed "Questions people ask" are questions. */
json_t *document_cut(const char *text);

/* The first heading, or the beginning of the first line. New string. */
json_t *document_title(const char *text);
/* Whether an id has the form of one: letters, digits, ".", "_" and "-". */
bool document_is_id(const char *id);

#endif
