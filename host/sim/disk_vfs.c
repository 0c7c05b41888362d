/* SQLite's calls on the files of a disk in memory: reading, writing, locks, the shared memory of the write-ahead log.
 */
#include "sim/disk_parts.h"

#include <stdlib.h>
#include <string.h>

struct handle {
    sqlite3_file base; /* first */
    struct disk_file *file;
    int lock;
    bool maps;
    uint16_t shm_shared, shm_exclusive; /* bit per slot */
};

static sqlite3_vfs *system_vfs;

static struct handle *of(sqlite3_file *file)
{
    return (struct handle *)file;
}

/* ---- files --------------------------------------------------------------------------------------------------------
 */

static int v_unlock(sqlite3_file *file, int level);
static int v_shm_unmap(sqlite3_file *file, int delete);

static int v_close(sqlite3_file *file)
{
    struct disk_file *f = of(file)->file;
    v_unlock(file, SQLITE_LOCK_NONE);
    v_shm_unmap(file, 0);
    if (--f->refs == 0 && f->deleted)
        disk_drop(disk_here, f);
    return SQLITE_OK;
}

static int v_read(sqlite3_file *file, void *to, int n, sqlite3_int64 at)
{
    const struct disk_file *f = of(file)->file;
    size_t from = (size_t)at, want = (size_t)n, have = from < f->size ? f->size - from : 0;
    if (disk_fails(disk_here, DISK_IO_READ))
        return SQLITE_IOERR_READ;
    if (have >= want) {
        memcpy(to, f->data + from, want);
        return SQLITE_OK;
    }
    if (have)
        memcpy(to, f->data + from, have);
    memset((char *)to + have, 0, want - have);
    return SQLITE_IOERR_SHORT_READ;
}

static int v_write(sqlite3_file *file, const void *from, int n, sqlite3_int64 at)
{
    struct disk_file *f = of(file)->file;
    if (!disk_step(disk_here) || disk_fails(disk_here, DISK_IO_WRITE))
        return SQLITE_IOERR_WRITE;
    if (disk_fails(disk_here, DISK_FULL))
        return SQLITE_FULL;
    return disk_put(f, from, (size_t)n, (size_t)at);
}

static int v_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    if (!disk_step(disk_here) || disk_fails(disk_here, DISK_IO_WRITE))
        return SQLITE_IOERR_TRUNCATE;
    return disk_cut_off(of(file)->file, (size_t)size);
}

static int v_sync(sqlite3_file *file, int flags)
{
    (void)flags;
    if (!disk_step(disk_here) || disk_fails(disk_here, DISK_IO_SYNC))
        return SQLITE_IOERR_FSYNC;
    disk_sync(of(file)->file);
    return SQLITE_OK;
}

static int v_size(sqlite3_file *file, sqlite3_int64 *ret_size)
{
    *ret_size = (sqlite3_int64)of(file)->file->size;
    return SQLITE_OK;
}

/* ---- locks of the file --------------------------------------------------------------------------------------------
 */

static int v_lock(sqlite3_file *file, int level)
{
    struct handle *h = of(file);
    struct disk_file *f = h->file;
    if (h->lock >= level)
        return SQLITE_OK;
    if (f->exclusive && f->exclusive != h)
        return SQLITE_BUSY;
    if (h->lock == SQLITE_LOCK_NONE)
        f->shared++;
    if (level >= SQLITE_LOCK_RESERVED) {
        if (f->reserved && f->reserved != h)
            goto busy;
        f->reserved = h;
    }
    if (level == SQLITE_LOCK_EXCLUSIVE) {
        if (f->shared > 1)
            goto busy;
        f->exclusive = h;
    }
    h->lock = level;
    return SQLITE_OK;
busy:
    if (h->lock == SQLITE_LOCK_NONE)
        f->shared--;
    return SQLITE_BUSY;
}

