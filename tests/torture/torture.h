/* Torture by countdown: one run of a whole scenario of the core for each place where something can fail, in a process
 * of its own. The n-th call fails (or it and some that follow), for n = 1, 2, .. until a run passes without a failure.
 * The run must end as documented, and after it, in a process where nothing fails, nothing accepted may be lost or done
 * twice. Virtual clock; one thread. */
#ifndef TESTS_TORTURE_TORTURE_H
#define TESTS_TORTURE_TORTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TORTURE_INPUTS 14
#define TORTURE_TEXT 400

/* Shared with the processes that run. */
struct torture_seen {
    int64_t calls;               /* that could have failed */
    bool failed;                 /* one of them did */
    char step[32];               /* what the scenario was about */
    char promised[64];           /* crash_promised() was called with this */
    char fault[TORTURE_TEXT];    /* what does not hold; "": nothing */
    int answers[TORTURE_INPUTS]; /* how often */
    int outcome[TORTURE_INPUTS]; /* of the first answer */
    bool accepted[TORTURE_INPUTS];
};

/* How calls fail: what oom.c and io.c give. */
struct torture {
    const char *name;
    /* From now on the `at`-th call fails, and those that follow until `count` have; 0: they are only counted. */
    void (*arm)(int64_t at, int64_t count, int how, struct torture_seen *seen);
    void (*disarm)(void);
    int hows; /* ways to fail, each with a countdown of its own */
    const char *const *how_names;
};

int torture_main(const struct torture *torture, int argc, char **argv);

/* scenario.c: a home without data; then the scenario over it, and what must be true after it. */
void scenario_make_home(void);
void scenario_reset(void);
/* Two lives of a core: inputs, calls, timers, a reload, a stop; a start that recovers, more of it. Calls `watch` when
 * the failures may begin and `rest` when not. */
void scenario_run(struct torture_seen *seen, void (*rest)(void), void (*watch)(void));
/* Each input comes again, as a client's whose answer was lost. */
void scenario_check(struct torture_seen *seen);

#endif
