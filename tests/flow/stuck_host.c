/* Linked in place of host/cli/host.c: another version that says all the right things and never comes to serve. */
#include "cli/host.h"
#include "cli/version_text.h"

#include <unistd.h>

const char cvmhost_version[] = "9.9.9-stuck";

int host_run(struct host_options *options)
{
    (void)options;
    for (;;)
        pause();
}
