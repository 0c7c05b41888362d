/* The ELF reader's first half: header, segments, dynamic table, and a plugin's identity. Every number of the file is
 * hostile until compared. Section headers are only looked at to see that the file is whole: the linker goes by
 * segments, and so do we. Pure, any thread. */
#include "elf_private.h"

#include <stdio.h>

#if defined(__x86_64__)
#define MACHINE EM_X86_64
#elif defined(__aarch64__)
#define MACHINE EM_AARCH64
#else
#error "which e_machine is this?"
#endif

#define TLS_MAX_BYTES (1024 * 1024)

int elf_bad(struct elf_opening *o, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(o->error, o->error_size, format, args);
    va_end(args);
    return CVM_EINVAL;
}

bool elf_take(const struct elf *elf, uint64_t offset, void *ret, size_t size)
{
    if (offset > elf->size || size > elf->size - offset)
        return false;
    memcpy(ret, elf->at + offset, size);
    return true;
}

bool elf_place(const struct elf *elf, uint64_t address, uint64_t bytes, struct elf_table *ret_table)
{
    for (size_t i = 0; i < elf->n_loads; i++) {
        const struct elf_load *l = &elf->loads[i];
        if (address < l->address || address - l->address > l->bytes || bytes > l->bytes - (address - l->address))
            continue;
        *ret_table = (struct elf_table){l->offset + (address - l->address), bytes};
        return true;
    }
    return false;
}

bool elf_read(const struct elf *elf, uint64_t address, void *ret, size_t size)
{
    struct elf_table place;
    return elf_place(elf, address, size, &place) && elf_take(elf, place.offset, ret, size);
}

/* ---- header and segments ---- */

static int read_header(struct elf_opening *o, Elf64_Ehdr *ret_header)
{
    Elf64_Ehdr h;
    if (!elf_take(o->elf, 0, &h, sizeof h) || memcmp(h.e_ident, ELFMAG, SELFMAG) != 0)
        return elf_bad(o, "is not an ELF file");
    if (o->elf->size > ELF_FILE_MAX_BYTES)
        return elf_bad(o, "is larger than %d MiB", ELF_FILE_MAX_BYTES / 1024 / 1024);
    if (h.e_ident[EI_CLASS] != ELFCLASS64 || h.e_type != ET_DYN)
        return elf_bad(o, "is not a 64-bit shared library");
    if (h.e_machine != MACHINE || h.e_ident[EI_DATA] != ELFDATA2LSB)
        return elf_bad(o, "was built for another machine (ELF machine %u, this one is %d)", h.e_machine, MACHINE);
    if (h.e_ident[EI_VERSION] != EV_CURRENT || h.e_version != EV_CURRENT || h.e_phentsize != sizeof(Elf64_Phdr))
        return elf_bad(o, "is of another version of ELF");
    if (h.e_phnum == 0 || h.e_phnum > ELF_SEGMENTS_MAX)
        return elf_bad(o, "has %u segments; expected 1 to %d", h.e_phnum, ELF_SEGMENTS_MAX);
    Elf64_Shdr last;
    if (h.e_shnum &&
        (h.e_shoff > o->elf->size || !elf_take(o->elf, h.e_shoff + (h.e_shnum - 1u) * sizeof last, &last, sizeof last)))
        return elf_bad(o, "is cut off: parts of it lie beyond its end; copy it again");
    *ret_header = h;
    return 0;
}

static bool is_power_of_2(uint64_t n)
{
    return n && (n & (n - 1)) == 0;
}

