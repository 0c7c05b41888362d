/* A job's files: text files read line by line, and files saved as a whole. Where they may lie is decided on the path as
 * it is after all links were followed. The run's thread. */
#include "core/job.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUFFER_BYTES 65536
#define SAVE_MAX_BYTES (64 * 1024 * 1024)
#define DEPTH_MAX 8 /* folders below config/ or output/ */

struct line_file {
    cvm_file pub; /* first */
    struct line_file *next;
    struct job_run *run;
    int fd;
    char *buffer; /* BUFFER_BYTES at first, up to a line's limit */
    size_t cap, at, end;
    bool over;
};

static struct line_file *of(cvm_file *f)
{
    return (struct line_file *)f;
}

/* ---- where ------------------------------------------------------------------------------------------------------- */

/* A name that begins with a dot is a way up, or hidden: keys and secrets are. */
static bool has_dot_name(const char *path)
{
    for (const char *at = path; at; at = strchr(at, '/')) {
        at += *at == '/';
        if (*at == '.')
            return true;
    }
    return false;
}

/* The rest of `path` below `folder`; NULL: it lies elsewhere. */
static const char *below(const char *folder, const char *path)
{
    size_t n = strlen(folder);
    return strncmp(path, folder, n) == 0 && path[n] == '/' ? path + n + 1 : NULL;
}

static bool is_in(const char *folder, const char *rest)
{
    size_t n = strlen(folder);
    return strncmp(rest, folder, n) == 0 && (rest[n] == '/' || !rest[n]);
}

/* Below data/AREA/, where the operator puts files for the components of an area; the host's folders in data/ are of
 * none. */
static bool is_of_area(const char *component, const char *rest)
{
    static const char *const folders[] = {"builds", "models", "removed", "backup"};
    size_t n = strcspn(component, ".");
    const char *file = below("data", rest);
    if (!file || !n || strncmp(file, component, n) != 0 || file[n] != '/')
        return false;
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++)
        if (is_in(folders[i], file))
            return false;
    return true;
}

/* What operators write, tokens among it. */
static bool is_host_config(const char *path)
{
    static const char *const own[] = {"config/cvmhost.json", "config/transitions.json"};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (strcmp(path, own[i]) == 0)
            return true;
    return false;
}

/* Of the home: the host's own files are no job's. */
static bool is_own(const char *component, const char *rest)
{
    if (is_of_area(component, rest))
        return has_dot_name(rest);
    return has_dot_name(rest) || is_in("data", rest) || is_in("logs", rest) || is_in("plugins", rest) ||
           is_host_config(rest);
}

