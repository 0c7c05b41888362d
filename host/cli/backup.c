/* `cvmhost backup DIR`: the database, copied by the host while it runs or by ourselves where none does; the builds it
 * names; the home's plugins, manifests and configuration, without secrets; and a list of it all with hashes, written
 * last. The folder has its name only once it is complete. */
#include "cli/backup.h"

#include "cli/version_text.h"
#include "core/config.h"
#include "core/hex.h"
#include "services/home.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define ERROR_SIZE 1024
#define BACKUP_TIMEOUT_MS (12 * 3600 * INT64_C(1000))
#define COPY_BYTES (256 * 1024)

const struct backup_folder backup_folders[] = {
    {"builds", "data/builds"}, {"config", "config"}, {"manifests", "manifests"}, {"plugins", "plugins"}, {NULL, NULL}};

static bool write_whole(int fd, const uint8_t *at, size_t n)
{
    while (n) {
        ssize_t done = write(fd, at, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return false;
        at += done;
        n -= (size_t)done;
    }
    return true;
}

int backup_copy(const char *from, const char *to, char ret_hash[65], int64_t *ret_size, char *ret_error,
                size_t error_size)
{
    uint8_t *buffer = malloc(COPY_BYTES), digest[EVP_MAX_MD_SIZE];
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    int64_t size = 0;
    ssize_t n = -1;
    int e = CVM_EIO, in = open(from, O_RDONLY | O_CLOEXEC), out = -1;
    bool good = buffer && md && in >= 0 && EVP_DigestInit_ex(md, EVP_sha256(), NULL);
    if (good && to)
        good = (out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600)) >= 0;
    while (good && (n = read(in, buffer, COPY_BYTES)) > 0) {
        good = EVP_DigestUpdate(md, buffer, (size_t)n) && (!to || write_whole(out, buffer, (size_t)n));
        size += n;
    }
    good = good && n == 0 && (!to || fsync(out) == 0) && EVP_DigestFinal_ex(md, digest, NULL);
    if (!good) {
        snprintf(ret_error, error_size, "%s cannot be %s%s: %s", from, to ? "copied to " : "read", to ? to : "",
                 strerror(errno));
    } else {
        hex_text(digest, 32, ret_hash);
        *ret_size = size;
        e = CVM_OK;
    }
    if (in >= 0)
        close(in);
    if (out >= 0)
        close(out);
    EVP_MD_CTX_free(md);
    free(buffer);
    return e;
}

int backup_sync_folder(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int e = fd >= 0 && fsync(fd) == 0 ? CVM_OK : CVM_EIO;
    if (fd >= 0)
        close(fd);
    return e;
}

struct copying {
    const char *but;
    json_t *files;
    char *error;
    size_t error_size;
};

static int fail(struct copying *c, int e, const char *what, const char *path)
{
    snprintf(c->error, c->error_size, "%s %s: %s", path, what, strerror(errno));
    return e;
}

static int copy_below(struct copying *c, const char *from, const char *to, const char *name, int depth);

static int copy_entry(struct copying *c, const char *from, const char *to, const char *name, int depth)
{
    struct stat st;
    char hash[65];
    int64_t size;
    if (stat(from, &st) < 0)
        return errno == ENOENT ? CVM_OK
                               : fail(c, CVM_EIO, "cannot be read", from); /* gone meanwhile, or leads nowhere */
    if (S_ISDIR(st.st_mode))
        return copy_below(c, from, to, name, depth + 1);
    if (!S_ISREG(st.st_mode) || (c->but && strcmp(from, c->but) == 0))
        return CVM_OK;
    if (json_object_size(c->files) >= BACKUP_FILES_MAX) {
        snprintf(c->error, c->error_size, "%s: more than %d files", from, BACKUP_FILES_MAX);
        return CVM_ELIMIT;
    }
    CVM_TRY(backup_copy(from, to, hash, &size, c->error, c->error_size));
    if (chmod(to, st.st_mode & 0777) < 0)
        return fail(c, CVM_EIO, "cannot be written", to);
    json_object_set_new(c->files, name, json_pack("{s:s, s:I}", "sha256", hash, "size", (json_int_t)size));
    return CVM_OK;
}

