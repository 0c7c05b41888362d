/* SQLite without waiting for the disk: what children write is thrown away, and a process that is killed loses nothing
 * that the system has taken. In a child, before it opens a database. */
#include "conform/parts.h"

#include <sqlite3.h>

#define METHODS_MAX 8

static sqlite3_vfs *base;
static struct {
    const sqlite3_io_methods *was;
    sqlite3_io_methods is;
} methods[METHODS_MAX];
static int n_methods;

static int no_sync(sqlite3_file *file, int flags)
{
    (void)file;
    (void)flags;
    return SQLITE_OK;
}

static int open_unsynced(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *ret_flags)
{
    (void)vfs;
    int e = base->xOpen(base, name, file, flags, ret_flags), i = 0;
    if (e != SQLITE_OK || !file->pMethods)
        return e;
    while (i < n_methods && methods[i].was != file->pMethods)
        i++;
    if (i == n_methods && n_methods < METHODS_MAX) {
        methods[i].was = file->pMethods;
        methods[i].is = *file->pMethods;
        methods[i].is.xSync = no_sync;
        n_methods++;
    }
    if (i < n_methods)
        file->pMethods = &methods[i].is;
    return e;
}

static int delete_unsynced(sqlite3_vfs *vfs, const char *name, int sync_folder)
{
    (void)vfs;
    (void)sync_folder;
    return base->xDelete(base, name, 0);
}

void unsynced_begin(void)
{
    static sqlite3_vfs vfs;
    base = sqlite3_vfs_find(NULL);
    if (!base)
        return;
    vfs = *base;
    vfs.zName = "unsynced";
    vfs.pNext = NULL;
    vfs.xOpen = open_unsynced;
    vfs.xDelete = delete_unsynced;
    sqlite3_vfs_register(&vfs, 1);
}
