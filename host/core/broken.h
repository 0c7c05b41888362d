/* Switches that break one of the invariants on purpose, so that it can be seen that the simulation finds that out:
 * `meson configure -Dbreak=NAME`. Without one BROKEN(name) is false and costs nothing. A program that is compiled with
 * CVM_BREAKABLE asks the environment instead (CVMHOST_BREAK=NAME): for the tests of the simulation. */
#ifndef HOST_CORE_BROKEN_H
#define HOST_CORE_BROKEN_H

#include "core/broken_which.h"

#define BROKEN_NAMES(X)                                                                                                \
    X(none)                                                                                                            \
    X(lost_open)      /* 1: what is open is not written: a crash forgets it */                                         \
    X(twice_answered) /* 1: a key of an earlier input is not looked up */                                              \
    X(early_effect)   /* 2: a call leaves when its turn is kept, not when it is durable */                             \
    X(early_answer)   /* 2: an edge is answered before that */                                                         \
    X(early_event)    /* 2: a stream is told of a publication before that */                                           \
    X(new_key)        /* 3: a call that is sent again has another key */                                               \
    X(no_verify)      /* 3: what should be verified is sent again at once */                                           \
    X(stale_state)    /* 4: a turn reads what is stored, not what the turn before wrote */                             \
    X(any_recipient)  /* 5: may_send_to is not looked at */                                                            \
    X(any_secret)     /* 5: nor are needs.secrets */                                                                   \
    X(no_strikes)     /* 6: faults are not counted */                                                                  \
    X(no_rotation)    /* 6: a component runs until its queue is empty */                                               \
    X(no_validation)  /* 7: requests from outside are not held against their schema */                                 \
    X(loose_random)   /* 8: random numbers do not depend on the turn */                                                \
    X(no_reads)       /* 9: what a turn read is not recorded */

enum broken {
#define BROKEN_X(name) BROKEN_##name,
    BROKEN_NAMES(BROKEN_X)
#undef BROKEN_X
};

#ifdef CVM_BREAKABLE
#include <stdbool.h>
bool broken_is(enum broken which);
#define BROKEN(name) broken_is(BROKEN_##name)
#else
#define BROKEN_PASTE_(name) BROKEN_##name
#define BROKEN_PASTE(name) BROKEN_PASTE_(name)
#define BROKEN(name) (BROKEN_PASTE(CVM_BREAK) == BROKEN_##name && BROKEN_##name != BROKEN_none)
#endif

#endif
