/* Customers for test_kill: threads that ask over HTTP, each with a key of its own, and ask again with the same key
 * until an answer comes that is final. What they ask follows from a seed. Knows nothing of kills. */
#ifndef TESTS_FLOW_KILL_LOAD_H
#define TESTS_FLOW_KILL_LOAD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define LOAD_CUSTOMERS 8
#define LOAD_BALANCE_KOBO INT64_C(10000000000000)
#define LOAD_ASKS_MAX 110000
#define LOAD_PATIENCE_MS 45000 /* then an ask counts as never answered */

enum ask_kind { ASK_BUY, ASK_POWER, ASK_COUNT, ASK_LATER, ASK_ENQUIRY, ASK_KINDS };

struct ask {
    enum ask_kind kind;
    char key[24], body[280];
    int customer, tries;
    atomic_int status; /* of the final answer; 0: none yet; -1: given up. The text below is set before */
    char *text;
    bool replayed; /* the final answer was a stored one */
};

struct load;

/* `clients` threads that begin at once. */
struct load *load_start(const char *url, int clients, uint64_t seed);
/* The same, but purchases alone, every third of electricity, and at most `most` of them. */
struct load *load_start_purchases(const char *url, int clients, uint64_t seed, int most);
/* No new asks; waits until those under way have ended. */
void load_finish(struct load *load);
void load_free(struct load *load);

int load_count(const struct load *load); /* asks begun so far; they stand at 0 to count - 1 and never move */
struct ask *load_at(struct load *load, int i);
const char *load_path(enum ask_kind kind);
bool load_buys(enum ask_kind kind);
void load_customer(int customer, char ret_id[16], char ret_phone[16]);
/* Asks once more over a connection of its own; gives status and text (free() it), 0 for none. */
int load_ask_again(const char *url, const struct ask *ask, char **ret_text, bool *ret_replayed);

uint64_t load_random(uint64_t *state); /* splitmix64 */

#endif
