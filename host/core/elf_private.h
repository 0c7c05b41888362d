/* What the two halves of the ELF reader share: elf.c reads segments and the dynamic table, elf_tables.c what that
 * points to. */
#ifndef HOST_CORE_ELF_PRIVATE_H
#define HOST_CORE_ELF_PRIVATE_H

#include "core/elf.h"

#include <elf.h>

/* The dynamic table by tag: the small tags stand for themselves, the sparse ones get places behind them. */
enum {
    ELF_SMALL_TAGS = 38, /* up to DT_RELRENT */
    ELF_GNU_HASH = ELF_SMALL_TAGS,
    ELF_VERSYM,
    ELF_VERNEED,
    ELF_VERDEF,
    ELF_FLAGS_1,
    ELF_TAGS
};

struct elf_dynamic {
    uint64_t value[ELF_TAGS];
    bool has[ELF_TAGS];
    uint64_t needed[ELF_NEEDED_MAX]; /* offsets into the string table */
    size_t n_needed;
};

struct elf_opening {
    struct elf *elf;
    struct elf_dynamic d;
    bool uncounted; /* exports nothing, so that nothing tells how many symbols there are */
    char *error;
    size_t error_size;
};

/* Says what is wrong; returns CVM_EINVAL. */
int elf_bad(struct elf_opening *o, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* `size` bytes of the file at `offset`; false where it is too short. */
bool elf_take(const struct elf *elf, uint64_t offset, void *ret, size_t size);

/* Where in the file the `bytes` at `address` are. False where they are not all in one segment's part of the file. */
bool elf_place(const struct elf *elf, uint64_t address, uint64_t bytes, struct elf_table *ret_table);

/* Text of the string table; NULL where the offset lies beyond it. */
const char *elf_string(const struct elf *elf, uint64_t offset);

int elf_read_strings(struct elf_opening *o);
int elf_read_symbols(struct elf_opening *o);
int elf_read_versions(struct elf_opening *o);
int elf_read_relocations(struct elf_opening *o);

#endif
