/* A plugin that means harm. Its one operation `do` takes {"what": ...} and does that one bad thing; where there is an
 * answer, it says whether the thing was reached: {"reached": bool, "error": number}. For process placement only:
 * inside the host most of this would succeed. */
#include <cvm/cvm.h>
#include <cvm/json.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define LINK_FD 3
#define DESCRIPTORS 64 /* numbers below it are tried */

extern char **environ;

static volatile bool for_ever = true;

static int answer(cvm_turn *t, const cvm_msg *m, bool reached, int error)
{
    return cvm_reply(t, m, json_pack("{s:b, s:i}", "reached", reached, "error", error));
}

static const char *text(const cvm_msg *m, const char *member)
{
    return cvm_json_str(m->data, member, "");
}

static int64_t number(const cvm_msg *m, const char *member, int64_t otherwise)
{
    return cvm_json_int(m->data, member, otherwise);
}

/* ---- the good deed, to see that it is back
 * --------------------------------------------------------------------------- */

static int nothing(cvm_turn *t, const cvm_msg *m)
{
    return answer(t, m, true, 0);
}

static int pid(cvm_turn *t, const cvm_msg *m)
{
    return answer(t, m, true, (int)getpid());
}

/* ---- ends and hangs
 * -------------------------------------------------------------------------------------------------- */

static int crash(cvm_turn *t, const cvm_msg *m)
{
    (void)m;
    *(volatile int *)NULL = 1;
    return t ? CVM_OK : CVM_EFAULT;
}

static int abort_itself(cvm_turn *t, const cvm_msg *m)
{
    (void)t;
    (void)m;
    abort();
}

static int exit_well(cvm_turn *t, const cvm_msg *m)
{
    (void)t;
    (void)m;
    _exit(0);
}

/* With the functions that others have left to be called at the end. */
static int exit_fully(cvm_turn *t, const cvm_msg *m)
{
    (void)t;
    (void)m;
    exit(0);
}

static int hang_busy(cvm_turn *t, const cvm_msg *m)
{
    (void)t;
    (void)m;
    while (for_ever)
        ;
    return CVM_OK;
}

static int hang_asleep(cvm_turn *t, const cvm_msg *m)
{
    (void)t;
    (void)m;
    while (for_ever)
        pause();
    return CVM_OK;
}

static int stop_itself(cvm_turn *t, const cvm_msg *m)
{
    raise(SIGSTOP);
    return answer(t, m, true, 0);
}

/* Deaf to what can be ignored, then hangs. */
static int ignore_signals(cvm_turn *t, const cvm_msg *m)
{
    for (int i = 1; i < 65; i++)
        signal(i, SIG_IGN);
    return hang_asleep(t, m);
}

static int __attribute__((noinline)) deep(int n)
{
    volatile char frame[4096];
    frame[0] = (char)n;
    return n == INT32_MAX ? 0 : deep(n + 1) + frame[0];
}

static int overflow_stack(cvm_turn *t, const cvm_msg *m)
{
    return answer(t, m, true, deep(0));
}

/* Frames of its callers, then back into them. */
static int __attribute__((noinline)) smash_stack(cvm_turn *t, const cvm_msg *m)
{
    volatile char *at = (volatile char *)__builtin_frame_address(0);
    (void)m;
    for (int i = 0; i < 512; i++)
        at[i] = 0x41;
    return t ? CVM_OK : CVM_EFAULT;
}

static int smash_heap(cvm_turn *t, const cvm_msg *m)
{
    volatile char *at = malloc(64);
    for (int i = 0; at && i < 4096; i++)
        at[i] = 0x41;
    for (int i = 0; i < 100; i++)
        free(malloc((size_t)(i * 40)));
    return answer(t, m, true, 0);
}

/* ---- too much
 * -------------------------------------------------------------------------------------------------------- */

static int flood_messages(cvm_turn *t, const cvm_msg *m)
{
    for (int64_t i = 0, n = number(m, "n", CVM_TURN_OUTPUTS_MAX + 50); i < n; i++) {
        int e = cvm_send(t, "test.hostile", "do", json_pack("{s:s}", "what", "nothing"));
        if (e < 0)
            return answer(t, m, false, e);
    }
    return answer(t, m, true, 0);
}

