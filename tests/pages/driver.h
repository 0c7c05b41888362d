/* The chromedriver of one test and requests to it. */
#ifndef TESTS_PAGES_DRIVER_H
#define TESTS_PAGES_DRIVER_H

#include <jansson.h>
#include <sys/types.h>

#define DRIVER_CHROMIUM "/usr/bin/chromium"
#define DRIVER_PROGRAM "/usr/bin/chromedriver"

struct driver {
    pid_t keeper; /* ends the driver and all that it started, when told to or when the test is gone */
    int port;
    char folder[512]; /* profile and log; removed with it */
    void *curl;
};

void driver_start(struct driver *d);
void driver_stop(struct driver *d);

/* One request; takes body (NULL: none, {} for POST). Gives the answer's `value` (json_decref), which is an object with
 * `error` where *ret_status is not 200. */
json_t *driver_ask(struct driver *d, const char *method, const char *path, json_t *body, int *ret_status);

#endif
