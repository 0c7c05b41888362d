/* The sources of customer data: their files, tables and fields, and how a row of a file becomes a row of a table. Owns
 * the list of sources. Pure; any thread. */
#ifndef CVM_CUSTOMERS_SOURCE_H
#define CVM_CUSTOMERS_SOURCE_H

#include "../common/csv.h"
#include "../common/facts.h"

#define SOURCE_FIELDS_MAX 12
#define SOURCE_COLUMNS_MAX (SOURCE_FIELDS_MAX + 3) /* row_id, kind, origin */
#define SOURCE_TEXT_MAX_BYTES 65536                /* the longest text: a transcript */
#define SOURCE_KEY_MAX 256

enum source_no {
    SOURCE_USAGE,
    SOURCE_RECOMMENDER,
    SOURCE_CAMPAIGNS,
    SOURCE_DEMOGRAPHICS,
    SOURCE_NETWORK,
    SOURCE_CALLS,
    SOURCE_CHATS,
    SOURCE_PERMISSIONS,
    SOURCE_BILLING,
    SOURCE_OFFERS,
    SOURCE_PRICES,
    SOURCES
};

enum source_kind {
    KIND_ID,     /* of a customer */
    KIND_TEXT,   /* as it is */
    KIND_WORD,   /* in small letters */
    KIND_INT,    /* within least and most */
    KIND_REAL,   /* likewise */
    KIND_SWITCH, /* 0, 1 */
    KIND_DATE,   /* YYYY-MM-DD */
    KIND_MONTH,  /* YYYY-MM */
    KIND_TIME,   /* UTC, ISO 8601 */
    KIND_LIST    /* JSON array as text */
};

struct source_field {
    const char *name;   /* in the file and in what is answered */
    const char *column; /* in the table; NULL: the same */
    enum source_kind kind;
    bool required;
    double least, most; /* of numbers; of texts `most` bytes, 0: 64 */
};

enum source_form { FORM_CSV, FORM_ARRAY, FORM_BY_ID }; /* by id: an object, customer -> members */

struct source {
    const char *name, *component, *file, *table;
    enum source_form form;
    const char *kind; /* where two sources share a table */
    size_t keys[3];   /* fields that make up row_id; n_keys 0: the first field is the key */
    size_t n_keys;
    bool of_customers;    /* its first field is customer_id */
    const char *answered; /* its member in customer_data */
    struct source_field fields[SOURCE_FIELDS_MAX + 1];
};

extern const struct source sources[SOURCES];

const struct source *source_find(const char *name);       /* NULL: none */
const struct source *source_of_component(const char *id); /* NULL: none */
size_t source_n_fields(const struct source *s);
/* Columns of its table in the order of a row's cells; NULL at the end. Returns how many. */
size_t source_columns(const struct source *s, const char *ret_columns[SOURCE_COLUMNS_MAX + 1]);
/* Where the cell of a field stands among them. */
size_t source_cell(const struct source *s, size_t field);

/* A row on its way: the cells point into it, so do not copy it. */
struct source_row {
    cvm_cell cells[SOURCE_COLUMNS_MAX];
    size_t n;
    char key[SOURCE_KEY_MAX + 1];
    char small[SOURCE_FIELDS_MAX][72]; /* what was brought into another form */
};

/* Makes a row of the values of its fields (text NULL: missing), in the order of `fields`. Borrows the values, which the
 * row's cells point to. CVM_EINVAL: `ret_fault` says which field and why, without the value. */
int source_read(const struct source *s, const struct csv_field *values, const char *origin, struct source_row *ret_row,
                char *ret_fault, size_t size);

/* The values of a JSON object, as texts that live in `holder` (an array that it makes; give it back). NULL: no memory,
 * no object. */
json_t *source_values(const struct source *s, const char *customer_id, const json_t *object,
                      struct csv_field ret_values[SOURCE_FIELDS_MAX]);

/* Which source a file with this header is of; NULL: none. */
const struct source *source_of_header(const struct csv *header);

#endif
