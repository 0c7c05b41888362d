/* Takes personal data out of JSON by consistent replacement: the same value becomes the same stand-in everywhere, of
 * the same shape, so that it still passes for what it was. Numbers of seven digits and more (telephones, cards,
 * accounts) keep their beginning; e-mail addresses, and whatever stands in fields that hold names, become
 * others. Ids of the host stay. One thread. */
#ifndef HOST_CORE_PERSONAL_H
#define HOST_CORE_PERSONAL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct personal;

/* With a key drawn for it, so the stand-ins of two of them differ. NULL: no memory. */
struct personal *personal_new(void);
void personal_free(struct personal *personal);

/* Remembers what names stand in `value`, by the fields they stand in. All first, then personal_replaced. */
void personal_learn(struct personal *personal, const json_t *value);
/* The value without personal data; object keys too. Gives a new one. */
json_t *personal_replaced(struct personal *personal, const json_t *value);
/* The same of a text, for free(). */
char *personal_text(struct personal *personal, const char *text);
size_t personal_count(const struct personal *personal); /* how many different values were replaced */

/* The fields that hold names, addresses and the like, ending with NULL. */
extern const char *const personal_fields[];

#endif
