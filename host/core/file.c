/* Reads files of the operator and of plugin authors. See file.h. */
#include "core/file.h"

#include <cvm/cvm.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static int __attribute__((format(printf, 4, 5)))
failed(int error, char *ret_error, size_t error_size, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(ret_error, error_size, format, args);
    va_end(args);
    return error;
}

/* `expected` bytes, or as many as there are: files of /proc have a size of 0. */
static int read_all(int fd, size_t limit, size_t expected, char **ret_text, size_t *ret_len)
{
    size_t size = (expected < limit ? expected : limit) + 4096, len = 0;
    char *text = malloc(size);
    while (text) {
        ssize_t n = read(fd, text + len, size - len - 1);
        if (n < 0 && errno == EINTR)
            continue;
        len += n > 0 ? (size_t)n : 0;
        if (n <= 0 || len > limit) {
            if (n == 0) {
                text[len] = 0;
                *ret_text = text;
                *ret_len = len;
                return 0;
            }
            free(text);
            return n < 0 ? CVM_EIO : CVM_ELIMIT;
        }
        if (size - len < 2) {
            char *more = realloc(text, size * 2);
            if (!more)
                free(text);
            text = more;
            size *= 2;
        }
    }
    return CVM_ENOMEM;
}

int file_read_stat(const char *path, size_t limit, bool secret, char **ret_text, size_t *ret_len, struct stat *ret_st,
                   char *ret_error, size_t error_size)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), error; /* NONBLOCK: a FIFO must not hold us here */
    if (fd < 0)
        return failed(errno == ENOENT || errno == ENOTDIR ? CVM_ENOENT : CVM_EIO, ret_error, error_size, "%s: %s", path,
                      strerror(errno));
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        error = failed(CVM_EIO, ret_error, error_size, "%s: is no regular file", path);
        goto out;
    }
    unsigned mode = st.st_mode & 07777;
    if (secret && mode != 0600 && mode != 0400) {
        error = failed(CVM_EACCES, ret_error, error_size,
                       "%s: holds secrets, so its mode must be 0600 or 0400, it is %04o; run: chmod 600 %s", path, mode,
                       path);
        goto out;
    }
    error = read_all(fd, limit, (size_t)st.st_size, ret_text, ret_len);
    if (!error)
        *ret_st = st;
    if (error == CVM_ELIMIT)
        failed(error, ret_error, error_size, "%s: is larger than the limit of %zu KiB", path, limit / 1024);
    else if (error)
        failed(error, ret_error, error_size, "%s: could not be read: %s", path, cvm_strerror(error));
out:
    close(fd);
    return error;
}

int file_read(const char *path, size_t limit, bool secret, char **ret_text, size_t *ret_len, char *ret_error,
              size_t error_size)
{
    struct stat st;
    return file_read_stat(path, limit, secret, ret_text, ret_len, &st, ret_error, error_size);
}

static int parse(const char *path, const char *text, size_t len, bool secret, json_t **ret_json, char *ret_error,
                 size_t error_size)
{
    json_error_t fault;
    json_t *json = json_loadb(text, len, JSON_REJECT_DUPLICATES, &fault);
    if (json) {
        *ret_json = json;
        return 0;
    }
    /* jansson quotes what stands near the fault: not from a file of secrets */
    if (secret)
        return failed(CVM_EINVAL, ret_error, error_size, "%s: line %d, column %d: is no valid JSON", path, fault.line,
                      fault.column);
    return failed(CVM_EINVAL, ret_error, error_size, "%s: line %d, column %d: is no valid JSON: %s", path, fault.line,
                  fault.column, fault.text);
}

int file_json_text(const char *path, const char *text, size_t len, json_t **ret_json, char *ret_error,
                   size_t error_size)
{
    return parse(path, text, len, false, ret_json, ret_error, error_size);
}

int file_json(const char *path, size_t limit, bool secret, json_t **ret_json, char *ret_error, size_t error_size)
{
    char *text = NULL;
    size_t len = 0;
    CVM_TRY(file_read(path, limit, secret, &text, &len, ret_error, error_size));
    int error = parse(path, text, len, secret, ret_json, ret_error, error_size);
    if (secret)
        explicit_bzero(text, len);
    free(text);
    return error;
}

int file_write(const char *path, const void *bytes, size_t len)
{
    FILE *f = fopen(path, "we");
    bool good = f && fwrite(bytes, 1, len, f) == len;
    good = f && fclose(f) == 0 && good;
    return good ? 0 : CVM_EIO;
}