static int copy_below(struct copying *c, const char *from, const char *to, const char *name, int depth)
{
    char inner_from[BACKUP_PATH_MAX], inner_to[BACKUP_PATH_MAX], inner_name[BACKUP_PATH_MAX];
    struct dirent *entry;
    int e = CVM_OK;
    if (depth > BACKUP_DEPTH_MAX) {
        snprintf(c->error, c->error_size, "%s: folders in folders, more than %d deep", from, BACKUP_DEPTH_MAX);
        return CVM_ELIMIT;
    }
    DIR *dir = opendir(from);
    if (!dir)
        return errno == ENOENT ? CVM_OK : fail(c, CVM_EIO, "cannot be read", from);
    if (mkdir(to, 0700) < 0)
        e = fail(c, CVM_EIO, "cannot be made", to);
    while (!e && (entry = readdir(dir))) {
        const char *file = entry->d_name;
        if (strcmp(file, ".") == 0 || strcmp(file, "..") == 0)
            continue;
        if (snprintf(inner_from, sizeof inner_from, "%s/%s", from, file) >= BACKUP_PATH_MAX ||
            snprintf(inner_to, sizeof inner_to, "%s/%s", to, file) >= BACKUP_PATH_MAX ||
            snprintf(inner_name, sizeof inner_name, "%s/%s", name, file) >= BACKUP_PATH_MAX) {
            errno = ENAMETOOLONG;
            e = fail(c, CVM_ELIMIT, "cannot be copied", from);
        } else {
            e = copy_entry(c, inner_from, inner_to, inner_name, depth);
        }
    }
    closedir(dir);
    if (!e && backup_sync_folder(to) < 0)
        e = fail(c, CVM_EIO, "cannot be written", to);
    return e;
}

int backup_copy_folder(const char *from, const char *to, const char *name, const char *but, json_t *files,
                       char *ret_error, size_t error_size)
{
    struct copying c = {.but = but, .files = files, .error = ret_error, .error_size = error_size};
    return copy_below(&c, from, to, name, 0);
}

int backup_open_still(const char *path, sqlite3 **ret_db)
{
    char uri[BACKUP_PATH_MAX * 3 + 32] = "file:";
    size_t at = strlen(uri);
    for (const char *p = path; *p && at + 32 < sizeof uri; p++) {
        bool plain = strchr("?#%", *p) == NULL;
        at += (size_t)snprintf(uri + at, sizeof uri - at, plain ? "%c" : "%%%02x", (unsigned char)*p);
    }
    snprintf(uri + at, sizeof uri - at, "?immutable=1");
    return sqlite3_open_v2(uri, ret_db, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, NULL) == SQLITE_OK ? CVM_OK : CVM_EIO;
}

int64_t backup_number(sqlite3 *db, const char *sql, int64_t fallback)
{
    sqlite3_stmt *st = NULL;
    int64_t n = fallback;
    if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) == SQLITE_OK && sqlite3_step(st) == SQLITE_ROW)
        n = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    return n;
}

json_t *backup_missing_builds(sqlite3 *db, const char *folder)
{
    static const char sql[] = "SELECT name, build FROM host_plugins WHERE build != ''"
                              " UNION SELECT name, before_build FROM host_plugins WHERE before_build != ''";
    sqlite3_stmt *st = NULL;
    char path[BACKUP_PATH_MAX];
    json_t *missing = json_array();
    int e = sqlite3_prepare_v2(db, sql, -1, &st, NULL);
    while (e == SQLITE_OK && sqlite3_step(st) == SQLITE_ROW) {
        const char *name = (const char *)sqlite3_column_text(st, 0), *build = (const char *)sqlite3_column_text(st, 1);
        snprintf(path, sizeof path, "%s/%s.so", folder, build);
        if (access(path, R_OK) < 0)
            json_array_append_new(missing, json_sprintf("%s (build %.8s)", name, build));
    }
    sqlite3_finalize(st);
    return missing;
}

/* ---- the command ------------------------------------------------------------------------------------------------- */

