/* Confinement from inside: a child confines itself, then tries to get at something. Each attempt must succeed in a
 * child that is not confined, or it shows nothing; and it must fail under each layer that is said to stop it, alone. */
#include "link/confine.h"

#include "counted.h"
#include <arpa/inet.h>
#include <check.h>
#include <cvm/cvm.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define MEMORY_BYTES (64u * 1024 * 1024)
#define ENDED 1000  /* the attempt ended its process with SIGSYS */
#define SILENT 1001 /* the process ended without a word */
#define EXEC_STATUS 42
#define ALL_LAYERS (CONFINE_CALLS * 2 - 1)

static char folder[64], secret_file[96], listener_name[32];
static int other_fd = -1, tcp_listener = -1, tcp_port;
static unsigned long env_from, env_to;

/* ---- what a child tries: 0 or the error
 * ------------------------------------------------------------------------------ */

static int failed(bool bad)
{
    return bad ? errno : 0;
}

static int read_file(const char *path)
{
    char byte;
    int fd = open(path, O_RDONLY);
    return failed(fd < 0 || read(fd, &byte, 1) < 0);
}

static int reads_secret_file(void)
{
    return read_file(secret_file);
}

static int reads_passwd(void)
{
    return read_file("/etc/passwd");
}

static int lists_folder(void)
{
    return failed(open(folder, O_RDONLY | O_DIRECTORY) < 0);
}

static int opens_memory_of_host(void)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/mem", getppid());
    return failed(open(path, O_RDONLY) < 0);
}

static int reads_environ_file(void)
{
    return read_file("/proc/self/environ");
}

/* The strings that the kernel put into memory. */
static int finds_environment(void)
{
    const char *at = (const char *)(uintptr_t)env_from;
    for (unsigned long i = 0; i < env_to - env_from; i++)
        if (at[i])
            return 0;
    return getenv("HOME") ? 0 : ENOENT;
}

static int reads_inherited_descriptor(void)
{
    char byte;
    return failed(pread(other_fd, &byte, 1, 0) < 0);
}

static int creates_file(void)
{
    char path[128];
    snprintf(path, sizeof path, "%s/made-%d", folder, getpid());
    return failed(open(path, O_WRONLY | O_CREAT, 0600) < 0);
}

static int opens_for_writing(void)
{
    return failed(open(secret_file, O_WRONLY) < 0);
}

static int truncates_file(void)
{
    return failed(truncate(secret_file, 16) < 0);
}

static int renames_file(void)
{
    char path[128];
    snprintf(path, sizeof path, "%s/renamed", folder);
    int error = failed(rename(secret_file, path) < 0);
    return error ? error : failed(rename(path, secret_file) < 0);
}

static int writes_beyond_file_limit(void)
{
    return failed(write(1, "x", 1) < 0); /* 1 is a file here */
}

static int opens_inet_socket(void)
{
    return failed(socket(AF_INET, SOCK_STREAM, 0) < 0);
}

static int opens_unix_socket(void)
{
    return failed(socket(AF_UNIX, SOCK_STREAM, 0) < 0);
}

static int opens_netlink_socket(void)
{
    return failed(socket(AF_NETLINK, SOCK_RAW, 0) < 0);
}

static int opens_pair(void)
{
    int pair[2];
    return failed(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) < 0);
}

static int connects_tcp(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)tcp_port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    return failed(fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) < 0);
}

static int listens_tcp(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    return failed(fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof at) < 0);
}

static socklen_t abstract_name(struct sockaddr_un *ret_at)
{
    *ret_at = (struct sockaddr_un){.sun_family = AF_UNIX};
    snprintf(ret_at->sun_path + 1, sizeof ret_at->sun_path - 1, "%s", listener_name);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(listener_name));
}

static int connects_abstract(void)
{
    struct sockaddr_un to;
    socklen_t len = abstract_name(&to);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    return failed(fd < 0 || connect(fd, (struct sockaddr *)&to, len) < 0);
}

static int forks(void)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    return failed(pid < 0);
}

static int forks_plainly(void)
{
    long pid = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (pid == 0)
        _exit(0);
    return failed(pid < 0);
}

static int runs_shell(void)
{
    char *argv[] = {"sh", "-c", "exit 42", NULL};
    execv("/bin/sh", argv);
    return errno;
}

static int signals_host(void)
{
    return failed(kill(getppid(), SIGURG) < 0); /* ignored where nobody asks for it */
}

static int signals_itself(void)
{
    return failed(kill(getpid(), SIGURG) < 0);
}

