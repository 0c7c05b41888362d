/* What `backup` and `restore` share: the layout of a backup, and copying files with their hashes. One thread; blocks.
 */
#ifndef HOST_CLI_BACKUP_H
#define HOST_CLI_BACKUP_H

#include "cli/cli.h"
#include <sqlite3.h>

#define BACKUP_FORMAT 1
#define BACKUP_LIST "backup.json"
#define BACKUP_DATABASE "cvmhost.db"
#define BACKUP_PATH_MAX 4096
#define BACKUP_FILES_MAX 10000
#define BACKUP_DEPTH_MAX 8

/* Folders of a backup, and where they belong in the home. */
struct backup_folder {
    const char *name, *home;
};
extern const struct backup_folder backup_folders[]; /* ends with {NULL} */

/* Copies a file (NULL: only reads it) and gives its SHA-256 in hex and its size; the copy is on the disk then. An
 * error comes with a sentence. */
int backup_copy(const char *from, const char *to, char ret_hash[65], int64_t *ret_size, char *ret_error,
                size_t error_size);
/* Copies a folder with all below; adds "name/file": {"sha256", "size"} to `files` for each. A folder that is not there
 * is none. `but` is left out (a path; NULL: nothing). */
int backup_copy_folder(const char *from, const char *to, const char *name, const char *but, json_t *files,
                       char *ret_error, size_t error_size);
int backup_sync_folder(const char *path);
/* Opens a database file that nobody writes, without making files beside it. */
int backup_open_still(const char *path, sqlite3 **ret_db);
/* The first column of the first row; `fallback` where there is none. */
int64_t backup_number(sqlite3 *db, const char *sql, int64_t fallback);
/* Builds that the database names and the folder does not have, as an array of names. */
json_t *backup_missing_builds(sqlite3 *db, const char *folder);

#endif
