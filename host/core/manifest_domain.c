/* The domain section of a manifest with the files it names read in. Owns which files a manifest may reach: those under
 * its own folder. Knows nothing of what intents or examples mean. Loop thread. */
#include "core/file.h"
#include "core/hex.h"
#include "core/json_lines.h"
#include "core/json_text.h"
#include "core/manifest_parts.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#define DOMAIN_FILE_MAX_BYTES (8 * 1024 * 1024)
#define EXAMPLES_MAX 100000
#define TAUGHT_EXAMPLES 50
#define KNOWLEDGE_FILE_MAX_BYTES (128 * 1024)
#define KNOWLEDGE_MAX_BYTES (16 * 1024 * 1024) /* of a folder */
#define KNOWLEDGE_FILES_MAX 2000

int manifest_inside(struct reading *r, const char *name, const char *field, char **ret_path)
{
    char *path = NULL, real[PATH_MAX], folder[PATH_MAX];
    if (*name == '/' || strcmp(name, "..") == 0 || strncmp(name, "../", 3) == 0 || strstr(name, "/../") ||
        (strlen(name) > 3 && strcmp(name + strlen(name) - 3, "/..") == 0))
        return manifest_wrong(r, field, "must be a file in the folder %s/, got \"%s\"", r->m->dir, name);
    if (!realpath(r->m->dir, folder))
        return CVM_ENOENT;
    if (asprintf(&path, "%s/%s", r->m->dir, name) < 0)
        return CVM_ENOMEM;
    size_t len = strlen(folder);
    int error = 0;
    if (!realpath(path, real))
        error = CVM_ENOENT;
    else if (strncmp(real, folder, len) != 0 || real[len] != '/')
        error =
            manifest_wrong(r, field, "must be a file in the folder %s/, but \"%s\" leads out of it", r->m->dir, name);
    if (error) {
        free(path);
        return error;
    }
    *ret_path = path;
    return 0;
}

/* A member that is written inline or is the name of a JSON file. Gives *ret_json. */
static int read_member(struct reading *r, json_t *value, const char *field, json_t **ret_json)
{
    char *path, text[512];
    if (!json_is_string(value)) {
        *ret_json = json_incref(value);
        return 0;
    }
    int error = manifest_inside(r, json_string_value(value), field, &path);
    if (error == CVM_ENOENT)
        return manifest_wrong(r, field, "there is no file %s/%s", r->m->dir, json_string_value(value));
    if (error)
        return error;
    bool known;
    error = manifest_read_json(r, path, DOMAIN_FILE_MAX_BYTES, ret_json, &known, text, sizeof text);
    free(path);
    return error ? (manifest_wrong(r, field, "%s", text), error == CVM_ELIMIT ? CVM_ELIMIT : CVM_EINVAL) : 0;
}

/* Each line a JSON object. They are many, so they stay text: who trains on them reads them (core/models.c). */
static int check_examples(struct reading *r, const char *text, size_t len, const char *field)
{
    const char *end = text + len;
    size_t n = 0;
    if (memchr(text, 0, len) || !text_is_utf8(text, len))
        return manifest_wrong(r, field, "must be UTF-8 text");
    for (size_t line = 1; text < end; line++) {
        const char *stop = memchr(text, '\n', (size_t)(end - text)), *at = text;
        size_t size = (size_t)((stop ? stop : end) - at);
        text += size + 1;
        if (strspn(at, " \t\r\n") >= size)
            continue;
        if (!json_lines_is_object(at, size)) {
            json_error_t fault;
            json_t *other = json_loadb(at, size, JSON_DECODE_ANY, &fault);
            json_decref(other);
            return manifest_wrong(r, field, "line %zu: must be a JSON object, got %s", line,
                                  other ? "another value" : fault.text);
        }
        if (++n > EXAMPLES_MAX)
            return manifest_wrong(r, field, "must have at most %d examples", EXAMPLES_MAX);
    }
    return 0;
}

/* An array as lines. Gives *ret_text; NULL where it is empty. */
static int lines_of(const json_t *array, char **ret_text)
{
    struct text text;
    size_t i;
    const json_t *one;
    if (!json_array_size(array))
        return 0;
    text_init(&text, DOMAIN_FILE_MAX_BYTES);
    json_array_foreach(array, i, one)
    {
        text_json(&text, one);
        text_char(&text, '\n');
    }
    if (text.failed) {
        text_free(&text);
        return CVM_ELIMIT;
    }
    *ret_text = text.at;
    return 0;
}

/* Examples may be absent: a domain can be used before anyone has collected them. Gives *ret_text, NULL: none. */
static int read_examples(struct reading *r, const json_t *value, char **ret_text)
{
    const char *field = "domain.examples";
    char *path = NULL, why[512];
    size_t len;
    if (json_is_array(value))
        return lines_of(value, ret_text);
    if (!value)
        return 0;
    int error = manifest_inside(r, json_string_value(value), field, &path);
    if (!error) {
        bool known = false;
        error = manifest_read_file(r, path, 'e', DOMAIN_FILE_MAX_BYTES, ret_text, &len, &known, why, sizeof why);
        if (error && error != CVM_ENOENT)
            manifest_wrong(r, field, "%s", why);
        else if (!error && !known)
            error = check_examples(r, *ret_text, len, field);
    } else if (error == CVM_ENOENT) {
        manifest_read_none(r, json_string_value(value));
    }
    free(path);
    return error == CVM_ENOENT ? 0 : error;
}