/* Segments come in order, apart from each other, as the linker takes for granted. */
static int add_load(struct elf_opening *o, const Elf64_Phdr *p)
{
    struct elf *elf = o->elf;
    if (elf->n_loads == ELF_LOADS_MAX)
        return elf_bad(o, "maps more than %d segments", ELF_LOADS_MAX);
    if (p->p_filesz > p->p_memsz || p->p_vaddr > ELF_IMAGE_MAX_BYTES || p->p_memsz > ELF_IMAGE_MAX_BYTES - p->p_vaddr)
        return elf_bad(o, "has a segment that spans more than %u MiB", ELF_IMAGE_MAX_BYTES / 1024 / 1024);
    if (p->p_align > 1 && (!is_power_of_2(p->p_align) || (p->p_vaddr - p->p_offset) % p->p_align != 0))
        return elf_bad(o, "has a segment that cannot be mapped: its alignment is broken");
    const struct elf_load *last = elf->n_loads ? &elf->loads[elf->n_loads - 1] : NULL;
    if (last && p->p_vaddr < last->address + last->size)
        return elf_bad(o, "has segments that overlap or are out of order");
    elf->loads[elf->n_loads++] = (struct elf_load){p->p_vaddr, p->p_memsz, p->p_offset, p->p_filesz, p->p_flags};
    return 0;
}

/* What the linker reads of a segment must be in memory that is mapped from the file. */
static int check_inner(struct elf_opening *o, const Elf64_Phdr *p)
{
    struct elf_table place;
    bool exact = p->p_type == PT_TLS || elf_place(o->elf, p->p_vaddr, p->p_memsz, &place);
    if (!exact || (p->p_filesz && !elf_place(o->elf, p->p_vaddr, p->p_filesz, &place)))
        return elf_bad(o, "has a segment of type %#x outside of what is mapped", p->p_type);
    if (p->p_type != PT_TLS)
        return 0;
    if (p->p_memsz > TLS_MAX_BYTES || p->p_filesz > p->p_memsz ||
        (p->p_align && (!is_power_of_2(p->p_align) || p->p_align > TLS_MAX_BYTES)))
        return elf_bad(o, "has thread-local storage of an absurd size");
    o->elf->tls = o->elf->tls || p->p_memsz > 0;
    return 0;
}

static int read_segments(struct elf_opening *o, const Elf64_Ehdr *h, Elf64_Phdr *ret_dynamic)
{
    Elf64_Phdr at[ELF_SEGMENTS_MAX], *dynamic = NULL;
    if (!elf_take(o->elf, h->e_phoff, at, h->e_phnum * sizeof *at))
        return elf_bad(o, "is cut off: parts of it lie beyond its end; copy it again");
    o->elf->stack_executable = true; /* so the linker takes it where the file says nothing */
    for (unsigned i = 0; i < h->e_phnum; i++) {
        Elf64_Phdr *p = &at[i];
        if (p->p_offset > o->elf->size || p->p_filesz > o->elf->size - p->p_offset)
            return elf_bad(o, "is cut off: parts of it lie beyond its end; copy it again");
        if (p->p_type == PT_DYNAMIC && dynamic)
            return elf_bad(o, "has two dynamic tables");
        if (p->p_type == PT_DYNAMIC)
            dynamic = p;
        if (p->p_type == PT_GNU_STACK)
            o->elf->stack_executable = (p->p_flags & PF_X) != 0;
        int e = p->p_type == PT_LOAD ? add_load(o, p) : 0;
        if (e)
            return e;
    }
    if (!dynamic)
        return elf_bad(o, "has no dynamic table; link it with -shared");
    for (unsigned i = 0; i < h->e_phnum; i++) {
        uint32_t type = at[i].p_type;
        if (type != PT_DYNAMIC && type != PT_NOTE && type != PT_TLS && type != PT_PHDR && type != PT_GNU_PROPERTY)
            continue;
        int e = check_inner(o, &at[i]);
        if (e)
            return e;
    }
    *ret_dynamic = *dynamic;
    return 0;
}

/* ---- the dynamic table ---- */

static int slot_of(uint64_t tag)
{
    switch (tag) {
    case DT_GNU_HASH:
        return ELF_GNU_HASH;
    case DT_VERSYM:
        return ELF_VERSYM;
    case DT_VERNEED:
        return ELF_VERNEED;
    case DT_VERDEF:
        return ELF_VERDEF;
    case DT_FLAGS_1:
        return ELF_FLAGS_1;
    default:
        return tag < ELF_SMALL_TAGS ? (int)tag : -1;
    }
}

