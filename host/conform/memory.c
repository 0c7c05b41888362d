/* Memory of a plugin's handlers: every block of jansson, and of the library's own malloc, is known by the handler that
 * asked for it, may be denied, and stands in quarantine for a while after it was freed, so that a second free or a
 * write behind it is seen. In a child, which has one thread. */
#include "conform/parts.h"

#include <elf.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define QUARANTINE 4096
#define QUARANTINE_BLOCK_MAX 65536
#define FREED 0xdd
#define WHERES_MAX 4096

struct block {
    char *at;
    uint32_t size, where; /* where: 0 the host's; index into `wheres` */
    bool freed;
};

static struct block *blocks; /* open addressing */
static size_t cap, used;
static char *wheres[WHERES_MAX];
static size_t n_wheres = 1;
static struct block quarantine[QUARANTINE];
static size_t quarantine_at;
static bool tracking;
static uint32_t inside; /* index of the handler that runs */
static int host_depth;
static int64_t events, fail_at;
static bool fail_on, failed, spared;
static char wrong[200];

/* ---- the table ---- */

static size_t slot_of(const char *at)
{
    return (size_t)(gen_mix((uint64_t)(uintptr_t)at, 1) & (cap - 1));
}

static struct block *lookup(const char *at)
{
    for (size_t i = slot_of(at); cap; i = (i + 1) & (cap - 1)) {
        if (blocks[i].at == at)
            return &blocks[i];
        if (!blocks[i].at)
            return NULL;
    }
    return NULL;
}

static void insert(struct block block)
{
    size_t i = slot_of(block.at);
    while (blocks[i].at && blocks[i].at != block.at)
        i = (i + 1) & (cap - 1);
    used += !blocks[i].at;
    blocks[i] = block;
}

static void take_out(struct block *block)
{
    size_t hole = (size_t)(block - blocks);
    for (size_t i = (hole + 1) & (cap - 1); blocks[i].at; i = (i + 1) & (cap - 1)) {
        size_t home = slot_of(blocks[i].at);
        if (((i - home) & (cap - 1)) >= ((i - hole) & (cap - 1))) {
            blocks[hole] = blocks[i];
            hole = i;
        }
    }
    blocks[hole].at = NULL;
    used--;
}

static void know(void *at, size_t size)
{
    if (used * 2 >= cap) {
        struct block *old = blocks;
        size_t n = cap;
        cap = cap ? cap * 2 : 1 << 16;
        used = 0;
        blocks = calloc(cap, sizeof *blocks);
        if (!blocks)
            abort();
        for (size_t i = 0; i < n; i++)
            if (old[i].at)
                insert(old[i]);
        free(old);
    }
    insert((struct block){.at = at, .size = (uint32_t)size, .where = host_depth ? 0 : inside});
}

/* ---- freed blocks ---- */

static void tell(const char *what, const struct block *block)
{
    if (!*wrong)
        snprintf(wrong, sizeof wrong, "%s (%u bytes%s%s)", what, block->size, block->where ? ", made in " : "",
                 block->where ? wheres[block->where] : "");
}

static bool untouched(const struct block *block)
{
    for (uint32_t i = 0; i < block->size; i++)
        if ((unsigned char)block->at[i] != FREED)
            return false;
    return true;
}

static void let_go(struct block *q)
{
    if (!q->at)
        return;
    if (!untouched(q))
        tell("wrote to a value after the last reference to it was dropped", q);
    struct block *known = lookup(q->at);
    if (known)
        take_out(known);
    free(q->at);
    q->at = NULL;
}

static void release(void *at)
{
    struct block *block = at && tracking ? lookup(at) : NULL;
    if (block && block->freed) {
        tell("freed a value twice", block);
        return;
    }
    if (!block || !block->where || block->size > QUARANTINE_BLOCK_MAX) {
        if (block)
            take_out(block);
        free(at);
        return;
    }
    block->freed = true;
    memset(at, FREED, block->size);
    struct block *q = &quarantine[quarantine_at++ % QUARANTINE];
    struct block copy = *block;
    let_go(q);
    *q = copy;
}

/* ---- what jansson and the library call ---- */

