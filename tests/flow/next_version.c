/* Linked in place of host/cli/version.c: the program as another version of itself. */
#include "cli/version_text.h"

const char cvmhost_version[] = "9.9.9-next";
