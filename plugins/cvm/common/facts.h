/* The figures of one customer that everybody in customer value management decides by, in the order of the table
 * cvm_customers. Read from a row of it, from the answer of get_customer_data or from any object with these members.
 * Pure C over jansson: owns nothing, allocates only in facts_to_json. Any thread.
 *
 * Unknown is NULL (texts), NAN (reals), FACTS_NONE (integers). Money is in minor units of `currency`. A permission is
 * never unknown: without one there is none. Stretches of time (60 days, 90 days, 12 months) end at `as_of_ms`, the
 * newest day that the data know of, so that a base of last year reads as it did then. */
#ifndef CVM_COMMON_FACTS_H
#define CVM_COMMON_FACTS_H

#include <cvm/cvm.h>

#define FACTS_NONE INT64_MIN
#define FACTS_TEXT_MAX 255 /* bytes of an attribute's value that can be compared; longer ones are cut */

/* name, kind; a column of cvm_customers each, in this order. */
#define FACTS(X)                                                                                                       \
    X(customer_id, TEXT)                                                                                               \
    X(name, TEXT)                                                                                                      \
    X(segment, TEXT)                                                                                                   \
    X(age, INT)                                                                                                        \
    X(tenure_months, INT)                                                                                              \
    X(currency, TEXT)         /* ISO 4217 */                                                                           \
    X(monthly_spend, INT)     /* minor units, mean of the last 12 months */                                            \
    X(last_charged, INT)      /* minor units, the last month */                                                        \
    X(spend_change_pct, REAL) /* the last month against the mean of those before */                                    \
    X(on_time_share, REAL)    /* 0 to 1, of the payments of the last 12 months */                                      \
    X(late_payments_12m, INT)                                                                                          \
    X(payment_status, TEXT)    /* current, late, overdue, suspended, .. as the source has it, lower case */            \
    X(dispute_open, INT)       /* 0, 1 */                                                                              \
    X(months_seen, INT)        /* months of usage that are known */                                                    \
    X(data_gb, REAL)           /* a month, mean of the last 3 */                                                       \
    X(voice_minutes, REAL)     /* a month, mean of the last 3 */                                                       \
    X(usage_change_pct, REAL)  /* data (else voice) of the last 3 months against the 3 before */                       \
    X(roaming_days_60, REAL)   /* days abroad of the last 60; from monthly records 1 per month with roaming */         \
    X(dropped_call_rate, REAL) /* per cent, mean of 30 days */                                                         \
    X(signal_dbm, REAL)        /* mean of 30 days */                                                                   \
    X(download_mbps, REAL)     /* mean of 30 days */                                                                   \
    X(outages_30d, INT)                                                                                                \
    X(churn_score, REAL)    /* 0 to 1, the newest */                                                                   \
    X(upsell_score, REAL)   /* 0 to 1, the newest best */                                                              \
    X(contract_end, TEXT)   /* YYYY-MM-DD */                                                                           \
    X(contacts_90d, INT)    /* calls and chats */                                                                      \
    X(last_contact_ms, INT) /* of those or of a campaign */                                                            \
    X(sms, INT)             /* permissions: 0, 1 */                                                                    \
    X(email, INT)                                                                                                      \
    X(call, INT)                                                                                                       \
    X(app, INT)                                                                                                        \
    X(post, INT)                                                                                                       \
    X(marketing, INT)                                                                                                  \
    X(as_of_ms, INT)                                                                                                   \
    X(attributes, TEXT) /* a JSON object of scalars: whatever else is known */

#define FACTS_MEMBER_TEXT const char *
#define FACTS_MEMBER_INT int64_t
#define FACTS_MEMBER_REAL double

/* All borrowed from what it was read of: from a cursor's cells it is valid until the next row. */
struct cvm_facts {
#define CVM_X(name, kind) FACTS_MEMBER_##kind name;
    FACTS(CVM_X)
#undef CVM_X
    const json_t *attributes_json; /* in place of `attributes` where they came as JSON */
};

enum facts_column {
#define CVM_X(name, kind) FACTS_##name,
    FACTS(CVM_X)
#undef CVM_X
        FACTS_COLUMNS
};

/* Their names, NULL at the end: the columns for cvm_job_open and cvm_job_loader. */
extern const char *const facts_columns[FACTS_COLUMNS + 1];

/* A value by name. `cell.text` ends with NUL; of an attribute it stands in `room`, so do not copy this struct. */
struct facts_value {
    cvm_cell cell;
    char room[FACTS_TEXT_MAX + 1];
};

/* All unknown, no permission. */
void facts_clear(struct cvm_facts *f);

/* A row that was opened with `facts_columns`. Borrows the cells. */
void facts_from_cells(const cvm_cell *cells, struct cvm_facts *ret_facts);

/* The object itself, or its member "facts"; attributes from either. Members of another type are unknown. Borrows.
 * False: no object, or no customer_id in it. */
bool facts_from_json(const json_t *customer_data, struct cvm_facts *ret_facts);

/* An object with all members, null where unknown, attributes as an object. Gives; NULL: no memory. */
json_t *facts_to_json(const struct cvm_facts *f);

/* The cell of a column; CVM_CELL_NULL where unknown. Borrows from f. */
cvm_cell facts_at(const struct cvm_facts *f, enum facts_column column);

/* The column of that name, -1: none. */
int facts_column_find(const char *name);

/* The attribute of that name (exactly). False: there is none; ret_value is a NULL cell. true and false are 1 and 0. */
bool facts_attribute(const struct cvm_facts *f, const char *name, struct facts_value *ret_value);

/* A column, or "attributes.NAME". False: unknown to this customer, or no such name. */
bool facts_get(const struct cvm_facts *f, const char *name, struct facts_value *ret_value);

/* The number of a cell, NAN where it is none. */
double facts_number(const cvm_cell *cell);

#endif
