/* What the program asks of its allocator beyond memory. The host is linked with jemalloc, whose way of asking is used
 * where it is there; tests, sanitizers and builds without it have that of glibc. Any thread. */
#include "core/heap.h"

#include <malloc.h>
#include <stdint.h>

/* Of jemalloc. */
int mallctl(const char *name, void *old, size_t *old_size, void *fresh, size_t fresh_size) __attribute__((weak));

#define ALL_ARENAS 4096 /* MALLCTL_ARENAS_ALL */
#define TEXT(number) TEXT_OF(number)
#define TEXT_OF(number) #number

void heap_give_back(void)
{
    if (mallctl)
        (void)mallctl("arena." TEXT(ALL_ARENAS) ".purge", NULL, NULL, NULL, 0);
    else
        malloc_trim(0);
}

size_t heap_used(void)
{
    uint64_t epoch = 1;
    size_t used = 0, size = sizeof used;
    if (!mallctl)
        return mallinfo2().uordblks;
    /* what the thread keeps for itself counts as used */
    (void)mallctl("thread.tcache.flush", NULL, NULL, NULL, 0);
    (void)mallctl("epoch", NULL, NULL, &epoch, sizeof epoch);
    return mallctl("stats.allocated", &used, &size, NULL, 0) ? 0 : used;
}
