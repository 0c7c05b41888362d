/* The page of memory that the host shares with its supervisor (a memfd): who runs what, which messages were being
 * handled and which components ran when the host died, and what the two tell each other. The host writes what runs, the
 * supervisor counts suspects and blames after a crash. It outlives the host process, not the supervisor.
 *
 * A supervisor may start a host of another version: the head is the same in all versions, the rest is what the magic
 * number stands for. Whoever changes the rest changes PAGE_LAYOUT. */
#ifndef HOST_CORE_PAGE_H
#define HOST_CORE_PAGE_H

#include <cvm/cvm.h>
#include <stdatomic.h>

#define PAGE_LAYOUT 3
#define PAGE_MAGIC (UINT64_C(0x63766d7061670000) + PAGE_LAYOUT)
#define PAGE_SUSPECTS_MAX 64
#define PAGE_COMPONENTS_MAX 1024
#define PAGE_CRASHES_TO_DEAD 2 /* a message begun in this many crashes becomes a dead letter */
#define PAGE_BLAMES_MAX 32
#define PAGE_CRASHES_TO_QUARANTINE 2 /* a plugin whose code ran in this many crashes of the window is quarantined */
#define PAGE_PATH_MAX 1024

/* A component, or a plugin that was being loaded: names of components have a dot, those of plugins none. */
struct page_blame {
    char name[CVM_NAME_MAX + 1];
    int64_t at_ms, before_ms; /* the last crash and the one before it, steady clock; 0: none */
    uint32_t crashes;         /* its own doing: not where something outside killed the host */
};

/* `cvmhost upgrade`: what is asked for, then what became of it. */
enum page_upgrade_state {
    PAGE_UPGRADE_NONE,
    PAGE_UPGRADE_ASKED,
    PAGE_UPGRADE_DONE,
    PAGE_UPGRADE_REFUSED,
    PAGE_UPGRADE_BACK
};
struct page_upgrade {
    atomic_uint_fast32_t state;
    uint32_t one_way;
    uint32_t unread;          /* the host has not noted how it ended */
    int64_t stopped_ns;       /* the last answer of the host before; the end of it where it gave none */
    int64_t ready_ns;         /* the new one serves */
    char path[PAGE_PATH_MAX]; /* "": the program that the supervisor was started from */
    char from[32], to[32];    /* versions */
    char text[512];           /* a sentence */
};

struct page {
    /* the head */
    uint64_t magic;
    uint32_t bytes;    /* of all of it */
    uint32_t restarts; /* 0: the operator has started the host */
    /* Of the running host over HTTP, CLOCK_MONOTONIC, 0: none. Where nobody asks, `last` is when it closed its ears. */
    atomic_int_fast64_t first_answer_ns, last_answer_ns;
    /* the rest */
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
    char crashed[CVM_NAME_MAX + 1]; /* component that was running when the last process died; "": none, or seen */
    struct {
        char how[96]; /* "": it ended well, or the next process has taken it into the audit */
        char component[CVM_NAME_MAX + 1];
        cvm_id message; /* that it was handling; none: it handled none */
        uint32_t crashes;
    } ended;                        /* the last process; the supervisor's */
    char loading[CVM_NAME_MAX + 1]; /* plugin whose library is being loaded at the start; "": none */
    struct page_blame blames[PAGE_BLAMES_MAX];
    char quarantine[PAGE_BLAMES_MAX][CVM_NAME_MAX + 1]; /* names as in the blames, for the next start; "": free */
    uint32_t safe;                                      /* the host was started in safe mode */
    atomic_uint_fast32_t ping, pong;                    /* the supervisor asks with SIGUSR1, the loop answers */
    struct page_upgrade upgrade;
    struct {
        atomic_uint_fast32_t faulted; /* 1: not the turn, this job's thread ended the host */
        uint32_t component;
        cvm_id id; /* of the run */
    } job;
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
