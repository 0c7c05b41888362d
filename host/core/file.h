/* Whole files into memory, with a limit: what operators and plugin authors write is read through here. Knows no
 * content but JSON. Any thread; blocks, so only at start and on reload. */
#ifndef HOST_CORE_FILE_H
#define HOST_CORE_FILE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* Reads the regular file `path`, at most `limit` bytes. Gives *ret_text (for free(), NUL behind it) and its length.
 * `secret`: refused (CVM_EACCES) unless its mode is 0600 or 0400. CVM_ENOENT where there is no such file, CVM_ELIMIT
 * if it is larger, CVM_EIO. On error `ret_error` has a sentence that names the file. */
int file_read(const char *path, size_t limit, bool secret, char **ret_text, size_t *ret_len, char *ret_error,
              size_t error_size);

/* The same, and what the file was before the first byte was read. */
struct stat;
int file_read_stat(const char *path, size_t limit, bool secret, char **ret_text, size_t *ret_len, struct stat *ret_st,
                   char *ret_error, size_t error_size);

/* As file_read, parsed: members may not occur twice. CVM_EINVAL: no JSON, with line and column. Gives *ret_json. */
int file_json(const char *path, size_t limit, bool secret, json_t **ret_json, char *ret_error, size_t error_size);

/* The same of a text that was read from there. */
int file_json_text(const char *path, const char *text, size_t len, json_t **ret_json, char *ret_error,
                   size_t error_size);

/* Makes or replaces the file; not synced. CVM_EIO. */
int file_write(const char *path, const void *bytes, size_t len);

#endif
