/* See disk.h. SQLite's calls land in disk_vfs.c; here are the files. */
#include "sim/disk_parts.h"

#include "conform/parts.h"
#include <stdlib.h>
#include <string.h>

#define SECTOR 512

struct disk *disk_here; /* the one in use; the VFS has no better place */

struct disk *disk_new(const char *folder, uint64_t seed)
{
    struct disk *d = calloc(1, sizeof *d);
    if (!d || !(d->folder = strdup(folder))) {
        free(d);
        return NULL;
    }
    d->gen.state = seed;
    d->cut_at = UINT64_MAX;
    disk_here = d;
    disk_vfs_register();
    sqlite3_randomness(0, NULL); /* its generator begins anew, from ours */
    return d;
}

static void forget_writes(struct disk_file *f)
{
    for (size_t i = 0; i < f->n; i++) {
        free(f->writes[i].before);
        free(f->writes[i].after);
    }
    f->n = 0;
}

static void file_free(struct disk_file *f)
{
    forget_writes(f);
    for (int i = 0; i < f->n_regions; i++)
        free(f->regions[i]);
    free(f->writes);
    free(f->data);
    free(f->name);
    free(f);
}

void disk_free(struct disk *d)
{
    if (!d)
        return;
    while (d->files) {
        struct disk_file *f = d->files;
        d->files = f->next;
        file_free(f);
    }
    disk_vfs_unregister();
    disk_here = NULL;
    free(d->folder);
    free(d);
}

struct disk_file *disk_find(struct disk *d, const char *name)
{
    for (struct disk_file *f = d->files; f; f = f->next)
        if (!f->deleted && strcmp(f->name, name) == 0)
            return f;
    return NULL;
}

struct disk_file *disk_make(struct disk *d, const char *name)
{
    struct disk_file *f = calloc(1, sizeof *f);
    if (!f || !(f->name = strdup(name))) {
        free(f);
        return NULL;
    }
    f->next = d->files;
    d->files = f;
    return f;
}

void disk_drop(struct disk *d, struct disk_file *file)
{
    for (struct disk_file **at = &d->files; *at; at = &(*at)->next) {
        if (*at != file)
            continue;
        *at = file->next;
        file_free(file);
        return;
    }
}

/* ---- faults -------------------------------------------------------------------------------------------------------
 */

void disk_fail(struct disk *d, enum disk_fault fault, uint32_t percent)
{
    d->fault = fault;
    d->percent = percent;
}

void disk_cut_after(struct disk *d, uint64_t operations)
{
    d->cut_at = d->operations + operations;
    d->cut = d->cut || !operations;
}

void disk_rest(struct disk *d, bool rest)
{
    d->rests = rest;
}

bool disk_is_cut(const struct disk *d)
{
    return d->cut;
}

uint64_t disk_operations(const struct disk *d)
{
    return d->operations;
}

bool disk_step(struct disk *d)
{
    if (d->operations++ >= d->cut_at)
        d->cut = true;
    return !d->cut;
}

bool disk_fails(struct disk *d, enum disk_fault fault)
{
    return d->fault == fault && !d->rests && gen_chance(&d->gen, d->percent);
}

/* How many bytes of the log are committed; as the shared index says it (the format of SQLite's wal-index). */
static size_t committed_bytes(const struct disk *d)
{
    uint32_t frames = 0;
    for (const struct disk_file *f = d->files; f; f = f->next)
        if (f->n_regions && !f->deleted)
            memcpy(&frames, (const char *)f->regions[0] + 16, sizeof frames);
    return frames ? 32 + (size_t)frames * (24 + 4096) : 0;
}

bool disk_unsynced(const struct disk *d)
{
    size_t committed = committed_bytes(d);
    for (const struct disk_file *f = d->files; f; f = f->next) {
        size_t n = strlen(f->name);
        if (n < 4 || strcmp(f->name + n - 4, "-wal") != 0 || f->deleted)
            continue;
        for (size_t i = 0; i < f->n; i++)
            if (f->writes[i].at < committed)
                return true;
    }
    return false;
}

/* ---- bytes --------------------------------------------------------------------------------------------------------
 */

