/* Values of other people's files, brought into one form: numbers, sums, dates, points in time, yes and no. Each reads
 * `len` bytes without NUL; blanks around do not count. Pure; any thread. */
#ifndef CVM_CUSTOMERS_VALUE_H
#define CVM_CUSTOMERS_VALUE_H

#include <cvm/cvm.h>

#define VALUE_DATE_SIZE 11 /* "2026-11-21" */
#define VALUE_TIME_SIZE 21 /* "2026-11-21T12:00:00Z" */
#define VALUE_ID_MAX 64

/* Takes blanks away at both ends. */
void value_trim(const char **text, size_t *len);
/* UTF-8 without control characters but tab and line breaks. */
bool value_is_text(const char *text, size_t len);
/* 1 to 64 bytes, none of them a blank or a control character: ids of customers sort as the keys that begin with them.
 */
bool value_is_id(const char *text, size_t len);

bool value_int(const char *text, size_t len, int64_t *ret_value);
bool value_real(const char *text, size_t len, double *ret_value); /* finite; a comma is no decimal point */
/* A decimal number times `scale` (a power of ten or any integer), rounded half away from zero, without a double where
 * it can be avoided. */
bool value_scaled(const char *text, size_t len, int64_t scale, int64_t *ret_value);
/* yes, no, true, false, y, n, t, f, 1, 0 in any case. */
bool value_bool(const char *text, size_t len, bool *ret_value);

/* 2026-11-21, 2026/11/21, 21/11/2026, 21.11.2026, or the day of a point in time. */
bool value_date(const char *text, size_t len, char ret_date[VALUE_DATE_SIZE]);
/* 2026-11 or the month of a date. `ret_month` has room for 8. */
bool value_month(const char *text, size_t len, char ret_month[8]);
/* A date, alone or with a time ("T" or blank between, seconds and fraction optional, Z or +01:00), to UTC. */
bool value_time(const char *text, size_t len, char ret_time[VALUE_TIME_SIZE], int64_t *ret_ms);

/* The point in time of "YYYY-MM-DD", "YYYY-MM" or what value_time gives; INT64_MIN: it is none. */
int64_t value_ms(const char *text);
void value_date_of(int64_t ms, char ret_date[VALUE_DATE_SIZE]);

#endif
