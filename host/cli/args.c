/* Walks command lines. Knows which options every command takes, nothing of the commands. */
#include "cli/cli.h"

#include "core/json_text.h"
#include <ctype.h>
#include <stdlib.h>

enum arg_kind args_next(struct args *args)
{
    if (args->at >= args->argc)
        return ARG_END;
    const char *arg = args->argv[args->at++];
    args->text = arg;
    args->inlined = NULL;
    if (args->only_words || arg[0] != '-' || arg[1] == 0 || isdigit((unsigned char)arg[1]))
        return ARG_WORD;
    if (strcmp(arg, "--") == 0) {
        args->only_words = true;
        return args_next(args);
    }
    if (strcmp(arg, "-h") == 0)
        arg = "--help";
    arg += arg[1] == '-' ? 2 : 1;
    size_t len = strcspn(arg, "=");
    if (arg[len] == '=')
        args->inlined = arg + len + 1;
    if (len >= sizeof args->name)
        len = sizeof args->name - 1;
    for (size_t i = 0; i < len; i++)
        args->name[i] = arg[i] == '_' ? '-' : arg[i];
    args->name[len] = 0;
    return ARG_OPTION;
}

const char *args_value(struct args *args)
{
    if (args->inlined)
        return args->inlined;
    if (args->at >= args->argc)
        return NULL;
    const char *next = args->argv[args->at];
    if (next[0] == '-' && next[1] == '-' && next[2])
        return NULL;
    args->at++;
    return next;
}

bool cli_take_flag(struct cli *cli, const char *name, const char *brief)
{
    int kept = 0;
    bool found = false;
    for (int i = 0; i < cli->argc; i++) {
        if (strcmp(cli->argv[i], name) == 0 || (brief && strcmp(cli->argv[i], brief) == 0))
            found = true;
        else
            cli->argv[kept++] = cli->argv[i];
    }
    cli->argc = kept;
    return found;
}

static int number(const char *text, double least, double most, double *ret_value)
{
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end || !(value >= least && value <= most))
        return CVM_EINVAL;
    *ret_value = value;
    return 0;
}

int cli_common_option(struct cli *cli, struct args *args, char *ret_error, size_t error_size)
{
    if (strcmp(args->name, "trace") == 0) {
        cli->trace = true;
        return 1;
    }
    static const char *const names[] = {"key", "file", "output-file", "parallel", "timeout"};
    size_t which = 0;
    while (which < 5 && strcmp(args->name, names[which]) != 0)
        which++;
    if (which == 5)
        return 0;
    const char *value = args_value(args);
    if (!value) {
        snprintf(ret_error, error_size, "--%s needs a value", names[which]);
        return CVM_EINVAL;
    }
    double n;
    if (which == 0) {
        if (!value[0] || strlen(value) > 100) {
            snprintf(ret_error, error_size, "--key: expected 1 to 100 bytes");
            return CVM_EINVAL;
        }
        cli->key = value;
    } else if (which == 1) {
        cli->file = value;
    } else if (which == 2) {
        cli->output_file = value;
    } else if (which == 3) {
        if (number(value, 1, 1024, &n) < 0 || n != (int)n) {
            snprintf(ret_error, error_size, "--parallel: expected a number from 1 to 1024, got \"%.40s\"", value);
            return CVM_EINVAL;
        }
        cli->parallel = (int)n;
    } else {
        if (number(value, 0.001, 604800, &n) < 0) {
            snprintf(ret_error, error_size, "--timeout: expected seconds (0.001 to 604800), got \"%.40s\"", value);
            return CVM_EINVAL;
        }
        cli->timeout_ms = (int64_t)(n * 1000);
    }
    return 1;
}

/* The name of word `n` of a usage line: it follows the words of the command, which are small. */
static void word_name(const char *usage, size_t n, char *ret_name, size_t size)
{
    snprintf(ret_name, size, "an argument");
    for (size_t len; *usage && *usage != '['; usage += len + (usage[len] == ' ')) {
        len = strcspn(usage, " ");
        if (isupper((unsigned char)*usage) && n-- == 0) {
            snprintf(ret_name, size, "%.*s", (int)len, usage);
            return;
        }
    }
}

int cli_missing(const char *usage, size_t n)
{
    char name[60];
    word_name(usage, n, name, sizeof name);
    return cli_fail(CLI_USAGE, "%s is missing\nusage: cvmhost %s", name, usage);
}

int cli_arguments(struct cli *cli, const char *usage, const struct cli_option *options, size_t n_options,
                  const char **words, size_t n_required, size_t n_words)
{
    struct args args = {.argc = cli->argc, .argv = cli->argv};
    char error[256];
    size_t n = 0;
    for (enum arg_kind kind; (kind = args_next(&args)) != ARG_END;) {
        if (kind == ARG_WORD) {
            if (n == n_words)
                return cli_fail(CLI_USAGE, "\"%s\" is one argument too many\nusage: cvmhost %s", args.text, usage);
            if (!text_is_utf8(args.text, strlen(args.text)))
                return cli_fail(CLI_USAGE, "argument %zu is not UTF-8 text\nusage: cvmhost %s", n + 1, usage);
            words[n++] = args.text;
            continue;
        }
        size_t i = 0;
        while (i < n_options && strcmp(args.name, options[i].name) != 0)
            i++;
        if (i < n_options) {
            const char *value = args_value(&args);
            if (!value)
                return cli_fail(CLI_USAGE, "--%s needs a value\nusage: cvmhost %s", args.name, usage);
            *options[i].value = value;
            continue;
        }
        int common = cli_common_option(cli, &args, error, sizeof error);
        if (common < 0)
            return cli_fail(CLI_USAGE, "%s", error);
        if (common == 0)
            return cli_fail(CLI_USAGE, "there is no option %.*s here\nusage: cvmhost %s", (int)strcspn(args.text, "="),
                            args.text, usage);
    }
    if (n < n_required)
        return cli_missing(usage, n);
    return cli_redirect(cli);
}
