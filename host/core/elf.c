/* A bounds-checked look into a 64-bit ELF file: the dynamic symbol `cvm_plugin` and the bytes it names. */
#include "core/elf.h"

#include <elf.h>
#include <stdio.h>

struct file {
    const uint8_t *at;
    size_t size;
};

/* Copies `size` bytes at `offset`; false where the file is too short. */
static bool take(const struct file *f, uint64_t offset, void *ret, size_t size)
{
    if (offset > f->size || size > f->size - offset)
        return false;
    memcpy(ret, f->at + offset, size);
    return true;
}

/* What the file's head promises is in the file. A file that was cut off would end the host as the linker maps it. */
static bool is_whole(const struct file *f, const Elf64_Ehdr *h)
{
    Elf64_Shdr last_section;
    if (h->e_shnum &&
        !take(f, h->e_shoff + (h->e_shnum - 1u) * sizeof last_section, &last_section, sizeof last_section))
        return false;
    for (unsigned i = 0; i < h->e_phnum; i++) {
        Elf64_Phdr segment;
        if (!take(f, h->e_phoff + i * sizeof segment, &segment, sizeof segment))
            return false;
        if (segment.p_offset > f->size || segment.p_filesz > f->size - segment.p_offset)
            return false;
    }
    return true;
}

static bool find_symbol(const struct file *f, const Elf64_Ehdr *h, const char *name, Elf64_Sym *ret_symbol)
{
    for (unsigned i = 0; i < h->e_shnum; i++) {
        Elf64_Shdr section, strings;
        if (!take(f, h->e_shoff + i * sizeof section, &section, sizeof section) || section.sh_type != SHT_DYNSYM)
            continue;
        if (!take(f, h->e_shoff + section.sh_link * sizeof strings, &strings, sizeof strings) ||
            section.sh_size / sizeof(Elf64_Sym) > 1000000)
            return false;
        for (uint64_t s = 0; s < section.sh_size / sizeof(Elf64_Sym); s++) {
            char found[32] = "";
            Elf64_Sym symbol;
            if (!take(f, section.sh_offset + s * sizeof symbol, &symbol, sizeof symbol))
                return false;
            if (symbol.st_name >= strings.sh_size ||
                !take(f, strings.sh_offset + symbol.st_name, found, strlen(name) + 1))
                continue;
            if (memcmp(found, name, strlen(name) + 1) == 0) {
                *ret_symbol = symbol;
                return true;
            }
        }
        return false; /* a library has one such table; a file that shows thousands only wants our time */
    }
    return false;
}

static bool read_at_address(const struct file *f, const Elf64_Ehdr *h, uint64_t address, void *ret, size_t size)
{
    for (unsigned i = 0; i < h->e_phnum; i++) {
        Elf64_Phdr segment;
        if (!take(f, h->e_phoff + i * sizeof segment, &segment, sizeof segment))
            return false;
        if (segment.p_type == PT_LOAD && address >= segment.p_vaddr && address - segment.p_vaddr < segment.p_filesz &&
            size <= segment.p_filesz - (address - segment.p_vaddr))
            return take(f, segment.p_offset + (address - segment.p_vaddr), ret, size);
    }
    return false;
}

int elf_read_identity(const uint8_t *at, size_t size, cvm_plugin_descriptor *ret_identity, char *ret_error,
                      size_t error_size)
{
    struct file f = {at, size};
    Elf64_Ehdr h;
    Elf64_Sym symbol;
    cvm_plugin_descriptor d = {0};
    const size_t identity = offsetof(cvm_plugin_descriptor, components);
    if (!take(&f, 0, &h, sizeof h) || memcmp(h.e_ident, ELFMAG, SELFMAG) != 0) {
        snprintf(ret_error, error_size, "is not an ELF file");
        return CVM_EINVAL;
    }
    if (h.e_ident[EI_CLASS] != ELFCLASS64 || h.e_type != ET_DYN) {
        snprintf(ret_error, error_size, "is not a 64-bit shared library");
        return CVM_EINVAL;
    }
    if (!is_whole(&f, &h)) {
        snprintf(ret_error, error_size, "is cut off: parts of it lie beyond its end; copy it again");
        return CVM_EINVAL;
    }
    if (!find_symbol(&f, &h, "cvm_plugin", &symbol)) {
        snprintf(ret_error, error_size, "exports no symbol cvm_plugin; is CVM_PLUGIN(...) in its source?");
        return CVM_EINVAL;
    }
    if (symbol.st_size < identity || !read_at_address(&f, &h, symbol.st_value, &d, identity)) {
        snprintf(ret_error, error_size, "its descriptor cannot be read");
        return CVM_EINVAL;
    }
    if (memcmp(d.magic, CVM_MAGIC, sizeof d.magic) != 0) {
        snprintf(ret_error, error_size, "its descriptor begins with another magic");
        return CVM_EABI;
    }
    if (d.abi_major != CVM_ABI_MAJOR || d.abi_minor > CVM_ABI_MINOR) {
        snprintf(ret_error, error_size, "was built for ABI %u.%u, this host has %d.%d; rebuild it", d.abi_major,
                 d.abi_minor, CVM_ABI_MAJOR, CVM_ABI_MINOR);
        return CVM_EABI;
    }
    if (d.size < sizeof d || symbol.st_size < d.size) {
        snprintf(ret_error, error_size, "its descriptor says it is %u bytes long, the file holds %llu", d.size,
                 (unsigned long long)symbol.st_size);
        return CVM_EABI;
    }
    d.name[sizeof d.name - 1] = d.version[sizeof d.version - 1] = 0;
    *ret_identity = d;
    return 0;
}
