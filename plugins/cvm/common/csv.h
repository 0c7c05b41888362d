/* Comma-separated values as RFC 4180 has them: quoted fields may hold separators, quotes and line breaks. Reads lines
 * from whoever has them and gives one record at a time; a faulty one is told and the next is read. Owns the room for a
 * record that spans lines. Pure; any thread. */
#ifndef CVM_CUSTOMERS_CSV_H
#define CVM_CUSTOMERS_CSV_H

#include <cvm/cvm.h>

#define CSV_FIELDS_MAX 256
#define CSV_RECORD_MAX_BYTES (256 * 1024)

/* A line without its end: 1, 0 at the end of the file, < 0. Valid until the next call. */
typedef int (*csv_line)(void *arg, const char **ret_line, size_t *ret_len);

struct csv_field {
    const char *text; /* without quotes; no NUL at its end */
    size_t len;
};

struct csv {
    csv_line next;
    void *arg;
    char separator;
    int64_t line;      /* where the record begins, from 1 */
    int64_t lines;     /* read so far */
    const char *fault; /* why the record cannot be read; NULL: it could */
    size_t n;
    struct csv_field fields[CSV_FIELDS_MAX];
    char *room; /* CSV_RECORD_MAX_BYTES */
};

/* Free it with csv_free. */
int csv_new(csv_line next, void *arg, char separator, struct csv **ret_csv);
void csv_free(struct csv *csv);

/* 1: a record in `fields`, or `fault` says why not; 0: the end; < 0 what `next` said. Empty lines are passed over. */
int csv_next(struct csv *csv);

/* The place of the field of that name in the record (the header), whatever its case; -1: none. */
int csv_find(const struct csv *csv, const char *name);

#endif
