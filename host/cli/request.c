/* Makes an operation's request of a command line or of a line of a batch. */
#include "cli/document.h"
#include "cli/spec.h"

#include <cvm/json.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_MAX_BYTES 65536 /* of an option whose value stands in a file */

__attribute__((format(printf, 3, 4))) static int fault(struct spec_error *ret_error, const char *field,
                                                       const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(ret_error->text, sizeof ret_error->text, format, args);
    va_end(args);
    snprintf(ret_error->field, sizeof ret_error->field, "%s", field);
    return CVM_EINVAL;
}

static int unknown_option(const json_t *catalogue, const json_t *entry, const char *name, struct spec_error *ret_error)
{
    char best[SPEC_NAME_MAX] = "", candidate[SPEC_NAME_MAX];
    size_t least = 3;
    const char *member;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)spec_properties(catalogue, entry), member, value)
    {
        spec_name(entry, member, '-', candidate);
        size_t distance = spec_distance(candidate, name);
        if (distance < least) {
            least = distance;
            snprintf(best, sizeof best, "%s", candidate);
        }
    }
    if (best[0])
        return fault(ret_error, name, "there is no option --%s; did you mean --%s?", name, best);
    return fault(ret_error, name, "there is no option --%s", name);
}

/* Puts a value; a list grows and an object is completed when given again. Takes `value`. */
static void put(json_t *request, const char *property, json_t *value)
{
    json_t *there = json_object_get(request, property);
    if (json_is_array(there) && json_is_array(value)) {
        json_array_extend(there, value);
        json_decref(value);
    } else if (json_is_object(there) && json_is_object(value)) {
        json_object_update(there, value);
        json_decref(value);
    } else {
        json_object_set_new(request, property, value);
    }
}

/* A file's text ("-": standard input). Gives, for free(). CVM_EIO: errno says why. */
static int read_text(const char *path, char **ret_text)
{
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
    if (!file)
        return CVM_EIO;
    char *text = malloc(FILE_MAX_BYTES + 1);
    size_t n = text ? fread(text, 1, FILE_MAX_BYTES + 1, file) : 0;
    bool failed = !text || ferror(file) || n > FILE_MAX_BYTES;
    if (text && n > FILE_MAX_BYTES)
        errno = EFBIG;
    if (file != stdin)
        fclose(file);
    if (failed) {
        free(text);
        return CVM_EIO;
    }
    text[n] = 0;
    *ret_text = text;
    return 0;
}

/* The document's text, for free(); its name and its own title go where the request has places for them. */
static int put_about(const json_t *catalogue, const json_t *entry, json_t *request, const char *path, char **ret_text,
                     char *ret_error, size_t size)
{
    char title[256];
    const char *slash = strrchr(path, '/');
    int error = document_read(path, ret_text, title, ret_error, size);
    if (error < 0)
        return error;
    if (spec_property(catalogue, entry, "source") && !json_object_get(request, "source"))
        json_object_set_new(request, "source", json_string(slash ? slash + 1 : path));
    if (*title && spec_property(catalogue, entry, "title") && !json_object_get(request, "title"))
        json_object_set_new(request, "title", json_string(title));
    return 0;
}

/* The lines of a file, each a JSON value. */
static int read_lines(const char *path, json_t **ret_lines, char *ret_why, size_t size)
{
    FILE *f = fopen(path, "re");
    char *line = NULL;
    size_t room = 0, n = 0;
    ssize_t len;
    json_t *lines = f ? json_array() : NULL;
    snprintf(ret_why, size, "%s: %s", path, f ? "no memory" : strerror(errno));
    while (lines && (len = getline(&line, &room, f)) >= 0) {
        n++;
        if (line[strspn(line, " \t\r\n")] == 0)
            continue;
        json_t *value = json_loadb(line, (size_t)len, JSON_DECODE_ANY, NULL);
        if (!value || json_array_append_new(lines, value) < 0) {
            snprintf(ret_why, size, "%s:%zu: the line is no JSON", path, n);
            json_decref(lines);
            lines = NULL;
        }
    }
    free(line);
    if (f)
        fclose(f);
    *ret_lines = lines;
    return lines ? 0 : CVM_EINVAL;
}

