/* Floors in processes of their own: what the machine and the libraries cost before the host does anything. */
#include "bench.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

/* ---- a canned answer -------------------------------------------------------------------------------------------- */

/* 300 bytes of JSON, as the peers answer. A request comes in one piece: the load generator sends it so. */
static void serve(int listener)
{
    static char in[65536], out[512], body[301];
    struct epoll_event events[256], e = {.events = EPOLLIN, .data.fd = listener};
    int epoll = epoll_create1(EPOLL_CLOEXEC), one = 1;
    memset(body, 'x', 300);
    memcpy(body, "{\"text\":\"", 9);
    memcpy(body + 298, "\"}", 3);
    int len = snprintf(out, sizeof out,
                       "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 300\r\n\r\n%s", body);
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &e);
    for (;;) {
        int n = epoll_wait(epoll, events, 256, -1);
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            if (fd == listener) {
                e.data.fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
                setsockopt(e.data.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                epoll_ctl(epoll, EPOLL_CTL_ADD, e.data.fd, &e);
            } else if (recv(fd, in, sizeof in, 0) <= 0 || send(fd, out, (size_t)len, MSG_NOSIGNAL) != len) {
                close(fd);
            }
        }
    }
}

int bench_floor_serve(int *ret_port, int *ret_pid)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (bind(listener, (struct sockaddr *)&at, sizeof at) < 0 || listen(listener, 1024) < 0 ||
        getsockname(listener, (struct sockaddr *)&at, &len) < 0) {
        close(listener);
        return -1;
    }
    fflush(stdout); /* else the child prints it once more */
    *ret_pid = fork();
    if (*ret_pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        serve(listener);
    }
    close(listener);
    *ret_port = ntohs(at.sin_port);
    return *ret_pid < 0 ? -1 : 0;
}

void bench_end(int pid, int signal_number)
{
    if (pid <= 0)
        return;
    kill(pid, signal_number);
    waitpid(pid, NULL, 0);
}

/* ---- the libraries alone ---------------------------------------------------------------------------------------- */

static void never(uv_timer_t *timer)
{
    (void)timer;
}

/* A loop, a database in WAL mode with a table, an HTTP client, a JSON value: then "ready", then nothing. */
int bench_bare(void)
{
    char path[] = "/tmp/cvm-bare-XXXXXX", name[64];
    const char *const files[] = {"x.db", "x.db-wal", "x.db-shm"};
    uv_loop_t loop;
    uv_timer_t timer;
    sqlite3 *db = NULL;
    if (!mkdtemp(path) || uv_loop_init(&loop) < 0)
        return 1;
    snprintf(name, sizeof name, "%s/x.db", path);
    sqlite3_open(name, &db);
    sqlite3_exec(db, "PRAGMA journal_mode=WAL; CREATE TABLE t(a INTEGER PRIMARY KEY, b)", NULL, NULL, NULL);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    CURLM *curl = curl_multi_init();
    json_t *json = json_pack("{s:s}", "mhd", MHD_get_version());
    puts("ready");
    fflush(stdout);
    for (int i = 0; i < 3; i++) {
        snprintf(name, sizeof name, "%s/%s", path, files[i]);
        unlink(name);
    }
    rmdir(path);
    uv_timer_init(&loop, &timer);
    uv_timer_start(&timer, never, UINT64_MAX / 2, 0);
    uv_run(&loop, UV_RUN_DEFAULT);
    json_decref(json);
    curl_multi_cleanup(curl);
    sqlite3_close(db);
    return 0;
}

int bench_bare_start(int *ret_pid, double *ret_ms)
{
    int out[2];
    char text[8] = "";
    if (pipe2(out, O_CLOEXEC) < 0)
        return -1;
    fflush(stdout);
    int64_t begun = bench_ns();
    *ret_pid = fork();
    if (*ret_pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(out[1], STDOUT_FILENO);
        execl("/proc/self/exe", "bench", "--bare", (char *)NULL);
        _exit(127);
    }
    close(out[1]);
    ssize_t n = read(out[0], text, sizeof text - 1);
    *ret_ms = (double)(bench_ns() - begun) / 1e6;
    close(out[0]);
    return n > 0 && strncmp(text, "ready", 5) == 0 ? 0 : -1;
}
