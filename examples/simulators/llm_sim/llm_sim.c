/* The program: options, the listening socket, requests read and answers written. A thread for each connection, so that
 * one that never gets its answer holds up nobody. */
#include "llm_sim.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEAD_MAX_BYTES 16384

static const char usage[] =
    "Usage: llm_sim [--port N] [--port-file FILE] [--key KEY] [--seed N] [--settle-ms N] [--hang-ms N]\n"
    "Plays an OpenAI-compatible server on 127.0.0.1.\n"
    "\n"
    "  --port N         port; 0 chooses one (default 0); the address is printed\n"
    "  --port-file FILE writes the port there when ready\n"
    "  --key KEY        the key that requests must bear (default: any, or none)\n"
    "  --seed N         of where streams are cut into pieces (default 1)\n"
    "\n"
    "  POST /v1/chat/completions   whole or streamed; response_format, tools\n"
    "  POST /v1/embeddings         float or base64\n"
    "  POST /script                what the next requests get: {\"content\", \"template\", \"data\", \"tool_calls\", "
    "\"fault\", "
    "\"retry_after\",\n"
    "                              \"delay_ms\", \"model\", \"times\"}, or a list of such; one is used up by each "
    "request\n"
    "  DELETE /script              forgets scripts and requests\n"
    "  GET /requests               what came, newest last: [{\"path\", \"key\", \"body\"}]\n"
    "  GET /health\n"
    "\n"
    "Without a script an answer is the least that fits the schema, a call of the first tool, or the words of the "
    "user.\n"
    "Faults, by script, by the header X-Sim-Fault, or after \"+\" in the model's name: 429, insufficient_quota, 401, "
    "400,\n"
    "500, 503, hang (no answer), cut (connection closed), half (half an answer or stream), wrong_json, wrong_schema, "
    "text\n"
    "(prose in place of JSON), wrong_arguments, refusal, length (cut off).\n";

static char key[257];
static uint64_t seed = 1;

bool conn_write(struct conn *c, const char *bytes, size_t len)
{
    while (len) {
        ssize_t n = send(c->fd, bytes, len, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        bytes += n;
        len -= (size_t)n;
    }
    return true;
}

uint64_t conn_random(struct conn *c) /* splitmix64 (Steele, Lea, Flood 2014) */
{
    uint64_t z = c->random += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

bool conn_answer_text(struct conn *c, int status, const char *type, const char *extra, const char *text, size_t len)
{
    char head[512];
    bool half = !strncmp(extra, "Half:", 5);
    int n = snprintf(head, sizeof head, "HTTP/1.1 %d x\r\nContent-Type: %s\r\nContent-Length: %zu\r\n%s\r\n", status,
                     type, len, extra);
    return conn_write(c, head, (size_t)n) && conn_write(c, text, half ? len / 2 : len);
}

bool conn_answer(struct conn *c, int status, const char *extra, const json_t *body)
{
    char *text = json_dumps(body, JSON_COMPACT | JSON_ENCODE_ANY);
    bool good = text && conn_answer_text(c, status, "application/json", extra, text, strlen(text));
    free(text);
    json_decref((json_t *)(uintptr_t)body);
    return good;
}

/* ---- a request ---- */

struct request {
    char method[8], path[128], authorization[300], fault[32];
    char head[HEAD_MAX_BYTES + 1];
    size_t head_len, body_len;
    char *body;
};

static void header(const char *line, struct request *r)
{
    const char *colon = strchr(line, ':');
    if (!colon)
        return;
    const char *value = colon + 1 + strspn(colon + 1, " ");
    size_t n = (size_t)(colon - line);
    if (n == 14 && !strncasecmp(line, "Content-Length", n))
        r->body_len = strtoul(value, NULL, 10);
    else if (n == 13 && !strncasecmp(line, "Authorization", n))
        snprintf(r->authorization, sizeof r->authorization, "%s", value);
    else if (n == 11 && !strncasecmp(line, "X-Sim-Fault", n))
        snprintf(r->fault, sizeof r->fault, "%s", value);
}

static bool read_head(int fd, struct request *r, size_t *ret_rest)
{
    char *end;
    while (!(end = strstr(r->head, "\r\n\r\n"))) {
        if (r->head_len >= HEAD_MAX_BYTES)
            return false;
        ssize_t n = recv(fd, r->head + r->head_len, HEAD_MAX_BYTES - r->head_len, 0);
        if (n <= 0)
            return false;
        r->head_len += (size_t)n;
        r->head[r->head_len] = 0;
    }
    *ret_rest = (size_t)(end + 4 - r->head);
    *end = 0;
    char *save = NULL, *line = strtok_r(r->head, "\r\n", &save);
    if (!line || sscanf(line, "%7s %127s", r->method, r->path) != 2)
        return false;
    while ((line = strtok_r(NULL, "\r\n", &save)))
        header(line, r);
    return r->body_len <= BODY_MAX_BYTES;
}

/* Reads one; what was read beyond its head is the beginning of its body: a client waits for the answer before it sends
 * the next. */
static bool read_request(int fd, struct request *r)
{
    size_t rest = 0, have;
    memset(r, 0, sizeof *r);
    if (!read_head(fd, r, &rest))
        return false;
    have = r->head_len - rest;
    r->body = malloc(r->body_len + 1);
    if (!r->body || have > r->body_len)
        return false;
    memcpy(r->body, r->head + rest, have);
    while (have < r->body_len) {
        ssize_t n = recv(fd, r->body + have, r->body_len - have, 0);
        if (n <= 0)
            return false;
        have += (size_t)n;
    }
    r->body[have] = 0;
    return true;
}

static bool put_script(struct conn *c, json_t *body)
{
    size_t i;
    json_t *one;
    if (json_is_object(body))
        script_add(json_incref(body));
    json_array_foreach(body, i, one) script_add(json_incref(one));
    return conn_answer(c, 200, "", json_pack("{s:b}", "ok", 1));
}

static bool is_key(const struct request *r)
{
    return !*key || (!strncmp(r->authorization, "Bearer ", 7) && !strcmp(r->authorization + 7, key));
}

static bool answer(struct conn *c, const struct request *r)
{
    const char *path = strncmp(r->path, "/v1/", 4) ? r->path : r->path + 3;
    json_t *body = r->body_len ? json_loadb(r->body, r->body_len, 0, NULL) : NULL;
    bool post = !strcmp(r->method, "POST"), good;
    if (!strcmp(path, "/health")) {
        good = conn_answer(c, 200, "", json_pack("{s:s}", "status", "ok"));
    } else if (!strcmp(path, "/requests")) {
        good = conn_answer(c, 200, "", script_requests());
    } else if (!strcmp(path, "/script") && !strcmp(r->method, "DELETE")) {
        script_clear();
        good = conn_answer(c, 200, "", json_pack("{s:b}", "ok", 1));
    } else if (!strcmp(path, "/script") && post && body) {
        good = put_script(c, body);
    } else if (!post || (strcmp(path, "/chat/completions") != 0 && strcmp(path, "/embeddings") != 0)) {
        good = conn_answer(c, 404, "", error_body("invalid_request_error", "unknown_url", "no such address"));
    } else if (!is_key(r)) {
        good = conn_answer(c, 401, "", error_body("invalid_request_error", "invalid_api_key", "incorrect key"));
    } else {
        script_log(path, r->authorization, body);
        good = !strcmp(path, "/embeddings") ? embed_answer(c, body) : chat_answer(c, body, r->fault);
    }
    json_decref(body);
    return good;
}

static void *serve(void *arg)
{
    struct conn c = {.fd = (int)(intptr_t)arg, .random = seed};
    struct request *r = malloc(sizeof *r);
    while (r && read_request(c.fd, r)) {
        bool good = answer(&c, r);
        free(r->body);
        r->body = NULL;
        if (!good)
            break;
    }
    if (r)
        free(r->body);
    free(r);
    close(c.fd);
    return NULL;
}

/* ---- the program ---- */

static int listen_on(int port, int *ret_port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), yes = 1;
    struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof at) < 0 || listen(fd, 512) < 0 ||
        getsockname(fd, (struct sockaddr *)&at, &len) < 0)
        return -1;
    *ret_port = ntohs(at.sin_port);
    return fd;
}

