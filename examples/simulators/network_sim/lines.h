/* What the simulated networks know of a line: its data, what it used, whether its network works. Server thread only. */
#ifndef NETWORK_SIM_LINES_H
#define NETWORK_SIM_LINES_H

#include "simulator.h"

/* 0803..., 234803... and +234803... are one number: +234 and ten digits, the first of them 7, 8 or 9. */
bool phone_read(const char *text, char ret_phone[SUBJECT_SIZE]);

void bundle_vend_answer(struct vending *v, const struct asked *asked, int64_t now_ms, struct answer *ret_answer);
void line_balance_answer(struct vending *v, const struct asked *asked, int64_t now_ms, struct answer *ret_answer);
void line_usage_answer(struct vending *v, const struct asked *asked, int64_t now_ms, struct answer *ret_answer);
void network_status_answer(struct vending *v, const struct asked *asked, int64_t now_ms, struct answer *ret_answer);

#endif