static int traces_host(void)
{
    return failed(ptrace(PTRACE_SEIZE, getppid(), NULL, NULL) < 0);
}

static int reads_memory_of_host(void)
{
    char byte;
    struct iovec to = {&byte, 1}, from = {folder, 1};
    return failed(process_vm_readv(getppid(), &to, 1, &from, 1, 0) < 0);
}

static int takes_memory(int flags)
{
    for (size_t taken = 0; taken < 2 * MEMORY_BYTES; taken += 1 << 20) {
        char *at = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);
        if (at == MAP_FAILED)
            return errno;
        at[0] = 1;
    }
    return 0;
}

static int takes_private_memory(void)
{
    return takes_memory(MAP_PRIVATE);
}

static int takes_shared_memory(void)
{
    return takes_memory(MAP_SHARED);
}

static int allocates_half(void)
{
    char *at = malloc(MEMORY_BYTES / 2);
    if (at)
        memset(at, 1, MEMORY_BYTES / 2);
    return at ? 0 : ENOMEM;
}

static int raises_limit(void)
{
    struct rlimit limit = {.rlim_cur = 1 << 20, .rlim_max = 1 << 20};
    return failed(setrlimit(RLIMIT_FSIZE, &limit) < 0);
}

static int reads_limit_of_host(void)
{
    struct rlimit limit;
    return failed(prlimit(getppid(), RLIMIT_CORE, NULL, &limit) < 0);
}

static int opens_many(void)
{
    for (int i = 0; i < 200; i++)
        if (dup(0) < 0)
            return errno;
    return 0;
}

static int becomes_dumpable(void)
{
    return failed(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0);
}

static int outlives_host(void)
{
    return failed(prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0) < 0);
}

static int opens_shared_memory(void)
{
    char name[32];
    snprintf(name, sizeof name, "/cvm-confine-%d", getpid());
    int error = failed(shm_open(name, O_RDWR | O_CREAT, 0600) < 0);
    shm_unlink(name);
    return error;
}

static int makes_memory_file(void)
{
    return failed(memfd_create("x", 0) < 0);
}

static int makes_ipc_segment(void)
{
    int id = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600), error = failed(id < 0);
    if (id >= 0)
        shmctl(id, IPC_RMID, NULL);
    return error;
}

static int renices(void)
{
    return failed(setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) + 1) < 0);
}

static int unshares(void)
{
    return failed(unshare(CLONE_NEWUSER) < 0);
}

static int clones_namespace(void)
{
    long pid = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);
    if (pid == 0)
        _exit(0);
    return failed(pid < 0);
}

static int sets_up_io_uring(void)
{
    char params[256] = {0};
    return failed(syscall(SYS_io_uring_setup, 1, params) < 0);
}

static int mounts(void)
{
    return failed(mount("none", "/mnt", "tmpfs", 0, NULL) < 0);
}

static int adds_key(void)
{
    return failed(syscall(SYS_add_key, "user", "x", "y", 1, -2) < 0);
}

static int loads_bpf(void)
{
    return failed(syscall(SYS_bpf, 0, NULL, 0) < 0);
}

static int counts_events(void)
{
    struct perf_event_attr attr = {.size = sizeof attr};
    return failed(syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0) < 0);
}

static int handles_faults(void)
{
    return failed(syscall(SYS_userfaultfd, 0) < 0);
}

static int opens_by_handle(void)
{
    return failed(syscall(SYS_open_by_handle_at, AT_FDCWD, NULL, 0) < 0);
}

static int maps_code(void)
{
    return failed(mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED);
}

static int makes_memory_code(void)
{
    void *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return failed(at == MAP_FAILED || mprotect(at, 4096, PROT_READ | PROT_EXEC) < 0);
}

static int reads_system_library_cache(void)
{
    return read_file("/etc/ld.so.cache");
}

static void *nothing(void *arg)
{
    return arg;
}

static int starts_thread(void)
{
    pthread_t thread;
    int error = pthread_create(&thread, NULL, nothing, NULL);
    if (!error)
        pthread_join(thread, NULL);
    return error;
}

static int loads_library(void)
{
    return dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL) ? 0 : ENOENT;
}

static int loads_other_library(void)
{
    return dlopen(OTHER_LIBRARY, RTLD_NOW | RTLD_LOCAL) ? 0 : ENOENT;
}

/* ---- the table
 * ------------------------------------------------------------------------------------------------------- */

