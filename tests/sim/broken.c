/* Which switch of core/broken.h is on: the one that CVMHOST_BREAK names. Read once. */
#include "core/broken.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool broken_is(enum broken which)
{
    static const char *const names[] = {
#define NAME(name) #name,
        BROKEN_NAMES(NAME)
#undef NAME
    };
    static int on = -1;
    const char *wanted = getenv("CVMHOST_BREAK");
    for (size_t i = 0; on < 0 && i < sizeof names / sizeof *names; i++)
        if (strcmp(wanted ? wanted : "none", names[i]) == 0)
            on = (int)i;
    if (on < 0) {
        fprintf(stderr, "CVMHOST_BREAK: there is no switch %s\n", wanted);
        abort();
    }
    return on == (int)which && which != BROKEN_none;
}
