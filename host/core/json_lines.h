/* Whether a text is JSON, without making anything of it: for files with many lines of which only few are read at a
 * time. Pure; any thread. */
#ifndef HOST_CORE_JSON_LINES_H
#define HOST_CORE_JSON_LINES_H

#include <stdbool.h>
#include <stddef.h>

/* One object and white space (RFC 8259, nested at most 64 deep). The text is UTF-8; members that occur twice pass. */
bool json_lines_is_object(const char *text, size_t len);

#endif
