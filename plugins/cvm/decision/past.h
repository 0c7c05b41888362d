/* What is known of customers beyond their facts, while a job goes through all of them: what they were sent before, and
 * what they said. Reads cvm_campaigns and cvm_transcripts along with cvm_customers, in the order of their ids. A job's
 * thread. */
#ifndef CVM_DECISION_PAST_H
#define CVM_DECISION_PAST_H

#include "base.h"

struct past;

CVM_MUST_USE int past_open(cvm_job *j, struct past **ret);
void past_close(struct past *p);
/* Customers come in ascending order. The history is valid until the next call. `ret_signals`: triggers that what was
 * said shows, as a single decision knows them from the journey. */
CVM_MUST_USE int past_of(struct past *p, const struct cvm_facts *facts, const struct base_history **ret_history,
                         size_t *ret_n, unsigned *ret_signals);

#endif
