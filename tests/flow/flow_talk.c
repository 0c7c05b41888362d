/* How flow tests talk to a host: HTTP, the command line, and a look into the database. One thread. */
#include "flow_private.h"

#include <curl/curl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

void flow_answer_free(struct flow_answer *a)
{
    free(a->text);
    free(a->errors);
    free(a->headers);
    json_decref(a->json);
    *a = (struct flow_answer){0};
}

/* Gives the answer to the caller, or frees it where nobody wants it; returns the status. */
static int give(struct flow_answer *a, struct flow_answer *ret)
{
    int status = a->status;
    if (ret)
        *ret = *a;
    else
        flow_answer_free(a);
    return status;
}

/* ---- HTTP -------------------------------------------------------------------------------------------------------- */

static size_t append(char *data, size_t size, size_t n, void *arg)
{
    return fwrite(data, size, n, arg) * size;
}

int flow_http(struct flow *f, const char *method, const char *path, const char *body, const char *const *headers,
              struct flow_answer *ret)
{
    struct flow_answer a = {0};
    char url[2048], failure[CURL_ERROR_SIZE] = "";
    size_t text_len = 0, headers_len = 0;
    FILE *text = open_memstream(&a.text, &text_len), *head = open_memstream(&a.headers, &headers_len);
    struct curl_slist *list = NULL;
    CURL *curl = curl_easy_init();
    ck_assert(curl && text && head);
    ck_assert_msg(*f->url, "the host has not been started");
    snprintf(url, sizeof url, "%s%s", f->url, path);
    for (; headers && *headers; headers++)
        list = curl_slist_append(list, *headers);
    if (body)
        list = curl_slist_append(list, "Content-Type: application/json");
    list = curl_slist_append(list, "Expect:");
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, list);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, append);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, text);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, append);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, head);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, failure);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)FLOW_WAIT_MS);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    if (strcmp(method, "HEAD") == 0)
        curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
    if (body) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(body));
    }
    CURLcode code = curl_easy_perform(curl);
    fclose(text);
    fclose(head);
    long status = 0;
    if (code == CURLE_OK) {
        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
        a.json = json_loads(a.text, JSON_DECODE_ANY, NULL);
    } else {
        free(a.text);
        a.text = strdup(*failure ? failure : curl_easy_strerror(code));
    }
    a.status = (int)status;
    curl_slist_free_all(list);
    curl_easy_cleanup(curl);
    return give(&a, ret);
}

/* ---- the command line -------------------------------------------------------------------------------------------- */

int flow_run(struct flow *f, struct flow_answer *ret, const char *const *words)
{
    static int number;
    const char *argv[64];
    char program[4096], out[128], errors[128], out_path[256], errors_path[256];
    int n = 0;
    snprintf(program, sizeof program, "%s", flow_build("host/cvmhost"));
    argv[n++] = program;
    for (; *words && n < 63; words++)
        argv[n++] = *words;
    argv[n] = NULL;
    number++;
    snprintf(out, sizeof out, "command.%d.out", number);
    snprintf(errors, sizeof errors, "command.%d.err", number);
    snprintf(out_path, sizeof out_path, "%s/%s", f->home, out);
    snprintf(errors_path, sizeof errors_path, "%s/%s", f->home, errors);
    pid_t pid = flow__start(f, argv, out_path, errors_path);
    struct flow_answer a = {.status = flow__wait(pid, "the command", f->command_ms)};
    a.text = flow_read(f, out);
    a.errors = flow_read(f, errors);
    a.json = json_loads(a.text, JSON_DECODE_ANY, NULL);
    unlink(out_path);
    unlink(errors_path);
    return give(&a, ret);
}

void flow_expect(struct flow *f, int status, const char *text, const char *const *words)
{
    struct flow_answer a;
    const char *second = words[1] ? words[1] : "";
    int got = flow_run(f, &a, words);
    ck_assert_msg(got == status, "%s %s: exit status %d, expected %d: %s%s", words[0], second, got, status, a.text,
                  a.errors);
    ck_assert_msg(strstr(a.text, text) || strstr(a.errors, text), "%s %s: no \"%s\" in: %s%s", words[0], second, text,
                  a.text, a.errors);
    flow_answer_free(&a);
}

json_t *flow_call(struct flow *f, const char *to, const char *type, const char *data, int *ret_status)
{
    struct flow_answer a;
    int status = FLOW_RUN(f, &a, "agent", "call", to, type, "--data", data ? data : "{}", "--output", "json");
    if (ret_status)
        *ret_status = status;
    else
        ck_assert_msg(status == 0, "agent call %s %s: exit status %d: %s%s", to, type, status, a.errors, a.text);
    json_t *json = status == 0 ? json_incref(a.json) : NULL;
    flow_answer_free(&a);
    return json;
}

/* ---- the database ------------------------------------------------------------------------------------------------ */

static json_t *column(sqlite3_stmt *s, int i)
{
    switch (sqlite3_column_type(s, i)) {
    case SQLITE_INTEGER:
        return json_integer(sqlite3_column_int64(s, i));
    case SQLITE_FLOAT:
        return json_real(sqlite3_column_double(s, i));
    case SQLITE_NULL:
        return json_null();
    case SQLITE_TEXT:
        return json_string((const char *)sqlite3_column_text(s, i));
    default:
        return json_sprintf("%d bytes", sqlite3_column_bytes(s, i));
    }
}

json_t *flow_sql(struct flow *f, const char *sql)
{
    char path[256];
    sqlite3 *db = NULL;
    sqlite3_stmt *s = NULL;
    snprintf(path, sizeof path, "%s/data/cvmhost.db", f->home);
    ck_assert_msg(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL) == SQLITE_OK, "%s cannot be opened", path);
    sqlite3_busy_timeout(db, FLOW_WAIT_MS);
    ck_assert_msg(sqlite3_prepare_v2(db, sql, -1, &s, NULL) == SQLITE_OK, "%s: %s", sql, sqlite3_errmsg(db));
    json_t *rows = json_array();
    int step;
    while ((step = sqlite3_step(s)) == SQLITE_ROW) {
        json_t *row = json_object();
        for (int i = 0; i < sqlite3_column_count(s); i++)
            json_object_set_new(row, sqlite3_column_name(s, i), column(s, i));
        json_array_append_new(rows, row);
    }
    ck_assert_msg(step == SQLITE_DONE, "%s: %s", sql, sqlite3_errmsg(db));
    sqlite3_finalize(s);
    sqlite3_close(db);
    return rows;
}

int64_t flow_sql_int(struct flow *f, const char *sql)
{
    json_t *rows = flow_sql(f, sql), *first = json_array_get(rows, 0);
    void *member = json_object_iter(first);
    int64_t value = member ? (int64_t)json_integer_value(json_object_iter_value(member)) : 0;
    json_decref(rows);
    return value;
}

int flow_connect(const struct flow *f)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s/data/cvmhost.sock", f->home);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    close(fd);
    return -1;
}
