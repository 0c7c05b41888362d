/* What the files of the plugin `disco` share. Loop thread. */
#ifndef DISCO_H
#define DISCO_H

#include "answer.h"

#include <cvm/json.h>

/* ---- cache.c: meters that were found, for `validation_cache_s` ---- */

/* What is remembered of a meter, borrowed; NULL: nothing, or too long ago. */
CVM_MUST_USE int cache_find(cvm_turn *t, const char *meter, const json_t **ret_known);
/* Notes which meter the request `id` asks about. */
CVM_MUST_USE int cache_expect(cvm_turn *t, cvm_id id, const char *meter);
/* Its answer is here: keeps it, unless it is NULL (borrows). */
CVM_MUST_USE int cache_arrived(cvm_turn *t, cvm_id id, const json_t *found);

#endif