static int read_dynamic(struct elf_opening *o, const Elf64_Phdr *p)
{
    struct elf_dynamic *d = &o->d;
    for (size_t i = 0; i < ELF_DYNAMIC_MAX && (i + 1) * sizeof(Elf64_Dyn) <= p->p_filesz; i++) {
        Elf64_Dyn entry;
        if (!elf_read(o->elf, p->p_vaddr + i * sizeof entry, &entry, sizeof entry))
            break;
        uint64_t tag = (uint64_t)entry.d_tag;
        if (tag == DT_NULL)
            return 0;
        if (tag == DT_NEEDED || tag == DT_AUXILIARY || tag == DT_FILTER) { /* all three make the linker load a file */
            if (d->n_needed == ELF_NEEDED_MAX)
                return elf_bad(o, "needs more than %d libraries", ELF_NEEDED_MAX);
            d->needed[d->n_needed++] = entry.d_un.d_val;
            continue;
        }
        int slot = slot_of(tag);
        if (slot < 0)
            continue;
        if (d->has[slot])
            return elf_bad(o, "has the dynamic tag %#llx twice", (unsigned long long)tag);
        d->has[slot] = true;
        d->value[slot] = entry.d_un.d_val;
    }
    return elf_bad(o, "has a dynamic table without an end");
}

/* The linker asserts these: a file that breaks them would end the process. */
static int check_dynamic(struct elf_opening *o)
{
    const struct elf_dynamic *d = &o->d;
    if (d->has[DT_REL] || (d->has[DT_PLTREL] && d->value[DT_PLTREL] != DT_RELA) ||
        (d->has[DT_RELA] && d->value[DT_RELAENT] != sizeof(Elf64_Rela)) || (d->has[DT_JMPREL] && !d->has[DT_PLTREL]) ||
        (d->has[DT_RELR] && d->value[DT_RELRENT] != sizeof(Elf64_Relr)))
        return elf_bad(o, "has relocations of a form that this machine has not");
    if (d->has[DT_SYMENT] && d->value[DT_SYMENT] != sizeof(Elf64_Sym))
        return elf_bad(o, "has symbols of another size");
    if ((d->value[ELF_FLAGS_1] & (DF_1_PIE | DF_1_NOOPEN)) != 0)
        return elf_bad(o, "is %s",
                       d->value[ELF_FLAGS_1] & DF_1_PIE ? "a program, not a library; link it with -shared"
                                                        : "marked as not to be opened (DF_1_NOOPEN)");
    return 0;
}

static int read_functions(struct elf_opening *o, int function, int array, int size, struct elf_table *ret_function,
                          size_t *ret_n)
{
    const struct elf_dynamic *d = &o->d;
    struct elf_table place;
    if (d->has[array] && (d->value[size] % 8 != 0 || !elf_place(o->elf, d->value[array], d->value[size], &place)))
        return elf_bad(o, "has a table of constructors or destructors outside of the file");
    *ret_n = d->has[array] ? d->value[size] / 8 : 0;
    if (!d->has[function])
        return 0;
    for (size_t i = 0; i < o->elf->n_loads; i++) {
        const struct elf_load *l = &o->elf->loads[i];
        uint64_t before = d->value[function] - l->address;
        if (d->value[function] < l->address || before >= l->bytes || !(l->flags & PF_X))
            continue;
        *ret_function = (struct elf_table){l->offset + before, l->bytes - before};
        return 0;
    }
    return elf_bad(o, "has a constructor or destructor outside of its code");
}

static int read_texts(struct elf_opening *o)
{
    struct elf *elf = o->elf;
    const struct elf_dynamic *d = &o->d;
    int e = elf_read_strings(o);
    for (size_t i = 0; !e && i < d->n_needed; i++)
        if (!(elf->needed[elf->n_needed++] = elf_string(elf, d->needed[i])))
            e = elf_bad(o, "names a library outside of its string table");
    if (e)
        return e;
    elf->soname = d->has[DT_SONAME] ? elf_string(elf, d->value[DT_SONAME]) : NULL;
    int path = d->has[DT_RUNPATH] ? DT_RUNPATH : DT_RPATH;
    elf->rpath = d->has[path] ? elf_string(elf, d->value[path]) : NULL;
    if ((d->has[DT_SONAME] && !elf->soname) || (d->has[path] && !elf->rpath))
        return elf_bad(o, "names a library outside of its string table");
    return 0;
}