static bool denied(void)
{
    if (!inside || host_depth || spared)
        return false;
    events++;
    if (!fail_at || (fail_on ? events < fail_at : events != fail_at))
        return false;
    failed = true;
    return true;
}

bool memory_call_fails(void)
{
    return denied();
}

static void *give(size_t size)
{
    if (denied())
        return NULL;
    void *at = malloc(size ? size : 1);
    if (at && tracking)
        know(at, size);
    return at;
}

static void *give_cleared(size_t n, size_t size)
{
    size_t total;
    if (__builtin_mul_overflow(n, size, &total))
        return NULL;
    void *at = give(total);
    return at ? memset(at, 0, total) : NULL;
}

static void *give_again(void *old, size_t size)
{
    struct block *block = old ? lookup(old) : NULL;
    if (!old)
        return give(size);
    if (!block)
        return realloc(old, size);
    uint32_t had = block->size;
    char *at = give(size);
    if (at) {
        memcpy(at, old, had < size ? had : size);
        release(old);
    }
    return at;
}

static char *give_text(const char *text)
{
    size_t n = strlen(text) + 1;
    char *copy = give(n);
    return copy ? memcpy(copy, text, n) : NULL;
}

static char *give_some(const char *text, size_t most)
{
    size_t n = strnlen(text, most);
    char *copy = give(n + 1);
    if (copy) {
        memcpy(copy, text, n);
        copy[n] = 0;
    }
    return copy;
}

/* Reading a text is one request: the parser of jansson 2.14 takes no notice when its buffer cannot grow, and reads on
 * behind it, which is no mistake of the plugin. */
static json_t *read_text(const char *text, size_t flags, json_error_t *error)
{
    if (denied())
        return NULL;
    spared = true;
    json_t *value = json_loads(text, flags, error);
    spared = false;
    return value;
}

static json_t *read_bytes(const char *bytes, size_t n, size_t flags, json_error_t *error)
{
    if (denied())
        return NULL;
    spared = true;
    json_t *value = json_loadb(bytes, n, flags, error);
    spared = false;
    return value;
}

/* ---- clocks: of the world, which a turn must not ask ---- */

static int64_t shift_s;

static time_t shifted_time(time_t *ret)
{
    time_t now = time(NULL) + shift_s;
    if (ret)
        *ret = now;
    return now;
}

static int shifted_clock(clockid_t id, struct timespec *ret)
{
    int e = clock_gettime(id, ret);
    ret->tv_sec += shift_s;
    return e;
}

static int shifted_day(struct timeval *ret, void *zone)
{
    int e = gettimeofday(ret, zone);
    ret->tv_sec += shift_s;
    return e;
}

void memory_shift(int64_t seconds)
{
    shift_s = seconds;
    srand((unsigned)seconds + 1);
    srandom((unsigned)seconds + 1);
    srand48(seconds + 1);
}

/* ---- the library's own calls ---- */

static const struct {
    const char *name;
    void *in_place;
} replaced[] = {{"malloc", (void *)give},
                {"calloc", (void *)give_cleared},
                {"realloc", (void *)give_again},
                {"strdup", (void *)give_text},
                {"__strdup", (void *)give_text},
                {"strndup", (void *)give_some},
                {"free", (void *)release},
                {"time", (void *)shifted_time},
                {"clock_gettime", (void *)shifted_clock},
                {"gettimeofday", (void *)shifted_day},
                {"json_loads", (void *)read_text},
                {"json_loadb", (void *)read_bytes}};

struct tables {
    const ElfW(Sym) * symbols;
    const char *strings;
    const ElfW(Rela) * relocations[2];
    size_t n[2];
};

static void patch(const struct dl_phdr_info *info, const struct tables *t, const ElfW(Rela) * r)
{
    const ElfW(Sym) *symbol = &t->symbols[ELF64_R_SYM(r->r_info)];
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    void **slot = (void **)(info->dlpi_addr + r->r_offset);
    if (!ELF64_R_SYM(r->r_info) || symbol->st_shndx != SHN_UNDEF)
        return;
    for (size_t i = 0; i < sizeof replaced / sizeof *replaced; i++) {
        if (strcmp(t->strings + symbol->st_name, replaced[i].name) != 0)
            continue;
        void *begin = (void *)((uintptr_t)slot & ~(page - 1)); /* read only by now */
        if (mprotect(begin, page, PROT_READ | PROT_WRITE) == 0)
            *slot = replaced[i].in_place;
    }
}

