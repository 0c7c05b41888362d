/* Reads secrets. See secrets.h. */
#include "core/secrets.h"
#include "core/file.h"

#include <cvm/cvm.h>
#include <stdio.h>
#include <stdlib.h>

static bool is_name(const char *name, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        bool letter = (name[i] | 32) >= 'a' && (name[i] | 32) <= 'z';
        if (!letter && name[i] != '_' && (name[i] < '0' || name[i] > '9'))
            return false;
    }
    return len > 0;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static char *skip_blanks(char *s)
{
    while (is_blank(*s))
        s++;
    return s;
}

/* A quoted value, unquoted in place; `*end` is set behind the closing quote, or NULL where there is none. Escapes are
 * known in double quotes only, as in a shell. */
static void unquote(char *s, char **end)
{
    char quote = *s, *in = s + 1, *out = s;
    while (*in && *in != quote) {
        if (*in == '\\' && quote == '"' && in[1]) {
            in++;
            *out++ = *in == 'n' ? '\n' : *in == 't' ? '\t' : *in == 'r' ? '\r' : *in;
            in++;
        } else {
            *out++ = *in++;
        }
    }
    *end = *in == quote ? in + 1 : NULL;
    *out = 0; /* at most where the closing quote stood */
}

/* Takes `line` apart in place. Returns NULL, or what is wrong with it. *ret_name stays NULL where there is none. */
static const char *parse_line(char *line, const char **ret_name, const char **ret_value)
{
    char *name = skip_blanks(line), *equals, *value, *end;
    if (!*name || *name == '#')
        return NULL;
    if (strncmp(name, "export", 6) == 0 && is_blank(name[6]))
        name = skip_blanks(name + 6);
    equals = strchr(name, '=');
    if (!equals)
        return "must be NAME=VALUE, a comment or empty";
    for (end = equals; end > name && is_blank(end[-1]);)
        end--;
    if (!is_name(name, (size_t)(end - name)))
        return "the name before '=' must consist of letters, digits and _";
    *end = 0;
    value = skip_blanks(equals + 1);
    if (*value == '"' || *value == '\'') {
        unquote(value, &end);
        if (!end)
            return "the quote of the value is not closed";
        end = skip_blanks(end);
        if (*end && *end != '#')
            return "there is text behind the closing quote";
    } else {
        for (end = value; *end && !(*end == '#' && (end == value || is_blank(end[-1])));)
            end++;
        while (end > value && is_blank(end[-1]))
            end--;
        *end = 0;
    }
    *ret_name = name;
    *ret_value = value;
    return NULL;
}

static int parse_env(json_t *env, char *text, size_t len, const char *path, char *ret_error, size_t error_size)
{
    const char *wrong = NULL;
    size_t number = 1;
    char *line = text, *next;
    if (strncmp(text, "\xef\xbb\xbf", 3) == 0)
        line += 3;
    for (; line && !wrong; line = next, number++) {
        const char *name = NULL, *value = NULL;
        size_t n = strcspn(line, "\n");
        next = line[n] ? line + n + 1 : NULL;
        if (!next && line + n < text + len)
            wrong = "has a NUL byte";
        line[n] = 0;
        if (!wrong)
            wrong = parse_line(line, &name, &value);
        if (!wrong && name && json_object_set_new(env, name, json_string(value)) < 0)
            wrong = "the value is not valid UTF-8";
        if (wrong)
            snprintf(ret_error, error_size, "%s: line %zu: %s", path, number, wrong);
    }
    return wrong ? CVM_EINVAL : 0;
}

int secrets_read_env(struct secrets *secrets, const char *home, char *ret_error, size_t error_size)
{
    char *path = NULL, *text = NULL;
    size_t len = 0;
    if (asprintf(&path, "%s/.env", home) < 0)
        return CVM_ENOMEM;
    int error = file_read(path, SECRETS_FILE_MAX_BYTES, false, &text, &len, ret_error, error_size);
    if (error == 0) {
        secrets->env = json_object();
        error = secrets->env ? parse_env(secrets->env, text, len, path, ret_error, error_size) : CVM_ENOMEM;
        explicit_bzero(text, len);
        free(text);
    } else if (error == CVM_ENOENT) {
        error = 0;
    }
    free(path);
    return error;
}

int secrets_read_file(struct secrets *secrets, const char *path, char *ret_error, size_t error_size)
{
    const char *name;
    json_t *value;
    int error = file_json(path, SECRETS_FILE_MAX_BYTES, true, &secrets->file, ret_error, error_size);
    if (error)
        return error == CVM_ENOENT ? CVM_EIO : error;
    if (!json_is_object(secrets->file)) {
        snprintf(ret_error, error_size, "%s: must be a JSON object: name of a secret -> its value", path);
        return CVM_EINVAL;
    }
    json_object_foreach(secrets->file, name, value)
    {
        if (is_name(name, strlen(name)) && json_is_string(value))
            continue;
        snprintf(ret_error, error_size, "%s: \"%.60s\": %s", path, name,
                 json_is_string(value) ? "the name of a secret must consist of letters, digits and _"
                                       : "the value of a secret must be a string");
        return CVM_EINVAL;
    }
    return 0;
}

void secrets_fini(struct secrets *secrets)
{
    json_decref(secrets->env);
    json_decref(secrets->file);
    secrets->env = secrets->file = NULL;
}

const char *secrets_get(const struct secrets *secrets, const char *name)
{
    const char *value = getenv(name);
    if (!value || !*value)
        value = json_string_value(json_object_get(secrets->env, name));
    if (!value || !*value)
        value = json_string_value(json_object_get(secrets->file, name));
    return value && *value ? value : NULL;
}

json_t *secrets_names(const struct secrets *secrets)
{
    json_t *const sources[] = {secrets->env, secrets->file};
    json_t *names = json_object();
    for (size_t i = 0; i < 2; i++) {
        const char *name;
        json_t *value;
        json_object_foreach(sources[i], name, value)
        {
            json_object_set_new(names, name, json_string(secrets_get(secrets, name) ? "set" : "not set"));
        }
    }
    return names;
}
