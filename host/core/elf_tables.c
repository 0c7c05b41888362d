/* The ELF reader's second half: what the dynamic table points to - strings, symbols by way of their hash table,
 * versions, relocations. One pass over each. Pure, any thread. */
#include "elf_private.h"

#include <assert.h>

#if defined(__aarch64__)
#define RELOC_NONE R_AARCH64_NONE
#define RELOC_RESOLVER R_AARCH64_IRELATIVE
#else
#define RELOC_NONE R_X86_64_NONE
#define RELOC_RESOLVER R_X86_64_IRELATIVE
#endif

#define DEFINITIONS_MAX 64 /* versions that the file defines */

/* ---- strings ---- */

int elf_read_strings(struct elf_opening *o)
{
    const struct elf_dynamic *d = &o->d;
    struct elf_table *t = &o->elf->strings;
    if (!d->has[DT_STRTAB] || !d->has[DT_STRSZ] || d->value[DT_STRSZ] == 0 ||
        !elf_place(o->elf, d->value[DT_STRTAB], d->value[DT_STRSZ], t))
        return elf_bad(o, "has no string table, or one outside of the file");
    if (o->elf->at[t->offset + t->bytes - 1] != 0)
        return elf_bad(o, "has a string table without an end");
    return 0;
}

const char *elf_string(const struct elf *elf, uint64_t offset)
{
    return offset < elf->strings.bytes ? (const char *)elf->at + elf->strings.offset + offset : NULL;
}

/* ---- how many symbols: only the hash table tells ---- */

static uint32_t word(const struct elf *elf, const struct elf_table *t, uint64_t i)
{
    uint32_t w;
    bool there = elf_take(elf, t->offset + i * sizeof w, &w, sizeof w);
    assert(there);
    return w;
}

/* The chains of the last bucket end where the symbols do. The linker divides by the number of buckets and asserts that
 * the filter's size is a power of two. */
static int count_gnu(struct elf_opening *o, uint64_t address, size_t *ret_n)
{
    struct elf *elf = o->elf;
    uint32_t head[4]; /* buckets, first symbol, words of the filter, shift */
    struct elf_table buckets, chain;
    if (!elf_read(elf, address, head, sizeof head) || head[0] == 0 || head[0] > ELF_SYMBOLS_MAX ||
        head[1] > ELF_SYMBOLS_MAX || head[2] == 0 || (head[2] & (head[2] - 1)) || head[2] > ELF_SYMBOLS_MAX ||
        head[3] > 63 || !elf_place(elf, address, sizeof head + head[2] * 8ull + head[0] * 4ull, &buckets))
        return elf_bad(o, "has a hash table of symbols that cannot be, or is too large");
    address += sizeof head + head[2] * 8ull;
    if (!elf_place(elf, address, head[0] * 4ull, &buckets))
        return elf_bad(o, "has a hash table of symbols that cannot be, or is too large");
    uint32_t last = 0;
    for (uint32_t i = 0; i < head[0]; i++) {
        uint32_t first = word(elf, &buckets, i);
        if (first && (first < head[1] || first >= ELF_SYMBOLS_MAX))
            return elf_bad(o, "has a hash table of symbols that cannot be, or is too large");
        last = first > last ? first : last;
    }
    if (last == 0) {
        o->uncounted = true;
        *ret_n = head[1];
        return 0;
    }
    for (address += head[0] * 4ull; last < ELF_SYMBOLS_MAX; last++) {
        if (!elf_place(elf, address + (last - head[1]) * 4ull, 4, &chain))
            break;
        if (word(elf, &chain, 0) & 1) {
            *ret_n = last + 1;
            return 0;
        }
    }
    return elf_bad(o, "has a hash table of symbols without an end, or more than %d symbols", ELF_SYMBOLS_MAX);
}

/* The older table says the number, but its chains may go round in circles. */
static int count_old(struct elf_opening *o, uint64_t address, size_t *ret_n)
{
    struct elf *elf = o->elf;
    uint32_t head[2]; /* buckets, symbols */
    struct elf_table t;
    if (!elf_read(elf, address, head, sizeof head) || head[0] == 0 || head[0] > ELF_SYMBOLS_MAX || head[1] == 0 ||
        head[1] > ELF_SYMBOLS_MAX || !elf_place(elf, address, sizeof head + (head[0] + head[1]) * 4ull, &t))
        return elf_bad(o, "has a hash table of symbols that cannot be, or is too large");
    size_t steps = 0;
    for (uint32_t b = 0; b < head[0]; b++)
        for (uint32_t s = word(elf, &t, 2 + b); s != 0; s = word(elf, &t, 2 + head[0] + s))
            if (s >= head[1] || ++steps > head[1])
                return elf_bad(o, "has a hash table of symbols that cannot be, or is too large");
    *ret_n = head[1];
    return 0;
}