/* The path from the root, as the host has another working directory. Gives a string for free(). */
static int whole_path(const char *text, char **ret_path)
{
    char here[4096];
    if (*text == '/' || strncmp(text, "manifest:", 9) == 0)
        return (*ret_path = strdup(text)) ? 0 : CVM_ENOMEM;
    if (!getcwd(here, sizeof here))
        return CVM_EIO;
    return asprintf(ret_path, "%s/%s", here, text) < 0 ? CVM_ENOMEM : 0;
}

static int put_text(const json_t *catalogue, const json_t *entry, json_t *request, const char *property,
                    const char *shown, const char *text, struct spec_error *ret_error)
{
    json_t *value = NULL;
    char why[256], *read = NULL;
    const json_t *schema = spec_property(catalogue, entry, property);
    const char *format = cvm_json_str(schema, "format", "");
    bool piped = strcmp(format, "text") == 0 && strcmp(text, "-") == 0;
    if (piped || strcmp(format, "file") == 0) { /* the word is where the text is */
        if (read_text(text, &read) < 0)
            return fault(ret_error, property, "%s: %.200s: %s", shown, text, strerror(errno));
        text = read;
    } else if (strcmp(format, "document") == 0) {
        if (put_about(catalogue, entry, request, text, &read, why, sizeof why) < 0)
            return fault(ret_error, property, "%s: %s", shown, why);
        text = read;
    }
    if (strcmp(format, "path") == 0) {
        if (whole_path(text, &read) < 0)
            return fault(ret_error, property, "%s: %.200s: %s", shown, text, strerror(errno));
        text = read;
    }
    bool lines = strcmp(format, "json-lines") == 0 && *text != '[';
    int error = lines ? read_lines(text, &value, why, sizeof why) : spec_value(schema, text, &value, why, sizeof why);
    free(read);
    if (error < 0)
        return fault(ret_error, property, "%s: %s", shown, why);
    put(request, property, value);
    return 0;
}

static int take_option(struct cli *cli, const json_t *catalogue, const json_t *entry, struct args *args,
                       json_t *request, struct spec_error *ret_error)
{
    char shown[SPEC_NAME_MAX + 2], why[256];
    snprintf(shown, sizeof shown, "--%s", args->name);
    const char *property = spec_find(catalogue, entry, args->name);
    const char *base = !property && strncmp(args->name, "no-", 3) == 0 ? args->name + 3 : NULL;
    const char *flag = base ? spec_find(catalogue, entry, base) : NULL;
    bool negated = flag && spec_is_flag(spec_property(catalogue, entry, flag));
    if (negated)
        property = flag;
    if (!property) {
        int common = cli_common_option(cli, args, why, sizeof why);
        if (common < 0)
            return fault(ret_error, "", "%s", why);
        if (common > 0)
            return 0;
        if (!spec_takes_any(catalogue, entry))
            return unknown_option(catalogue, entry, args->name, ret_error);
        property = args->name;
    }
    const json_t *schema = spec_property(catalogue, entry, property);
    if (spec_is_flag(schema) && !args->inlined) {
        const char *next = args->at < args->argc ? args->argv[args->at] : "";
        bool said = strcmp(next, "true") == 0 || strcmp(next, "false") == 0;
        bool value = said && !negated ? next[0] == 't' : !negated;
        args->at += said && !negated;
        put(request, property, json_boolean(value));
        return 0;
    }
    const char *text = args_value(args);
    if (!text)
        return fault(ret_error, property, "%s needs a value", shown);
    if (schema || property != args->name)
        return put_text(catalogue, entry, request, property, shown, text, ret_error);
    char name[SPEC_NAME_MAX];
    snprintf(name, sizeof name, "%s", property);
    for (char *at = name; *at; at++)
        if (*at == '-')
            *at = '_';
    return put_text(catalogue, entry, request, name, shown, text, ret_error);
}

