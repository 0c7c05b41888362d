/* What the files of the plugin's handlers share. Loop thread. */
#ifndef CVM_CUSTOMERS_CUSTOMERS_H
#define CVM_CUSTOMERS_CUSTOMERS_H

#include "source.h"
#include <cvm/json.h>

#define DATA "cvm.data"

/* ---- answer.c ---- */

/* Refuses a request in any turn, with {"status": "error", "code", "message", "field"?}. */
int answer_refused(cvm_turn *t, cvm_id request, const char *code, const char *field, const char *message);
/* Passes on what went wrong with a reply that was waited for: a job's own reasons are refusals. */
int answer_failed(cvm_turn *t, cvm_id request, const cvm_msg *m);
/* Replies; takes `body`, adds "status": "success". */
int answer(cvm_turn *t, cvm_id request, json_t *body);

/* ---- cache.c: answers of get_customer_data, by customer. Lost with the process, as it may be. ---- */

/* {"customer_data", "warnings"}; borrowed; NULL: not known, or too old. */
const json_t *cache_get(const char *customer_id, int64_t now_ms, int64_t ttl_ms);
void cache_put(const char *customer_id, const json_t *answer, int64_t now_ms);
int64_t cache_clear(const char *customer_id); /* NULL: all; how many */
void cache_free(void);

/* ---- ready.c: whether the sources were loaded since this build runs ---- */

bool is_ready(void);
/* Loads first what is not loaded; then goes on with `as` (below) and the request's data. */
int ready_then(cvm_turn *t, const cvm_msg *m, const char *as);

int data_start(cvm_turn *t, const cvm_msg *m);
int data_watch(cvm_turn *t, const cvm_msg *m);
int data_load(cvm_turn *t, const cvm_msg *m);
int data_loaded(cvm_turn *t, const cvm_msg *m); /* "load.reply" */

/* ---- data.c: customers ---- */

int data_get(cvm_turn *t, const cvm_msg *m);
int data_show(cvm_turn *t, const cvm_msg *m);
int data_list(cvm_turn *t, const cvm_msg *m);
int data_sources(cvm_turn *t, const cvm_msg *m);
int data_clear_cache(cvm_turn *t, const cvm_msg *m);
int data_journey(cvm_turn *t, const cvm_msg *m); /* "build_journey.reply" */
int data_page(cvm_turn *t, const cvm_msg *m);    /* "page.reply" */
void data_forget(void);                          /* what is in memory */
/* Goes on with a request once all is loaded. */
int data_go(cvm_turn *t, cvm_id request, const char *as, const json_t *data);

/* ---- gather.c: all that is known of a customer, source by source ---- */

int gather_begin(cvm_turn *t, cvm_id request, const char *as, const json_t *data);
int gather_rows(cvm_turn *t, const cvm_msg *m); /* "query.reply" */
/* Records of a source as they are answered, of the table's rows. Gives. */
json_t *gather_records(const struct source *s, const json_t *rows);
/* Sentences about what of the sources was left out, of the rows of cvm_sources. Of `s` alone, or of all with NULL. */
json_t *gather_warnings(const struct source *s, const json_t *rows);
/* In data.c: it is complete. */
int data_gathered(cvm_turn *t, cvm_id request, const json_t *with, const json_t *answer);

/* ---- bring.c: import and clear ---- */

int data_import(cvm_turn *t, const cvm_msg *m);
int data_imported(cvm_turn *t, const cvm_msg *m); /* "import.reply" */
int data_take_scores(cvm_turn *t, const cvm_msg *m);
int data_clear(cvm_turn *t, const cvm_msg *m);
int data_cleared(cvm_turn *t, const cvm_msg *m); /* "clear.reply" */

/* ---- agent.c: the source agents ---- */

int agent_get_records(cvm_turn *t, const cvm_msg *m);
int agent_list_ids(cvm_turn *t, const cvm_msg *m);
int agent_loaded(cvm_turn *t, const cvm_msg *m); /* "load.reply" of cvm.data */
int agent_rows(cvm_turn *t, const cvm_msg *m);   /* "query.reply" */
int agent_page(cvm_turn *t, const cvm_msg *m);   /* "page.reply" */

#endif
