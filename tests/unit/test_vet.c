/* What vetting finds in libraries made to be found out, in damaged ones, and in our own plugins, where it finds
 * nothing. */
#include "core/vet.h"
#include "files.h"

#include <check.h>
#include <elf.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static struct vet_report report;
static char why[256];

static uint8_t *read_tricky(const char *name, size_t *ret_size)
{
    char path[1024];
    snprintf(path, sizeof path, TRICKY_DIR "/tricky_%s.so", name);
    return files_read(path, ret_size);
}

static const struct vet_finding *find(const char *code, const char *subject)
{
    for (size_t i = 0; i < report.n_findings; i++)
        if (strcmp(report.findings[i].code, code) == 0 && strcmp(report.findings[i].subject, subject) == 0)
            return &report.findings[i];
    return NULL;
}

/* ---- shapes ---- */

static const struct shape {
    const char *name, *code, *subject; /* code is NULL: nothing is found */
    unsigned blocks;
} SHAPES[] = {
    {"plain", NULL, NULL, 0},
    {"plain_sysv_hash", NULL, NULL, 0},
    {"plain_relr", NULL, NULL, 0},
    {"plain_stripped", NULL, NULL, 0},
    {"grown", NULL, NULL, 0},
    {"old", NULL, NULL, 0},
    {"constructor", "constructor", "", VET_INLINE},
    {"constructor_alone", "constructor", "", VET_INLINE},
    {"init", "constructor", "", VET_INLINE},
    {"destructor", "destructor", "", VET_INLINE},
    {"tls", "thread-local", "", 0},
    {"tls_static", "thread-local", "", VET_INLINE | VET_UNLOAD},
    {"unique", "unique", "only_one", VET_UNLOAD},
    {"export", "export", "helper", 0},
    {"interposition", "interposition", "valloc", VET_INLINE},
    {"ifunc", "resolver", "chosen", VET_INLINE},
    {"fork", "import", "fork", VET_INLINE},
    {"printf", "import", "printf", 0},
    {"atexit", "import", "__cxa_atexit", VET_UNLOAD},
    {"orphan", "import", "nowhere", VET_INLINE},
    {"library", "library", "libcurl.so.4", VET_INLINE},
    {"text_relocation", "text-relocation", "", VET_INLINE},
    {"writable_code", "writable-code", "", VET_INLINE},
    {"nodelete", "nodelete", "", VET_UNLOAD},
    {"stack", "stack", "", VET_INLINE},
    {"rpath", "rpath", "/nowhere", 0},
    {"soname", "soname", "libc.so.6", VET_INLINE},
};

/* In a host built with sanitizers what those add forbids nothing: only that it is found can be seen there. */
static unsigned expected_blocks(const struct shape *s)
{
#ifdef CVM_INSTRUMENTED
    if (strcmp(s->code, "constructor") == 0 || strcmp(s->code, "destructor") == 0 || strcmp(s->code, "import") == 0)
        return 0;
#endif
    return s->blocks;
}

START_TEST(shapes)
{
    const struct shape *s = &SHAPES[_i];
    size_t size;
    uint8_t *bytes = read_tricky(s->name, &size);
    struct vet_verdict verdict;
    ck_assert_msg(vet_library(bytes, size, &report, why, sizeof why) == 0, "%s: %s", s->name, why);
    ck_assert_str_eq(report.identity.name, "tricky");
    ck_assert_int_eq(vet_judge(bytes, size, &verdict, why, sizeof why), 0);
    if (!s->code) {
        ck_assert_msg(report.n_findings == 0, "%s: %s", s->name, report.findings[0].reason);
        ck_assert(verdict.may_inline && verdict.may_unload && !*verdict.inline_reasons && !*verdict.unload_reasons);
    } else {
        const struct vet_finding *f = find(s->code, s->subject);
        unsigned blocks = expected_blocks(s);
        ck_assert_msg(f != NULL, "%s: not found", s->name);
        ck_assert_uint_eq(f->blocks, blocks);
        ck_assert(*f->text && *f->reason);
        ck_assert_int_eq(verdict.may_inline, !(blocks & VET_INLINE));
        ck_assert_int_eq(verdict.may_unload, !(blocks & VET_UNLOAD));
        ck_assert_int_eq(strstr(verdict.inline_reasons, f->reason) != NULL, !verdict.may_inline);
        ck_assert_int_eq(strstr(verdict.unload_reasons, f->reason) != NULL, !verdict.may_unload);
    }
    free(bytes);
}
END_TEST