struct attempt {
    const char *name;
    int (*run)(void);
    uint32_t stops; /* each of these layers stops it, alone */
    int error;      /* with all layers; ENDED, or 0: it may */
    int sealed;     /* after the seal; -1: as before */
    bool rare;      /* not to be had on every machine, even by a process that is not confined */
};

#define A(function) #function, function
static const struct attempt attempts[] = {
    {A(reads_secret_file), CONFINE_FILES, EACCES, EPERM},
    {A(reads_passwd), CONFINE_FILES, EACCES, EPERM},
    {A(lists_folder), CONFINE_FILES, EACCES, EPERM},
    {A(opens_memory_of_host), CONFINE_FILES, EACCES, EPERM, .rare = true},
    {A(reads_environ_file), CONFINE_FILES, EACCES, EPERM},
    {A(finds_environment), CONFINE_CLEAN, ENOENT, -1},
    {A(reads_inherited_descriptor), CONFINE_CLEAN, EBADF, -1},
    {A(creates_file), CONFINE_FILES | CONFINE_CALLS, EPERM, -1},
    {A(opens_for_writing), CONFINE_FILES | CONFINE_CALLS, EPERM, -1},
    {A(truncates_file), CONFINE_CALLS, EPERM, -1},
    {A(renames_file), CONFINE_FILES | CONFINE_CALLS, EPERM, -1},
    {A(writes_beyond_file_limit), CONFINE_LIMITS, EFBIG, -1},
    {A(opens_inet_socket), CONFINE_CALLS, EPERM, -1},
    {A(opens_unix_socket), CONFINE_CALLS, EPERM, -1},
    {A(opens_netlink_socket), CONFINE_CALLS, EPERM, -1},
    {A(opens_pair), CONFINE_CALLS, EPERM, -1},
    {A(connects_tcp), CONFINE_CALLS | CONFINE_NETWORK, EPERM, -1},
    {A(listens_tcp), CONFINE_CALLS | CONFINE_NETWORK, EPERM, -1},
    {A(connects_abstract), CONFINE_CALLS | CONFINE_SCOPE, EPERM, -1},
    {A(forks), CONFINE_CALLS, EPERM, -1},
    {A(forks_plainly), CONFINE_CALLS, EPERM, -1},
    {A(runs_shell), CONFINE_CALLS | CONFINE_FILES, EPERM, -1},
    {A(signals_host), CONFINE_CALLS | CONFINE_SCOPE, EPERM, -1},
    {A(signals_itself), 0, 0, 0},
    {A(traces_host), CONFINE_CALLS, ENDED, -1, .rare = true},
    {A(reads_memory_of_host), CONFINE_CALLS, ENDED, -1, .rare = true},
    {A(takes_private_memory), CONFINE_MEMORY, ENOMEM, -1},
    {A(takes_shared_memory), CONFINE_MEMORY, ENOMEM, -1},
    {A(allocates_half), 0, 0, 0},
    {A(raises_limit), 0, EPERM, -1, .rare = true}, /* by limits and privileges together */
    {A(reads_limit_of_host), CONFINE_CALLS, EPERM, -1},
    {A(opens_many), CONFINE_LIMITS, EMFILE, -1},
    {A(becomes_dumpable), CONFINE_CALLS, EPERM, -1},
    {A(outlives_host), CONFINE_CALLS, EPERM, -1},
    {A(opens_shared_memory), CONFINE_CALLS | CONFINE_FILES, EPERM, -1},
    {A(makes_memory_file), CONFINE_CALLS, EPERM, -1},
    {A(makes_ipc_segment), CONFINE_CALLS, EPERM, -1},
    {A(renices), CONFINE_CALLS, EPERM, -1},
    {A(unshares), CONFINE_CALLS, ENDED, -1, .rare = true},
    {A(clones_namespace), CONFINE_CALLS, ENDED, -1, .rare = true},
    {A(sets_up_io_uring), CONFINE_CALLS, ENDED, -1, .rare = true},
    {A(mounts), CONFINE_CALLS, ENDED, -1, .rare = true},
    {A(adds_key), CONFINE_CALLS, ENDED, -1, .rare = true},
    {A(loads_bpf), CONFINE_CALLS, ENDED, -1, .rare = true},
    {A(counts_events), CONFINE_CALLS, ENDED, -1, .rare = true},
    {A(handles_faults), CONFINE_CALLS, ENDED, -1, .rare = true},
    {A(opens_by_handle), CONFINE_CALLS, ENDED, -1, .rare = true},
    {A(maps_code), 0, 0, EPERM},
    {A(makes_memory_code), 0, 0, EPERM},
    {A(reads_system_library_cache), 0, 0, EPERM},
    {A(starts_thread), 0, 0, EPERM},
    {A(loads_library), 0, 0, ENOENT},
    {A(loads_other_library), CONFINE_FILES, ENOENT, -1},
};
#define N_ATTEMPTS (int)(sizeof attempts / sizeof *attempts)

