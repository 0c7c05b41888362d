/* The record of a treatment: which members it has, what each may be, and what it is where nobody says. Pure; any
 * thread. */
#ifndef CVM_TREATMENTS_RECORD_H
#define CVM_TREATMENTS_RECORD_H

#include "wording.h"

#define TREATMENT_ID_MAX 56 /* bytes: custom_<slug>_<8 hex> */
#define RECORD_NAME_MAX 80  /* characters of display_name */

/* A member's problem, as for a text. */
typedef struct wording_error record_error;

/* Checks `members` and lays them over `stored` (NULL: over the defaults). A member that is null goes back to its
 * default. Gives a whole record without id, kind and times where `stored` has none. CVM_EINVAL: said in ret_error. */
CVM_MUST_USE int record_merge(const json_t *stored, const json_t *members, json_t **ret_record,
                              record_error *ret_error);

/* A new one that people wrote: the same, and it has a name and says something else. */
CVM_MUST_USE int record_new(const json_t *members, json_t **ret_record, record_error *ret_error);

/* One of a plugin's describe: with id, "max_per_day" null for as many as there are. Gives a whole record. */
CVM_MUST_USE int record_of_plugin(const json_t *members, json_t **ret_record, record_error *ret_error);

/* Letters, digits and _ . - , 1 to TREATMENT_ID_MAX of them. */
bool record_is_id(const char *id);
/* The id to be quoted in a sentence; of what is none, words in its place. */
const char *record_shown_id(const char *id);

#endif
