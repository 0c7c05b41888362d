/* What schedule.c and run.c share. Loop thread. */
#ifndef SERVICE_SCHEDULE_H
#define SERVICE_SCHEDULE_H

#include "calendar.h"
#include "transaction.h"

/* Gives a copy that may be changed. CVM_ENOENT: not there. */
CVM_MUST_USE int schedule_load(cvm_turn *t, const char *id, json_t **ret_schedule);
CVM_MUST_USE int schedule_save(cvm_turn *t, json_t *schedule); /* takes */
/* Arms the next run and the reminder before it, in this turn's conversation; disarms the ones before. */
CVM_MUST_USE int schedule_arm(cvm_turn *t, const cvm_msg *m, json_t *schedule);
CVM_MUST_USE int schedule_disarm(cvm_turn *t, const cvm_msg *m, json_t *schedule);

#endif
