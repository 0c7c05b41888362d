/* Errors as clients of the HTTP listener read them: RFC 9457 problem details. Pure; any thread. */
#ifndef HOST_SERVICES_PROBLEM_H
#define HOST_SERVICES_PROBLEM_H

#include <stddef.h>

#define PROBLEM_TYPE "application/problem+json"

struct problem {
    int status;
    char code[64];    /* for programs: "NOT_FOUND"; "" where the status says it all */
    char field[128];  /* which part of the request; "" for none */
    char detail[512]; /* a sentence for people */
};

/* Fills it; `code` and `field` may be NULL. What does not fit is cut. Returns `status`. */
int problem_set(struct problem *problem, int status, const char *code, const char *field, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* The body. `request_id` may be NULL. Gives a string for free(); NULL: out of memory. */
char *problem_text(const struct problem *problem, const char *request_id, size_t *ret_len);

#endif