static Elf64_Sym raw_symbol(const struct elf *elf, size_t i)
{
    Elf64_Sym s;
    bool there = i < elf->n_symbols && elf_take(elf, elf->symbols.offset + i * sizeof s, &s, sizeof s);
    assert(there);
    return s;
}

int elf_read_symbols(struct elf_opening *o)
{
    struct elf *elf = o->elf;
    const struct elf_dynamic *d = &o->d;
    size_t n = 0;
    int e = d->has[ELF_GNU_HASH] ? count_gnu(o, d->value[ELF_GNU_HASH], &n)
            : d->has[DT_HASH]    ? count_old(o, d->value[DT_HASH], &n)
                                 : elf_bad(o, "has no hash table of symbols");
    if (e)
        return e;
    if (!d->has[DT_SYMTAB] || !elf_place(elf, d->value[DT_SYMTAB], n * sizeof(Elf64_Sym), &elf->symbols))
        return elf_bad(o, "has no symbol table, or one outside of the file");
    elf->n_symbols = n;
    for (size_t i = 0; i < n; i++)
        if (!elf_string(elf, raw_symbol(elf, i).st_name))
            return elf_bad(o, "has a symbol whose name is outside of its string table");
    return 0;
}

struct elf_symbol elf_symbol(const struct elf *elf, size_t i)
{
    Elf64_Sym s = raw_symbol(elf, i);
    struct elf_symbol symbol = {.name = elf_string(elf, s.st_name),
                                .address = s.st_value,
                                .size = s.st_size,
                                .bind = ELF64_ST_BIND(s.st_info),
                                .type = ELF64_ST_TYPE(s.st_info),
                                .defined = s.st_shndx != SHN_UNDEF};
    unsigned visibility = ELF64_ST_VISIBILITY(s.st_other);
    symbol.visible = symbol.bind != STB_LOCAL && (visibility == STV_DEFAULT || visibility == STV_PROTECTED);
    if (elf->symbol_versions.bytes) {
        uint16_t version;
        bool there = elf_take(elf, elf->symbol_versions.offset + i * sizeof version, &version, sizeof version);
        assert(there && (version & 0x7fff) < ELF_VERSIONS_MAX);
        const struct elf_version *v = &elf->versions[version & 0x7fff];
        symbol.version = v->name ? v : NULL;
    }
    return symbol;
}

/* ---- versions ---- */

/* 0 and 1 say "none". */
static int add_version(struct elf_opening *o, unsigned index, const char *name, const char *library)
{
    index &= 0x7fff;
    if (index >= ELF_VERSIONS_MAX || !name)
        return elf_bad(o, "has a symbol version that cannot be");
    if (index > 1)
        o->elf->versions[index] = (struct elf_version){name, library};
    return 0;
}

/* The linker asserts that it has loaded the library which a version is of. */
static bool is_needed(const struct elf *elf, const char *library)
{
    for (size_t i = 0; i < elf->n_needed; i++)
        if (library && strcmp(elf->needed[i], library) == 0)
            return true;
    return false;
}

/* Steps lead forward, as the linker takes them, until one says that it is the last. */
static int read_needed_versions(struct elf_opening *o)
{
    uint64_t at = o->d.value[ELF_VERNEED];
    for (size_t left = ELF_NEEDED_MAX, aux_left = ELF_VERSIONS_MAX; left > 0; left--) {
        Elf64_Verneed need;
        Elf64_Vernaux aux;
        if (!elf_read(o->elf, at, &need, sizeof need) || need.vn_version != 1 ||
            !is_needed(o->elf, elf_string(o->elf, need.vn_file)))
            break;
        for (uint64_t a = at + need.vn_aux;; a += aux.vna_next) {
            if (aux_left-- == 0 || !elf_read(o->elf, a, &aux, sizeof aux))
                return elf_bad(o, "has a table of symbol versions that cannot be");
            int e = add_version(o, aux.vna_other, elf_string(o->elf, aux.vna_name), elf_string(o->elf, need.vn_file));
            if (e)
                return e;
            if (aux.vna_next == 0)
                break;
        }
        if (need.vn_next == 0)
            return 0;
        at += need.vn_next;
    }
    return elf_bad(o, "has a table of symbol versions that cannot be");
}

