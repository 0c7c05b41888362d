/* Owns the log files: one with everything, and beside it one for each area (the first part of a component's id) with
 * what its components log. A line is built in a buffer on the stack and written with one write(), so lines of several
 * threads never mix. */
#include "core/log.h"

#include "core/json_text.h"
#include <cvm/cvm.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LOG_LINE_MAX_BYTES 4096
#define LOG_AREAS_MAX 16 /* what further areas log stands in the one file only */
#define LOG_AREA_NAME_MAX 31

static int log_fd = -1;
static char log_path[4096]; /* "": none */
static int log_stderr = 1;
static enum log_level log_least = LOG_INFO;
static const char *const level_names[] = {"DEBUG", "INFO", "WARNING", "ERROR"};

static struct {
    pthread_mutex_t mutex;
    char folder[4096]; /* with the "/"; "": no file is open */
    struct {
        char name[LOG_AREA_NAME_MAX + 1];
        int fd; /* -1: it could not be opened */
    } at[LOG_AREAS_MAX];
    size_t n;
} areas = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static _Thread_local int muted;

void log_mute(int mute)
{
    muted = mute;
}

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
    snprintf(log_path, sizeof log_path, "%s", path);
    const char *slash = strrchr(path, '/');
    pthread_mutex_lock(&areas.mutex);
    snprintf(areas.folder, sizeof areas.folder, "%.*s", slash ? (int)(slash - path) + 1 : 2, slash ? path : "./");
    pthread_mutex_unlock(&areas.mutex);
    return 0;
}

void log_close(void)
{
    if (log_fd >= 0)
        close(log_fd);
    log_fd = -1;
    pthread_mutex_lock(&areas.mutex);
    for (size_t i = 0; i < areas.n; i++)
        if (areas.at[i].fd >= 0)
            close(areas.at[i].fd);
    areas.n = 0;
    areas.folder[0] = 0;
    pthread_mutex_unlock(&areas.mutex);
}

/* The descriptor keeps its number, so that who is about to write with it writes into the one file or the other. */
static void reopen(const char *path, int fd)
{
    struct stat now, ours;
    if (fd < 0 ||
        (stat(path, &now) == 0 && fstat(fd, &ours) == 0 && now.st_ino == ours.st_ino && now.st_dev == ours.st_dev))
        return;
    int fresh = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    if (fresh < 0)
        return; /* better the file that was moved than none */
    (void)dup3(fresh, fd, O_CLOEXEC);
    close(fresh);
}

void log_reopen(void)
{
    char path[sizeof areas.folder + LOG_AREA_NAME_MAX + 8];
    reopen(log_path, log_fd);
    pthread_mutex_lock(&areas.mutex);
    for (size_t i = 0; i < areas.n; i++) {
        snprintf(path, sizeof path, "%s%s.log", areas.folder, areas.at[i].name);
        reopen(path, areas.at[i].fd);
    }
    pthread_mutex_unlock(&areas.mutex);
}

/* How long the area's name is in "area.component"; 0: `about` is no component, or one of the host's own. */
static size_t area_of(const char *about)
{
    size_t n = strspn(about, "abcdefghijklmnopqrstuvwxyz0123456789_");
    bool component = n && n <= LOG_AREA_NAME_MAX && about[n] == '.' && about[n + 1] && !strpbrk(about, " /");
    static const char *const ours[] = {"host.", "cvmhost.", "crash."}; /* or files of ours */
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        component = component && strncmp(about, ours[i], strlen(ours[i])) != 0;
    return component ? n : 0;
}

/* The descriptor of the area's file, opened when it is first needed; -1: none. */
static int area_fd(const char *about, size_t n)
{
    char path[sizeof areas.folder + LOG_AREA_NAME_MAX + 8];
    int fd = -1;
    pthread_mutex_lock(&areas.mutex);
    size_t i = 0;
    while (i < areas.n && (strncmp(areas.at[i].name, about, n) != 0 || areas.at[i].name[n]))
        i++;
    if (i < areas.n) {
        fd = areas.at[i].fd;
    } else if (i < LOG_AREAS_MAX && areas.folder[0]) {
        snprintf(areas.at[i].name, sizeof areas.at[i].name, "%.*s", (int)n, about);
        snprintf(path, sizeof path, "%s%s.log", areas.folder, areas.at[i].name);
        fd = areas.at[i].fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
        areas.n++;
    }
    pthread_mutex_unlock(&areas.mutex);
    return fd;
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

/* 2026-11-22T09:04:26.123Z. The second's text is kept: many lines are of the same one. */
static void stamp_now(char ret_stamp[40])
{
    static _Thread_local time_t second = -1;
    static _Thread_local char text[24];
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (now.tv_sec != second) {
        struct tm tm;
        gmtime_r(&now.tv_sec, &tm);
        strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
        second = now.tv_sec;
    }
    snprintf(ret_stamp, 40, "%s.%03dZ", text, (int)(now.tv_nsec / 1000000));
}

void log_write(enum log_level level, const char *about, const char *format, ...)
{
    if (level < log_least || muted)
        return;
    char text[LOG_LINE_MAX_BYTES / 2], line[LOG_LINE_MAX_BYTES], stamp[40], escaped[LOG_LINE_MAX_BYTES - 256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    text_make_utf8(text);
    stamp_now(stamp);
    if (log_fd >= 0) {
        escape(escaped, sizeof escaped, text);
        int len = snprintf(line, sizeof line, "{\"time\":\"%s\",\"level\":\"%s\",\"about\":\"%s\",\"text\":\"%s\"}\n",
                           stamp, level_names[level], about, escaped);
        size_t size = (size_t)len < sizeof line ? (size_t)len : sizeof line - 1, in_area = area_of(about);
        int fd = in_area ? area_fd(about, in_area) : -1;
        write_all(log_fd, line, size);
        if (fd >= 0)
            write_all(fd, line, size);
    }
    if (log_stderr) {
        for (char *c = text; *c; c++) /* one line, and no orders to a terminal */
            *c = (unsigned char)*c < 0x20 || *c == 0x7f ? ' ' : *c;
        int len = snprintf(line, sizeof line, "%s %-7s %s: %s\n", stamp, level_names[level], about, text);
        write_all(STDERR_FILENO, line, (size_t)len < sizeof line ? (size_t)len : sizeof line - 1);
    }
}