static int flood_log(cvm_turn *t, const cvm_msg *m)
{
    for (int64_t i = 0, n = number(m, "n", 1000000); i < n; i++)
        cvm_log(t, CVM_LOG_WARNING, "line %lld of very many, and none of them says anything", (long long)i);
    return answer(t, m, true, 0);
}

static int flood_errors(cvm_turn *t, const cvm_msg *m)
{
    static const char line[] = "a line of standard error that nobody asked for\n";
    int64_t written = 0;
    for (int64_t i = 0, n = number(m, "n", 200000); i < n; i++)
        written += write(2, line, sizeof line - 1) > 0;
    return answer(t, m, written > 0, errno);
}

static int flood_state(cvm_turn *t, const cvm_msg *m)
{
    size_t size = (size_t)number(m, "bytes", CVM_STATE_VALUE_MAX_BYTES - 16);
    char *bytes = malloc(size + 1), key[32];
    int e = bytes ? 0 : CVM_ENOMEM;
    for (int64_t i = 0, n = number(m, "n", 1000000); !e && i < n; i++) {
        memset(bytes, 'x', size);
        bytes[size] = 0;
        snprintf(key, sizeof key, "flood-%lld", (long long)i);
        e = cvm_state_put(t, key, json_string(bytes));
    }
    free(bytes);
    return answer(t, m, e == 0, e);
}

static int flood_notes(cvm_turn *t, const cvm_msg *m)
{
    int e = 0;
    for (int64_t i = 0, n = number(m, "n", 1000000); !e && i < n; i++)
        e = cvm_note(t, "noise", json_pack("{s:I}", "i", (json_int_t)i));
    return answer(t, m, e == 0, e);
}

/* Questions that the host must answer one by one. */
static int flood_questions(cvm_turn *t, const cvm_msg *m)
{
    const json_t *value;
    char id[CVM_SHORT_ID_SIZE];
    int e = 0;
    for (int64_t i = 0, n = number(m, "n", 5000); i < n; i++) {
        snprintf(id, sizeof id, "none-%lld", (long long)i);
        e = cvm_state_get(t, id, &value);
    }
    return answer(t, m, e != CVM_ENOENT, e);
}

static int flood_ids(cvm_turn *t, const cvm_msg *m)
{
    char id[CVM_SHORT_ID_SIZE];
    int e = 0;
    for (int64_t i = 0, n = number(m, "n", 3000); !e && i < n; i++)
        e = cvm_new_id(t, "X", id);
    return answer(t, m, e == 0, e);
}

static int huge_reply(cvm_turn *t, const cvm_msg *m)
{
    size_t size = (size_t)number(m, "bytes", 16 * CVM_TURN_BYTES_MAX);
    char *bytes = calloc(1, size + 1);
    if (!bytes)
        return CVM_ENOMEM;
    memset(bytes, 'x', size);
    json_t *value = json_string_nocheck(bytes);
    free(bytes);
    return cvm_reply(t, m, json_pack("{s:o}", "text", value));
}

/* Touches what it is given until it is given no more, and keeps it. */
static int leak(cvm_turn *t, const cvm_msg *m)
{
    int64_t mib = 0;
    char *at;
    for (; mib < number(m, "mib", 64 * 1024) && (at = malloc(1 << 20)); mib++)
        memset(at, 1, 1 << 20);
    return cvm_reply(t, m,
                     json_pack("{s:b, s:I}", "reached", mib == number(m, "mib", 64 * 1024), "mib", (json_int_t)mib));
}

/* The same by ways that a limit on the heap would not see. */
static int leak_shared(cvm_turn *t, const cvm_msg *m)
{
    int64_t mib = 0;
    char *at;
    for (; mib < number(m, "mib", 64 * 1024); mib++) {
        at = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (at == MAP_FAILED)
            break;
        memset(at, 1, 1 << 20);
    }
    return cvm_reply(t, m,
                     json_pack("{s:b, s:I}", "reached", mib == number(m, "mib", 64 * 1024), "mib", (json_int_t)mib));
}

static int multiply(cvm_turn *t, const cvm_msg *m)
{
    pid_t child = fork();
    if (child == 0)
        for (int i = 0; i < 10; i++)
            if (fork() < 0)
                _exit(0);
    if (child == 0)
        hang_busy(t, m);
    return answer(t, m, child > 0, errno);
}

static void *spin(void *arg)
{
    while (for_ever)
        ;
    return arg;
}

