/* Regular expressions for components: PCRE2 with limits, compiled once per pattern and kept. One thread. */
#ifndef HOST_CORE_REGEX_H
#define HOST_CORE_REGEX_H

#include <cvm/cvm.h>

struct regexes;

/* As cvm_match says; *all is made at the first use. */
int regexes_match(struct regexes **all, const char *pattern, const char *text, size_t offset, cvm_span *spans,
                  size_t n);
void regexes_free(struct regexes *all); /* accepts NULL */

#endif
