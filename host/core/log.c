/* Owns the log file. A line is built in a buffer on the stack and written with one write(), so lines of several
 * threads never mix. */
#include "core/log.h"

#include <cvm/cvm.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define LOG_LINE_MAX_BYTES 4096

static int log_fd = -1;
static int log_stderr = 1;
static enum log_level log_least = LOG_INFO;
static const char *const level_names[] = {"DEBUG", "INFO", "WARNING", "ERROR"};

int log_level_from_name(const char *name)
{
    for (int i = 0; i < 4; i++)
        if (strcasecmp(name, level_names[i]) == 0)
            return i;
    return -1;
}

int log_open(const char *path, enum log_level level, int to_stderr)
{
    log_least = level;
    log_stderr = to_stderr;
    if (!path)
        return 0;
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    if (fd < 0)
        return CVM_EIO;
    log_close();
    log_fd = fd;
    return 0;
}

void log_close(void)
{
    if (log_fd >= 0)
        close(log_fd);
    log_fd = -1;
}

static void write_all(int fd, const char *text, size_t len)
{
    while (len) {
        ssize_t n = write(fd, text, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return; /* a log that cannot be written must not stop the host */
        text += n;
        len -= (size_t)n;
    }
}

/* Escapes for a JSON string; stops before `size` is full. */
static size_t escape(char *out, size_t size, const char *in)
{
    size_t at = 0;
    for (; *in && at + 7 < size; in++) {
        unsigned char c = (unsigned char)*in;
        if (c == '"' || c == '\\') {
            out[at++] = '\\';
            out[at++] = (char)c;
        } else if (c < 0x20) {
            at += (size_t)snprintf(out + at, size - at, "\\u%04x", c);
        } else {
            out[at++] = (char)c;
        }
    }
    out[at] = 0;
    return at;
}

void log_write(enum log_level level, const char *about, const char *format, ...)
{
    if (level < log_least)
        return;
    char text[LOG_LINE_MAX_BYTES / 2], line[LOG_LINE_MAX_BYTES], stamp[40], escaped[LOG_LINE_MAX_BYTES - 256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    struct tm tm;
    gmtime_r(&now.tv_sec, &tm);
    size_t n = strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(stamp + n, sizeof stamp - n, ".%03dZ", (int)(now.tv_nsec / 1000000));
    if (log_fd >= 0) {
        escape(escaped, sizeof escaped, text);
        int len = snprintf(line, sizeof line, "{\"time\":\"%s\",\"level\":\"%s\",\"about\":\"%s\",\"text\":\"%s\"}\n",
                           stamp, level_names[level], about, escaped);
        write_all(log_fd, line, (size_t)len < sizeof line ? (size_t)len : sizeof line - 1);
    }
    if (log_stderr) {
        int len = snprintf(line, sizeof line, "%s %-7s %s: %s\n", stamp, level_names[level], about, text);
        write_all(STDERR_FILENO, line, (size_t)len < sizeof line ? (size_t)len : sizeof line - 1);
    }
}
