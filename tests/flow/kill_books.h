/* The books of test_kill: whether journal, wallets, transactions and the networks' ledger agree. Reads only. One
 * thread.
 */
#ifndef TESTS_FLOW_KILL_BOOKS_H
#define TESTS_FLOW_KILL_BOOKS_H

#include "flow.h"
#include "kill_load.h"

/* Where the ledgers of the networks and of the electricity companies are; the second is "" where none is sold. */
struct books_sims {
    char networks[64], discos[64];
};

/* What must hold at every moment, whatever was killed when: checked in one snapshot of the database. Every answer that
 * a client has had must stand in the inbox as it was given. Fails the test with what is wrong. */
void books_check(struct flow *f, const struct books_sims *sims, struct load *load, const char *when);

/* What must hold when nothing is under way any more. */
void books_check_settled(struct flow *f, const struct books_sims *sims, struct load *load);

/* Purchases that are still open. */
int64_t books_open(struct flow *f);

#endif