static int multiply_threads(cvm_turn *t, const cvm_msg *m)
{
    pthread_t thread;
    int error = 0;
    for (int i = 0; i < 64 && !error; i++)
        error = pthread_create(&thread, NULL, spin, NULL);
    return answer(t, m, error == 0, error);
}

/* ---- outside
 * --------------------------------------------------------------------------------------------------------- */

static int read_file(cvm_turn *t, const cvm_msg *m)
{
    char bytes[256];
    int fd = open(text(m, "path"), O_RDONLY);
    ssize_t n = fd < 0 ? -1 : read(fd, bytes, sizeof bytes);
    return answer(t, m, n >= 0, n < 0 ? errno : 0);
}

static int write_file(cvm_turn *t, const cvm_msg *m)
{
    int fd = open(text(m, "path"), O_WRONLY | O_CREAT, 0600);
    ssize_t n = fd < 0 ? -1 : write(fd, "x", 1);
    return answer(t, m, n == 1, n < 0 ? errno : 0);
}

static int connect_tcp(cvm_turn *t, const cvm_msg *m)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)number(m, "port", 80))};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    int e = fd < 0 ? -1 : connect(fd, (struct sockaddr *)&to, sizeof to);
    return answer(t, m, e == 0, e < 0 ? errno : 0);
}

/* The host's own control socket would do all that an operator may. */
static int connect_unix(cvm_turn *t, const cvm_msg *m)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    snprintf(to.sun_path, sizeof to.sun_path, "%s", text(m, "path"));
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    int e = fd < 0 ? -1 : connect(fd, (struct sockaddr *)&to, sizeof to);
    return answer(t, m, e == 0, e < 0 ? errno : 0);
}

static int run_program(cvm_turn *t, const cvm_msg *m)
{
    char *const argv[] = {(char *)(uintptr_t) "sh", (char *)(uintptr_t) "-c", (char *)(uintptr_t)text(m, "command"),
                          NULL};
    execv("/bin/sh", argv);
    return answer(t, m, false, errno);
}

static int trace_host(cvm_turn *t, const cvm_msg *m)
{
    long e = ptrace(PTRACE_SEIZE, getppid(), NULL, NULL);
    return answer(t, m, e == 0, errno);
}

static int kill_host(cvm_turn *t, const cvm_msg *m)
{
    int e = kill(getppid(), SIGKILL);
    return answer(t, m, e == 0, errno);
}

static int kill_all(cvm_turn *t, const cvm_msg *m)
{
    int e = kill(0, SIGKILL); /* its group */
    return answer(t, m, e == 0, errno);
}

/* What the host was started with: in the environment and in the memory where it stood. */
static int search_environment(cvm_turn *t, const cvm_msg *m)
{
    const char *wanted = text(m, "text");
    for (char **at = environ; *at; at++)
        if (strstr(*at, wanted))
            return answer(t, m, true, 0);
    return answer(t, m, false, 0);
}

/* Through descriptors that somebody forgot. */
static int read_descriptors(cvm_turn *t, const cvm_msg *m)
{
    char byte;
    for (int fd = LINK_FD + 1; fd < 1024; fd++)
        if (fcntl(fd, F_GETFD) >= 0)
            return answer(t, m, true, pread(fd, &byte, 1, 0) < 0 ? errno : fd);
    return answer(t, m, false, EBADF);
}

/* ---- others
 * ---------------------------------------------------------------------------------------------------------- */

static int ask_secret(cvm_turn *t, const cvm_msg *m)
{
    const char *value = NULL;
    int e = cvm_secret(t, text(m, "name"), &value);
    return answer(t, m, value != NULL, e);
}

static int ask_other(cvm_turn *t, const cvm_msg *m)
{
    int e = cvm_request(t, text(m, "to"), text(m, "type"), NULL, NULL);
    return answer(t, m, e == 0, e);
}

static int call_outside(cvm_turn *t, const cvm_msg *m)
{
    cvm_call call = {.size = sizeof call, .name = text(m, "name"), .path = text(m, "path")};
    int e = cvm_http_call(t, &call, NULL);
    return answer(t, m, e == 0, e);
}

static int publish(cvm_turn *t, const cvm_msg *m)
{
    int e = cvm_publish(t, text(m, "topic"), NULL);
    return answer(t, m, e == 0, e);
}

