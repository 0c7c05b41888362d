/* A fuzz target is one file, fuzz_NAME.c, with LLVMFuzzerTestOneInput, and a folder corpus/NAME of small inputs to
 * begin with; the list in meson.build names it. It is built twice: with driver.c, by any compiler and with any
 * sanitizer, for mutants that are the same each time; and with clang's libFuzzer where that is there, which finds its
 * own way. */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* Runs one input; what it must not do is crash, read beyond `size`, take long, or break an assertion. Returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Optional: changes data[0..size) in place, at most to `max_size`. Returns the new size. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed) __attribute__((weak));

/* libFuzzer's, or the driver's: some change of bytes. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

/* Ends the process with a sentence if `condition` does not hold, also without assert. */
#define FUZZ_CHECK(condition)                                                                                          \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition);                             \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

#endif
