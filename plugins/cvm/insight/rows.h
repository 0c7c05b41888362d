/* Rows of a table for a job, one after the other. The job's thread. */
#ifndef CVM_INSIGHT_ROWS_H
#define CVM_INSIGHT_ROWS_H

#include <cvm/cvm.h>

/* Gives each row with these columns (NULL ends them) to `take`, which ends it by an error; says how far it is. Takes
 * `where`; NULL: all rows. A table that is not there has none. */
CVM_MUST_USE int rows_read(cvm_job *j, const char *table, const char *const columns[], json_t *where,
                           int (*take)(void *arg, const cvm_cell *cells), void *arg);

#endif
