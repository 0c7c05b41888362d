/* The text of a document in a file: Markdown, text, HTML, DOCX, PDF. */
#ifndef HOST_CLI_DOCUMENT_H
#define HOST_CLI_DOCUMENT_H

#include <stddef.h>

/* Gives *ret_text (for free()) and its title, "" where it has none; else a sentence in `ret_error`. */
int document_read(const char *path, char **ret_text, char ret_title[256], char *ret_error, size_t size);

#endif
