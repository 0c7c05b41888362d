/* Two versions of a schema compared as they are written: is every value that was right under the old one surely right
 * under the new one? What cannot be told from the text counts as no. Pure; any thread. */
#ifndef HOST_CORE_SCHEMA_DIFF_H
#define HOST_CORE_SCHEMA_DIFF_H

#include <jansson.h>
#include <stddef.h>

#define SCHEMA_DIFF_STEPS_MAX 100000 /* pairs of schemas looked at; beyond them it cannot be told */

/* Returns 1 for yes; 0 for no, with a sentence that names the field in `ret_why` (cut to `size`; may be NULL). Each
 * schema comes with the document that its $refs point into (as for schema_compile()); schema NULL accepts anything.
 * Both have to compile. Borrows all. */
int schema_accepts_more(const json_t *old_document, const json_t *old_schema, const json_t *new_document,
                        const json_t *new_schema, char *ret_why, size_t size);

#endif
