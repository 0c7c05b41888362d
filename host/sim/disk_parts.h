/* What disk.c and disk_vfs.c share. */
#ifndef HOST_SIM_DISK_PARTS_H
#define HOST_SIM_DISK_PARTS_H

#include "conform/parts.h"
#include "sim/disk.h"
#include <sqlite3.h>

struct disk_write {
    size_t at, n, n_before, size_before;
    char *before, *after; /* `after` NULL: cut off at `at` */
};

/* The lock and the shared memory of a database belong to its main file. */
struct disk_file {
    struct disk_file *next;
    char *name;
    char *data;
    size_t size, cap;
    struct disk_write *writes; /* not synced */
    size_t n, writes_cap;
    int refs;
    bool deleted;
    int shared; /* connections that hold SHARED or more */
    const void *reserved, *exclusive;
    void *regions[64];
    int n_regions, mappers;
    int shm_shared[SQLITE_SHM_NLOCK];
    const void *shm_exclusive[SQLITE_SHM_NLOCK];
};

struct disk {
    char *folder;
    struct disk_file *files;
    struct gen gen;
    enum disk_fault fault;
    uint32_t percent;
    uint64_t operations, cut_at;
    bool cut, rests;
};

extern struct disk *disk_here;

struct disk_file *disk_find(struct disk *d, const char *name);
struct disk_file *disk_make(struct disk *d, const char *name);
void disk_drop(struct disk *d, struct disk_file *file);
bool disk_step(struct disk *d); /* counts; false: there is no power */
bool disk_fails(struct disk *d, enum disk_fault fault);
int disk_put(struct disk_file *f, const void *bytes, size_t n, size_t at);
int disk_cut_off(struct disk_file *f, size_t size);
void disk_sync(struct disk_file *f);

void disk_vfs_register(void);
void disk_vfs_unregister(void);

#endif
