/* See program.h. Owns the process that is asked what it is. */
#include "services/program.h"

#include <cvm/json.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ANSWER_MAX_BYTES 4096

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void program_exec(int fd, const char *path, char *const *argv)
{
    if (fd < 0) {
        execv("/proc/self/exe", argv);
        return;
    }
    execveat(fd, "", argv, environ, AT_EMPTY_PATH);
    if (errno == ENOENT) /* a script: its interpreter would read a descriptor that closes */
        execv(path, argv);
}

void program_self(char *ret_path, size_t size)
{
    static const char gone[] = " (deleted)";
    ssize_t n = readlink("/proc/self/exe", ret_path, size - 1);
    ret_path[n < 0 ? 0 : n] = 0;
    size_t end = sizeof gone - 1;
    if (n > (ssize_t)end && strcmp(ret_path + n - end, gone) == 0)
        ret_path[(size_t)n - end] = 0;
}

/* ---- asking it --------------------------------------------------------------------------------------------------- */

static void answer_and_exit(const struct program *p, int out)
{
    char *argv[] = {(char[]){"cvmhost"}, (char[]){"version"}, (char[]){"--output"}, (char[]){"json"}, NULL};
    sigset_t none;
    int in = open("/dev/null", O_RDONLY | O_CLOEXEC);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (in >= 0 && dup2(in, 0) == 0 && dup2(out, 1) == 1 && dup2(out, 2) == 2)
        program_exec(p->fd, p->path, argv);
    dprintf(2, "%s", strerror(errno));
    _exit(126);
}

/* Reads until its end, or until the time is over. Gives the bytes read, or CVM_ETIMEOUT. */
static int read_answer(int fd, char *ret_text, size_t size)
{
    int64_t until = now_ms() + PROGRAM_ANSWER_MS;
    size_t n = 0;
    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int64_t left = until - now_ms();
        if (left <= 0 || (poll(&p, 1, (int)left) < 0 && errno != EINTR))
            return CVM_ETIMEOUT;
        ssize_t got = p.revents ? read(fd, ret_text + n, size - 1 - n) : -1;
        if (got > 0)
            n += (size_t)got;
        if (got == 0 || n == size - 1)
            break;
    }
    ret_text[n] = 0;
    return (int)n;
}

static int ask(struct program *p, char *ret_text, size_t size, int *ret_status)
{
    int pipes[2];
    if (pipe2(pipes, O_CLOEXEC) < 0)
        return CVM_EIO;
    pid_t pid = fork();
    if (pid == 0)
        answer_and_exit(p, pipes[1]);
    close(pipes[1]);
    int e = pid < 0 ? CVM_EIO : read_answer(pipes[0], ret_text, size);
    close(pipes[0]);
    if (pid < 0)
        return e;
    if (e < 0)
        kill(pid, SIGKILL);
    if (waitpid(pid, ret_status, 0) != pid)
        *ret_status = -1;
    return e;
}

static int read_program(struct program *p, const char *text)
{
    const char *start = strchr(text, '{');
    json_t *answer = start ? json_loads(start, JSON_DISABLE_EOF_CHECK, NULL) : NULL;
    const json_t *page = json_object_get(answer, "page");
    const char *version = cvm_json_str(answer, "version", "");
    p->database = cvm_json_int(answer, "database", 0);
    p->handover = (int)cvm_json_int(answer, "handover", 0);
    p->page_magic = strtoull(cvm_json_str(page, "magic", "0"), NULL, 16);
    p->page_bytes = (uint32_t)cvm_json_int(page, "bytes", 0);
    size_t len = strlen(version);
    bool good = len > 0 && len < sizeof p->version &&
                strspn(version, "0123456789abcdefghijklmnopqrstuvwxyz"
                                "ABCDEFGHIJKLMNOPQRSTUVWXYZ.+-_~") == len;
    if (good)
        memcpy(p->version, version, len + 1);
    good = good && p->database > 0 && p->page_magic && p->page_bytes >= 64 && p->page_bytes <= 64 * 1024 * 1024;
    json_decref(answer);
    return good ? CVM_OK : CVM_EINVAL;
}

int program_open(const char *path, struct program *ret_program, char *ret_error, size_t error_size)
{
    struct program p = {.fd = -1};
    struct stat st;
    char text[ANSWER_MAX_BYTES] = "";
    int status = 0, e = CVM_EINVAL;
    if (!*path || (size_t)snprintf(p.path, sizeof p.path, "%s", path) >= sizeof p.path) {
        snprintf(ret_error, error_size, "the program's path is empty or longer than %d bytes", PAGE_PATH_MAX - 1);
        return CVM_EINVAL;
    }
    p.fd = open(path, O_RDONLY | O_CLOEXEC);
    if (p.fd < 0 || fstat(p.fd, &st) < 0 || !S_ISREG(st.st_mode) || !(st.st_mode & 0111)) {
        snprintf(ret_error, error_size, "%s: %s", path,
                 p.fd < 0 ? strerror(errno) : "is not a program that may be run");
        e = p.fd < 0 && errno == ENOENT ? CVM_ENOENT : CVM_EACCES;
        goto out;
    }
    int n = ask(&p, text, sizeof text, &status);
    if (n == CVM_ETIMEOUT) {
        snprintf(ret_error, error_size, "%s: did not say its version within %d s", path, PROGRAM_ANSWER_MS / 1000);
        e = CVM_ETIMEOUT;
    } else if (n < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        snprintf(ret_error, error_size, "%s: \"%s version\" failed with %s %d: %.200s", path, path,
                 WIFEXITED(status) ? "exit status" : "signal",
                 WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status), *text ? text : "it said nothing");
    } else if ((e = read_program(&p, text)) < 0) {
        snprintf(ret_error, error_size, "%s: is no cvmhost that can take over: \"version --output json\" says %.200s",
                 path, *text ? text : "nothing");
    }
out:
    if (e < 0)
        program_close(&p);
    else
        *ret_program = p;
    return e;
}

void program_close(struct program *program)
{
    if (program->fd >= 0)
        close(program->fd);
    program->fd = -1;
}

int program_fits(const struct program *program, int64_t database, bool one_way, char *ret_error, size_t error_size)
{
    if (program->database < database) {
        snprintf(ret_error, error_size,
                 "%s %s reads databases up to format %lld, this one has %lld: it cannot take over", program->path,
                 program->version, (long long)program->database, (long long)database);
        return CVM_ESTATE;
    }
    if (program->database > database && !one_way) {
        snprintf(
            ret_error, error_size,
            "%s %s brings the database from format %lld to %lld, which this version cannot read: there would be no "
            "way back. Make a backup, then: cvmhost upgrade --one-way",
            program->path, program->version, (long long)database, (long long)program->database);
        return CVM_ESTATE;
    }
    return CVM_OK;
}
