/* What a network can be asked about a line, beside selling to it. Nothing is changed by it. Loop thread. */
#ifndef PROVIDER_NETWORK_H
#define PROVIDER_NETWORK_H

#include "../common/vendor.h"

int line_balance(cvm_turn *t, const cvm_msg *m);
int line_balance_told(cvm_turn *t, const cvm_msg *m); /* "line.reply" */
int line_usage(cvm_turn *t, const cvm_msg *m);
int line_usage_told(cvm_turn *t, const cvm_msg *m);   /* "usage.reply" */
int line_network(cvm_turn *t, const cvm_msg *m);      /* network_status */
int line_network_told(cvm_turn *t, const cvm_msg *m); /* "health.reply" */

#endif
