/* No memory: each request of the core, of jansson and of SQLite fails once. The linker puts these in the place of the
 * core's calls (--wrap). The parser of jansson 2.14 takes no notice when its buffer cannot grow, and reads on behind
 * it: reading a text is one request. */
#include "torture.h"

#include <jansson.h>
#include <malloc.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

static struct torture_seen *watched; /* NULL: nothing fails */
static int64_t fail_at, fail_count;

static bool denied(void)
{
    if (!watched)
        return false;
    int64_t n = ++watched->calls;
    if (!fail_at || n < fail_at || n >= fail_at + fail_count)
        return false;
    watched->failed = true;
    return true;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *old, size_t size);
void *__real_reallocarray(void *old, size_t n, size_t size);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t n);
json_t *__real_json_loads(const char *text, size_t flags, json_error_t *error);
json_t *__real_json_loadb(const char *text, size_t n, size_t flags, json_error_t *error);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_reallocarray(void *old, size_t n, size_t size);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t n);
json_t *__wrap_json_loads(const char *text, size_t flags, json_error_t *error);
json_t *__wrap_json_loadb(const char *text, size_t n, size_t flags, json_error_t *error);

void *__wrap_malloc(size_t size)
{
    return denied() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return denied() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return denied() ? NULL : __real_realloc(old, size);
}

void *__wrap_reallocarray(void *old, size_t n, size_t size)
{
    return denied() ? NULL : __real_reallocarray(old, n, size);
}

char *__wrap_strdup(const char *text)
{
    return denied() ? NULL : __real_strdup(text);
}

char *__wrap_strndup(const char *text, size_t n)
{
    return denied() ? NULL : __real_strndup(text, n);
}

json_t *__wrap_json_loads(const char *text, size_t flags, json_error_t *error)
{
    return __wrap_json_loadb(text, strlen(text), flags, error);
}

json_t *__wrap_json_loadb(const char *text, size_t n, size_t flags, json_error_t *error)
{
    struct torture_seen *w = watched;
    if (denied()) {
        if (error) {
            *error = (json_error_t){.text = "out of memory"};
            error->text[JSON_ERROR_TEXT_LENGTH - 1] = json_error_out_of_memory;
        }
        return NULL;
    }
    watched = NULL;
    json_t *value = __real_json_loadb(text, n, flags, error);
    watched = w;
    return value;
}

/* ---- SQLite's ---- */

static void *sql_malloc(int size)
{
    return __wrap_malloc((size_t)size);
}

static void *sql_realloc(void *old, int size)
{
    return __wrap_realloc(old, (size_t)size);
}

static int sql_size(void *at)
{
    return at ? (int)malloc_usable_size(at) : 0;
}

static int sql_roundup(int size)
{
    return (size + 7) & ~7;
}

static int sql_init(void *arg)
{
    (void)arg;
    return SQLITE_OK;
}

static void sql_shutdown(void *arg)
{
    (void)arg;
}

static void arm(int64_t at, int64_t count, int how, struct torture_seen *seen)
{
    (void)how;
    watched = seen;
    fail_at = at;
    fail_count = count;
}

static void disarm(void)
{
    watched = NULL;
}

int main(int argc, char **argv)
{
    static const sqlite3_mem_methods methods = {sql_malloc,  free,     sql_realloc,  sql_size,
                                                sql_roundup, sql_init, sql_shutdown, NULL};
    static const char *const names[] = {"request for memory"};
    static const struct torture oom = {"memory", arm, disarm, 1, names};
    if (sqlite3_config(SQLITE_CONFIG_MALLOC, &methods) != SQLITE_OK)
        return 1;
    json_set_alloc_funcs(__wrap_malloc, free);
    return torture_main(&oom, argc, argv);
}