/* Under another name first, so that a reader never sees half of it. */
static bool write_port(const char *path, int port)
{
    char part[4096];
    snprintf(part, sizeof part, "%s.part", path);
    FILE *f = fopen(part, "we");
    if (!f)
        return false;
    bool good = fprintf(f, "%d\n", port) > 0;
    return fclose(f) == 0 && good && rename(part, path) == 0;
}

int main(int argc, char **argv)
{
    enum { PORT, PORT_FILE, KEY, SEED, IGNORED, HELP };
    /* --settle-ms and --hang-ms are of the other simulators: who starts them all need not tell them apart. */
    static const struct option known[] = {{"port", 1, NULL, PORT},         {"port-file", 1, NULL, PORT_FILE},
                                          {"key", 1, NULL, KEY},           {"seed", 1, NULL, SEED},
                                          {"settle-ms", 1, NULL, IGNORED}, {"hang-ms", 1, NULL, IGNORED},
                                          {"help", 0, NULL, HELP},         {0}};
    const char *port_file = NULL;
    int port = 0, option, one = 1;
    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        if (option == PORT)
            port = (int)strtol(optarg, NULL, 10);
        else if (option == PORT_FILE)
            port_file = optarg;
        else if (option == KEY)
            snprintf(key, sizeof key, "%s", optarg);
        else if (option == SEED)
            seed = strtoull(optarg, NULL, 10);
        else if (option != IGNORED)
            return fputs(usage, option == HELP ? stdout : stderr) < 0 || option != HELP ? 2 : 0;
    }
    int fd = listen_on(port, &port);
    if (fd < 0 || (port_file && !write_port(port_file, port))) {
        fprintf(stderr, "llm_sim: 127.0.0.1:%d: %s\n", port, strerror(errno));
        return 1;
    }
    printf("http://127.0.0.1:%d\n", port);
    fflush(stdout);
    pthread_attr_t detached;
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    for (;;) {
        pthread_t thread;
        int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
        if (client < 0)
            continue;
        setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        if (pthread_create(&thread, &detached, serve, (void *)(intptr_t)client) != 0)
            close(client);
    }
}