static bool is_secret(const struct job_run *run, const char *real)
{
    char path[PATH_MAX], file[PATH_MAX];
    if (!run->secrets)
        return false;
    snprintf(path, sizeof path, "%s%s%s", *run->secrets == '/' ? "" : run->core->home, *run->secrets == '/' ? "" : "/",
             run->secrets);
    return realpath(path, file) && strcmp(file, real) == 0;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

/* The place a path begins in and the path itself. */
static int place_of(const struct job_run *run, const char *path, char ret_place[PATH_MAX], char ret_path[PATH_MAX])
{
    bool manifest = strncmp(path, "manifest:", 9) == 0;
    const char *rest = manifest ? path + 9 : path;
    if (!*rest || (*rest == '/' && (manifest || !run->decl->files)))
        return CVM_EACCES;
    if (*rest == '/') {
        *ret_place = 0;
        return snprintf(ret_path, PATH_MAX, "%s", rest) < PATH_MAX ? 0 : CVM_ELIMIT;
    }
    if (has_dot_name(rest))
        return CVM_EACCES;
    const char *place = manifest ? run->manifest->dir : run->core->home;
    return realpath(place, ret_place) == NULL                                   ? CVM_ENOENT
           : snprintf(ret_path, PATH_MAX, "%s/%s", ret_place, rest) >= PATH_MAX ? CVM_ELIMIT
                                                                                : 0;
}

static int open_path(const struct job_run *run, const char *path, int *ret_fd)
{
    char place[PATH_MAX], given[PATH_MAX], real[PATH_MAX], home[PATH_MAX];
    struct stat st;
    CVM_TRY(place_of(run, path, place, given));
    if (!realpath(given, real))
        return errno == ENOENT || errno == ENOTDIR ? CVM_ENOENT : errno == EACCES ? CVM_EACCES : CVM_EIO;
    if (*place && !below(place, real))
        return CVM_EACCES;
    if (realpath(run->core->home, home) && below(home, real) && is_own(run->component, below(home, real)))
        return CVM_EACCES;
    if (is_secret(run, real))
        return CVM_EACCES;
    int fd = open(real, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return errno == ENOENT ? CVM_ENOENT : errno == EACCES || errno == ELOOP ? CVM_EACCES : CVM_EIO;
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        close(fd);
        return CVM_EINVAL;
    }
    *ret_fd = fd;
    return 0;
}

int job_file(cvm_job *j, const char *path, cvm_file **ret_file)
{
    struct job_run *run = (struct job_run *)j;
    int fd = -1;
    CVM_TRY(job_stopping(run));
    if (run->n_files >= JOB_OPEN_MAX)
        return job_complain(run, CVM_ELIMIT, "cvm_job_file", "", "too many are open");
    int e = path ? open_path(run, path, &fd) : CVM_EINVAL;
    if (e == CVM_ENOENT)
        return e; /* often that is what a job wants to know */
    if (e)
        return job_complain(run, e, "cvm_job_file", path ? path : "(no path)",
                            e == CVM_EACCES
                                ? "a path is relative to the home, or \"manifest:NAME\", and stays there; an "
                                  "absolute one needs \"files\": true of the job in the manifest"
                            : e == CVM_EINVAL ? "no regular file"
                                              : "");
    struct line_file *f = calloc(1, sizeof *f);
    if (!f || !(f->buffer = malloc(BUFFER_BYTES + 1))) {
        close(fd);
        free(f);
        return CVM_ENOMEM;
    }
    f->pub.host = &job_api;
    f->run = run;
    f->fd = fd;
    f->cap = BUFFER_BYTES;
    f->next = run->files;
    run->files = f;
    run->n_files++;
    *ret_file = &f->pub;
    return CVM_OK;
}

void job_close_file(cvm_file *file)
{
    struct line_file *f = of(file);
    struct line_file **at = &f->run->files;
    while (*at && *at != f)
        at = &(*at)->next;
    if (*at) {
        *at = f->next;
        f->run->n_files--;
    }
    close(f->fd);
    free(f->buffer);
    free(f);
}

/* More of the file behind what is there, which is moved to the front. */
static int read_more(struct line_file *f)
{
    if (f->at) {
        memmove(f->buffer, f->buffer + f->at, f->end - f->at);
        f->end -= f->at;
        f->at = 0;
    }
    if (f->end == f->cap) {
        if (f->cap >= CVM_JOB_LINE_MAX_BYTES + 2)
            return CVM_ELIMIT;
        size_t cap = f->cap * 2 < CVM_JOB_LINE_MAX_BYTES + 2 ? f->cap * 2 : CVM_JOB_LINE_MAX_BYTES + 2;
        char *buffer = realloc(f->buffer, cap + 1);
        if (!buffer)
            return CVM_ENOMEM;
        f->buffer = buffer;
        f->cap = cap;
    }
    ssize_t n;
    do
        n = read(f->fd, f->buffer + f->end, f->cap - f->end);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return CVM_EIO;
    f->over = n == 0;
    f->end += (size_t)n;
    return 0;
}

int job_line(cvm_file *file, const char **ret_line, size_t *ret_len)
{
    struct line_file *f = of(file);
    size_t looked = 0;
    for (;;) {
        char *line = f->buffer + f->at, *newline = memchr(line + looked, '\n', f->end - f->at - looked);
        size_t len = newline ? (size_t)(newline - line) : f->end - f->at;
        if (newline || (f->over && len)) {
            f->at += len + (newline != NULL);
            len -= len && newline && line[len - 1] == '\r';
            if (len > CVM_JOB_LINE_MAX_BYTES)
                return CVM_ELIMIT;
            line[len] = 0;
            *ret_line = line;
            *ret_len = len;
            return 1;
        }
        if (f->over)
            return 0;
        looked = len;
        CVM_TRY(job_stopping(f->run));
        CVM_TRY(read_more(f));
    }
}

/* ---- saving ------------------------------------------------------------------------------------------------------ */

/* Opens the folder that `path` lies in, made where it is not there; no link on the way. */
static int open_folder(const char *home, const char *path, int *ret_fd, const char **ret_name)
{
    int at = open(home, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int depth = 0; at >= 0; depth++) {
        const char *slash = strchr(path, '/');
        char name[NAME_MAX + 1];
        if (!slash) {
            *ret_fd = at;
            *ret_name = path;
            return *path ? 0 : (close(at), CVM_EACCES);
        }
        if (depth > DEPTH_MAX || slash == path || slash - path > NAME_MAX) {
            close(at);
            return CVM_EACCES;
        }
        snprintf(name, sizeof name, "%.*s", (int)(slash - path), path);
        if (mkdirat(at, name, 0750) < 0 && errno != EEXIST) {
            close(at);
            return CVM_EIO;
        }
        int next = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        bool link = next < 0 && (errno == ELOOP || errno == ENOTDIR);
        close(at);
        if (link)
            return CVM_EACCES;
        at = next;
        path = slash + 1;
    }
    return CVM_EIO;
}

static bool write_all(int fd, const char *text, size_t len)
{
    while (len) {
        ssize_t n = write(fd, text, len);
        if (n < 0 && errno != EINTR)
            return false;
        text += n < 0 ? 0 : n;
        len -= n < 0 ? 0 : (size_t)n;
    }
    return true;
}

/* The temporary file is the run's own: another one may save under the same name meanwhile. */
static int save(const struct job_run *run, int folder, const char *name, const char *text, size_t len)
{
    char temporary[NAME_MAX + 1], own[40];
    id_text(run->id, own);
    if (snprintf(temporary, sizeof temporary, ".%s.%s", name, own) > NAME_MAX)
        return CVM_ELIMIT;
    unlinkat(folder, temporary, 0);
    int fd = openat(folder, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (fd < 0)
        return CVM_EIO;
    bool good = write_all(fd, text, len) && fsync(fd) == 0;
    good = close(fd) == 0 && good;
    if (good && renameat(folder, temporary, folder, name) == 0)
        return fsync(folder) == 0 ? 0 : CVM_EIO;
    unlinkat(folder, temporary, 0);
    return CVM_EIO;
}

int job_save(cvm_job *j, const char *path, const char *text, size_t len)
{
    struct job_run *run = (struct job_run *)j;
    const char *name = NULL;
    int folder = -1;
    CVM_TRY(job_stopping(run));
    char given[PATH_MAX], target[PATH_MAX];
    int e = !path || (!text && len)                                                ? CVM_EINVAL
            : !run->decl->files || has_dot_name(path) || is_host_config(path)      ? CVM_EACCES
            : strncmp(path, "config/", 7) != 0 && strncmp(path, "output/", 7) != 0 ? CVM_EACCES
            : len > SAVE_MAX_BYTES                                                 ? CVM_ELIMIT
                                                                                   : 0;
    if (!e && snprintf(given, sizeof given, "%s/%s", run->core->home, path) < PATH_MAX && realpath(given, target) &&
        is_secret(run, target))
        e = CVM_EACCES;
    if (!e)
        e = open_folder(run->core->home, path, &folder, &name);
    if (!e)
        e = save(run, folder, name, text, len);
    if (folder >= 0)
        close(folder);
    return e ? job_complain(run, e, "cvm_job_save", path ? path : "(no path)",
                            e == CVM_EACCES ? "it needs \"files\": true of the job in the manifest, and a path below "
                                              "config/ or output/ that is none of the host's own"
                                            : "")
             : CVM_OK;
}