static int patch_library(struct dl_phdr_info *info, size_t size, void *home)
{
    struct tables t = {0};
    const ElfW(Dyn) *dynamic = NULL;
    (void)size;
    if (!info->dlpi_name || strncmp(info->dlpi_name, home, strlen(home)) != 0)
        return 0;
    for (int i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_DYNAMIC)
            dynamic = (const ElfW(Dyn) *)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr);
    for (const ElfW(Dyn) *d = dynamic; d && d->d_tag != DT_NULL; d++) {
        if (d->d_tag == DT_SYMTAB)
            t.symbols = (const ElfW(Sym) *)d->d_un.d_ptr;
        if (d->d_tag == DT_STRTAB)
            t.strings = (const char *)d->d_un.d_ptr;
        if (d->d_tag == DT_JMPREL)
            t.relocations[0] = (const ElfW(Rela) *)d->d_un.d_ptr;
        if (d->d_tag == DT_PLTRELSZ)
            t.n[0] = d->d_un.d_val / sizeof(ElfW(Rela));
        if (d->d_tag == DT_RELA)
            t.relocations[1] = (const ElfW(Rela) *)d->d_un.d_ptr;
        if (d->d_tag == DT_RELASZ)
            t.n[1] = d->d_un.d_val / sizeof(ElfW(Rela));
    }
    for (int i = 0; i < 2 && t.symbols && t.strings; i++)
        for (size_t k = 0; t.relocations[i] && k < t.n[i]; k++)
            patch(info, &t, &t.relocations[i][k]);
    return 0;
}

void memory_patch(const char *home)
{
    char real[CONFORM_PATH];
    if (realpath(home, real))
        dl_iterate_phdr(patch_library, real);
}

/* ---- who asks ---- */

void memory_begin(void)
{
    tracking = true;
    json_set_alloc_funcs(give, release);
}

void memory_enter(const char *where)
{
    inside = 0;
    host_depth = 0;
    for (uint32_t i = 1; where && i < n_wheres && !inside; i++)
        if (strcmp(wheres[i], where) == 0)
            inside = i;
    if (where && !inside) {
        if (n_wheres < WHERES_MAX && !(wheres[n_wheres] = strdup(where)))
            abort();
        inside = (uint32_t)(n_wheres < WHERES_MAX ? n_wheres++ : n_wheres - 1);
    }
}

void memory_host(bool entered)
{
    host_depth += entered ? 1 : -1;
}

void memory_fail(int64_t nth, bool on)
{
    events = 0;
    fail_at = nth;
    fail_on = on;
    failed = false;
}

int64_t memory_events(void)
{
    return events;
}

bool memory_failed(void)
{
    return failed;
}

const char *memory_wrong(void)
{
    static char text[sizeof wrong];
    size_t from = quarantine_at > 256 ? quarantine_at - 256 : 0;
    for (size_t i = from; i < quarantine_at; i++) { /* the youngest; older ones when they are let go */
        struct block *q = &quarantine[i % QUARANTINE];
        if (q->at && !untouched(q)) {
            tell("wrote to a value after the last reference to it was dropped", q);
            memset(q->at, FREED, q->size);
        }
    }
    if (!*wrong)
        return NULL;
    memcpy(text, wrong, sizeof text);
    *wrong = 0;
    return text;
}

size_t memory_left(json_t *ret_counts)
{
    size_t n = 0, n_by[WHERES_MAX] = {0};
    for (size_t i = 0; i < cap; i++) {
        if (!blocks[i].at || !blocks[i].where || blocks[i].freed)
            continue;
        n++;
        n_by[blocks[i].where]++;
    }
    tracking = false; /* the counts are none of them */
    for (size_t i = 1; i < n_wheres; i++)
        if (n_by[i])
            json_object_set_new(ret_counts, wheres[i], json_integer((json_int_t)n_by[i]));
    tracking = true;
    return n;
}
