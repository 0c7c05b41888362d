/* The states of a purchase and the moves that are allowed. Pure; owns nothing; any thread. */
#include "transaction.h"

/* clang-format off */
static const struct {
    const char *name, *status;
    unsigned to; /* bit set of states that may follow */
} states[TXN_N] = {
    [TXN_RECEIVED]   = { "RECEIVED",   "PENDING",  1u << TXN_HELD },
    [TXN_HELD]       = { "HELD",       "PENDING",  1u << TXN_DELIVERING },
    [TXN_DELIVERING] = { "DELIVERING", "PENDING",  1u << TXN_SUCCESS | 1u << TXN_FAILED | 1u << TXN_PENDING },
    [TXN_PENDING]    = { "PENDING",    "PENDING",  1u << TXN_SUCCESS | 1u << TXN_FAILED },
    [TXN_SUCCESS]    = { "SUCCESS",    "SUCCESS",  0 },
    [TXN_FAILED]     = { "FAILED",     "FAILED",   1u << TXN_REFUNDED },
    [TXN_REFUNDED]   = { "REFUNDED",   "REFUNDED", 0 },
};
/* clang-format on */

const char *txn_state_name(enum txn_state state)
{
    return states[state].name;
}

int txn_state_parse(const char *name, enum txn_state *ret_state)
{
    for (int i = 0; i < TXN_N; i++)
        if (strcmp(states[i].name, name) == 0) {
            *ret_state = (enum txn_state)i;
            return CVM_OK;
        }
    return CVM_EDATA;
}

bool txn_may_move(enum txn_state from, enum txn_state to)
{
    return (states[from].to >> to & 1u) != 0;
}

bool txn_is_final(enum txn_state state)
{
    return states[state].to == 0;
}

const char *txn_status(enum txn_state state)
{
    return states[state].status;
}
