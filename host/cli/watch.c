/* Owns the watchers of folders. Folders are watched, never files: an editor saves by putting a new file in the place of
 * the old one. */
#include "cli/watch.h"

#include <cvm/cvm.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define FOLDERS_MAX 2000
#define DEPTH_MAX 16
#define PATH_BYTES 4096

struct folder {
    uv_fs_event_t event;
    struct watch *watch;
    struct folder *next;
    char *only;  /* the file it is watched for; NULL: all */
    char path[]; /* without a "/" at the end */
};

struct watch {
    uv_loop_t *loop;
    watch_changed changed;
    watch_over over;
    void *arg;
    uv_timer_t quiet;
    struct folder *folders;
    int n;
    int handles;
    bool closing;
};

static void gone(struct watch *watch)
{
    if (--watch->handles == 0)
        free(watch);
}

static void folder_gone(uv_handle_t *handle)
{
    struct folder *folder = handle->data;
    struct watch *watch = folder->watch;
    free(folder->only);
    free(folder);
    gone(watch);
}

static void timer_gone(uv_handle_t *handle)
{
    gone(handle->data);
}

static void quiet(uv_timer_t *timer)
{
    struct watch *watch = timer->data;
    watch->over(watch->arg);
}

/* What editors, compilers and copies leave for a moment. */
static bool is_passing(const char *name)
{
    static const char *const endings[] = {"~", ".swp", ".swx", ".tmp", ".part", ".o", ".d", "4913"};
    size_t len = strlen(name);
    if (name[0] == '.' || name[0] == '#')
        return true;
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        size_t n = strlen(endings[i]);
        if (len >= n && strcmp(name + len - n, endings[i]) == 0)
            return true;
    }
    return false;
}

static bool is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static int add_tree(struct watch *watch, const char *path, int depth);

static void happened(uv_fs_event_t *event, const char *name, int events, int status)
{
    struct folder *folder = event->data;
    struct watch *watch = folder->watch;
    char path[PATH_BYTES];
    (void)events;
    if (status < 0 || !name || watch->closing || is_passing(name) || (folder->only && strcmp(folder->only, name) != 0))
        return;
    if (snprintf(path, sizeof path, "%s/%s", folder->path, name) >= PATH_BYTES)
        return;
    if (!folder->only && is_folder(path))
        (void)add_tree(watch, path, 0); /* one that has just come */
    watch->changed(watch->arg, path);
    uv_timer_start(&watch->quiet, quiet, WATCH_QUIET_MS, 0);
}

static struct folder *find(const struct watch *watch, const char *path, const char *only)
{
    for (struct folder *f = watch->folders; f; f = f->next)
        if (strcmp(f->path, path) == 0 && (!f->only || (only && strcmp(f->only, only) == 0)))
            return f;
    return NULL;
}

/* A folder that has gone and come again is another one: its watcher is set anew. */
static int add_folder(struct watch *watch, const char *path, const char *only)
{
    struct folder *folder = find(watch, path, only);
    if (folder) {
        uv_fs_event_stop(&folder->event);
        return uv_fs_event_start(&folder->event, happened, path, 0) < 0 ? CVM_EIO : 0;
    }
    if (watch->n == FOLDERS_MAX)
        return CVM_ELIMIT;
    folder = calloc(1, sizeof *folder + strlen(path) + 1);
    if (!folder)
        return CVM_ENOMEM;
    memcpy(folder->path, path, strlen(path) + 1);
    folder->only = only ? strdup(only) : NULL;
    folder->watch = watch;
    if (uv_fs_event_init(watch->loop, &folder->event) < 0) {
        free(folder->only);
        free(folder);
        return CVM_EIO;
    }
    folder->event.data = folder;
    folder->next = watch->folders;
    watch->folders = folder;
    watch->handles++;
    watch->n++;
    return uv_fs_event_start(&folder->event, happened, path, 0) < 0 ? CVM_EIO : 0;
}

static int add_tree(struct watch *watch, const char *path, int depth)
{
    char inner[PATH_BYTES];
    int error = add_folder(watch, path, NULL);
    DIR *dir = error < 0 || depth >= DEPTH_MAX ? NULL : opendir(path);
    for (struct dirent *file; dir && error == 0 && (file = readdir(dir));) {
        if (file->d_name[0] == '.' || strcmp(file->d_name, "build") == 0 ||
            snprintf(inner, sizeof inner, "%s/%s", path, file->d_name) >= PATH_BYTES)
            continue;
        if (file->d_type == DT_DIR)
            error = add_tree(watch, inner, depth + 1);
    }
    if (dir)
        closedir(dir);
    return error;
}

int watch_new(uv_loop_t *loop, watch_changed changed, watch_over over, void *arg, struct watch **ret_watch)
{
    struct watch *watch = calloc(1, sizeof *watch);
    if (!watch)
        return CVM_ENOMEM;
    *watch = (struct watch){.loop = loop, .changed = changed, .over = over, .arg = arg, .handles = 1};
    if (uv_timer_init(loop, &watch->quiet) < 0) {
        free(watch);
        return CVM_EIO;
    }
    watch->quiet.data = watch;
    *ret_watch = watch;
    return 0;
}

int watch_add(struct watch *watch, const char *path)
{
    char whole[PATH_BYTES];
    struct stat st;
    if (snprintf(whole, sizeof whole, "%s", path) >= PATH_BYTES)
        return CVM_ELIMIT;
    for (size_t len = strlen(whole); len > 1 && whole[len - 1] == '/'; len--)
        whole[len - 1] = 0;
    if (stat(whole, &st) < 0)
        return CVM_ENOENT;
    if (S_ISDIR(st.st_mode))
        return add_tree(watch, whole, 0);
    char *slash = strrchr(whole, '/');
    if (!slash)
        return add_folder(watch, ".", whole);
    *slash = 0;
    return add_folder(watch, *whole ? whole : "/", slash + 1);
}

void watch_close(struct watch *watch)
{
    if (!watch)
        return;
    watch->closing = true;
    for (struct folder *f = watch->folders; f; f = f->next)
        uv_close((uv_handle_t *)&f->event, folder_gone);
    uv_close((uv_handle_t *)&watch->quiet, timer_gone);
}