START_TEST(refused_shapes)
{
    static const struct {
        const char *name;
        int error;
        const char *text;
    } refused[] = {{"hidden", CVM_EINVAL, "exports no symbol cvm_plugin"},
                   {"function", CVM_EINVAL, "no data"},
                   {"newer", CVM_EABI, "; rebuild it"},
                   {"magic", CVM_EABI, "magic"},
                   {"short", CVM_EABI, "120 bytes long"},
                   {"long", CVM_EABI, "4096 bytes long"}};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        size_t size;
        uint8_t *bytes = read_tricky(refused[i].name, &size);
        ck_assert_msg(vet_library(bytes, size, &report, why, sizeof why) == refused[i].error, "%s: %s", refused[i].name,
                      why);
        ck_assert_msg(strstr(why, refused[i].text) != NULL, "%s: %s", refused[i].name, why);
        free(bytes);
    }
}
END_TEST

/* ---- what the report tells ---- */

START_TEST(imports_and_exports_are_named)
{
    size_t size;
    uint8_t *bytes = read_tricky("fork", &size);
    bool seen = false;
    ck_assert_int_eq(vet_library(bytes, size, &report, why, sizeof why), 0);
    json_t *json = vet_report_json(&report), *import;
    size_t i;
    json_array_foreach(json_object_get(json, "imports"), i, import)
    {
        if (strcmp(json_string_value(json_object_get(import, "name")), "fork") != 0)
            continue;
        ck_assert_str_eq(json_string_value(json_object_get(import, "library")), "libc.so.6");
        ck_assert(strncmp(json_string_value(json_object_get(import, "version")), "GLIBC_", 6) == 0);
        ck_assert_str_eq(json_string_value(json_object_get(import, "reason")), "starts processes");
        seen = true;
    }
    ck_assert(seen);
    ck_assert_str_eq(json_string_value(json_array_get(json_object_get(json, "exports"), 0)), "start");
    ck_assert_str_eq(json_string_value(json_object_get(json, "plugin")), "tricky");
    ck_assert_str_eq(json_string_value(json_object_get(json, "abi")), "1.6");
    json_decref(json);
    free(bytes);
}
END_TEST

START_TEST(spellings_of_imports)
{
    static const char *const forbidden[] = {"open",        "open64",     "__open_2", "__open64_2", "__poll_chk",
                                            "fopen64",     "__sleep",    "_exit",    "exit",       "__isoc99_scanf",
                                            "__sigaction", "__lxstat64", "system",   "stdin",      "json_load_file"},
                             *const allowed[] = {"memcpy",
                                                 "__memcpy_chk",
                                                 "snprintf",
                                                 "malloc",
                                                 "abort",
                                                 "__assert_fail",
                                                 "__isoc99_sscanf",
                                                 "qsort",
                                                 "strtoll",
                                                 "ope",
                                                 "open ",
                                                 "openx",
                                                 "json_loads",
                                                 "gmtime_r",
                                                 "__errno_location",
                                                 "",
                                                 "_",
                                                 "64",
                                                 "__",
                                                 "pthread_mutex_lock"};
    for (size_t i = 0; i < sizeof forbidden / sizeof *forbidden; i++) {
        const struct vet_rule *rule = vet_import_rule(forbidden[i]);
        ck_assert_msg(rule && (rule->blocks & VET_INLINE), "%s", forbidden[i]);
    }
    for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++)
        ck_assert_msg(!vet_import_rule(allowed[i]), "%s", allowed[i]);
    ck_assert_uint_eq(vet_import_rule("clock_gettime")->blocks, 0);
    ck_assert_uint_eq(vet_import_rule("__printf_chk")->blocks, 0);
}
END_TEST

/* ---- damaged files ---- */

/* Each piece lies in a block of just its size, so that one byte too far is seen. */
START_TEST(cut_anywhere)
{
    static const char *const names[] = {"plain", "plain_sysv_hash", "plain_relr", "plain_stripped"};
    size_t size;
    uint8_t *bytes = read_tricky(names[_i], &size);
    for (size_t n = 0; n < size; n++) {
        uint8_t *piece = malloc(n ? n : 1);
        memcpy(piece, bytes, n);
        why[0] = 0;
        ck_assert_msg(vet_library(piece, n, &report, why, sizeof why) < 0 && why[0], "%zu of %zu bytes", n, size);
        free(piece);
    }
    free(bytes);
}
END_TEST