static int v_unlock(sqlite3_file *file, int level)
{
    struct handle *h = of(file);
    struct disk_file *f = h->file;
    if (h->lock <= level)
        return SQLITE_OK;
    if (f->exclusive == h)
        f->exclusive = NULL;
    if (f->reserved == h)
        f->reserved = NULL;
    if (level == SQLITE_LOCK_NONE)
        f->shared--;
    h->lock = level;
    return SQLITE_OK;
}

static int v_check_reserved(sqlite3_file *file, int *ret_reserved)
{
    *ret_reserved = of(file)->file->reserved != NULL;
    return SQLITE_OK;
}

static int v_control(sqlite3_file *file, int op, void *arg)
{
    (void)file;
    (void)op;
    (void)arg;
    return SQLITE_NOTFOUND;
}

static int v_sector(sqlite3_file *file)
{
    (void)file;
    return 4096;
}

static int v_device(sqlite3_file *file)
{
    (void)file;
    return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

/* ---- shared memory of the log: this process's, so gone with it ------------------------------------------------------
 */

static int v_shm_map(sqlite3_file *file, int region, int size, int extend, void volatile **ret)
{
    struct handle *h = of(file);
    struct disk_file *f = h->file;
    if (!h->maps) {
        h->maps = true;
        f->mappers++;
    }
    *ret = NULL;
    if (region >= (int)(sizeof f->regions / sizeof *f->regions))
        return SQLITE_IOERR_SHMSIZE;
    while (f->n_regions <= region) {
        if (!extend)
            return SQLITE_OK;
        if (!(f->regions[f->n_regions] = calloc(1, (size_t)size)))
            return SQLITE_NOMEM;
        f->n_regions++;
    }
    *ret = f->regions[region];
    return SQLITE_OK;
}

static int v_shm_lock(sqlite3_file *file, int slot, int n, int flags)
{
    struct handle *h = of(file);
    struct disk_file *f = h->file;
    for (int i = slot; i < slot + n && (flags & SQLITE_SHM_LOCK); i++) {
        if (f->shm_exclusive[i] && f->shm_exclusive[i] != h)
            return SQLITE_BUSY;
        if ((flags & SQLITE_SHM_EXCLUSIVE) && f->shm_shared[i] > (int)(h->shm_shared >> i & 1))
            return SQLITE_BUSY;
    }
    for (int i = slot; i < slot + n; i++) {
        uint16_t bit = (uint16_t)(1u << i);
        bool exclusive = flags & SQLITE_SHM_EXCLUSIVE;
        if (flags & SQLITE_SHM_LOCK) {
            if (exclusive) {
                f->shm_exclusive[i] = h;
                h->shm_exclusive |= bit;
            } else if (!(h->shm_shared & bit)) {
                f->shm_shared[i]++;
                h->shm_shared |= bit;
            }
        } else if (exclusive && (h->shm_exclusive & bit)) {
            f->shm_exclusive[i] = NULL;
            h->shm_exclusive = (uint16_t)(h->shm_exclusive & ~bit);
        } else if (!exclusive && (h->shm_shared & bit)) {
            f->shm_shared[i]--;
            h->shm_shared = (uint16_t)(h->shm_shared & ~bit);
        }
    }
    return SQLITE_OK;
}

static void v_shm_barrier(sqlite3_file *file)
{
    (void)file;
}

static int v_shm_unmap(sqlite3_file *file, int delete)
{
    struct handle *h = of(file);
    struct disk_file *f = h->file;
    (void)delete;
    v_shm_lock(file, 0, SQLITE_SHM_NLOCK, SQLITE_SHM_UNLOCK | SQLITE_SHM_SHARED);
    v_shm_lock(file, 0, SQLITE_SHM_NLOCK, SQLITE_SHM_UNLOCK | SQLITE_SHM_EXCLUSIVE);
    if (h->maps && --f->mappers == 0) {
        while (f->n_regions)
            free(f->regions[--f->n_regions]);
    }
    h->maps = false;
    return SQLITE_OK;
}

static const sqlite3_io_methods methods = {2,        v_close,   v_read,     v_write,          v_truncate, v_sync,
                                           v_size,   v_lock,    v_unlock,   v_check_reserved, v_control,  v_sector,
                                           v_device, v_shm_map, v_shm_lock, v_shm_barrier,    v_shm_unmap};

/* ---- the folder ---------------------------------------------------------------------------------------------------
 */

static bool ours(const char *name)
{
    return name && disk_here && strncmp(name, disk_here->folder, strlen(disk_here->folder)) == 0;
}

static int v_open(sqlite3_vfs *vfs, sqlite3_filename name, sqlite3_file *file, int flags, int *ret_flags)
{
    struct handle *h = of(file);
    (void)vfs;
    if (!ours(name))
        return system_vfs->xOpen(system_vfs, name, file, flags, ret_flags);
    struct disk_file *f = disk_find(disk_here, name);
    *h = (struct handle){{NULL}, NULL, 0, false, 0, 0};
    if (!f && !(flags & SQLITE_OPEN_CREATE))
        return SQLITE_CANTOPEN;
    if (!f && (!disk_step(disk_here) || !(f = disk_make(disk_here, name))))
        return SQLITE_CANTOPEN;
    f->refs++;
    h->file = f;
    h->base.pMethods = &methods;
    if (ret_flags)
        *ret_flags = flags;
    return SQLITE_OK;
}

static int v_delete(sqlite3_vfs *vfs, const char *name, int sync)
{
    (void)vfs;
    if (!ours(name))
        return system_vfs->xDelete(system_vfs, name, sync);
    struct disk_file *f = disk_find(disk_here, name);
    if (!disk_step(disk_here))
        return SQLITE_IOERR_DELETE;
    if (!f)
        return SQLITE_IOERR_DELETE_NOENT;
    f->deleted = true;
    if (!f->refs)
        disk_drop(disk_here, f);
    return SQLITE_OK;
}

static int v_access(sqlite3_vfs *vfs, const char *name, int flags, int *ret)
{
    (void)vfs;
    if (!ours(name))
        return system_vfs->xAccess(system_vfs, name, flags, ret);
    const struct disk_file *f = disk_find(disk_here, name);
    *ret = f && (flags != SQLITE_ACCESS_EXISTS || f->size);
    return SQLITE_OK;
}

static int v_full(sqlite3_vfs *vfs, const char *name, int n, char *ret)
{
    (void)vfs;
    if (!ours(name))
        return system_vfs->xFullPathname(system_vfs, name, n, ret);
    sqlite3_snprintf(n, ret, "%s", name);
    return SQLITE_OK;
}

static int v_random(sqlite3_vfs *vfs, int n, char *ret)
{
    (void)vfs;
    for (int i = 0; i < n; i++)
        ret[i] = disk_here ? (char)gen_next(&disk_here->gen) : 0;
    return n;
}

static int v_sleep(sqlite3_vfs *vfs, int us)
{
    (void)vfs;
    return us; /* whoever holds it is waiting below us on this thread */
}

static sqlite3_vfs disk_vfs = {.iVersion = 1,
                               .mxPathname = 1024,
                               .zName = "cvmhost-sim",
                               .xOpen = v_open,
                               .xDelete = v_delete,
                               .xAccess = v_access,
                               .xFullPathname = v_full,
                               .xRandomness = v_random,
                               .xSleep = v_sleep};

static int v_time(sqlite3_vfs *vfs, double *ret)
{
    (void)vfs;
    *ret = 2460000.5; /* a date; nothing depends on it */
    return SQLITE_OK;
}

static int v_last_error(sqlite3_vfs *vfs, int n, char *ret)
{
    (void)vfs;
    (void)n;
    (void)ret;
    return 0;
}

void disk_vfs_register(void)
{
    if (!system_vfs)
        system_vfs = sqlite3_vfs_find(NULL);
    int size = (int)sizeof(struct handle);
    disk_vfs.szOsFile = size > system_vfs->szOsFile ? size : system_vfs->szOsFile;
    disk_vfs.xCurrentTime = v_time;
    disk_vfs.xGetLastError = v_last_error;
    sqlite3_vfs_register(&disk_vfs, 1);
}

void disk_vfs_unregister(void)
{
    sqlite3_vfs_unregister(&disk_vfs);
}
