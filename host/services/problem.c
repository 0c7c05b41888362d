/* Owns nothing; see problem.h. */
#include "services/problem.h"

#include "core/json_text.h"
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
    int status;
    const char *title;
} titles[] = {{400, "Bad Request"},
              {401, "Unauthorized"},
              {403, "Forbidden"},
              {404, "Not Found"},
              {405, "Method Not Allowed"},
              {409, "Conflict"},
              {413, "Content Too Large"},
              {414, "URI Too Long"},
              {415, "Unsupported Media Type"},
              {422, "Unprocessable Content"},
              {429, "Too Many Requests"},
              {431, "Request Header Fields Too Large"},
              {500, "Internal Server Error"},
              {503, "Service Unavailable"},
              {504, "Gateway Timeout"},
              {505, "HTTP Version Not Supported"}};

static const char *title_of(int status)
{
    for (size_t i = 0; i < sizeof titles / sizeof *titles; i++)
        if (titles[i].status == status)
            return titles[i].title;
    return status < 500 ? "Request Refused" : "Server Error";
}

/* Copies what is UTF-8 of it after cutting: a cut may fall inside a character. */
static void copy(char *out, size_t size, const char *text)
{
    snprintf(out, size, "%s", text ? text : "");
    size_t len = strlen(out);
    if (len + 1 < size)
        return;
    while (len && ((unsigned char)out[len - 1] & 0xc0) == 0x80)
        len--;
    if (len && (unsigned char)out[len - 1] >= 0xc0)
        len--;
    out[len] = 0;
}

int problem_set(struct problem *problem, int status, const char *code, const char *field, const char *format, ...)
{
    char detail[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(detail, sizeof detail, format, args);
    va_end(args);
    problem->status = status;
    copy(problem->code, sizeof problem->code, code);
    copy(problem->field, sizeof problem->field, field);
    copy(problem->detail, sizeof problem->detail, detail);
    return status;
}

static void add(json_t *object, const char *key, const char *text)
{
    if (text && text[0])
        json_object_set_new(object, key, json_string(text));
}

char *problem_text(const struct problem *problem, const char *request_id, size_t *ret_len)
{
    char type[sizeof problem->code + 32] = "about:blank";
    if (problem->code[0]) {
        snprintf(type, sizeof type, "urn:cvmhost:problem:%s", problem->code);
        for (char *c = type; *c; c++)
            *c = *c == '_' ? '-' : (char)tolower((unsigned char)*c);
    }
    json_t *body = json_object();
    add(body, "type", type);
    add(body, "title", title_of(problem->status));
    json_object_set_new(body, "status", json_integer(problem->status));
    add(body, "detail", problem->detail);
    add(body, "code", problem->code);
    add(body, "field", problem->field);
    add(body, "request_id", request_id);
    char *text = json_text(body, ret_len);
    json_decref(body);
    return text;
}