static int read_defined_versions(struct elf_opening *o)
{
    uint64_t at = o->d.value[ELF_VERDEF];
    for (size_t left = DEFINITIONS_MAX; left > 0; left--) {
        Elf64_Verdef def;
        Elf64_Verdaux aux;
        if (!elf_read(o->elf, at, &def, sizeof def) || !elf_read(o->elf, at + def.vd_aux, &aux, sizeof aux))
            break;
        int e = add_version(o, def.vd_ndx, elf_string(o->elf, aux.vda_name), NULL);
        if (e)
            return e;
        if (def.vd_next == 0)
            return 0;
        at += def.vd_next;
    }
    return elf_bad(o, "has a table of symbol versions that cannot be");
}

int elf_read_versions(struct elf_opening *o)
{
    struct elf *elf = o->elf;
    const struct elf_dynamic *d = &o->d;
    int e = d->has[ELF_VERNEED] ? read_needed_versions(o) : 0;
    if (!e && d->has[ELF_VERDEF])
        e = read_defined_versions(o);
    if (e || !d->has[ELF_VERSYM])
        return e;
    if (!elf_place(elf, d->value[ELF_VERSYM], elf->n_symbols * sizeof(uint16_t), &elf->symbol_versions))
        return elf_bad(o, "has a table of symbol versions outside of the file");
    for (size_t i = 0; i < elf->n_symbols; i++) {
        uint16_t version;
        bool there = elf_take(elf, elf->symbol_versions.offset + i * sizeof version, &version, sizeof version);
        assert(there);
        version &= 0x7fff;
        if (version > 1 && (version >= ELF_VERSIONS_MAX || !elf->versions[version].name))
            return elf_bad(o, "has a symbol of a version that it does not name");
    }
    return 0;
}

/* ---- relocations ---- */

static int check_target(struct elf_opening *o, uint64_t address, uint64_t bytes)
{
    for (size_t i = 0; i < o->elf->n_loads; i++) {
        const struct elf_load *l = &o->elf->loads[i];
        if (address < l->address || address - l->address > l->size || bytes > l->size - (address - l->address))
            continue;
        o->elf->writes_code = o->elf->writes_code || !(l->flags & PF_W);
        return 0;
    }
    return elf_bad(o, "has a relocation outside of its own memory");
}

static int read_rela(struct elf_opening *o, int table, int size)
{
    struct elf *elf = o->elf;
    struct elf_table t;
    uint64_t bytes = o->d.value[size];
    if (!o->d.has[table])
        return 0;
    if (bytes / sizeof(Elf64_Rela) > ELF_RELOCS_MAX || bytes % sizeof(Elf64_Rela) ||
        !elf_place(elf, o->d.value[table], bytes, &t))
        return elf_bad(o, "has a table of relocations outside of the file");
    for (uint64_t i = 0; i < bytes / sizeof(Elf64_Rela); i++) {
        Elf64_Rela r;
        bool there = elf_take(elf, t.offset + i * sizeof r, &r, sizeof r);
        assert(there);
        uint32_t type = (uint32_t)ELF64_R_TYPE(r.r_info);
        if (!o->uncounted && ELF64_R_SYM(r.r_info) && ELF64_R_SYM(r.r_info) >= elf->n_symbols)
            return elf_bad(o, "has a relocation for a symbol that it has not");
        int e = type == RELOC_NONE ? 0 : check_target(o, r.r_offset, 8);
        if (e)
            return e;
        elf->resolvers = elf->resolvers || type == RELOC_RESOLVER;
    }
    return 0;
}

/* Addresses, each followed by bit maps of the 63 words behind it. */
static int read_relr(struct elf_opening *o)
{
    struct elf_table t;
    uint64_t bytes = o->d.value[DT_RELRSZ], where = 0;
    if (!o->d.has[DT_RELR])
        return 0;
    if (bytes / 8 > ELF_RELOCS_MAX || bytes % 8 || !elf_place(o->elf, o->d.value[DT_RELR], bytes, &t))
        return elf_bad(o, "has a table of relocations outside of the file");
    for (uint64_t i = 0; i < bytes / 8; i++) {
        uint64_t entry;
        bool there = elf_take(o->elf, t.offset + i * 8, &entry, sizeof entry);
        assert(there);
        int e = 0;
        if ((entry & 1) == 0) {
            e = check_target(o, entry, 8);
            where = entry + 8;
        } else if (where == 0) {
            e = elf_bad(o, "has a table of relocations that begins with a bit map");
        } else {
            if (entry > 1)
                e = check_target(o, where, (63 - (uint64_t)__builtin_clzll(entry)) * 8);
            where += 63 * 8;
        }
        if (e)
            return e;
    }
    return 0;
}

int elf_read_relocations(struct elf_opening *o)
{
    int e = read_rela(o, DT_RELA, DT_RELASZ);
    if (!e)
        e = read_rela(o, DT_JMPREL, DT_PLTRELSZ);
    return e ? e : read_relr(o);
}
