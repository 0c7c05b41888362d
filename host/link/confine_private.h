/* The parts of confine.h among themselves. */
#ifndef HOST_LINK_CONFINE_PRIVATE_H
#define HOST_LINK_CONFINE_PRIVATE_H

#include "link/confine.h"

#include <stdarg.h>
#include <stdio.h>

#define CONFINE_PATH_MAX 4096
#define CONFINE_RUN_FILES_MAX 4 /* program, its interpreter, what `env` finds, the loader of ELF files */

/* Puts the sentence into ret_error and returns `error`. */
int confine__failed(int error, char *ret_error, size_t error_size, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Landlock. Adds the layers that hold to *ret_layers. */
int confine__landlock(const struct confine *c, uint32_t *ret_layers, char *ret_error, size_t error_size);
uint32_t confine__landlock_layers(void);

/* seccomp. */
int confine__calls(const struct confine *c, char *ret_error, size_t error_size);
int confine__calls_sealed(char *ret_error, size_t error_size);
uint32_t confine__calls_layers(void);

/* The files that must be executable for `program` to run: itself, the interpreter of its first line, what `env`
 * will find, the loader. Gives up to CONFINE_RUN_FILES_MAX paths. CVM_ENOENT: no such program. */
int confine__run_files(const char *program, char ret_paths[CONFINE_RUN_FILES_MAX][CONFINE_PATH_MAX], size_t *ret_n,
                       char *ret_error, size_t error_size);

/* The search path of a program: its only one. */
#define CONFINE_PATH "/usr/local/bin:/usr/bin:/bin"

#endif
