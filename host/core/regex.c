/* Regular expressions for components; see regex.h. */
#include "core/regex.h"

#include "core/id.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

#define REGEX_CACHE_MAX 512
#define REGEX_GROUPS_MAX 32
#define REGEX_MATCH_LIMIT 100000
#define REGEX_PATTERN_MAX_BYTES 4096
#define REGEX_TEXT_MAX_BYTES 65536

struct regex {
    struct regex *next;
    pcre2_code *code;
    char pattern[];
};

struct regexes {
    struct regex *bucket[256];
    int n;
    pcre2_match_context *limits;
    pcre2_match_data *match;
};

static struct regexes *open_cache(void)
{
    struct regexes *all = calloc(1, sizeof *all);
    if (!all)
        return NULL;
    all->limits = pcre2_match_context_create(NULL);
    all->match = pcre2_match_data_create(REGEX_GROUPS_MAX, NULL);
    if (!all->limits || !all->match) {
        pcre2_match_context_free(all->limits);
        pcre2_match_data_free(all->match);
        free(all);
        return NULL;
    }
    pcre2_set_match_limit(all->limits, REGEX_MATCH_LIMIT);
    return all;
}

/* All or none: which are used often shows soon enough. */
static void forget_all(struct regexes *all)
{
    for (int i = 0; i < 256; i++) {
        for (struct regex *r = all->bucket[i], *next; r; r = next) {
            next = r->next;
            pcre2_code_free(r->code);
            free(r);
        }
        all->bucket[i] = NULL;
    }
    all->n = 0;
}

static int compile(struct regexes *all, const char *pattern, struct regex **ret_regex)
{
    size_t len = strlen(pattern), offset;
    int code;
    struct regex **at = &all->bucket[id_hash(pattern, len, 0) & 255];
    for (struct regex *r = *at; r; r = r->next) {
        if (strcmp(r->pattern, pattern) == 0) {
            *ret_regex = r;
            return 0;
        }
    }
    if (len > REGEX_PATTERN_MAX_BYTES)
        return CVM_ELIMIT;
    if (all->n >= REGEX_CACHE_MAX)
        forget_all(all);
    pcre2_code *compiled =
        pcre2_compile((PCRE2_SPTR)pattern, len, PCRE2_UTF | PCRE2_UCP | PCRE2_CASELESS, &code, &offset, NULL);
    if (!compiled)
        return CVM_EINVAL;
    struct regex *r = calloc(1, sizeof *r + len + 1);
    if (!r) {
        pcre2_code_free(compiled);
        return CVM_ENOMEM;
    }
    pcre2_jit_compile(compiled, PCRE2_JIT_COMPLETE);
    r->code = compiled;
    memcpy(r->pattern, pattern, len + 1);
    r->next = *at;
    *at = r;
    all->n++;
    *ret_regex = r;
    return 0;
}

int regexes_match(struct regexes **cache, const char *pattern, const char *text, size_t offset, cvm_span *spans,
                  size_t n)
{
    struct regexes *all = *cache ? *cache : (*cache = open_cache());
    struct regex *r = NULL;
    size_t len = strlen(text);
    if (!all)
        return CVM_ENOMEM;
    if (len > REGEX_TEXT_MAX_BYTES || offset > len)
        return CVM_ELIMIT;
    int e = compile(all, pattern, &r);
    if (e < 0)
        return e;
    int found = pcre2_match(r->code, (PCRE2_SPTR)text, len, offset, 0, all->match, all->limits);
    if (found == PCRE2_ERROR_NOMATCH)
        return CVM_ENOENT;
    if (found < 0)
        return found == PCRE2_ERROR_MATCHLIMIT || found == PCRE2_ERROR_DEPTHLIMIT || found == PCRE2_ERROR_HEAPLIMIT ||
                       found == PCRE2_ERROR_JIT_STACKLIMIT
                   ? CVM_ELIMIT
                   : CVM_EINVAL;
    if (found == 0)
        found = REGEX_GROUPS_MAX; /* there are more groups than places */
    const PCRE2_SIZE *at = pcre2_get_ovector_pointer(all->match);
    for (size_t i = 0; i < n; i++)
        spans[i] = (int)i < found ? (cvm_span){at[2 * i], at[2 * i + 1]} : (cvm_span){SIZE_MAX, SIZE_MAX};
    return found;
}

void regexes_free(struct regexes *all)
{
    if (!all)
        return;
    forget_all(all);
    pcre2_match_context_free(all->limits);
    pcre2_match_data_free(all->match);
    free(all);
}
