/* The version of the program, "1.2.3". */
#ifndef HOST_CLI_VERSION_TEXT_H
#define HOST_CLI_VERSION_TEXT_H

extern const char cvmhost_version[];

#endif
