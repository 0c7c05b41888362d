/* Regular expressions: the host's own library, looked for when a test first needs it, so that a plugin's author needs
 * no package for it. Only the few functions used are declared, as their manual gives them. */
#include "private.h"

#include <dlfcn.h>

#define PCRE2_LIBRARY "libpcre2-8.so.0"
#define PCRE2_CASELESS 0x00000008u
#define PCRE2_UCP 0x00020000u
#define PCRE2_UTF 0x00080000u
#define PCRE2_NOMATCH (-1)
#define PCRE2_MATCHLIMIT (-47)

static struct {
    void *library;
    void *(*compile)(const uint8_t *pattern, size_t length, uint32_t options, int *error, size_t *at, void *context);
    void *(*data_create)(void *code, void *context);
    int (*match)(const void *code, const uint8_t *text, size_t length, size_t start, uint32_t options, void *data,
                 void *context);
    size_t *(*ovector)(void *data);
    void (*code_free)(void *code);
    void (*data_free)(void *data);
} pcre2;

static void find(void *ret_function, const char *name)
{
    void *symbol = dlsym(pcre2.library, name);
    if (!symbol)
        harness__die("cvm_match: %s has no function %s", PCRE2_LIBRARY, name);
    memcpy(ret_function, &symbol, sizeof symbol);
}

static void open_library(void)
{
    if (pcre2.library)
        return;
    pcre2.library = dlopen(PCRE2_LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (!pcre2.library)
        harness__die("cvm_match needs %s: install the package libpcre2-8-0", PCRE2_LIBRARY);
    find(&pcre2.compile, "pcre2_compile_8");
    find(&pcre2.data_create, "pcre2_match_data_create_from_pattern_8");
    find(&pcre2.match, "pcre2_match_8");
    find(&pcre2.ovector, "pcre2_get_ovector_pointer_8");
    find(&pcre2.code_free, "pcre2_code_free_8");
    find(&pcre2.data_free, "pcre2_match_data_free_8");
}

int harness__match(const char *pattern, bool caseless, const char *text, size_t offset, cvm_span *spans, size_t n)
{
    int error;
    size_t at;
    open_library();
    void *code = pcre2.compile((const uint8_t *)pattern, strlen(pattern),
                               (caseless ? PCRE2_CASELESS : 0) | PCRE2_UTF | PCRE2_UCP, &error, &at, NULL);
    if (!code || offset > strlen(text)) {
        pcre2.code_free(code);
        return CVM_EINVAL;
    }
    void *data = pcre2.data_create(code, NULL);
    int found = pcre2.match(code, (const uint8_t *)text, strlen(text), offset, 0, data, NULL);
    for (size_t i = 0; found > 0 && i < n; i++)
        spans[i] = i < (size_t)found ? (cvm_span){pcre2.ovector(data)[2 * i], pcre2.ovector(data)[2 * i + 1]}
                                     : (cvm_span){(size_t)-1, (size_t)-1};
    pcre2.data_free(data);
    pcre2.code_free(code);
    if (found > 0)
        return found;
    return found == PCRE2_NOMATCH ? CVM_ENOENT : found == PCRE2_MATCHLIMIT ? CVM_ELIMIT : CVM_EINVAL;
}
