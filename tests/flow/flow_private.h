/* What flow.c and flow_talk.c share. */
#ifndef TESTS_FLOW_FLOW_PRIVATE_H
#define TESTS_FLOW_FLOW_PRIVATE_H

#include "flow.h"

/* Starts argv (a whole path first) in the test's environment, output to the two files. It dies with the test. */
pid_t flow__start(struct flow *f, const char *const *argv, const char *out, const char *errors);

/* Waits for the end of a process, wait_ms at most (0: FLOW_WAIT_MS); its exit status, 128 + n for a signal. */
int flow__wait(pid_t pid, const char *what, int64_t wait_ms);

#endif
