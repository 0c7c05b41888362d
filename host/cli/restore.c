/* `cvmhost restore DIR`: checks the backup whole before it touches anything, copies it beside the home's folders, marks
 * what was open in it, and puts it in place by renames, the data last. What stood there before is set aside, never
 * deleted. */
#include "cli/backup.h"

#include "core/file.h"
#include "services/home.h"
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define ERROR_SIZE 1024
#define LIST_MAX_BYTES (16 * 1024 * 1024)

/* ---- is it whole? ------------------------------------------------------------------------------------------------ */

static bool safe_name(const char *name)
{
    return *name && *name != '/' && !strstr(name, "..");
}

static int check_files(const char *dir, const json_t *files)
{
    char path[BACKUP_PATH_MAX], hash[65], error[ERROR_SIZE];
    const char *name;
    json_t *told;
    int faults = 0;
    json_object_foreach((json_t *)(uintptr_t)files, name, told)
    {
        int64_t size = -1;
        snprintf(path, sizeof path, "%s/%s", dir, name);
        int e = safe_name(name) ? backup_copy(path, NULL, hash, &size, error, sizeof error) : CVM_EINVAL;
        if (e < 0)
            cli_fail(CLI_CONFIG, "%s", e == CVM_EINVAL ? "a file of the backup has no proper name" : error);
        else if (size != cvm_json_int(told, "size", -2) || strcmp(hash, cvm_json_str(told, "sha256", "")) != 0)
            e = cli_fail(CLI_CONFIG, "%s is not what it was when the backup was made", path);
        faults += e != 0;
    }
    return faults ? CLI_CONFIG : CLI_OK;
}

static int check_database(const char *path)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *st = NULL;
    int status = CLI_CONFIG;
    if (backup_open_still(path, &db) == CVM_OK &&
        sqlite3_prepare_v2(db, "PRAGMA integrity_check(1)", -1, &st, NULL) == SQLITE_OK &&
        sqlite3_step(st) == SQLITE_ROW && strcmp((const char *)sqlite3_column_text(st, 0), "ok") == 0)
        status = CLI_OK;
    else
        cli_fail(CLI_CONFIG, "%s is damaged: %s; take another backup, or see: cvmhost db check %s --repair-advice",
                 path, st && sqlite3_column_text(st, 0) ? (const char *)sqlite3_column_text(st, 0) : sqlite3_errmsg(db),
                 path);
    sqlite3_finalize(st);
    sqlite3_close(db);
    return status;
}

static int read_list(const char *dir, json_t **ret_list)
{
    char path[BACKUP_PATH_MAX];
    char error[ERROR_SIZE];
    json_t *list = NULL;
    snprintf(path, sizeof path, "%s/" BACKUP_LIST, dir);
    int e = file_json(path, LIST_MAX_BYTES, false, &list, error, sizeof error);
    if (e)
        return cli_fail(e == CVM_ENOENT ? CLI_NOT_FOUND : CLI_CONFIG, "%s; is %s a backup?", error, dir);
    *ret_list = list;
    if (cvm_json_int(list, "format", 0) != BACKUP_FORMAT || !json_is_object(json_object_get(list, "files")) ||
        !json_object_get(json_object_get(list, "files"), BACKUP_DATABASE))
        return cli_fail(CLI_CONFIG, "%s: format %lld is none that this cvmhost knows", path,
                        (long long)cvm_json_int(list, "format", 0));
    return CLI_OK;
}

/* ---- may it go there? -------------------------------------------------------------------------------------------- */

static bool is_empty(const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *entry;
    bool empty = true;
    while (dir && (entry = readdir(dir)))
        empty = empty && (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0);
    if (dir)
        closedir(dir);
    return empty;
}

static int check_home(const struct cli *cli, bool force)
{
    static const char *const filled[] = {"config", "manifests", "plugins", HOME_DATABASE};
    char path[BACKUP_PATH_MAX];
    struct stat st;
    if (mkdir(cli->home, 0700) < 0 && errno != EEXIST)
        return cli_fail(CLI_FAILED, "%s cannot be made: %s", cli->home, strerror(errno));
    long owner = home_owner(cli->home);
    if (owner)
        return cli_fail(CLI_REFUSED, "a host (process %ld) runs in %s: stop it first (kill %ld)", owner, cli->home,
                        owner);
    for (size_t i = 0; i < sizeof filled / sizeof *filled && !force; i++) {
        snprintf(path, sizeof path, "%s/%s", cli->home, filled[i]);
        if (stat(path, &st) == 0 && !(S_ISDIR(st.st_mode) && is_empty(path)))
            return cli_fail(CLI_REFUSED,
                            "%s is there: restore into an empty home, or say --force and what is there is "
                            "set aside",
                            path);
    }
    return CLI_OK;
}

