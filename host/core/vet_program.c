/* What can be known of a program before it runs; see vet_program.h. */
#include "core/vet_program.h"

#include <cvm/cvm.h>
#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define REFUSE(error, size, code, ...) (snprintf(error, size, __VA_ARGS__), (code))

/* Confined it may read what is installed there, and no other interpreter's files. */
static bool is_of_system(const char *path)
{
    static const char *const places[] = {"/usr/", "/bin/", "/lib/", "/lib64/"};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        if (strncmp(path, places[i], strlen(places[i])) == 0)
            return true;
    return false;
}

/* What `env NAME` finds: the search path is the one that a confined process has. */
static bool find_in_path(const char *name, size_t n, char ret_path[VET_INTERPRETER_MAX])
{
    static const char *const folders[] = {"/usr/local/bin", "/usr/bin", "/bin"};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        snprintf(ret_path, VET_INTERPRETER_MAX, "%s/%.*s", folders[i], (int)n, name);
        if (access(ret_path, X_OK) == 0)
            return true;
    }
    return false;
}

static int look_at_line(const char *path, char *line, struct vet_program *found, char *error, size_t size)
{
    char *at = line + 2 + strspn(line + 2, " \t");
    size_t n = strcspn(at, " \t");
    const char *rest = at + n + strspn(at + n, " \t"), *base;
    if (strchr(line, '\r'))
        return REFUSE(error, size, CVM_EINVAL,
                      "%s: its first line ends with a carriage return, which would be part of the interpreter's name: "
                      "save it with Unix line ends",
                      path);
    at[n] = 0;
    if (*at != '/')
        return REFUSE(error, size, CVM_EINVAL,
                      "%s: its first line must name an interpreter by its whole path, such as "
                      "#!/usr/bin/env python3; it names \"%.80s\"",
                      path, at);
    if (access(at, X_OK) != 0)
        return REFUSE(error, size, CVM_EINVAL, "%s: its first line names %.200s: %s; install it, or mend the line",
                      path, at, strerror(errno));
    snprintf(found->interpreter, sizeof found->interpreter, "%s", at);
    base = strrchr(at, '/') + 1;
    if (strcmp(base, "env") == 0 && !find_in_path(rest, strcspn(rest, " \t"), found->interpreter))
        return REFUSE(error, size, CVM_EINVAL,
                      "%s: its first line asks for %.80s, which is not in /usr/local/bin, /usr/bin or /bin; install it",
                      path, *rest ? rest : "nothing");
    if (!is_of_system(found->interpreter))
        snprintf(found->warning, sizeof found->warning,
                 "its interpreter %.100s is not under /usr: confined it may read no files beside that one",
                 found->interpreter);
    return 0;
}

int vet_program(const char *path, const void *bytes, size_t size, struct vet_program *ret_found, char *ret_error,
                size_t error_size)
{
    char line[VET_INTERPRETER_MAX] = "";
    struct vet_program found = {.interpreter = ""};
    size_t n = size < sizeof line - 1 ? size : sizeof line - 1;
    memcpy(line, bytes, n);
    line[strcspn(line, "\n")] = 0;
    if (n > 2 && line[0] == '#' && line[1] == '!') {
        int e = look_at_line(path, line, &found, ret_error, error_size);
        if (e)
            return e;
    } else if (size < sizeof(Elf64_Ehdr) || memcmp(bytes, ELFMAG, SELFMAG) != 0) {
        return REFUSE(
            ret_error, error_size, CVM_EINVAL,
            "%s: is no program: it begins neither with #! and an interpreter, such as #!/usr/bin/env python3, "
            "nor is it machine code",
            path);
    }
    if (access(path, X_OK) != 0 && !*found.warning)
        snprintf(found.warning, sizeof found.warning,
                 "it is not marked as executable (chmod +x): the host runs a copy that is, you could not run it");
    *ret_found = found;
    return 0;
}
