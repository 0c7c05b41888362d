/* Configuration files of any content: those that are taken can be shown, and asked for any setting. */
#include "fuzz.h"

#include "core/config.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64], path[96];

static void remove_folder(void)
{
    unlink(path);
    rmdir(folder);
}

static void make_folder(void)
{
    snprintf(folder, sizeof folder, "%s/fuzz_config_XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    FUZZ_CHECK(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/cvmhost.json", folder);
    atexit(remove_folder);
}

static void use(struct config *config)
{
    static const char *const paths[] = {
        "http.port", "journal.group_max", "plugins.inline", "agents.a.b.concurrency", "x", ""};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        config_int(config, paths[i], 1);
        config_bool(config, paths[i], 1);
        config_str(config, paths[i], "");
    }
    json_t *defaults = json_pack("{s:s}", "base", "x"), *shown = config_show(config);
    json_decref(config_component_settings(config, "a.b", defaults));
    FUZZ_CHECK(json_is_object(shown));
    json_decref(shown);
    json_decref(defaults);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config *config = NULL, *fresh = NULL;
    char error[512] = "";
    if (!folder[0])
        make_folder();
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    FUZZ_CHECK(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    close(fd);
    int e = config_load(folder, path, &config, error, sizeof error);
    FUZZ_CHECK(e == 0 ? config != NULL : e < 0 && !config && error[0]);
    if (!config)
        return 0;
    use(config);
    FUZZ_CHECK(config_load(folder, path, &fresh, error, sizeof error) == 0);
    config_adopt(config, fresh);
    use(config);
    config_free(config);
    return 0;
}
