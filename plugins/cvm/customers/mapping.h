/* From the columns of somebody's CSV file to the figures of facts.h, as a mapping file says
 * (docs/reference/customers.md): which column is which figure, what is constant, what goes to the attributes. Made once
 * for a header; a row goes through it without a tree. Owns the plan and the room for one row. Pure; any thread. */
#ifndef CVM_CUSTOMERS_MAPPING_H
#define CVM_CUSTOMERS_MAPPING_H

#include "../common/csv.h"
#include "../common/facts.h"

struct mapping;

/* Makes the plan. Borrows `doc` and `header` until it returns. CVM_EINVAL: `ret_fault` says what of the mapping is
 * wrong, or does not fit the header. */
int mapping_new(const json_t *doc, const struct csv *header, struct mapping **ret_mapping, char *ret_fault,
                size_t size);
void mapping_free(struct mapping *m);

/* The columns of a row's cells, NULL at the end. "customer_id" is the first. */
const char *const *mapping_columns(const struct mapping *m);

/* The cells of a record, valid until the next call and as long as the record is. CVM_EINVAL: `ret_fault` says which
 * column and why, without the value. */
int mapping_row(struct mapping *m, const struct csv *record, const cvm_cell **ret_cells, char *ret_fault, size_t size);

/* Whether the mapping says that it is for files with this header. */
bool mapping_recognises(const json_t *doc, const struct csv *header);

/* A mapping for a file whose columns are called as the figures are; the others become attributes. Gives; NULL: it has
 * no customer_id. */
json_t *mapping_of_names(const struct csv *header);

#endif
