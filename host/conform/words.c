/* Words for messages: what the plugin looks for is written in it, in its manifest and in the library's own texts.
 * Parent.
 */
#include "conform/parts.h"

#include "core/elf.h"
#include "core/file.h"
#include <ctype.h>
#include <elf.h>
#include <stdlib.h>
#include <string.h>

#define WORDS_MAX 600
#define WORD_MAX_BYTES 40

static void add_word(struct conform *c, json_t *known, const char *text, size_t n)
{
    char word[WORD_MAX_BYTES + 1];
    if (n < 2 || n > WORD_MAX_BYTES || json_array_size(c->words) >= WORDS_MAX)
        return;
    memcpy(word, text, n);
    word[n] = 0;
    if (json_object_get(known, word))
        return;
    json_object_set_new(known, word, json_true());
    json_array_append_new(c->words, json_string(word));
}

/* Names and codes of descriptions: all capitals, or with a digit in it. */
static void words_of_text(struct conform *c, json_t *known, const char *text)
{
    while (*text) {
        size_t n = strcspn(text, " ,;:()\"'"), upper = 0, digits = 0;
        for (size_t i = 0; i < n; i++) {
            upper += isupper((unsigned char)text[i]) != 0;
            digits += isdigit((unsigned char)text[i]) != 0;
        }
        if (n && text[n - 1] == '.')
            add_word(c, known, text, digits || upper == n - 1 ? n - 1 : 0);
        else if (digits || (n && upper == n))
            add_word(c, known, text, n);
        text += n + (text[n] != 0);
    }
}

static void words_of_json(struct conform *c, json_t *known, const json_t *value, int depth)
{
    const char *name;
    json_t *member;
    size_t i;
    if (depth > 32)
        return;
    if (json_is_string(value)) {
        if (!strchr(json_string_value(value), ' '))
            add_word(c, known, json_string_value(value), json_string_length(value));
        words_of_text(c, known, json_string_value(value));
    }
    json_array_foreach((json_t *)(uintptr_t)value, i, member) words_of_json(c, known, member, depth + 1);
    json_object_foreach((json_t *)(uintptr_t)value, name, member)
    {
        words_of_json(c, known, member, depth + 1);
        if (json_is_array(member) || json_is_object(member))
            add_word(c, known, name, strlen(name));
    }
}

static void words_of_bytes(struct conform *c, json_t *known, const char *bytes, size_t size)
{
    for (size_t i = 1, begin = 1; i < size; i++) {
        if (isalnum((unsigned char)bytes[i]) || bytes[i] == '_' || bytes[i] == '-')
            continue;
        bool name = bytes[i] == 0 && bytes[begin - 1] == 0 && isalpha((unsigned char)bytes[begin]) && i - begin > 2;
        if (name && strncmp(bytes + begin, "json_", 5) != 0 && strncmp(bytes + begin, "cvm", 3) != 0)
            add_word(c, known, bytes + begin, i - begin);
        begin = i + 1;
    }
}

/* Texts of the library's read-only data that look like names. */
static void words_of_library(struct conform *c, json_t *known)
{
    char *bytes = NULL, error[256];
    size_t size = 0;
    struct elf *elf = calloc(1, sizeof *elf);
    if (elf && file_read(c->library, ELF_FILE_MAX_BYTES, false, &bytes, &size, error, sizeof error) == 0 &&
        elf_open((const uint8_t *)bytes, size, elf, error, sizeof error) == 0)
        for (size_t i = 0; i < elf->n_loads; i++)
            if (elf->loads[i].flags == PF_R)
                words_of_bytes(c, known, bytes + elf->loads[i].offset, (size_t)elf->loads[i].bytes);
    free(elf);
    free(bytes);
}

void plan_words(struct conform *c)
{
    json_t *known = json_object();
    c->words = json_array();
    const json_t *schemas = json_object_get(c->manifest->doc, "schemas");
    for (size_t i = 0; i < c->manifest->n_components; i++)
        words_of_json(c, known, c->manifest->components[i].settings, 0);
    words_of_json(c, known, schemas, 0);
    words_of_library(c, known);
    json_decref(known);
}