static int write_table(cvm_turn *t, const cvm_msg *m)
{
    int e = cvm_row_put(t, text(m, "table"), json_pack("{s:s}", "id", "x"));
    return answer(t, m, e == 0, e);
}

static int ask_table(cvm_turn *t, const cvm_msg *m)
{
    cvm_query query = {.size = sizeof query, .table = text(m, "table")};
    int e = cvm_ask(t, &query);
    return answer(t, m, e == 0, e);
}

/* Another component's key, by its name and by names that might be resolved. */
static int read_state(cvm_turn *t, const cvm_msg *m)
{
    const json_t *value = NULL;
    int e = cvm_state_get(t, text(m, "key"), &value);
    return answer(t, m, value != NULL, e);
}

static cvm_id id_of(const cvm_msg *m)
{
    cvm_id id = {0, 0};
    if (sscanf(text(m, "id"), "MSG-%16lx%16lx", (unsigned long *)&id.hi, (unsigned long *)&id.lo) != 2)
        id = m->id;
    return id;
}

/* A request that another plugin holds, or that was answered. */
static int settle_other(cvm_turn *t, const cvm_msg *m)
{
    int e = cvm_settle(t, id_of(m), CVM_REPLIED, json_pack("{s:b}", "forged", 1), NULL);
    return answer(t, m, e == 0, e);
}

static int settle_twice(cvm_turn *t, const cvm_msg *m)
{
    CVM_TRY(answer(t, m, false, 1));
    int e = cvm_settle(t, m->id, CVM_REPLIED, json_pack("{s:b, s:i}", "reached", 1, "error", 2), NULL);
    (void)e;
    return CVM_OK;
}

/* What it was lent. */
static int change_payload(cvm_turn *t, const cvm_msg *m)
{
    json_t *mine = (json_t *)(uintptr_t)m->data;
    json_object_set_new(mine, "what", json_string("changed"));
    json_object_set_new(mine, "marker", json_string("changed"));
    memset((void *)(uintptr_t)m->type, 'x', strlen(m->type));
    return answer(t, m, true, 0);
}

/* ---- the link itself
 * --------------------------------------------------------------------------------------------------- */

static void random_bytes(uint64_t *seed, unsigned char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        *seed = *seed * UINT64_C(6364136223846793005) + 1;
        bytes[i] = (unsigned char)(*seed >> 56);
    }
}

/* To every number that may be an open descriptor. */
static int write_garbage(cvm_turn *t, const cvm_msg *m)
{
    unsigned char bytes[512];
    uint64_t seed = (uint64_t)number(m, "seed", 1);
    for (int round = 0; round < 100; round++)
        for (int fd = 0; fd < DESCRIPTORS; fd++) {
            random_bytes(&seed, bytes, sizeof bytes);
            if (write(fd, bytes, sizeof bytes) < 0 && errno == EPIPE)
                return CVM_EFAULT;
        }
    return answer(t, m, true, 0);
}

static void forge_frame(unsigned kind, uint64_t turn, const char *body, uint32_t size)
{
    unsigned char frame[4096] = {0};
    size_t n = strlen(body) < sizeof frame - 16 ? strlen(body) : sizeof frame - 16;
    memcpy(frame, &size, 4);
    frame[4] = (unsigned char)kind;
    memcpy(frame + 8, &turn, 8);
    memcpy(frame + 16, body, n);
    if (send(LINK_FD, frame, n + 16, MSG_NOSIGNAL) < 0)
        _exit(1);
}

/* The number under which the host knows this turn: among pointers, behind the handle that a handler is given. */
static uint64_t turn_number(const cvm_turn *t)
{
    const uint64_t *words = (const uint64_t *)(const void *)t;
    for (int i = 1; i < 8; i++)
        if (words[i] > 0 && words[i] < UINT32_MAX)
            return words[i];
    return 0;
}

/* A frame of {"kind", "body"} as if this turn had said it; "shift" numbers it otherwise, "size" lies about it. */
static int forge(cvm_turn *t, const cvm_msg *m)
{
    const char *body = text(m, "body");
    for (int64_t i = 0, n = number(m, "n", 1); i < n; i++)
        forge_frame((unsigned)number(m, "kind", 19), turn_number(t) + (uint64_t)number(m, "shift", 0), body,
                    (uint32_t)number(m, "size", (int64_t)strlen(body)));
    return answer(t, m, true, 0);
}

