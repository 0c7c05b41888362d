/* A disk in memory for one home: an SQLite VFS that keeps, of every file, what is synced and what is only written. It
 * fails when told to, loses its power at any write, and after that shows what such a disk may show: of what was not
 * synced each part is there, missing, or torn. Files outside its folder are the system's. One disk at a time; loop
 * thread of a virtual core. */
#ifndef HOST_SIM_DISK_H
#define HOST_SIM_DISK_H

#include <stdbool.h>
#include <stdint.h>

struct disk;

enum disk_fault {
    DISK_GOOD,
    DISK_IO_WRITE, /* writes fail with an I/O error */
    DISK_IO_SYNC,
    DISK_IO_READ,
    DISK_FULL
};

/* Becomes the VFS of all databases below `folder` (copied), from now until disk_free. NULL: out of memory. */
struct disk *disk_new(const char *folder, uint64_t seed);
void disk_free(struct disk *d);

void disk_fail(struct disk *d, enum disk_fault fault, uint32_t percent); /* of the operations of that sort */
void disk_cut_after(struct disk *d, uint64_t operations);                /* 0: now. Writes and syncs count */
bool disk_is_cut(const struct disk *d);
void disk_rest(struct disk *d, bool rest); /* no faults meanwhile, for who only looks */
/* The power is back. No database is open. Gives how many writes were lost. */
uint32_t disk_power(struct disk *d);
/* Whether something that the log says is committed is not synced. */
bool disk_unsynced(const struct disk *d);
uint64_t disk_operations(const struct disk *d);

#endif