static long micros(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* Every byte of headers and tables, to the values that do the most harm. */
START_TEST(each_byte_otherwise)
{
    static const uint8_t values[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
    size_t size, good = 0, bad = 0;
    uint8_t *bytes = read_tricky("plain_sysv_hash", &size), *mutant = malloc(size);
    memcpy(mutant, bytes, size);
    for (size_t at = 0; at < size; at += at < 4096 ? 1 : 7)
        for (size_t v = 0; v < sizeof values; v++) {
            mutant[at] = values[v];
            long begun = micros();
            int e = vet_library(mutant, size, &report, why, sizeof why);
            ck_assert_msg(micros() - begun < 1000000, "byte %zu: too long", at);
            good += e == 0;
            bad += e != 0;
            mutant[at] = bytes[at];
        }
    ck_assert_uint_gt(good, 100);
    ck_assert_uint_gt(bad, 100);
    free(mutant);
    free(bytes);
}
END_TEST

/* ---- files that only a wicked linker would make ---- */

static uint8_t *at_offset; /* of the file being damaged */

static Elf64_Phdr *segment(uint32_t type, int nth)
{
    Elf64_Ehdr *h = (void *)at_offset;
    Elf64_Phdr *p = (void *)(at_offset + h->e_phoff);
    for (; p->p_type != type || nth-- > 0; p++)
        ck_assert(p < (Elf64_Phdr *)(void *)(at_offset + h->e_phoff) + h->e_phnum);
    return p;
}

static Elf64_Dyn *dynamic(int64_t tag)
{
    Elf64_Dyn *d = (void *)(at_offset + segment(PT_DYNAMIC, 0)->p_offset);
    while (d->d_tag != tag && d->d_tag != DT_NULL)
        d++;
    ck_assert_int_eq(d->d_tag, tag);
    return d;
}

static void *table(int64_t tag) /* all tables lie in the first segment, where addresses are offsets */
{
    return at_offset + dynamic(tag)->d_un.d_val;
}

static void machine(void)
{
    ((Elf64_Ehdr *)(void *)at_offset)->e_machine = EM_S390;
}

static void big_endian(void)
{
    at_offset[EI_DATA] = ELFDATA2MSB;
}

static void overlap(void)
{
    segment(PT_LOAD, 1)->p_vaddr = segment(PT_LOAD, 0)->p_vaddr;
}

static void huge(void)
{
    segment(PT_LOAD, 3)->p_memsz = 1ull << 40;
}

static void misaligned(void)
{
    segment(PT_LOAD, 1)->p_align = 0x1001;
}

static void two_dynamics(void)
{
    segment(PT_NOTE, 0)->p_type = PT_DYNAMIC;
}

static void note_outside(void)
{
    segment(PT_NOTE, 0)->p_vaddr = 1ull << 62;
}

static void no_end(void)
{
    Elf64_Phdr *p = segment(PT_DYNAMIC, 0);
    for (Elf64_Dyn *d = (void *)(at_offset + p->p_offset); (uint8_t *)d < at_offset + p->p_offset + p->p_filesz; d++)
        if (d->d_tag == DT_NULL)
            d->d_tag = DT_DEBUG + 0x70000000;
}

static void twice(void)
{
    dynamic(DT_SYMENT)->d_tag = DT_STRTAB;
}

static void other_relocations(void)
{
    dynamic(DT_RELAENT)->d_un.d_val = 16;
}

static void endless_strings(void)
{
    ((char *)table(DT_STRTAB))[dynamic(DT_STRSZ)->d_un.d_val - 1] = 'x';
}

static void circle(void)
{
    uint32_t *t = table(DT_HASH);
    for (uint32_t i = 0; i < t[1]; i++)
        t[2 + t[0] + i] = i;
}

static void no_buckets(void)
{
    ((uint32_t *)table(DT_HASH))[0] = 0;
}

static void no_gnu_buckets(void)
{
    ((uint32_t *)table(DT_GNU_HASH))[0] = 0;
}

static void odd_filter(void)
{
    ((uint32_t *)table(DT_GNU_HASH))[2] = 3;
}

static void endless_chain(void)
{
    uint32_t *t = table(DT_GNU_HASH);
    for (uint32_t *chain = t + 4 + t[2] * 2 + t[0]; (uint8_t *)chain < at_offset + segment(PT_LOAD, 0)->p_filesz;
         chain++)
        *chain &= ~1u;
}

static void symbol_name(void)
{
    ((Elf64_Sym *)table(DT_SYMTAB))[1].st_name = UINT32_MAX;
}

static void version_unknown(void)
{
    ((uint16_t *)table(DT_VERSYM))[1] = 99;
}

static void version_of_nobody(void)
{
    ((Elf64_Verneed *)table(DT_VERNEED))->vn_file = 1;
}

static void versions_in_small_steps(void)
{
    Elf64_Verneed *v = table(DT_VERNEED);
    ((Elf64_Vernaux *)(void *)((uint8_t *)v + v->vn_aux))->vna_next = 1;
}

static void relocation_outside(void)
{
    ((Elf64_Rela *)table(DT_RELA))->r_offset = 1ull << 40;
}

static void relocation_of_nobody(void)
{
    ((Elf64_Rela *)table(DT_JMPREL))->r_info = ELF64_R_INFO(1000000, R_X86_64_JUMP_SLOT);
}

static void constructors_outside(void)
{
    dynamic(DT_INIT_ARRAYSZ)->d_un.d_val = 1ull << 62;
}

static const struct {
    const char *shape, *text;
    void (*damage)(void);
} DAMAGES[] = {
    {"plain", "another machine", machine},
    {"plain", "another machine", big_endian},
    {"plain", "overlap", overlap},
    {"plain", "spans more than", huge},
    {"plain", "alignment", misaligned},
    {"plain", "two dynamic tables", two_dynamics},
    {"plain", "outside of what is mapped", note_outside},
    {"plain", "dynamic table without an end", no_end},
    {"plain", "twice", twice},
    {"plain", "relocations of a form", other_relocations},
    {"plain", "string table without an end", endless_strings},
    {"plain_sysv_hash", "hash table", circle},
    {"plain_sysv_hash", "hash table", no_buckets},
    {"plain", "hash table", no_gnu_buckets},
    {"plain", "hash table", odd_filter},
    {"plain", "without an end", endless_chain},
    {"plain", "name is outside", symbol_name},
    {"plain", "version that it does not name", version_unknown},
    {"plain", "symbol versions", version_of_nobody},
    {"plain", "symbol version", versions_in_small_steps},
    {"plain", "outside of its own memory", relocation_outside},
    {"plain", "symbol that it has not", relocation_of_nobody},
    {"plain", "constructors or destructors outside", constructors_outside},
};

START_TEST(damaged_tables)
{
    size_t size;
    long begun = micros();
    at_offset = read_tricky(DAMAGES[_i].shape, &size);
    DAMAGES[_i].damage();
    ck_assert_msg(vet_library(at_offset, size, &report, why, sizeof why) == CVM_EINVAL, "%s: taken", DAMAGES[_i].text);
    ck_assert_msg(strstr(why, DAMAGES[_i].text) != NULL, "expected \"%s\": %s", DAMAGES[_i].text, why);
    ck_assert_int_lt(micros() - begun, 1000000);
    free(at_offset);
}
END_TEST

/* ---- our own plugins, as built ---- */

static int bundled;

static int vet_bundled(const char *path, const struct stat *st, int type, struct FTW *where)
{
    size_t n = strlen(path);
    if (type != FTW_F || n < 3 || strcmp(path + n - 3, ".so") != 0)
        return 0;
    size_t size;
    uint8_t *bytes = files_read(path, &size);
    struct vet_verdict v;
    ck_assert_msg(vet_judge(bytes, size, &v, why, sizeof why) == 0, "%s: %s", path, why);
    ck_assert_msg(v.may_inline, "%s: %s", path, v.inline_reasons);
    ck_assert_msg(v.may_unload, "%s: %s", path, v.unload_reasons);
    ck_assert_int_eq(vet_library(bytes, size, &report, why, sizeof why), 0);
#ifndef CVM_INSTRUMENTED
    ck_assert_uint_eq(report.n_findings, 0);
#endif
    free(bytes);
    bundled++;
    return 0;
}

START_TEST(bundled_plugins_pass)
{
    ck_assert_int_eq(nftw(PLUGINS_DIR, vet_bundled, 16, FTW_PHYS), 0);
    ck_assert_int_ge(bundled, 4);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("vet");
    TCase *c = tcase_create("vet");
    tcase_set_timeout(c, 60);
    tcase_add_loop_test(c, shapes, 0, sizeof SHAPES / sizeof *SHAPES);
    tcase_add_test(c, refused_shapes);
    tcase_add_test(c, imports_and_exports_are_named);
    tcase_add_test(c, spellings_of_imports);
    tcase_add_loop_test(c, cut_anywhere, 0, 4);
    tcase_add_test(c, each_byte_otherwise);
    tcase_add_loop_test(c, damaged_tables, 0, sizeof DAMAGES / sizeof *DAMAGES);
    tcase_add_test(c, bundled_plugins_pass);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
