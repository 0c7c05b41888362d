/* Bytes of a client of the control socket, before the real server and a real core under the virtual clock. A byte 0x1e
 * is not sent: there the client waits. Each line gets one end of an answer, and when the client has said its last the
 * server answers what is open and hangs up. */
#include "fuzz.h"

#include "fuzz_home.h"
#include "services/control.h"
#include "services/operation_counters.h"
#include <cvm/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define SEEN_MAX_BYTES (32 * 1024 * 1024)
#define ROUNDS_MAX 5000
#define STEP_MS 600000

static const char *const plugins[] = {"bad", "bad_none", "echo", "echo", NULL};
static uv_loop_t loop;
static struct core *core;
static char *seen;
static size_t seen_len;
static bool gone, is_closed;

static int listen_somewhere(struct sockaddr_un *ret_address, socklen_t *ret_len)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    ret_address->sun_family = AF_UNIX;
    FUZZ_CHECK(fd >= 0 && bind(fd, (struct sockaddr *)ret_address, sizeof(sa_family_t)) == 0); /* any free name */
    *ret_len = sizeof *ret_address;
    FUZZ_CHECK(getsockname(fd, (struct sockaddr *)ret_address, ret_len) == 0);
    return fd;
}

static void turn(int fd)
{
    uv_run(&loop, UV_RUN_NOWAIT);
    core_step(core, core_now_ms(core));
    while (!gone) {
        ssize_t n = recv(fd, seen + seen_len, SEEN_MAX_BYTES - seen_len, MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            break;
        FUZZ_CHECK(seen_len + (size_t)(n > 0 ? n : 0) < SEEN_MAX_BYTES);
        gone = n <= 0;
        seen_len += n > 0 ? (size_t)n : 0;
    }
}

static void tell(int fd, const char *bytes, size_t len)
{
    while (len && !gone) {
        size_t piece = strnlen(bytes, 0) + len;
        const char *stop = memchr(bytes, 0x1e, len);
        piece = stop ? (size_t)(stop - bytes) : len;
        for (size_t sent = 0; sent < piece && !gone;) {
            ssize_t n = send(fd, bytes + sent, piece - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
            if (n < 0 && errno != EAGAIN && errno != EINTR)
                return;
            sent += n > 0 ? (size_t)n : 0;
            turn(fd);
        }
        turn(fd);
        piece += stop != NULL;
        bytes += piece;
        len -= piece;
    }
}

/* Lines that want an answer. */
static int count_lines(const char *bytes, size_t len)
{
    int n = 0;
    size_t used = 0;
    for (size_t i = 0; i < len; i++) {
        if (bytes[i] == 0x1e)
            continue;
        if (bytes[i] != '\n') {
            used += bytes[i] != '\r' || used > 0;
            used += bytes[i] == '\r' && used == 0 && i + 1 < len && bytes[i + 1] != '\n' && bytes[i + 1] != 0x1e;
            continue;
        }
        n += used > 0;
        used = 0;
    }
    return n;
}

static int count_ends(void)
{
    static const char *const ends[] = {"data", "error", "outcome", "open"};
    int n = 0;
    for (char *at = seen, *end; (end = memchr(at, '\n', seen_len - (size_t)(at - seen))); at = end + 1) {
        json_t *line = json_loadb(at, (size_t)(end - at), JSON_ALLOW_NUL, NULL);
        FUZZ_CHECK(json_is_object(line) && json_object_get(line, "id"));
        const json_t *error = json_object_get(line, "error");
        FUZZ_CHECK(!error || *cvm_json_str(error, "text", ""));
        bool any = false;
        for (int i = 0; i < 4; i++)
            any = any || json_object_get(line, ends[i]);
        n += any;
        json_decref(line);
    }
    return n;
}

static void on_closed(void *arg)
{
    (void)arg;
    is_closed = true;
}

static void talk(const char *bytes, size_t len)
{
    struct sockaddr_un address = {0};
    socklen_t address_len;
    struct control *control = NULL;
    struct operation_counters *counters = operation_counters_new();
    struct control_options options = {.loop = &loop,
                                      .core = core,
                                      .config = fuzz_home_config(),
                                      .counters = counters,
                                      .fd = listen_somewhere(&address, &address_len)};
    FUZZ_CHECK(control_open(&options, &control) == 0);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    FUZZ_CHECK(fd >= 0 && connect(fd, (struct sockaddr *)&address, address_len) == 0);
    gone = is_closed = false;
    seen_len = 0;
    tell(fd, bytes, len);
    shutdown(fd, SHUT_WR);
    for (int i = 0; i < ROUNDS_MAX && !gone; i++) {
        turn(fd);
        core_step(core, core_now_ms(core) + STEP_MS);
    }
    FUZZ_CHECK(gone);
    FUZZ_CHECK(count_ends() == count_lines(bytes, len));
    close(fd);
    control_close(control, on_closed, NULL);
    for (int i = 0; i < ROUNDS_MAX && !is_closed; i++)
        uv_run(&loop, UV_RUN_NOWAIT);
    FUZZ_CHECK(is_closed);
    operation_counters_free(counters);
}

static void close_loop(void)
{
    uv_loop_close(&loop);
    free(seen);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char why[512];
    if (!seen) {
        fuzz_home_make(plugins, "{\"plugins\": {\"inline\": [\"*\"]}}");
        uv_loop_init(&loop);
        seen = malloc(SEEN_MAX_BYTES);
        FUZZ_CHECK(seen);
        atexit(close_loop);
    }
    fuzz_home_reset();
    core = fuzz_home_open(why);
    FUZZ_CHECK(core);
    talk((const char *)data, size);
    core_close(core);
    return 0;
}
