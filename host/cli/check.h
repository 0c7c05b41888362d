/* What the two halves of `config check` share: manifests against each other (check.c), and the rest of the home against
 * them (check_home.c). One thread. */
#ifndef HOST_CLI_CHECK_H
#define HOST_CLI_CHECK_H

#include "cli/cli.h"
#include "core/config.h"
#include "core/manifest.h"

#define CHECK_PLUGINS_MAX 512

struct check_plugin {
    struct manifest *manifest;
    bool installed; /* of the installed set, not of the home */
};

struct check {
    const char *home;
    const char *installed; /* PREFIX/lib/cvmhost; "": none */
    struct config *config;
    struct check_plugin plugins[CHECK_PLUGINS_MAX]; /* without the disabled ones */
    size_t n;
    json_t *errors, *warnings;
    json_t *names; /* what is taken, by kind of name: {"component x": "plugin"} */
    json_t *roles;
    json_t *disabled; /* names of plugins that are there and are not loaded */
};

/* Adds a sentence to `list`: the errors or the warnings. */
void check_find(json_t *list, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Whether the array that is the setting holds the name. */
bool check_listed(const struct check *check, const char *setting, const char *name);
/* Whether an id or alias is one of a component that is loaded. */
bool check_is_component(const struct check *check, const char *name);

/* Libraries, secrets, settings, transitions, the listener's address. */
void check_home(struct check *check);

#endif
