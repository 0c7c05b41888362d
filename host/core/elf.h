/* Reads a plugin's descriptor from its ELF file before one instruction of it runs. Pure. */
#ifndef HOST_CORE_ELF_H
#define HOST_CORE_ELF_H

#include <cvm/cvm.h>

#define ELF_FILE_MAX_BYTES (64 * 1024 * 1024)

/* The identity part of the descriptor (up to and including `version`) in the file's data. Returns 0; CVM_EABI or
 * CVM_EINVAL with a sentence that names what differs. */
int elf_read_identity(const uint8_t *file, size_t size, cvm_plugin_descriptor *ret_identity, char *ret_error,
                      size_t error_size);

#endif
