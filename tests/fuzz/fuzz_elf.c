/* Libraries of any kind before the ELF reader and vetting. */
#include "fuzz.h"

#include "core/vet.h"
#include <stdio.h>
#include <stdlib.h>

static struct vet_report report;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char why[256] = "", again[256] = "";
    struct vet_verdict verdict;
    cvm_plugin_descriptor identity;
    int e = vet_library(data, size, &report, why, sizeof why);
    FUZZ_CHECK(elf_read_identity(data, size, &identity, again, sizeof again) == e && strcmp(why, again) == 0);
    FUZZ_CHECK(vet_judge(data, size, &verdict, again, sizeof again) == e);
    FUZZ_CHECK(e == 0 || why[0]);
    if (e)
        return 0;
    FUZZ_CHECK(memchr(identity.name, 0, sizeof identity.name) && memchr(identity.version, 0, sizeof identity.version));
    FUZZ_CHECK(!verdict.may_inline == (verdict.inline_reasons[0] != 0));
    FUZZ_CHECK(!verdict.may_unload == (verdict.unload_reasons[0] != 0));
    json_t *json = vet_report_json(&report);
    char *text = json ? json_dumps(json, 0) : NULL;
    FUZZ_CHECK(text != NULL);
    free(text);
    json_decref(json);
    return 0;
}
