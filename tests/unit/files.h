/* Files for tests: whole ones read, written, copied, and those of the build. What cannot be done fails the test. */
#ifndef TESTS_UNIT_FILES_H
#define TESTS_UNIT_FILES_H

#include <limits.h>
#include <stddef.h>
#include <stdint.h>

uint8_t *files_read(const char *path, size_t *ret_size); /* gives */
/* A new file, also where one is: who has that one open keeps it. */
void files_write(const char *path, const void *bytes, size_t size);
void files_copy(const char *from, const char *to); /* over the bytes of one that is there */
/* BUILD/tests/`name`, from the test's own place BUILD/tests/unit/test_x. */
void files_built(const char *name, char ret_path[PATH_MAX]);

#endif
