/* Writes a JSON object of scalars as text, member by member, without a tree. Pure; any thread. */
#ifndef CVM_CUSTOMERS_JSON_TEXT_H
#define CVM_CUSTOMERS_JSON_TEXT_H

#include <cvm/cvm.h>

#define JSON_TEXT_MAX_BYTES 16384

struct json_text {
    size_t len;
    bool full; /* something did not fit: the text is to be refused */
    char text[JSON_TEXT_MAX_BYTES + 1];
};

void json_text_begin(struct json_text *o);
/* `name` is quoted already: "\"Contract\":" (json_text_name). */
void json_text_string(struct json_text *o, const char *quoted_name, const char *text, size_t len);
/* A number as JSON where the text is one ("-12.5", not "007" or "1e5"), else a string. */
void json_text_scalar(struct json_text *o, const char *quoted_name, const char *text, size_t len);
void json_text_integer(struct json_text *o, const char *quoted_name, int64_t value);
/* Closes it. False: it did not fit. */
bool json_text_end(struct json_text *o);

/* Quotes a name for these. Gives (free); NULL: no memory. */
char *json_text_name(const char *name, size_t len);

#endif
