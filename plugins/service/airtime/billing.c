/* AirtimeBillingAgent: what became of a purchase, the history, refunds. Loop thread. */
#include "airtime.h"

int billing_handle(cvm_turn *t, const cvm_msg *m)
{
    return claims_step(t, m);
}
