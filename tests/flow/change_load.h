/* Customers for test_reload and test_move: works of many customers over the control socket, a few of each under way at
 * a time, each with a key of its own; what was not answered when the host died is asked again in its order. The load
 * knows nothing of reloads and kills. */
#ifndef TESTS_FLOW_CHANGE_LOAD_H
#define TESTS_FLOW_CHANGE_LOAD_H

#include "flow.h"

#define LOAD_CUSTOMERS 64
#define LOAD_WINDOW 8 /* works of one customer under way at once */

struct load;

struct load *load_new(struct flow *f, int64_t works); /* in all, spread evenly */
void load_apart(
    struct load *load); /* each work in a conversation of its own; one customer's at a time is up to the host */
void load_pace(struct load *load, int per_second); /* no more are sent from now on than that */
void load_free(struct load *load);

/* Sends and takes answers for about `ms`; a broken connection is made again. False: all are answered. */
bool load_run(struct load *load, int ms);
int64_t load_answered(const struct load *load);
int64_t load_behind_ms(const struct load *load); /* of a paced load: how long ago the next answer was due */
int64_t load_each(const struct load *load);      /* works of one customer in all */

void load_check_books(struct flow *f, const struct load *load); /* what every customer's works must have come to */

/* A build of tests/plugins/changing comes as an operator brings it: new files renamed over the old ones. */
void change_copy(const char *from, const char *to); /* a file */
void change_put(struct flow *f, const char *build);

pid_t change_process(struct flow *f); /* of the plugin, where it runs in one of its own and that is up; else 0 */
int64_t change_resident_kib(pid_t pid);

/* One request of another kind over a connection of its own; gives the answer's "data" (NULL: the host is gone). */
json_t *load_ask(struct flow *f, json_t *request); /* takes */

#endif
