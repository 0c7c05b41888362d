/* Judges a plugin's library by its file alone: may it be loaded, may it run inside the host's process, may it be taken
 * out of that process again. Runs no code of it. It guards against mistakes of honest authors; code that means harm
 * finds ways no reader of files sees. Pure, any thread; bounded by the limits of elf.h. */
#ifndef HOST_CORE_VET_H
#define HOST_CORE_VET_H

#include "core/elf.h"

/* ---- for the loader: one call ---- */

struct vet_verdict {
    bool may_inline; /* run turns in the host's process */
    bool may_unload; /* dlclose() after destroy */
    char inline_reasons[480],
        unload_reasons[480]; /* "calls fork (starts processes); needs libx.so.1"; "" where it may */
};

/* Returns 0; or CVM_EINVAL or CVM_EABI with a sentence where it could not even be loaded. */
int vet_judge(const uint8_t *file, size_t size, struct vet_verdict *ret_verdict, char *ret_error, size_t error_size);

/* ---- for people: all that was found ---- */

#define VET_FINDINGS_MAX 64 /* kept; the verdicts count all */
#define VET_NAMES_MAX 512   /* kept of imports, and of exports */

enum vet_blocks { VET_INLINE = 1, VET_UNLOAD = 2 }; /* what a finding forbids; 0: a warning */

struct vet_finding {
    const char *code; /* "import", "constructor", ..: the words of docs/howto/vet.md */
    unsigned blocks;
    char subject[96]; /* "fork", "libx.so.1"; "" where there is none */
    char text[200];   /* what it does and what to do instead */
    char reason[96];  /* the same in a few words, for a list of reasons: "calls fork (starts processes)" */
};

struct vet_import {
    const char *name, *version, *library; /* version and library are NULL where the file does not say */
    const char *reason;                   /* "starts processes"; NULL: allowed */
    unsigned blocks;
};

struct vet_report {
    cvm_plugin_descriptor identity;
    size_t bytes;
    struct elf elf;
    unsigned blocked;
    struct vet_finding findings[VET_FINDINGS_MAX];
    size_t n_findings, n_more; /* kept, and left out */
    struct vet_import imports[VET_NAMES_MAX];
    size_t n_imports, n_more_imports;
    const char *exports[VET_NAMES_MAX]; /* besides cvm_plugin */
    size_t n_exports, n_more_exports;
};

/* Fills *ret_report (some 100 KB: put it on the heap), which points into `file`. Returns as vet_judge. */
int vet_library(const uint8_t *file, size_t size, struct vet_report *ret_report, char *ret_error, size_t error_size);

bool vet_may_inline(const struct vet_report *report);
bool vet_may_unload(const struct vet_report *report);

/* {"plugin","version","abi","bytes","inline":{"may","reasons"},"unload":{..},"needs":[..],"exports":[..],
 * "imports":[{"name","version","library","reason"}],"findings":[{"code","subject","blocks":[..],"text"}]}. Gives a new
 * object, text in ASCII. */
json_t *vet_report_json(const struct vet_report *report);

/* ---- what imports mean (vet_imports.c) ---- */

struct vet_rule {
    const char *reason; /* "starts processes" */
    const char *remedy; /* a sentence */
    unsigned blocks;
};

/* The rule for a function of libc or libjansson, also in its spellings __NAME_chk, NAME64 and the like; NULL: allowed.
 */
const struct vet_rule *vet_import_rule(const char *name);

#endif