static bool grow(struct disk_file *f, size_t size)
{
    if (size > f->cap) {
        size_t cap = f->cap ? f->cap : 65536;
        while (cap < size)
            cap *= 2;
        char *data = realloc(f->data, cap);
        if (!data)
            return false;
        f->data = data;
        f->cap = cap;
    }
    if (size > f->size)
        memset(f->data + f->size, 0, size - f->size);
    return true;
}

/* What stood there and what stands there now, until the next sync. */
static struct disk_write *remember(struct disk_file *f, size_t at, size_t n)
{
    if (f->n == f->writes_cap) {
        size_t cap = f->writes_cap ? 2 * f->writes_cap : 64;
        struct disk_write *writes = realloc(f->writes, cap * sizeof *writes);
        if (!writes)
            return NULL;
        f->writes = writes;
        f->writes_cap = cap;
    }
    struct disk_write *w = &f->writes[f->n];
    *w = (struct disk_write){.at = at, .n = n, .size_before = f->size};
    size_t kept = at < f->size ? (f->size - at < n ? f->size - at : n) : 0;
    w->n_before = kept;
    w->before = malloc(kept + 1);
    if (!w->before)
        return NULL;
    if (kept)
        memcpy(w->before, f->data + at, kept);
    f->n++;
    return w;
}

int disk_put(struct disk_file *f, const void *bytes, size_t n, size_t at)
{
    struct disk_write *w = remember(f, at, n);
    if (!w || !(w->after = malloc(n + 1)) || !grow(f, at + n))
        return SQLITE_NOMEM;
    memcpy(w->after, bytes, n);
    memcpy(f->data + at, bytes, n);
    if (at + n > f->size)
        f->size = at + n;
    return SQLITE_OK;
}

int disk_cut_off(struct disk_file *f, size_t size)
{
    if (size >= f->size)
        return SQLITE_OK;
    if (!remember(f, size, f->size - size))
        return SQLITE_NOMEM;
    f->size = size; /* `after` stays NULL: a truncation */
    return SQLITE_OK;
}

void disk_sync(struct disk_file *f)
{
    forget_writes(f);
}

/* ---- after the power failed ---------------------------------------------------------------------------------------
 */

static void take_back(struct disk_file *f, const struct disk_write *w)
{
    if (!grow(f, w->size_before))
        abort();
    f->size = w->size_before;
    if (w->n_before)
        memcpy(f->data + w->at, w->before, w->n_before);
}

static void put_again(struct disk_file *f, const struct disk_write *w, size_t from, size_t to)
{
    if (!w->after) {
        f->size = w->at < f->size ? w->at : f->size;
        return;
    }
    if (!grow(f, w->at + to))
        abort();
    memcpy(f->data + w->at + from, w->after + from, to - from);
    if (w->at + to > f->size)
        f->size = w->at + to;
}

/* Each of the writes is there, or not, or a part of its sectors is. */
static uint32_t settle(struct disk *d, struct disk_file *f)
{
    uint32_t lost = 0;
    unsigned keep = gen_chance(&d->gen, 30) ? 0 : gen_chance(&d->gen, 30) ? 100 : (unsigned)gen_below(&d->gen, 100);
    for (size_t i = f->n; i-- > 0;)
        take_back(f, &f->writes[i]);
    for (size_t i = 0; i < f->n; i++) {
        const struct disk_write *w = &f->writes[i];
        if (gen_chance(&d->gen, keep)) {
            put_again(f, w, 0, w->n);
        } else if (w->after && w->n > SECTOR && gen_chance(&d->gen, 25)) {
            size_t cut = SECTOR * (1 + gen_below(&d->gen, w->n / SECTOR));
            cut = cut < w->n ? cut : w->n;
            gen_chance(&d->gen, 50) ? put_again(f, w, 0, cut) : put_again(f, w, cut, w->n);
            lost++;
        } else {
            lost++;
        }
    }
    forget_writes(f);
    return lost;
}

uint32_t disk_power(struct disk *d)
{
    uint32_t lost = 0;
    for (struct disk_file *f = d->files, *next; f; f = next) {
        next = f->next;
        lost += settle(d, f);
    }
    d->cut = false;
    d->cut_at = UINT64_MAX;
    d->fault = DISK_GOOD;
    return lost;
}
