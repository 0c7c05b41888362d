/* What the files of cvmhost-text share. */
#ifndef HOST_TEXT_TEXT_H
#define HOST_TEXT_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#define TEXT_FILE_MAX_BYTES (32 * 1024 * 1024)
#define TEXT_OUT_MAX_BYTES (128 * 1024)
#define TEXT_PAGES_MAX 500

struct out {
    char *at;
    size_t n;
    char title[256]; /* "": none */
};

void out_add(struct out *out, const char *bytes, size_t n);
void out_puts(struct out *out, const char *text);
void out_line(struct out *out, int lines); /* begins a new line, or with 2 a new paragraph, where none has begun */
__attribute__((noreturn, format(printf, 1, 2))) void text_fail(const char *format, ...);

void text_of_html(const char *bytes, size_t n, struct out *out);
void text_of_docx(const char *bytes, size_t n, struct out *out);
void text_of_pdf(const char *bytes, size_t n, struct out *out);

#endif