/* ---- into place -------------------------------------------------------------------------------------------------- */

/* What was open may have been done after the backup was made: the host treats it as after a crash. Timers that are not
 * due yet cannot have fired. */
static int mark_open(const char *path, const char *made_at, int64_t *ret_open)
{
    char sql[512];
    sqlite3 *db = NULL;
    int64_t now = (int64_t)time(NULL) * 1000;
    bool good = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK;
    snprintf(sql, sizeof sql,
             "BEGIN; UPDATE open_items SET doc = '{\"restored\":1,' || substr(doc, 2) WHERE doc GLOB '{?*' AND"
             " (kind != 'timer' OR json_extract(doc, '$.at_ms') <= %lld)",
             (long long)now);
    good = good && sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK;
    *ret_open = good ? sqlite3_changes(db) : 0;
    char *note = sqlite3_mprintf("INSERT OR REPLACE INTO meta(key, value) VALUES('restored', "
                                 "json_object('at_ms', %lld, 'made_at', %Q)); COMMIT; PRAGMA wal_checkpoint(TRUNCATE)",
                                 (long long)now, made_at);
    good = good && note && sqlite3_exec(db, note, NULL, NULL, NULL) == SQLITE_OK;
    sqlite3_free(note);
    if (!good)
        cli_fail(CLI_FAILED, "%s: %s", path, db ? sqlite3_errmsg(db) : "out of memory");
    sqlite3_close(db);
    return good ? CLI_OK : CLI_FAILED;
}

struct place {
    const char *home, *dir;
    char part[BACKUP_PATH_MAX], aside[BACKUP_PATH_MAX]; /* staged here; what stood there goes there */
    bool set_aside;
};

static bool join(char *ret_path, const char *a, const char *b)
{
    return snprintf(ret_path, BACKUP_PATH_MAX, "%s/%s", a, b) < BACKUP_PATH_MAX;
}

static int stage(const struct place *p)
{
    char from[BACKUP_PATH_MAX], to[BACKUP_PATH_MAX], error[ERROR_SIZE], hash[65];
    int64_t size;
    json_t *files = json_object();
    int e = mkdir(p->part, 0700) == 0 && join(to, p->part, "data") && mkdir(to, 0700) == 0 ? CVM_OK : CVM_EIO;
    snprintf(error, sizeof error, "%s cannot be made: %s", p->part, strerror(errno));
    if (!e && join(from, p->dir, BACKUP_DATABASE) && join(to, p->part, HOME_DATABASE))
        e = backup_copy(from, to, hash, &size, error, sizeof error);
    for (const struct backup_folder *f = backup_folders; !e && f->name; f++)
        if (join(from, p->dir, f->name) && join(to, p->part, f->home))
            e = backup_copy_folder(from, to, f->name, NULL, files, error, sizeof error);
    json_decref(files);
    return e ? cli_fail(CLI_FAILED, "%s", error) : CLI_OK;
}

/* A folder of the home gives way to the staged one. One that the backup does not have stays. */
static int exchange(struct place *p, const char *name)
{
    char staged[BACKUP_PATH_MAX], home[BACKUP_PATH_MAX], aside[BACKUP_PATH_MAX];
    if (!join(staged, p->part, name) || !join(home, p->home, name) || !join(aside, p->aside, name))
        return cli_fail(CLI_FAILED, "the path is too long");
    if (access(staged, F_OK) < 0)
        return CLI_OK;
    if (rmdir(home) < 0 && errno != ENOENT) {
        if (!p->set_aside && mkdir(p->aside, 0700) < 0 && errno != EEXIST)
            return cli_fail(CLI_FAILED, "%s cannot be made: %s", p->aside, strerror(errno));
        p->set_aside = true;
        if (rename(home, aside) < 0)
            return cli_fail(CLI_FAILED, "%s cannot be renamed to %s: %s", home, aside, strerror(errno));
    }
    if (rename(staged, home) < 0)
        return cli_fail(CLI_FAILED, "%s cannot be renamed to %s: %s", staged, home, strerror(errno));
    return CLI_OK;
}