/* A handful of examples teaches a model that there is a domain, not what people say of it. */
static bool teaches(const char *text)
{
    size_t lines = 0;
    for (const char *at = text; at && (at = strchr(at, '\n')); at++)
        lines++;
    return lines >= TAUGHT_EXAMPLES;
}

static int keep_examples(struct manifest *m, char *text)
{
    if (text && !*text) {
        free(text);
        text = NULL;
    }
    m->examples = text;
    m->examples_len = text ? strlen(text) : 0;
    if (text)
        hash_hex(text, m->examples_len, m->examples_hash);
    bool failed = json_object_set_new(m->domain, "examples", json_array()) < 0 ||
                  json_object_set_new(m->domain, "taught", json_boolean(teaches(text))) < 0;
    return failed ? CVM_ENOMEM : 0;
}

static int read_saved(struct reading *r)
{
    char *text = NULL;
    r->m->domain = json_incref(r->saved_domain);
    if (json_is_string(r->saved_examples))
        text = strdup(json_string_value(r->saved_examples));
    else
        CVM_TRY(lines_of(json_object_get(r->saved_domain, "examples"), &text));
    return keep_examples(r->m, text);
}

static int is_text_name(const struct dirent *entry)
{
    const char *dot = strrchr(entry->d_name, '.');
    return dot && entry->d_name[0] != '.' && (strcmp(dot, ".md") == 0 || strcmp(dot, ".txt") == 0);
}

/* Of the folder, which is known to be inside. `plain`: a file of its own, no link that could lead out of it. */
static int read_text(struct reading *r, const char *folder, const char *name, bool plain, json_t *texts, size_t *total)
{
    const char *field = "domain.knowledge";
    char inside_name[512], why[512], *path = NULL, *text = NULL;
    size_t len = 0;
    snprintf(inside_name, sizeof inside_name, "%s/%s", folder, name);
    if (!plain)
        CVM_TRY(manifest_inside(r, inside_name, field, &path));
    else if (asprintf(&path, "%s/%s", r->m->dir, inside_name) < 0)
        return CVM_ENOMEM;
    bool known = false;
    int error = manifest_read_file(r, path, 't', KNOWLEDGE_FILE_MAX_BYTES, &text, &len, &known, why, sizeof why);
    if (error)
        error = manifest_wrong(r, field, "%s", why);
    else if (!known && (!text_is_utf8(text, len) || memchr(text, 0, len)))
        error = manifest_wrong(r, field, "%s/%s is no UTF-8 text", r->m->dir, inside_name);
    else if ((*total += len) > KNOWLEDGE_MAX_BYTES)
        error = manifest_wrong(r, field, "the folder has more than %d MiB", KNOWLEDGE_MAX_BYTES / 1024 / 1024);
    else if (json_array_append_new(texts, json_pack("{s:s, s:s#}", "file", name, "text", text, (int)len)) < 0)
        error = CVM_ENOMEM;
    free(text);
    free(path);
    return error;
}

/* The folder's *.md and *.txt in the order of their names; it may be absent. Gives *ret_texts. */
static int read_knowledge(struct reading *r, const char *folder, json_t **ret_texts)
{
    const char *field = "domain.knowledge";
    char *path = NULL;
    struct dirent **names = NULL;
    size_t total = 0;
    int error = manifest_inside(r, folder, field, &path);
    if (error && error != CVM_ENOENT)
        return error;
    if (!path)
        manifest_read_none(r, folder);
    json_t *texts = json_array();
    int n = path ? scandir(path, &names, is_text_name, alphasort) : 0;
    free(path);
    error = texts ? 0 : CVM_ENOMEM;
    if (n > KNOWLEDGE_FILES_MAX)
        error = manifest_wrong(r, field, "the folder has more than %d texts", KNOWLEDGE_FILES_MAX);
    for (int i = 0; i < n; i++) {
        if (!error)
            error = read_text(r, folder, names[i]->d_name, names[i]->d_type == DT_REG, texts, &total);
        free(names[i]);
    }
    free(names);
    if (error) {
        json_decref(texts);
        return error;
    }
    *ret_texts = texts;
    return 0;
}

int manifest_read_domain(struct reading *r, const json_t *domain)
{
    json_t *copy, *member = NULL;
    if (!domain)
        return 0;
    if (r->saved_domain)
        return read_saved(r);
    copy = json_copy((json_t *)domain);
    if (!copy)
        return CVM_ENOMEM;
    r->m->domain = copy; /* freed with the manifest, whatever comes */
    json_t *intents = json_object_get(domain, "intents"), *words = json_object_get(domain, "words");
    if (intents) {
        CVM_TRY(read_member(r, intents, "domain.intents", &member));
        bool object = json_is_object(member);
        if (json_object_set_new(copy, "intents", member) < 0)
            return CVM_ENOMEM;
        if (!object)
            return manifest_wrong(r, "domain.intents", "must be a JSON object: intent -> what is known of it");
    }
    if (words) {
        CVM_TRY(read_member(r, words, "domain.words", &member));
        if (json_object_set_new(copy, "words", member) < 0)
            return CVM_ENOMEM;
    }
    const json_t *knowledge = json_object_get(domain, "knowledge");
    if (knowledge) {
        CVM_TRY(read_knowledge(r, json_string_value(knowledge), &member));
        if (json_object_set_new(copy, "knowledge", member) < 0)
            return CVM_ENOMEM;
    }
    char *examples = NULL;
    int error = read_examples(r, json_object_get(domain, "examples"), &examples);
    if (error)
        free(examples);
    return error ? error : keep_examples(r->m, examples);
}
