/* A home made of an exported document: for running its turns again, not for serving. */
#include "core/replay_parts.h"

#include "core/config.h"
#include "core/file.h"
#include <cvm/json.h>
#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define REFUSE(error, size, code, ...) (snprintf(error, size, __VA_ARGS__), (code))

static int make_folders(const char *home, char *error, size_t size)
{
    static const char *const folders[] = {"", "/config", "/data", "/data/builds", "/manifests", "/plugins"};
    char path[4300];
    snprintf(path, sizeof path, "%s/data/cvmhost.db", home);
    if (access(path, F_OK) == 0)
        return REFUSE(error, size, CVM_EEXIST, "%s has a journal already: import into a folder that is not there yet",
                      home);
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        snprintf(path, sizeof path, "%s%s", home, folders[i]);
        if (mkdir(path, 0750) < 0 && errno != EEXIST)
            return REFUSE(error, size, CVM_EIO, "%s: %s", path, strerror(errno));
    }
    return 0;
}

/* The tables, as a host makes them. */
static int make_tables(const char *home, char *error, size_t size)
{
    struct config *config = NULL;
    struct core *core = NULL;
    CVM_TRY(config_load(home, NULL, &config, error, size));
    const struct core_options options = {.home = home, .config = config, .seed = 1};
    int e = core_open(&options, &core, error, size);
    core_close(core);
    config_free(config);
    return e;
}

static bool is_build_name(const char *name)
{
    size_t n = strspn(name, "0123456789abcdef");
    return n == 64 && (strcmp(name + n, ".so") == 0 || strcmp(name + n, ".json") == 0);
}

static int write_build(const char *home, const char *name, const char *text)
{
    char path[4300];
    size_t n = strlen(text), padding = n && text[n - 1] == '=' ? 1 + (n > 1 && text[n - 2] == '=') : 0;
    uint8_t *bytes = n % 4 ? NULL : malloc(n / 4 * 3 + 1);
    int have = bytes ? EVP_DecodeBlock(bytes, (const unsigned char *)text, (int)n) : -1;
    snprintf(path, sizeof path, "%s/data/builds/%s", home, name);
    int e = have >= 0 ? file_write(path, bytes, (size_t)have - padding) : CVM_EINVAL;
    free(bytes);
    return e;
}

static int write_builds(const json_t *document, const char *home, json_t *missing, char *error, size_t size)
{
    const char *name;
    json_t *text;
    json_object_foreach(json_object_get(document, "builds"), name, text)
    {
        if (!is_build_name(name))
            return REFUSE(error, size, CVM_EINVAL, "builds: \"%.80s\" is no name of one", name);
        if (!json_is_string(text))
            json_array_append_new(missing, json_string(name));
        else if (write_build(home, name, json_string_value(text)) < 0)
            return REFUSE(error, size, CVM_EINVAL, "builds: %s is not base64, or cannot be written", name);
    }
    return 0;
}

static int insert(sqlite3 *db, const char *sql, const json_t *values)
{
    sqlite3_stmt *st = NULL;
    size_t i;
    json_t *value;
    int e = sqlite3_prepare_v2(db, sql, -1, &st, NULL) == SQLITE_OK ? 0 : CVM_EIO;
    json_array_foreach((json_t *)(uintptr_t)values, i, value)
    {
        const char *text = json_string_value(value);
        cvm_id id;
        uint8_t bytes[16];
        if (e || json_is_null(value))
            continue;
        if (json_is_integer(value)) {
            sqlite3_bind_int64(st, (int)i + 1, (int64_t)json_integer_value(value));
        } else if (i == 4 && id_parse(text, &id) == 0) {
            id_bytes(id, bytes);
            sqlite3_bind_blob(st, (int)i + 1, bytes, 16, SQLITE_TRANSIENT);
        } else {
            sqlite3_bind_text(st, (int)i + 1, text, -1, SQLITE_TRANSIENT);
        }
    }
    if (!e && sqlite3_step(st) != SQLITE_DONE)
        e = CVM_EINVAL;
    sqlite3_finalize(st);
    return e;
}

static int insert_turn(sqlite3 *db, json_t *turn)
{
    char *record = json_text(json_object_get(turn, "record"), NULL);
    json_t *row =
        json_pack("[O, O, O, O, O, O, O, O, i, O, s]", json_object_get(turn, "seq"), json_object_get(turn, "at_ms"),
                  json_object_get(turn, "conversation"), json_object_get(turn, "component"),
                  json_object_get(turn, "message"), json_object_get(turn, "type"), json_object_get(turn, "sender"),
                  json_object_get(turn, "outcome"), 0, json_object_get(turn, "build"), record ? record : "{}");
    int e = row ? insert(db,
                         "INSERT INTO turns(seq, at_ms, conversation, component, message, type, sender, outcome, us,"
                         " build, record) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                         row)
                : CVM_EINVAL;
    json_decref(row);
    free(record);
    return e;
}

static int insert_configuration(sqlite3 *db, json_t *configuration)
{
    char *doc = json_text(json_object_get(configuration, "doc"), NULL), hash[32];
    snprintf(hash, sizeof hash, "imported %lld", (long long)cvm_json_int(configuration, "id", 0));
    json_t *row = json_pack("[O, s, i, s]", json_object_get(configuration, "id"), hash, 0, doc ? doc : "{}");
    int e = row ? insert(db, "INSERT INTO host_configs(id, hash, at_ms, doc) VALUES(?, ?, ?, ?)", row) : CVM_EINVAL;
    json_decref(row);
    free(doc);
    return e;
}

static int fill(const json_t *document, sqlite3 *db)
{
    json_t *one;
    const char *name;
    size_t i;
    if (sqlite3_exec(db, "BEGIN; CREATE TABLE replay_names(name TEXT PRIMARY KEY, key INTEGER NOT NULL)", NULL, NULL,
                     NULL))
        return CVM_EIO;
    json_array_foreach(json_object_get(document, "turns"), i, one) CVM_TRY(insert_turn(db, one));
    json_array_foreach(json_object_get(document, "configurations"), i, one) CVM_TRY(insert_configuration(db, one));
    json_object_foreach(json_object_get(document, "names"), name, one)
    {
        json_t *row = json_pack("[s, O]", name, one);
        int e = insert(db, "INSERT INTO replay_names VALUES(?, ?)", row);
        json_decref(row);
        CVM_TRY(e);
    }
    return sqlite3_exec(db, "COMMIT", NULL, NULL, NULL) ? CVM_EIO : 0;
}

int replay_import(const json_t *document, const char *home, json_t **ret_missing, char *error, size_t size)
{
    char path[4300];
    sqlite3 *db = NULL;
    json_t *missing = json_array();
    int e = 0;
    if (cvm_json_int(document, "cvmhost_export", 0) != 1)
        e = REFUSE(error, size, CVM_EINVAL, "it was not made by cvmhost export");
    if (!e)
        e = make_folders(home, error, size);
    if (!e)
        e = make_tables(home, error, size);
    if (!e)
        e = write_builds(document, home, missing, error, size);
    snprintf(path, sizeof path, "%s/data/cvmhost.db", home);
    if (!e && (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) || (e = fill(document, db))))
        e = REFUSE(error, size, e ? e : CVM_EIO, "%s: a row cannot be taken: %s", path, db ? sqlite3_errmsg(db) : "?");
    sqlite3_close(db);
    if (e) {
        json_decref(missing);
        return e;
    }
    *ret_missing = missing;
    return 0;
}
