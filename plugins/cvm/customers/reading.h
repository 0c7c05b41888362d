/* A source's file, read row by row into whatever takes rows; a row that cannot be read is a fault and is passed over.
 * Borrows everything. The thread of the job. */
#ifndef CVM_CUSTOMERS_READING_H
#define CVM_CUSTOMERS_READING_H

#include "faults.h"
#include "source.h"

#define READING_JSON_MAX_BYTES (256 * 1024 * 1024) /* of a JSON file, which is read as a whole */

struct reading {
    const struct source *source;
    const char *origin;
    struct faults *faults;
    int64_t rows; /* taken so far */
    /* Takes a row: the cells are valid until it returns. < 0 ends the reading. */
    int (*take)(struct reading *r, const struct source_row *row);
    void *arg;
    struct source_row row;
};

/* Reads the lines that `next` gives. 0, or < 0 of `next` and `take`, CVM_ENOMEM. */
int reading_file(struct reading *r, csv_line next, void *arg);
/* The same for a CSV file whose header was read already. */
int reading_rows(struct reading *r, struct csv *csv);

#endif
