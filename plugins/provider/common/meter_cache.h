/* Meters that were found, remembered for `validation_cache_s`; see meter_cache.c. Loop thread. */
#ifndef PROVIDER_COMMON_METER_CACHE_H
#define PROVIDER_COMMON_METER_CACHE_H

#include <cvm/cvm.h>
#include <cvm/json.h>

/* What is remembered of a meter, borrowed; NULL: nothing, or too long ago. */
CVM_MUST_USE int cache_find(cvm_turn *t, const char *meter, const json_t **ret_known);
/* Notes which meter the request `id` asks about. */
CVM_MUST_USE int cache_expect(cvm_turn *t, cvm_id id, const char *meter);
/* Its answer is here: keeps it, unless it is NULL (borrows). */
CVM_MUST_USE int cache_arrived(cvm_turn *t, cvm_id id, const json_t *found);

#endif
