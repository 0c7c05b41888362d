/* The states of a purchase and the moves that are allowed. Pure; owns nothing; any thread. */
#include "transaction.h"

/* clang-format off */
static const struct {
    const char *name, *status;
    unsigned to; /* bit set of states that may follow */
} states[TXN_N] = {
#define BIT(state) (1u << (state))
    [TXN_RECEIVED]   = { "RECEIVED",   "PENDING",  BIT(TXN_CHALLENGED) | BIT(TXN_REVIEW) | BIT(TXN_PAYING) | BIT(TXN_HELD) | BIT(TXN_CANCELLED) },
    [TXN_CHALLENGED] = { "CHALLENGED", "PENDING",  BIT(TXN_REVIEW) | BIT(TXN_PAYING) | BIT(TXN_HELD) | BIT(TXN_CANCELLED) },
    [TXN_REVIEW]     = { "REVIEW",     "PENDING",  BIT(TXN_PAYING) | BIT(TXN_HELD) | BIT(TXN_CANCELLED) },
    [TXN_PAYING]     = { "PAYING",     "PENDING",  BIT(TXN_HELD) | BIT(TXN_CANCELLED) },
    [TXN_HELD]       = { "HELD",       "PENDING",  BIT(TXN_DELIVERING) | BIT(TXN_SUCCESS) },
    [TXN_DELIVERING] = { "DELIVERING", "PENDING",  BIT(TXN_SUCCESS) | BIT(TXN_FAILED) | BIT(TXN_PENDING) | BIT(TXN_PARKED) },
    [TXN_PENDING]    = { "PENDING",    "PENDING",  BIT(TXN_SUCCESS) | BIT(TXN_FAILED) | BIT(TXN_PARKED) },
    [TXN_PARKED]     = { "PARKED",     "PENDING",  BIT(TXN_DELIVERING) | BIT(TXN_FAILED) },
    [TXN_SUCCESS]    = { "SUCCESS",    "SUCCESS",  0 },
    [TXN_FAILED]     = { "FAILED",     "FAILED",   BIT(TXN_REFUNDED) | BIT(TXN_REFUNDING) },
    [TXN_REFUNDING]  = { "REFUNDING",  "FAILED",   BIT(TXN_REFUNDED) },
    [TXN_REFUNDED]   = { "REFUNDED",   "REFUNDED", 0 },
    [TXN_CANCELLED]  = { "CANCELLED",  "FAILED",   0 },
#undef BIT
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
