/* The checks in order, and the report they write. Parent. */
#include "conform/parts.h"

#include "core/json_text.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MAX 1200

const char *const conform_checks[] = {"vet",    "manifest",   "lifecycle", "messages",    "answers",
                                      "limits", "references", "leaks",     "determinism", "memory",
                                      "state",  "restart",    "kill",      "process",     NULL};

bool wanted(const struct conform *c, const char *check)
{
    static const char *const of_messages[] = {"answers", "limits", "references", "leaks", "determinism"};
    const char *only = c->options.only;
    if (!only || strcmp(only, check) == 0)
        return true;
    for (size_t i = 0; strcmp(check, "messages") == 0 && i < sizeof of_messages / sizeof *of_messages; i++)
        if (strcmp(only, of_messages[i]) == 0)
            return true;
    return false;
}

static json_t *line_of(struct conform *c, const char *check)
{
    json_t *line;
    size_t i;
    json_array_foreach(c->checks, i,
                       line) if (strcmp(json_string_value(json_object_get(line, "check")), check) == 0) return line;
    line = json_pack("{s:s, s:n, s:s, s:[]}", "check", check, "result", "text", "", "findings");
    json_array_append_new(c->checks, line);
    return line;
}

void report(struct conform *c, const char *check, enum result result, const char *format, ...)
{
    static const char *const results[] = {"ok", "failed", "skipped"};
    char text[TEXT_MAX];
    va_list args;
    json_t *line = line_of(c, check), *first = json_array_get(json_object_get(line, "findings"), 0);
    size_t n = json_array_size(json_object_get(line, "findings"));
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    mend(text);
    if (first) {
        snprintf(text, sizeof text, "%s%s%s%s%s", json_string_value(json_object_get(first, "component")),
                 *json_string_value(json_object_get(first, "component")) ? ", " : "",
                 json_string_value(json_object_get(first, "type")),
                 *json_string_value(json_object_get(first, "type")) ? ": " : "",
                 json_string_value(json_object_get(first, "text")));
        if (n > 1)
            snprintf(text + strlen(text), sizeof text - strlen(text), " (and %zu more)", n - 1);
        result = RESULT_FAILED;
    }
    json_object_set_new(line, "result", json_string(results[result]));
    json_object_set_new(line, "text", json_string(text));
}

static void add_finding(struct conform *c, const char *check, const char *what, const char *component, const char *type,
                        const char *text, const char *message)
{
    json_t *line = line_of(c, check), *findings = json_object_get(line, "findings"), *known;
    size_t i;
    json_array_foreach(findings, i, known)
    {
        if (strcmp(json_string_value(json_object_get(known, "what")), what) == 0 &&
            strcmp(json_string_value(json_object_get(known, "component")), component) == 0 &&
            strcmp(json_string_value(json_object_get(known, "type")), type) == 0)
            return;
    }
    char said[TEXT_MAX];
    snprintf(said, sizeof said, "%s", text);
    mend(said);
    json_t *data = json_loads(message, 0, NULL); /* NULL where it was too long */
    if (json_array_size(findings) < CONFORM_FINDINGS_MAX)
        json_array_append_new(findings, json_pack("{s:s, s:s, s:s, s:s, s:o}", "what", what, "component", component,
                                                  "type", type, "text", said, "message", data ? data : json_null()));
    else
        json_decref(data);
    report(c, check, RESULT_FAILED, "%s", said);
}

void report_finding(struct conform *c, const char *check, const char *what, const char *where, const char *text,
                    const char *message)
{
    char component[CVM_NAME_MAX + 1], type[CVM_NAME_MAX + 1];
    const char *comma = strstr(where, ", ");
    snprintf(component, sizeof component, "%.*s", comma ? (int)(comma - where) : 0, where);
    snprintf(type, sizeof type, "%.100s", comma ? comma + 2 : where);
    add_finding(c, check, what, component, type, text, message);
}

void report_facts(struct conform *c, const json_t *facts)
{
    size_t i;
    json_t *f;
    json_array_foreach((json_t *)(uintptr_t)facts, i, f)
    {
        if (strcmp(json_string_value(json_object_get(f, "kind")), "finding") == 0)
            add_finding(
                c, json_string_value(json_object_get(f, "check")), json_string_value(json_object_get(f, "what")),
                json_string_value(json_object_get(f, "component")), json_string_value(json_object_get(f, "type")),
                json_string_value(json_object_get(f, "text")), json_string_value(json_object_get(f, "message")));
    }
}

/* In the order of conform_checks; what was not asked for is left out. */
static json_t *finish(struct conform *c)
{
    json_t *lines = json_array();
    bool good = true;
    for (const char *const *name = conform_checks; *name; name++) {
        bool only = c->options.only && strcmp(c->options.only, *name) != 0 && strcmp(*name, "manifest") != 0;
        json_t *line = only ? NULL : line_of(c, *name);
        bool failed = false;
        for (size_t i = 0; only && i < json_array_size(c->checks); i++) /* found by the way */
            if (strcmp(json_string_value(json_object_get(json_array_get(c->checks, i), "check")), *name) == 0)
                failed = json_array_size(json_object_get(json_array_get(c->checks, i), "findings")) > 0;
        if (failed)
            line = line_of(c, *name);
        if (!line)
            continue;
        if (json_is_null(json_object_get(line, "result")))
            report(c, *name, RESULT_SKIPPED, "not run");
        good = good && strcmp(json_string_value(json_object_get(line, "result")), "failed") != 0;
        json_array_append(lines, line);
    }
    return json_pack("{s:s, s:s, s:s, s:s, s:I, s:i, s:b, s:o}", "plugin", c->manifest->name, "version",
                     c->manifest->version, "file", c->library, "manifest", c->manifest_path, "seed",
                     (json_int_t)c->options.seed, "messages", c->options.messages, "ok", (int)good, "checks", lines);
}

int conform_run(const struct conform_options *options, json_t **ret_report, char *ret_error, size_t error_size)
{
    static const struct {
        const char *name;
        void (*run)(struct conform *c);
    } checks[] = {{"vet", check_vet},        {"lifecycle", check_lifecycle}, {"messages", check_messages},
                  {"memory", check_memory},  {"state", check_state},         {"kill", check_kill},
                  {"process", check_process}};
    struct conform *c = calloc(1, sizeof *c);
    if (!c) {
        snprintf(ret_error, error_size, "out of memory");
        return CVM_ENOMEM;
    }
    c->options = *options;
    int e = plan_make(c, ret_error, error_size);
    if (!e)
        e = check_manifest(c, ret_error, error_size);
    for (size_t i = 0; i < sizeof checks / sizeof *checks && !e; i++) {
        bool restart = strcmp(checks[i].name, "kill") == 0 && wanted(c, "restart");
        if (!wanted(c, checks[i].name) && !restart)
            continue;
        if (options->progress)
            options->progress(options->arg, checks[i].name, 0, 0);
        c->shared->done = c->shared->of = 0;
        checks[i].run(c);
    }
    if (!e)
        *ret_report = finish(c);
    plan_free(c);
    free(c);
    return e;
}