/* ---- children
 * -------------------------------------------------------------------------------------------------------- */

enum form { FREE, CONFINED, SEALED };

static void die(const char *text)
{
    fprintf(stderr, "test child: %s\n", text);
    _exit(3);
}

/* The place of the environment's strings, while /proc may still be asked. */
static void find_environment(void)
{
    char text[2048];
    FILE *f = fopen("/proc/self/stat", "r");
    size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;
    text[n] = 0;
    if (f)
        fclose(f);
    const char *at = strrchr(text, ')');
    for (int i = 2; at && i < 50; i++)
        at = strchr(at + 1, ' ');
    if (!at || sscanf(at, "%lu %lu", &env_from, &env_to) != 2)
        die("no environment in /proc/self/stat");
}

static void child(const struct attempt *a, enum form form, uint32_t without, int link_fd)
{
    char error[256] = "", path[128];
    snprintf(path, sizeof path, "%s/out", folder);
    int out = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (out < 0 || dup2(out, 1) < 0)
        die("no output file");
    struct confine c = {.library = LIBRARY, .link_fd = link_fd, .host = getppid(), .memory_bytes = MEMORY_BYTES};
    uint32_t layers, available = confine_available();
    c.without = without;
    if (form != FREE)
        counted_start();
    if (form != FREE && confine_self(&c, &layers, error, sizeof error))
        die(error);
    if (form != FREE && layers != (available & ~without))
        die("other layers than asked for");
    if (form == SEALED && confine_seal(error, sizeof error))
        die(error);
    int result = a->run();
    if (send(link_fd, &result, sizeof result, 0) != sizeof result)
        die("could not send");
    _exit(0);
}

/* What came of an attempt: 0, the error, ENDED or SILENT. */
static int outcome(const struct attempt *a, enum form form, uint32_t without)
{
    int pair[2], result = SILENT, status;
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0)
        child(a, form, without, pair[1]);
    close(pair[1]);
    if (recv(pair[0], &result, sizeof result, 0) != sizeof result)
        result = SILENT;
    close(pair[0]);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS)
        return ENDED;
    if (result == SILENT && WIFEXITED(status) && WEXITSTATUS(status) == EXEC_STATUS)
        return 0;
    return result;
}

static void setup(void)
{
    snprintf(folder, sizeof folder, "/tmp/cvm-confine-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(secret_file, sizeof secret_file, "%s/secret", folder);
    other_fd = open(secret_file, O_RDWR | O_CREAT, 0600);
    ck_assert_int_eq(write(other_fd, "secret", 6), 6);
    find_environment();
    setenv("HOME", "/", 0);

    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t len = sizeof at;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    tcp_listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(tcp_listener, (struct sockaddr *)&at, sizeof at), 0);
    ck_assert_int_eq(listen(tcp_listener, 16), 0);
    ck_assert_int_eq(getsockname(tcp_listener, (struct sockaddr *)&at, &len), 0);
    tcp_port = ntohs(at.sin_port);

    struct sockaddr_un name;
    snprintf(listener_name, sizeof listener_name, "cvm-confine-%d", getpid());
    len = abstract_name(&name);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&name, len), 0);
    ck_assert_int_eq(listen(fd, 16), 0);
}

static void teardown(void)
{
    char command[] = "rm", option[] = "-rf", *argv[] = {command, option, folder, NULL};
    pid_t pid = fork();
    if (pid == 0) {
        execvp("rm", argv);
        _exit(1);
    }
    waitpid(pid, NULL, 0);
}

static const char *names_of(uint32_t layers)
{
    static char text[CONFINE_LAYERS_TEXT_BYTES];
    confine_layers_text(layers, text, sizeof text);
    return text;
}

START_TEST(works_unconfined)
{
    const struct attempt *a = &attempts[_i];
    int result = outcome(a, FREE, 0);
    if (a->rare && result)
        printf("%s: this machine refuses it to everybody (%s)\n", a->name, strerror(result));
    else
        ck_assert_msg(result == 0, "%s: %d, so its failure would show nothing", a->name, result);
}
END_TEST

