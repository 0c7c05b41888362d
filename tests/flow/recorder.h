/* An outside service for kill tests, in threads of the test's own process: it writes the key of each POST to a ledger,
 * fsynced, before it answers; now and then it takes the call and hangs up. Knows nothing of what the keys mean. */
#ifndef TESTS_FLOW_RECORDER_H
#define TESTS_FLOW_RECORDER_H

struct recorder;

struct recorder *recorder_start(const char *ledger, int hang_up_every); /* 0: never */
int recorder_port(const struct recorder *r);
int recorder_calls(const struct recorder *r); /* so far, repeats too */
void recorder_stop(struct recorder *r);

#endif
