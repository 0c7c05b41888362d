/* The page of memory that the host shares with its supervisor (a memfd): who runs what, and which messages were being
 * handled when the host died. The host writes `running`, the supervisor counts `suspects` after a crash. It outlives
 * the host process, not the supervisor. */
#ifndef HOST_CORE_PAGE_H
#define HOST_CORE_PAGE_H

#include <cvm/cvm.h>
#include <stdatomic.h>

#define PAGE_MAGIC 0x63766d70616765ULL
#define PAGE_SUSPECTS_MAX 64
#define PAGE_COMPONENTS_MAX 1024
#define PAGE_CRASHES_TO_DEAD 2 /* a message begun in this many crashes becomes a dead letter */

struct page {
    uint64_t magic;
    atomic_uint_fast64_t iterations; /* loop iterations that ran turns; the watchdog's sign of life */
    atomic_uint_fast32_t in_turn;    /* 1 while a handler runs */
    uint32_t component;              /* index into `components` */
    cvm_id message;
    int64_t turn_started_ns;    /* CLOCK_MONOTONIC */
    int64_t hard_limit_ns;      /* of the running turn; 0: none */
    atomic_uint_fast32_t ready; /* 1 when the host serves */
    int32_t exit_reason;        /* set by the watchdog before it aborts the host: 1 */
    uint32_t n_components;
    char components[PAGE_COMPONENTS_MAX][CVM_NAME_MAX + 1];
    struct {
        cvm_id message;
        uint32_t crashes;
        uint32_t component;
    } suspects[PAGE_SUSPECTS_MAX]; /* a ring, newest replaces oldest */
    uint32_t next_suspect;
    uint32_t restarts;
    char crashed[CVM_NAME_MAX + 1]; /* component that was running when the last process died; "": none, or seen */
    struct {
        char how[96]; /* "": it ended well, or the next process has taken it into the audit */
        char component[CVM_NAME_MAX + 1];
        cvm_id message; /* that it was handling; none: it handled none */
        uint32_t crashes;
    } ended; /* the last process; the supervisor's */
};

/* How often a host died while it ran this message. */
static inline uint32_t page_crashes(const struct page *page, cvm_id message)
{
    for (int i = 0; i < PAGE_SUSPECTS_MAX; i++)
        if (cvm_id_eq(page->suspects[i].message, message) && !cvm_id_is_none(message))
            return page->suspects[i].crashes;
    return 0;
}

#endif