static int put_in_place(struct place *p, const char *made_at, int64_t *ret_open)
{
    static const char *const folders[] = {"config", "manifests", "plugins", "data"}; /* with the last it is restored */
    char path[BACKUP_PATH_MAX], error[ERROR_SIZE];
    int lock = -1, status = stage(p);
    if (status == CLI_OK && join(path, p->part, HOME_DATABASE))
        status = mark_open(path, made_at, ret_open);
    if (status == CLI_OK && home_prepare(p->home, error, sizeof error) < 0)
        status = cli_fail(CLI_FAILED, "%s", error);
    if (status == CLI_OK && home_lock(p->home, &lock, error, sizeof error) < 0)
        status = cli_fail(CLI_REFUSED, "%s", error);
    for (size_t i = 0; status == CLI_OK && i < sizeof folders / sizeof *folders; i++)
        status = exchange(p, folders[i]);
    if (status == CLI_OK && (rmdir(p->part) < 0 || backup_sync_folder(p->home) < 0))
        status = cli_fail(CLI_FAILED, "%s: %s", p->home, strerror(errno));
    if (lock >= 0)
        close(lock);
    return status;
}

static void tell_missing(const struct place *p, const json_t *list)
{
    char path[BACKUP_PATH_MAX], folder[BACKUP_PATH_MAX];
    sqlite3 *db = NULL;
    json_t *one, *missing = NULL;
    size_t i;
    join(path, p->home, HOME_DATABASE);
    join(folder, p->home, "data/builds");
    if (backup_open_still(path, &db) == CVM_OK)
        missing = backup_missing_builds(db, folder);
    sqlite3_close(db);
    json_array_foreach(missing, i, one)
        fprintf(stderr, "cvmhost: warning: %s is not in the backup; the plugin that stands in the folder runs\n",
                json_string_value(one));
    json_decref(missing);
    json_array_foreach(json_object_get(list, "left_out"), i, one)
    {
        const char *name = json_string_value(one);
        snprintf(path, sizeof path, "%s%s%s", *name == '/' ? "" : p->home, *name == '/' ? "" : "/", name);
        if (access(path, R_OK) < 0)
            fprintf(stderr, "cvmhost: warning: %s held secrets and is not in the backup: put it back\n", path);
    }
}

static int restore(struct cli *cli, const char *dir, const json_t *list)
{
    struct place p = {.home = cli->home, .dir = dir};
    char stamp[32];
    time_t now = time(NULL);
    struct tm tm;
    int64_t open = 0;
    gmtime_r(&now, &tm);
    strftime(stamp, sizeof stamp, "%Y%m%dT%H%M%SZ", &tm);
    snprintf(p.part, sizeof p.part, "%s/restore-%s.part", cli->home, stamp);
    snprintf(p.aside, sizeof p.aside, "%s/before-restore-%s", cli->home, stamp);
    int status = put_in_place(&p, cvm_json_str(list, "made_at", ""), &open);
    if (status != CLI_OK) {
        fprintf(stderr,
                "cvmhost: the restore is not complete: what was copied is in %s%s%s; say it again with --force\n",
                p.part, p.set_aside ? ", what was there in " : "", p.set_aside ? p.aside : "");
        return status;
    }
    fprintf(cli->out, "%s: restored as of %s, turn %lld; %lld open things go on as after a crash\n", cli->home,
            cvm_json_str(list, "made_at", "?"), (long long)cvm_json_int(list, "last_turn", 0), (long long)open);
    if (p.set_aside)
        fprintf(cli->out, "what was there before is in %s\n", p.aside);
    tell_missing(&p, list);
    fprintf(cli->out, "next: cvmhost --home %s config check; cvmhost --home %s db check; cvmhost --home %s serve\n",
            cli->home, cli->home, cli->home);
    return CLI_OK;
}

int cli_restore(struct cli *cli)
{
    const char *dir = NULL;
    char path[BACKUP_PATH_MAX];
    json_t *list = NULL;
    bool force = cli_take_flag(cli, "--force", NULL);
    int status = cli_arguments(cli, "restore DIR [--force]", NULL, 0, &dir, 1, 1);
    if (status != CLI_OK)
        return status;
    if (strlen(dir) + strlen(cli->home) > BACKUP_PATH_MAX - 600)
        return cli_fail(CLI_USAGE, "the path is too long");
    status = read_list(dir, &list);
    if (status == CLI_OK)
        status = check_home(cli, force);
    if (status == CLI_OK)
        status = check_files(dir, json_object_get(list, "files"));
    if (status == CLI_OK && join(path, dir, BACKUP_DATABASE))
        status = check_database(path);
    if (status == CLI_OK)
        status = restore(cli, dir, list);
    json_decref(list);
    return status;
}
