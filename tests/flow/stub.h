/* A small HTTP server inside a test that plays somebody outside: each connection has a thread and one request, which a
 * function of the test answers. It lives as long as the test's process. */
#ifndef TESTS_FLOW_STUB_H
#define TESTS_FLOW_STUB_H

#include <stddef.h>

#define STUB_BODY_MAX (2 * 1024 * 1024)

/* Answers one request: `text` is all of it, `body` what comes after its head, "" where nothing does. Any thread. */
typedef void (*stub_answer)(int fd, const char *text, const char *body);

int stub_start(stub_answer answer); /* gives the port, on 127.0.0.1 */
/* The value of a header: `name` is "\r\nname: ". "" where there is none. */
void stub_header(const char *text, const char *name, char *ret_value, size_t size);

#endif
