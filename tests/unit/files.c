/* See files.h. */
#include "files.h"

#include <check.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

uint8_t *files_read(const char *path, size_t *ret_size)
{
    FILE *f = fopen(path, "re");
    ck_assert_msg(f != NULL, "%s cannot be opened", path);
    fseek(f, 0, SEEK_END);
    size_t size = (size_t)ftell(f);
    rewind(f);
    uint8_t *bytes = malloc(size);
    ck_assert_uint_eq(fread(bytes, 1, size, f), size);
    fclose(f);
    *ret_size = size;
    return bytes;
}

void files_write(const char *path, const void *bytes, size_t size)
{
    unlink(path);
    FILE *f = fopen(path, "we");
    ck_assert_msg(f != NULL, "%s cannot be opened", path);
    ck_assert_uint_eq(fwrite(bytes, 1, size, f), size);
    ck_assert_int_eq(fclose(f), 0);
}

void files_copy(const char *from, const char *to)
{
    size_t size;
    uint8_t *bytes = files_read(from, &size);
    FILE *f = fopen(to, "we");
    ck_assert_msg(f != NULL, "%s cannot be opened", to);
    ck_assert_uint_eq(fwrite(bytes, 1, size, f), size);
    ck_assert_int_eq(fclose(f), 0);
    free(bytes);
}

void files_built(const char *name, char ret_path[PATH_MAX])
{
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    ck_assert(n > 0);
    self[n] = '\0';
    snprintf(ret_path, PATH_MAX, "%s/%s", dirname(dirname(self)), name);
}