START_TEST(is_stopped_by_each_layer)
{
    const struct attempt *a = &attempts[_i];
    for (uint32_t layer = 1; layer < ALL_LAYERS; layer <<= 1) {
        if (!(a->stops & layer))
            continue;
        if (!(confine_available() & layer)) {
            printf("%s: not tried under \"%s\", which this kernel or build lacks\n", a->name, names_of(layer));
            continue;
        }
        int result = outcome(a, CONFINED, ALL_LAYERS & ~(layer | CONFINE_CLEAN));
        ck_assert_msg(result != 0 && result != SILENT, "%s: \"%s\" alone: %d", a->name, names_of(layer), result);
    }
}
END_TEST

START_TEST(is_stopped)
{
    const struct attempt *a = &attempts[_i];
    uint32_t lacking = a->stops & ~confine_available();
    if (a->stops && lacking == a->stops) {
        printf("%s: not tried, this kernel or build lacks \"%s\"\n", a->name, names_of(lacking));
        return;
    }
    int result = outcome(a, CONFINED, 0);
    ck_assert_msg(result == a->error, "%s: %d, not %d", a->name, result, a->error);
    result = outcome(a, SEALED, 0);
    int sealed = a->sealed == -1 ? a->error : a->sealed;
    ck_assert_msg(result == sealed, "%s, sealed: %d, not %d", a->name, result, sealed);
}
END_TEST

/* A program with all that it needs of the system; its first line names `env`. */
START_TEST(program_runs_and_stays_inside)
{
    int pair[2];
    char word[1024] = "", number[16], name[] = PROGRAM, error[256] = "";
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
    if (access("/usr/bin/python3", X_OK) < 0) {
        printf("program_runs_and_stays_inside: not tried, there is no /usr/bin/python3\n");
        return;
    }
    snprintf(number, sizeof number, "%d", pair[1]);
    pid_t pid = fork();
    if (pid == 0) {
        char *argv[] = {name, number, NULL};
        struct confine c = {.program = PROGRAM, .link_fd = pair[1], .memory_bytes = 1 << 30};
        uint32_t layers;
        counted_start();
        if (confine_self(&c, &layers, error, sizeof error))
            die(error);
        execv(PROGRAM, argv);
        die(strerror(errno));
    }
    close(pair[1]);
    ssize_t n = recv(pair[0], word, sizeof word - 1, 0);
    waitpid(pid, NULL, 0);
    ck_assert_int_gt(n, 0);
    if (confine_available() & CONFINE_FILES)
        ck_assert_str_eq(word, "fine");
}
END_TEST

/* The host is killed: its child must not live on. */
START_TEST(ends_with_its_host)
{
    int pair[2];
    char byte, error[256] = "";
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
    pid_t host = fork();
    if (host == 0) {
        pid_t self = getpid();
        if (fork() == 0) {
            struct confine c = {.link_fd = pair[1], .host = self};
            uint32_t layers;
            counted_start();
            if (confine_self(&c, &layers, error, sizeof error) || send(pair[1], "x", 1, 0) != 1)
                die(error);
            pause();
        }
        pause();
    }
    close(pair[1]);
    ck_assert_int_eq(recv(pair[0], &byte, 1, 0), 1);
    kill(host, SIGKILL);
    waitpid(host, NULL, 0);
    struct pollfd ended = {.fd = pair[0], .events = POLLIN};
    ck_assert_int_eq(poll(&ended, 1, 5000), 1);
    ck_assert_int_eq(recv(pair[0], &byte, 1, 0), 0);
}
END_TEST

/* In a child, because a refusal may come late. */
static int refusal(struct confine c, char *ret_error, size_t size)
{
    int pair[2], status;
    ck_assert_int_eq(pipe(pair), 0);
    pid_t pid = fork();
    if (pid == 0) {
        uint32_t layers;
        c.without |= CONFINE_CLEAN | CONFINE_LIMITS; /* the pipe */
        counted_start();
        int e = confine_self(&c, &layers, ret_error, size);
        ssize_t n = write(pair[1], ret_error, strlen(ret_error) + 1);
        _exit(n < 0 ? 99 : -e);
    }
    waitpid(pid, &status, 0);
    ck_assert(WIFEXITED(status) && read(pair[0], ret_error, size) > 0);
    close(pair[0]);
    close(pair[1]);
    return -WEXITSTATUS(status);
}