/* Ends its turn by itself, and goes on talking of it without end. */
static int flood_late(cvm_turn *t, const cvm_msg *m)
{
    (void)m;
    forge_frame(20, turn_number(t), "{\"result\":0,\"us\":9000000000000000000}", 37);
    while (for_ever)
        forge_frame(19, turn_number(t), "{}", 2);
    return CVM_OK;
}

/* Takes what the host sends and says nothing. */
static int swallow_link(cvm_turn *t, const cvm_msg *m)
{
    static char bytes[64 * 1024];
    (void)t;
    (void)m;
    while (recv(LINK_FD, bytes, sizeof bytes, 0) > 0)
        ;
    return CVM_OK;
}

static int close_link(cvm_turn *t, const cvm_msg *m)
{
    close(LINK_FD);
    return hang_asleep(t, m);
}

/* Descriptors of its own into the host's table. */
static int send_descriptors(cvm_turn *t, const cvm_msg *m)
{
    char byte = 0, room[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec data = {&byte, 0};
    struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room};
    struct cmsghdr *c = CMSG_FIRSTHDR(&message);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    memset(CMSG_DATA(c), 0, sizeof(int));
    int e = 0;
    for (int i = 0; i < 2000 && e >= 0; i++)
        e = (int)sendmsg(LINK_FD, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    return answer(t, m, e >= 0, e < 0 ? errno : 0);
}

/* ---- the table
 * ------------------------------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    cvm_handler run;
} deeds[] = {
    {"nothing", nothing},
    {"pid", pid},
    {"crash", crash},
    {"abort", abort_itself},
    {"exit", exit_well},
    {"exit_fully", exit_fully},
    {"hang_busy", hang_busy},
    {"hang_asleep", hang_asleep},
    {"stop_itself", stop_itself},
    {"ignore_signals", ignore_signals},
    {"overflow_stack", overflow_stack},
    {"smash_stack", smash_stack},
    {"smash_heap", smash_heap},
    {"flood_messages", flood_messages},
    {"flood_log", flood_log},
    {"flood_errors", flood_errors},
    {"flood_state", flood_state},
    {"flood_notes", flood_notes},
    {"flood_questions", flood_questions},
    {"flood_ids", flood_ids},
    {"huge_reply", huge_reply},
    {"leak", leak},
    {"leak_shared", leak_shared},
    {"multiply", multiply},
    {"multiply_threads", multiply_threads},
    {"read_file", read_file},
    {"write_file", write_file},
    {"connect_tcp", connect_tcp},
    {"connect_unix", connect_unix},
    {"run_program", run_program},
    {"trace_host", trace_host},
    {"kill_host", kill_host},
    {"kill_all", kill_all},
    {"search_environment", search_environment},
    {"read_descriptors", read_descriptors},
    {"ask_secret", ask_secret},
    {"ask_other", ask_other},
    {"call_outside", call_outside},
    {"publish", publish},
    {"write_table", write_table},
    {"ask_table", ask_table},
    {"read_state", read_state},
    {"settle_other", settle_other},
    {"settle_twice", settle_twice},
    {"change_payload", change_payload},
    {"write_garbage", write_garbage},
    {"forge", forge},
    {"flood_late", flood_late},
    {"swallow_link", swallow_link},
    {"close_link", close_link},
    {"send_descriptors", send_descriptors},
};

static int do_it(cvm_turn *t, const cvm_msg *m)
{
    const char *what = text(m, "what");
    for (size_t i = 0; i < sizeof deeds / sizeof *deeds; i++)
        if (strcmp(deeds[i].name, what) == 0)
            return deeds[i].run(t, m);
    return CVM_EINVAL;
}

/* Before anybody has looked at it: loading runs this. */
static char early[256];

static void __attribute__((constructor)) look_around(void)
{
    int fd = open("/etc/passwd", O_RDONLY);
    if (fd >= 0)
        early[0] = 1;
    fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd >= 0)
        early[1] = 1;
}

static int act_early(cvm_turn *t, const cvm_msg *m)
{
    return answer(t, m, early[0] || early[1], early[0] + 2 * early[1]);
}

static const cvm_component components[] = {{.id = "test.hostile", .state_version = 1}, {0}};
static const cvm_route routes[] = {{"test.hostile", "do", do_it}, {"test.hostile", "act_early", act_early}, {0}};

CVM_PLUGIN(.name = "hostile", .version = "1.0.0", .components = components, .routes = routes);
