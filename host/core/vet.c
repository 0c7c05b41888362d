/* The findings about a library, and what they add up to. Borrows the file; knows ELF only through elf.h, no manifest
 * and no registry. Pure, any thread. */
#include "core/vet.h"

#include <elf.h>
#include <stdio.h>
#include <stdlib.h>

/* A host built with sanitizers or counters has plugins built so too. What those tools add to a library is still found,
 * but forbids nothing there. */
#ifdef CVM_INSTRUMENTED
#define INSTRUMENTED true
#else
#define INSTRUMENTED false
#endif

/* ---- findings ---- */

/* Names in the file are anyone's bytes: shown as ASCII. */
static void plain_text(const char *from, char *ret_text, size_t size)
{
    size_t n = 0;
    for (; from[n] && n + 1 < size; n++)
        ret_text[n] = from[n] > ' ' && from[n] < 0x7f ? from[n] : '?';
    ret_text[n] = 0;
}

/* `reason` is a short phrase in which "%s" stands for the subject. */
static void find(struct vet_report *r, const char *code, unsigned blocks, const char *subject, const char *reason,
                 const char *text)
{
    r->blocked |= blocks;
    if (r->n_findings == VET_FINDINGS_MAX) {
        r->n_more++;
        return;
    }
    struct vet_finding *f = &r->findings[r->n_findings++];
    char name[sizeof f->subject];
    plain_text(subject, name, sizeof name);
    *f = (struct vet_finding){.code = code, .blocks = blocks};
    snprintf(f->subject, sizeof f->subject, "%s", name);
    const char *place = strstr(reason, "%s");
    if (place)
        snprintf(f->reason, sizeof f->reason, "%.*s%s%s", (int)(place - reason), reason, name, place + 2);
    else
        snprintf(f->reason, sizeof f->reason, "%s", reason);
    snprintf(f->text, sizeof f->text, "%s", text);
}

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

static unsigned unless_instrumented(unsigned blocks)
{
    return INSTRUMENTED ? 0 : blocks;
}

/* ---- libraries ---- */

static bool is_usual(const char *library)
{
    static const char *const usual[] = {"libc.so.", "libm.so.", "libjansson.so.", "ld-linux"};
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++)
        if (begins(library, usual[i]))
            return true;
    return false;
}

static bool is_tool(const char *library)
{
    static const char *const tools[] = {"libasan.so.", "libubsan.so.", "libtsan.so.", "liblsan.so."};
    for (size_t i = 0; INSTRUMENTED && i < sizeof tools / sizeof *tools; i++)
        if (begins(library, tools[i]))
            return true;
    return false;
}

static void judge_libraries(struct vet_report *r)
{
    for (size_t i = 0; i < r->elf.n_needed; i++)
        if (!is_usual(r->elf.needed[i]) && !is_tool(r->elf.needed[i]))
            find(r, "library", VET_INLINE, r->elf.needed[i], "needs %s",
                 "inline plugins need libc, libm and libjansson only: what another library starts, allocates or waits "
                 "for is out of the host's sight. Link what you need of it into the plugin, or make it a service");
    if (r->elf.soname && is_usual(r->elf.soname))
        find(r, "soname", VET_INLINE, r->elf.soname, "calls itself %s",
             "the linker would hand it to others who ask for the library of that name. Link without -soname");
    if (r->elf.rpath)
        find(r, "rpath", 0, r->elf.rpath, "looks for libraries in %s",
             "a path in the file decides where libraries come from (RPATH, RUNPATH). Link without -rpath");
}

/* ---- symbols ---- */

static void keep_import(struct vet_report *r, const struct elf_symbol *s, const struct vet_rule *rule)
{
    if (r->n_imports == VET_NAMES_MAX) {
        r->n_more_imports++;
        return;
    }
    r->imports[r->n_imports++] = (struct vet_import){.name = s->name,
                                                     .version = s->version ? s->version->name : NULL,
                                                     .library = s->version ? s->version->library : NULL,
                                                     .reason = rule ? rule->reason : NULL,
                                                     .blocks = rule ? rule->blocks : 0};
}

/* Every function of our C library has a version, so what has none and is not jansson's comes from nowhere - or from
 * whatever the host happens to have loaded. */
