/* The text of a document that a person names on the command line: cvmhost-text, which lies beside this program, reads
 * it. Knows no format. */
#include "cli/document.h"

#include <cvm/cvm.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define OUT_MAX_BYTES (256 * 1024)
#define SAID_MAX_BYTES 256

extern char **environ;

static void reader_path(char path[4096])
{
    ssize_t n = readlink("/proc/self/exe", path, 4000);
    path[n > 0 ? n : 0] = '\0';
    char *slash = strrchr(path, '/');
    snprintf(slash ? slash + 1 : path, 64, "cvmhost-text");
}

/* Both pipes end before the reader does; it writes little to the second. */
static size_t drain(int fd, char *to, size_t size)
{
    size_t n = 0;
    for (ssize_t got; n + 1 < size && (got = read(fd, to + n, size - 1 - n)) != 0;) {
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            break;
        n += (size_t)got;
    }
    to[n] = '\0';
    return n;
}

static int run(int file, const char *name, char *out, size_t *ret_n, char *said)
{
    char path[4096];
    int answers[2] = {-1, -1}, errors[2] = {-1, -1}, status = 0, e = CVM_EIO;
    pid_t pid = 0;
    posix_spawn_file_actions_t actions;
    reader_path(path);
    char *argv[] = {path, (char *)(uintptr_t)name, NULL};
    posix_spawn_file_actions_init(&actions);
    if (pipe2(answers, O_CLOEXEC) < 0 || pipe2(errors, O_CLOEXEC) < 0)
        goto out;
    posix_spawn_file_actions_adddup2(&actions, file, 0);
    posix_spawn_file_actions_adddup2(&actions, answers[1], 1);
    posix_spawn_file_actions_adddup2(&actions, errors[1], 2);
    if ((errno = posix_spawn(&pid, path, &actions, NULL, argv, environ)) != 0) {
        snprintf(said, SAID_MAX_BYTES, "cannot be read: cvmhost-text is not beside cvmhost (%s)", strerror(errno));
        pid = 0;
        goto out;
    }
    close(answers[1]);
    close(errors[1]);
    answers[1] = errors[1] = -1;
    *ret_n = drain(answers[0], out, OUT_MAX_BYTES);
    drain(errors[0], said, SAID_MAX_BYTES);
    said[strcspn(said, "\n")] = '\0';
    if (waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0)
        e = 0;
    else if (!*said)
        snprintf(said, SAID_MAX_BYTES, "takes more time or memory to read than is allowed, or is damaged");
out:
    posix_spawn_file_actions_destroy(&actions);
    for (int i = 0; i < 2; i++) {
        if (answers[i] >= 0)
            close(answers[i]);
        if (errors[i] >= 0)
            close(errors[i]);
    }
    return e;
}

int document_read(const char *path, char **ret_text, char ret_title[256], char *ret_error, size_t size)
{
    char said[SAID_MAX_BYTES] = "";
    struct stat st;
    const char *slash = strrchr(path, '/');
    size_t n = 0;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0 || fstat(file, &st) < 0 || !S_ISREG(st.st_mode)) {
        snprintf(ret_error, size, "%.200s: %s", path, file < 0 ? strerror(errno) : "is no file");
        if (file >= 0)
            close(file);
        return CVM_EIO;
    }
    char *out = malloc(OUT_MAX_BYTES);
    int e = out ? run(file, slash ? slash + 1 : path, out, &n, said) : CVM_ENOMEM;
    close(file);
    char *text = !e ? strchr(out, '\n') : NULL;
    if (!text) {
        snprintf(ret_error, size, "%.200s %s", path, *said ? said : "cannot be read");
        free(out);
        return e ? e : CVM_EIO;
    }
    *text = '\0';
    snprintf(ret_title, 256, "%s", out);
    *ret_text = strdup(text + 1);
    free(out);
    return *ret_text ? 0 : CVM_ENOMEM;
}