/* No host writes it, and none may start meanwhile. */
static int copy_ourselves(struct cli *cli, const char *to, char *error, size_t size)
{
    char from[HOME_PATH_MAX];
    int lock = -1;
    sqlite3 *source = NULL, *target = NULL;
    int e = home_path(cli->home, HOME_DATABASE, from, sizeof from);
    if (!e && access(from, R_OK) < 0) {
        snprintf(error, size, "there is no database in the home %s (%s): name another one with --home", cli->home,
                 from);
        return CVM_ENOENT;
    }
    if (!e)
        e = home_lock(cli->home, &lock, error, size);
    if (e)
        return e;
    sqlite3_backup *b = NULL;
    if (sqlite3_open_v2(from, &source, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK &&
        sqlite3_open_v2(to, &target, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL) == SQLITE_OK)
        b = sqlite3_backup_init(target, "main", source, "main");
    int code = b ? sqlite3_backup_step(b, -1) : SQLITE_ERROR;
    sqlite3_backup_finish(b);
    if (code != SQLITE_DONE) {
        snprintf(error, size, "%s cannot be copied: %s; see: cvmhost db check", from,
                 code == SQLITE_ERROR ? sqlite3_errmsg(target ? target : source) : sqlite3_errstr(code));
        e = CVM_EIO;
    }
    sqlite3_close(source);
    sqlite3_close(target);
    close(lock);
    return e;
}

/* The host makes the copy in its own folder, whatever it may write elsewhere; we take it from there. */
static int copy_database(struct cli *cli, const char *to, json_t *files, json_t **ret_report)
{
    char error[ERROR_SIZE], hash[65], own[BACKUP_PATH_MAX];
    int64_t bytes = 0;
    json_t *report = NULL;
    int e, status = CLI_OK;
    if (home_owner(cli->home)) {
        if (!cli->timeout_ms)
            cli->timeout_ms = BACKUP_TIMEOUT_MS;
        status = cli_ask(cli, json_pack("{s:s}", "do", "backup"), &report);
        if (status != CLI_OK)
            return status;
        snprintf(own, sizeof own, "%s/data/backup.db", cli->home);
        e = backup_copy(own, to, hash, &bytes, error, sizeof error);
        unlink(own);
    } else {
        snprintf(own, sizeof own, "%s.part", to);
        e = copy_ourselves(cli, own, error, sizeof error);
        if (!e)
            e = backup_copy(own, to, hash, &bytes, error, sizeof error);
        unlink(own);
    }
    if (e) {
        json_decref(report);
        return cli_fail(e == CVM_ENOENT ? CLI_NOT_FOUND : CLI_FAILED, "%s", error);
    }
    json_object_set_new(files, BACKUP_DATABASE, json_pack("{s:s, s:I}", "sha256", hash, "size", (json_int_t)bytes));
    *ret_report = report;
    return CLI_OK;
}

/* Where the secrets are, which a backup leaves out; "" where they are not in a file. */
static void secrets_path(const struct cli *cli, char *ret_path, size_t size)
{
    char error[ERROR_SIZE];
    struct config *config = NULL;
    *ret_path = 0;
    if (config_load(cli->home, cli->config_file, &config, error, sizeof error) < 0)
        return;
    const char *file = config_str(config, "secrets.file", "");
    if (*file)
        snprintf(ret_path, size, "%s%s%s", *file == '/' ? "" : cli->home, *file == '/' ? "" : "/", file);
    config_free(config);
}

static int copy_folders(struct cli *cli, const char *part, json_t *files, json_t *left_out)
{
    char error[ERROR_SIZE], from[BACKUP_PATH_MAX], to[BACKUP_PATH_MAX], secrets[BACKUP_PATH_MAX];
    secrets_path(cli, secrets, sizeof secrets);
    if (*secrets)
        json_array_append_new(left_out, json_string(secrets));
    snprintf(from, sizeof from, "%s/.env", cli->home);
    if (access(from, F_OK) == 0)
        json_array_append_new(left_out, json_string(".env"));
    for (const struct backup_folder *f = backup_folders; f->name; f++) {
        snprintf(from, sizeof from, "%s/%s", cli->home, f->home);
        snprintf(to, sizeof to, "%s/%s", part, f->name);
        if (backup_copy_folder(from, to, f->name, secrets, files, error, sizeof error) < 0)
            return cli_fail(CLI_FAILED, "%s", error);
    }
    return CLI_OK;
}

/* The last file: with it the backup is one. */
static int write_list(const char *part, json_t *list)
{
    char path[BACKUP_PATH_MAX];
    char *text = json_dumps(list, JSON_INDENT(1));
    snprintf(path, sizeof path, "%s/" BACKUP_LIST, part);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool good = text && fd >= 0 && write_whole(fd, (const uint8_t *)text, strlen(text)) && fsync(fd) == 0;
    if (fd >= 0)
        close(fd);
    free(text);
    return good && backup_sync_folder(part) == CVM_OK ? CLI_OK : cli_fail(CLI_FAILED, "%s cannot be written", path);
}

static json_t *make_list(const char *part, json_t *files, json_t *left_out, json_t **ret_missing)
{
    char path[BACKUP_PATH_MAX], folder[BACKUP_PATH_MAX], made[32];
    sqlite3 *db = NULL;
    time_t now = time(NULL);
    struct tm tm;
    int64_t seq = 0, format = 0;
    gmtime_r(&now, &tm);
    strftime(made, sizeof made, "%Y-%m-%dT%H:%M:%SZ", &tm);
    snprintf(path, sizeof path, "%s/" BACKUP_DATABASE, part);
    snprintf(folder, sizeof folder, "%s/builds", part);
    *ret_missing = json_array();
    if (backup_open_still(path, &db) == CVM_OK) {
        seq = backup_number(db, "SELECT max(seq) FROM turns", 0);
        format = backup_number(db, "PRAGMA user_version", 0);
        json_decref(*ret_missing);
        *ret_missing = backup_missing_builds(db, folder);
    }
    sqlite3_close(db);
    return json_pack("{s:i, s:s, s:s, s:I, s:I, s:O, s:O}", "format", BACKUP_FORMAT, "cvmhost", cvmhost_version,
                     "made_at", made, "last_turn", (json_int_t)seq, "database_format", (json_int_t)format, "left_out",
                     left_out, "files", files);
}

static int make_backup(struct cli *cli, const char *dir, const char *part)
{
    char path[BACKUP_PATH_MAX];
    json_t *files = json_object(), *left_out = json_array(), *report = NULL, *missing = NULL, *list = NULL, *one;
    size_t i;
    snprintf(path, sizeof path, "%s/" BACKUP_DATABASE, part);
    int status = copy_database(cli, path, files, &report);
    if (status == CLI_OK)
        status = copy_folders(cli, part, files, left_out); /* after: what the database names is there by now */
    if (status == CLI_OK) {
        list = make_list(part, files, left_out, &missing);
        status = write_list(part, list);
    }
    if (status == CLI_OK && rename(part, dir) < 0)
        status = cli_fail(CLI_FAILED, "%s cannot be renamed to %s: %s", part, dir, strerror(errno));
    json_array_foreach(missing, i, one)
        fprintf(stderr, "cvmhost: warning: %s was exchanged meanwhile and is not in the backup; make another one\n",
                json_string_value(one));
    if (status == CLI_OK && cli->output == OUTPUT_JSON) {
        fprintf(cli->out, "{\"dir\":");
        json_t *name = json_string(dir);
        json_dumpf(name, cli->out, JSON_ENCODE_ANY);
        json_decref(name);
        fprintf(cli->out, ",\"files\":%zu,\"last_turn\":%lld}\n", json_object_size(files),
                (long long)cvm_json_int(list, "last_turn", 0));
    } else if (status == CLI_OK) {
        fprintf(cli->out, "%s: %zu files, the database up to turn %lld (%.1f MiB)%s\n", dir, json_object_size(files),
                (long long)cvm_json_int(list, "last_turn", 0),
                (double)cvm_json_int(json_object_get(files, BACKUP_DATABASE), "size", 0) / (1024 * 1024),
                json_array_size(left_out) ? "; secrets are not in it" : "");
    }
    json_decref(files);
    json_decref(left_out);
    json_decref(report);
    json_decref(missing);
    json_decref(list);
    return status;
}

int cli_backup(struct cli *cli)
{
    const char *dir = NULL;
    char part[BACKUP_PATH_MAX];
    struct stat st;
    int status = cli_arguments(cli, "backup DIR", NULL, 0, &dir, 1, 1);
    if (status != CLI_OK)
        return status;
    if (snprintf(part, sizeof part, "%s.part", dir) >= (int)sizeof part - 300)
        return cli_fail(CLI_USAGE, "the path is too long");
    if (stat(dir, &st) == 0)
        return cli_fail(CLI_REFUSED,
                        "%s is there already: name a folder that is not, so that no backup is written over", dir);
    if (mkdir(part, 0700) < 0)
        return cli_fail(CLI_FAILED,
                        errno == EEXIST ? "%s is there: another backup is being made, or one was broken "
                                          "off; remove it in the latter case (%s)"
                                        : "%s cannot be made: %s",
                        part, strerror(errno));
    status = make_backup(cli, dir, part);
    if (status != CLI_OK)
        fprintf(stderr, "cvmhost: what was copied so far is in %s; remove it\n", part);
    return status;
}
