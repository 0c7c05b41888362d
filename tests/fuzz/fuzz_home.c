/* See fuzz_home.h. */
#include "fuzz_home.h"

#include "core/log.h"
#include "fuzz.h"
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char home[64];
static struct config *config;
static uint8_t *database; /* after a first start and stop */
static size_t database_size;
static bool fatal;

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
    (void)st, (void)type, (void)where;
    return remove(path);
}

static void remove_home(void)
{
    config_free(config);
    free(database);
    nftw(home, remove_one, 16, FTW_PHYS | FTW_DEPTH);
}

static uint8_t *read_whole(const char *path, size_t *ret_size)
{
    FILE *f = fopen(path, "re");
    FUZZ_CHECK(f && fseek(f, 0, SEEK_END) == 0);
    size_t size = (size_t)ftell(f);
    rewind(f);
    uint8_t *bytes = malloc(size + 1);
    FUZZ_CHECK(bytes && fread(bytes, 1, size, f) == size);
    fclose(f);
    *ret_size = size;
    return bytes;
}

static void write_whole(const char *path, const void *bytes, size_t size)
{
    FILE *f = fopen(path, "we");
    FUZZ_CHECK(f && fwrite(bytes, 1, size, f) == size && fclose(f) == 0);
}

static void copy(const char *from, const char *format, const char *name)
{
    char to[128];
    size_t size;
    uint8_t *bytes = read_whole(from, &size);
    snprintf(to, sizeof to, format, home, name);
    write_whole(to, bytes, size);
    free(bytes);
}

static void make_folder(const char *name)
{
    char path[96];
    snprintf(path, sizeof path, "%s/%s", home, name);
    FUZZ_CHECK(mkdir(path, 0700) == 0);
}

void fuzz_home_make(const char *const *plugins, const char *settings)
{
    char path[PATH_MAX], why[512] = "";
    snprintf(home, sizeof home, "%s/fuzz_home_XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    FUZZ_CHECK(mkdtemp(home));
    atexit(remove_home);
    log_open(NULL, LOG_ERROR, 0);
    make_folder("config");
    make_folder("manifests");
    make_folder("plugins");
    for (; plugins[0]; plugins += 2) {
        snprintf(path, sizeof path, TEST_BUILT "/%s.so", plugins[1]);
        copy(path, "%s/plugins/%s.so", plugins[0]);
        snprintf(path, sizeof path, TEST_PLUGINS "/%s.json", plugins[0]);
        copy(path, "%s/manifests/%s.json", plugins[0]);
    }
    snprintf(path, sizeof path, "%s/config/cvmhost.json", home);
    write_whole(path, settings, strlen(settings));
    int e = config_load(home, NULL, &config, why, sizeof why);
    struct core *core = e ? NULL : fuzz_home_open(why);
    if (!core)
        fprintf(stderr, "%s\n", why);
    FUZZ_CHECK(core);
    core_step(core, core_now_ms(core));
    core_close(core);
    snprintf(path, sizeof path, "%s/data/cvmhost.db", home);
    database = read_whole(path, &database_size);
}

const char *fuzz_home_path(void)
{
    return home;
}

const struct config *fuzz_home_config(void)
{
    return config;
}

void fuzz_home_reset(void)
{
    char path[128];
    static const char *const beside[] = {"-wal", "-shm", "-journal"};
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/data/cvmhost.db%s", home, beside[i]);
        unlink(path);
    }
    snprintf(path, sizeof path, "%s/data/cvmhost.db", home);
    write_whole(path, database, database_size);
}

json_t *fuzz_home_input(const uint8_t *data, size_t size, const char *const *plugins)
{
    json_t *document = json_loadb((const char *)data, size, JSON_ALLOW_NUL, NULL);
    if (!json_is_array(document)) {
        json_decref(document);
        return NULL;
    }
    if (!home[0])
        fuzz_home_make(plugins, "{\"plugins\": {\"inline\": [\"*\"]}}");
    fuzz_home_reset();
    return document;
}

sqlite3 *fuzz_home_database(void)
{
    char path[128];
    sqlite3 *db = NULL;
    snprintf(path, sizeof path, "%s/data/cvmhost.db", home);
    FUZZ_CHECK(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK);
    FUZZ_CHECK(sqlite3_exec(db, "PRAGMA synchronous = OFF", NULL, NULL, NULL) == SQLITE_OK);
    return db;
}

static void on_fatal(void *arg, int exit_status, const char *text)
{
    (void)arg;
    FUZZ_CHECK(exit_status == 3 && text[0]);
    fatal = true;
}

struct core *fuzz_home_open(char ret_why[512])
{
    struct core_options options = {.home = home, .config = config, .seed = 42, .fatal = on_fatal};
    struct core *core = NULL;
    fatal = false;
    if (core_open(&options, &core, ret_why, 512) < 0)
        return NULL;
    if (core_load(core, ret_why, 512) == 0 && core_start(core, ret_why, 512) == 0)
        return core;
    core_close(core);
    return NULL;
}

bool fuzz_home_fatal(void)
{
    return fatal;
}

char *fuzz_home_text(const json_t *value)
{
    char *text =
        json_is_string(value) ? strdup(json_string_value(value)) : json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    FUZZ_CHECK(text);
    return text;
}

void fuzz_home_run(sqlite3 *db, const char *sql, const json_t *const *values, int n)
{
    sqlite3_stmt *st = NULL;
    FUZZ_CHECK(sqlite3_prepare_v2(db, sql, -1, &st, NULL) == SQLITE_OK);
    for (int i = 0; i < n; i++) {
        if (json_is_integer(values[i])) {
            sqlite3_bind_int64(st, i + 1, json_integer_value(values[i]));
        } else if (values[i] && !json_is_null(values[i])) {
            char *text = fuzz_home_text(values[i]);
            sqlite3_bind_text(st, i + 1, text, -1, SQLITE_TRANSIENT);
            free(text);
        }
    }
    sqlite3_step(st); /* what its table does not take is not there: the target goes on without it */
    sqlite3_finalize(st);
}