START_TEST(refuses_what_makes_no_sense)
{
    char error[256] = "";
    ck_assert_int_eq(refusal((struct confine){.link_fd = 900}, error, sizeof error), CVM_EINVAL);
    ck_assert_str_eq(error, "descriptor 900 is not open");
    ck_assert_int_eq(refusal((struct confine){.library = "echo.so"}, error, sizeof error), CVM_EINVAL);
    ck_assert_str_eq(error, "echo.so: is no absolute path");
    ck_assert_int_eq(refusal((struct confine){.program = "agent.py"}, error, sizeof error), CVM_EINVAL);
    ck_assert_int_eq(
        refusal((struct confine){.reads = (const char *const[]){"/usr", "data", NULL}}, error, sizeof error),
        CVM_EINVAL);
    ck_assert_str_eq(error, "data: is no absolute path");
    ck_assert_int_eq(refusal((struct confine){.host = 1 << 30}, error, sizeof error), CVM_ESTATE);
    ck_assert_str_eq(error, "the host has ended");
    if (!(confine_available() & CONFINE_FILES))
        return;
    ck_assert_int_eq(refusal((struct confine){.library = "/none.so"}, error, sizeof error), CVM_ENOENT);
    ck_assert_str_eq(error, "/none.so: No such file or directory");
    ck_assert_int_eq(refusal((struct confine){.program = "/none.py"}, error, sizeof error), CVM_ENOENT);
}
END_TEST

static void *waits(void *arg)
{
    pause();
    return arg;
}

/* A thread beside the one that confines itself would keep all that this one gives up. */
START_TEST(refuses_a_second_thread)
{
    char error[256] = "";
    uint32_t layers;
    pthread_t thread;
    if (!(confine_available() & CONFINE_MEMORY))
        return; /* under a sanitizer, whose own thread is let be */
    ck_assert_int_eq(pthread_create(&thread, NULL, waits, NULL), 0);
    int e = confine_self(&(struct confine){.link_fd = -1, .host = getppid()}, &layers, error, sizeof error);
    ck_assert_int_eq(e, CVM_EINVAL);
    ck_assert_str_eq(error, "there are 2 threads, it must be one");
}
END_TEST

/* The files and folders that it names may be read, with all that is below them; others not. */
START_TEST(reads_what_it_was_given)
{
    static const char *const given[] = {"/etc/ssl", "/none", "/etc/passwd", NULL};
    int status;
    char error[256] = "";
    uint32_t layers;
    if (!(confine_available() & CONFINE_FILES))
        return;
    pid_t pid = fork();
    if (pid == 0) {
        const struct confine c = {.link_fd = -1, .without = ALL_LAYERS & ~CONFINE_FILES, .reads = given};
        counted_start();
        if (confine_self(&c, &layers, error, sizeof error))
            die(error);
        _exit(read_file("/etc/passwd") == 0 && read_file("/etc/group") == EACCES ? 0 : 1);
    }
    waitpid(pid, &status, 0);
    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(WEXITSTATUS(status), 0);
}
END_TEST

START_TEST(names_its_layers)
{
    char text[CONFINE_LAYERS_TEXT_BYTES];
    confine_layers_text(0, text, sizeof text);
    ck_assert_str_eq(text, "none");
    confine_layers_text(CONFINE_PARENT | CONFINE_CALLS, text, sizeof text);
    ck_assert_str_eq(text, "ends with the host, system calls");
    confine_layers_text(ALL_LAYERS, text, sizeof text);
    ck_assert_ptr_nonnull(strstr(text, "system calls"));
    confine_layers_text(ALL_LAYERS, text, 8);
    ck_assert_str_eq(text, "no new ");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("confine");
    TCase *t = tcase_create("attempts");
    tcase_set_timeout(t, 30);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, works_unconfined, 0, N_ATTEMPTS);
    tcase_add_loop_test(t, is_stopped, 0, N_ATTEMPTS);
    tcase_add_loop_test(t, is_stopped_by_each_layer, 0, N_ATTEMPTS);
    suite_add_tcase(s, t);
    TCase *whole = tcase_create("whole");
    tcase_add_test(whole, program_runs_and_stays_inside);
    tcase_add_test(whole, ends_with_its_host);
    tcase_add_test(whole, refuses_what_makes_no_sense);
    tcase_add_test(whole, refuses_a_second_thread);
    tcase_add_test(whole, reads_what_it_was_given);
    tcase_add_test(whole, names_its_layers);
    suite_add_tcase(s, whole);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int n = srunner_ntests_failed(r);
    srunner_free(r);
    return n ? EXIT_FAILURE : EXIT_SUCCESS;
}