static int take_word(const json_t *catalogue, const json_t *entry, size_t n, const char *text, json_t *request,
                     struct spec_error *ret_error)
{
    const json_t *names = json_object_get(json_object_get(entry, "expose"), "args");
    const char *property = json_string_value(json_array_get(names, n));
    size_t last = json_array_size(names);
    if (!property && last > 0) { /* a list at the end takes all further words */
        const char *name = json_string_value(json_array_get(names, last - 1));
        if (name && spec_is_array(spec_property(catalogue, entry, name)))
            property = name;
    }
    if (!property)
        return fault(ret_error, "", "\"%.60s\" is one argument too many", text);
    char shown[SPEC_NAME_MAX];
    spec_name(entry, property, '_', shown);
    return put_text(catalogue, entry, request, property, shown, text, ret_error);
}

/* What the command and the schema ask for. */
static int check_required(const json_t *catalogue, const json_t *entry, const json_t *request,
                          struct spec_error *ret_error)
{
    const json_t *expose = json_object_get(entry, "expose"), *args = json_object_get(expose, "args");
    char shown[SPEC_NAME_MAX];
    for (size_t i = 0; i < (size_t)cvm_json_int(expose, "required", 0); i++) {
        const char *property = json_string_value(json_array_get(args, i));
        if (!property || json_object_get(request, property))
            continue;
        spec_name(entry, property, '_', shown);
        for (char *at = shown; *at; at++)
            *at = *at >= 'a' && *at <= 'z' ? (char)(*at - 32) : *at;
        return fault(ret_error, property, "%s is missing", shown);
    }
    const json_t *schema = spec_resolve(catalogue, entry, json_object_get(entry, "request"));
    const json_t *required = json_object_get(schema, "required");
    for (size_t i = 0; i < json_array_size(required); i++) {
        const char *property = json_string_value(json_array_get(required, i));
        if (!property || json_object_get(request, property))
            continue;
        spec_name(entry, property, '-', shown);
        return fault(ret_error, property, "--%s is missing", shown);
    }
    return 0;
}

int spec_request(struct cli *cli, const json_t *catalogue, const json_t *entry, json_t **ret_request,
                 struct spec_error *ret_error)
{
    struct args args = {.argc = cli->argc, .argv = cli->argv};
    json_t *request = json_object();
    int error = 0;
    size_t words = 0;
    for (enum arg_kind kind; error == 0 && (kind = args_next(&args)) != ARG_END;) {
        if (kind == ARG_WORD)
            error = take_word(catalogue, entry, words++, args.text, request, ret_error);
        else
            error = take_option(cli, catalogue, entry, &args, request, ret_error);
    }
    if (error == 0 && !cli->file)
        error = check_required(catalogue, entry, request, ret_error);
    if (error < 0)
        json_decref(request);
    else
        *ret_request = request;
    return error;
}

int spec_line(const json_t *catalogue, const json_t *entry, const json_t *defaults, const char *line, size_t len,
              json_t **ret_request, json_t **ret_id, struct spec_error *ret_error)
{
    json_error_t parse;
    json_t *object = json_loadb(line, len, JSON_REJECT_DUPLICATES, &parse), *value;
    *ret_id = NULL;
    if (!object)
        return fault(ret_error, "", "not JSON: %.200s", parse.text);
    if (!json_is_object(object)) {
        json_decref(object);
        return fault(ret_error, "", "expected a JSON object");
    }
    *ret_id = json_incref(json_object_get(object, "id"));
    json_t *request = json_deep_copy(defaults);
    int error = 0;
    const char *member;
    json_object_foreach(object, member, value)
    {
        const char *property = spec_find(catalogue, entry, member);
        if (!property && strcmp(member, "id") == 0)
            continue;
        if (!property && spec_takes_any(catalogue, entry))
            property = member;
        if (!property) {
            error = fault(ret_error, member, "%s is not a member of the request", member);
            break;
        }
        json_object_set(request, property, value);
    }
    json_decref(object);
    if (error < 0)
        json_decref(request);
    else
        *ret_request = request;
    return error;
}
