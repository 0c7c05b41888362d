/* What of a file could not be read: counted, and the first ones kept as sentences with file, line and field, never with
 * a value. Pure; any thread. */
#ifndef CVM_CUSTOMERS_FAULTS_H
#define CVM_CUSTOMERS_FAULTS_H

#include <cvm/cvm.h>

#define FAULTS_KEPT 100

struct faults {
    const char *file; /* as people know it */
    int64_t skipped;  /* rows */
    json_t *list;     /* array of {"file", "line", "field", "message"} */
};

bool faults_begin(struct faults *f, const char *file);
void faults_end(struct faults *f); /* gives `list` back */
/* `text` is "field: why", or why alone. A row is skipped for it. */
void faults_row(struct faults *f, int64_t line, const char *text);
/* Something that costs no row; line 0: of the whole file. */
void faults_note(struct faults *f, int64_t line, const char *text);

#endif
