/* The version of the program: a file of its own, so that a test can link a program of another version. */
#include "cli/version_text.h"

#include "cli/version.h"

const char cvmhost_version[] = CVMHOST_VERSION;
