/* cvmhost-text: the text of a document, for the command line. Reads the file on standard input (Markdown, plain text,
 * HTML, DOCX, PDF), writes a line with its title (empty: none) and then its text; says what is wrong on standard error
 * and exits with 2. A program of its own, since what it reads is a stranger's: it gives up memory, time, files, network
 * and programs before it looks at a byte. NAME is told only for its ending. */
#include "text.h"

#include <errno.h>
#include <seccomp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#define MEMORY_MAX_BYTES (768UL * 1024 * 1024)
#define TIME_MAX_S 20

void text_fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(2);
}

void out_add(struct out *out, const char *bytes, size_t n)
{
    if (out->n + n > TEXT_OUT_MAX_BYTES)
        text_fail("its text is longer than %d KiB: split it", TEXT_OUT_MAX_BYTES / 1024);
    memcpy(out->at + out->n, bytes, n);
    out->n += n;
}

void out_puts(struct out *out, const char *text)
{
    out_add(out, text, strlen(text));
}

void out_line(struct out *out, int lines)
{
    while (out->n && (out->at[out->n - 1] == ' ' || out->at[out->n - 1] == '\t'))
        out->n--;
    int have = 0;
    while (have < lines && (size_t)have < out->n && out->at[out->n - 1 - (size_t)have] == '\n')
        have++;
    for (; out->n && have < lines; have++)
        out_puts(out, "\n");
}

static void limit(int what, rlim_t most)
{
    setrlimit(what, &(struct rlimit){most, most});
}

/* What a reader of bytes has no use for. Files may still be read: fonts and their lists. */
static void confine(void)
{
    static const int denied[] = {SCMP_SYS(socket),   SCMP_SYS(connect),   SCMP_SYS(execve),
                                 SCMP_SYS(execveat), SCMP_SYS(fork),      SCMP_SYS(vfork),
                                 SCMP_SYS(unlink),   SCMP_SYS(unlinkat),  SCMP_SYS(rename),
                                 SCMP_SYS(renameat), SCMP_SYS(renameat2), SCMP_SYS(mkdir),
                                 SCMP_SYS(mkdirat),  SCMP_SYS(chmod),     SCMP_SYS(fchmod),
                                 SCMP_SYS(fchmodat), SCMP_SYS(truncate),  SCMP_SYS(link),
                                 SCMP_SYS(linkat),   SCMP_SYS(symlink),   SCMP_SYS(symlinkat),
                                 SCMP_SYS(ptrace),   SCMP_SYS(kill),      SCMP_SYS(tgkill),
                                 SCMP_SYS(mount),    SCMP_SYS(bpf),       SCMP_SYS(process_vm_readv),
                                 SCMP_SYS(creat)};
    limit(RLIMIT_AS, MEMORY_MAX_BYTES);
    limit(RLIMIT_CPU, TIME_MAX_S);
    limit(RLIMIT_FSIZE, 0); /* pipes are no files */
    limit(RLIMIT_CORE, 0);
    alarm(3 * TIME_MAX_S);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    scmp_filter_ctx f = seccomp_init(SCMP_ACT_ALLOW);
    int e = f ? 0 : -ENOMEM;
    for (size_t i = 0; !e && i < sizeof denied / sizeof *denied; i++)
        e = seccomp_rule_add(f, SCMP_ACT_ERRNO(EPERM), denied[i], 0);
    for (int way = 1; !e && way <= 2; way++) /* O_WRONLY, O_RDWR */
        e = seccomp_rule_add(f, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(openat), 1,
                             SCMP_A2(SCMP_CMP_MASKED_EQ, 3, (scmp_datum_t)way));
    if (!e)
        e = seccomp_load(f);
    seccomp_release(f);
    if (e)
        text_fail("cannot be confined: %s", strerror(-e));
}

static char *read_all(size_t *ret_n)
{
    char *bytes = malloc(TEXT_FILE_MAX_BYTES + 1);
    size_t n = bytes ? fread(bytes, 1, TEXT_FILE_MAX_BYTES + 1, stdin) : 0;
    if (!bytes || ferror(stdin))
        text_fail("cannot be read");
    if (n > TEXT_FILE_MAX_BYTES)
        text_fail("is larger than %d MiB", TEXT_FILE_MAX_BYTES / 1024 / 1024);
    if (n == 0)
        text_fail("is empty");
    *ret_n = n;
    return bytes;
}

static bool ends(const char *name, const char *with)
{
    size_t n = strlen(name), m = strlen(with);
    return n > m && strcasecmp(name + n - m, with) == 0;
}

/* Text as it is, without the carriage returns. */
static void plain(const char *bytes, size_t n, struct out *out)
{
    for (size_t i = 0; i < n; i++) {
        if (bytes[i] == '\0')
            text_fail("is no text: it has bytes 0");
        if (bytes[i] != '\r')
            out_add(out, bytes + i, 1);
    }
}

static bool is_utf8(const struct out *out)
{
    for (size_t i = 0; i < out->n;) {
        unsigned char c = (unsigned char)out->at[i];
        size_t more = c < 0x80                ? 0
                      : c >= 0xc2 && c < 0xe0 ? 1
                      : c >= 0xe0 && c < 0xf0 ? 2
                      : c >= 0xf0 && c < 0xf5 ? 3
                                              : 9;
        if (more == 9 || i + more >= out->n + (more == 0))
            return false;
        for (size_t k = 1; k <= more; k++)
            if (((unsigned char)out->at[i + k] & 0xc0) != 0x80)
                return false;
        i += more + 1;
    }
    return true;
}

int main(int argc, char **argv)
{
    static struct out out;
    size_t n;
    const char *name = argc > 1 ? argv[1] : "";
    out.at = malloc(TEXT_OUT_MAX_BYTES + 1);
    confine();
    char *bytes = read_all(&n);
    if (!out.at)
        text_fail("out of memory");
    if (n > 4 && memcmp(bytes, "%PDF", 4) == 0)
        text_of_pdf(bytes, n, &out);
    else if (n > 4 && memcmp(bytes, "PK\3\4", 4) == 0)
        text_of_docx(bytes, n, &out);
    else if (ends(name, ".pdf") || ends(name, ".docx"))
        text_fail("is not what its name says: %s", ends(name, ".pdf") ? "no PDF" : "no DOCX");
    else if (ends(name, ".html") || ends(name, ".htm"))
        text_of_html(bytes, n, &out);
    else if (ends(name, ".md") || ends(name, ".markdown") || ends(name, ".txt") || ends(name, ".text"))
        plain(bytes, n, &out);
    else
        text_fail("is of no known kind: Markdown (.md), text (.txt), HTML, DOCX and PDF are read");
    out_line(&out, 1);
    if (!is_utf8(&out))
        text_fail("its text is no UTF-8");
    bool words = false;
    for (size_t i = 0; i < out.n && !words; i++)
        words = (unsigned char)out.at[i] > ' ';
    if (!words)
        text_fail("has no text; of a scan the letters must be recognised first");
    printf("%.200s\n", out.title);
    fwrite(out.at, 1, out.n, stdout);
    return fflush(stdout) == 0 ? 0 : 2;
}
