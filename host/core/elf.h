/* A bounds-checked view of a 64-bit shared library as the dynamic linker would see it: segments, dynamic table,
 * symbols with their versions, relocations. It refuses what the linker would trip over (the linker checks little and
 * ends the process), and bounds all work by the limits below. Runs no code of the file; knows no plugin but for
 * elf_read_identity. Pure, any thread. */
#ifndef HOST_CORE_ELF_H
#define HOST_CORE_ELF_H

#include <cvm/cvm.h>

#define ELF_FILE_MAX_BYTES (64 * 1024 * 1024)
#define ELF_IMAGE_MAX_BYTES (1024u * 1024 * 1024) /* in memory: the address range that its segments span */
#define ELF_SEGMENTS_MAX 64
#define ELF_LOADS_MAX 16       /* segments that are mapped */
#define ELF_DYNAMIC_MAX 512    /* entries of the dynamic table */
#define ELF_NEEDED_MAX 64      /* libraries it asks for */
#define ELF_SYMBOLS_MAX 16384  /* of the dynamic symbol table */
#define ELF_VERSIONS_MAX 256   /* symbol versions it names */
#define ELF_RELOCS_MAX 1000000 /* places the linker fills in */

struct elf_load {
    uint64_t address, size; /* in memory */
    uint64_t offset, bytes; /* in the file; bytes <= size, the rest is zero */
    uint32_t flags;         /* PF_R, PF_W, PF_X */
};

struct elf_version {
    const char *name, *library; /* NULL: not used. library is NULL for a version that the file itself defines */
};

/* A table in the file: offset and bytes of it; all zero: there is none. */
struct elf_table {
    uint64_t offset, bytes;
};

struct elf {
    const uint8_t *at; /* borrowed */
    size_t size;
    struct elf_load loads[ELF_LOADS_MAX];
    size_t n_loads;
    bool stack_executable; /* asks for executable stacks */
    bool tls;              /* has thread-local storage */
    const char *needed[ELF_NEEDED_MAX];
    size_t n_needed;
    const char *soname, *rpath;  /* NULL: none. rpath is DT_RPATH or DT_RUNPATH */
    uint64_t flags, flags_1;     /* DT_FLAGS, with DF_TEXTREL and the like set for the older tags too; DT_FLAGS_1 */
    struct elf_table init, fini; /* bytes: to the end of what the file holds of its segment */
    size_t n_constructors, n_destructors; /* entries of DT_INIT_ARRAY and DT_FINI_ARRAY */
    struct elf_table strings, symbols, symbol_versions;
    size_t n_symbols;
    struct elf_version versions[ELF_VERSIONS_MAX];
    bool writes_code; /* relocations in segments that are not writable */
    bool resolvers;   /* functions of the file choose what symbols mean, while it is linked */
};

struct elf_symbol {
    const char *name;
    const struct elf_version *version; /* NULL: none */
    uint64_t address, size;
    uint8_t bind, type; /* STB_, STT_ */
    bool defined;       /* else it is to come from elsewhere */
    bool visible;       /* to other libraries, if defined */
};

/* Opens the view. Borrows `file`, whose text the pointers of *ret_elf name. Returns 0, or CVM_EINVAL with what is
 * wrong ("is not an ELF file"; the file's name goes before it). */
int elf_open(const uint8_t *file, size_t size, struct elf *ret_elf, char *ret_error, size_t error_size);

/* Symbol `i` of n_symbols. */
struct elf_symbol elf_symbol(const struct elf *elf, size_t i);

/* `size` bytes that will be at `address` as the file has them, before relocation. False where it has not all. */
bool elf_read(const struct elf *elf, uint64_t address, void *ret, size_t size);

/* The fields of a plugin's descriptor up to and including `version`, from the file; the others are NULL. The
 * descriptor may be shorter or longer than this host's: it only grows. Returns 0; CVM_EABI or CVM_EINVAL with a
 * sentence that names what differs. */
int elf_read_identity(const uint8_t *file, size_t size, cvm_plugin_descriptor *ret_identity, char *ret_error,
                      size_t error_size);
int elf_identity(const struct elf *elf, cvm_plugin_descriptor *ret_identity, char *ret_error, size_t error_size);

#endif