static bool is_orphan(const struct vet_report *r, const struct elf_symbol *s)
{
    if (s->version || s->bind == STB_WEAK || begins(s->name, "json") || r->elf.symbol_versions.bytes == 0)
        return false;
    for (size_t i = 0; i < r->elf.n_needed; i++)
        if (!is_usual(r->elf.needed[i]))
            return false;
    return true;
}

static void judge_import(struct vet_report *r, const struct elf_symbol *s)
{
    static const struct vet_rule orphan = {
        "no library it needs has it",
        "Is a source file missing in the build, or a library? Nothing of the host is "
        "offered to plugins but what cvm.h declares",
        VET_INLINE};
    const struct vet_rule *rule = vet_import_rule(s->name);
    if (!rule && is_orphan(r, s))
        rule = &orphan;
    keep_import(r, s, rule);
    if (!rule)
        return;
    char reason[96];
    snprintf(reason, sizeof reason, "%s %%s (%s)", s->type == STT_OBJECT || rule == &orphan ? "uses" : "calls",
             rule->reason);
    find(r, "import", unless_instrumented(rule->blocks), s->name, reason, rule->remedy);
}

static bool is_allocator(const char *name)
{
    static const char *const names[] = {"malloc", "calloc",        "realloc",  "reallocarray",
                                        "free",   "aligned_alloc", "memalign", "posix_memalign",
                                        "valloc", "pvalloc",       "cfree"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

/* The linker's own marks, which some linkers export. */
static bool is_mark(const char *name)
{
    static const char *const names[] = {"_init", "_fini", "_end", "_edata", "__bss_start", "end", "edata"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

static void judge_export(struct vet_report *r, const struct elf_symbol *s)
{
    if (strcmp(s->name, "cvm_plugin") == 0 || is_mark(s->name))
        return;
    if (r->n_exports < VET_NAMES_MAX)
        r->exports[r->n_exports++] = s->name;
    else
        r->n_more_exports++;
    if (is_allocator(s->name) || begins(s->name, "json_") || vet_import_rule(s->name))
        find(r, "interposition", VET_INLINE, s->name, "exports %s, a name of the C library or of jansson",
             "which of the two is meant would hang on the order of loading. Rename it, or make it static");
    else
        find(r, "export", 0, s->name, "exports %s",
             "only cvm_plugin is for the host; a second library with that name would be confused with it. Compile with "
             "-fvisibility=hidden, or make it static");
}

static void judge_symbol(struct vet_report *r, const struct elf_symbol *s)
{
    if (!s->name[0] || s->type == STT_SECTION || s->type == STT_FILE)
        return;
    if (s->bind == STB_GNU_UNIQUE && s->defined)
        find(r, "unique", VET_UNLOAD, s->name, "has the unique symbol %s",
             "the first build loaded gives it to all later ones, and can never be unloaded. For C++: "
             "-fno-gnu-unique");
    if (s->type == STT_GNU_IFUNC && s->defined)
        find(r, "resolver", VET_INLINE, s->name, "chooses what %s is while it is linked",
             "code of the plugin would run before the host has looked at it. Choose in create instead of by ifunc");
    if (s->type == STT_TLS && s->defined)
        r->elf.tls = true;
    if (!s->defined)
        judge_import(r, s);
    else if (s->visible)
        judge_export(r, s);
}

/* ---- the rest ---- */

/* The compiler's own _init and _fini, which call what does not exist in a library like ours, and do nothing. */
static bool is_compilers(const struct elf *elf, const struct elf_table *code, bool init)
{
#ifdef __x86_64__
    static const uint8_t enter[] = {0x48, 0x83, 0xec, 0x08}, leave[] = {0x48, 0x83, 0xc4, 0x08, 0xc3};
    static const uint8_t load[] = {0x48, 0x8b, 0x05}; /* __gmon_start__, four bytes of address follow */
    static const uint8_t call[] = {0x48, 0x85, 0xc0, 0x74, 0x02, 0xff, 0xd0};
    uint8_t bytes[27] = {0};
    size_t n = code->bytes < sizeof bytes ? code->bytes : sizeof bytes, at = 0;
    memcpy(bytes, elf->at + code->offset, n);
    if (memcmp(bytes, "\xf3\x0f\x1e\xfa", 4) == 0) /* endbr64 */
        at += 4;
    if (memcmp(bytes + at, enter, sizeof enter) != 0)
        return false;
    at += sizeof enter;
    if (init && (memcmp(bytes + at, load, sizeof load) != 0 || memcmp(bytes + at + 7, call, sizeof call) != 0))
        return false;
    if (init)
        at += 7 + sizeof call;
    return memcmp(bytes + at, leave, sizeof leave) == 0;
#else
    return true;
#endif
}

/* The compiler adds one function to each table along with _init and _fini (frame_dummy, __do_global_dtors_aux). */
static void judge_functions(struct vet_report *r)
{
    const struct elf *elf = &r->elf;
    bool odd_init = elf->init.bytes && !is_compilers(elf, &elf->init, true);
    bool odd_fini = elf->fini.bytes && !is_compilers(elf, &elf->fini, false);
    if (odd_init || elf->n_constructors > (elf->init.bytes ? 1 : 0))
        find(r, "constructor", unless_instrumented(VET_INLINE), "", "has a constructor",
             "it would run before the host has checked anything, and one that fails ends the host. Do it in create");
    if (odd_fini || elf->n_destructors > (elf->fini.bytes ? 1 : 0))
        find(r, "destructor", unless_instrumented(VET_INLINE), "", "has a destructor",
             "it would run at some time after destroy, or at the end of the host. Do it in destroy");
}

static void judge_linkage(struct vet_report *r)
{
    const struct elf *elf = &r->elf;
    bool writable_code = false;
    for (size_t i = 0; i < elf->n_loads; i++)
        writable_code = writable_code || (elf->loads[i].flags & (PF_W | PF_X)) == (PF_W | PF_X);
    if (elf->flags & DF_STATIC_TLS)
        find(r, "thread-local", VET_INLINE | VET_UNLOAD, "", "has thread-local data of the static kind",
             "a running process has little room for it and does not get it back. Keep it in the component's state");
    else if (elf->tls)
        find(r, "thread-local", 0, "", "has thread-local data",
             "one thread runs all turns, so it is a global with a detour, and is lost when a build is replaced");
    if (elf->flags_1 & DF_1_NODELETE)
        find(r, "nodelete", VET_UNLOAD, "", "asks never to be unloaded",
             "every replaced build stays in memory. Link without -z nodelete");
    if (elf->writes_code || (elf->flags & DF_TEXTREL))
        find(r, "text-relocation", VET_INLINE, "", "changes its own code while it is linked",
             "its code pages would have to be writable. Compile with -fPIC");
    if (elf->stack_executable)
        find(r, "stack", VET_INLINE, "", "makes stacks executable",
             "all stacks of the host would become so. Avoid nested functions; give assembly files a .note.GNU-stack");
    if (writable_code)
        find(r, "writable-code", VET_INLINE, "", "has memory that is writable and executable",
             "any stray write could become code. Link without -N and without a script that merges segments");
    if (elf->resolvers)
        find(r, "resolver", VET_INLINE, "", "chooses functions while it is linked",
             "code of the plugin would run before the host has looked at it. Choose in create instead of by ifunc");
}

int vet_library(const uint8_t *file, size_t size, struct vet_report *ret_report, char *ret_error, size_t error_size)
{
    struct elf elf;
    cvm_plugin_descriptor identity;
    int e = elf_open(file, size, &elf, ret_error, error_size);
    if (!e)
        e = elf_identity(&elf, &identity, ret_error, error_size);
    if (e)
        return e;
    memset(ret_report, 0, sizeof *ret_report);
    ret_report->identity = identity;
    ret_report->bytes = size;
    ret_report->elf = elf;
    judge_libraries(ret_report);
    judge_functions(ret_report);
    for (size_t i = 1; i < elf.n_symbols; i++) { /* the first is none */
        struct elf_symbol s = elf_symbol(&elf, i);
        judge_symbol(ret_report, &s);
    }
    judge_linkage(ret_report);
    return 0;
}

/* ---- verdicts ---- */

bool vet_may_inline(const struct vet_report *r)
{
    return !(r->blocked & VET_INLINE);
}

bool vet_may_unload(const struct vet_report *r)
{
    return !(r->blocked & VET_UNLOAD);
}

static void list_reasons(const struct vet_report *r, unsigned blocks, char *ret_text, size_t size)
{
    size_t at = 0, left = r->n_more;
    ret_text[0] = 0;
    for (size_t i = 0; (r->blocked & blocks) && i < r->n_findings; i++) {
        const struct vet_finding *f = &r->findings[i];
        size_t n = strlen(f->reason) + 2;
        if (!(f->blocks & blocks))
            continue;
        if (at + n + sizeof "; and more" > size) {
            left++;
            break;
        }
        at += (size_t)snprintf(ret_text + at, size - at, "%s%s", at ? "; " : "", f->reason);
    }
    if ((r->blocked & blocks) && (left || !at))
        snprintf(ret_text + at, size - at, "%sand more", at ? "; " : "");
}

int vet_judge(const uint8_t *file, size_t size, struct vet_verdict *ret_verdict, char *ret_error, size_t error_size)
{
    struct vet_report *r = malloc(sizeof *r);
    if (!r) {
        snprintf(ret_error, error_size, "%s", cvm_strerror(CVM_ENOMEM));
        return CVM_ENOMEM;
    }
    int e = vet_library(file, size, r, ret_error, error_size);
    if (!e) {
        ret_verdict->may_inline = vet_may_inline(r);
        ret_verdict->may_unload = vet_may_unload(r);
        list_reasons(r, VET_INLINE, ret_verdict->inline_reasons, sizeof ret_verdict->inline_reasons);
        list_reasons(r, VET_UNLOAD, ret_verdict->unload_reasons, sizeof ret_verdict->unload_reasons);
    }
    free(r);
    return e;
}

/* ---- as JSON ---- */

static json_t *ascii(const char *text)
{
    char plain[256];
    if (!text)
        return json_null();
    plain_text(text, plain, sizeof plain);
    return json_string(plain);
}

static json_t *verdict_json(const struct vet_report *r, unsigned blocks)
{
    json_t *reasons = json_array();
    for (size_t i = 0; i < r->n_findings; i++)
        if (r->findings[i].blocks & blocks)
            json_array_append_new(reasons, json_string(r->findings[i].reason));
    return json_pack("{s:b, s:o}", "may", !(r->blocked & blocks), "reasons", reasons);
}

static json_t *findings_json(const struct vet_report *r)
{
    json_t *all = json_array();
    for (size_t i = 0; i < r->n_findings; i++) {
        const struct vet_finding *f = &r->findings[i];
        json_t *blocks = json_array();
        if (f->blocks & VET_INLINE)
            json_array_append_new(blocks, json_string("inline"));
        if (f->blocks & VET_UNLOAD)
            json_array_append_new(blocks, json_string("unload"));
        json_array_append_new(all, json_pack("{s:s, s:s, s:o, s:s, s:s}", "code", f->code, "subject", f->subject,
                                             "blocks", blocks, "reason", f->reason, "text", f->text));
    }
    return all;
}

static json_t *names_json(const char *const *names, size_t n)
{
    json_t *all = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(all, ascii(names[i]));
    return all;
}

static json_t *imports_json(const struct vet_report *r)
{
    json_t *all = json_array();
    for (size_t i = 0; i < r->n_imports; i++) {
        const struct vet_import *m = &r->imports[i];
        json_array_append_new(all, json_pack("{s:o, s:o, s:o, s:s?}", "name", ascii(m->name), "version",
                                             ascii(m->version), "library", ascii(m->library), "reason", m->reason));
    }
    return all;
}

json_t *vet_report_json(const struct vet_report *r)
{
    char abi[16];
    snprintf(abi, sizeof abi, "%u.%u", r->identity.abi_major, r->identity.abi_minor);
    return json_pack("{s:o, s:o, s:s, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:I}", "plugin", ascii(r->identity.name),
                     "version", ascii(r->identity.version), "abi", abi, "bytes", (json_int_t)r->bytes,
                     "descriptor_bytes", (json_int_t)r->identity.size, "inline", verdict_json(r, VET_INLINE), "unload",
                     verdict_json(r, VET_UNLOAD), "needs", names_json(r->elf.needed, r->elf.n_needed), "exports",
                     names_json(r->exports, r->n_exports), "imports", imports_json(r), "findings", findings_json(r),
                     "left_out", (json_int_t)(r->n_more + r->n_more_imports + r->n_more_exports));
}
