/* Judges a plugin that is a program by its file alone: can the kernel run it where it will be confined. Runs nothing of
 * it. Any thread; looks at the machine's own interpreters. */
#ifndef HOST_CORE_VET_PROGRAM_H
#define HOST_CORE_VET_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>

#define VET_INTERPRETER_MAX 256 /* of a first line: the kernel's own limit */

struct vet_program {
    char interpreter[VET_INTERPRETER_MAX]; /* of its first line, what `env` finds in its place; "": machine code */
    char warning[400];                     /* a sentence; "" where there is none */
};

/* `path` is the operator's file, of which the host will run a copy. Returns 0; or CVM_EINVAL with a sentence that
 * begins with the path where it could never run. */
int vet_program(const char *path, const void *bytes, size_t size, struct vet_program *ret_found, char *ret_error,
                size_t error_size);

#endif
