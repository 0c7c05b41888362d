/* Named crash points: places where a test kills the host. `CVMHOST_CRASH=name[:n]` ends the process by SIGKILL at the
 * n-th passing of a point (default 1); `CVMHOST_CRASH=@FILE` takes the first line of a file for that, so that each of a
 * row of processes has its own end. `CVMHOST_CRASH_HITS=FILE` appends the name of each point at its first passing, and
 * with a "!" the one that ends the process, so that a test can tell which were reached. All are read once, at start.
 * Any thread. */
#ifndef HOST_CORE_CRASH_H
#define HOST_CORE_CRASH_H

#define CRASH_POINTS(X)                                                                                                \
    X(INPUT_ADMITTED, "input_admitted")                                                                                \
    X(TURN_RUN, "turn_run") /* its turn is not submitted to the writer */                                              \
    X(GROUP_BEGUN, "group_begun")                                                                                      \
    X(ROWS_WRITTEN, "rows_written") /* not committed */                                                                \
    X(COMMITTED, "committed")       /* the loop does not know yet */                                                   \
    X(EFFECT_HELD, "effect_held")   /* durable, the effect not begun */                                                \
    X(FIRST_BYTE_SENT, "first_byte_sent")                                                                              \
    X(ANSWER_RECEIVED, "answer_received") /* the turn that takes the answer has not run */                             \
    X(REPLY_COMMITTED, "reply_committed") /* not written to the client */                                              \
    X(CHECKPOINT, "checkpoint")                                                                                        \
    X(RECOVERY, "recovery")                                                                                            \
    X(CHANGE_MARKED, "change_marked")     /* the next start knows that a build is being brought in */                  \
    X(CHANGE_LOADED, "change_loaded")     /* its code has run, no message has met it */                                \
    X(CHANGE_SWITCHED, "change_switched") /* it serves; that is not durable */                                         \
    X(CHANGE_NOTED, "change_noted")       /* durable, not answered */                                                  \
    X(FOLDED, "folded")                   /* turns are folded away, not committed */

enum crash_point {
#define CRASH_X(id, name) CRASH_##id,
    CRASH_POINTS(CRASH_X)
#undef CRASH_X
        CRASH_POINT_COUNT
};

extern int crash_armed; /* 0: crash_here costs one test */

/* Ends the process where what was promised cannot be kept, for want of memory: nothing of it is durable, and the next
 * start recovers. These are all the places where the core gives up; `what` is a noun. */
_Noreturn void crash_promised(const char *what);

void crash_init(void);
void crash_hit(enum crash_point point);
const char *crash_point_name(enum crash_point point);

static inline void crash_here(enum crash_point point)
{
    if (__builtin_expect(crash_armed, 0))
        crash_hit(point);
}

#endif
