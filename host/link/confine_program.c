/* What execve of a program touches: the program, the interpreter that its first line names, what `env` looks up, the
 * loader of ELF files. See confine_private.h. */
#include "link/confine_private.h"

#include <cvm/cvm.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <string.h>
#include <unistd.h>

#define FIRST_LINE_MAX 256 /* the kernel's own limit */

struct run_files {
    char (*paths)[CONFINE_PATH_MAX];
    size_t n;
};

static void add(struct run_files *files, const char *path)
{
    if (files->n < CONFINE_RUN_FILES_MAX)
        snprintf(files->paths[files->n++], CONFINE_PATH_MAX, "%s", path);
}

/* This process' own loader is the system's: the first object is the program. */
static int own_loader(struct dl_phdr_info *info, size_t size, void *arg)
{
    for (int i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_INTERP)
            add(arg, (const char *)(uintptr_t)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr));
    return 1;
}

/* What `env NAME` will run. */
static void add_from_path(struct run_files *files, const char *name, size_t len)
{
    char path[CONFINE_PATH_MAX];
    for (const char *at = CONFINE_PATH; *at;) {
        size_t dir = strcspn(at, ":");
        snprintf(path, sizeof path, "%.*s/%.*s", (int)dir, at, (int)len, name);
        if (access(path, X_OK) == 0) {
            add(files, path);
            return;
        }
        at += dir + (at[dir] == ':');
    }
}

static void add_interpreter(struct run_files *files, char *line)
{
    line[strcspn(line, "\n")] = 0;
    char *at = line + 2 + strspn(line + 2, " \t");
    size_t len = strcspn(at, " \t");
    const char *rest = at + len + strspn(at + len, " \t");
    at[len] = 0;
    add(files, at);
    const char *base = strrchr(at, '/');
    if (base && strcmp(base, "/env") == 0 && *rest)
        add_from_path(files, rest, strcspn(rest, " \t"));
}

int confine__run_files(const char *program, char ret_paths[CONFINE_RUN_FILES_MAX][CONFINE_PATH_MAX], size_t *ret_n,
                       char *ret_error, size_t error_size)
{
    struct run_files files = {.paths = ret_paths};
    char line[FIRST_LINE_MAX + 1] = "";
    int fd = open(program, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return confine__failed(errno == ENOENT || errno == ENOTDIR ? CVM_ENOENT : CVM_EIO, ret_error, error_size,
                               "%s: %s", program, strerror(errno));
    ssize_t n = read(fd, line, FIRST_LINE_MAX);
    close(fd);
    line[n > 0 ? n : 0] = 0;
    add(&files, program);
    dl_iterate_phdr(own_loader, &files);
    if (line[0] == '#' && line[1] == '!')
        add_interpreter(&files, line);
    *ret_n = files.n;
    return CVM_OK;
}
