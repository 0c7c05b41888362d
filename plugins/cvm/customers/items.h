/* The elements of a JSON array, or the members of a JSON object, one at a time: a damaged one is told with its line and
 * the next is read. Borrows the text. Pure; any thread. */
#ifndef CVM_CUSTOMERS_ITEMS_H
#define CVM_CUSTOMERS_ITEMS_H

#include <cvm/cvm.h>

struct items {
    const char *at, *end;
    int64_t line; /* at `at`, from 1 */
    char close;   /* ] or }; 0: neither was there */
    bool begun;
};

struct item {
    const char *name; /* of a member, with its quotes; NULL in an array */
    size_t name_len;
    const char *text;
    size_t len;
    int64_t line; /* where it begins */
};

/* False: the text is neither an array nor an object. */
bool items_begin(struct items *it, const char *text, size_t len);
/* 1: an element; 0: the end; CVM_EDATA: the text ends too early, or there is something between elements. */
int items_next(struct items *it, struct item *ret_item);

#endif