int elf_open(const uint8_t *file, size_t size, struct elf *ret_elf, char *ret_error, size_t error_size)
{
    Elf64_Ehdr header = {0};
    Elf64_Phdr dynamic = {0};
    struct elf elf = {.at = file, .size = size};
    struct elf_opening o = {.elf = &elf, .error = ret_error, .error_size = error_size};
    int e = read_header(&o, &header);
    if (!e)
        e = read_segments(&o, &header, &dynamic);
    if (!e)
        e = read_dynamic(&o, &dynamic);
    if (!e)
        e = check_dynamic(&o);
    if (!e)
        e = read_functions(&o, DT_INIT, DT_INIT_ARRAY, DT_INIT_ARRAYSZ, &elf.init, &elf.n_constructors);
    if (!e)
        e = read_functions(&o, DT_FINI, DT_FINI_ARRAY, DT_FINI_ARRAYSZ, &elf.fini, &elf.n_destructors);
    if (!e)
        e = read_texts(&o);
    if (!e)
        e = elf_read_symbols(&o);
    if (!e)
        e = elf_read_versions(&o);
    if (!e)
        e = elf_read_relocations(&o);
    if (e)
        return e;
    elf.flags = o.d.value[DT_FLAGS] | (o.d.has[DT_TEXTREL] ? DF_TEXTREL : 0);
    elf.flags_1 = o.d.value[ELF_FLAGS_1];
    *ret_elf = elf;
    return 0;
}

/* ---- a plugin's identity ---- */

static int find_descriptor(const struct elf *elf, struct elf_symbol *ret_symbol, char *ret_error, size_t error_size)
{
    size_t found = 0;
    for (size_t i = 0; i < elf->n_symbols; i++) {
        struct elf_symbol s = elf_symbol(elf, i);
        if (!s.defined || !s.visible || strcmp(s.name, "cvm_plugin") != 0)
            continue;
        *ret_symbol = s;
        found++;
    }
    if (found == 1 && ret_symbol->type == STT_OBJECT)
        return 0;
    snprintf(ret_error, error_size, "%s; is CVM_PLUGIN(...) in its source, once?",
             found == 0   ? "exports no symbol cvm_plugin"
             : found == 1 ? "exports cvm_plugin, which is no data"
                          : "exports cvm_plugin more than once");
    return CVM_EINVAL;
}

int elf_identity(const struct elf *elf, cvm_plugin_descriptor *ret_identity, char *ret_error, size_t error_size)
{
    struct elf_symbol symbol = {0};
    cvm_plugin_descriptor d = {0};
    const size_t inlined = offsetof(cvm_plugin_descriptor, components);
    const size_t least = offsetof(cvm_plugin_descriptor, turn) + sizeof d.turn; /* that is ABI 1.0 */
    int e = find_descriptor(elf, &symbol, ret_error, error_size);
    if (e)
        return e;
    if (symbol.size < inlined || !elf_read(elf, symbol.address, &d, inlined)) {
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
    struct elf_table whole;
    if (d.size < least || symbol.size < d.size || !elf_place(elf, symbol.address, d.size, &whole)) {
        snprintf(ret_error, error_size, "its descriptor says it is %u bytes long, the file holds %llu", d.size,
                 (unsigned long long)symbol.size);
        return CVM_EABI;
    }
    d.name[sizeof d.name - 1] = d.version[sizeof d.version - 1] = 0;
    *ret_identity = d;
    return 0;
}

int elf_read_identity(const uint8_t *file, size_t size, cvm_plugin_descriptor *ret_identity, char *ret_error,
                      size_t error_size)
{
    struct elf elf;
    int e = elf_open(file, size, &elf, ret_error, error_size);
    return e ? e : elf_identity(&elf, ret_identity, ret_error, error_size);
}
